"""Checks of steps 5 to 7: the photos, how they are read, and what the network makes of them."""

from pathlib import Path

import numpy as np
import pytest

from expressions.labels import EMOTIONS, emotion_in
from grader.outcome import Failed

# Grey conversions (luminance, mean of channels) and resampling filters differ; two different photos differ by far more.
MAX_MEAN_DIFFERENCE = 0.08


def expect_seven(work, probe, folder):
    """Fails unless a folder of the submission gave seven pictures with seven labels."""
    if work.evidence.probes["load_photos"]["status"] == "todo":
        work.facts("load_photos")
    if work.evidence.probes[probe]["status"] not in ("ok", "missing"):
        # The code is judged by 7b; here only the photos are.
        names = [Path(name) for name in work.evidence.submission["files"] if name.startswith(f"{folder}/")]
        if {emotion_in(name.stem) for name in names} == set(range(7)):
            return
    if work.evidence.probes[probe]["status"] == "missing":
        raise Failed(
            f"the submission has no folder {folder}",
            "seven photos of you, one per emotion, named after it",
            f"put them into {folder} in the zip",
        )
    labels = work.array(probe, "labels")
    if sorted(np.ravel(labels).tolist()) != list(range(7)):
        names = [EMOTIONS[int(label)] for label in np.ravel(labels) if 0 <= int(label) < 7]
        raise Failed(f"labels {', '.join(names)}", "each emotion once", f"look at the file names in {folder}")


@pytest.mark.item("5")
def test_seven_training_photos(work):
    """There are seven training photos, one per emotion."""
    expect_seven(work, "load_photos_train", "photos/train")


@pytest.mark.item("6")
def test_seven_other_test_photos(work):
    """There are seven test photos, and they are not the training photos."""
    expect_seven(work, "load_photos_test", "photos/test")
    both = [work.evidence.probes[f"load_photos_{part}"]["status"] for part in ("train", "test")]
    if both == ["ok", "ok"]:
        train = work.array("load_photos_train", "images").reshape(7, -1)
        test = work.array("load_photos_test", "images").reshape(7, -1)
        same = int((np.abs(train[:, np.newaxis] - test[np.newaxis]).max(axis=2).min(axis=0) < 1e-6).sum())
        if same:
            raise Failed(
                f"{same} of the test photos are also training photos",
                "seven photos that the network has not seen",
                "take new ones, and check that load_photos reads the folder that it is given",
            )


@pytest.mark.item("7b")
def test_photos_become_grey_pictures(work):
    """Photos of any size and colour become grey (7, 48, 48, 1) float32 in [0, 1], with their own labels."""
    images, labels = work.array("load_photos", "images"), work.array("load_photos", "labels")
    if images.shape != (7, 48, 48, 1):
        raise Failed(f"images of shape {images.shape}", "(7, 48, 48, 1)", "make each photo grey and 48 × 48")
    if images.dtype != np.float32 and images.min() >= 0 and images.max() <= 1:
        raise Failed(f"{images.dtype}", "float32", 'images.astype("float32")', fraction=0.8)
    if images.dtype != np.float32 or images.min() < 0 or images.max() > 1:
        num_outside = int(((images.min(axis=(1, 2, 3)) < 0) | (images.max(axis=(1, 2, 3)) > 1)).sum())
        raise Failed(
            f"{images.dtype}; {num_outside} of 7 pictures outside 0 to 1,"
            f" values from {images.min():.4g} to {images.max():.4g}",
            "float32 from 0.0 to 1.0",
            "divide by 255; if only some are outside, open with open_photo: a PNG may have 16 bits a pixel",
            fraction=(7 - num_outside) / 7 if images.dtype == np.float32 else 0.0,
        )
    if labels.shape != (7,) or sorted(labels.tolist()) != list(range(7)):
        raise Failed(f"labels {labels.tolist()}", "(7,), each of 0 … 6 once", "take them from find_photos")
    expected = work.evidence.arrays["load_photos.expected"][labels.astype(int)]  # (7, 48, 48, 1), in order of labels
    differences = np.abs(images - expected).mean(axis=(1, 2, 3))
    wrong = [EMOTIONS[int(label)] for label, off in zip(labels, differences) if off > MAX_MEAN_DIFFERENCE]
    if wrong:
        raise Failed(
            f"the pictures labelled {', '.join(wrong)} do not show those photos ({7 - len(wrong)} of 7 do)",
            "each photo with its own label, upright, from black 0.0 to white 1.0",
            "append picture and label in the same loop; open with open_photo, which turns photos upright",
            fraction=(7 - len(wrong)) / 7,
        )
    other = work.array("load_photos_other", "images")
    if other.shape == images.shape and np.array_equal(other, images):
        raise Failed(
            "two different folders give the same seven pictures",
            "the photos of the folder that load_photos is given",
            "use the argument `folder`, not a fixed path",
        )
    other_labels = work.array("load_photos_other", "labels")
    expected = work.evidence.arrays["load_photos_other.expected"][other_labels.astype(int)]
    if not np.all(np.abs(other - expected).mean(axis=(1, 2, 3)) <= MAX_MEAN_DIFFERENCE):
        raise Failed(
            "in a second folder, with other file names, the labels do not fit the pictures",
            "labels read anew for each folder",
            "do not keep labels in a variable outside load_photos",
        )


@pytest.mark.item("7c")
def test_network_learns_from_seven_photos(work):
    """Personalize trains the model: the seven photos are read better than before."""
    facts = work.facts("personalize")
    if not facts["is_model"]:
        raise Failed(f"personalize returned {facts['returned']}", "the fine-tuned keras.Model", "return the model")
    before, after = work.array("personalize", "before"), work.array("personalize", "after")  # (7, 7) each
    if after.shape != before.shape:
        raise Failed(f"predictions of shape {after.shape}", f"{before.shape}", "keep the last layer's 7 units")
    if not facts["weights_changed"]:
        raise Failed("every weight is as before", "a model that has learned", "train it on images and labels")
    labels = work.evidence.arrays["personalize.labels"].astype(int)
    rows = np.arange(len(labels))
    if not after[rows, labels].mean() > before[rows, labels].mean():
        raise Failed(
            f"the photos' own emotions get {after[rows, labels].mean():.2f} of the probability,"
            f" {before[rows, labels].mean():.2f} before",
            "more than before",
            "check that labels and images belong together; try a smaller learning rate",
        )
