"""What this machine has: versions, how well it can hold student code, and which data is in place."""

import importlib.metadata
import platform

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

    from grader.sandbox import probe_isolation

    isolation = probe_isolation()
    lines.append(f"\nisolation   {isolation['level']}")
    lines += [f"  {name:12}{outcome}" for name, outcome in isolation["canary"].items() if name != "uid"]
    for level, tried in isolation["tried"].items():
        if tried["missing"]:
            lines.append(f"  not {level}: {tried['missing']}")

    places = {"FER-2013": FER2013_CSV, "faces": FACES[0], "photos": PHOTOS / "train"}
    lines.append("")
    for name, place in places.items():
        found = place.is_file() or (place.is_dir() and any(not p.name.startswith(".") for p in place.iterdir()))
        lines.append(f"{name:11} {'found' if found else 'absent, so the synthetic class is used'}")
    return "\n".join(lines)
