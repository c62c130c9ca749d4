"""Paints lips, teeth and tongue."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

IVORY = np.array([226, 217, 200], float)


def paint_mouth(canvas):
    """Paints the mouth; an open one is marked as out of the light of the skin."""
    look, unit, up, index = canvas.look, canvas.unit, canvas.up, canvas.index
    upper, lower = canvas.points[index["lip_upper_inner"]], canvas.points[index["lip_lower_inner"]]
    lip = _lip_colour(look)
    if look["beard"] > 0.3 and not canvas.fine:
        lip = lip * 1.12
    if canvas.fine:
        _soft_lips(canvas, lip)
    else:
        canvas.draw.polygon(canvas.shape["upper lip"], fill=canvas.ink(lip * 0.82))
        canvas.draw.polygon(canvas.shape["lower lip"], fill=canvas.ink(lip))
    gaps = (upper - lower) @ up / unit
    if gaps[6] > 0.9:
        _open_mouth(canvas, upper, lower, float(gaps[6]))
    seam = 0.5 * (upper + lower) if gaps[6] <= 0.9 else None
    if seam is not None:
        width = canvas.width(1.3 + 0.5 * canvas.strength[12])
        canvas.draw.line(seam.ravel().tolist(), fill=canvas.ink(lip * 0.36), width=width, joint="curve")
    # The corners are little shadows, deep where a dimple or a smile pulls them in.
    pulled = max(canvas.strength[14], 0.7 * canvas.strength[12], 0.8 * canvas.strength[15])
    radius = (0.7 + 0.9 * pulled) * unit
    for x, y in (upper[0], upper[-1]):
        canvas.draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=canvas.ink(lip * 0.5))


def _lip_colour(look):
    lip = look["skin"] * (1 - look["lip_redness"]) + np.array([170, 66, 70]) * look["lip_redness"]
    # Lips are darker than the skin they lie in, on every skin.
    lip = np.minimum(lip * [0.88, 0.74, 0.75], look["skin"] * [0.92, 0.74, 0.74])
    if look["makeup"] > 0.3:
        share = 0.5 * look["makeup"]
        lip = lip * (1 - share) + np.minimum(np.array([172, 34, 54]), look["skin"] * [1.1, 0.5, 0.6]) * share
    return lip


def _soft_lips(canvas, lip):
    """Paints lips whose edges run into the skin, the lower one with a shine and fine lines."""
    unit = canvas.unit
    for name, shade in (("upper lip", 0.84), ("lower lip", 1.0)):
        mask, pen = canvas.mask()
        pen.polygon(canvas.shape[name], fill=235)
        canvas.tint(lip * shade, canvas.blurred(mask, 0.55 * unit))
    outer, inner = canvas.points[canvas.index["lip_lower_outer"]], canvas.points[canvas.index["lip_lower_inner"]]
    band = np.vstack([0.35 * inner[3:10] + 0.65 * outer[3:10], (0.65 * inner[3:10] + 0.35 * outer[3:10])[::-1]])
    canvas.tint(lip * 1.18 + 14, canvas.soft_mask([band], 110, 1.0 * unit))
    rng = np.random.default_rng(int(canvas.look["strands"]) + 3)
    for k in range(26):
        t = rng.uniform(1.5, 10.5)
        i = int(t)
        a, b = (line[i] + (line[i + 1] - line[i]) * (t - i) for line in (inner, outer))
        start, end = a + (b - a) * 0.12, a + (b - a) * rng.uniform(0.4, 0.8)
        shade = 0.90 if k % 2 else 1.08
        canvas.draw.line([*start, *end], fill=canvas.ink(lip * shade), width=canvas.width(0.22))


def _open_mouth(canvas, upper, lower, opening):
    """Paints what is behind the lips, through a mask of the opening."""
    unit, up = canvas.unit, canvas.up
    mask, pen = canvas.mask()
    pen.polygon(canvas.shape["mouth"], fill=255)
    box = mask.getbbox()
    if box is None:
        return
    left, top, right, bottom = box
    hole = mask.crop(box)
    if canvas.fine:
        hole = hole.filter(ImageFilter.GaussianBlur(0.3 * unit))
    inside = Image.new(canvas.image.mode, (right - left, bottom - top), canvas.ink((54, 18, 20)))
    draw = ImageDraw.Draw(inside)
    corner = np.array([left, top])
    if opening > 9:
        centre = 0.30 * upper[6] + 0.70 * lower[6] - up * 3 * unit - corner
        width, height = 13 * unit, 6.5 * unit
        box = [*(centre - [width, height]), *(centre + [width, height])]
        draw.ellipse(box, fill=canvas.ink(canvas.toned((158, 78, 78))))
    _teeth(canvas, draw, corner, opening)
    canvas.image.paste(inside, (left, top), hole)
    # Vertices round an open mouth face up and down: their shade would leave the teeth grey.
    ImageDraw.Draw(canvas.skin).polygon(canvas.shape["mouth"], fill=70)
    if canvas.fine:
        # The upper lip's shadow on the teeth, and the dark line where each lip turns inwards.
        line = upper.ravel().tolist()
        canvas.draw.line(line, fill=canvas.ink(_lip_colour(canvas.look) * 0.50), width=canvas.width(0.8), joint="curve")
        line = lower.ravel().tolist()
        canvas.draw.line(line, fill=canvas.ink(_lip_colour(canvas.look) * 0.72), width=canvas.width(0.6), joint="curve")


def _teeth(canvas, draw, corner, opening):
    """Paints two rows of teeth; the mouth gets darker towards its corners, so that no white wedge is left there."""
    unit, up = canvas.unit, canvas.up
    ivory = canvas.toned(IVORY)
    upper, lower = (canvas.points[canvas.index[name]] - corner for name in ("teeth_upper", "teeth_lower"))
    rows = [(upper, upper + up * 11 * unit, 1.0)]
    # A jaw that hangs low takes the lower teeth behind the lip.
    if opening < 15:
        rows.insert(0, (lower - up * 1.2 * unit, lower - up * 9 * unit, 0.80))
    for tips, roots, shade in rows:
        for k in range(len(tips) - 1):
            # Back teeth lie in the cheek's shadow.
            side = abs(k + 0.5 - 0.5 * (len(tips) - 1)) / (0.5 * len(tips))
            colour = ivory * shade * (1 - 0.62 * side**2.2)
            tooth = np.vstack([tips[k : k + 2], roots[k : k + 2][::-1]])
            draw.polygon(tooth.ravel().tolist(), fill=canvas.ink(colour))
            if canvas.fine and k:
                draw.line([*tips[k], *roots[k]], fill=canvas.ink(colour * 0.80), width=canvas.width(0.3))
        if canvas.fine:
            gum = (roots + (tips - roots) * 0.18).ravel().tolist()
            draw.line(gum, fill=canvas.ink(canvas.toned((150, 78, 76)) * shade), width=canvas.width(3.2), joint="curve")
