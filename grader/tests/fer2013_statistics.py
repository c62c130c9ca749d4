"""What must hold of any csv that claims to be FER-2013, real or synthetic: the tests of both call this."""

import numpy as np

from expressions.fer2013 import USAGES, load_fer2013
from expressions.fer2013_arrays import load_fer2013_arrays
from expressions.labels import EMOTIONS
from grader.reality.images import describe


def check_statistics(path, counts, ambiguous=0):
    """Loads a csv with both loaders and compares it with FER-2013.

    Args:
        path: csv.
        counts: dict from usage to dict from emotion to number of rows, as a manifest holds it.
        ambiguous: int, by how many rows a class may differ.
    """
    strings, arrays = load_fer2013(path), load_fer2013_arrays(path, cache=False)
    assert len(strings.labels) == len(arrays.labels) == sum(sum(part.values()) for part in counts.values())
    assert (strings.labels == arrays.labels).all()
    first = np.array(strings.pixel_strings[0].split(), np.uint8).reshape(48, 48)
    assert (first == arrays.images[0]).all()

    assert set(counts) <= set(USAGES)
    for usage, of_class in counts.items():
        images, labels = arrays.split(usage)
        found = np.bincount(labels, minlength=7)
        assert np.abs(found - [of_class[emotion] for emotion in EMOTIONS]).max() <= ambiguous
        if len(labels) < 100:
            continue
        # Happy is the largest class and Disgust the smallest, in every usage.
        assert EMOTIONS[found.argmax()] == "Happy"
        assert EMOTIONS[found.argmin()] == "Disgust"
        step = max(1, len(images) // 3000)
        measured = describe(images[::step], labels[::step])
        # FER-2013's medians: brightness 130, contrast 54, gradient 13.5, exponent of the spectrum -2.8.
        assert 110 < measured["mean"][2] < 150
        assert 44 < measured["contrast"][2] < 64
        assert 10 < measured["gradient"][2] < 17
        assert -3.3 < measured["slope"][2] < -2.3
        assert measured["black"] + measured["white"] < 0.08
        # A handful of FER-2013's pictures are blank; no more than one in two hundred may be nearly so.
        assert (images[::step].std((1, 2)) < 5).mean() < 0.005
