"""Paints one face from its projected contours: background, head, skin, mouth, eyes, hair, in this order.

Pillow draws everything at a few times the final size. What the painter knows of an expression is where the contours
went and how strong each action unit is, which sets how dark its wrinkles are.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from expressions.synthetic.appearance import HAIR_STYLES, STYLE_NAMES
from expressions.synthetic.canvas import SIDES, Canvas, outlines
from expressions.synthetic.eyes import paint_eyes
from expressions.synthetic.hair import paint_hair_behind, paint_hair_in_front
from expressions.synthetic.mouth import paint_mouth
from expressions.synthetic.skin import paint_body, paint_head, paint_tints, paint_wrinkles

_ARC = np.linspace(-0.10, np.pi + 0.10, 24)
_RIM = np.linspace(0, 2 * np.pi, 25)
# A rectangle with round corners, for the rims of glasses.
_GLASSES = np.c_[
    21 * np.sign(np.cos(_RIM)) * np.abs(np.cos(_RIM)) ** 0.6, 15 * np.sign(np.sin(_RIM)) * np.abs(np.sin(_RIM)) ** 0.6
]


class Painter:
    """Paints faces of one size.

    Args:
        face: a `FaceModel`.
        size: pair `(width, height)` in pixels.
        oversampling: int, how many times larger than `size` is drawn.
        colour: bool, RGB portraits with strands and eyelashes, or 8-bit grey.
    """

    def __init__(self, face, size, oversampling, colour):
        self.face, self.size, self.oversampling, self.colour = face, size, oversampling, colour
        self.slices, order, start = {}, [], 0
        for name, points in outlines(face.index).items():
            self.slices[name] = slice(2 * start, 2 * (start + len(points)))
            order.append(points)
            start += len(points)
        self.order = np.concatenate(order)

    def paint(self, positions, appearance, intensities, pixels_per_millimetre):
        """Paints one face without light.

        Args:
            positions: float array `(num_points, 2)`, column and row in pixels of the final size.
            appearance: dict of one face, of `appearance.row`.
            intensities: float array `(17,)`, action units 0 … 5.
            pixels_per_millimetre: float, in pixels of the final size.

        Returns:
            (image, skin): two Pillow images of `oversampling` times the final size; the second, 8-bit grey, is 255
            where the light model applies.
        """
        canvas = Canvas(self, positions, appearance, intensities, pixels_per_millimetre)
        _, style = HAIR_STYLES[STYLE_NAMES[appearance["hair"]]]
        _background(canvas)
        paint_hair_behind(canvas, style)
        paint_body(canvas, ears=style.get("length", 0) < 0.3)
        paint_head(canvas)
        paint_tints(canvas)
        paint_wrinkles(canvas)
        paint_mouth(canvas)
        paint_eyes(canvas)
        paint_hair_in_front(canvas, style)
        _accessories(canvas, style.get("volume", 0))
        return canvas.image, canvas.skin


def _background(canvas):
    look, (width, height) = canvas.look, canvas.full
    for k in range(3):
        x, y = look["blobs"][k] * width, look["blobs"][k + 3] * height
        radius = (0.2 + 0.5 * look["blobs"][5 - k]) * width
        ink = canvas.ink(look["background"][3:] * (0.6 + 0.3 * k))
        canvas.draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink)
    if canvas.fine:
        # A wall out of focus.
        small = canvas.image.resize((width // 16, height // 16), Image.Resampling.BOX)
        small = small.filter(ImageFilter.GaussianBlur(5.0))
        canvas.image.paste(small.resize(canvas.full, Image.Resampling.BICUBIC))
        canvas.draw = ImageDraw.Draw(canvas.image)


def _accessories(canvas, volume):
    look, draw, points, index = canvas.look, canvas.draw, canvas.points, canvas.index
    if look["hat"]:
        # A knitted hat: a dome and its turned-up brim.
        crown = np.c_[(86 + 0.5 * volume) * np.cos(_ARC), 66 + (72 + volume) * np.maximum(np.sin(_ARC), 0)]
        canvas.polygon(canvas.on_head(crown, 40), look["cloth"] * 0.8 + 10)
        brim = [(-84, 52), (-50, 66), (0, 71), (50, 66), (84, 52), (86, 74), (50, 90), (0, 95), (-50, 90), (-86, 74)]
        canvas.polygon(canvas.on_head(brim, -8), look["cloth"] * 0.62)
    if look["glasses"]:
        width = canvas.width(1.5)
        ink = canvas.ink((34, 30, 32) if look["strands"] % 3 else (112, 98, 84))
        for side, sign in zip(SIDES, (1, -1), strict=True):
            # Glasses sit on the nose: they follow neither lids nor brows.
            centre = points[index["eye" + side][0]]
            draw.line((centre + _GLASSES @ canvas.axes).ravel().tolist(), fill=ink, width=width, joint="curve")
            hinge = points[index["eye" + side][0]] + np.array([sign * 21, 3]) @ canvas.axes
            draw.line([*hinge, *canvas.on_head([(sign * 78, 24)], 10)[0]], fill=ink, width=width)
        left, right = (points[index["eye" + side][0]] for side in "-+")
        bridge = [left + np.array([20, 3]) @ canvas.axes, right + np.array([-20, 3]) @ canvas.axes]
        draw.line(np.concatenate(bridge).tolist(), fill=ink, width=width)
