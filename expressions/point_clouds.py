"""Reads the course's point clouds: 1220 points of a face in metres, seven emotions for each person.

    clouds = load_point_clouds("data/iPhoneX/faces.py")
    clouds.points        # (num_clouds, 1220, 3) float32
    clouds.labels        # (num_clouds,) uint8, indices into EMOTIONS
    clouds.subject_ids   # (num_clouds,) str, who it is

`faces.py` is a Python file with one nested dict in it:

    face_samples = {"2018-03-11 18:48:11 +0000": {"angry": {"x": [...], "y": [...], "z": [...]}, ...}, ...}

It is read as text, by a grammar that knows nothing but this dict. Nothing in the file is ever run, the depth of
nesting is fixed, and 51 people (28 MB) take 0.3 s and 0.1 GB, where `ast.literal_eval` takes 10 s and 1.7 GB.
"""

import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expressions.errors import DataError
from expressions.labels import EMOTIONS, NUM_CLASSES, emotion_id

AXES = ("x", "y", "z")
LAYOUT = "face_samples = {subject: {emotion: {'x': [...], 'y': [...], 'z': [...]}}}"


@dataclass(frozen=True)
class PointClouds:
    """Point clouds of faces, one row per cloud.

    Attributes:
        points: float32 array `(num_clouds, num_points, 3)`; x, y, z in metres, ARKit face frame: x to the face's
            left, y up, z out of the face.
        labels: uint8 array `(num_clouds,)`, values 0 … 6.
        subject_ids: str array `(num_clouds,)`; clouds of one person share it.
    """

    points: np.ndarray
    labels: np.ndarray
    subject_ids: np.ndarray

    def __len__(self):
        return len(self.points)

    def select(self, rows):
        """Returns the clouds of some rows.

        Args:
            rows: int or bool array, or slice.

        Returns:
            A `PointClouds`.
        """
        return PointClouds(self.points[rows], self.labels[rows], self.subject_ids[rows])

    def first_subjects(self, num_subjects):
        """Returns the clouds of the first people, in the order in which they come.

        Args:
            num_subjects: int, at least 1.

        Returns:
            A `PointClouds`.

        Raises:
            DataError: `num_subjects` is below 1.
        """
        if num_subjects < 1:
            raise DataError(f"{num_subjects} subjects leave no cloud.", "at least 1 subject", "a larger number")
        _, first_rows = np.unique(self.subject_ids, return_index=True)
        chosen = self.subject_ids[np.sort(first_rows)[:num_subjects]]
        return self.select(np.isin(self.subject_ids, chosen))


def load_point_clouds(path):
    """Loads the clouds of a `faces.py` or of an npz with `points`, `labels` and `subject_ids`.

    Args:
        path: str or Path; which of the two it is shows in the content, not in the name.

    Returns:
        A `PointClouds`. From a `faces.py`: people in file order, the emotions of each in the order of `EMOTIONS`,
        whatever the order in the file.

    Raises:
        DataError: the file is neither, runs something, or holds a cloud that cannot be used; names the line, or the
            person and the emotion.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        fix = "name the file inside it" if path.is_dir() else "check the spelling of the path"
        raise DataError(f"{path} cannot be read: {error.strerror}.", "the path of faces.py or an npz", fix) from None
    if content.startswith(b"PK"):
        return _from_npz(path)
    return _from_python(path, content)


def save_point_clouds(path, clouds):
    """Writes clouds so that `load_point_clouds` reads the same ones.

    Args:
        path: str or Path; `.npz`, or `.py` for the layout of the course's file, with emotions in alphabetical order.
        clouds: `PointClouds`; for `.py`, with each emotion once for each person.

    Raises:
        DataError: the suffix is another, or the clouds are none that `load_point_clouds` would read.
    """
    path = Path(path)
    _check_arrays(path, clouds.points, clouds.labels, clouds.subject_ids)
    if path.suffix == ".npz":
        arrays = {
            "points": np.asarray(clouds.points, np.float32),
            "labels": np.asarray(clouds.labels, np.uint8),
            "subject_ids": np.asarray(clouds.subject_ids, np.str_),
        }
        _write(path, lambda file: np.savez_compressed(file, **arrays))
    elif path.suffix == ".py":
        text = _as_python(clouds)
        _write(path, lambda file: file.write(text.encode()))
    else:
        raise DataError(f"{path} ends in {path.suffix or 'nothing'}.", "a name that ends in .npz or .py", "faces.npz")


def _from_python(path, content):
    reader = _Reader(path, content)
    name = reader.assignment()
    faces = {}
    for subject in reader.keys("a person"):
        emotions = {}
        for key in reader.keys("an emotion", subject):
            try:
                label = emotion_id(key)
            except ValueError:
                raise reader.error(
                    f"{subject} has an emotion {key!r}", f"one of {', '.join(EMOTIONS)}", "correct its name"
                ) from None
            if label in emotions:
                raise reader.error(f"{subject} has {EMOTIONS[label]} twice", "each emotion once", "delete one of them")
            axes = {}
            for axis in reader.keys("x, y or z", subject, key):
                if axis not in AXES:
                    raise reader.error(f"{subject}, {key}: there is an axis {axis!r}", "x, y and z", "correct its name")
                axes[axis] = reader.numbers(f"{subject}, {key}, {axis}")
            emotions[label] = _cloud(path, subject, key, axes)
        missing = [EMOTIONS[label] for label in range(NUM_CLASSES) if label not in emotions]
        if missing:
            raise reader.error(
                f"{subject} has no {', no '.join(missing)}",
                f"all of {', '.join(EMOTIONS)} for each person",
                "add it, or delete this person from the file",
            )
        faces[subject] = emotions
    reader.end(name)
    if not faces:
        raise DataError(f"{path} holds no faces: {name} is empty.", LAYOUT, "download the file again")

    clouds = [(subject, label) for subject in faces for label in range(NUM_CLASSES)]
    sizes = np.array([len(faces[subject][label]) for subject, label in clouds])
    usual = np.bincount(sizes).argmax()
    if (sizes != usual).any():
        subject, label = clouds[np.flatnonzero(sizes != usual)[0]]
        raise DataError(
            f"{path}: {subject}, {EMOTIONS[label]} has {len(faces[subject][label])} points.",
            f"{usual} points, as in most clouds of this file",
            "delete this person from the file, or download it again",
        )
    return PointClouds(
        np.stack([faces[subject][label] for subject, label in clouds]),
        np.array([label for _, label in clouds], np.uint8),
        np.array([subject for subject, _ in clouds]),
    )


def _cloud(path, subject, emotion, axes):
    """Returns float32 `(num_points, 3)` from the three lists of one face."""
    where = f"{path}: {subject}, {emotion}"
    fix = "delete this person from the file, or download it again"
    missing = [axis for axis in AXES if axis not in axes]
    if missing:
        raise DataError(f"{where} has no {' and no '.join(missing)}.", "lists named x, y and z", fix)
    sizes = [len(axes[axis]) for axis in AXES]
    if len(set(sizes)) > 1 or sizes[0] == 0:
        counted = ", ".join(f"{size} {axis}" for size, axis in zip(sizes, AXES, strict=True))
        raise DataError(f"{where} has {counted}.", "as many x as y as z, at least one", fix)
    with np.errstate(over="ignore"):
        points = np.stack([axes[axis] for axis in AXES], axis=1).astype(np.float32)
    wrong = np.argwhere(~np.isfinite(points))
    if len(wrong):
        point, axis = wrong[0]
        raise DataError(
            f"{where}: {AXES[axis]} of point {point} is {axes[AXES[axis]][point]}.", "finite numbers, in metres", fix
        )
    return points


_CLOSING = {"[": "]", "(": ")"}


class _Reader:
    """Reads a dict of dicts of lists of numbers from Python source, piece by piece."""

    _BLANK = re.compile(r"(?:[ \t\r\n\f]+|#[^\n]*|\\\r?\n)*")
    _NAME = re.compile(r"([^\W\d]\w*)[ \t]*=(?!=)")
    _DOCSTRING = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""|\'\'\'(?:[^\'\\]|\\.|\'(?!\'\'))*\'\'\'', re.DOTALL)
    _STRING = re.compile(r"'([^'\\\n]*)'|\"([^\"\\\n]*)\"")

    def __init__(self, path, content):
        self.path = path
        try:
            self.text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise DataError(
                f"{path}, line {line}: this is not text in UTF-8.", f"the text {LAYOUT}", "download the file again"
            ) from None
        self.at = 0

    def assignment(self):
        """Reads as far as the value of `name = …`, past comments and a docstring; returns the name."""
        self._skip()
        docstring = self._DOCSTRING.match(self.text, self.at) or self._STRING.match(self.text, self.at)
        if docstring:
            self.at = docstring.end()
            self._skip()
        match = self._NAME.match(self.text, self.at)
        if match is None:
            raise self._unexpected("one assignment and nothing else: " + LAYOUT)
        self.at = match.end()
        return match[1]

    def keys(self, kind, *inside):
        """Yields the keys of a dict; the caller reads each value before it asks for the next key."""
        where = "".join(f"{name}, " for name in inside)
        if self._next() != "{":
            raise self._unexpected(f"{where}a dict whose keys are {kind}s" if inside else f"a dict: {LAYOUT}")
        self.at += 1
        seen = set()
        while self._next() != "}":
            key = self._STRING.match(self.text, self.at)
            if key is None:
                raise self._unexpected(f"{where}{kind} in quotes, without backslashes")
            name = key[1] if key[1] is not None else key[2]
            if name in seen:
                raise self.error(f"{where}{name!r} is there twice", "each key once", "delete one of them")
            seen.add(name)
            self.at = key.end()
            if self._next() != ":":
                raise self._unexpected(f"a colon after {name!r}")
            self.at += 1
            yield name
            if self._next() == ",":
                self.at += 1
            elif self._next() != "}":
                raise self._unexpected("a comma or a closing brace")
        self.at += 1

    def numbers(self, where):
        """Reads a list or tuple of numbers; returns float64 `(n,)`."""
        closing = _CLOSING.get(self._next())
        end = self.text.find(closing, self.at) if closing else -1
        if end < 0:
            raise self._unexpected(f"{where}: a list of numbers")
        body = self.text[self.at + 1 : end]
        if "#" in body:
            body = re.sub(r"#[^\n]*", "", body)
        items = body.split(",")
        if not items[-1].strip():
            items.pop()
        try:
            values = np.array(list(map(float, items)))
        except ValueError:
            wrong = next(item for item in items if not _is_number(item))
            self.at = self.text.find(wrong.strip(), self.at)
            raise self.error(
                f"{where}: there is {_shown(wrong)} among the numbers",
                "numbers only, in metres",
                "download the file again",
            ) from None
        self.at = end + 1
        return values

    def end(self, name):
        """Checks that nothing follows the dict."""
        while self._next() == ";":
            self.at += 1
        if self.at < len(self.text):
            raise self._unexpected(f"nothing after the dict {name}")

    def error(self, what, wanted, try_):
        line = self.text.count("\n", 0, self.at) + 1
        return DataError(f"{self.path}, line {line}: {what}.", wanted, try_)

    def _unexpected(self, wanted):
        self._skip()
        found = self.text[self.at : self.at + 200].split("\n")[0]
        if not found:
            return self.error("the file ends here", wanted, "download the file again: this copy is cut off")
        return self.error(
            f"there is {_shown(found)}",
            wanted,
            "take the line out, or download the file again. This file is read as data and nothing in it is ever run",
        )

    def _next(self):
        self._skip()
        return self.text[self.at : self.at + 1]

    def _skip(self):
        self.at = self._BLANK.match(self.text, self.at).end()


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(text):
    text = text.strip()
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _from_npz(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in ("points", "labels", "subject_ids") if name not in arrays]
            if missing:
                raise DataError(
                    f"{path} has no {' and no '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}.",
                    "an npz with points, labels and subject_ids",
                    "write it with expressions.point_clouds.save_point_clouds",
                )
            points, labels, subject_ids = (arrays[name] for name in ("points", "labels", "subject_ids"))
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise DataError(
            f"{path} cannot be read as an npz: {error}.", "an npz of plain arrays", "download or write the file again"
        ) from None
    _check_arrays(path, points, labels, subject_ids)
    return PointClouds(points.astype(np.float32), labels.astype(np.uint8), subject_ids.astype(np.str_))


def _check_arrays(path, points, labels, subject_ids):
    points, labels, subject_ids = np.asarray(points), np.asarray(labels), np.asarray(subject_ids)
    fix = "write the file with expressions.point_clouds.save_point_clouds"
    if points.ndim != 3 or points.shape[2] != 3 or 0 in points.shape or not np.issubdtype(points.dtype, np.floating):
        what = f"{path}: points is {points.dtype}, shape {points.shape}."
        raise DataError(what, "float32, shape (num_clouds, num_points, 3)", fix)
    if labels.shape != points.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        what = f"{path}: labels is {labels.dtype}, shape {labels.shape}."
        raise DataError(what, f"whole numbers, shape ({len(points)},), one per cloud", fix)
    if labels.min() < 0 or labels.max() >= NUM_CLASSES:
        what = f"{path}: labels run from {labels.min()} to {labels.max()}."
        raise DataError(what, f"0 to {NUM_CLASSES - 1}: {', '.join(EMOTIONS)}", fix)
    if subject_ids.shape != points.shape[:1] or subject_ids.dtype.kind not in "US":
        what = f"{path}: subject_ids is {subject_ids.dtype}, shape {subject_ids.shape}."
        raise DataError(what, f"str, shape ({len(points)},), one per cloud", fix)
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if wrong.size:
        row = wrong[0]
        what = f"{path}: {subject_ids[row]}, {EMOTIONS[labels[row]]} (cloud {row}) holds NaN or infinity."
        raise DataError(what, "finite numbers, in metres", "leave this cloud out")


def _as_python(clouds):
    people = {}
    for row, (subject, label) in enumerate(zip(clouds.subject_ids, clouds.labels, strict=True)):
        person = people.setdefault(str(subject), {})
        if int(label) in person:
            raise DataError(f"{subject} has {EMOTIONS[label]} twice.", "each emotion once per person", "save as .npz")
        person[int(label)] = row
    for subject, person in people.items():
        if re.search(r"[\\'\n]", subject):
            raise DataError(f"{subject!r} is no subject id for a .py file.", "no quote or backslash", "save as .npz")
        missing = [EMOTIONS[label] for label in range(NUM_CLASSES) if label not in person]
        if missing:
            raise DataError(f"{subject} has no {', '.join(missing)}.", "all seven emotions per person", "save as .npz")

    def axis_text(values):
        # str() of a float32 is the shortest text that reads back as the same float32.
        return "[" + ", ".join(map(str, np.asarray(values, np.float32))) + "]"

    alphabetical = sorted(range(NUM_CLASSES), key=lambda label: EMOTIONS[label])
    subjects = []
    for subject, person in people.items():
        emotions = []
        for label in alphabetical:
            columns = clouds.points[person[label]].T
            axes = ", ".join(f"'{axis}': {axis_text(values)}" for axis, values in zip(AXES, columns, strict=True))
            emotions.append(f"'{EMOTIONS[label].lower()}': {{{axes}}}")
        subjects.append(f"'{subject}': {{{', '.join(emotions)}}}")
    return f"face_samples = {{{', '.join(subjects)}}}\n"


def _write(path, write):
    """Writes under another name and renames, so that nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            write(file)
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            file.close()
            os.unlink(file.name)
            raise
