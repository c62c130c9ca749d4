"""The pictures and point clouds that a submission is tested on, and their labels, which no worker ever sees."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expressions.errors import DataError
from grader.durable import Pieces

# The split that counts towards the score and is shown to students, and the one that only the TA sees.
SCORE_SPLIT, STAFF_SPLIT = "PublicTest", "PrivateTest"


@dataclass(frozen=True)
class HiddenData:
    """Test data of one grading run.

    Attributes:
        name: `"fer2013"`, `"synthetic"` or `"demo"`: which thresholds apply.
        description: sentence for reports.
        images: uint8 array `(n, 48, 48, 1)`, first those of `SCORE_SPLIT`, then those of `STAFF_SPLIT`.
        labels: int array `(n,)`.
        num_score_images: int, how many of them count.
        clouds: float32 array `(m, 1220, 3)` of points in metres.
        cloud_labels: int array `(m,)`.
        version: str, changes with every byte of the data.
    """

    name: str
    description: str
    images: np.ndarray
    labels: np.ndarray
    num_score_images: int
    clouds: np.ndarray
    cloud_labels: np.ndarray
    version: str

    def rows(self, split):
        """Returns the slice of images that belong to a split."""
        if split == SCORE_SPLIT:
            return slice(0, self.num_score_images)
        return slice(self.num_score_images, len(self.images))


def load_hidden(rubric, fer2013=None, faces=None, demo=False):
    """Gathers the test data: real where a path is given, else the synthetic class from the rubric's own seeds.

    Args:
        rubric: `grader.rubric.Rubric`.
        fer2013: path of FER-2013's csv, or `None`.
        faces: path of a `faces.py` or npz with clouds that students have not seen, or `None`.
        demo: bool, the small and easy synthetic class of `grader demo`.

    Returns:
        `HiddenData`.

    Raises:
        DataError: a file is missing or cannot be read.
    """
    name = "fer2013" if fer2013 else "demo" if demo else "synthetic"
    preset = "demo" if demo else "default"
    numbers = rubric.hidden[name]
    for path in (fer2013, faces):
        if path and not Path(path).exists():
            raise DataError(f"There is no {path}.", "the path of a file that exists", "check its spelling")

    if fer2013:
        images, labels, num_score_images = _fer2013_images(fer2013)
        sentences = [f"pictures: PublicTest of {Path(fer2013).name}"]
    else:
        images, labels = _made_once("images", numbers, preset, _synthetic_images)
        num_score_images = numbers["num_public_images"]
        sentences = [f"pictures: {num_score_images} of the hidden synthetic class"]

    if faces:
        from expressions.point_clouds import load_point_clouds

        loaded = load_point_clouds(faces)
        clouds, cloud_labels = loaded.points, loaded.labels
        sentences.append(f"point clouds: {Path(faces).name}")
    else:
        clouds, cloud_labels = _made_once("clouds", numbers, preset, _synthetic_clouds)
        sentences.append(f"point clouds: {len(clouds)} of the hidden synthetic class")

    parts = [np.ascontiguousarray(part) for part in (images, labels, clouds, cloud_labels)]
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    return HiddenData(
        name=name,
        description="; ".join(sentences),
        images=images,
        labels=labels,
        num_score_images=num_score_images,
        clouds=clouds,
        cloud_labels=np.asarray(cloud_labels, dtype=int),
        version=digest[:12],
    )


def _fer2013_images(path):
    from expressions.fer2013_arrays import load_fer2013_arrays

    fer = load_fer2013_arrays(path)
    parts = [fer.split(SCORE_SPLIT), fer.split(STAFF_SPLIT)]
    if not len(parts[0][0]):
        raise DataError(f"{path} has no row of {SCORE_SPLIT}.", "FER-2013's three usages", "take Kaggle's csv")
    images = np.concatenate([images for images, _ in parts])[..., np.newaxis]
    labels = np.concatenate([labels for _, labels in parts]).astype(int)
    return images, labels, len(parts[0][0])


def _synthetic_images(numbers, preset):
    from expressions.synthetic import make_images

    num_images = numbers["num_public_images"] + numbers["num_private_images"]
    images, labels, _ = make_images(num_images, seed=numbers["image_seed"], preset=preset)
    return images[..., np.newaxis], np.asarray(labels, dtype=int)


def _synthetic_clouds(numbers, preset):
    from expressions.synthetic import make_clouds

    clouds = make_clouds(numbers["num_subjects"], seed=numbers["cloud_seed"], preset=preset)
    return clouds.points, np.asarray(clouds.labels, dtype=int)


# Making the class takes 4 CPU seconds, more than importing TensorFlow, and a course is graded hundreds of times.
MAX_KEPT = 4  # classes of one kind, made from other numbers or by another version
_GENERATOR = ("synthetic/*.py", "*.py")


def _made_once(kind, numbers, preset, make):
    """Makes test data, or takes it from the grader's own cache if the same program made it from the same numbers.

    Args:
        kind: `"images"` or `"clouds"`.
        numbers: dict, the rubric's table of this class: seeds and sizes.
        preset: str, of the synthetic class.
        make: function of `numbers` and `preset` that returns `(samples, labels)`.

    Returns:
        `(samples, labels)`: two arrays.
    """
    digest = hashlib.sha256(json.dumps([kind, preset, dict(numbers)], sort_keys=True).encode())
    folder = Path(__file__).resolve().parents[1] / "expressions"
    for pattern in _GENERATOR:
        for path in sorted(folder.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for package in ("numpy", "pillow"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(importlib.metadata.version(package).encode())
    cache, name = Pieces(_private_folder()), f"{kind}-{preset}-{digest.hexdigest()[:32]}"
    kept = cache.read(name)
    if kept is not None and set(kept[1]) == {"samples", "labels"}:
        return kept[1]["samples"], kept[1]["labels"]
    samples, labels = (np.ascontiguousarray(part) for part in make(numbers, preset))
    # A full disk costs time at the next run, nothing else.
    with contextlib.suppress(OSError):
        cache.keep(name, {}, {"samples": samples, "labels": labels})
        made = cache.folder.glob(f"{kind}-{preset}-*.piece") if cache.folder else ()
        for old in sorted(made, key=lambda path: path.stat().st_mtime)[:-MAX_KEPT]:
            old.unlink()
    return samples, labels


def _private_folder():
    """Returns a folder that only this user can read, for it holds labels; None if there is none."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "expressions-grader"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077):
            return None
    except (OSError, RuntimeError):
        return None
    return folder
