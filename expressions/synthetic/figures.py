"""The pictures of README.md: what the class looks like, and its limits."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.synthetic.appearance import sample_appearance
from expressions.synthetic.ck import CK_NAMES
from expressions.synthetic.face import COLUMN_OF, NUM_UNITS
from expressions.synthetic.images import SIZE, make_face_images, plan_images, render_images
from expressions.synthetic.portraits import make_portrait
from expressions.synthetic.presets import ImageKnobs
from expressions.synthetic.sequences import make_sequences
from expressions.synthetic.sheets import apex_images

_MARGIN, _CELL = 66, 72


def _grid(rows, names, cell=_CELL):
    """Lays out rows of grey pictures with a name before each; returns a Pillow image."""
    sheet = Image.new("L", (_MARGIN + cell * max(map(len, rows)), cell * len(rows)), 255)
    draw = ImageDraw.Draw(sheet)
    for line, (row, name) in enumerate(zip(rows, names, strict=True)):
        draw.text((2, line * cell + cell // 2 - 6), name, fill=0)
        for column, picture in enumerate(row):
            sheet.paste(
                Image.fromarray(picture).resize((cell, cell), Image.Resampling.BICUBIC),
                (_MARGIN + column * cell, line * cell),
            )
    return sheet


def apex_figure(seed=3, num_columns=10):
    """Draws 48×48 faces at the apex, a row for each emotion."""
    images, labels = apex_images(seed, num_columns)
    return _grid([images[labels == label] for label in range(NUM_CLASSES)], EMOTIONS)


def class_figure(seed=3, num_columns=10):
    """Draws what a data set of the preset `full` holds: a row for each label, some labels wrong."""
    faces = make_face_images(num_columns * 40, seed, "full")
    rows = [faces.images[faces.labels == label][:num_columns] for label in range(NUM_CLASSES)]
    return _grid(rows, EMOTIONS)


def portrait_figure(people=range(11, 18)):
    """Draws portraits of seven people, one emotion each, and then the emotions one further."""
    lines = []
    for turn in (0, 3):
        row = [make_portrait(person, turn, (k + turn) % NUM_CLASSES) for k, person in enumerate(people)]
        lines.append(np.hstack([np.asarray(Image.fromarray(portrait).reduce(4)) for portrait in row]))
    return Image.fromarray(np.vstack(lines)).quantize(128)


def sequence_figure(seed=4, num_columns=7, emotion="happiness"):
    """Draws a posed and a genuine sequence of one person, from neutral to apex."""
    size, lines = (176, 134), []
    for genuine in (False, True):
        films = make_sequences(1, seed, genuine=genuine, size=size)
        film = next((film for film in films if CK_NAMES[film.shown] == emotion), films[0])
        chosen = np.linspace(0, 0.8 * (len(film.frames) - 1), num_columns).round().astype(int)
        lines.append(np.hstack([film.frames[k][:, 28:148] for k in chosen]))
    return Image.fromarray(np.vstack(lines))


def landmark_figure(seed=5, num_faces=4, zoom=4):
    """Draws both layouts of landmarks over 48×48 faces: 68 above, 468 below."""
    knobs, lines = ImageKnobs(accessories=0, noise=0, blur=0), []
    for num_landmarks, dot in ((68, 1), (468, 0)):
        faces = make_face_images(num_faces, seed, knobs=knobs, num_landmarks=num_landmarks)
        cells = []
        for image, landmarks in zip(faces.images, faces.landmarks, strict=True):
            cell = Image.fromarray(image).resize((zoom * SIZE, zoom * SIZE), Image.Resampling.BICUBIC).convert("RGB")
            draw = ImageDraw.Draw(cell)
            for x, y in zoom * landmarks:
                draw.ellipse((x - dot, y - dot, x + dot, y + dot), fill=(255, 80, 0))
            cells.append(np.asarray(cell))
        lines.append(np.hstack(cells))
    return Image.fromarray(np.vstack(lines)).quantize(96)


def limit_figure(seed=6, num_columns=8):
    """Draws what the class cannot do: heads turned far, weak expressions, things before a face."""
    still = ImageKnobs(pose=0, accessories=0, blur=0, noise=0, framing=0, label_noise=0, spurious_units=0)
    turned, weak, hidden = (plan_images(num_columns, seed, still) for _ in range(3))
    turned["views"]["yaw"][:] = np.radians(np.linspace(-55, 55, num_columns))
    for plan in (weak, turned, hidden):
        plan["intensities"][:] = 0
    for column, unit in enumerate((12, 15, 4, 1, 9, 20, 5, 23)[:num_columns]):
        weak["intensities"][column, [COLUMN_OF[unit], NUM_UNITS + COLUMN_OF[unit]]] = 1.5
    hidden["views"]["occluded"][:] = True
    hidden["appearance"] = sample_appearance(num_columns, np.random.default_rng(seed), 6.0)
    names = ("yaw ±55°", "weak units", "occluded")
    return _grid([render_images(plan)[0] for plan in (turned, weak, hidden)], names)


FIGURES = {
    "apex.png": apex_figure,
    "full.png": class_figure,
    "portraits.png": portrait_figure,
    "sequences.png": sequence_figure,
    "landmarks.png": landmark_figure,
    "limits.png": limit_figure,
}


def write_figures(folder):
    """Writes every figure; returns the paths."""
    folder, paths = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        paths.append(folder / name)
        draw().save(paths[-1], optimize=True)
    return paths
