"""Finds the seven photos of a folder and opens them; making them grey, square and 48×48 is step 7b.

    for photo in find_photos("data/photos/train"):
        image = open_photo(photo.path)      # a PIL image, upright
        print(EMOTIONS[photo.label], image.size)

A photo's emotion is in its name (`happy.jpg`, `IMG_2041 sad.png`, JAFFE's `KA.AN1.39.jpg`) or in the name of the
subfolder that it lies in (`surprised/IMG_2044.jpg`). Pillow is told to read PNG and JPEG and nothing else: left to
guess by content, it hands a PostScript file named .png to Ghostscript.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from expressions.errors import DataError
from expressions.labels import EMOTIONS, NUM_CLASSES, emotion_in

# Phones reach 108 megapixels; a PNG of a few kilobytes can claim 10,000.
MAX_MEGAPIXELS = 120

_FORMATS = ("PNG", "JPEG")
_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".heic", ".heif", ".avif", ".webp", ".gif", ".bmp", ".tif", ".tiff")
    + (".svg", ".pdf", ".psd", ".dng", ".raw", ".cr2")
)
_LITTER = frozenset(("thumbs.db", "desktop.ini", "__macosx"))
_HEIC_FIX = (
    "export it as JPEG: on a Mac open it in Preview and choose File, Export; on an iPhone choose Settings, Camera,"
    " Formats, Most Compatible before you take the photo"
)


@dataclass(frozen=True)
class Photo:
    """A photo of one emotion.

    Attributes:
        path: Path of a PNG or JPEG file.
        label: int in 0 … 6, index into `EMOTIONS`.
    """

    path: Path
    label: int


def find_photos(folder):
    """Finds the photo of each emotion in a folder.

    Args:
        folder: str or Path of a folder with seven pictures, directly in it or in subfolders named after emotions.

    Returns:
        List of 7 `Photo`, sorted by label.

    Raises:
        DataError: an emotion is missing or there twice, a name speaks of none or of two, or a file is no PNG or JPEG
            picture; names the file and lists what was found.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = f"{folder} is a file." if folder.exists() else f"There is no folder {folder}."
        raise DataError(what, "a folder with seven photos", "check its spelling")

    photos, unnamed = [], []
    for path in _files(folder):
        kind = _kind(path)
        label = _emotion_of(path, folder)
        if kind is None and label is None and path.suffix.lower() not in _SUFFIXES:
            continue
        _check_kind(path, kind)
        if label is None:
            unnamed.append(path)
        else:
            photos.append(Photo(path, label))

    by_label = {label: [photo for photo in photos if photo.label == label] for label in range(NUM_CLASSES)}
    doubled = [label for label in by_label if len(by_label[label]) > 1]
    missing = [EMOTIONS[label] for label in by_label if not by_label[label]]
    if doubled or missing:
        raise _wrong_set(folder, by_label, doubled, missing, unnamed)
    if unnamed:
        raise DataError(
            f"{folder}: {_listed(folder, unnamed)} names no emotion.",
            f"seven pictures, each named after one of {', '.join(EMOTIONS)}",
            "move it out of the folder",
        )
    photos = [by_label[label][0] for label in range(NUM_CLASSES)]
    for photo in photos:
        _check_decodes(photo.path)
    return photos


def open_photo(path):
    """Opens a photo and turns it upright.

    Args:
        path: str or Path of a PNG or JPEG file, whatever its name.

    Returns:
        A `PIL.Image.Image` in the mode it is stored in ("RGB", "RGBA", "L", "P", "CMYK" …), turned as its EXIF
        orientation asks: phones store portraits lying on their side. A grey PNG with 16 bits a pixel comes as "L",
        0 to 255, for `convert("L")` would cut it off at 255 instead of scaling.

    Raises:
        DataError: the file is no PNG or JPEG, is damaged, or claims more than 120 megapixels.
    """
    path = Path(path)
    _check_kind(path, _kind(path))
    with _open(path) as image:
        return _eight_bits(_upright(_decoded(path, image)))


def _eight_bits(image):
    if not image.mode.startswith("I"):
        return image
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype("uint8"))


def _files(folder):
    """Returns the files of a folder and of its direct subfolders, without the litter of operating systems."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in _LITTER:
            continue
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [p for p in inside if p.is_file() and not p.name.startswith(".") and p.name.lower() not in _LITTER]
    return found


def _emotion_of(path, folder):
    """Returns the label that a photo's name, or else its subfolder's, speaks of; `None` if neither does."""
    own = _emotion_in_name(path, _without_suffixes(path.name))
    if path.parent == folder:
        return own
    of_folder = _emotion_in_name(path, path.parent.name)
    if own is not None and of_folder is not None and own != of_folder:
        raise DataError(
            f"{path} is named {EMOTIONS[own]} and lies in a folder named {EMOTIONS[of_folder]}.",
            "one emotion for each photo",
            "rename it or move it",
        )
    return of_folder if own is None else own


def _emotion_in_name(path, name):
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    # JAFFE's two-letter codes are also parts of ordinary names ("photo of an unhappy man"): whole words come first.
    for some in ([word for word in words if len(word) > 2], [word for word in words if len(word) <= 2]):
        try:
            label = emotion_in(" ".join(some))
        except ValueError:
            raise DataError(
                f"{path}: the name {name!r} speaks of two emotions.", "one emotion in a name", "rename it"
            ) from None
        if label is not None:
            return label
    return None


def _without_suffixes(name):
    stem = Path(name)
    while stem.suffix.lower() in _SUFFIXES:
        stem = stem.with_suffix("")
    return stem.name


def _wrong_set(folder, by_label, doubled, missing, unnamed):
    what = []
    if missing:
        what.append(f"no picture of {_and(missing)}")
    for label in doubled:
        what.append(
            f"{len(by_label[label])} of {EMOTIONS[label]} ({_listed(folder, [p.path for p in by_label[label]])})"
        )
    found = [photo.path for photos in by_label.values() for photo in photos]
    found = f"Found: {_listed(folder, found)}." if found else "Found none whose name speaks of an emotion."
    if unnamed:
        found += f" Without an emotion in the name: {_listed(folder, unnamed)}."

    halves = [name for name in ("train", "test") if (folder / name).is_dir()]
    if halves:
        fix = f"name the folder of one set: {folder / halves[0]}"
    elif missing and unnamed:
        fix = f"rename {unnamed[0].name} after its emotion, such as {missing[0].lower()}{unnamed[0].suffix.lower()}"
    elif missing:
        fix = f"add {missing[0].lower()}.jpg"
    else:
        fix = "keep one picture of each emotion"
    wanted = f"one picture of each: {', '.join(EMOTIONS)}"
    return DataError(f"{folder} has {'; '.join(what)}. {found}", wanted, fix)


def _and(names):
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])


def _listed(folder, paths):
    names = [str(path.relative_to(folder)) for path in paths]
    return ", ".join(names[:14]) + (f" and {len(names) - 14} more" if len(names) > 14 else "")


def _kind(path):
    """Returns what the first bytes say that a file is, or `None`."""
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "a PNG or JPEG file", "check the path") from None
    for kind, begins in _MAGIC:
        if start.startswith(begins):
            return kind
    if start[4:8] == b"ftyp":
        return "AVIF" if start[8:12] == b"avif" else "HEIC" if start[8:12] in _HEIC_BRANDS else "a video"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    return None if start else "an empty file"


_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_MAGIC = (
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("JPEG", b"\xff\xd8\xff"),
    ("GIF", b"GIF8"),
    ("BMP", b"BM"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("PDF", b"%PDF"),
    ("PostScript", b"%!PS"),
    ("Photoshop", b"8BPS"),
    ("SVG", b"<svg"),
    ("a web page", b"<!DOCTYPE html"),
    ("a web page", b"<html"),
    ("a Git LFS pointer", b"version https://git-lfs"),
)


def _check_kind(path, kind):
    if kind in _FORMATS:
        return
    if kind is None:
        what, fix = f"{path} is no picture.", "export it again as JPEG or PNG"
    elif kind in ("HEIC", "AVIF"):
        what, fix = f"{path} is a photo in {kind} format.", _HEIC_FIX
    elif kind == "an empty file":
        what, fix = f"{path} is an empty file.", "copy the photo again"
    else:
        what, fix = (
            f"{path} is {kind if kind.startswith('a ') else 'in ' + kind + ' format'}.",
            "export it as JPEG or PNG",
        )
    raise DataError(what, "a PNG or JPEG picture (renaming a file does not change its format)", fix)


def _open(path):
    import warnings

    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns of 89 megapixels, which good phones have, and of EXIF that does not matter here.
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=list(_FORMATS))
    except Image.DecompressionBombError:
        raise _too_large(path, "more than 179") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error):
        raise _damaged(path) from None
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        image.close()
        raise _too_large(path, f"{megapixels:,.0f}")
    return image


def _decoded(path, image):
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, MemoryError, struct.error, EOFError):
        raise _damaged(path) from None
    return image


def _check_decodes(path):
    with _open(path) as image:
        # A JPEG decodes at an eighth of its size in a twentieth of the time, and shows all the same if it is cut off.
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        _decoded(path, image)


def _upright(image):
    import warnings

    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        # Cameras and chat programs write EXIF that nobody can read; the picture itself is fine.
        upright = image.copy()
    return upright


def _damaged(path):
    return DataError(
        f"{path} is cut off or damaged.", "a PNG or JPEG that opens", "copy the photo again, or export it anew"
    )


def _too_large(path, megapixels):
    return DataError(
        f"{path} claims {megapixels} megapixels.", f"{MAX_MEGAPIXELS} megapixels at most", "save the photo smaller"
    )
