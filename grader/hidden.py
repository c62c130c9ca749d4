"""The pictures and point clouds that a submission is tested on, and their labels, which no worker ever sees."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expressions.errors import DataError

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
        images, labels = _synthetic_images(numbers, preset)
        num_score_images = numbers["num_public_images"]
        sentences = [f"pictures: {num_score_images} of the hidden synthetic class"]

    if faces:
        from expressions.point_clouds import load_point_clouds

        clouds = load_point_clouds(faces)
        sentences.append(f"point clouds: {Path(faces).name}")
    else:
        from expressions.synthetic import make_clouds

        clouds = make_clouds(numbers["num_subjects"], seed=numbers["cloud_seed"], preset=preset)
        sentences.append(f"point clouds: {len(clouds.points)} of the hidden synthetic class")

    parts = [np.ascontiguousarray(part) for part in (images, labels, clouds.points, clouds.labels)]
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    return HiddenData(
        name=name,
        description="; ".join(sentences),
        images=images,
        labels=labels,
        num_score_images=num_score_images,
        clouds=clouds.points,
        cloud_labels=np.asarray(clouds.labels, dtype=int),
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
