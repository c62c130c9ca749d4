"""Paints hair: what hangs behind the head, what covers it from the hairline to the crown, strands that catch light."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from expressions.synthetic.mesh import spline
from expressions.synthetic.skin import SKULL

# Behind the rim of the face, in millimetres: the widest section of the skull, where its outline is seen.
CROWN_DEPTH = 18
_ARC_STEPS = np.linspace(-0.12, np.pi + 0.12, 121)
_ACROSS = np.linspace(-1, 1, 17)[:, None]


def _dome(volume, roughness, rng):
    """Returns the outline of the hair above the ears in mm, from the viewer's right over the top to the left.

    Args:
        volume: float, millimetres above the skull.
        roughness: float, size of the tufts or curls along the outline in millimetres.
        rng: numpy Generator.
    """
    steps = _ARC_STEPS
    wave = np.zeros_like(steps)
    for frequency, size in ((7, 0.45), (17, 0.35), (41, 0.20)):
        wave += size * np.abs(np.sin(frequency * steps + rng.uniform(0, 6)))
    reach = roughness * (wave - 0.5)
    return np.c_[(78 + 0.75 * volume + reach) * np.cos(steps), 33 + (85 + volume + reach) * np.sin(steps)]


def _end(canvas, style):
    """Returns how far hair hangs down, as v in millimetres: 20 at the ears, −150 on the shoulders."""
    return 20 - 170 * style.get("length", 0) * min(canvas.look["hair_length"], 1.05)


def _volume(canvas, style):
    return style["volume"] * (0.7 + 0.3 * canvas.look["hair_length"])


def paint_hair_behind(canvas, style):
    """Paints what neck and head will cover.

    Args:
        canvas: Canvas.
        style: dict of `appearance.HAIR_STYLES`.
    """
    if not style:
        return
    colour, volume = canvas.look["hair_colour"], _volume(canvas, style)
    rng = np.random.default_rng(int(canvas.look["strands"]) + 5)
    if style.get("knot"):
        angle = np.linspace(0, 2 * np.pi, 24)
        knot = [10 * canvas.look["hair_side"], 122] + np.c_[26 * np.cos(angle), 20 * np.sin(angle)]
        canvas.polygon(canvas.on_head(knot, 80), colour * 0.72)
    if volume:
        canvas.polygon(canvas.on_head(_dome(volume, 1 + style.get("curl", 0), rng), CROWN_DEPTH), colour * 0.75)
    if style.get("length", 0) > 0:
        end = _end(canvas, style)
        side = spline([(77 + 0.7 * volume, 50), (84 + 0.6 * volume, 5), (85 + 0.5 * volume, 0.6 * end), (70, end)], 14)
        behind = np.vstack([side, [(0, end - 6)], (side * [-1, 1])[::-1]])
        canvas.polygon(canvas.on_head(behind, 30), colour * 0.55)


def _front(canvas, style, rng):
    """Returns the hairline in pixels, 17 points from the viewer's left to the right."""
    line = canvas.points[canvas.index["hairline"]].copy()
    temples = np.exp(-(((np.abs(_ACROSS) - 0.55) / 0.22) ** 2))
    rise = style["rise"] * (1 - _ACROSS**4) + style.get("temples", 0) * temples
    rise = rise + 0.8 * np.sin(23 * _ACROSS + rng.uniform(0, 6))
    if style.get("parting") is not None:
        # Hair falls from the parting to both sides: high at the parting, low over the temples.
        away = np.abs(_ACROSS - style["parting"] * canvas.look["hair_side"])
        rise = rise + 6 * np.exp(-((away / 0.16) ** 2)) - 7 * np.exp(-(((away - 0.6) / 0.3) ** 2))
    if style.get("fringe"):
        ragged = 1 + 0.10 * np.sin(11 * _ACROSS + rng.uniform(0, 6)) + 0.06 * np.sin(29 * _ACROSS)
        rise = rise - style["fringe"] * np.clip(1.15 - np.abs(_ACROSS) ** 3, 0, 1) * ragged
    return line + canvas.up * rise * canvas.unit


def paint_hair_in_front(canvas, style):
    """Paints the hair over forehead, temples and, where it is long, beside the cheeks.

    Args:
        canvas: Canvas.
        style: dict of `appearance.HAIR_STYLES`.
    """
    if not style:
        return
    look, unit = canvas.look, canvas.unit
    rng = np.random.default_rng(int(look["strands"]) + 1)
    volume, colour = _volume(canvas, style), look["hair_colour"]
    front = _front(canvas, style, rng)
    shaved = style["volume"] == 0
    roughness = style.get("rough", 1) + style.get("curl", 0)
    crown = canvas.on_head(SKULL if shaved else _dome(volume, roughness, rng), 12 if shaved else CROWN_DEPTH)
    mask, pen = canvas.mask()
    pen.polygon(np.vstack([front, crown]).ravel().tolist(), fill=255)
    curtains = _curtains(canvas, style, volume) if style.get("length", 0) > 0 else []
    for inner, outer in curtains:
        pen.polygon(np.vstack([inner, outer[::-1]]).ravel().tolist(), fill=255)
    tufts = []
    if not curtains:
        # Sideburns, down to the middle of the ear.
        for sign in (-1, 1):
            burn = np.array([(72, 44), (66, 34), (69, 12), (72, 6), (75, 12), (77, 44)]) * [sign, 1]
            pen.polygon(canvas.on_head(burn, 4).ravel().tolist(), fill=235)
            if style.get("fringe") or style.get("curl"):
                # Thicker hair covers the upper half of the ear, too.
                reach = 80 + 0.7 * volume
                inner = spline([(60, 74), (66, 42), (68, 14), (74, 2)], 12) * [sign, 1]
                outer = spline([(72, 84), (reach + 2, 46), (reach, 16), (77, 1)], 12) * [sign, 1]
                tufts.append((canvas.on_head(inner, 14), canvas.on_head(outer, 14)))
                pen.polygon(np.vstack([tufts[-1][0], tufts[-1][1][::-1]]).ravel().tolist(), fill=255)
    box = mask.getbbox()
    if canvas.fine and box is not None:
        part = mask.crop(box).filter(ImageFilter.GaussianBlur((3.2 if shaved else 0.7) * unit))
        mask.paste(part, box[:2])
    if shaved:
        # Stubble: skin shines through.
        mask = mask.point([int(level * 0.58) for level in range(256)])
    # Stubble darkens the skin whatever its colour.
    base = np.minimum(colour, look["skin"] * 0.6) if shaved else colour * 0.70
    layer = Image.new(canvas.image.mode, canvas.full, canvas.ink(base))
    draw = ImageDraw.Draw(layer)
    if style.get("curl"):
        _curls(canvas, draw, front, crown, rng)
    elif not shaved:
        if not curtains or style.get("fringe"):
            _strands(canvas, draw, front, crown, style, rng)
        for inner, outer in curtains + tufts:
            _curtain_strands(canvas, draw, inner, outer, rng)
    canvas.image.paste(layer, mask=mask)
    canvas.skin.paste(200 if shaved else 60, mask=mask)  # hair keeps its own light
    canvas.draw = ImageDraw.Draw(canvas.image)
    if canvas.fine and not shaved and not style.get("curl"):
        _stray_hairs(canvas, front, colour, style, rng)


def _curtains(canvas, style, volume):
    """Returns the hair of either side as two lines from the parting down: next to the face, and the outline."""
    end = _end(canvas, style)
    fringe = style.get("fringe")
    start = 60 * style.get("parting", 0) * canvas.look["hair_side"]
    curtains = []
    for sign in (-1, 1):
        top = 0.0 if fringe else start * sign
        # Beside a fringe the curtain begins at the temple.
        inner = [(54, 92), (62, 62)] if fringe else [(top, 90), (32 + 0.5 * top, 80), (57, 60)]
        inner = spline([*inner, (67, 36), (69.5, 5), (68, 0.45 * end), (60, end)], 22) * [sign, 1]
        outer = [(40, 112), (72, 80)] if fringe else [(top, 119 + volume), (42, 110 + 0.9 * volume), (72, 78)]
        outer = spline(
            [*outer, (81 + 0.7 * volume, 44), (85 + 0.6 * volume, 0), (86 + 0.4 * volume, 0.6 * end), (70, end - 5)], 22
        ) * [sign, 1]
        depth = np.linspace(0.1, 1, 22)[:, None]
        curtains.append((canvas.on_head(inner, 2), canvas.on_head(outer, CROWN_DEPTH * (1 - 0.55 * depth))))
    return curtains


def _shine(height, offset):
    """Returns how bright a strand is along its way: dark at its root, a band of light in the middle."""
    return 0.66 + 0.42 * np.exp(-(((height - 0.52 - offset) / 0.24) ** 2)) + 0.10 * height


def _strands(canvas, draw, front, crown, style, rng):
    """Draws strands from the hairline over the head to its outline; each is a bent line of a few pieces."""
    look, unit = canvas.look, canvas.unit
    colour = look["hair_colour"]
    count, pieces = (480, 14) if canvas.fine else (20, 2)
    start = rng.uniform(0, 1, count)
    root = _along(front, start)
    # The outline runs from the viewer's right to the left, the hairline the other way.
    tip = _along(crown, np.clip(1 - start + rng.normal(0, 0.03, count), 0, 1))
    parting = style.get("parting")
    if parting is not None:
        # From the parting at the top, hair runs sideways before it falls.
        middle = canvas.on_head([(parting * look["hair_side"] * 60, 102)], 20)[0]
        knee = 0.25 * (root + tip) + 0.5 * middle
    else:
        knee = 0.5 * (root + tip) + canvas.right * (rng.normal(0, 2.0, (count, 1)) * unit)
    t = np.linspace(-0.04, 1, pieces + 1)[None, :, None]
    path = (1 - t) ** 2 * root[:, None] + 2 * t * (1 - t) * knee[:, None] + t**2 * tip[:, None]
    tone = rng.normal(1, 0.09, count)
    # Neighbours shine at about the same height, in locks.
    offset = 0.06 * np.sin(start * 31 + look["strands"] % 7) + rng.normal(0, 0.03, count)
    light = _shine(np.linspace(0, 1, pieces), offset[:, None]) * tone[:, None]
    width = [canvas.width(w) for w in np.where(np.arange(count) < count // 3, rng.uniform(1.6, 2.8, count),
                                               rng.uniform(0.4, 0.9, count))]  # fmt: skip
    lines, inks = path.reshape(count, -1).tolist(), canvas.inks(colour, light)
    for i in range(count):
        for j in range(pieces):
            draw.line(lines[i][2 * j : 2 * j + 4], fill=inks[i][j], width=width[i])


def _along(line, share):
    """Returns the points at some shares 0 … 1 of the way along a polyline: float array `(n, 2)`."""
    place = np.asarray(share) * (len(line) - 1.001)
    k = place.astype(int)
    return line[k] + (line[k + 1] - line[k]) * (place - k)[:, None]


def _curtain_strands(canvas, draw, inner, outer, rng):
    """Draws strands down the hair of one side, between its two lines; light falls where the head is round."""
    count = 170 if canvas.fine else 6
    colour = canvas.look["hair_colour"]
    share, wave, shift = rng.uniform(0, 1, count), rng.uniform(0, 6, count), rng.normal(0, 0.05, count)
    # Neighbours belong to locks, whose bands of light lie at about one height.
    shift = 0.6 * shift + 0.05 * np.sin(share * 17 + wave[0])
    across = 0.80 + 0.26 * np.exp(-(((share - 0.55) / 0.30) ** 2)) + rng.normal(0, 0.06, count)
    steps = 26 if canvas.fine else 3
    height = np.linspace(0, 1, steps + 1)
    inside, outside = (_along(line, height) for line in (inner, outer))
    bend = np.clip(share[:, None] + 0.02 * np.sin(wave[:, None] + 6 * height), 0, 1)
    lines = (inside + (outside - inside) * bend[..., None]).reshape(count, -1).tolist()
    # A band of light above the temples, and a weaker one where long hair swings out again.
    place = height[:-1] + shift[:, None]
    light = 0.66 + 0.38 * np.exp(-(((place - 0.20) / 0.11) ** 2)) + 0.16 * np.exp(-(((place - 0.66) / 0.16) ** 2))
    inks = canvas.inks(colour, across[:, None] * light)
    for i in range(count):
        width = canvas.width(rng.uniform(1.4, 2.4) if i < count // 3 else rng.uniform(0.4, 0.9))
        for j in range(steps):
            draw.line(lines[i][2 * j : 2 * j + 4], fill=inks[i][j], width=width)


def _curls(canvas, draw, front, crown, rng):
    """Draws curls from the outline inwards: little rings, brighter towards the top of the head."""
    count = 900 if canvas.fine else 60
    colour, unit = canvas.look["hair_colour"], canvas.unit
    start = rng.uniform(0, 1, count)
    height = np.sort(rng.uniform(0, 1.02, count) ** 0.8)[::-1]
    centre = _along(front, start) * (1 - height)[:, None] + _along(crown, 1 - start) * height[:, None]
    # Beside the temples curls hang lower than the outline of the dome.
    beside = rng.random(count) < 0.22
    sides = np.c_[rng.choice([-1, 1], count) * rng.uniform(68, 92, count), rng.uniform(4, 60, count)]
    centre[beside] = canvas.on_head(sides[beside], 14)
    radius = rng.uniform(2.2, 4.2, count) * unit
    light = (0.55 + 0.35 * np.exp(-(((height - 0.6) / 0.3) ** 2))) * rng.normal(1, 0.14, count)
    turn = rng.uniform(0, 360, count)
    for i in range(count):
        (x, y), r = centre[i], radius[i]
        box = [x - r, y - 0.8 * r, x + r, y + 0.8 * r]
        draw.ellipse(box, fill=canvas.ink(colour * light[i] * 0.85))
        ink = canvas.ink(colour * light[i] * 1.35 + 6)
        draw.arc(box, turn[i], turn[i] + 170, fill=ink, width=canvas.width(0.8))


def _stray_hairs(canvas, front, colour, style, rng):
    """Draws short hairs across the hairline, so that it is no edge."""
    unit = canvas.unit
    falls = 1.0 if style.get("fringe") else 0.0
    # Not at the temples, which may be turned away.
    for t in rng.uniform(0.18, 0.82, 150) * (len(front) - 1):
        k = int(t)
        root = front[k] + (front[k + 1] - front[k]) * (t - k)
        way = canvas.up * (rng.uniform(-1.6, 1.0) - 1.6 * falls) + canvas.right * rng.normal(0, 0.8)
        line = [*(root + canvas.up * 3.5 * unit), *(root + way * unit)]
        canvas.draw.line(line, fill=canvas.ink(colour * rng.uniform(0.55, 0.85)), width=canvas.width(0.32))
