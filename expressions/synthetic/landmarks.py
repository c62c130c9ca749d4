"""Landmarks of faces: 68 as iBUG 300-W numbers them, or 468 as MediaPipe's FaceMesh does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expressions.synthetic.ck import CK_NAMES, CK_SEQUENCES, sample_ck_intensities
from expressions.synthetic.face import face_model
from expressions.synthetic.facemesh import facemesh_weights
from expressions.synthetic.presets import preset_of
from expressions.synthetic.render import rotate, rotation_matrices

NUM_LANDMARKS = (68, 468)
# A person's frames: each labelled emotion as often as among CK+'s people, and a few neutral ones.
_NEUTRAL_FRAMES = 4
_SPREAD_OF_POSE = (4.0, 4.0, 2.5)  # degrees of yaw, pitch and roll; CK+'s people look into the camera
_ERROR = 0.0004  # metres, of a detected landmark


@dataclass(frozen=True)
class LandmarkSet:
    """Frames of faces as landmarks.

    Attributes:
        points: float32 array `(n, num_landmarks, 3)`; column, row and depth, growing to the viewer's right, down, and
            away from the viewer; each axis of each frame is stretched to 0 … 1.
        labels: str array `(n,)`, names of `expressions.synthetic.ck.CK_NAMES`.
        subjects: str array `(n,)`, such as `"S007"`.
        filenames: str array `(n,)`, such as `"synthetic/anger/S007_001_00000015.png"`.
    """

    points: np.ndarray
    labels: np.ndarray
    subjects: np.ndarray
    filenames: np.ndarray


def check_num_landmarks(num_landmarks):
    """Raises ValueError if there is no layout with that many landmarks."""
    if num_landmarks not in NUM_LANDMARKS:
        raise ValueError(f"There are no {num_landmarks} landmarks. Wanted {NUM_LANDMARKS[0]} or {NUM_LANDMARKS[1]}.")


def select_landmarks(points, num_landmarks=68):
    """Takes the landmarks out of all points of faces.

    Args:
        points: float array `(n, num_points, d)` of `FaceModel.points`, or projected.
        num_landmarks: int, 68 or 468.

    Returns:
        float32 array `(n, num_landmarks, d)`.

    Raises:
        ValueError: `num_landmarks` is another number.
    """
    check_num_landmarks(num_landmarks)
    if num_landmarks == 68:
        return points[:, face_model().landmarks]
    corners, weights = facemesh_weights()
    return (points[:, corners] * weights[:, :, None]).sum(2).astype(np.float32)


def make_landmarks(num_people, seed, num_landmarks=468, preset="default", knobs=None):
    """Makes landmarks of people at the apex of CK+'s emotions, and of their neutral faces.

    Args:
        num_people: int, at least 1.
        seed: int, or a sequence of ints.
        num_landmarks: int, 68 or 468.
        preset: str or Preset whose difficulty to take.
        knobs: CloudKnobs that override the preset's, or None.

    Returns:
        `LandmarkSet`; a person's frames follow each other.

    Raises:
        ValueError: `num_people` is not positive, `num_landmarks` is another number, or the preset is unknown.
    """
    if num_people < 1:
        raise ValueError(f"num_people is {num_people}. Wanted at least 1.")
    check_num_landmarks(num_landmarks)
    knobs, face = knobs or preset_of(preset).clouds, face_model()
    rng = np.random.default_rng([*(int(value) for value in np.atleast_1d(seed)), 6])
    shares = np.array(CK_SEQUENCES) / max(CK_SEQUENCES)
    codes, people = [], []
    for person in range(num_people):
        shown = np.flatnonzero(rng.random(len(shares)) < shares)
        codes += [0] * _NEUTRAL_FRAMES + shown.tolist()
        people += [person] * (_NEUTRAL_FRAMES + len(shown))
    codes, people = np.array(codes), np.array(people)
    identity = np.clip(rng.normal(0, knobs.identity, (num_people, face.num_identity)), -2.5, 2.5)[people]
    points = face.points(face.coefficients(identity, sample_ck_intensities(codes, rng, knobs)))
    points = select_landmarks(points, num_landmarks)
    yaw, pitch, roll = np.radians(rng.normal(0, 1, (3, len(codes))) * np.reshape(_SPREAD_OF_POSE, (3, 1)))
    points = rotate(points, rotation_matrices(yaw, pitch, roll)) + rng.normal(0, _ERROR, points.shape)
    points = points * [1, -1, -1]
    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    names = np.array(CK_NAMES)[codes]
    width = max(3, len(str(num_people)))
    subjects = np.array([f"S{person + 1:0{width}d}" for person in people])
    within = np.arange(len(people)) - np.searchsorted(people, people) + 1
    filenames = [
        f"synthetic/{name}/{subject}_{number:03d}_00000001.png"
        for name, subject, number in zip(names, subjects, within, strict=True)
    ]
    return LandmarkSet(((points - low) / (high - low)).astype(np.float32), names, subjects, np.array(filenames))


def write_landmarks(path, landmarks):
    """Writes landmarks as npz with the arrays of `LandmarkSet`, or as csv with a row per frame.

    Args:
        path: where to write; ends in `.npz` or `.csv`.
        landmarks: `LandmarkSet`.

    Raises:
        ValueError: the path ends otherwise.
    """
    path = Path(path)
    if path.suffix == ".npz":
        np.savez_compressed(
            path,
            points=landmarks.points,
            labels=landmarks.labels,
            filenames=landmarks.filenames,
            subjects=landmarks.subjects,
        )
        return
    if path.suffix != ".csv":
        raise ValueError(f"{path} ends in {path.suffix!r}. Wanted .npz or .csv.")
    num_landmarks = landmarks.points.shape[1]
    header = ["filename", "subject", "label", *(f"{axis}_{k}" for axis in "xyz" for k in range(num_landmarks))]
    lines = [",".join(header)]
    for frame, name, subject, label in zip(
        landmarks.points, landmarks.filenames, landmarks.subjects, landmarks.labels, strict=True
    ):
        lines.append(",".join([name, subject, label, *(f"{value:.5f}" for value in frame.T.ravel())]))
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
