"""Which action units a face shows for each emotion, and how strongly.

Each emotion has one or two recipes after EMFACS (`expressions.labels.EMFACS` and the units that often go with them).
Real faces are not prototypes: units are missing, weak, lopsided, or belong to nothing, and a labeller sometimes names
the wrong emotion. Each of these is a knob.
"""

import numpy as np

from expressions.labels import EMOTIONS, NEUTRAL, NUM_CLASSES
from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY, NUM_UNITS

# Images per emotion in FER-2013, in the order of EMOTIONS.
FER2013_COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}

# Emotion -> recipes (share, {action unit: (mean intensity at full strength, probability)}).
RECIPES = {
    "Angry": (
        (0.6, {4: (5.0, 1), 5: (3.0, 0.7), 7: (3.2, 0.95), 23: (4.6, 1), 17: (3.2, 0.6), 9: (1.2, 0.25),
               15: (1.4, 0.3)}),
        (0.4, {4: (5.0, 1), 5: (3.6, 0.9), 7: (2.8, 0.9), 23: (2.6, 0.6), 25: (5.0, 1), 26: (1.6, 0.7),
               20: (3.4, 0.9)}),
    ),
    "Disgust": (
        (0.55, {9: (4.9, 1), 10: (3.8, 0.95), 17: (2.0, 0.3), 4: (1.2, 0.2), 7: (4.0, 0.9), 15: (1.8, 0.4),
                6: (1.5, 0.3)}),
        (0.45, {9: (4.7, 1), 10: (4.2, 1), 25: (2.6, 0.95), 7: (4.0, 0.9), 4: (1.2, 0.2), 6: (1.5, 0.3)}),
    ),
    "Fear": (
        (0.8, {1: (4.6, 1), 2: (2.2, 0.6), 4: (3.0, 0.95), 5: (4.8, 1), 20: (3.4, 1), 25: (3.8, 1), 26: (0.6, 0.15)}),
        (0.2, {1: (4.6, 1), 2: (2.2, 0.6), 4: (3.2, 1), 5: (4.8, 1), 20: (3.6, 1), 25: (2.6, 0.9)}),
    ),
    "Happy": (
        (0.75, {6: (4.0, 0.9), 12: (4.8, 1), 25: (4.2, 1), 26: (1.4, 0.5), 7: (1.2, 0.3)}),
        (0.25, {6: (4.2, 0.95), 12: (5.0, 1), 14: (1.0, 0.25)}),
    ),
    "Sad": (
        (0.75, {1: (4.8, 1), 4: (3.0, 0.9), 15: (5.0, 1), 17: (3.4, 0.7), 7: (1.4, 0.3), 45: (1.8, 0.7)}),
        (0.25, {1: (4.8, 1), 4: (3.2, 0.9), 15: (4.6, 1), 25: (1.6, 0.5), 6: (1.6, 0.3),
                45: (1.8, 0.6)}),
    ),
    "Surprise": (
        (0.85, {1: (4.7, 1), 2: (5.0, 1), 5: (4.0, 0.95), 25: (4.0, 1), 26: (4.7, 1)}),
        (0.15, {1: (4.7, 1), 2: (5.0, 1), 5: (4.0, 0.95), 25: (3.4, 1), 26: (2.8, 0.9)}),
    ),
    "Neutral": ((1.0, {}),),
}  # fmt: skip

# Action units that any face may show for no reason: unit -> (mean intensity, probability).
SPURIOUS = {
    25: (2.2, 0.16), 26: (1.4, 0.10), 45: (2.5, 0.05), 14: (1.2, 0.08), 1: (1.2, 0.06), 2: (1.2, 0.06),
    4: (1.4, 0.09), 12: (1.3, 0.07), 15: (1.2, 0.05), 17: (1.2, 0.06), 7: (1.4, 0.08), 23: (1.2, 0.06),
    10: (1, 0.04), 20: (1, 0.04), 6: (1, 0.05),
}  # fmt: skip

# A posed expression exaggerates the muscles one can move at will and misses the others.
POSED_FACTORS = {6: 0.15, 1: 0.75, 15: 0.8, 12: 1.12, 25: 1.1, 4: 1.1, 20: 1.1}

# What a face really shows when its label is wrong: rows label, columns shown emotion, in the order of EMOTIONS.
# Shaped after the confusions between FER-2013 and FER+ majority votes: fear with surprise and sad, sad with neutral.
CONFUSION = np.array(
    [
        [0, 0.12, 0.22, 0.08, 0.27, 0.05, 0.26],
        [0.50, 0, 0.14, 0.06, 0.16, 0.04, 0.10],
        [0.20, 0.04, 0, 0.08, 0.28, 0.24, 0.16],
        [0.10, 0.02, 0.10, 0, 0.16, 0.22, 0.40],
        [0.22, 0.03, 0.25, 0.07, 0, 0.03, 0.40],
        [0.10, 0.02, 0.46, 0.24, 0.06, 0, 0.12],
        [0.20, 0.02, 0.12, 0.18, 0.43, 0.05, 0],
    ]
)


def class_counts(num_images, usage="Training"):
    """Divides a number of images among the emotions in FER-2013's proportions.

    Args:
        num_images: int.
        usage: str, one of FER-2013's three usages.

    Returns:
        int array `(7,)` that sums to `num_images`; remainders go to the largest fractions.
    """
    counts = np.array(FER2013_COUNTS[usage], float)
    exact = counts / counts.sum() * num_images
    result = np.floor(exact).astype(int)
    result[np.argsort(-(exact - result), kind="stable")[: num_images - result.sum()]] += 1
    return result


def shown_emotions(labels, label_noise, rng):
    """Returns what the faces really show: the label, or for a share `label_noise` what it is confused with.

    Args:
        labels: int array `(n,)`.
        label_noise: float in 0 … 1; a perfect reader of faces scores 1 − `label_noise`.
        rng: numpy Generator.

    Returns:
        int array `(n,)`.
    """
    wrong, choice = rng.random(len(labels)), rng.random(len(labels))
    cumulative = np.cumsum(CONFUSION / CONFUSION.sum(1, keepdims=True), axis=1)
    confused = (choice[:, None] > cumulative[labels]).sum(1).clip(0, NUM_CLASSES - 1)
    return np.where(wrong < label_noise, confused, labels)


def sample_intensities(emotions, rng, knobs, genuine=None):
    """Draws action-unit intensities for faces that show given emotions.

    Args:
        emotions: int array `(n,)`.
        rng: numpy Generator.
        knobs: object with `weakest`, `strongest` (range of an expression's strength), `missing_units` (share of units
            dropped), `spurious_units` (scale of unrelated units' probability) and `unit_jitter` (relative spread).
        genuine: bool array `(n,)`, or None for a coin toss each.

    Returns:
        (intensities, genuine): float32 array `(n, 34)` in 0 … 5, +x side then −x side, and bool array `(n,)`.
    """
    emotions = np.asarray(emotions)
    num_faces = len(emotions)
    strength = rng.uniform(knobs.weakest, knobs.strongest, num_faces)
    coin = rng.random(num_faces) < 0.5
    genuine = coin if genuine is None else np.asarray(genuine, bool)
    pick, present = rng.random(num_faces), rng.random((num_faces, NUM_UNITS))
    jitter = rng.normal(0, 1, (num_faces, NUM_UNITS))
    mean = np.zeros((num_faces, NUM_UNITS))
    for emotion, name in enumerate(EMOTIONS):
        shares = np.cumsum([share for share, _ in RECIPES[name]])
        recipe_of = np.minimum(np.searchsorted(shares, pick), len(shares) - 1)
        for k, (_, recipe) in enumerate(RECIPES[name]):
            faces = np.flatnonzero((emotions == emotion) & (recipe_of == k))
            for unit, (intensity, probability) in recipe.items():
                column = COLUMN_OF[unit]
                shown = present[faces, column] < probability * (1 - knobs.missing_units)
                spread = 1 + knobs.unit_jitter * jitter[faces, column]
                mean[faces, column] = shown * np.clip(intensity * strength[faces] * spread, 0, MAX_INTENSITY)

    posed = ~genuine & (emotions != NEUTRAL)
    for unit, factor in POSED_FACTORS.items():
        mean[posed, COLUMN_OF[unit]] *= factor
    # Duchenne's smile: when it is felt, the cheeks rise with the corners of the mouth.
    felt, cheek, corner = genuine & (emotions == EMOTIONS.index("Happy")), COLUMN_OF[6], COLUMN_OF[12]
    mean[felt, cheek] = np.maximum(mean[felt, cheek], mean[felt, corner] * (0.75 + 0.1 * jitter[felt, cheek]))

    appears, amount = rng.random((num_faces, NUM_UNITS)), rng.gamma(2.0, 0.5, (num_faces, NUM_UNITS))
    for unit, (intensity, probability) in SPURIOUS.items():
        column = COLUMN_OF[unit]
        extra = np.where(appears[:, column] < probability * knobs.spurious_units, intensity * amount[:, column], 0)
        mean[:, column] = np.maximum(mean[:, column], extra)
    mean = np.clip(mean, 0, MAX_INTENSITY)

    # Posed faces are the lopsided ones (Ekman, Hager and Friesen 1981).
    spread = np.where(genuine, 0.04, 0.16)[:, None]
    tilt = 0.7 * spread * (rng.normal(0, 1, (num_faces, 1)) + rng.normal(0, 1, (num_faces, NUM_UNITS)))
    intensities = np.clip(np.concatenate([mean * (1 + tilt), mean * (1 - tilt)], axis=1), 0, MAX_INTENSITY)
    jaw = COLUMN_OF[26]
    intensities[:, jaw] = intensities[:, NUM_UNITS + jaw] = mean[:, jaw]
    return intensities.astype(np.float32), genuine
