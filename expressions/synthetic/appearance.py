"""What of a picture is neither geometry nor expression: skin, hair, make-up, glasses, clothes, background."""

import numpy as np

SKIN_TONES = np.array(
    [[226, 192, 170], [218, 178, 150], [206, 158, 126], [178, 126, 92], [138, 94, 66], [100, 67, 49]], float
)
HAIR_COLOURS = np.array(
    [[28, 22, 20], [54, 36, 26], [92, 62, 38], [150, 108, 62], [196, 164, 110], [128, 124, 120]], float
)
IRIS_COLOURS = np.array([[70, 44, 28], [50, 34, 26], [96, 82, 50], [84, 110, 130], [80, 104, 84]], float)

# Hair style -> (share, volume above the skull in mm, rise of the hairline in mm, long, fringe).
HAIR_STYLES = {
    "bald": (0.08, 0, 0, False, False),
    "short": (0.26, 7, 4, False, False),
    "fringe": (0.14, 9, -2, False, True),
    "long": (0.18, 12, 3, True, False),
    "receding": (0.10, 5, 13, False, False),
    "long fringe": (0.14, 12, -4, True, True),
    "curly": (0.10, 22, 2, False, False),
}
STYLE_NAMES = tuple(HAIR_STYLES)


def sample_appearance(num_faces, rng, accessories=1.0):
    """Draws an appearance for each face.

    Args:
        num_faces: int.
        rng: numpy Generator.
        accessories: float, scale of the share with glasses or a hat.

    Returns:
        dict of arrays whose first axis has length `num_faces`; colours are RGB 0 … 255, lengths millimetres.
    """
    shares = np.array([style[0] for style in HAIR_STYLES.values()])
    tone = rng.beta(1.3, 1.6, num_faces) * (len(SKIN_TONES) - 1)
    low = np.minimum(tone.astype(int), len(SKIN_TONES) - 2)
    skin = SKIN_TONES[low] + (SKIN_TONES[low + 1] - SKIN_TONES[low]) * (tone - low)[:, None]
    dark = tone > 3
    hair_colour = np.where(dark, rng.integers(0, 2, num_faces), rng.integers(0, len(HAIR_COLOURS), num_faces))
    iris = rng.integers(0, len(IRIS_COLOURS), num_faces)
    # Beard and make-up are independent of the hair; nobody here wears both.
    chance = rng.random(num_faces)
    beard, stubble, makeup = chance < 0.16, (chance >= 0.16) & (chance < 0.38), chance > 0.70
    amount = rng.uniform(0.2, 1.0, num_faces)
    return {
        "skin": skin,
        "hair": rng.choice(len(STYLE_NAMES), num_faces, p=shares),
        "hair_colour": HAIR_COLOURS[hair_colour],
        "hair_length": rng.uniform(0.6, 1.15, num_faces),
        "iris": IRIS_COLOURS[np.where(dark, iris % 2, iris)],
        "brow_width": rng.uniform(1.7, 3.6, num_faces),
        "lip_redness": rng.uniform(0.10, 0.65, num_faces),
        "age": rng.beta(1.3, 2.2, num_faces),
        "beard": np.where(beard, 0.75 * amount, np.where(stubble, 0.3 * amount, 0)),
        "makeup": np.where(makeup, amount, 0),
        "glasses": rng.random(num_faces) < 0.10 * accessories,
        "hat": rng.random(num_faces) < 0.05 * accessories,
        "background": rng.uniform(15, 240, (num_faces, 6)),
        "blobs": rng.uniform(0, 1, (num_faces, 6)),
        "cloth": rng.uniform(20, 230, (num_faces, 3)),
        "gaze": rng.normal(0, 1, (num_faces, 2)) * [1.6, 0.7],
        "strands": rng.integers(0, 2**31, num_faces),
    }


def repeat(appearance, times):
    """Returns the appearance with every face repeated `times` times, as for several pictures of one person."""
    return {name: np.repeat(values, times, axis=0) for name, values in appearance.items()}


def row(appearance, i):
    """Returns the appearance of face `i`."""
    return {name: values[i] for name, values in appearance.items()}
