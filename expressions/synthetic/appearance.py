"""What of a picture is neither geometry nor expression: skin, hair, make-up, glasses, clothes, background.

Every trait is drawn by itself: no colour of skin decides about hair, eyes, beard, make-up or glasses.
"""

import numpy as np

SKIN_TONES = np.array(
    [[228, 192, 172], [219, 178, 152], [204, 158, 128], [176, 126, 96], [138, 95, 70], [90, 60, 47]], float
)
HAIR_COLOURS = np.array(
    [[30, 25, 24], [56, 39, 30], [96, 66, 44], [124, 66, 38], [152, 112, 68], [198, 166, 114], [136, 132, 128]], float
)
IRIS_COLOURS = np.array([[74, 46, 30], [54, 37, 28], [104, 88, 52], [86, 114, 136], [84, 108, 86]], float)
CLOTHES = ("round neck", "collar", "v-neck")

# Hair style -> share, and what `hair.py` builds it from: "volume" above the skull and "rise" of the hairline in mm,
# "temples", how far a receding hairline climbs beside the forehead, "fringe", how far hair falls over the forehead,
# "length" below the ears as a share of the longest, "rough", size of tufts along the outline in mm, "curl", size of
# curls there.
HAIR_STYLES = {
    "bald": (0.07, {}),
    "shaved": (0.09, {"volume": 0, "rise": 2, "temples": 2}),
    "short": (0.15, {"volume": 9, "rise": 3, "temples": 3, "rough": 4}),
    "side parting": (0.13, {"volume": 11, "rise": 5, "temples": 1, "parting": 0.45}),
    "receding": (0.09, {"volume": 5, "rise": 7, "temples": 9}),
    "fringe": (0.10, {"volume": 10, "rise": 0, "fringe": 13}),
    "bob": (0.10, {"volume": 12, "rise": 4, "fringe": 6, "length": 0.45, "parting": 0.3}),
    "long": (0.11, {"volume": 9, "rise": 5, "length": 1.0, "parting": 0.05}),
    "tied": (0.08, {"volume": 4, "rise": 4, "knot": True}),
    "curly": (0.08, {"volume": 20, "rise": 2, "curl": 5}),
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
    shares = np.array([share for share, _ in HAIR_STYLES.values()])
    tone = rng.beta(1.3, 1.6, num_faces) * (len(SKIN_TONES) - 1)
    low = np.minimum(tone.astype(int), len(SKIN_TONES) - 2)
    skin = SKIN_TONES[low] + (SKIN_TONES[low + 1] - SKIN_TONES[low]) * (tone - low)[:, None]
    kind = rng.random(num_faces)
    beard, stubble = kind < 0.14, (kind >= 0.14) & (kind < 0.32)
    return {
        "skin": skin,
        "tone": tone,
        "hair": rng.choice(len(STYLE_NAMES), num_faces, p=shares / shares.sum()),
        # Dark hair is the most common in the world; any of it goes with any skin.
        "hair_colour": HAIR_COLOURS[
            rng.choice(len(HAIR_COLOURS), num_faces, p=[0.28, 0.24, 0.16, 0.06, 0.10, 0.07, 0.09])
        ],
        "hair_length": rng.uniform(0.6, 1.15, num_faces),
        "hair_side": rng.choice([-1.0, 1.0], num_faces),
        "iris": IRIS_COLOURS[rng.integers(0, len(IRIS_COLOURS), num_faces)],
        "brow_width": rng.uniform(2.0, 3.6, num_faces),
        "lip_redness": rng.uniform(0.15, 0.6, num_faces),
        "flush": rng.uniform(0.4, 1.0, num_faces),
        "age": rng.beta(1.3, 2.2, num_faces),
        "beard": np.where(beard, rng.uniform(0.5, 0.9, num_faces), stubble * rng.uniform(0.1, 0.3, num_faces)),
        "makeup": np.where(rng.random(num_faces) < 0.3, rng.uniform(0.2, 1.0, num_faces), 0),
        "glasses": rng.random(num_faces) < 0.10 * accessories,
        "hat": rng.random(num_faces) < 0.05 * accessories,
        "background": rng.uniform(15, 240, (num_faces, 6)),
        "blobs": rng.uniform(0, 1, (num_faces, 6)),
        "cloth": rng.uniform(20, 210, (num_faces, 3)),
        "collar": rng.integers(0, len(CLOTHES), num_faces),
        "gaze": rng.normal(0, 1, (num_faces, 2)) * [1.6, 0.7],
        "strands": rng.integers(0, 2**31, num_faces),
    }


def repeat(appearance, times):
    """Returns the appearance with every face repeated `times` times, as for several pictures of one person."""
    return {name: np.repeat(values, times, axis=0) for name, values in appearance.items()}


def row(appearance, i):
    """Returns the appearance of face `i`."""
    return {name: values[i] for name, values in appearance.items()}
