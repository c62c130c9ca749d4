"""`manifest.json` beside the files of the synthetic class: what each was made from, and what it holds."""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import uuid
from pathlib import Path

import numpy as np
import PIL

NAME = "manifest.json"


def read_manifest(folder):
    """Returns the manifest of a folder: dict from file name to facts; empty if there is none that can be read."""
    try:
        manifest = json.loads((Path(folder) / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def write_manifest(path, facts):
    """Adds a file's facts to the manifest beside it, in place of what was said of a file of that name before.

    Args:
        path: the file or folder that was written.
        facts: dict that JSON can hold.
    """
    path = Path(path)
    manifest = read_manifest(path.parent) | {path.name: facts}
    temporary = path.parent / f".{uuid.uuid4().hex[:8]}-{NAME}"
    try:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, path.parent / NAME)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def origin(kind, generator, seed, preset, knobs=None):
    """Returns the facts that every file has.

    Args:
        kind: str, as on the command line.
        generator: int, `files.GENERATOR_VERSION`.
        seed: int.
        preset: str or Preset.
        knobs: ImageKnobs, CloudKnobs or None.

    Returns:
        dict: `kind`, `generator`, `seed`, `preset`, `knobs`, `versions`.
    """
    return {
        "kind": kind,
        "generator": generator,
        "seed": seed if np.ndim(seed) == 0 else [int(value) for value in seed],
        "preset": preset if isinstance(preset, str) else None,
        "knobs": dataclasses.asdict(knobs) if knobs is not None else None,
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "pillow": PIL.__version__},
    }


def digest(path):
    """Returns the sha256 of a file as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def label_facts(labels, shown, names):
    """Says how far the labels of images can be trusted.

    Args:
        labels: int array `(n,)`, what the file claims.
        shown: int array `(n,)`, what the faces show.
        names: sequence of class names.

    Returns:
        dict: `counts` by class, `wrong_labels` (how many), `ceiling` (accuracy of a reader who is never wrong about a
        face), and `confusion`: for each label, how many faces show what.
    """
    labels, shown = np.asarray(labels, int), np.asarray(shown, int)
    counts = np.bincount(labels, minlength=len(names))
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (labels, shown), 1)
    wrong = int((labels != shown).sum())
    return {
        "counts": dict(zip(names, counts.tolist(), strict=True)),
        "rows": len(labels),
        "wrong_labels": wrong,
        "ceiling": round(1 - wrong / len(labels), 6),
        "confusion": {name: row.tolist() for name, row in zip(names, confusion, strict=True)},
    }
