"""Contact sheets: a look at images, portraits and meshes, one column or row per emotion.

Study sheets have numbers in place of labels, to find out how well a person reads the faces.
"""

import csv
import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.synthetic.clouds import cloud_triangles, make_clouds
from expressions.synthetic.emotions import sample_intensities
from expressions.synthetic.images import SIZE, make_images, plan_images, render_images
from expressions.synthetic.portraits import make_portrait, make_portraits
from expressions.synthetic.presets import preset_of

_MARGIN = 64
_CAPTION = 18  # pixels above a picture for its number


def _with_names(rows):
    """Writes the seven emotions beside seven rows of pictures; returns a Pillow image."""
    height = rows.shape[0] // NUM_CLASSES
    sheet = Image.new("RGB", (rows.shape[1] + _MARGIN, rows.shape[0]), "white")
    sheet.paste(Image.fromarray(rows), (_MARGIN, 0))
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(EMOTIONS):
        draw.text((4, label * height + height // 2 - 6), name, fill="black")
    return sheet


def image_sheet(seed, preset="default", jobs=None, num_columns=14, zoom=2):
    """Draws images by label, a row each; rare emotions leave places empty. Returns a Pillow image."""
    images, labels, _ = make_images(num_columns * 24, seed, preset, jobs=jobs)
    rows = np.full((NUM_CLASSES * SIZE, num_columns * SIZE), 255, np.uint8)
    for label in range(NUM_CLASSES):
        for column, image in enumerate(images[labels == label][:num_columns]):
            rows[label * SIZE : (label + 1) * SIZE, column * SIZE : (column + 1) * SIZE] = image
    return _with_names(rows.repeat(zoom, axis=0).repeat(zoom, axis=1))


def portrait_sheet(seed, reduction=3):
    """Draws both takes of a person, and below them what is left at 48×48 in grey. Returns a Pillow image."""
    lines = []
    for take in (0, 1):
        portraits, _ = make_portraits(seed, take)
        pictures = [Image.fromarray(portrait) for portrait in portraits]
        lines.append(np.hstack([np.asarray(picture.reduce(reduction)) for picture in pictures]))
        size = lines[-1].shape[1] // NUM_CLASSES
        small = [picture.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR) for picture in pictures]
        enlarged = [picture.resize((size, size), Image.Resampling.NEAREST).convert("RGB") for picture in small]
        lines.append(np.hstack([np.asarray(picture) for picture in enlarged]))
    return Image.fromarray(np.vstack(lines))


def cloud_sheet(seed, preset="default", num_subjects=4, pixels_per_metre=1300):
    """Draws the meshes of a few people, from the front and a little from the side. Returns a Pillow image."""
    clouds, triangles = make_clouds(num_subjects, seed, preset), cloud_triangles()
    cell = (240, 300)
    sheet = Image.new("RGB", (cell[0] * num_subjects * 2, cell[1] * NUM_CLASSES), "white")
    draw = ImageDraw.Draw(sheet)
    for number, points in enumerate(clouds.points):
        subject, label = divmod(number, NUM_CLASSES)
        for view, angle in enumerate((0.0, 0.6)):
            x = points[:, 0] * np.cos(angle) + points[:, 2] * np.sin(angle)
            left, top = cell[0] * (2 * subject + view), cell[1] * label
            pixels = np.c_[
                left + 120 + pixels_per_metre * (x - 0.02 * view), top + 140 - pixels_per_metre * points[:, 1]
            ]
            for triangle in triangles:
                draw.polygon(pixels[triangle].ravel().tolist(), outline=(90, 90, 90))
            draw.text((left + 4, top + 4), f"{clouds.subject_ids[number]} {EMOTIONS[label]}", fill="black")
    return sheet


def apex_knobs(preset="default"):
    """Returns a preset's ImageKnobs with every expression at its apex: full strength, no label noise, no stray units.

    Pose, light, blur, noise and glasses stay as they are; nothing covers a face.
    """
    return dataclasses.replace(
        preset_of(preset).images,
        weakest=1.0,
        strongest=1.0,
        missing_units=0.0,
        spurious_units=0.0,
        unit_jitter=0.1,
        label_noise=0.0,
    )


def apex_images(seed, per_emotion, preset="default"):
    """Makes images at the apex, as many of each emotion.

    Args:
        seed: int.
        per_emotion: int, at least 1.
        preset: str or Preset that sets pose, light, blur and noise.

    Returns:
        (images, labels): uint8 arrays `(7 · per_emotion, 48, 48)` and `(7 · per_emotion,)`, in random order.
    """
    knobs = apex_knobs(preset)
    labels = np.random.default_rng([int(seed), 21]).permutation(np.repeat(np.arange(NUM_CLASSES), per_emotion))
    plan = plan_images(len(labels), [int(seed), 22], knobs)
    # The plan has FER-2013's shares of the emotions: we keep its people and cameras and give them other faces.
    plan["labels"] = plan["shown"] = labels.astype(np.uint8)
    plan["intensities"], plan["genuine"] = sample_intensities(labels, np.random.default_rng([int(seed), 24]), knobs)
    plan["views"]["occluded"][:] = False
    return render_images(plan)[0], labels.astype(np.uint8)


def apex_portraits(seed, per_emotion):
    """Makes portraits at the apex, each of another person if there are enough: as `apex_images`, `(640, 480, 3)`."""
    rng = np.random.default_rng([int(seed), 23])
    labels = rng.permutation(np.repeat(np.arange(NUM_CLASSES), per_emotion))
    people = rng.integers(0, 10**6, len(labels))
    return [make_portrait(person, 0, label) for person, label in zip(people, labels, strict=True)], labels


def study_sheet(seed, kind="images", per_emotion=10, per_page=None):
    """Lays out faces at their apex under numbers, without labels, for a reader who has seen no other picture.

    Args:
        seed: int; another seed gives other faces in another order.
        kind: str, "images" or "portraits".
        per_emotion: int, pictures of each emotion.
        per_page: int, pictures a page, or None for 35 images or 14 portraits.

    Returns:
        (pages, key): list of Pillow images, and list of pairs `(number, emotion)` in the order of the pages.

    Raises:
        ValueError: `kind` is neither of the two.
    """
    if kind == "images":
        images, labels = apex_images(seed, per_emotion)
        # Enlarged without smoothing, pixels would be read as edges.
        pictures = [
            Image.fromarray(image).resize((4 * SIZE, 4 * SIZE), Image.Resampling.BICUBIC).convert("RGB")
            for image in images
        ]
        columns, per_page = 7, per_page or 35
    elif kind == "portraits":
        portraits, labels = apex_portraits(seed, per_emotion)
        pictures = [Image.fromarray(portrait).reduce(2) for portrait in portraits]
        columns, per_page = 7, per_page or 14
    else:
        raise ValueError(f"kind is {kind!r}. Wanted 'images' or 'portraits'.")
    width, height = pictures[0].size
    pages = []
    for first in range(0, len(pictures), per_page):
        chosen = pictures[first : first + per_page]
        rows = -(-len(chosen) // columns)
        page = Image.new("RGB", (columns * (width + 8), rows * (height + _CAPTION)), "white")
        draw = ImageDraw.Draw(page)
        for k, picture in enumerate(chosen):
            left, top = k % columns * (width + 8), k // columns * (height + _CAPTION)
            draw.text((left + 4, top + 3), str(first + k + 1), fill="black")
            page.paste(picture, (left, top + _CAPTION))
        pages.append(page)
    return pages, [(number, EMOTIONS[label]) for number, label in enumerate(labels, 1)]


def write_study(folder, seed, kind="images", per_emotion=10):
    """Writes the pages of `study_sheet` and, apart from them, the key.

    Args:
        folder: str or path, made if it is missing.
        seed: int.
        kind: str, "images" or "portraits".
        per_emotion: int.

    Returns:
        list of the paths written: `study_images_1.png`, …, and last `study_images_key.csv` (number, emotion).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pages, key = study_sheet(seed, kind, per_emotion)
    paths = []
    for number, page in enumerate(pages, 1):
        paths.append(folder / f"study_{kind}_{number}.png")
        page.save(paths[-1])
    paths.append(folder / f"study_{kind}_key.csv")
    with open(paths[-1], "w", newline="") as file:
        csv.writer(file).writerows([("number", "emotion"), *key])
    return paths
