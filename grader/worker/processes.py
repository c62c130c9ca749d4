"""Reads and kills trees of processes, with the standard library alone.

Both sides use it: the grader watches a sandbox from outside, the fork server inside ends what a probe left behind.
"""

import os
import signal
import subprocess
import sys
import time
from collections import namedtuple

Process = namedtuple("Process", "parent session resident cpu_seconds started state")

_LINUX = sys.platform.startswith("linux")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36


def process_table():
    """Lists the processes of this machine, or of this PID namespace.

    Returns:
        dict from process id to `Process(parent, session, resident, cpu_seconds, started, state)`; `resident` in
        bytes, `cpu_seconds` includes children that were waited for.
    """
    return _table_of_proc() if _LINUX else _table_of_ps()


def _table_of_proc():
    table = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                text = file.read()
        except OSError:
            continue  # it ended between the two calls
        # The second field is the command in brackets and may itself hold spaces and brackets.
        fields = text[text.rindex(b")") + 2 :].split()
        seconds = sum(map(int, fields[11:15])) / _TICKS
        table[int(name)] = Process(
            int(fields[1]), int(fields[3]), int(fields[21]) * _PAGE, seconds, int(fields[19]), fields[0].decode()
        )
    return table


def _table_of_ps():
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,sess=,rss=,time=,stat="], capture_output=True, text=True, check=False
    ).stdout
    table = {}
    for line in listing.splitlines():
        pid, parent, _, resident, cpu_time, state = line.split(None, 5)
        seconds = 0.0
        for part in cpu_time.replace("-", ":").split(":"):
            seconds = seconds * 60 + float(part)
        # macOS prints the session as an address; the tree alone is used there.
        table[int(pid)] = Process(int(parent), 0, int(resident) * 1024, seconds, 0, state[0])
    return table


def descendants(root, table=None):
    """Finds everything that descends from a process.

    Args:
        root: int, process id; it is not part of the answer.
        table: dict as `process_table` gives it; read now by default.

    Returns:
        list of int, parents before their children.
    """
    table = process_table() if table is None else table
    children = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    found, queue = [], [root]
    while queue:
        for pid in children.get(queue.pop(0), ()):
            if pid != root:
                found.append(pid)
                queue.append(pid)
    return found


def memory_of(pids, table, enough):
    """Adds up the memory of some processes.

    Forked processes share most of their pages, so resident sizes count the same page many times. They are added
    first because they cost nothing; only where they exceed `enough` does the kernel work out proportional shares
    (8 ms for a process with TensorFlow in it).

    Args:
        pids: list of int.
        table: dict as `process_table` gives it.
        enough: int, bytes below which the sum of resident sizes is answer enough.

    Returns:
        int, bytes.
    """
    resident = sum(table[pid].resident for pid in pids if pid in table)
    if resident <= enough or not _LINUX:
        return resident
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue  # it ended between the two looks
        except OSError:
            total += table[pid].resident if pid in table else 0
    return total


def kill_all(find, patience=10.0, after=None):
    """Kills processes until none is left.

    They are stopped before they are killed: a fork bomb that is killed one by one outruns the killer.

    Args:
        find: function without arguments that returns the ids of processes to end.
        patience: float, seconds.
        after: function without arguments, called after each round; a parent reaps its children in it.

    Returns:
        int, how many were found in all; a process seen twice counts once.

    Raises:
        TimeoutError: something was still there after `patience` seconds.
    """
    seen = set()
    until = time.monotonic() + patience
    while pids := find():
        seen.update(pids)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except (ProcessLookupError, PermissionError):
                    pass
        if after is not None:
            after()
        if time.monotonic() > until:
            raise TimeoutError(f"{len(pids)} processes of a sandbox survived SIGKILL for {patience:.0f} s")
        time.sleep(0.005)
    return len(seen)


def kill_descendants(root=None, after=None):
    """Kills everything that descends from a process, by default from this one; zombies do not count.

    Returns:
        int, how many there were.
    """
    root = os.getpid() if root is None else root

    def alive():
        table = process_table()
        return [pid for pid in descendants(root, table) if table[pid].state != "Z"]

    return kill_all(alive, after=after)


def reap():
    """Collects the exit status of every child that ended; for a process that owns all of its children."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def process_control(option, value):
    """Calls prctl(2) where there is one: orphans come to us, or nobody may read our memory.

    Returns:
        bool, whether the kernel accepted it.
    """
    if not _LINUX:
        return False
    import ctypes

    return ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0
