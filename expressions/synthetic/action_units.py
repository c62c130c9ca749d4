"""Tables of action units as OpenFace measures them, of posed and of felt expressions.

OpenFace 2 writes one row per frame: an intensity `AU01_r` … `AU45_r` from 0 to 5 for 17 action units, and for these and
AU28 whether it is there, `AU01_c` … (Baltrušaitis et al. 2018). It sees a face as a whole, so left and right become one
number; `ActionUnits.sides` keeps both.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expressions.labels import NEUTRAL, OPENFACE_ACTION_UNITS
from expressions.synthetic.emotions import sample_intensities
from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY, NUM_UNITS
from expressions.synthetic.presets import preset_of

PRESENCE_UNITS = tuple(sorted((*OPENFACE_ACTION_UNITS, 28)))
INTENSITY_COLUMNS = tuple(f"AU{unit:02d}_r" for unit in OPENFACE_ACTION_UNITS)
PRESENCE_COLUMNS = tuple(f"AU{unit:02d}_c" for unit in PRESENCE_UNITS)
OPENFACE_COLUMNS = (
    "frame", "face_id", "timestamp", "confidence", "success", *INTENSITY_COLUMNS, *PRESENCE_COLUMNS,
)  # fmt: skip

# Our own: OpenFace's published error is a correlation of about 0.6 with human coders, most of it on weak units.
_GAIN, _BIAS, _ERROR = 0.85, -0.15, 0.45
# From this intensity on a unit counts as present, but for one in twenty.
_PRESENT, _MISREAD = 1.0, 0.05
_FRAMES_PER_SECOND = 30


@dataclass(frozen=True)
class ActionUnits:
    """Faces at the apex of an expression, one row each.

    Attributes:
        intensities: float32 array `(n, 17)` in 0 … 5 as OpenFace would measure them, in the order of
            `OPENFACE_ACTION_UNITS`.
        presence: uint8 array `(n, 18)`, 0 or 1, the same units and AU28.
        sides: float32 array `(n, 34)` in 0 … 5, what the face really shows: the 17 units on the subject's left, then
            on the right.
        genuine: bool array `(n,)`; False is posed.
        emotions: uint8 array `(n,)`, 0 … 5; nobody is neutral.
        subjects: int array `(n,)`, who it is.
    """

    intensities: np.ndarray
    presence: np.ndarray
    sides: np.ndarray
    genuine: np.ndarray
    emotions: np.ndarray
    subjects: np.ndarray

    @property
    def asymmetry(self):
        """Difference of the sides, left less right: float32 array `(n, 17)`."""
        return self.sides[:, :NUM_UNITS] - self.sides[:, NUM_UNITS:]


def measure_action_units(sides, rng):
    """Measures faces as OpenFace would: one number for both sides, with its errors.

    Args:
        sides: float array `(n, 34)`, intensities 0 … 5, left then right.
        rng: numpy Generator.

    Returns:
        (intensities, presence): float32 array `(n, 17)` in 0 … 5 in steps of 0.01, and uint8 array `(n, 18)`.
    """
    true = 0.5 * (sides[:, :NUM_UNITS] + sides[:, NUM_UNITS:])
    measured = np.clip(_GAIN * true + _BIAS + rng.normal(0, _ERROR, true.shape), 0, MAX_INTENSITY)
    present = np.zeros((len(true), len(PRESENCE_UNITS)), bool)
    for column, unit in enumerate(PRESENCE_UNITS):
        if unit in COLUMN_OF:
            present[:, column] = true[:, COLUMN_OF[unit]] >= _PRESENT
    present ^= rng.random(present.shape) < _MISREAD
    return np.round(measured, 2).astype(np.float32), present.astype(np.uint8)


def make_action_units(num_rows, seed, genuine=None, preset="default", knobs=None, rows_per_person=6):
    """Makes a table of action units, of posed and felt expressions.

    Args:
        num_rows: int, at least 1.
        seed: int, or a sequence of ints.
        genuine: bool array `(num_rows,)`, a bool for all, or None for half of each.
        preset: str or Preset whose difficulty to take.
        knobs: ImageKnobs that override the preset's, or None.
        rows_per_person: int, at least 1. A person has a habit: a side that moves more when posing, and strength.

    Returns:
        `ActionUnits`.

    Raises:
        ValueError: a number is not positive, or the preset is unknown.
    """
    if num_rows < 1 or rows_per_person < 1:
        raise ValueError(f"num_rows is {num_rows} and rows_per_person {rows_per_person}. Wanted at least 1 each.")
    rng = np.random.default_rng([*(int(value) for value in np.atleast_1d(seed)), 3])
    if genuine is None:
        genuine = rng.permutation(np.arange(num_rows) % 2).astype(bool)
    genuine = np.broadcast_to(np.asarray(genuine, bool), num_rows).copy()
    emotions = rng.integers(0, NEUTRAL, num_rows)
    sides, _ = sample_intensities(emotions, rng, knobs or preset_of(preset).images, genuine)
    subjects = rng.permutation(np.arange(num_rows) % -(-num_rows // rows_per_person))
    strength = np.exp(rng.normal(0, 0.12, num_rows))[subjects]
    sides = np.clip(sides * strength[:, None], 0, MAX_INTENSITY).astype(np.float32)
    intensities, presence = measure_action_units(sides, rng)
    return ActionUnits(intensities, presence, sides, genuine, emotions.astype(np.uint8), subjects)


def write_action_units(path, table):
    """Writes a table for learning: intensities and `class`, 0 posed or 1 genuine, with semicolons between.

    Args:
        path: where to write.
        table: `ActionUnits`.
    """
    lines = [";".join((*INTENSITY_COLUMNS, "class"))]
    for row, genuine in zip(table.intensities.tolist(), table.genuine, strict=True):
        lines.append(";".join([*(str(round(value, 2)) for value in row), str(int(genuine))]))
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def write_openface(path, table, seed, lost=0.02):
    """Writes a csv as OpenFace 2's FeatureExtraction does: a row per frame, column names with leading spaces.

    Args:
        path: where to write.
        table: `ActionUnits`.
        seed: int, of tracking errors.
        lost: float in 0 … 1, share of frames where tracking fails: success 0, low confidence and nothing measured.
    """
    rng = np.random.default_rng([int(seed), 5])
    confidence = np.where(rng.random(len(table.genuine)) < lost, rng.uniform(0, 0.3, len(table.genuine)), 0.98)
    lines = [", ".join(OPENFACE_COLUMNS)]
    for frame, sure in enumerate(confidence.tolist()):
        success = sure > 0.5
        seen = [f"{value:.2f}" for value in table.intensities[frame] * success]
        found = [f"{value:.2f}" for value in table.presence[frame] * success]
        time = f"{frame / _FRAMES_PER_SECOND:.3f}"
        lines.append(", ".join([str(frame + 1), "0", time, f"{sure:.2f}", str(int(success)), *seen, *found]))
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")
