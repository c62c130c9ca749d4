"""Ways to read fer2013.csv."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from expressions.datasets import FER2013_CSV
from expressions.fer2013 import USAGES
from grader.benchmark import Case

TITLE = "from fer2013.csv to uint8 images (n, 48, 48)"
ALTERNATIVE = "pandas + fromstring"

# The usage column of FER-2013, for a file of the same size.
NUM_ROWS = (28_709, 3_589, 3_589)
HERE = "grader.benchmarks.fer2013"


@contextlib.contextmanager
def cases(quick):
    """Yields a sentence about the data, and the cases."""
    with tempfile.TemporaryDirectory() as folder:
        if FER2013_CSV.exists() and not quick:
            path = Path(folder) / "fer2013.csv"
            # A link, so that the cache of the benchmark is not the one beside the data.
            path.symlink_to(FER2013_CSV)
            note = f"the real file, {FER2013_CSV.stat().st_size / 1e6:.0f} MB"
        else:
            num_rows = (1_600, 200, 200) if quick else NUM_ROWS
            path = write_csv(Path(folder) / "fer2013.csv", num_rows)
            note = f"{sum(num_rows):,} rows of random pixels, {path.stat().st_size / 1e6:.0f} MB"
        load_checked_arrays_cached(str(path))
        yield (
            note,
            [
                Case(ALTERNATIVE, f"{HERE}:read_with_pandas", [str(path)], needs="pandas"),
                Case("split, int of each", f"{HERE}:read_with_split", [str(path)]),
                Case("line by line, fromstring", f"{HERE}:read_lines", [str(path)]),
                Case("ours: every row checked", f"{HERE}:load_checked_arrays", [str(path)]),
                Case("ours: from the cache", f"{HERE}:load_checked_arrays_cached", [str(path)]),
                Case("ours: strings for 1b", f"{HERE}:load_strings", [str(path)]),
            ],
        )


def write_csv(path, num_rows, seed=0):
    """Writes a csv of random pixels in Kaggle's layout.

    Args:
        path: where to.
        num_rows: how many rows of each usage.
        seed: int.

    Returns:
        The path.
    """
    random = np.random.default_rng(seed)
    # Some hundred different pictures in turn: the time to read a row does not depend on which pixels it holds.
    pictures = [" ".join(map(str, row)) for row in random.integers(0, 256, (256, 2304)).tolist()]
    with open(path, "w", encoding="ascii") as file:
        file.write("emotion,pixels,Usage\n")
        for usage, count in zip(USAGES, num_rows, strict=True):
            file.writelines(f"{row % 7},{pictures[row % len(pictures)]},{usage}\n" for row in range(count))
    return path


def read_with_pandas(path):
    """The way of most notebooks on this data set; nothing is checked."""
    import pandas

    table = pandas.read_csv(path)
    images = np.stack([np.fromstring(text, dtype=np.uint8, sep=" ") for text in table["pixels"]])
    return _summary(images.reshape(-1, 48, 48), table["emotion"].to_numpy())


def read_with_split(path):
    """Plain Python: an int for each pixel."""
    images, labels = [], []
    with open(path, encoding="ascii") as file:
        next(file)
        for line in file:
            emotion, pixels, _ = line.split(",")
            images.append(bytes(map(int, pixels.split(" "))))
            labels.append(int(emotion))
    return _summary(np.frombuffer(b"".join(images), np.uint8).reshape(-1, 48, 48), np.array(labels))


def read_lines(path):
    """Each line by `np.fromstring`; nothing is checked."""
    images, labels = [], []
    with open(path, encoding="ascii") as file:
        next(file)
        for line in file:
            emotion, pixels, _ = line.split(",")
            images.append(np.fromstring(pixels, dtype=np.uint8, sep=" "))
            labels.append(int(emotion))
    return _summary(np.concatenate(images).reshape(-1, 48, 48), np.array(labels))


def load_checked_arrays(path):
    """The kit's loader without its cache."""
    from expressions.fer2013_arrays import load_fer2013_arrays

    fer = load_fer2013_arrays(path, cache=False)
    return _summary(fer.images, fer.labels)


def load_checked_arrays_cached(path):
    """The kit's loader on its second call; summing up reads every pixel."""
    from expressions.fer2013_arrays import load_fer2013_arrays

    fer = load_fer2013_arrays(path)
    return _summary(fer.images, fer.labels)


def load_strings(path):
    """What a student's script loads."""
    from expressions.fer2013 import load_fer2013

    load_fer2013(path)


def _import_pandas():
    import pandas  # noqa: F401


def _import_loader():
    import expressions.fer2013_arrays  # noqa: F401


read_with_pandas.prepare = _import_pandas
load_checked_arrays.prepare = load_checked_arrays_cached.prepare = load_strings.prepare = _import_loader


def _summary(images, labels):
    return [*images.shape, int(images.sum(dtype=np.int64)), int(labels.sum(dtype=np.int64))]
