"""When each action unit sets in: from a neutral face at time 0 to the apex, which the last fifth of the time holds.

Felt expressions begin smoothly and with all their muscles at about the same time; posed ones begin abruptly and one
muscle after the other, and a little earlier on one side (Ekman and Friesen 1982, "Felt, false and miserable smiles";
Schmidt, Ambadar, Cohn and Reed 2006, who measured onsets of smiles). How much is ours, set by eye.
"""

from dataclasses import dataclass

import numpy as np

from expressions.synthetic.face import NUM_UNITS

# From here to time 1 every unit is at its apex: the frames that CK+ users call "the last 20 %".
APEX = 0.8


@dataclass(frozen=True)
class Timing:
    """When the action units of some faces move.

    Attributes:
        start: float array `(n, 34)`, time in 0 … 1 at which a unit leaves rest; +x side, then −x side.
        end: float array `(n, 34)`, time at which it reaches its apex; later than `start`, at most `APEX`.
    """

    start: np.ndarray
    end: np.ndarray


def sample_timing(genuine, rng):
    """Draws the onsets of faces.

    Args:
        genuine: bool array `(n,)`, as `emotions.sample_intensities` returns it.
        rng: numpy Generator.

    Returns:
        `Timing` of `n` faces.
    """
    genuine = np.asarray(genuine, bool)[:, None]
    num_faces = len(genuine)
    common = rng.uniform(0.05, 0.15, (num_faces, 1))
    own = rng.random((num_faces, NUM_UNITS))
    lag = rng.normal(0, 1, (num_faces, NUM_UNITS))
    # Together within 3 % of the whole, over about half of it; or spread over a third, each in a tenth to a fifth.
    start = common + np.where(genuine, 0.03, 0.36) * own
    length = np.where(genuine, rng.uniform(0.45, 0.58, (num_faces, 1)), rng.uniform(0.10, 0.20, (num_faces, NUM_UNITS)))
    lag = np.where(genuine, 0.004, 0.025) * lag
    start = np.clip(np.concatenate([start + lag, start - lag], axis=1), 0.02, 0.60)
    return Timing(start, np.minimum(start + np.concatenate([length, length], axis=1), APEX))


def expression_at(intensities, times, timing):
    """Returns the action units of faces at some moments between neutral and apex.

    Args:
        intensities: float array `(n, 34)`, action units 0 … 5 at the apex, +x side then −x side.
        times: float array `(num_times,)` in 0 … 1; at 0 nothing has moved, from `APEX` (0.8) on everything has.
        timing: `Timing` of the same `n` faces.

    Returns:
        float32 array `(n, num_times, 34)` in 0 … 5; over time no unit ever falls.

    Raises:
        ValueError: a time lies outside 0 … 1, or the faces differ in number.
    """
    intensities, times = np.asarray(intensities, float), np.atleast_1d(np.asarray(times, float))
    if times.size and not (0 <= times.min() and times.max() <= 1):
        raise ValueError(f"times run from {times.min()} to {times.max()}. Wanted 0 (neutral) to 1 (apex).")
    if intensities.shape != timing.start.shape:
        raise ValueError(
            f"intensities have shape {intensities.shape} and the timing {timing.start.shape}. Wanted the same faces."
        )
    start, end = timing.start[:, None], timing.end[:, None]
    progress = np.clip((times[None, :, None] - start) / (end - start), 0, 1)
    smooth = progress**2 * (3 - 2 * progress)  # no jerk at either end
    return (intensities[:, None] * smooth).astype(np.float32)
