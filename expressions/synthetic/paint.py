"""Paints one face from its projected contours: skin, wrinkles, mouth, eyes, brows, hair.

Pillow draws everything at a few times the final size. What the painter knows of an expression is where the contours
went and how strong each action unit is, which sets how dark its wrinkles are.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from expressions.synthetic.appearance import HAIR_STYLES, STYLE_NAMES
from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY

SIDES = "+-"
_CIRCLE = np.linspace(-np.pi / 2, 1.5 * np.pi, 40)
_ARC = np.linspace(-0.10, np.pi + 0.10, 24)
_RIM = np.linspace(0, 2 * np.pi, 25)
# A rectangle with round corners, for the rims of glasses.
_GLASSES = np.c_[
    21 * np.sign(np.cos(_RIM)) * np.abs(np.cos(_RIM)) ** 0.6, 15 * np.sign(np.sin(_RIM)) * np.abs(np.sin(_RIM)) ** 0.6
]
_BROW_PROFILE = np.array([0.75, 1, 1, 1, 0.95, 0.85, 0.7, 0.5, 0.2])[:, None]
_NECK = [(-47, -45), (-46, -118), (-120, -140), (-150, -260), (150, -260), (120, -140), (46, -118), (47, -45)]
_CLOTHES = [(-58, -122), (-125, -138), (-170, -300), (170, -300), (125, -138), (58, -122), (25, -150), (-25, -150)]
_EAR = np.array([(72, 30), (82, 32), (84, 15), (78, -14), (71, -18)], float)


def _skull(extra, from_sine):
    points = np.c_[(79 + extra) * np.cos(_CIRCLE), 30 + (86 + extra) * np.sin(_CIRCLE)]
    return points[np.sin(_CIRCLE) > from_sine]


_HEAD = _skull(-4, -0.15)


def _outlines(index):
    """Returns the closed shapes and lines that the painter draws, as indices of points, in a dict by name."""
    reverse = slice(None, None, -1)
    shapes = {name: points for name, points in index.items() if not name.startswith(("eye+", "eye-", "hairline"))}
    shapes["head"] = np.concatenate([index["jaw"], index["temple"][1:-1]])
    shapes["upper lip"] = np.concatenate([index["lip_upper_outer"], index["lip_upper_inner"][reverse]])
    shapes["lower lip"] = np.concatenate([index["lip_lower_inner"], index["lip_lower_outer"][reverse]])
    shapes["mouth"] = np.concatenate([index["lip_upper_inner"], index["lip_lower_inner"][reverse]])
    shapes["left corner"] = index["lip_upper_outer"][:2]
    shapes["right corner"] = index["lip_upper_outer"][:-3:-1]
    for side in SIDES:
        shapes["eye" + side + " opening"] = np.concatenate(
            [index["lid_upper" + side], index["lid_lower" + side][reverse]]
        )
        shapes["socket" + side] = np.concatenate([index["lid_crease" + side], index["eye_bag" + side][reverse]])
    for k in range(3):
        shapes[f"forehead_{k} middle"] = index[f"forehead_{k}"][3:8]
    return shapes


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
        self.width, self.height = size[0] * oversampling, size[1] * oversampling
        self._index = face.index
        self._slices, order, start = {}, [], 0
        for name, points in _outlines(face.index).items():
            self._slices[name] = slice(2 * start, 2 * (start + len(points)))
            order.append(points)
            start += len(points)
        self._order = np.concatenate(order)

    def _ink(self, rgb):
        red, green, blue = (min(max(float(channel), 0.0), 255.0) for channel in rgb)
        if self.colour:
            return int(red), int(green), int(blue)
        return int(0.299 * red + 0.587 * green + 0.114 * blue)

    def _mask(self):
        mask = Image.new("L", (self.width, self.height), 0)
        return mask, ImageDraw.Draw(mask)

    def _line_width(self, millimetres):
        return max(1, round(millimetres * self.unit))

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
        self.unit = float(pixels_per_millimetre * self.oversampling)
        self.points = positions.astype(np.float64) * self.oversampling
        coordinates = self.points[self._order].ravel().tolist()
        self.shape = {name: coordinates[part] for name, part in self._slices.items()}
        self.strength = dict(zip(COLUMN_OF, (intensities / MAX_INTENSITY).tolist(), strict=True))
        self.look = appearance
        self._find_head()
        style = STYLE_NAMES[appearance["hair"]]
        _, volume, rise, long_hair, fringe = HAIR_STYLES[style]
        volume = volume * appearance["hair_length"]

        image = self._background()
        draw = ImageDraw.Draw(image)
        skin = self._head(draw, style, volume, long_hair)
        self._wrinkles(image)
        self._tints(image)
        draw = ImageDraw.Draw(image)
        for side in SIDES:
            draw.polygon(self.shape["nostril" + side], fill=self._ink(appearance["skin"] * 0.30))
        self._mouth(image, skin)
        self._eyes(image)
        draw = ImageDraw.Draw(image)
        if style != "bald":
            self._hair(draw, volume, rise, long_hair, fringe)
        self._accessories(draw, volume)
        return image, skin

    def _find_head(self):
        """Finds the head's own axes in the picture, for what has no points of its own: hair, ears, neck, clothes."""
        jaw, top = self.points[self._index["jaw"]], self.points[self._index["temple"][10]]
        up = top - jaw[16]
        self.up = up / (np.hypot(*up) + 1e-6)
        self.right = np.array([-self.up[1], self.up[0]])
        self.origin = 0.5 * (jaw[0] + jaw[-1]) - self.up * 15 * self.unit
        self.stretch = np.hypot(*(jaw[-1] - jaw[0])) / (146 * self.unit)
        self._axes = np.stack([self.right * (self.stretch * self.unit), self.up * self.unit])

    def _on_head(self, points):
        """Returns flat pixel coordinates of chart points in millimetres, laid on the plane of the head's outline."""
        return (self.origin + np.asarray(points) @ self._axes).ravel().tolist()

    def _background(self):
        look = self.look
        image = Image.new("RGB" if self.colour else "L", (self.width, self.height), self._ink(look["background"][:3]))
        draw = ImageDraw.Draw(image)
        for k in range(3):
            x, y = look["blobs"][k] * self.width, look["blobs"][k + 3] * self.height
            radius = (0.2 + 0.5 * look["blobs"][5 - k]) * self.width
            ink = self._ink(look["background"][3:] * (0.6 + 0.3 * k))
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink)
        if self.colour:
            small = image.resize((self.width // 8, self.height // 8), Image.Resampling.BOX)
            image = small.filter(ImageFilter.GaussianBlur(1.75 * self.oversampling)).resize(
                image.size, Image.Resampling.BILINEAR
            )
        return image

    def _head(self, draw, style, volume, long_hair):
        """Draws hair behind the head, neck, clothes, ears and the bare head; returns the mask of lit skin."""
        look = self.look
        hair, skin_colour = look["hair_colour"], look["skin"]
        if long_hair:
            end = -60 - 70 * look["hair_length"]
            side = [(84 + volume * 0.4, 30), (88 + volume, -20), (86 + volume, end)]
            behind = [(-u, v) for u, v in side] + side[::-1]
            draw.polygon(self._on_head(behind), fill=self._ink(hair * 0.72))
        if style != "bald":
            draw.polygon(self._on_head(_skull(volume, -0.35)), fill=self._ink(hair * 0.85))
        draw.polygon(self._on_head(_NECK), fill=self._ink(skin_colour * 0.74))
        draw.polygon(self._on_head(_CLOTHES), fill=self._ink(look["cloth"]))
        if not long_hair:
            for sign in (-1, 1):
                draw.polygon(self._on_head(_EAR * [sign, 1]), fill=self._ink(skin_colour * 0.86))
        mask, mask_draw = self._mask()
        crown = self._on_head(_HEAD)
        for polygon in (crown, self.shape["head"]):
            draw.polygon(polygon, fill=self._ink(skin_colour))
            mask_draw.polygon(polygon, fill=255)
        return mask

    def _wrinkles(self, image):
        """Draws every fold and crease of the skin into one layer, blurs it once and darkens the skin with it."""
        strength, shape = self.strength, self.shape
        age = 0.35 + 0.65 * self.look["age"]
        mask, draw = self._mask()

        def fold(name, darkness, width):
            level = int(255 * min(max(darkness, 0), 1))
            if level > 4:
                draw.line(shape[name], fill=level, width=self._line_width(width), joint="curve")

        smile = max(strength[12], 0.9 * strength[10], 0.8 * strength[9], 0.4 * strength[20])
        for side in SIDES:
            fold("nasolabial" + side, 0.10 * age + 0.55 * smile, 2.0)
            fold("marionette" + side, 0.04 * age + 0.42 * strength[15] + 0.15 * strength[17], 1.8)
            fold("glabella" + side, 0.06 * age + 0.75 * max(strength[4], 0.5 * strength[9]), 1.8)
            for k in range(3):
                fold(f"crow_{k}" + side, (0.05 + 0.40 * strength[6]) * age, 1.1)
            fold("nose_wrinkle_0" + side, 0.55 * strength[9], 1.3)
            fold("nose_wrinkle_1" + side, 0.50 * strength[9], 1.3)
            fold("eye_bag" + side, 0.10 + 0.125 * age + 0.28 * max(strength[6], 0.7 * strength[7]), 1.6)
            fold("nose_side" + side, 0.16, 2.4)
            fold("nose_wing" + side, 0.28 + 0.15 * strength[9], 1.6)
        raised = (0.5 + 0.5 * age) * max(strength[1], strength[2])
        # Only the outer brow raiser wrinkles the whole forehead; the inner one its middle.
        part = "" if strength[2] > 0.35 else " middle"
        for k in range(3):
            fold(f"forehead_{k}" + part, 0.05 * age + 0.43 * raised, 1.3)
        fold("chin_fold", 0.18 + 0.40 * strength[17], 2.2)
        fold("philtrum_left", 0.13, 1.4)
        fold("philtrum_right", 0.13, 1.4)
        fold("nose_base", 0.43, 1.8)
        blurred = mask.filter(ImageFilter.GaussianBlur(self.unit) if self.unit > 1.5 else ImageFilter.BoxBlur(1))
        image.paste(self._ink(self.look["skin"] * 0.42), mask=blurred)

    def _soft_mask(self, polygons, level, radius):
        """Returns a blurred mask; it is drawn and blurred at the final size, where blurring is cheap."""
        mask = Image.new("L", self.size, 0)
        draw = ImageDraw.Draw(mask)
        for polygon in polygons:
            draw.polygon([value / self.oversampling for value in polygon], fill=level)
        mask = mask.filter(ImageFilter.GaussianBlur(radius / self.oversampling))
        return mask.resize((self.width, self.height), Image.Resampling.BILINEAR)

    def _tints(self, image):
        look, index = self.look, self._index
        sockets = [self.shape["socket" + side] for side in SIDES]
        image.paste(self._ink(look["skin"] * 0.55), mask=self._soft_mask(sockets, 46, 2.6 * self.unit))
        if look["beard"] > 0.03:
            points = self.points
            left, right = points[index["nasolabial-"]], points[index["nasolabial+"]]
            base = points[index["nose_base"]] - self.up * 4 * self.unit
            area = np.vstack([points[index["jaw"]][3:30], right[[8, 3]], base[[3, 1]], left[[3, 8]]])
            mask = self._soft_mask([area.ravel().tolist()], int(225 * look["beard"]), 4.5 * self.unit)
            colour = 0.9 * np.minimum(look["hair_colour"], look["skin"] * 0.8) + 0.1 * look["skin"]
            image.paste(self._ink(colour), mask=mask)

    def _inside(self, image, polygon, softness=0.0):
        """Returns a copy of the picture, its draw object, and a mask of the polygon to paste the copy through."""
        mask, draw = self._mask()
        draw.polygon(polygon, fill=255)
        if softness > 0:
            mask = mask.filter(ImageFilter.GaussianBlur(softness))
        copy = image.copy()
        return copy, ImageDraw.Draw(copy), mask

    def _mouth(self, image, skin):
        look, unit, up = self.look, self.unit, self.up
        upper, lower = self.points[self._index["lip_upper_inner"]], self.points[self._index["lip_lower_inner"]]
        lip = look["skin"] * (1 - look["lip_redness"]) + np.array([168, 62, 66]) * look["lip_redness"]
        lip = lip * [0.86, 0.74, 0.74]
        if look["makeup"] > 0.3:
            lip = lip * (1 - 0.45 * look["makeup"]) + np.array([170, 30, 50]) * 0.45 * look["makeup"]
        draw = ImageDraw.Draw(image)
        draw.polygon(self.shape["upper lip"], fill=self._ink(lip * 0.84))
        draw.polygon(self.shape["lower lip"], fill=self._ink(lip))
        opening = abs((lower[6] - upper[6]) @ up) / unit
        if opening > 0.9:
            inner, pen, mask = self._inside(image, self.shape["mouth"], 0.25 * unit if unit > 2 else 0)
            pen.polygon(self.shape["mouth"], fill=self._ink((62, 22, 24)))
            if opening > 8:
                x, y = 0.35 * upper[6] + 0.65 * lower[6] - up * 1.5 * unit
                pen.ellipse([x - 14 * unit, y - 6 * unit, x + 14 * unit, y + 6 * unit], fill=self._ink((150, 70, 70)))
            self._teeth(pen, opening)
            image.paste(inner, mask=mask)
            # Vertices round an open mouth face up and down: their shade would leave the teeth grey.
            ImageDraw.Draw(skin).polygon(self.shape["mouth"], fill=90)
            draw = ImageDraw.Draw(image)
        else:
            seam = 0.5 * (upper + lower)
            width = self._line_width(1.0 + 0.35 * opening)
            draw.line(seam.ravel().tolist(), fill=self._ink(lip * 0.45), width=width, joint="curve")
        for corner in ("left corner", "right corner"):
            draw.line(self.shape[corner], fill=self._ink(lip * 0.6), width=self._line_width(0.8))
        radius = (0.8 + 1.2 * self.strength[14]) * unit
        for x, y in (upper[0], upper[-1]):
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=self._ink(lip * 0.5))

    def _teeth(self, pen, opening):
        ivory, unit = np.array([228, 220, 204]), self.unit
        upper, lower = self.points[self._index["teeth_upper"]], self.points[self._index["teeth_lower"]]
        roots = upper + self.up * 11 * unit
        pen.polygon(np.vstack([upper, roots[::-1]]).ravel().tolist(), fill=self._ink(ivory))
        if opening < 14:
            low_roots = lower - self.up * 8 * unit
            pen.polygon(np.vstack([lower, low_roots[::-1]]).ravel().tolist(), fill=self._ink(ivory * 0.86))
        if self.colour:
            for tip, root in zip(upper[1:-1], roots[1:-1], strict=True):
                pen.line([*tip, *root], fill=self._ink(ivory * 0.8), width=self._line_width(0.25))

    def _eyes(self, image):
        look, unit, up, right = self.look, self.unit, self.up, self.right
        skin, lash = look["skin"], np.array([34, 24, 22]) * (1 - 0.4 * look["makeup"]) + look["skin"] * 0.12
        draw = ImageDraw.Draw(image)
        for side in SIDES:
            upper, lower = self.points[self._index["lid_upper" + side]], self.points[self._index["lid_lower" + side]]
            crease = self.shape["lid_crease" + side]
            draw.line(crease, fill=self._ink(skin * 0.62), width=self._line_width(0.9), joint="curve")
            if abs((lower[6] - upper[6]) @ up) / unit > 1.0:
                inner, pen, mask = self._inside(image, self.shape["eye" + side + " opening"])
                pen.polygon(self.shape["eye" + side + " opening"], fill=self._ink((226, 222, 216)))
                x, y = (
                    self.points[self._index["eye" + side][0]] + (right * look["gaze"][0] + up * look["gaze"][1]) * unit
                )
                for radius, colour in ((5.9, look["iris"] * 0.6), (5.1, look["iris"] * 1.1), (2.4, (10, 8, 8))):
                    r = radius * unit
                    pen.ellipse([x - r, y - r, x + r, y + r], fill=self._ink(colour))
                x, y = (x, y) + (right * 1.8 + up * 2.0) * unit
                r = 1.1 * unit
                pen.ellipse([x - r, y - r, x + r, y + r], fill=self._ink((250, 250, 250)))
                shadow = (upper - up * 0.9 * unit).ravel().tolist()
                pen.line(shadow, fill=self._ink((120, 104, 98)), width=self._line_width(1.4), joint="curve")
                image.paste(inner, mask=mask)
            lash_width = self._line_width(1.3 + 0.9 * look["makeup"])
            draw.line(self.shape["lid_upper" + side], fill=self._ink(lash), width=lash_width, joint="curve")
            lower_line = self.shape["lid_lower" + side]
            draw.line(lower_line, fill=self._ink(skin * 0.52), width=self._line_width(0.8), joint="curve")
            self._brow(image, draw, self.points[self._index["brow" + side]])

    def _brow(self, image, draw, brow):
        look, unit = self.look, self.unit
        half = self.up[None] * (_BROW_PROFILE * look["brow_width"] * unit)
        area = np.vstack([brow + half, (brow - half)[::-1]]).ravel().tolist()
        if not self.colour:
            draw.polygon(area, fill=self._ink(look["hair_colour"] * 0.6 + look["skin"] * 0.14))
            return
        mask, pen = self._mask()
        pen.polygon(area, fill=225)
        rng = np.random.default_rng(int(look["strands"]))
        for _ in range(120):
            t = rng.uniform(0, 7.9)
            k = int(t)
            along = brow[k + 1] - brow[k]
            start = brow[k] + along * (t - k) + half[k] * rng.uniform(-1, 0.8)
            end = start + along / (np.hypot(*along) + 1e-6) * 3.4 * unit + self.up * rng.uniform(0, 1.6) * unit
            pen.line([*start, *end], fill=int(rng.uniform(120, 255)), width=self._line_width(0.35))
        mask = mask.filter(ImageFilter.GaussianBlur(0.45 * unit))
        image.paste(self._ink(look["hair_colour"] * 0.55 + look["skin"] * 0.08), mask=mask)

    def _hair(self, draw, volume, rise, long_hair, fringe):
        look, unit, up = self.look, self.unit, self.up
        colour = look["hair_colour"]
        front = self.points[self._index["hairline"]] + up * rise * unit
        if fringe:
            x = np.linspace(-1, 1, 17)[:, None]
            front = front - up * (13 * (1 - x**2) * (1 + 0.3 * np.sin(9 * x + look["strands"] % 7))) * unit
        dome = np.c_[(79 + volume) * np.cos(_ARC), 30 + (86 + volume) * np.sin(_ARC)]
        draw.polygon(front.ravel().tolist() + self._on_head(dome), fill=self._ink(colour))
        if long_hair:
            end = -60 - 70 * look["hair_length"]
            lock = [(70, 45), (66, 5), (66 - 3 * look["hair_length"], -40), (70, end), (92 + volume, end)]
            lock = np.array(lock + [(90 + volume, 20), (80 + volume, 60)])
            for sign in (-1, 1):
                draw.polygon(self._on_head(lock * [sign, 1]), fill=self._ink(colour))
        rng = np.random.default_rng(int(look["strands"]) + 1)
        num_strands = 90 if self.colour else 6
        angle, radius, reach = (
            rng.uniform(low, high, num_strands) for low, high in ((0.1, np.pi - 0.1), (0.86, 1), (0.3, 0.8))
        )
        shine, extra, width = (rng.uniform(low, high, num_strands) for low, high in ((0.7, 1.5), (0, 14), (0.5, 1.3)))
        root = np.c_[(79 + volume) * np.cos(angle), 30 + (86 + volume) * np.sin(angle)] * radius[:, None]
        root = self.origin + root @ self._axes
        tip = root + (front[((1 - angle / np.pi) * 16).astype(int)] - root) * reach[:, None]
        strands = np.c_[root, tip].tolist()
        for k in range(num_strands):
            ink = self._ink(colour * shine[k] + extra[k])
            draw.line(strands[k], fill=ink, width=max(1, int(width[k] * unit)))

    def _accessories(self, draw, volume):
        look = self.look
        if look["hat"]:
            crown = np.c_[(84 + volume) * np.cos(_ARC), 62 + (70 + volume) * np.maximum(np.sin(_ARC), 0)]
            draw.polygon(self._on_head(crown), fill=self._ink(look["cloth"] * 0.8 + 10))
            draw.polygon(self._on_head([(-88, 64), (88, 64), (86, 74), (-86, 74)]), fill=self._ink(look["cloth"] * 0.6))
        if look["glasses"]:
            width = self._line_width(1.5)
            ink = self._ink((30, 28, 30) if look["strands"] % 3 else (120, 110, 96))
            for side, sign in zip(SIDES, (1, -1), strict=True):
                crease, bag = self._index["lid_crease" + side][6], self._index["eye_bag" + side][6]
                centre = 0.5 * (self.points[crease] + self.points[bag])
                draw.line((centre + _GLASSES @ self._axes).ravel().tolist(), fill=ink, width=width, joint="curve")
                hinge = self.points[self._index["eye" + side][0]] + np.array([sign * 21, 3]) @ self._axes
                draw.line([*hinge, *self._on_head([(sign * 78, 22)])], fill=ink, width=width)
            left, right = (self.points[self._index["eye" + side][0]] for side in "-+")
            bridge = [left + np.array([20, 3]) @ self._axes, right + np.array([-20, 3]) @ self._axes]
            draw.line(np.concatenate(bridge).tolist(), fill=ink, width=width)
