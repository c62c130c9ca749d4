"""Contact sheets: a look at images, portraits and meshes, one column or row per emotion."""

import numpy as np
from PIL import Image, ImageDraw

from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.synthetic.clouds import cloud_triangles, make_clouds
from expressions.synthetic.images import SIZE, make_images
from expressions.synthetic.portraits import make_portraits

_MARGIN = 64


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
