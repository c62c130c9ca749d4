"""Tries what a hostile script would try, and reports what came of it: the live proof of an isolation level."""

import os
import resource
import signal
import socket

from grader.worker import results


def prepare(box):
    """Needs nothing."""
    return {}


def run(probe_id, box):
    """Makes six attempts; each is "allowed" if it did harm, else "blocked"."""
    job = box.job
    facts = {
        "uid": os.getuid(),
        "read_file": _attempt(_read_file, job["decoy_file"], job["decoy_text"]),
        "network": _attempt(_connect, job["port"]),
        "processes": _attempt(_fork_beyond_limit),
        "big_file": _attempt(_write, box, job["limits"]["file_megabytes"]),
        "environment": _attempt(_environment, job["decoy_name"], job["grader_pid"]),
        # Last, for the decoy is also the process whose environment was asked for.
        "signal": _attempt(_kill, job["decoy_pid"]),
    }
    results.write_result(box.outbox, "ok", "", facts)


def _attempt(function, *arguments):
    try:
        return "allowed" if function(*arguments) else "blocked"
    except (OSError, ValueError):
        return "blocked"


def _read_file(path, text):
    with open(path) as file:
        return text in file.read()


def _connect(port):
    with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
        return link.recv(5) == b"hello"


def _kill(pid):
    os.kill(pid, signal.SIGKILL)
    return True


def _fork_beyond_limit():
    """Tries whether the kernel heeds a limit on processes at all: it does not for root."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            if os.fork() == 0:
                os._exit(0)
            code = 0
        except OSError:
            code = 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _write(box, limit_mb):
    path = box.root / "tmp" / "big"
    with open(path, "wb") as file:
        # A sparse file is long enough: the limit is on length.
        file.seek((limit_mb + 1) * 2**20)
        file.write(b"x")
        file.flush()
    return path.stat().st_size > limit_mb * 2**20


def _environment(name, grader_pid):
    if name in os.environ:
        return True
    for pid in (grader_pid, os.getppid(), 1):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if name.encode() in file.read():
                    return True
        except OSError:
            continue
    return False
