"""What a student reads: the kinds of files, and words for sizes, shapes and names of unknown authors."""

import re

KINDS = {
    "hdf5-model": "a Keras model in HDF5",
    "hdf5-weights": "weights without an architecture, in HDF5",
    "hdf5-architecture": "an architecture without weights, in HDF5",
    "keras-zip": "a Keras 3 model in the .keras format (a zip)",
    "lfs-pointer": "a Git LFS pointer, not the model",
    "html": "a web page",
    "utf8-mangled": "an HDF5 file destroyed by a conversion to text",
    "python-source": "Python source code",
    "pickle": "a Python pickle",
    "empty": "an empty file",
    "truncated": "the beginning of a file",
    "other-hdf5": "an HDF5 file, but not a model",
    "unknown": "nothing that we know as a model",
}


# Stands for the name of the file at hand until `name_file` puts it in. No quoted text can hold it: `show` removes it.
THIS_NAME = "\0"
THIS_FILE = THIS_NAME + ".h5"
A_MODEL_FILE = f'a model that Keras saved with `model.save("{THIS_FILE}")`'


class Refused(Exception):
    """Stops the audit at a point after which nothing more can be learnt."""

    def __init__(self, code, what, wanted, try_):
        super().__init__(code)
        self.reason = {"code": code, "what": what, "wanted": wanted, "try": try_}


def printable(value):
    """Returns text of an unknown author without line ends, codes for the terminal and other invisible characters."""
    return "".join(character if character.isprintable() else "?" for character in str(value))


def show(value, length=60):
    """Quotes text of an unknown author: printable and short."""
    text = printable(value)
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def name_file(result, name):
    """Puts the name of the file at hand into all sentences of a verdict.

    Args:
        result: dict of `audit`; changed in place.
        name: str, under which the file was handed in; an ending such as `.h5` is left out.
    """
    stem = re.sub(r"(\.(h5|hdf5|hdf|keras|weights|model|zip|gz|crdownload|part))*$", "", name, flags=re.IGNORECASE)
    stem = "".join(character if character.isalnum() or character in " ._-()" else "?" for character in stem[:60])
    for sentence in result["reasons"] + result["notes"]:
        for key, text in sentence.items():
            sentence[key] = text.replace(THIS_NAME, stem.strip() or "model")


def product(shape):
    """Multiplies the sizes of a shape."""
    total = 1
    for size in shape:
        total *= size
    return total


def plural(count, noun):
    """Writes `1 layer`, `2,000 layers`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def byte_size(count):
    """Writes `96 bytes`, `1.5 MB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return plural(count, "byte")


def shape_text(shape):
    """Writes `(any, 48, 48, 1)`; several shapes with commas between."""
    if shape is None:
        return "unknown"
    if shape and isinstance(shape[0], (list, tuple)):
        return ", ".join(shape_text(one) for one in shape)
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
