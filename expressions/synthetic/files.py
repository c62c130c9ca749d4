"""Writes the synthetic class in the real file formats, and keeps one copy of each preset.

`ensure_*` makes a file on first use, under `data/synthetic/<preset>/` or in `$EXPRESSIONS_CACHE/<preset>/`, and finds
it there afterwards. A file appears whole or not at all, and is made again when the generator, the seed or a size has
changed since; `manifest.json` beside it says what it was made from.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import numpy as np
from PIL import Image

from expressions.labels import EMOTIONS
from expressions.synthetic.presets import PRESETS, preset_of

ROOT = Path(__file__).resolve().parents[2]
# Raise it whenever the same seed would give other faces: every cached file is then made again.
GENERATOR_VERSION = 4
USAGES = ("Training", "PublicTest", "PrivateTest")
_PORTRAIT_TAKES = {"train": 0, "test": 1}


class Progress:
    """One line on stderr that counts up: rewritten in place on a terminal, else printed when it starts and ends.

    Args:
        title: str.
    """

    def __init__(self, title):
        self.title, self._last = title, -1

    def __call__(self, done, total):
        """Says that `done` of `total` are finished."""
        percent = 100 * done // total
        if sys.stderr.isatty():
            if percent != self._last:
                end = "\n" if done == total else ""
                print(f"\r{self.title}: {done} of {total}", end=end, file=sys.stderr, flush=True)
        elif self._last < 0 or done == total:
            print(f"{self.title}: {done} of {total}", file=sys.stderr, flush=True)
        self._last = percent


def divide(num_images):
    """Divides images among the usages as FER-2013 does (8 : 1 : 1): dict from usage to number."""
    held_out = num_images // 10
    return {"Training": num_images - 2 * held_out, "PublicTest": held_out, "PrivateTest": held_out}


def write_fer2013(path, num_images, seed, knobs=None, preset="default", jobs=None, progress=None):
    """Writes a csv in the layout of Kaggle's fer2013.csv.

    Args:
        path: where to write.
        num_images: dict from usage to number of images.
        seed: int.
        knobs: ImageKnobs that override the preset's, or None.
        preset: str or Preset whose difficulty to take.
        jobs: int, number of processes; None takes all cores.
        progress: None, or a function of `(num_done, num_images)`.
    """
    from expressions.synthetic.images import make_images

    texts = [str(value) for value in range(256)]
    total, finished = sum(num_images.values()), 0
    with _replacing(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as csv:
        csv.write("emotion,pixels,Usage\n")
        for number, usage in enumerate(USAGES):
            if not num_images[usage]:
                continue

            def report(done, _, before=finished):
                progress(before + done, total)

            images, labels, _ = make_images(
                num_images[usage], [seed, number], preset, knobs, usage, jobs, report if progress else None
            )
            for image, label in zip(images, labels, strict=True):
                csv.write(f"{label},{' '.join(map(texts.__getitem__, image.tobytes()))},{usage}\n")
            finished += num_images[usage]


def write_faces(path, num_subjects, seed, preset="default", progress=None):
    """Writes point clouds as `faces.py` (the course's layout) or `.npz`, by the name's ending.

    Args:
        path: where to write.
        num_subjects: int.
        seed: int.
        preset: str or Preset whose difficulty to take.
        progress: None, or a function of `(num_done, num_subjects)`.
    """
    from expressions.point_clouds import save_point_clouds
    from expressions.synthetic.clouds import make_clouds

    if Path(path).suffix not in (".py", ".npz"):
        raise ValueError(f"{path} ends in {Path(path).suffix!r}. Wanted .py or .npz.")
    clouds = make_clouds(num_subjects, seed, preset)
    with _replacing(path) as temporary:
        save_point_clouds(temporary, clouds)
    if progress:
        progress(num_subjects, num_subjects)


def write_photos(folder, subject, progress=None):
    """Writes `train/` and `test/`, seven portraits of one person each, named after their emotions.

    Args:
        folder: where to write; files of the same names are replaced.
        subject: int, who it is.
        progress: None, or a function of `(num_done, num_photos)`.
    """
    from expressions.synthetic.portraits import make_portraits

    total = len(_PORTRAIT_TAKES) * len(EMOTIONS)
    for part, take in _PORTRAIT_TAKES.items():
        (Path(folder) / part).mkdir(parents=True, exist_ok=True)
        portraits, labels = make_portraits(subject, take)
        for portrait, label in zip(portraits, labels, strict=True):
            Image.fromarray(portrait).save(Path(folder) / part / f"{EMOTIONS[label].lower()}.png", compress_level=3)
        if progress:
            progress((take + 1) * len(EMOTIONS), total)


@contextlib.contextmanager
def _replacing(path):
    """Gives a temporary path beside `path`, and moves it there if nothing went wrong."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays, because it decides the format.
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        try:
            os.replace(temporary, path)
        except OSError:
            # Another process put its own folder there in the meantime; it holds the same files.
            if not path.is_dir():
                raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def cache_folder(preset, root=None):
    """Returns the folder of a preset's files, and makes it.

    Args:
        preset: str, a name in `PRESETS`.
        root: folder that holds the presets, or None for `$EXPRESSIONS_CACHE`, else `data/synthetic` of the kit, else
            (where the kit is read-only) a folder of the user among the system's temporary files.

    Returns:
        `pathlib.Path`.
    """
    preset_of(preset)
    root = root or os.environ.get("EXPRESSIONS_CACHE")
    if root:
        folder = Path(root) / preset
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = ROOT / "data" / "synthetic" / preset
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"expressions-synthetic-{user}" / preset
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _recipe(kind, preset):
    """Returns what a cached file was made from, as JSON-able values."""
    settings = dataclasses.asdict(PRESETS[preset])
    wanted = {
        "fer2013": ("num_images", "images"),
        "faces": ("num_subjects", "clouds"),
        "photos": (),
    }[kind]
    digest = hashlib.sha256(json.dumps({name: settings[name] for name in wanted}, sort_keys=True).encode())
    sizes = {name: settings[name] for name in wanted if name.startswith("num_")}
    seed = settings["subject" if kind == "photos" else "seed"]
    return {"generator": GENERATOR_VERSION, "seed": seed, **sizes, "settings": digest.hexdigest()[:16]}


def _manifest(folder):
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _ensure(kind, name, preset, root, jobs):
    folder = cache_folder(preset, root)
    path, recipe = folder / name, _recipe(kind, preset)
    if path.exists() and _manifest(folder).get(kind) == recipe:
        return path
    if "tensorflow" in sys.modules:
        # TensorFlow has started threads, and forking workers beside them can deadlock: let a fresh process do it.
        command = [
            sys.executable,
            "-m",
            "expressions.synthetic",
            kind,
            "--preset",
            preset,
            "--cache",
            str(folder.parent),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return path
    settings = PRESETS[preset]
    if kind == "fer2013":
        write_fer2013(
            path,
            settings.num_images,
            settings.seed,
            preset=preset,
            jobs=jobs,
            progress=Progress(f"Making the synthetic class ({preset}), images"),
        )
    elif kind == "faces":
        progress = Progress(f"Making the synthetic class ({preset}), people with 7 point clouds each")
        write_faces(path, settings.num_subjects, settings.seed, preset, progress)
    else:
        with _replacing(path) as temporary:
            write_photos(temporary, settings.subject, Progress(f"Making the synthetic class ({preset}), portraits"))
    with _replacing(folder / "manifest.json") as temporary:
        temporary.write_text(json.dumps({**_manifest(folder), kind: recipe}, indent=1) + "\n", encoding="utf-8")
    return path


def ensure_fer2013(preset="default", root=None, jobs=None):
    """Returns a csv in FER-2013's format, made on first use.

    Args:
        preset: str, `"default"` (10,000 images) or `"demo"` (3,200 easier ones).
        root: folder for the cache, or None; see `cache_folder`.
        jobs: int, number of processes; None takes all cores.

    Returns:
        `pathlib.Path` of the csv.

    Raises:
        ValueError: no preset has that name.
    """
    return _ensure("fer2013", "fer2013.csv", preset, root, jobs)


def ensure_faces(preset="default", root=None):
    """Returns an npz of point clouds, made on first use; arguments and errors as `ensure_fer2013`."""
    return _ensure("faces", "faces.npz", preset, root, None)


def ensure_photos(preset="default", root=None):
    """Returns a folder with `train/` and `test/`, seven portraits each; arguments and errors as `ensure_fer2013`."""
    return _ensure("photos", "photos", preset, root, None)


def write_sheets(folder, seed, preset="default", subject=None, jobs=None):
    """Draws contact sheets for a look at the class.

    Args:
        folder: where to write `images.png`, `portraits.png` and `meshes.png`.
        seed: int.
        preset: str or Preset.
        subject: int, the person of the portraits, or None for the preset's.
        jobs: int, number of processes; None takes all cores.

    Returns:
        list of the paths written.
    """
    from expressions.synthetic.sheets import cloud_sheet, image_sheet, portrait_sheet

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sheets = {
        "images.png": image_sheet(seed, preset, jobs),
        "portraits.png": portrait_sheet(preset_of(preset).subject if subject is None else subject),
        "meshes.png": cloud_sheet(seed, preset),
    }
    for name, sheet in sheets.items():
        Image.fromarray(np.asarray(sheet)).save(folder / name)
    return [folder / name for name in sheets]
