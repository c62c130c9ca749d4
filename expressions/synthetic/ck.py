"""CK+'s eight emotions: their code, how often they occur, and contempt, which FER-2013 does not have.

Source: Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)", 2010: 593 sequences of 123 people, 327 of them labelled.
"""

import numpy as np

from expressions.labels import EMOTIONS, NEUTRAL
from expressions.synthetic.emotions import sample_intensities
from expressions.synthetic.face import COLUMN_OF, NUM_UNITS

# In the order of CK+'s code 0 … 7.
CK_NAMES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
CONTEMPT = CK_NAMES.index("contempt")
# Labelled sequences of each code; a sequence begins at neutral and is never labelled so.
CK_SEQUENCES = (0, 45, 18, 59, 25, 69, 28, 83)
CK_LABELLED_SHARE = 327 / 593

# CK+'s code -> our label; contempt has none, and begins from a neutral face.
OUR_LABEL = np.array(
    [NEUTRAL, *(EMOTIONS.index(name) for name in ("Angry", "Neutral", "Disgust", "Fear", "Happy", "Sad", "Surprise"))]
)


def sample_ck_intensities(codes, rng, knobs, genuine=False):
    """Draws action-unit intensities for CK+'s emotions.

    Args:
        codes: int array `(n,)`, CK+'s code 0 … 7.
        rng: numpy Generator.
        knobs: `ImageKnobs` or `CloudKnobs`.
        genuine: bool; CK+'s people were asked to show their expressions.

    Returns:
        float32 array `(n, 34)` in 0 … 5, +x side then −x side.
    """
    codes = np.asarray(codes)
    intensities, _ = sample_intensities(OUR_LABEL[codes], rng, knobs, np.full(len(codes), genuine))
    # EMFACS: contempt is R12A + R14A, a smile and a dimple on one side only.
    faces = np.flatnonzero(codes == CONTEMPT)
    side = rng.integers(0, 2, len(faces)) * NUM_UNITS
    strength = rng.uniform(knobs.weakest, knobs.strongest, (2, len(faces)))
    for unit, most, share in ((12, 2.8, strength[0]), (14, 4.8, strength[1])):
        intensities[faces, side + COLUMN_OF[unit]] = most * share
        intensities[faces, NUM_UNITS - side + COLUMN_OF[unit]] = 0.1 * most * share
    return intensities
