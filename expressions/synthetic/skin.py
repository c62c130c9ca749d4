"""Paints neck, clothes, ears, the bare head, its colours and its wrinkles."""

import numpy as np
from PIL import ImageChops, ImageDraw, ImageFilter

from expressions.synthetic.appearance import CLOTHES
from expressions.synthetic.canvas import SIDES
from expressions.synthetic.mesh import spline

_CIRCLE = np.linspace(-0.15, np.pi + 0.15, 40)
# The bare skull behind the face: its top lies as far above the eyes as the chin lies below.
SKULL = np.c_[75 * np.cos(_CIRCLE), 32 + 84 * np.sin(_CIRCLE)]
_NECK = np.vstack([spline([(-50, -40), (-48, -95), (-54, -122), (-90, -150)], 16)])
_NECK = np.vstack([_NECK, (_NECK * [-1, 1])[::-1]])
_SHOULDER = spline([(-44, -112), (-62, -126), (-110, -140), (-150, -168), (-170, -260)], 24)
_EAR = spline([(70, 38), (76, 45), (83, 44), (87, 34), (85, 18), (81, 4), (79, -10), (74, -17), (70, -8)], 28)
_EAR_FOLD = spline([(73, 36), (78, 41), (82.5, 34), (81, 18), (77, 6)], 14)
_EAR_HOLLOW = spline([(74, 22), (78, 25), (79, 14), (75, 6), (73, 12), (74, 22)], 16)


def paint_body(canvas, ears):
    """Paints neck, clothes and, unless hair covers them, ears.

    Args:
        canvas: Canvas.
        ears: bool.
    """
    look, skin = canvas.look, canvas.look["skin"]
    canvas.polygon(canvas.on_head(_NECK, 20), skin * [0.80, 0.75, 0.73])
    if canvas.fine:
        # The chin's shadow on the neck; two soft lines of the muscles that run to the breastbone.
        jaw = canvas.points[canvas.index["jaw"]] - canvas.up * 13 * canvas.unit
        shadow = canvas.soft_mask([jaw], 150, 7 * canvas.unit)
        neck, pen = canvas.mask()
        pen.polygon(canvas.on_head(_NECK, 20).ravel().tolist(), fill=255)
        canvas.tint(skin * [0.52, 0.44, 0.42], _within(shadow, neck))
    _clothes(canvas, CLOTHES[look["collar"]])
    if ears:
        for sign in (-1, 1):
            canvas.polygon(canvas.on_head(_EAR * [sign, 1], 12), skin * [0.93, 0.82, 0.79])
            if canvas.fine:
                hollow = canvas.soft_mask([canvas.on_head(_EAR_HOLLOW * [sign, 1], 12)], 150, 1.2 * canvas.unit)
                canvas.tint(skin * [0.60, 0.46, 0.43], hollow)
            fold = canvas.on_head(_EAR_FOLD * [sign, 1], 12).ravel().tolist()
            canvas.draw.line(fold, fill=canvas.ink(skin * [0.74, 0.60, 0.57]), width=canvas.width(1.2), joint="curve")


def _clothes(canvas, collar):
    cloth = canvas.look["cloth"]
    depth = {"round neck": -134, "collar": -150, "v-neck": -168}[collar]
    throat = spline([(-44, -112), (-30, 0.5 * depth - 58), (0, depth), (30, 0.5 * depth - 58), (44, -112)], 20)
    body = np.vstack([_SHOULDER[::-1], throat, _SHOULDER * [-1, 1]])
    canvas.polygon(canvas.on_head(body, 15), cloth)
    edge = canvas.on_head(throat, 15)
    if collar == "collar":
        for sign in (-1, 1):
            flap = np.array([(46, -106), (52, -116), (34, -168), (4, -146), (20, -134)], float) * [sign, 1]
            canvas.polygon(canvas.on_head(flap, 5), cloth * 1.12 + 12)
            outline = canvas.on_head(flap[1:], 5).ravel().tolist()
            canvas.draw.line(outline, fill=canvas.ink(cloth * 0.7), width=canvas.width(0.7), joint="curve")
    else:
        for shift, shade in ((0.0, 0.72), (-3.0, 1.12)):
            line = (edge + canvas.up * shift * canvas.unit).ravel().tolist()
            canvas.draw.line(line, fill=canvas.ink(cloth * shade), width=canvas.width(1.8), joint="curve")


def paint_head(canvas):
    """Paints the bare head in one colour, and marks it as lit."""
    crown = canvas.on_head(SKULL, 12).ravel().tolist()
    pen = ImageDraw.Draw(canvas.skin)
    for polygon in (crown, canvas.shape["head"]):
        canvas.draw.polygon(polygon, fill=canvas.ink(canvas.look["skin"]))
        pen.polygon(polygon, fill=255)


def paint_tints(canvas):
    """Paints what colours the skin: eye sockets, cheeks, nose, a beard, blusher."""
    look, unit, skin = canvas.look, canvas.unit, canvas.look["skin"]
    sockets = [canvas.shape["socket" + side] for side in SIDES]
    canvas.tint(skin * [0.62, 0.52, 0.53], canvas.soft_mask(sockets, 60, 2.6 * unit))
    if canvas.fine:
        # Blood shows through where skin is thin: cheeks, tip of the nose, chin.
        red = skin * [1.02, 0.70, 0.68] + np.array([6, -4, -2])
        spots = []
        for side, sign in zip(SIDES, (1, -1), strict=True):
            bag, fold = (
                canvas.points[canvas.index["eye_bag" + side][6]],
                canvas.points[canvas.index["nasolabial" + side][4]],
            )
            centre = 0.55 * bag + 0.45 * fold + canvas.right * sign * 8 * unit
            spots.append(centre + _disc(17, 12) * unit)
        strength = 75 * look["flush"] + 45 * look["makeup"]
        canvas.tint(red, canvas.soft_mask(spots, strength, 9 * unit))
        tip = canvas.points[canvas.index["nose_ridge"][3]]
        chin = canvas.points[canvas.index["chin_fold"][3]] - canvas.up * 12 * unit
        canvas.tint(
            red, canvas.soft_mask([tip + _disc(10, 7) * unit, chin + _disc(13, 7) * unit], 60 * look["flush"], 4 * unit)
        )
    if look["beard"] > 0.03:
        _beard(canvas)


def _within(soft, mask):
    """Multiplies a mask of `Canvas.soft_mask` by one of the whole picture."""
    part, (left, top) = soft
    return ImageChops.multiply(part, mask.crop((left, top, left + part.width, top + part.height))), (left, top)


def _disc(width, height):
    angle = np.linspace(0, 2 * np.pi, 17)
    return np.c_[width * np.cos(angle), height * np.sin(angle)]


def _beard(canvas):
    look, points, index, unit = canvas.look, canvas.points, canvas.index, canvas.unit
    left, right = points[index["nasolabial-"]], points[index["nasolabial+"]]
    base = points[index["nose_base"]] - canvas.up * 4 * unit
    jaw = points[index["jaw"]]
    # Its upper edge runs down before the ear and along the cheek to the corner of the mouth.
    cheeks = [0.72 * jaw[k] + 0.28 * fold[6] for k, fold in ((25, right), (7, left))]
    area = np.vstack(
        [jaw[2:31], 0.9 * jaw[29:30] + 0.1 * right[5], cheeks[0], right[[7, 4, 2]], base[[4, 2, 0]], left[[2, 4, 7]],
         cheeks[1], 0.9 * jaw[3:4] + 0.1 * left[5]]
    )  # fmt: skip
    level = 225 * look["beard"]
    mask = canvas.soft_mask([area], level, 5.5 * unit)
    # Never so dark that lips are lost in it: skin shows between the hairs.
    colour = 0.72 * np.minimum(look["hair_colour"] * 0.9, look["skin"] * 0.62) + 0.22 * look["skin"]
    canvas.tint(colour, mask)
    if canvas.fine and look["beard"] > 0.35:
        # Short hairs that grow downwards; the mask keeps them inside the beard.
        rng = np.random.default_rng(int(look["strands"]) + 2)
        strands, pen = canvas.mask()
        low, high = area.min(0), area.max(0)
        start = rng.uniform(low, high, (900, 2))
        drift = canvas.right * rng.normal(0, 1.0, (900, 1)) - canvas.up * rng.uniform(2.5, 5, (900, 1))
        for line in np.c_[start, start + drift * unit].tolist():
            pen.line(line, fill=150, width=canvas.width(0.3))
        canvas.tint(colour * 0.55, _within(mask, strands))


def paint_wrinkles(canvas):
    """Draws every fold and crease into one layer, blurs it once and darkens the skin with it.

    In colour portraits most of a fold is light and shadow, of `surface.py`, so that its ink is thinner.
    """
    strength, shape = canvas.strength, canvas.shape
    age = 0.35 + 0.65 * canvas.look["age"]
    share = 0.5 if canvas.colour else 1.0
    mask, draw = canvas.mask()

    def fold(name, darkness, width):
        level = int(255 * min(max(darkness * share, 0), 1))
        if level > 4:
            draw.line(shape[name], fill=level, width=canvas.width(width), joint="curve")

    for name, (darkness, width) in folds(strength, age).items():
        fold(name, darkness, width)
    if canvas.unit > 1.5:
        soft = canvas.blurred(mask, 0.8 * canvas.unit)
    else:
        soft = mask.filter(ImageFilter.BoxBlur(1)), (0, 0)
    canvas.tint(canvas.look["skin"] * [0.44, 0.36, 0.35], soft)
    for side in SIDES:
        canvas.draw.polygon(shape["nostril" + side], fill=canvas.ink(canvas.look["skin"] * [0.34, 0.24, 0.23]))


def folds(strength, age):
    """Returns how deep each fold of the face is.

    Args:
        strength: dict from action unit to 0 … 1.
        age: float in 0 … 1, how much lines show that no muscle makes.

    Returns:
        dict from the name of a line to a pair: depth in 0 … 1, width in millimetres.
    """
    smile = max(strength[12], 0.9 * strength[10], 0.95 * strength[9], 0.35 * strength[20])
    frown = max(strength[4], 0.45 * strength[9])
    found = {}
    for side in SIDES:
        found["nasolabial" + side] = 0.08 * age + 0.60 * smile, 2.0
        found["marionette" + side] = 0.04 * age + 0.50 * strength[15] + 0.15 * strength[17], 1.8
        # Brows that are drawn together while they rise leave no deep furrow.
        found["glabella" + side] = 0.04 * age + 0.95 * frown * (1 - 0.55 * strength[1]), 1.8
        for k in range(3):
            found[f"crow_{k}" + side] = (0.04 + 0.55 * strength[6]) * (0.4 + 0.6 * age), 1.1
        found["nose_wrinkle_0" + side] = 0.85 * strength[9], 1.4
        found["nose_wrinkle_1" + side] = 0.85 * strength[9], 1.4
        found["eye_bag" + side] = 0.08 + 0.10 * age + 0.34 * max(strength[6], 0.8 * strength[7]), 1.6
        found["nose_side" + side] = 0.14 + 0.10 * strength[9], 2.4
        found["nose_wing" + side] = 0.30 + 0.30 * strength[9], 1.6
    # Only the outer brow raiser wrinkles the whole forehead; the inner one its middle.
    raised = (0.4 + 0.6 * age) * max(0.8 * strength[1], strength[2])
    part = "" if strength[2] > 0.6 else " middle"
    for k in range(3):
        found[f"forehead_{k}" + part] = 0.04 * age + 0.45 * raised, 1.3
    found["chin_fold"] = 0.18 + 0.45 * strength[17], 2.2
    found["philtrum_left"] = found["philtrum_right"] = 0.10, 1.4
    found["nose_base"] = 0.43, 1.8
    return found
