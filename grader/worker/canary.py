"""Tries what a hostile script would try, and reports what came of it: the live proof of an isolation level."""

import ctypes
import errno
import os
import resource
import signal
import socket
import sys

from grader.worker import results
from grader.worker.schema import DOORS

# How a door looks that is shut: not allowed, not there, nobody home, too long, no room for another process. Any other
# error means that the attempt itself went wrong and proved nothing.
_SHUT = {
    getattr(errno, name)
    for name in (
        *("EPERM", "EACCES", "ENOENT", "ESRCH", "ENOTDIR", "EROFS", "ENOSYS", "EFBIG", "EAGAIN"),
        *("ECONNREFUSED", "ENETUNREACH", "ENETDOWN", "EHOSTUNREACH", "EADDRNOTAVAIL"),
    )
}
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17


def prepare(box):
    """Needs nothing."""
    return {}


def run(probe_id, box):
    """Tries every door; each is "allowed" if it did harm, "blocked" if it was refused, else "unknown"."""
    facts = {"uid": os.getuid(), **try_doors(box.job, box.root / "tmp")}
    results.write_result(box.outbox, "ok", "", facts)


def try_doors(job, scratch):
    """Tries every door.

    Args:
        job: dict: `decoy_file`, `decoy_folder`, `decoy_text`, `decoy_pid`, `decoy_name`, `grader_pid`, `port`,
            `abstract_name`, `rubric`, `limits`.
        scratch: Path of a folder that may be written to.

    Returns:
        dict from each name of `DOORS` to `"allowed"`, `"blocked"` or `"unknown"`.
    """
    attempts = {
        "read_file": (_read_file, job["decoy_file"], job["decoy_text"]),
        "other_student": (_list_folder, job["decoy_folder"]),
        "rubric": (_read_file, job["rubric"], ""),
        "network": (_connect, job["port"]),
        "abstract_socket": (_connect_abstract, job["abstract_name"]),
        "processes": (_fork_beyond_limit,),
        "process_list": (_see, job["decoy_pid"], job["decoy_text"]),
        "environment": (_environment, job["decoy_name"], job["grader_pid"]),
        "memory": (_attach, job["decoy_pid"]),
        "big_file": (_write, scratch, job["limits"]["file_megabytes"]),
        # Last, for the decoy is also the process whose environment and memory were asked for.
        "signal": (_kill, job["decoy_pid"]),
    }
    return {name: _attempt(*attempts[name]) for name in DOORS}


def _attempt(function, *arguments):
    try:
        return "allowed" if function(*arguments) else "blocked"
    except OSError as error:
        return "blocked" if error.errno in _SHUT else "unknown"
    except Exception:
        return "unknown"


def _read_file(path, text):
    with open(path) as file:
        return text in file.read()


def _list_folder(path):
    """Another student's folder, with its files open to whoever reaches it."""
    return any(_read_file(os.path.join(path, name), "") for name in os.listdir(path))


def _connect(port):
    with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
        return link.recv(5) == b"hello"


def _connect_abstract(name):
    if not sys.platform.startswith("linux"):
        raise PermissionError(errno.EPERM, "only Linux has abstract sockets")
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(2)
        link.connect(f"\0{name}")
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
        except BlockingIOError:
            code = 2
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 1:
        raise RuntimeError("the attempt to fork failed otherwise than by the limit")
    return code == 0


def _see(pid, text):
    """Reads what a process was started with: the names of the grader's files stand there."""
    if not sys.platform.startswith("linux"):
        os.kill(pid, 0)
        return True
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return text.encode() in file.read()


def _environment(name, grader_pid):
    if name in os.environ:
        return True
    refused = None
    for pid in (grader_pid, os.getppid(), 1):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if name.encode() in file.read():
                    return True
        except OSError as error:
            refused = error
    if refused is not None:
        raise refused
    return False


def _attach(pid):
    """Attaches to a process as a debugger does, or reads its memory: whichever of the two works."""
    if not sys.platform.startswith("linux"):
        raise NotImplementedError("ptrace is another thing here")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(_PTRACE_ATTACH, pid, None, None) == 0:
        os.waitpid(pid, 0x40000000)  # __WALL
        libc.ptrace(_PTRACE_DETACH, pid, None, None)
        return True
    refusal = ctypes.get_errno()
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return True
    except OSError as error:
        if error.errno not in _SHUT:
            raise
    raise OSError(refusal, os.strerror(refusal))


def _write(scratch, limit_mb):
    path = scratch / "big"
    with open(path, "wb") as file:
        # A sparse file is long enough: the limit is on length.
        file.seek((limit_mb + 1) * 2**20)
        file.write(b"x")
        file.flush()
    return path.stat().st_size > limit_mb * 2**20
