"""The fork server: imports the heavy libraries once, then runs each probe in a process of its own.

A probe that crashes, exits, patches numpy or never ends costs itself alone. The server runs no TensorFlow operation:
forking after one deadlocks. It never reads what a probe wrote; the grader does, from outside, before the next probe
starts.

One JSON object per line, grader to server: `{"warm": probe id}`, `{"run": probe id, "into": name}`, `{"stop": true}`;
results go to `outbox/<name>`, a name that nothing could know before. Server to grader:
`{"ready": {...}, "confined": {...}}`, `{"warm": seconds}`, `{"ended": probe id, "exit": code or null, "signal": number
or null, "seconds", "cpu_seconds", "memory_mb", "left_behind": number of processes that outlived the probe}`.
"""

import importlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from grader.worker import confine, processes

# Taken before any student code runs: a probe's process must not go on as a second server.
_exit = os._exit


class Box:
    """What a probe may see: its job, its arrays, its folders.

    Attributes:
        root: Path of the sandbox's folders.
        job: dict, as the grader sent it.
        arrays: dict from name to array, loaded on first use.
    """

    def __init__(self, root, job):
        self.root = Path(root)
        self.job = job
        self.arrays = _Arrays(self.root / "inbox" / "arrays")
        self.submission = self.root / "inbox" / "submission"
        self.outbox = None  # known when a probe starts


class _Arrays:
    def __init__(self, folder):
        self._folder = folder

    def __contains__(self, name):
        return (self._folder / f"{name}.npy").is_file()

    def __getitem__(self, name):
        import numpy as np

        return np.load(self._folder / f"{name}.npy", allow_pickle=False)


def can_fork():
    """Says whether forking is safe here: macOS' own libraries are not, Windows has none."""
    return hasattr(os, "fork") and sys.platform.startswith("linux")


def serve(module_name, root, job, control_fd):
    """Serves probes until the grader closes its end.

    Args:
        module_name: str, a module with `prepare(box) -> facts` and `run(probe_id, box)`.
        root: Path of the sandbox's folders.
        job: dict from job.json.
        control_fd: int, a connected socket.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes.process_control(processes.PR_SET_CHILD_SUBREAPER, 1)
    # A probe could otherwise open the control socket again through /proc.
    processes.process_control(processes.PR_SET_DUMPABLE, 0)
    control = socket.socket(fileno=control_fd)
    control.set_inheritable(False)
    module = importlib.import_module(module_name)
    box = Box(root, job)
    forking = can_fork() and job.get("fork", True)
    facts = module.prepare(box) if forking else {}
    _send(control, {"ready": facts, "confined": job["confined"]})
    buffer = b""
    while True:
        line, buffer = _read_line(control, buffer)
        if line is None:
            processes.kill_descendants(after=processes.reap)
            return
        if "warm" in line:
            began = time.process_time()
            if forking:
                getattr(module, "warm", _nothing)(line["warm"], box)
            _send(control, {"warm": round(time.process_time() - began, 4)})
        elif "run" in line:
            answer = _run(module, module_name, box, line["run"], line["into"], control, forking)
            _send(control, answer)


def _nothing(probe_id, box):
    """A module that has nothing to import later."""


def run_one_probe(module_name, root, job, probe_id, into):
    """Runs one probe in this process: the way of machines where forking is not safe."""
    module = importlib.import_module(module_name)
    box = Box(root, job)
    module.prepare(box)
    getattr(module, "warm", _nothing)(probe_id, box)
    _enter(box, into)
    module.run(probe_id, box)


def _send(control, message):
    control.sendall(json.dumps(message).encode() + b"\n")


def _read_line(control, buffer):
    while b"\n" not in buffer:
        chunk = control.recv(65536)
        if not chunk:
            return None, b""
        buffer += chunk
    line, buffer = buffer.split(b"\n", 1)
    return json.loads(line), buffer


def _run(module, module_name, box, probe_id, into, control, forking):
    began = time.monotonic()
    cpu_before = _cpu_of_children()
    if forking:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _child(module, box, probe_id, into, control)
    else:
        start = Path(__file__).with_name("start.py")
        pid = subprocess.Popen(
            [sys.executable, "-s", "-P", str(start), module_name, str(box.root), "-", probe_id, into],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ).pid
    status, usage, stopped = _wait(pid, control)
    left_behind = processes.kill_descendants(after=processes.reap)
    processes.reap()
    return {
        "ended": probe_id,
        "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "stopped": stopped,
        "seconds": round(time.monotonic() - began, 4),
        "cpu_seconds": round(_cpu_of_children() - cpu_before, 4),
        "memory_mb": round(usage.ru_maxrss / (1024 if sys.platform.startswith("linux") else 2**20), 1),
        "left_behind": left_behind,
    }


def _wait(pid, control):
    """Waits for a child, or for the grader to say stop; returns wait status, resource usage, whether it was stopped."""
    pause = 0.002
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage, False
        readable, _, _ = select.select([control], [], [], pause)
        pause = min(pause * 1.5, 0.03)
        if readable:
            # Either "stop" or the end of the grader: both mean that this probe is over.
            control.recv(65536)
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return status, usage, True


def _child(module, box, probe_id, into, control):
    code = 1
    try:
        os.setsid()
        control.close()
        # The grader, perhaps not root, must be able to read how much memory this process takes.
        processes.process_control(processes.PR_SET_DUMPABLE, 1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _enter(box, into)
        module.run(probe_id, box)
        sys.stdout.flush()
        sys.stderr.flush()
        code = 0
    finally:
        # Not sys.exit: what a student's script registered to run at exit has no business here.
        _exit(code)


def _enter(box, into):
    """Gives a probe its own working folder, in which the submission's files can be read by their bare names."""
    cpu = int(box.job["limits"]["cpu_seconds"])
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    work = box.root / "work" / into
    work.mkdir()
    if box.submission.is_dir():
        for entry in box.submission.iterdir():
            (work / entry.name).symlink_to(entry)
    os.chdir(work)
    box.outbox = box.root / "outbox" / into
    confine.confine_probe(box.root, box.job["confined"], box.job["user"] is not None)


def _cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
