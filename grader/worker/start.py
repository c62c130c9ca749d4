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
    # The kernel counts every process of this user, so the room is on top of those that run already. As root the
    # kernel does not count at all: the watch from outside does.
    lower("RLIMIT_NPROC", int(limits["processes_before"] + limits["processes"] + 128))
    # Address space is a net below the watch on real memory: TensorFlow reserves 2.2 GB and uses 0.5.
    if sys.platform.startswith("linux"):
        lower("RLIMIT_AS", int((limits["memory_gigabytes"] + limits["reserved_gigabytes"]) * 2**30))


def main():
    """Reads the command line and serves until the grader closes the other end."""
    module, root, control = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    # Only the kit's copy, never the submission: a student's random.py must not become ours.
    sys.path.insert(0, str(root / "kit"))
    with open(root / "inbox" / "job.json", encoding="utf-8") as file:
        job = json.load(file)
    set_limits(job["limits"])
    from grader.worker import server

    if control == "-":
        server.run_one_probe(module, root, job, sys.argv[4], sys.argv[5])
    else:
        server.serve(module, root, job, int(control))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
