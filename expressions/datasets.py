"""Which data a script uses: the file that you name, else the real one if it is in place, else the synthetic class."""

from pathlib import Path

from expressions.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
FER2013_CSV = ROOT / "data" / "kaggle_fer2013" / "fer2013.csv"
FACES = (ROOT / "data" / "iPhoneX" / "faces.py", ROOT / "data" / "iPhoneX" / "faces.npz")
PHOTOS = ROOT / "data" / "photos"


def find_fer2013(path=None):
    """Finds the csv of pictures for task 1.

    Args:
        path: a csv in FER-2013's format, or `None` to choose.

    Returns:
        `(path, description)`: a `pathlib.Path`, and one sentence that says which data it is.

    Raises:
        DataError: there is no such file.
    """
    if path is not None:
        return _existing(path), f"Data: {path}"
    if FER2013_CSV.exists():
        return FER2013_CSV, f"Data: FER-2013, {_inside_root(FER2013_CSV)}"
    from expressions.synthetic import ensure_fer2013

    return ensure_fer2013(), f"Data: the synthetic class, because there is no {_inside_root(FER2013_CSV)}"


def find_faces(path=None):
    """Finds the point clouds for task 3.

    Args:
        path: a `faces.py` or an npz, or `None` to choose.

    Returns:
        `(path, description)`, as `find_fer2013`.

    Raises:
        DataError: there is no such file.
    """
    if path is not None:
        return _existing(path), f"Data: {path}"
    for real in FACES:
        if real.exists():
            return real, f"Data: the course's point clouds, {_inside_root(real)}"
    from expressions.synthetic import ensure_faces

    return ensure_faces(), f"Data: the synthetic class, because there is no {_inside_root(FACES[0])}"


def find_photo_folders(path=None):
    """Finds the folder that holds `train` and `test`, seven photos each, for task 2.

    Args:
        path: a folder with subfolders `train` and `test`, or `None` to choose.

    Returns:
        `(path, description)`, as `find_fer2013`.

    Raises:
        DataError: a folder is missing, or only one of the two has photos in it.
    """
    folder = PHOTOS if path is None else _existing(path)
    filled = {name: _has_files(folder / name) for name in ("train", "test")}
    if all(filled.values()):
        return folder, f"Data: your photos in {_inside_root(folder)}"
    if path is None and not any(filled.values()):
        from expressions.synthetic import ensure_photos

        return ensure_photos(), f"Data: a synthetic person, because there are no photos in {_inside_root(folder)}/train"
    missing = [name for name, has_files in filled.items() if not has_files]
    raise DataError(
        f"{folder} has no photos in {' and '.join(missing)}.",
        "seven photos in train and seven others in test",
        "put them there, named after their emotion: happy.jpg, sad.jpg, … (handout steps 5 and 6)",
    )


def _existing(path):
    path = Path(path)
    if not path.exists():
        raise DataError(f"There is no {path}.", "the path of a file or folder that exists", "check its spelling")
    return path


def _has_files(folder):
    return folder.is_dir() and any(not entry.name.startswith(".") for entry in folder.iterdir())


def _inside_root(path):
    path = Path(path)
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
