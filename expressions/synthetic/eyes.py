"""Paints eyeballs, lids, lashes and brows."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from expressions.synthetic.canvas import SIDES

IRIS_RADIUS = 6.1  # millimetres
# Half the height of a brow along its nine points, from the nose outwards.
_BROW_PROFILE = np.array([0.70, 0.95, 1.0, 1.0, 0.95, 0.85, 0.68, 0.45, 0.15])[:, None]


def paint_eyes(canvas):
    """Paints both eyes and both brows."""
    look = canvas.look
    skin = look["skin"]
    lash = skin * 0.16 * (1 - 0.6 * look["makeup"]) + np.array([10, 8, 8])
    for side in SIDES:
        upper, lower = canvas.points[canvas.index["lid_upper" + side]], canvas.points[canvas.index["lid_lower" + side]]
        if canvas.fine:
            # The lid itself, darker with eye shadow.
            shade = [0.82 - 0.25 * look["makeup"], 0.72 - 0.28 * look["makeup"], 0.72 - 0.2 * look["makeup"]]
            canvas.tint(skin * shade, canvas.soft_mask([canvas.shape["lid" + side]], 150, 0.9 * canvas.unit))
        crease_width = canvas.width(0.8 if canvas.fine else 1.0)
        crease = canvas.shape["lid_crease" + side]
        canvas.draw.line(crease, fill=canvas.ink(skin * [0.58, 0.48, 0.47]), width=crease_width, joint="curve")
        if (upper[6] - lower[6]) @ canvas.up / canvas.unit > 1.0:
            _eyeball(canvas, side, upper)
        _lids(canvas, side, upper, lower, lash)
        _brow(canvas, canvas.points[canvas.index["brow" + side]])


def _eyeball(canvas, side, upper):
    """Paints white, iris, pupil and highlight through a mask of the opening."""
    look, unit, up, right = canvas.look, canvas.unit, canvas.up, canvas.right
    opening = "eye" + side + " opening"
    mask, pen = canvas.mask()
    pen.polygon(canvas.shape[opening], fill=255)
    box = mask.getbbox()
    if box is None:
        return
    corner, hole = np.array(box[:2]), mask.crop(box)
    white = canvas.toned((234, 229, 224))
    inside = Image.new(canvas.image.mode, (box[2] - box[0], box[3] - box[1]), canvas.ink(white))
    draw = ImageDraw.Draw(inside)
    centre = canvas.points[canvas.index["eye" + side][0]] + (right * look["gaze"][0] + up * look["gaze"][1]) * unit
    if canvas.fine:
        # The ball curves away towards the corners of the eye.
        for reach, shade in ((15.5, 0.78), (13.0, 0.88), (10.5, 0.96), (8.5, 1.0)):
            middle = canvas.points[canvas.index["eye" + side][0]] - corner
            ring = [*(middle - [reach * unit, 9 * unit]), *(middle + [reach * unit, 9 * unit])]
            draw.ellipse(ring, fill=canvas.ink(white * [1, shade * 0.5 + 0.5, shade * 0.5 + 0.5] * shade))
    x, y = centre - corner
    iris = look["iris"]
    rings = ((IRIS_RADIUS, iris * 0.45), (IRIS_RADIUS - 0.7, iris), (2.6, (8, 7, 7)))
    for radius, colour in rings:
        r = radius * unit
        draw.ellipse([x - r, y - r, x + r, y + r], fill=canvas.ink(colour))
        if canvas.fine and colour is iris:
            rng = np.random.default_rng(int(look["strands"]) + 4)
            for angle in rng.uniform(0, 2 * np.pi, 46):
                way = np.array([np.cos(angle), np.sin(angle)]) * unit
                shade = rng.uniform(0.65, 1.55)
                draw.line([*((x, y) + way * 2.4), *((x, y) + way * rng.uniform(3.6, 5.2))],
                          fill=canvas.ink(iris * shade + 8 * (shade - 1)), width=canvas.width(0.25))  # fmt: skip
    if canvas.fine:
        # Under the upper lid lies its shadow.
        shadow = Image.new("L", inside.size, 0)
        line = (upper - up * 0.6 * unit - corner).ravel().tolist()
        ImageDraw.Draw(shadow).line(line, fill=150, width=canvas.width(2.6), joint="curve")
        inside.paste(canvas.ink((60, 44, 42)), mask=shadow.filter(ImageFilter.GaussianBlur(0.7 * unit)))
        hole = hole.filter(ImageFilter.GaussianBlur(0.25 * unit))
    (x, y), r = (x, y) + (right * 1.9 + up * 2.1) * unit, 1.15 * unit
    draw = ImageDraw.Draw(inside)
    draw.ellipse([x - r, y - r, x + r, y + r], fill=canvas.ink((252, 252, 250)))
    canvas.image.paste(inside, box[:2], hole)
    ImageDraw.Draw(canvas.skin).polygon(canvas.shape[opening], fill=110)


def _lids(canvas, side, upper, lower, lash):
    look, unit, up, skin = canvas.look, canvas.unit, canvas.up, canvas.look["skin"]
    sign = 1 if side == "+" else -1
    lower_line = canvas.shape["lid_lower" + side]
    lower_colour = skin * [0.60, 0.44, 0.43] if canvas.fine else skin * 0.48
    canvas.draw.line(lower_line, fill=canvas.ink(lower_colour), width=canvas.width(0.8), joint="curve")
    if not canvas.fine:
        width = canvas.width(1.5 + 0.9 * look["makeup"])
        canvas.draw.line(canvas.shape["lid_upper" + side], fill=canvas.ink(lash), width=width, joint="curve")
        return
    # The line of the upper lid thickens outwards, and lashes stand on it.
    thick = (0.45 + 0.55 * np.linspace(0, 1, len(upper)) ** 0.7) * (0.7 + 0.6 * look["makeup"]) * unit
    band = np.vstack([upper + up * thick[:, None], (upper - up * 0.35 * unit)[::-1]])
    canvas.draw.polygon(band.ravel().tolist(), fill=canvas.ink(lash))
    reach = 2.2 + 2.2 * look["makeup"]
    for line, count, length, direction in ((upper, 26, reach, 1.0), (lower, 16, 0.45 * reach, -1.0)):
        position = np.linspace(2.2, len(line) - 1.05, count)
        for t in position:
            i = int(t)
            root = line[i] + (line[i + 1] - line[i]) * (t - i)
            outwards = canvas.right * sign * (t / len(line) - 0.25)
            way = (up * direction + outwards) * length * (0.45 + 0.55 * t / len(line)) * unit
            bend = root + 0.55 * way - canvas.up * direction * 0.2 * unit
            canvas.draw.line([*root, *bend, *(root + way)], fill=canvas.ink(lash), width=canvas.width(0.24))


def _brow(canvas, brow):
    """Paints a brow, dark enough to be read on every skin: at most 45 % of the skin's brightness."""
    look, unit = canvas.look, canvas.unit
    colour = np.minimum(look["hair_colour"] * 0.62, look["skin"] * 0.45)
    half = canvas.up[None] * (_BROW_PROFILE * look["brow_width"] * unit)
    area = np.vstack([brow + half, (brow - half)[::-1]]).ravel().tolist()
    if not canvas.fine:
        canvas.draw.polygon(area, fill=canvas.ink(colour))
        return
    mask, pen = canvas.mask()
    pen.polygon(area, fill=150)
    soft, corner = canvas.blurred(mask, 0.9 * unit)
    if soft is None:
        return
    mask.paste(soft, corner)
    rng = np.random.default_rng(int(look["strands"]))
    for _ in range(170):
        t = rng.uniform(0, 7.95)
        k = int(t)
        along = brow[k + 1] - brow[k]
        along = along / (np.hypot(*along) + 1e-6)
        level = rng.uniform(-0.95, 0.7)
        start = brow[k] + (brow[k + 1] - brow[k]) * (t - k) + half[k] * level
        # Hairs stand up near the nose and lie down towards the temple.
        rise = canvas.up * (1.9 - 0.33 * t + rng.uniform(-0.4, 0.6)) * (1 if level < 0.2 else 0.35)
        pen.line([*start, *(start + (along * (1.6 + 0.3 * t) + rise) * unit)], fill=int(rng.uniform(150, 250)),
                 width=canvas.width(0.32))  # fmt: skip
    canvas.tint(colour, canvas.blurred(mask, 0.22 * unit))
