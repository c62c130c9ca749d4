"""Sequences from a neutral face to the apex of an expression, in the folders and files of CK+.

CK+ (Lucey et al. 2010) holds short films that begin at a neutral face and end at the apex. Of a sequence there are
frames, 68 landmarks a frame, the action units of the last frame, and for half of them an emotion. Who learns from
single frames takes the last fifth.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from expressions.labels import OPENFACE_ACTION_UNITS
from expressions.synthetic.appearance import repeat, sample_appearance
from expressions.synthetic.ck import CK_LABELLED_SHARE, CK_NAMES, CK_SEQUENCES, sample_ck_intensities
from expressions.synthetic.face import NUM_UNITS, face_model
from expressions.synthetic.images import CHANGING, draw_faces
from expressions.synthetic.landmarks import select_landmarks
from expressions.synthetic.pool import map_chunks
from expressions.synthetic.presets import preset_of
from expressions.synthetic.render import expose
from expressions.synthetic.timing import expression_at, sample_timing

SIZE = (640, 490)  # CK+'s frames, width and height
_SCALE = 1500.0  # pixels per metre at that width: the face is 220 pixels wide
_SEQUENCES_PER_PERSON = 5
_NUM_FRAMES = (10, 25)
# A unit weaker than this at the apex is not coded.
_CODED = 0.8


@dataclass(frozen=True)
class Sequence:
    """One film.

    Attributes:
        subject: str, such as `"S005"`.
        number: str, which sequence of that person, such as `"001"`.
        frames: uint8 array `(num_frames, height, width)`, neutral first, apex last.
        landmarks: float32 array `(num_frames, 68, 2)`, column and row in pixels.
        sides: float32 array `(num_frames, 34)`, action units 0 … 5 on the subject's left, then right.
        emotion: int, CK+'s code 0 … 7 (`expressions.synthetic.ck.CK_NAMES`), or None where CK+ would have no label.
        shown: int, CK+'s code of what the person shows, labelled or not.
        genuine: bool, felt or posed.
    """

    subject: str
    number: str
    frames: np.ndarray
    landmarks: np.ndarray
    sides: np.ndarray
    emotion: int | None
    shown: int
    genuine: bool

    @property
    def action_units(self):
        """The coded action units of the last frame: dict from unit to intensity 1 … 5, whole numbers."""
        apex = np.maximum(self.sides[-1, :NUM_UNITS], self.sides[-1, NUM_UNITS:])
        return {
            unit: int(np.clip(np.ceil(value), 1, 5))
            for unit, value in zip(OPENFACE_ACTION_UNITS, apex, strict=True)
            if value >= _CODED
        }


def plan_sequences(num_people, seed, preset="default", genuine=False):
    """Draws everything about sequences except the pixels: list of dicts, one per sequence, in the order of people."""
    if num_people < 1:
        raise ValueError(f"num_people is {num_people}. Wanted at least 1.")
    knobs, face = preset_of(preset).images, face_model()
    rng = np.random.default_rng([*(int(value) for value in np.atleast_1d(seed)), 8])
    identity = np.clip(rng.normal(0, knobs.identity, (num_people, face.num_identity)), -2.5, 2.5)
    appearance = sample_appearance(num_people, rng, 0.3)
    shares = np.array(CK_SEQUENCES) / sum(CK_SEQUENCES)
    width, plans = max(3, len(str(num_people))), []
    for person in range(num_people):
        codes = rng.choice(len(CK_NAMES), min(_SEQUENCES_PER_PERSON, np.count_nonzero(shares)), replace=False, p=shares)
        intensities = sample_ck_intensities(codes, rng, knobs, genuine)
        timing = sample_timing(np.full(len(codes), genuine), rng)
        labelled = rng.random(len(codes)) < CK_LABELLED_SHARE
        look = {name: values[person : person + 1] for name, values in appearance.items()}
        room = {name: values for name, values in sample_appearance(len(codes), rng, 0).items() if name in CHANGING}
        for k, code in enumerate(codes):
            num_frames = int(rng.integers(*_NUM_FRAMES, endpoint=True))
            times = np.linspace(0, 1, num_frames)
            one = type(timing)(timing.start[k : k + 1], timing.end[k : k + 1])
            light = np.array([rng.uniform(-0.5, 0.5), rng.uniform(0.1, 0.7), 1.0])
            plans.append(
                {
                    "subject": f"S{person + 1:0{width}d}",
                    "number": f"{k + 1:03d}",
                    "emotion": int(code) if labelled[k] else None,
                    "shown": int(code),
                    "genuine": bool(genuine),
                    "identity": identity[person],
                    "sides": expression_at(intensities[k : k + 1], times, one)[0],
                    "appearance": repeat(look | {name: values[k : k + 1] for name, values in room.items()}, num_frames),
                    "pose": rng.normal(0, 1, 3) * np.radians([4, 3, 2]),
                    # A head is never quite still.
                    "sway": np.cumsum(rng.normal(0, np.radians(0.25), (num_frames, 3)), axis=0),
                    "place": rng.normal(0, 0.01, 2),
                    "light": light / np.linalg.norm(light),
                    "contrast": float(np.exp(rng.normal(0, 0.1))),
                    "noise": int(rng.integers(2**31)),
                }
            )
    return plans


def film(shared, plan):
    """Draws one sequence.

    Args:
        shared: dict with `size`, `(width, height)` in pixels.
        plan: dict of `plan_sequences`.

    Returns:
        `Sequence`.
    """
    width, height = shared["size"]
    num_frames, enlarged = len(plan["sides"]), width / SIZE[0]
    yaw, pitch, roll = (plan["pose"] + plan["sway"]).T
    views = {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "scale": np.full(num_frames, _SCALE * enlarged),
        "column": np.full(num_frames, width * (0.5 + plan["place"][0])),
        "row": np.full(num_frames, height * (0.5 + plan["place"][1])),
        "distance": np.full(num_frames, 1.2),
        "light": np.repeat(plan["light"][None], num_frames, axis=0),
        "ambient": np.full(num_frames, 0.6),
    }
    oversampling = 1 if width >= 480 else 2 if width >= 240 else 3
    cell = max(1, round(5 * enlarged))
    pictures, positions = draw_faces(
        np.repeat(plan["identity"][None], num_frames, axis=0),
        plan["sides"],
        plan["appearance"],
        views,
        (width, height),
        oversampling,
        cell,
        sigma=1.3 * max(1.0, _SCALE * enlarged / 276 / cell),
    )
    pictures = expose(pictures, np.full(num_frames, plan["contrast"]))
    rng = np.random.default_rng(plan["noise"])
    pictures += rng.standard_normal(pictures.shape, np.float32) * 2
    return Sequence(
        plan["subject"],
        plan["number"],
        np.clip(pictures, 0, 255).astype(np.uint8),
        select_landmarks(positions),
        plan["sides"],
        plan["emotion"],
        plan["shown"],
        plan["genuine"],
    )


def make_sequences(num_people, seed, preset="default", genuine=False, size=SIZE, jobs=1, progress=None):
    """Makes films of expressions as in CK+: five a person, from neutral to apex, which the last fifth holds.

    Args:
        num_people: int, at least 1.
        seed: int, or a sequence of ints.
        preset: str or Preset whose difficulty to take.
        genuine: bool; CK+'s expressions are posed.
        size: pair `(width, height)` in pixels, at least 64 wide.
        jobs: int, number of processes; None takes all cores. The result does not depend on it.
        progress: None, or a function of `(num_done, num_sequences)`.

    Returns:
        list of `Sequence`, a person's after each other.

    Raises:
        ValueError: `num_people` is not positive, the size is too small, or the preset is unknown.
    """
    plans, shared = _prepared(num_people, seed, preset, genuine, size)
    return map_chunks(film, shared, plans, jobs, progress)


def _prepared(num_people, seed, preset, genuine, size, **more):
    if min(size) < 64:
        raise ValueError(f"size is {size[0]} × {size[1]}. Wanted at least 64 × 64 pixels.")
    return plan_sequences(num_people, seed, preset, genuine), {"size": tuple(size), **more}


def _write_film(shared, plan):
    """Draws and writes one sequence; returns what the manifest counts: `(code or None, num_frames)`."""
    made, root = film(shared, plan), Path(shared["folder"])

    def place(kind):
        folder = root / kind / made.subject / made.number
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{made.subject}_{made.number}_"

    images, landmarks, emotion, facs = (str(place(kind)) for kind in FOLDERS)
    for k, (frame, points) in enumerate(zip(made.frames, made.landmarks, strict=True), start=1):
        Image.fromarray(frame).save(f"{images}{k:08d}.png", compress_level=1)
        _write_numbers(f"{landmarks}{k:08d}_landmarks.txt", points)
    if made.emotion is not None:
        _write_numbers(f"{emotion}{k:08d}_emotion.txt", [[made.emotion]])
    _write_numbers(f"{facs}{k:08d}_facs.txt", sorted(made.action_units.items()))
    return made.emotion, len(made.frames)


FOLDERS = ("cohn-kanade-images", "Landmarks", "Emotion", "FACS")


def _write_numbers(path, rows):
    """Writes numbers as CK+ does: `   3.0000000e+00`."""
    lines = ("".join(f"   {value:.7e}" for value in row) for row in rows)
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def write_sequences(folder, num_people, seed, preset="default", genuine=False, size=SIZE, jobs=None, progress=None):
    """Writes sequences in CK+'s tree: `cohn-kanade-images`, `Landmarks`, `Emotion` and `FACS`.

    Args:
        folder: where to write.
        num_people: int, at least 1.
        seed: int.
        preset: str or Preset whose difficulty to take.
        genuine: bool; CK+'s expressions are posed.
        size: pair `(width, height)` in pixels.
        jobs: int, number of processes; None takes all cores.
        progress: None, or a function of `(num_done, num_sequences)`.

    Returns:
        dict for the manifest: `sequences`, `frames`, and `labelled` by name.
    """
    plans, shared = _prepared(num_people, seed, preset, genuine, size, folder=str(folder))
    written = map_chunks(_write_film, shared, plans, jobs, progress)
    codes = [code for code, _ in written]
    return {
        "people": num_people,
        "sequences": len(written),
        "frames": sum(num_frames for _, num_frames in written),
        "labelled": {name: codes.count(code) for code, name in enumerate(CK_NAMES)},
        "unlabelled": codes.count(None),
        "size": list(size),
    }
