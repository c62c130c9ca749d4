"""Reads fer2013.csv and checks every row of it; turning the pixel strings into images is steps 1b and 1c.

The file has a header and one row per picture, in columns `emotion` (0 … 6), `pixels` (2304 whole numbers from 0 to
255, separated by spaces: 48 rows of 48) and `Usage` (Training, PublicTest or PrivateTest).

    fer = load_fer2013("data/kaggle_fer2013/fer2013.csv")   # about 4 seconds and 0.4 GB for the 35,887 rows
    pixel_strings, labels = fer.split("Training")

Source: Goodfellow et al. 2013, "Challenges in representation learning", arXiv 1307.0414.
"""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from expressions.errors import DataError
from expressions.labels import EMOTIONS, NUM_CLASSES

USAGES = ("Training", "PublicTest", "PrivateTest")
COLUMNS = ("emotion", "pixels", "Usage")
IMAGE_SIZE = 48
NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE

_LABELS = {str(label): label for label in range(NUM_CLASSES)}
_USAGES = {usage: usage for usage in USAGES}
_PIXEL_VALUES = frozenset(str(value) for value in range(256))
_DOWNLOAD = "download the file again, unzip it, and leave it as it is (not opened and saved by a spreadsheet)"


@dataclass(frozen=True)
class Fer2013:
    """The rows of a csv, in file order.

    Attributes:
        pixel_strings: list of n str, each 2304 numbers from 0 to 255 with spaces between them.
        labels: uint8 array `(n,)`, values 0 … 6, indices into `EMOTIONS`.
        usage: str array `(n,)`, values in `USAGES`.
        path: where they come from.
    """

    pixel_strings: list
    labels: np.ndarray
    usage: np.ndarray
    path: Path

    def split(self, name):
        """Returns the rows of one usage.

        Args:
            name: str, one of `USAGES`.

        Returns:
            `(pixel_strings, labels)`: a list of str, and a uint8 array of the same length.

        Raises:
            DataError: there is no such usage, or the file has no row of it.
        """
        rows = select_usage(self.usage == name, name, self.path)
        return [self.pixel_strings[row] for row in rows], self.labels[rows]


def load_fer2013(path, limit=None):
    """Loads the pictures of a csv as pixel strings.

    Args:
        path: str or Path of the csv; its columns may stand in any order, among others.
        limit: int or `None`; keep the first `limit` rows of each usage (the pixels of the others are not checked).

    Returns:
        A `Fer2013`.

    Raises:
        DataError: the file is no such csv, or a row of it is wrong; names the file, the line and the fix.
    """
    labels, pixel_strings, usage = [], [], []
    for label, pixels, row_usage in read_rows(path, _checked, limit):
        labels.append(label)
        pixel_strings.append(pixels)
        usage.append(row_usage)
    return Fer2013(pixel_strings, np.array(labels, np.uint8), np.array(usage), Path(path))


def read_rows(path, convert, limit=None):
    """Reads a csv row by row.

    Args:
        path: str or Path of the csv.
        convert: function that turns the text of the `pixels` column into what the caller keeps, or returns `None` for
            a text that is not 2304 numbers from 0 to 255.
        limit: as in `load_fer2013`.

    Yields:
        `(label, converted, usage)` for each row, in file order: int in 0 … 6, whatever `convert` returned, str.

    Raises:
        DataError: as in `load_fer2013`.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}.", "a number of rows, at least 1, or None for all", "limit=100")
    _check_is_text(path)

    room = dict.fromkeys(USAGES, float("inf") if limit is None else limit)
    # utf-8-sig drops the byte-order mark that spreadsheets write; universal newlines take care of CRLF.
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        emotion_at, pixels_at, usage_at, num_columns = _find_columns(path, file.readline(65_536))
        found = False
        for line_number, line in enumerate(file, start=2):
            fields = line.split(",")
            if len(fields) != num_columns:
                if not line.strip():
                    continue
                raise _row_error(path, line_number, line, f"{_count(len(fields), 'column')}", f"{num_columns} columns")
            usage = _USAGES.get(_bare(fields[usage_at]))
            label = _LABELS.get(_bare(fields[emotion_at]))
            if usage is None:
                what = f"Usage is {_shown(fields[usage_at])}"
                raise _row_error(path, line_number, line, what, f"one of {', '.join(USAGES)}")
            if label is None:
                what = f"emotion is {_shown(fields[emotion_at])}"
                wanted = "a whole number from 0 to 6: " + ", ".join(f"{i} {name}" for i, name in enumerate(EMOTIONS))
                raise _row_error(path, line_number, line, what, wanted)
            found = True
            if room[usage] == 0:
                continue
            room[usage] -= 1
            pixels = _bare(fields[pixels_at])
            converted = convert(pixels)
            if converted is None:
                raise _row_error(
                    path,
                    line_number,
                    line,
                    _fault_of(pixels),
                    f"{NUM_PIXELS} whole numbers from 0 to 255, spaces between",
                )
            yield label, converted, usage
    if not found:
        raise DataError(f"{path} has a header and no rows.", "one row per picture after the header", _DOWNLOAD)


def select_usage(rows, name, path):
    """Returns the indices of a usage's rows, or raises if there are none.

    Args:
        rows: bool array `(n,)`, true where the row has this usage.
        name: str, the usage.
        path: Path of the csv, for the message.

    Returns:
        int array of row indices, in file order.

    Raises:
        DataError: the name is none of `USAGES`, or no row has it.
    """
    if name not in USAGES:
        raise DataError(f"There is no usage {name!r}.", f"one of {', '.join(USAGES)}", 'split("Training")')
    indices = np.flatnonzero(rows)
    if indices.size == 0:
        raise DataError(f"{path} has no rows of {name}.", f"some rows whose Usage is {name}", _DOWNLOAD)
    return indices


def _checked(pixels):
    values = pixels.split()
    return pixels if len(values) == NUM_PIXELS and _PIXEL_VALUES.issuperset(values) else None


def _fault_of(pixels):
    values = pixels.split()
    for index, value in enumerate(values):
        if value not in _PIXEL_VALUES:
            return f"pixel {index} is {_shown(value)}"
    return f"{_count(len(values), 'pixel value')}"


def _row_error(path, line_number, line, what, wanted):
    if not line.endswith("\n"):
        what = f"the file ends in the middle of the row ({what})"
        fix = "download the file again: this copy is cut off"
    else:
        fix = f"correct or delete line {line_number}, or {_DOWNLOAD}"
    return DataError(f"{path}, line {line_number}: {what}.", wanted, fix)


def _find_columns(path, header):
    names = [_bare(name) for name in header.split(",")]
    lower = [name.lower() for name in names]
    missing = [column for column in COLUMNS if column.lower() not in lower]
    if missing:
        separators = [separator for separator in (";", "\t") if separator in header]
        fix = "export it with commas between the columns" if separators else _DOWNLOAD
        raise DataError(
            f"{path}, line 1: no column named {' or '.join(missing)}; the header is {_shown(header)}.",
            f"the header {','.join(COLUMNS)} (any order)",
            fix,
        )
    return *(lower.index(column.lower()) for column in COLUMNS), len(names)


def _check_is_text(path):
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except IsADirectoryError:
        inside = path / "fer2013.csv"
        fix = f"name the file: {inside}" if inside.exists() else "name the csv file inside it"
        raise DataError(f"{path} is a folder.", "the path of a csv file", fix) from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", "the path of fer2013.csv", "check the spelling of the path"
        ) from None
    wanted = f"a text file whose first line is {','.join(COLUMNS)}"
    if not start.strip():
        raise DataError(f"{path} is empty.", wanted, "download the file again")
    for begins, kind, fix in chain(_NOT_CSV, _UNREADABLE_TEXT):
        if start.lstrip().lower().startswith(begins):
            raise DataError(f"{path} is {kind}, whatever its name says.", wanted, fix)
    if b"\0" in start:
        raise DataError(f"{path} is a binary file.", wanted, "download fer2013.csv again")


_UNZIP = "unpack it, and use the fer2013.csv inside"
_NOT_CSV = (
    (b"pk\x03\x04", "a zip archive", _UNZIP),
    (b"\x1f\x8b", "a gzip archive", _UNZIP),
    (b"7z\xbc\xaf", "a 7z archive", _UNZIP),
    (b"<!doctype html", "a web page", "log in on the download page first, then download again"),
    (b"<html", "a web page", "log in on the download page first, then download again"),
    (b"<?xml", "an XML page", "log in on the download page first, then download again"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
)
_UNREADABLE_TEXT = (
    (b"\xff\xfe", "text in UTF-16", "save it as UTF-8 or download it again"),
    (b"\xfe\xff", "text in UTF-16", "save it as UTF-8 or download it again"),
)


def _bare(field):
    return field.strip().strip('"').strip()


def _shown(text):
    text = text.strip()
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"
