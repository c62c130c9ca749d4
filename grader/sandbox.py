"""Starts a worker with the strongest isolation this machine has, watches it, and checks what comes back.

The grader's own process never imports a student's module or a student's model. It starts a fork server
(`grader/worker/server.py`) in a process group and session of its own, hands it probes one by one, and reads each
probe's answer before the next one starts. Memory, time, processes and disk are watched from outside; whatever a probe
leaves behind is killed.

Levels, strongest first:

    bubblewrap     namespaces: no network, no other files, no other processes; Landlock and seccomp inside
    landlock       Landlock and seccomp: the same doors shut by the kernel, without namespaces and without root
    separate-user  a user id that nobody has, for whoever grades as root; files that all may read stay readable
    rlimits        limits and the watch alone

Limits and the watch from outside are part of every level. Which one holds is decided by a live canary, never by a
version number.
"""

import compileall
import contextlib
import errno
import functools
import io
import json
import math
import os
import re
import secrets
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from grader.worker import confine, processes, schema

ROOT = Path(__file__).resolve().parents[1]

# What the rubric's [limits] leave unsaid. Seconds are wall time on a machine that is not overloaded, see
# `Worker._overdue`; mb are 2**20 bytes.
DEFAULT_LIMITS = {
    "start_seconds": 180,  # importing TensorFlow takes 3 s, and 50 s where no .pyc files could be written
    "import_seconds": 20,
    "function_seconds": 20,
    "voxelize_seconds": 60,
    "training_seconds": 60,
    "model_seconds": 120,
    "cpu_seconds": 900,  # a net below the wall clock, for one process
    "memory_gigabytes": 4,
    "reserved_gigabytes": 4,  # address space that TensorFlow and its threads reserve without using it
    "file_megabytes": 400,
    "disk_megabytes": 2048,
    "result_megabytes": 1024,
    "open_files": 1024,
    "processes": 32,
    "output_kilobytes": 64,
    "threads": 1,
}


class WorkerFault(RuntimeError):
    """The worker itself could not do its work: our fault or the machine's, never the student's."""


class UnreadableResult(ValueError):
    """What a probe left in its outbox is not what a probe leaves."""


def limits_from(settings=None):
    """Completes the `[limits]` of a rubric.

    Args:
        settings: dict of numbers, or None.

    Returns:
        dict with every key of `DEFAULT_LIMITS`.

    Raises:
        ValueError: an unknown key, or a value that is not a positive number.
    """
    limits = dict(DEFAULT_LIMITS)
    for key, value in (settings or {}).items():
        if key not in limits:
            raise ValueError(f"[limits] has no setting {key!r}. Wanted one of {', '.join(sorted(limits))}.")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"[limits] {key} = {value!r}. Wanted a positive number.")
        limits[key] = value
    return limits


@dataclass
class WorkerResult:
    """What a run of probes gave.

    Attributes:
        probes: dict from probe id to `{"status", "message", "facts", "seconds"}`.
        arrays: dict from `"<probe>.<name>"` to array.
        versions: dict, of the libraries inside.
        level: str, the isolation it ran under.
        cpu_seconds: float, of the fork servers' start and all probes.
        wall_seconds: float.
        num_starts: int, how many fork servers it took.
        usage: dict from probe id to `{"cpu_seconds", "memory_mb", "left_behind"}`.
        fault: str, empty unless the worker could not do its work; probes that did not run are then absent.
    """

    probes: dict = field(default_factory=dict)
    arrays: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    level: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    num_starts: int = 0
    usage: dict = field(default_factory=dict)
    fault: str = ""


# Isolation levels ---------------------------------------------------------------------------------------------------


class Rlimits:
    """Limits, a clean environment and the watch: what works on every Unix. It hides nothing."""

    name = "rlimits"
    # What the kernel shall refuse on top, see `grader.worker.confine`.
    confine = MappingProxyType({})
    # Doors that this level leaves open by its nature. Nothing that a result is made from lies behind them.
    spares = ()
    leaves_open = "everything that the grader may read, write or signal, and the network"

    def missing(self):
        """Says why this level cannot be used here, and what to do about it; empty if it can."""
        return "" if hasattr(os, "fork") else "this system has no fork and no limits for processes"

    def inside(self, root):
        """Returns the path under which the sandbox's folders are seen from inside."""
        return root

    def command(self, arguments, root, limits):
        """Wraps the command that starts the worker."""
        return arguments


class SeparateUser(Rlimits):
    """A user id of its own for each sandbox: what the grader keeps private stays private."""

    name = "separate-user"
    confine = MappingProxyType({"seccomp": "if possible"})
    spares = ("network", "abstract_socket", "process_list")
    leaves_open = "files that every user may read, the list of processes and, where seccomp is missing, the network"

    def missing(self):
        """Says why this level cannot be used here, and what to do about it; empty if it can."""
        if not hasattr(os, "geteuid"):
            return "this system has no user ids"
        return "" if os.geteuid() == 0 else "only root can become another user"


class Landlock(Rlimits):
    """Landlock and seccomp: the kernel refuses files, network, signals. Works inside Docker, as any user."""

    name = "landlock"
    confine = MappingProxyType({"landlock": "required", "seccomp": "required"})
    leaves_open = "names and sizes of files, but not what is in them"

    def missing(self):
        """Says why this level cannot be used here, and what to do about it; empty if it can."""
        version, reason = confine.landlock_abi()
        return reason if not version else confine.seccomp_missing()


class Bubblewrap(Rlimits):
    """Namespaces by bubblewrap: nothing of this machine but Python, its libraries and the sandbox's own folders."""

    name = "bubblewrap"
    # /dev/shm is its own here, so that multiprocessing can have its locks.
    confine = MappingProxyType({"landlock": "if possible", "seccomp": "if possible", "shared_memory": True})
    leaves_open = "only what Python needs: its libraries, the processor's description"

    def missing(self):
        """Says why this level cannot be used here, and what to do about it; empty if it can."""
        if shutil.which("bwrap"):
            return ""
        if sys.platform.startswith("linux"):
            return "the command bwrap is not installed: sudo apt-get install bubblewrap"
        return "bubblewrap is a program for Linux"

    def inside(self, root):
        """Returns the path under which the sandbox's folders are seen from inside."""
        return Path("/sandbox")

    def command(self, arguments, root, limits):
        """Wraps the command that starts the worker."""
        box = str(self.inside(root))
        command = [shutil.which("bwrap"), "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
        if os.geteuid() == 0:
            # Without a user namespace, in which root would stay the root that the kernel's limits spare; start.py
            # gives up these two rights when it becomes another user.
            command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
            command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            command += ["--unshare-all"]
        command += ["--hostname", "sandbox", "--ro-bind", "/usr", "/usr"]
        for name in ("/bin", "/sbin", "/lib", "/lib64", "/lib32"):
            if os.path.islink(name):
                command += ["--symlink", os.readlink(name), name]
            elif os.path.isdir(name):
                command += ["--ro-bind", name, name]
        if Path(os.path.realpath(ROOT)).is_relative_to("/usr"):
            command += ["--tmpfs", os.path.realpath(ROOT)]
        command += ["--dir", "/etc"]
        for name in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts"):
            command += ["--ro-bind-try", name, name]
        # A virtual environment needs the Python it was made from.
        for name in dict.fromkeys((os.path.realpath(sys.base_prefix), sys.base_prefix, sys.prefix)):
            if not name.startswith("/usr/") or Path(name).is_relative_to(os.path.realpath(ROOT)):
                # Parents that bubblewrap makes by itself can be entered by root alone.
                for parent in reversed(Path(name).parents[:-1]):
                    command += ["--dir", str(parent)]
                command += ["--ro-bind", name, name]
        command += ["--proc", "/proc", "--dev", "/dev", "--size", str(64 * 2**20), "--tmpfs", "/dev/shm"]
        command += ["--dir", box, "--ro-bind", str(root / "kit"), f"{box}/kit"]
        command += ["--ro-bind", str(root / "inbox"), f"{box}/inbox"]
        for name in ("outbox", "home", "tmp", "work"):
            command += ["--bind", str(root / name), f"{box}/{name}"]
        command += ["--symlink", f"{box}/tmp", "/tmp"]
        # What bubblewrap makes itself lies in memory that no limit of ours counts.
        command += ["--remount-ro", "/dev", "--remount-ro", "/"]
        return [*command, "--chdir", f"{box}/work", "--", *arguments]


LEVELS = (Bubblewrap(), Landlock(), SeparateUser(), Rlimits())


def level_named(name):
    """Finds an isolation level.

    Raises:
        ValueError: there is none of that name.
    """
    for level in LEVELS:
        if level.name == name:
            return level
    raise ValueError(f"{name!r} is no isolation level. Wanted one of {', '.join(level.name for level in LEVELS)}.")


def holds(level, canary):
    """Says whether a level keeps what it promises: no door is open or in doubt but those it leaves open by its nature.

    Args:
        level: str.
        canary: dict from door to `"blocked"`, `"allowed"` or `"unknown"`; empty where it never ran.

    Returns:
        bool; never for `rlimits`, which promises nothing.
    """
    level = level_named(level)
    return level.name != "rlimits" and all(
        canary.get(door) == "blocked" for door in schema.DOORS if door not in level.spares
    )


@functools.cache
def probe_isolation():
    """Tries the levels with a canary that does what a hostile script would, until one holds.

    Returns:
        dict: `level` (str), `canary` (what it blocked or allowed, a key for each of `schema.DOORS`), `holds` (bool),
        `tried` (dict from level to what `probe_level` gives). Kept with the evidence.
    """
    tried = {}
    for level in LEVELS:
        tried[level.name] = probe_level(level.name)
        if tried[level.name]["holds"]:
            break
    chosen = tried[level.name]
    return {"level": level.name, "canary": chosen["canary"], "holds": chosen["holds"], "tried": tried}


def probe_level(name):
    """Tries one level, whether or not a stronger one holds. What did not start is tried again when asked again.

    Returns:
        dict: `missing` (str, why it cannot be used here, or empty), `canary` (dict), `holds` (bool), `confined`
        (dict: the version of Landlock and whether seccomp is in force), `start_seconds` (float, until the worker was
        ready).
    """
    if name in _PROBED:
        return _PROBED[name]
    level = level_named(name)
    found = {"missing": level.missing(), "canary": {}, "holds": False, "confined": {}, "start_seconds": None}
    try:
        if not found["missing"]:
            found.update(_try_level(level))
        _PROBED[name] = found
    except (WorkerFault, OSError) as error:
        found["missing"] = f"it does not start: {error}"
    found["holds"] = holds(name, found["canary"])
    return found


_PROBED = {}


def _run_canary(level):
    return _try_level(level)["canary"]


def _try_level(level):
    with _decoys() as (job, decoy):
        with Worker(
            "grader.worker.canary", job, level=level.name, limits=limits_from({"file_megabytes": 16})
        ) as worker:
            answer, _, _ = worker.run("canary", 20)
        with contextlib.suppress(subprocess.TimeoutExpired):
            decoy.wait(0.05)
        facts = dict(answer["facts"])
        if answer["status"] != "ok" or not facts:
            raise WorkerFault(f"its canary gave {answer['status']}: {answer['message']}")
        # The word of the decoy counts, not the canary's.
        facts["signal"] = "blocked" if decoy.returncode is None else "allowed"
        return {"canary": facts, "confined": worker.confined, "start_seconds": worker.start_seconds}


@contextlib.contextmanager
def _decoys():
    """Sets up what a canary tries to reach: files, listeners, and a process in place of the grader.

    Yields:
        (dict, Popen): the canary's job; the process.
    """
    name, text = "EXPRESSIONS_DECOY_SECRET", secrets.token_hex(16)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grader-decoy-")))
        (folder / "labels.txt").write_text(text)
        # As intake leaves the files of a submission: open, in a folder that is not.
        (folder / "student").mkdir()
        (folder / "student" / "cnn.py").write_text(text)
        listeners, abstract_name = [stack.enter_context(socket.socket())], f"expressions-{secrets.token_hex(8)}"
        listeners[0].bind(("127.0.0.1", 0))
        if sys.platform.startswith("linux"):
            listeners.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
            listeners[1].bind(f"\0{abstract_name}")
        for listener in listeners:
            listener.listen()
            threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        # One variable of its stands for the grader's environment, an argument of its for the grader's arguments. It
        # waits for words that never come, and ends with the grader, however that ends.
        decoy = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys; sys.stdin.read()", text],
            env={**os.environ, name: text},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield (
                {
                    "decoy_file": str(folder / "labels.txt"),
                    "decoy_folder": str(folder / "student"),
                    "decoy_text": text,
                    "decoy_pid": decoy.pid,
                    "decoy_name": name,
                    "grader_pid": decoy.pid,
                    "port": listeners[0].getsockname()[1],
                    "abstract_name": abstract_name,
                    "rubric": str(ROOT / "grader" / "rubric.toml"),
                },
                decoy,
            )
        finally:
            decoy.kill()
            decoy.communicate()


def _greet(listener):
    with contextlib.suppress(OSError):
        while True:
            link, _ = listener.accept()
            with link:
                link.sendall(b"hello")


# The worker --------------------------------------------------------------------------------------------------------


class _Drain:
    """Reads a pipe to its end, so that nobody waits for it, and keeps the first and the last of each probe."""

    def __init__(self, pipe, keep_bytes):
        self._half = max(1, keep_bytes // 2)
        self._lock = threading.Lock()
        self.clear()
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def clear(self):
        with self._lock:
            self._head, self._tail, self.num_bytes = b"", b"", 0

    def _read(self, pipe):
        with contextlib.suppress(OSError, ValueError):
            while chunk := pipe.read1(65536):
                with self._lock:
                    self.num_bytes += len(chunk)
                    room = self._half - len(self._head)
                    self._head += chunk[:room]
                    self._tail = (self._tail + chunk[max(room, 0) :])[-self._half :]

    def text(self):
        with self._lock:
            cut = self.num_bytes - len(self._head) - len(self._tail)
            middle = f"\n[… {cut:,} bytes …]\n".encode() if cut > 0 else b""
            return clean_text((self._head + middle + self._tail).decode("utf-8", "replace"), 2**20)


class Worker:
    """One fork server in its sandbox; a context manager.

    Args:
        module: str, such as `"grader.worker.code"`.
        job: dict of JSON values for the worker.
        arrays: dict from name to array, readable inside as `inbox/arrays/<name>.npy`.
        files: dict from a path inside the inbox to the Path of a file or folder, which is copied.
        limits: dict as `limits_from` gives it.
        level: str, an isolation level; by default the strongest that holds here.
    """

    def __init__(self, module, job=None, arrays=None, files=None, limits=None, level=None):
        self.limits = limits_from() if limits is None else limits
        self.level = level_named(level or probe_isolation()["level"])
        self.module = module
        self.versions, self.confined, self.start_seconds = {}, {}, None
        self._job, self._arrays, self._files = job or {}, arrays or {}, files or {}
        self._seen, self._own = {}, set()
        self._process = self._control = None
        self._mark = secrets.token_hex(8)
        self.start_cpu_seconds = 0.0

    def __enter__(self):
        self._began = time.monotonic()
        self.root = Path(tempfile.mkdtemp(prefix="grader-sandbox-"))
        try:
            self._fill()
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _fill(self):
        for name in ("inbox/arrays", "outbox", "home", "tmp", "work", "kit/grader"):
            (self.root / name).mkdir(parents=True)
        # Only what runs inside. The rubric with its hidden seed, the checks and the reference stay out.
        kit = self.root / "kit"
        shutil.copy2(ROOT / "grader" / "__init__.py", kit / "grader" / "__init__.py")
        for name in ("grader/worker", "expressions"):
            _compile(name)
            shutil.copytree(ROOT / name, kit / name)
        for name, source in self._files.items():
            target = self.root / "inbox" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if Path(source).is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
        for name, array in self._arrays.items():
            np.save(self.root / "inbox" / "arrays" / f"{name}.npy", np.asarray(array), allow_pickle=False)
        self._user = secrets.choice(range(20_000, 60_000)) if os.geteuid() == 0 else None
        if self._user is not None:
            self._hand_over()
        user = os.getuid() if self._user is None else self._user
        running = 0
        if sys.platform.startswith("linux"):
            for pid in processes.process_table():
                with contextlib.suppress(OSError):
                    folder = f"/proc/{pid}"
                    running += len(os.listdir(f"{folder}/task")) if os.stat(folder).st_uid == user else 0
        limits = {**self.limits, "processes_before": running if sys.platform.startswith("linux") else 4000}
        with open(self.root / "inbox" / "job.json", "w", encoding="utf-8") as file:
            json.dump({**self._job, "limits": limits, "user": self._user, "confine": dict(self.level.confine)}, file)
        os.chmod(file.name, 0o644)

    def _hand_over(self):
        """Gives the sandbox's folders to its user: some to read, some to write."""
        for name in ("", "outbox", "home", "tmp", "work"):
            os.chown(self.root / name, self._user, self._user)
        for place in ("inbox", "kit"):
            os.chmod(self.root / place, 0o755)
            for folder, folders, files in os.walk(self.root / place):
                for name in folders:
                    os.chmod(os.path.join(folder, name), 0o755)
                for name in files:
                    os.chmod(os.path.join(folder, name), 0o644)

    def _environment(self):
        inside = self.level.inside(self.root)
        threads = str(int(self.limits["threads"]))
        home = str(inside / "home")
        return {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin")),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "HOME": home,
            "KERAS_HOME": f"{home}/.keras",
            "KERAS_BACKEND": "tensorflow",
            "TMPDIR": str(inside / "tmp"),
            "MPLCONFIGDIR": f"{home}/matplotlib",
            "MPLBACKEND": "Agg",
            "QT_QPA_PLATFORM": "offscreen",
            "EXPRESSIONS_CACHE": f"{home}/expressions",
            "EXPRESSIONS_SANDBOX": self._mark,
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "TF_NUM_INTRAOP_THREADS": threads,
            "TF_NUM_INTEROP_THREADS": threads,
        }

    def _start(self):
        # Orphans of the sandbox then become ours, not those of init, should the server be killed.
        processes.process_control(processes.PR_SET_CHILD_SUBREAPER, 1)
        self._control, theirs = socket.socketpair()
        inside = self.level.inside(self.root)
        # -s and -P: no site packages of the user's, no folder of the script's on the path.
        arguments = [sys.executable, "-s", "-P", str(inside / "kit" / "grader" / "worker" / "start.py")]
        arguments += [self.module, str(inside), str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                self.level.command(arguments, self.root, self.limits),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment(),
                cwd=self.root / "work",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        keep = int(self.limits["output_kilobytes"] * 1024)
        self._stdout = _Drain(self._process.stdout, keep)
        self._stderr = _Drain(self._process.stderr, keep)
        self._buffer = b""
        began = time.monotonic()
        answer = self._read_line(began + self.limits["start_seconds"])
        if answer is None or "ready" not in answer:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.2)
            code, took = self._process.poll(), time.monotonic() - began
            end = f"ended with exit code {code}" if code is not None else "did not become ready"
            raise WorkerFault(
                f"{self.module} {end} within {took:.0f} s under {self.level.name}. "
                f"Its last words: {self._stderr.text()[-1500:].strip() or 'none'}"
            )
        self.versions, self.confined = answer["ready"], answer.get("confined", {})
        self.start_seconds = round(time.monotonic() - self._began, 3)
        table = processes.process_table()
        self._own = set(processes.descendants(self._process.pid, table)) | {self._process.pid}
        self.start_cpu_seconds = sum(table[pid].cpu_seconds for pid in self._own if pid in table)

    def _read_line(self, until):
        """Returns the server's next message, or None when it is dead or late."""
        while b"\n" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._control], [], [], left)[0]:
                return None
            try:
                chunk = self._control.recv(65536)
            except OSError:
                chunk = b""
            if not chunk or len(self._buffer) > 2**20:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            answer = json.loads(line)
        except ValueError:
            return None
        return answer if isinstance(answer, dict) else None

    def _send(self, message):
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n")

    @property
    def alive(self):
        """Whether the fork server can take another probe."""
        return self._process is not None and self._process.poll() is None

    def run(self, probe_id, seconds, extra_seconds=0.0):
        """Runs one probe and waits for its end, watching it.

        Args:
            probe_id: str, a key of `schema.PROBES`.
            seconds: float, its time limit.
            extra_seconds: float, for what is not the function's own, such as importing the script again.

        Returns:
            (dict, dict, dict): the probe's `{"status", "message", "facts", "seconds"}`, its arrays by name, its usage.
        """
        name = secrets.token_hex(8)
        outbox = self.root / "outbox"
        (outbox / name).mkdir()
        if self._user is not None:
            os.chown(outbox / name, self._user, self._user)
        self._stdout.clear()
        self._stderr.clear()
        warm_cpu_seconds = self._warm(probe_id)
        began = time.monotonic()
        self._send({"run": probe_id, "into": name})
        ended, reason = self._wait(began, seconds + extra_seconds)
        took = round(time.monotonic() - began, 4)
        if ended is None:
            self.kill()
        label = _label(probe_id)
        arrays = {}
        if reason is not None:
            status, message = reason, self._why_stopped(reason, probe_id, seconds)
            facts = {}
        elif ended is None:
            status, facts = "died", {}
            message = f"Python and all it had started ended {label}; no result came back."
        else:
            status, message, facts, arrays = self._read_result(outbox / name, probe_id, ended)
        if printed := self._stdout.text().strip()[-schema.MAX_TEXT :]:
            facts["printed"] = printed
        self._tidy()
        usage = {key: (ended or {}).get(key) for key in ("cpu_seconds", "memory_mb", "left_behind")}
        if warm_cpu_seconds:
            usage["cpu_seconds"] = round((usage["cpu_seconds"] or 0.0) + warm_cpu_seconds, 4)
        return {"status": status, "message": message, "facts": facts, "seconds": took}, arrays, usage

    def _tidy(self):
        """Empties the folders that a probe may write to, of what the server inside had no right to remove, too."""
        for name in ("outbox", "home", "tmp", "work"):
            folder = self.root / name
            with contextlib.suppress(OSError):
                os.chmod(folder, 0o700)
            for entry in folder.iterdir():
                _remove(entry)

    def _warm(self, probe_id):
        """Lets the server import what a probe needs and no earlier one needed; that is not the probe's own time.

        Returns:
            float, CPU seconds.

        Raises:
            WorkerFault: the server died of it, or was not done in time.
        """
        self._send({"warm": probe_id})
        answer = self._read_line(time.monotonic() + self.limits["start_seconds"])
        seconds = (answer or {}).get("warm")
        if not isinstance(seconds, (int, float)):
            self.kill()
            raise WorkerFault(
                f"{self.module} could not import what {probe_id} needs, under {self.level.name}. "
                f"Its last words: {self._stderr.text()[-1500:].strip() or 'none'}"
            )
        return seconds

    def _read_result(self, folder, probe_id, ended):
        label = _label(probe_id)
        if ended.get("exit") == 0 or (folder / "result.json").is_file():
            try:
                return read_result(folder, schema.PROBES[probe_id], self.limits["result_megabytes"])
            except FileNotFoundError:
                pass
            except UnreadableResult as error:
                return "bad_result", f"What came back {label} could not be read: {error}", {}, {}
        if ended.get("signal"):
            try:
                name = signal.Signals(ended["signal"]).name
            except ValueError:
                name = str(ended["signal"])
            return "died", f"Python crashed {label} with signal {name}; no result came back.", {}, {}
        return "died", f"Python was ended {label} with exit code {ended.get('exit')}; no result came back.", {}, {}

    def _why_stopped(self, reason, probe_id, seconds):
        label = _label(probe_id)
        if reason == "timeout":
            hint = ". Importing a script must not train, download or open a window: that belongs under main()"
            return f"Not finished after {seconds:g} s {label}{hint if probe_id.endswith('.import') else ''}."
        if reason == "memory":
            return f"More than {self.limits['memory_gigabytes']:g} GB of memory were in use {label}."
        if reason == "processes":
            return f"More than {self.limits['processes']:g} processes were running {label}."
        return f"More than {self.limits['disk_megabytes']:,.0f} MB of files, or endless folders, were written {label}."

    def _wait(self, began, seconds):
        """Waits for the server's answer.

        Returns:
            (dict or None, str or None): the answer, None if the server died; the reason if we had to end the probe.
        """
        pause, reason, next_disk = 0.01, None, began + 1.0
        while True:
            answer = self._read_line(time.monotonic() + pause)
            if answer is not None:
                return answer, reason
            if not self.alive or _closed(self._control):
                return None, reason
            pause = min(pause * 1.5, 0.15)
            now = time.monotonic()
            if reason is None:
                check_disk = now >= next_disk
                next_disk = now + 1.0 if check_disk else next_disk
                reason = self._excess(now - began, seconds, check_disk)
                if reason is not None:
                    self._send({"stop": True})
                    give_up = now + 10.0
            elif now > give_up or self._is_stopped():
                return None, reason

    def _is_stopped(self):
        """Says whether the server cannot answer because the probe sent it to sleep."""
        table = processes.process_table()
        return any(table[pid].state == "T" for pid in self._own if pid in table)

    def _excess(self, elapsed, seconds, check_disk):
        table = processes.process_table()
        pids = [pid for pid in processes.descendants(self._process.pid, table) if pid not in self._own]
        self._seen.update({pid: table[pid].started for pid in pids})
        memory = self.limits["memory_gigabytes"] * 2**30
        if processes.memory_of([*pids, *self._own], table, memory) > memory:
            return "memory"
        if sum(table[pid].state != "Z" for pid in pids) > self.limits["processes"]:
            return "processes"
        if (
            check_disk
            and _bytes_in(self.root, ("outbox", "home", "tmp", "work")) > self.limits["disk_megabytes"] * 2**20
        ):
            return "disk"
        if elapsed > seconds and self._overdue(elapsed, seconds, sum(table[pid].cpu_seconds for pid in pids)):
            return "timeout"
        return None

    @staticmethod
    def _overdue(elapsed, seconds, cpu_seconds):
        """A busy machine must not fail a student: what got less than half a core is given twice the time."""
        return elapsed > 2 * seconds or cpu_seconds >= seconds / 2

    def kill(self):
        """Kills everything the sandbox ever started."""
        if self._process is None:
            return

        def find():
            self._process.poll()
            table = processes.process_table()
            found = set(processes.descendants(self._process.pid, table))
            found |= {pid for pid, started in self._seen.items() if pid in table and table[pid].started == started}
            found |= {pid for pid, process in table.items() if process.session == self._process.pid}
            found |= {pid for pid in table if _has_mark(pid, self._mark) or _user_of(pid) == self._user}
            if self._process.returncode is None:
                found.add(self._process.pid)
            found = [pid for pid in found if pid != os.getpid() and pid in table]
            self._seen.update({pid: table[pid].started for pid in found})
            return [pid for pid in found if table[pid].state != "Z"]

        processes.kill_all(find, after=self._collect_orphans)

    def _collect_orphans(self, patience=0.0):
        """Waits for orphans that became ours; only for those that we know, others have their own parents here.

        Args:
            patience: float, seconds to wait for those that are still on their way out.
        """
        until = time.monotonic() + patience
        # Popen waits for the first process itself.
        waiting = {pid for pid in (*self._seen, *self._own) if pid != self._process.pid}
        while waiting:
            for pid in list(waiting):
                try:
                    ended = os.waitpid(pid, os.WNOHANG)[0]
                except OSError:
                    ended = pid  # not ours: gone, or its own parent waits for it
                if ended:
                    waiting.discard(pid)
            if time.monotonic() >= until:
                return
            time.sleep(0.002)

    def close(self):
        """Ends the server and removes its folders."""
        if self._control is not None:
            self._control.close()
        try:
            self.kill()
        finally:
            if self._process is not None:
                self._process.wait()
                self._collect_orphans(patience=0.5)
                for drain, pipe in ((self._stdout, self._process.stdout), (self._stderr, self._process.stderr)):
                    drain._thread.join(5)
                    pipe.close()
            _remove(self.root)


@functools.cache
def _compile(name):
    """Compiles a folder of the kit once: inside nothing can be kept, so every probe would compile what it imports."""
    with contextlib.suppress(OSError):
        compileall.compile_dir(ROOT / name, quiet=2, maxlevels=0)


def _label(probe_id):
    probe = schema.PROBES[probe_id]
    if probe.function:
        return f"inside {probe.function} ({probe.script}.py)"
    if probe.script:
        return f"while importing {probe.script}.py"
    return f"while predicting with {probe_id}"


def _closed(control):
    if not select.select([control], [], [], 0)[0]:
        return False
    try:
        return control.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


def _has_mark(pid, mark):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"EXPRESSIONS_SANDBOX={mark}".encode() in file.read()
    except OSError:
        return False


def _user_of(pid):
    """Returns a process' user id; -1 where it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _bytes_in(root, names):
    """Adds up the files in some folders; infinite if folders are nested beyond what a path can name."""
    total, queue = 0, [str(root / name) for name in names]
    while queue:
        try:
            with os.scandir(queue.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            queue.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return math.inf
    return total


def _remove(path):
    """Removes a file or folder that a script made: without rights, or nested deeper than Python can recurse.

    What lies deeper is moved up before it is looked into, so no path grows long.
    """
    path = str(path)
    if os.path.islink(path) or not os.path.isdir(path):
        with contextlib.suppress(OSError):
            os.unlink(path)
        return
    waiting, number = [path], 0
    while waiting:
        folder, inner = waiting.pop(), []
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
            with os.scandir(folder) as entries:
                inner = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for each, is_folder in inner:
            with contextlib.suppress(OSError):
                if not is_folder:
                    os.unlink(each)
                    continue
                if folder != path:
                    os.chmod(each, 0o700)
                    number += 1
                    moved = os.path.join(path, f".{number}-{secrets.token_hex(4)}")
                    os.rename(each, moved)
                    each = moved
                waiting.append(each)
        if folder != path:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    with contextlib.suppress(OSError):
        os.rmdir(path)


# What comes back ---------------------------------------------------------------------------------------------------


_TERMINAL_CODES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\^_])")


def clean_text(text, max_length=schema.MAX_TEXT):
    """Takes terminal codes and control characters out of a text and cuts it; line breaks and tabs stay."""
    text = _TERMINAL_CODES.sub("", text[: 4 * max_length])
    text = "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def clean_json(value, depth=schema.MAX_FACTS_DEPTH, budget=None):
    """Checks and cleans a value that came from a worker.

    Args:
        value: what `json.loads` gave.
        depth: int, levels of nesting that are still allowed.
        budget: list of one int, items that are still allowed.

    Returns:
        the value, its texts cut and without control characters.

    Raises:
        UnreadableResult: too deep, too long, or a number that is not finite.
    """
    budget = [schema.MAX_FACTS_ITEMS] if budget is None else budget
    budget[0] -= 1
    if depth < 0 or budget[0] < 0:
        raise UnreadableResult("its facts are nested too deeply or too many")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise UnreadableResult("its facts hold a whole number of more than 64 bits")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnreadableResult("its facts hold a number that is not finite")
        return value
    if isinstance(value, list):
        return [clean_json(item, depth - 1, budget) for item in value]
    return {clean_text(key, 200): clean_json(item, depth - 1, budget) for key, item in value.items()}


def read_result(folder, probe, result_mb):
    """Reads what one probe left in its outbox, trusting none of it.

    Args:
        folder: Path of the probe's own outbox.
        probe: schema.Probe, what may be there.
        result_mb: float, the most that all arrays together may hold.

    Returns:
        (str, str, dict, dict): status, message, facts, arrays by name.

    Raises:
        FileNotFoundError: there is no result.json.
        UnreadableResult: something is not as declared.
    """
    try:
        text = _read_file(folder, "result.json", schema.MAX_FACTS_BYTES)
        result = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise UnreadableResult("its facts are nested too deeply or too many") from None
    except FileNotFoundError:
        raise
    except UnreadableResult:
        raise
    except ValueError as error:
        raise UnreadableResult(f"result.json is no JSON ({type(error).__name__})") from None
    if not isinstance(result, dict) or set(result) != {"status", "message", "facts", "arrays"}:
        raise UnreadableResult("result.json has other keys than status, message, facts, arrays")
    status, message, facts, names = (result[key] for key in ("status", "message", "facts", "arrays"))
    if status not in schema.STATUSES or not isinstance(message, str) or not isinstance(facts, dict):
        raise UnreadableResult("result.json has a status, message or facts of another form")
    known = probe.facts + probe.any_facts
    if unknown := sorted(set(facts) - set(known)):
        raise UnreadableResult(f"result.json has facts that nobody asked for: {clean_text(', '.join(unknown), 80)}")
    if not isinstance(names, list) or not all(name in probe.arrays for name in names):
        raise UnreadableResult("result.json names arrays that nobody asked for")
    room, arrays = int(result_mb * 2**20), {}
    for name in names:
        arrays[name] = _read_array(folder, f"{name}.npy", min(room, int(probe.max_mb * 2**20)))
        room -= arrays[name].nbytes
    if status == "ok" and set(arrays) != set(probe.arrays) and probe.function:
        raise UnreadableResult("an array is missing")
    return status, clean_text(message), clean_json(facts), arrays


def _refuse_constant(name):
    raise UnreadableResult(f"its facts hold {name}")


def _read_file(folder, name, max_bytes):
    """Reads a regular file without following links, without waiting for a pipe, and not beyond a size."""
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise UnreadableResult(f"its folder is gone ({error.strerror})") from None
    try:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UnreadableResult(f"{name} is not a plain file ({error.strerror})") from None
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UnreadableResult(f"{name} is not a plain file")
            data = file.read(max_bytes + 1)
    finally:
        os.close(directory)
    if len(data) > max_bytes:
        raise UnreadableResult(f"{name} is larger than {max_bytes / 2**20:,.1f} MB")
    return data


def _read_array(folder, name, max_bytes):
    try:
        data = _read_file(folder, name, max_bytes + 4096)
    except FileNotFoundError:
        raise UnreadableResult(f"{name} is missing") from None
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise UnreadableResult(f"{name} has version {version} of the npy format")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=4096)
    except UnreadableResult:
        raise
    except Exception as error:
        raise UnreadableResult(f"{name} is no npy file ({type(error).__name__})") from None
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or fortran_order or len(shape) > 8:
        raise UnreadableResult(f"{name} holds {dtype} of {len(shape)} axes, not plain numbers")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise UnreadableResult(f"{name} is shorter or longer than its header says")
    return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape).copy()


# Many probes -------------------------------------------------------------------------------------------------------


def run_worker(module, job=None, inbox=None, limits=None, probes=(), files=None, level=None, progress=None, needs=None):
    """Runs probes, each once, starting another fork server whenever one dies.

    Args:
        module: str, such as `"grader.worker.code"`.
        job: dict of JSON values for the worker.
        inbox: dict from name to array.
        limits: dict as `limits_from` gives it.
        probes: list of probe ids, in order.
        files: dict from a path inside the inbox to the Path of a file or folder.
        level: str, an isolation level; by default the strongest that holds here.
        progress: function of (probe id, probe dict), called after each, or None.
        needs: dict from probe id to the id of the probe it needs; where that one was not ok, its status and message
            are taken over and nothing runs.

    Returns:
        WorkerResult.
    """
    limits = limits_from() if limits is None else limits
    began = time.monotonic()
    result = WorkerResult(level=level or probe_isolation()["level"])
    waiting, needs, worker = list(probes), needs or {}, None
    try:
        while waiting:
            probe_id = waiting[0]
            before = result.probes.get(needs.get(probe_id))
            if before is not None and before["status"] != "ok":
                answer = {**before, "facts": {"needs": needs[probe_id]}, "seconds": 0.0}
                arrays, usage = {}, {}
            else:
                if worker is not None and not worker.alive:
                    worker.close()
                    worker = None
                if worker is None:
                    worker = _start_worker(module, job, inbox, files, limits, result.level)
                    result.num_starts += 1
                    result.versions = result.versions or _plain_versions(worker.versions)
                    result.cpu_seconds += worker.start_cpu_seconds
                # An import inside a probe takes as long as it took alone.
                extra = before["seconds"] if before is not None else 0.0
                answer, arrays, usage = worker.run(probe_id, limits[schema.PROBES[probe_id].limit], extra)
                result.cpu_seconds += usage.get("cpu_seconds") or 0.0
            waiting.pop(0)
            if answer["status"] in ("processes", "disk"):
                answer["status"] = "died"
            result.probes[probe_id] = answer
            result.usage[probe_id] = usage
            result.arrays.update({f"{probe_id}.{name}": array for name, array in arrays.items()})
            if progress is not None:
                progress(probe_id, answer)
    except WorkerFault as error:
        result.fault = str(error)
    finally:
        if worker is not None:
            worker.close()
    result.cpu_seconds = round(result.cpu_seconds, 2)
    result.wall_seconds = round(time.monotonic() - began, 2)
    return result


def _start_worker(module, job, inbox, files, limits, level):
    """Starts a worker; a second attempt follows a first failure, for machines short of memory for a moment."""
    try:
        return Worker(module, job, inbox, files, limits, level).__enter__()
    except (WorkerFault, OSError):
        time.sleep(1)
    try:
        return Worker(module, job, inbox, files, limits, level).__enter__()
    except OSError as error:
        raise WorkerFault(str(error)) from error


def _plain_versions(versions):
    if not isinstance(versions, dict):
        return {}
    return {clean_text(str(key), 40): clean_text(str(value), 40) for key, value in list(versions.items())[:16]}
