"""The one list of emotions, and the action units that make each of them.

A label is an index into `EMOTIONS`, in the order of FER-2013's `emotion` column. Everything in the kit that
speaks of an emotion takes it from here.

Sources: Goodfellow et al. 2013 (arXiv 1307.0414) for the order; Ekman, Friesen and Hager, "Facial Action Coding
System", 2002, and EMFACS for the action units.
"""

import re

EMOTIONS = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")
NUM_CLASSES = len(EMOTIONS)
NEUTRAL = EMOTIONS.index("Neutral")

# Action unit number -> name in the FACS manual: the 17 whose intensity OpenFace measures, and three that EMFACS needs.
ACTION_UNITS = {
    1: "Inner brow raiser",
    2: "Outer brow raiser",
    4: "Brow lowerer",
    5: "Upper lid raiser",
    6: "Cheek raiser",
    7: "Lid tightener",
    9: "Nose wrinkler",
    10: "Upper lip raiser",
    12: "Lip corner puller",
    14: "Dimpler",
    15: "Lip corner depressor",
    16: "Lower lip depressor",
    17: "Chin raiser",
    20: "Lip stretcher",
    23: "Lip tightener",
    25: "Lips part",
    26: "Jaw drop",
    28: "Lip suck",
    45: "Blink",
}

# OpenFace reports an intensity from 0 to 5 for these, in columns named AU01_r … AU45_r.
OPENFACE_ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)

# Emotion -> action units of its prototype. A neutral face shows none.
EMFACS = {
    "Angry": (4, 5, 7, 23),
    "Disgust": (9, 15, 16),
    "Fear": (1, 2, 4, 5, 7, 20, 26),
    "Happy": (6, 12),
    "Sad": (1, 4, 15),
    "Surprise": (1, 2, 5, 26),
    "Neutral": (),
}

# Ways in which people write the seven names, lower case, without the name itself.
SPELLINGS = {
    "Angry": ("anger", "angry face", "an", "mad"),
    "Disgust": ("disgusted", "di"),
    "Fear": ("fearful", "afraid", "scared", "fe"),
    "Happy": ("happiness", "joy", "ha", "smile"),
    "Sad": ("sadness", "sa"),
    "Surprise": ("surprised", "su"),
    "Neutral": ("ne", "normal"),
}

_ID_OF_SPELLING = {
    spelling: index for index, name in enumerate(EMOTIONS) for spelling in (name.lower(), *SPELLINGS[name])
}


def emotion_id(name):
    """Returns the label of an emotion's name.

    Args:
        name: str, any spelling in `SPELLINGS`, in any case: `"Happy"`, `"happiness"`, `" JOY "`.

    Returns:
        int in 0 … 6, the index into `EMOTIONS`.

    Raises:
        ValueError: the name is none of the seven.
    """
    label = _ID_OF_SPELLING.get(" ".join(str(name).lower().split()))
    if label is None:
        raise ValueError(f"{name!r} is no emotion of this project. Wanted one of {', '.join(EMOTIONS)}.")
    return label


def emotion_in(text):
    """Finds the emotion that a file or folder name speaks of.

    Args:
        text: str, such as `"IMG_happy-2.jpg"` or `"KA.AN1.39"`; words are runs of letters.

    Returns:
        int in 0 … 6, or `None` if no word is an emotion's name.

    Raises:
        ValueError: two words name different emotions, as in `"sad_to_happy"`.
    """
    words = re.findall(r"[a-z]+", str(text).lower())
    found = {_ID_OF_SPELLING[word] for word in words if word in _ID_OF_SPELLING}
    if len(found) > 1:
        names = " and ".join(EMOTIONS[label] for label in sorted(found))
        raise ValueError(f"{text!r} names {names}. Wanted one emotion in a name: rename it.")
    return found.pop() if found else None
