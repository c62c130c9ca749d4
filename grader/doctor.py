"""What this machine has: versions, how well it can hold student code, and which data is in place."""

import importlib.metadata
import os
import platform
import sys
import textwrap

from expressions.datasets import FACES, FER2013_CSV, PHOTOS

PACKAGES = (
    *("tensorflow", "tensorflow-cpu", "keras", "h5py", "numpy", "pandas", "pillow", "matplotlib"),
    *("pytest", "PyQt5", "pyqtgraph", "PyOpenGL"),
)

# Below this, Keras can be made to run code or to read files by a model file: CVE-2025-9905, CVE-2026-1669.
SAFE_KERAS = (3, 15, 1)


def examine():
    """Returns the report as text."""
    lines = [f"python      {platform.python_version()} on {platform.system()} {platform.machine()}"]
    for name in PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if not name.startswith("tensorflow"):
                lines.append(f"{name:11} missing: pip install -r requirements.txt")
            continue
        name = name.removesuffix("-cpu")
        note = ""
        if name == "keras" and tuple(int(part) for part in version.split(".")[:3] if part.isdigit()) < SAFE_KERAS:
            note = "  too old for untrusted files: pip install 'keras>=3.15.1'"
        lines.append(f"{name:11} {version}{note}")

    lines += ["", *examine_isolation()]

    places = {"FER-2013": FER2013_CSV, "faces": FACES[0], "photos": PHOTOS / "train"}
    lines.append("")
    for name, place in places.items():
        found = place.is_file() or (place.is_dir() and any(not p.name.startswith(".") for p in place.iterdir()))
        lines.append(f"{name:11} {'found' if found else 'absent, so the synthetic class is used'}")
    return "\n".join(lines)


# What each door would let a student's script do.
DOORS = {
    "read_file": "read files of whoever grades",
    "other_student": "read another student's submission",
    "rubric": "read the rubric with the hidden seed",
    "network": "connect to other programs and machines",
    "abstract_socket": "connect to programs by abstract sockets",
    "processes": "start any number of processes",
    "process_list": "see which programs run, and their arguments",
    "environment": "read the grader's environment variables",
    "memory": "read and change the grader's memory",
    "big_file": "write files of any size",
    "signal": "end the grader's processes",
}


def examine_isolation():
    """Tries every level of isolation with the canary.

    Returns:
        list of str, lines: the level in use, and for each level what the canary found or what to install.
    """
    from grader import sandbox

    found = {level.name: sandbox.probe_level(level.name) for level in sandbox.LEVELS}
    chosen = next((name for name, tried in found.items() if tried["holds"]), "rlimits")
    weak = "" if found[chosen]["holds"] else ": too weak for student code, see below"
    lines = [f"isolation   {chosen}{weak}"]
    for level in sandbox.LEVELS:
        lines += _describe_level(level, found[level.name])
    if weak:
        lines += textwrap.wrap(
            "Student code is refused here unless you accept the risk with --accept-weak-isolation. " + advice(),
            width=110,
            initial_indent="  ",
            subsequent_indent="  ",
        )
    return lines


def _describe_level(level, tried):
    if tried["missing"]:
        return _wrap(f"  {level.name:14}not here: {tried['missing']}")
    confined = tried["confined"]
    inside = [f"Landlock {confined['landlock']}"] if confined.get("landlock") else []
    inside += ["seccomp"] if confined.get("seccomp") else []
    words = "holds" if tried["holds"] else "does not hold"
    parts = f" ({', '.join(inside)})" if inside else ""
    shut = [name for name in DOORS if tried["canary"].get(name) == "blocked"]
    lines = [f"  {level.name:14}{words}{parts}, ready in {tried['start_seconds'] * 1000:.0f} ms"]
    lines += _wrap(f"{'':16}blocked: {', '.join(name.replace('_', ' ') for name in shut)}")
    for word in ("allowed", "unknown"):
        doors = [name for name in DOORS if tried["canary"].get(name, "unknown") == word]
        for name in doors:
            note = " (known of this level)" if name in level.spares else ""
            lines.append(f"{'':16}{word}: {name.replace('_', ' ')}: could {DOORS[name]}{note}")
    lines += _wrap(f"{'':16}leaves open: {level.leaves_open}")
    if level.name == "separate-user" and "allowed" in (tried["canary"].get("rubric"), tried["canary"].get("read_file")):
        lines += _wrap(f"{'':16}{_private_data()}")
    return lines


def _wrap(text):
    indent = " " * 16
    return textwrap.wrap(text, width=118, subsequent_indent=indent) or [text]


def _private_data():
    """Says why another user can read what is private, and what to do."""
    folders = [str(path) for path in (sys.prefix, sys.base_prefix) if not _all_may_enter(path)]
    if folders:
        return (
            f"Python lies in {folders[0]}, which only root may enter, so the other user keeps the right to read "
            "everything. Use a Python that every user may run, such as /usr/bin/python3."
        )
    return "To keep the kit's data private: chmod 711 its folder and chmod 700 grader data in it."


def _all_may_enter(path):
    path = os.path.realpath(path)
    while True:
        try:
            if not os.stat(path).st_mode & 0o001:
                return False
        except OSError:
            return False
        parent = os.path.dirname(path)
        if parent == path:
            return True
        path = parent


def advice(system=None):
    """Says what would isolate student code on this kind of machine.

    Args:
        system: str as `platform.system()` gives it, or None for this machine's.

    Returns:
        str, plain sentences.
    """
    system = system or platform.system()
    if system == "Linux":
        return (
            "Install bubblewrap (sudo apt-get install bubblewrap) or use Linux 5.13 or later, whose Landlock needs "
            "neither root nor packages and works inside Docker. Where Ubuntu 24.04 forbids bubblewrap its namespaces, "
            "Landlock takes over by itself."
        )
    if system == "Darwin":
        return (
            "macOS has neither namespaces nor Landlock: here the grader watches time, memory and processes, but a "
            "script can read your files and use the network. Grade in Docker or a Linux virtual machine, where "
            "Landlock works without further set-up."
        )
    return (
        f"{'Windows' if system == 'Windows' else system} can neither fork nor limit processes, so the grader does not "
        "run student code here. Use WSL 2 or Docker, where Landlock works without further set-up."
    )
