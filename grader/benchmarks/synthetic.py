"""What it costs to make the synthetic class."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from grader.benchmark import Case

TITLE = "the synthetic class; a thousand pictures, so seconds of CPU are milliseconds a picture"
ALTERNATIVE = "1,000 pictures, 68 landmarks"

HERE = "grader.benchmarks.synthetic"


@contextlib.contextmanager
def cases(quick):
    """Yields a sentence about the limits, and the cases."""
    num_images, num_people, num_rows = (40, 3, 50) if quick else (1000, 50, 35_887)
    with tempfile.TemporaryDirectory() as folder:
        note = "limits: 3 ms of CPU a picture, 0.5 s for 50 × 7 clouds; 20 s on 2 cores for the demo's class"
        rows = [
            Case("the face itself, once a process", f"{HERE}:build_face"),
            Case(ALTERNATIVE, f"{HERE}:draw_images", [num_images, 68]),
            Case("1,000 pictures, 468 landmarks", f"{HERE}:draw_images", [num_images, 468]),
            Case("50 × 7 clouds", f"{HERE}:make_clouds", [num_people]),
            Case("14 portraits", f"{HERE}:make_portraits"),
            Case("a CK+ sequence, 640 × 490", f"{HERE}:film_sequences", [1]),
            Case("468 landmarks of 85 people", f"{HERE}:make_landmarks", [num_people]),
            Case("1,200 rows of action units", f"{HERE}:make_action_units", [num_rows]),
            Case("csv of 35,887 rows, pictures given", f"{HERE}:write_csv", [folder, num_rows]),
        ]
        if not quick:
            rows.append(Case("the demo's class, all files", f"{HERE}:make_demo_class", [folder]))
        yield note, rows


def build_face():
    """Builds the template with its fields."""
    from expressions.synthetic.face import face_model

    face_model()


def draw_images(num_images, num_landmarks):
    """Draws pictures on one core."""
    from expressions.synthetic import make_face_images

    make_face_images(num_images, seed=1, num_landmarks=num_landmarks)


def make_clouds(num_people):
    """Makes seven clouds a person."""
    from expressions.synthetic import make_clouds as make

    make(num_people, seed=1)


def make_portraits():
    """Draws two takes of one person."""
    from expressions.synthetic import make_portraits as make

    for take in (0, 1):
        make(1, take)


def film_sequences(num_sequences):
    """Draws films of about 17 frames."""
    from expressions.synthetic import sequences

    plans = sequences.plan_sequences(1, seed=1)[:num_sequences]
    for plan in plans:
        sequences.film({"size": sequences.SIZE}, plan)


def make_landmarks(num_people):
    """Makes landmarks of several frames a person."""
    from expressions.synthetic import make_landmarks as make

    make(85 if num_people == 50 else num_people, seed=1)


def make_action_units(num_rows):
    """Makes a table of action units."""
    from expressions.synthetic import make_action_units as make

    make(min(num_rows, 1200), seed=1)


def write_csv(folder, num_rows):
    """Writes pictures that are there already."""
    from expressions.synthetic.files import write_rows

    images = np.random.default_rng(0).integers(0, 256, (num_rows, 48, 48), dtype=np.uint8)
    with open(Path(folder) / "fer2013.csv", "w", encoding="ascii") as csv:
        write_rows(csv, images, np.zeros(num_rows, np.uint8), "Training")


def make_demo_class(folder):
    """Makes csv, clouds and photos of the demo on all cores."""
    from expressions.synthetic import files

    for ensure in (files.ensure_fer2013, files.ensure_faces, files.ensure_photos):
        ensure("demo", Path(folder) / "demo")


def _warm_up():
    """Builds the face and imports what draws it before the clock starts."""
    from expressions.synthetic import make_face_images, portraits, sequences  # noqa: F401

    make_face_images(2, seed=0, num_landmarks=468)


draw_images.prepare = make_clouds.prepare = make_portraits.prepare = film_sequences.prepare = _warm_up
make_landmarks.prepare = make_action_units.prepare = write_csv.prepare = _warm_up
