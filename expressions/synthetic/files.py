"""Writes the synthetic class in the real file formats, and keeps one copy of each preset.

`ensure_*` makes a file on first use, under `data/synthetic/<preset>/` or in `$EXPRESSIONS_CACHE/<preset>/`, and finds
it there afterwards. A file appears whole or not at all, and is made again when the generator, the seed or a size has
changed since; `manifest.json` beside every file says what it was made from and what it holds.
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
from expressions.synthetic.manifest import digest, label_facts, origin, read_manifest, write_manifest
from expressions.synthetic.presets import PRESETS, preset_of

ROOT = Path(__file__).resolve().parents[2]
# Raise it whenever the same seed would give other faces: every cached file is then made again.
GENERATOR_VERSION = 5
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


def write_fer2013(path, num_images, seed, knobs=None, preset="default", jobs=None, progress=None, images_per_person=1):
    """Writes a csv in the layout of Kaggle's fer2013.csv, and what it holds into the manifest.

    Args:
        path: where to write.
        num_images: dict from usage to number of images.
        seed: int.
        knobs: ImageKnobs that override the preset's, or None.
        preset: str or Preset whose difficulty to take.
        jobs: int, number of processes; None takes all cores.
        progress: None, or a function of `(num_done, num_images)`.
        images_per_person: int; 1 as in FER-2013. Nobody is in two usages.

    Returns:
        dict, the facts that the manifest keeps: for each usage its class counts, wrong labels and ceiling, and more.
    """
    from expressions.synthetic.images import make_face_images

    knobs = knobs or preset_of(preset).images
    total, finished = sum(num_images.values()), 0
    facts = {
        **origin("fer2013", GENERATOR_VERSION, seed, preset, knobs),
        "usages": {},
        "ceiling": 1 - knobs.label_noise,
    }
    with _replacing(path) as temporary:
        with open(temporary, "w", encoding="ascii", newline="\n") as csv:
            csv.write("emotion,pixels,Usage\n")
            for number, usage in enumerate(USAGES):
                if not num_images[usage]:
                    continue

                def report(done, _, before=finished):
                    progress(before + done, total)

                faces = make_face_images(
                    num_images[usage],
                    [seed, number],
                    preset,
                    knobs,
                    usage,
                    jobs,
                    report if progress else None,
                    images_per_person,
                )
                write_rows(csv, faces.images, faces.labels, usage)
                finished += num_images[usage]
                facts["usages"][usage] = label_facts(faces.labels, faces.shown, EMOTIONS)
        facts["sha256"] = digest(temporary)
    write_manifest(path, facts)
    return facts


def write_rows(csv, images, labels, usage):
    """Writes rows of fer2013.csv.

    Args:
        csv: an open text file.
        images: uint8 array `(n, 48, 48)`.
        labels: int array `(n,)`.
        usage: str, the last column.
    """
    texts = [str(value) for value in range(256)]
    for image, label in zip(images, labels, strict=True):
        csv.write(f"{label},{' '.join(map(texts.__getitem__, image.tobytes()))},{usage}\n")


def write_faces(path, num_subjects, seed, preset="default", progress=None):
    """Writes point clouds as `faces.py` (the course's layout) or `.npz`, by the name's ending.

    Args:
        path: where to write.
        num_subjects: int.
        seed: int.
        preset: str or Preset whose difficulty to take.
        progress: None, or a function of `(num_done, num_subjects)`.

    Returns:
        dict, the facts that the manifest keeps.
    """
    from expressions.point_clouds import save_point_clouds
    from expressions.synthetic.clouds import make_clouds

    if Path(path).suffix not in (".py", ".npz"):
        raise ValueError(f"{path} ends in {Path(path).suffix!r}. Wanted .py or .npz.")
    clouds = make_clouds(num_subjects, seed, preset)
    facts = origin("faces", GENERATOR_VERSION, seed, preset, preset_of(preset).clouds)
    facts |= {"people": num_subjects, "clouds": len(clouds.points), "points": clouds.points.shape[1]}
    with _replacing(path) as temporary:
        save_point_clouds(temporary, clouds)
        facts["sha256"] = digest(temporary)
    write_manifest(path, facts)
    if progress:
        progress(num_subjects, num_subjects)
    return facts


def write_photos(folder, subject, progress=None):
    """Writes `train/` and `test/`, seven portraits of one person each, named after their emotions.

    Args:
        folder: where to write; files of the same names are replaced.
        subject: int, who it is.
        progress: None, or a function of `(num_done, num_photos)`.

    Returns:
        dict, the facts that the manifest keeps.
    """
    _draw_photos(folder, subject, progress)
    facts = _photo_facts(subject)
    write_manifest(folder, facts)
    return facts


def _draw_photos(folder, subject, progress):
    from expressions.synthetic.portraits import make_portraits

    total = len(_PORTRAIT_TAKES) * len(EMOTIONS)
    for part, take in _PORTRAIT_TAKES.items():
        (Path(folder) / part).mkdir(parents=True, exist_ok=True)
        portraits, labels = make_portraits(subject, take)
        for portrait, label in zip(portraits, labels, strict=True):
            Image.fromarray(portrait).save(Path(folder) / part / f"{EMOTIONS[label].lower()}.png", compress_level=3)
        if progress:
            progress((take + 1) * len(EMOTIONS), total)


def _photo_facts(subject):
    photos = {"photos": len(_PORTRAIT_TAKES) * len(EMOTIONS), "parts": sorted(_PORTRAIT_TAKES)}
    return origin("photos", GENERATOR_VERSION, subject, None) | photos


def write_action_units(path, num_rows, seed, preset="default"):
    """Writes a table of 17 action units and `class` (0 posed, 1 genuine), half of each; see `action_units`.

    Args:
        path: where to write.
        num_rows: int.
        seed: int.
        preset: str or Preset whose difficulty to take.

    Returns:
        dict, the facts that the manifest keeps.
    """
    from expressions.synthetic import action_units

    table = action_units.make_action_units(num_rows, seed, preset=preset)
    with _replacing(path) as temporary:
        action_units.write_action_units(temporary, table)
        facts = _action_unit_facts("action-units", seed, preset, table) | {"sha256": digest(temporary)}
    write_manifest(path, facts)
    return facts


def write_openface(folder, num_rows, seed, preset="default"):
    """Writes `posed.csv` and `genuine.csv` in OpenFace 2's layout, half of the rows each.

    Args:
        folder: where to write.
        num_rows: int, in both together.
        seed: int.
        preset: str or Preset whose difficulty to take.

    Returns:
        dict, the facts that the manifest keeps.
    """
    from expressions.synthetic import action_units

    table = action_units.make_action_units(num_rows, seed, preset=preset)
    facts = _action_unit_facts("openface", seed, preset, table)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, (name, rows) in enumerate((("posed", ~table.genuine), ("genuine", table.genuine))):
        part = dataclasses.replace(
            table, **{field.name: getattr(table, field.name)[rows] for field in dataclasses.fields(table)}
        )
        with _replacing(Path(folder) / f"{name}.csv") as temporary:
            action_units.write_openface(temporary, part, 2 * seed + number)
    write_manifest(folder, facts)
    return facts


def _action_unit_facts(kind, seed, preset, table):
    facts = origin(kind, GENERATOR_VERSION, seed, preset, preset_of(preset).images)
    return facts | {
        "rows": len(table.genuine),
        "genuine": int(table.genuine.sum()),
        "people": len(np.unique(table.subjects)),
        "emotions": dict(zip(EMOTIONS, np.bincount(table.emotions, minlength=len(EMOTIONS)).tolist(), strict=True)),
    }


def write_landmarks(path, num_people, seed, num_landmarks=468, preset="default"):
    """Writes landmarks of people at the apex of CK+'s emotions, as npz or csv; see `landmarks.LandmarkSet`.

    Args:
        path: where to write; ends in `.npz` or `.csv`.
        num_people: int.
        seed: int.
        num_landmarks: int, 68 or 468.
        preset: str or Preset whose difficulty to take.

    Returns:
        dict, the facts that the manifest keeps.
    """
    from expressions.synthetic import landmarks

    made = landmarks.make_landmarks(num_people, seed, num_landmarks, preset)
    facts = origin("landmarks", GENERATOR_VERSION, seed, preset, preset_of(preset).clouds)
    names, counts = np.unique(made.labels, return_counts=True)
    facts |= {"people": num_people, "landmarks": num_landmarks, "frames": len(made.labels)}
    facts["counts"] = dict(zip(names.tolist(), counts.tolist(), strict=True))
    with _replacing(path) as temporary:
        landmarks.write_landmarks(temporary, made)
        facts["sha256"] = digest(temporary)
    write_manifest(path, facts)
    return facts


def write_sequences(folder, num_people, seed, preset="default", genuine=False, size=None, jobs=None, progress=None):
    """Writes sequences in CK+'s tree; arguments as `sequences.write_sequences`.

    Returns:
        dict, the facts that the manifest keeps.
    """
    from expressions.synthetic import sequences

    held = sequences.write_sequences(folder, num_people, seed, preset, genuine, size or sequences.SIZE, jobs, progress)
    facts = origin("sequences", GENERATOR_VERSION, seed, preset, preset_of(preset).images) | held
    write_manifest(folder, facts)
    return facts


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


def _ensure(kind, name, preset, root, jobs):
    folder = cache_folder(preset, root)
    path, recipe = folder / name, _recipe(kind, preset)
    if path.exists() and read_manifest(folder).get(name, {}).get("recipe") == recipe:
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
        progress = Progress(f"Making the synthetic class ({preset}), images")
        facts = write_fer2013(path, settings.num_images, settings.seed, preset=preset, jobs=jobs, progress=progress)
    elif kind == "faces":
        progress = Progress(f"Making the synthetic class ({preset}), people with 7 point clouds each")
        facts = write_faces(path, settings.num_subjects, settings.seed, preset, progress)
    else:
        progress = Progress(f"Making the synthetic class ({preset}), portraits")
        with _replacing(path) as temporary:
            _draw_photos(temporary, settings.subject, progress)
        facts = _photo_facts(settings.subject)
    write_manifest(path, facts | {"recipe": recipe})
    return path


def ensure_fer2013(preset="default", root=None, jobs=None):
    """Returns a csv in FER-2013's format, made on first use.

    Args:
        preset: str, `"default"` (10,000 images), `"demo"` (3,200 easier ones) or `"full"` (35,887 as in FER-2013).
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
