"""First thing that runs in a sandbox: sets the limits, then serves one worker module.

    python -s -P start.py MODULE ROOT CONTROL_FD            a fork server
    python -s -P start.py MODULE ROOT - PROBE INTO          one probe, where forking is not safe

`ROOT` holds `kit/` (this package and the given code, nothing else of ours), `inbox/` (job.json and arrays),
`outbox/`, and the places a script may write to: `home/`, `tmp/`, `work/`.
"""

import json
import os
import sys
from pathlib import Path


def set_limits(limits):
    """Sets the resource limits that every process of the sandbox inherits.

    Args:
        limits: dict, as `grader.sandbox.DEFAULT_LIMITS`.
    """
    try:
        import resource
    except ImportError:
        return  # not a Unix: the watch from outside remains

    def lower(name, value):
        number = getattr(resource, name, None)
        if number is None:
            return
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value))

    lower("RLIMIT_CORE", 0)
    lower("RLIMIT_FSIZE", int(limits["file_megabytes"] * 2**20))
    lower("RLIMIT_NOFILE", int(limits["open_files"]))
    # The kernel counts every process and thread of this user, so the room is on top of those that run already.
    lower("RLIMIT_NPROC", int(limits["processes_before"] + limits["processes"] + 128))
    # Address space is a net below the watch on real memory: TensorFlow reserves 2.2 GB and uses 0.5.
    if sys.platform.startswith("linux"):
        lower("RLIMIT_AS", int((limits["memory_gigabytes"] + limits["reserved_gigabytes"]) * 2**30))


def drop_root(user, root):
    """Becomes an unprivileged user where the grader runs as root, as in a container.

    The kernel lets root start any number of processes; a fork bomb then takes the whole machine along. Where Python
    itself lies in a folder that only root may enter, the right to read files is kept and every other is given up.

    Args:
        user: int, a user id that nobody has, or None to stay who we are.
        root: Path of the sandbox's folders.
    """
    if user is None or os.geteuid() != 0:
        return
    os.setgroups([])
    readable = _can_read_as(user, (sys.prefix, sys.base_prefix, os.__file__, str(root / "kit")))
    if not readable:
        _libc().prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if not readable:
        _keep_only_reading()


def _can_read_as(user, paths):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            code = 0 if all(os.access(path, os.R_OK) for path in paths) else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _libc():
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _keep_only_reading():
    """Reduces our rights to CAP_DAC_READ_SEARCH (2), see capset(2)."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(1 << 2, 1 << 2, 1 << 2, 0, 0, 0)
    # Raised as ambient too (47, 2), it survives the start of another Python.
    if _libc().capset(header, data) != 0 or _libc().prctl(47, 2, 2, 0, 0) != 0:
        raise PermissionError(
            "Python lies in a folder that only root may enter, and the right to read it cannot be kept"
        )


def main():
    """Reads the command line and serves until the grader closes the other end."""
    module, root, control = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    # Only the kit's copy, never the submission: a student's random.py must not become ours.
    sys.path.insert(0, str(root / "kit"))
    with open(root / "inbox" / "job.json", encoding="utf-8") as file:
        job = json.load(file)
    drop_root(job["user"], root)
    set_limits(job["limits"])
    from grader.worker import confine, server

    wanted = job.get("confine") or {}
    job["confined"] = confine.confine_server(root, wanted, wanted.get("newest_abi", confine.NEWEST_ABI))

    if control == "-":
        server.run_one_probe(module, root, job, sys.argv[4], sys.argv[5])
    else:
        server.serve(module, root, job, int(control))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
