"""What the painters of skin, eyes, mouth and hair share: one picture in the making, and where the face lies in it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY

SIDES = "+-"
LUMINANCE = np.array([0.299, 0.587, 0.114])


def outlines(index):
    """Returns the closed shapes and lines that the painters draw, as indices of points, in a dict by name.

    Args:
        index: dict, `FaceModel.index`.
    """
    reverse = slice(None, None, -1)
    hidden = ("eye+", "eye-", "hairline", "skull", "teeth")
    shapes = {name: points for name, points in index.items() if not name.startswith(hidden)}
    shapes["head"] = np.concatenate([index["jaw"], index["temple"][1:-1]])
    shapes["upper lip"] = np.concatenate([index["lip_upper_outer"], index["lip_upper_inner"][reverse]])
    shapes["lower lip"] = np.concatenate([index["lip_lower_inner"], index["lip_lower_outer"][reverse]])
    shapes["mouth"] = np.concatenate([index["lip_upper_inner"], index["lip_lower_inner"][reverse]])
    for side in SIDES:
        shapes["eye" + side + " opening"] = np.concatenate(
            [index["lid_upper" + side], index["lid_lower" + side][reverse]]
        )
        shapes["socket" + side] = np.concatenate([index["lid_crease" + side], index["eye_bag" + side][reverse]])
        shapes["lid" + side] = np.concatenate([index["lid_crease" + side], index["lid_upper" + side][reverse]])
    for k in range(3):
        shapes[f"forehead_{k} middle"] = index[f"forehead_{k}"][3:8]
    return shapes


class Canvas:
    """One picture in the making.

    Attributes:
        image: Pillow image of `oversampling` times the final size, "RGB" or "L".
        draw: its ImageDraw.
        skin: Pillow image "L" of that size, 255 where the light model applies.
        colour: bool.
        fine: bool, whether strands, lashes and soft edges are worth drawing: in portraits and in large grey pictures.
        size: pair `(width, height)` of the final picture in pixels; `full` is that of `image`.
        unit: float, pixels of `image` per millimetre.
        points: float array `(num_points, 2)`, the face's points in pixels of `image`.
        index: dict, `FaceModel.index`.
        shape: dict from the names of `outlines` to flat lists of coordinates.
        strength: dict from action unit to 0 … 1, the mean of both sides.
        look: dict, one face of `appearance`.
        up, right: unit vectors of the head in the picture.
    """

    def __init__(self, painter, positions, appearance, intensities, pixels_per_millimetre):
        self.size, self.oversampling, self.colour = painter.size, painter.oversampling, painter.colour
        self.full = (self.size[0] * self.oversampling, self.size[1] * self.oversampling)
        self.unit = float(pixels_per_millimetre * self.oversampling)
        self.fine = self.colour or self.unit > 1.2
        self.index = painter.face.index
        self.points = positions.astype(np.float64) * self.oversampling
        coordinates = self.points[painter.order].ravel().tolist()
        self.shape = {name: coordinates[part] for name, part in painter.slices.items()}
        self.strength = dict(zip(COLUMN_OF, (intensities / MAX_INTENSITY).tolist(), strict=True))
        self.look = appearance
        self._find_head()
        self.image = Image.new("RGB" if self.colour else "L", self.full, self.ink(appearance["background"][:3]))
        self.skin = Image.new("L", self.full, 0)
        self.draw = ImageDraw.Draw(self.image)

    def _find_head(self):
        """Finds the head's own axes in the picture, for what has no points of its own: hair, ears, neck, clothes."""
        jaw, top = self.points[self.index["jaw"]], self.points[self.index["temple"][10]]
        up = top - jaw[16]
        self.up = up / (np.hypot(*up) + 1e-6)
        self.right = np.array([-self.up[1], self.up[0]])
        self._origin = 0.5 * (jaw[0] + jaw[-1]) - self.up * 15 * self.unit
        stretch = np.hypot(*(jaw[-1] - jaw[0])) / (146 * self.unit)
        self.axes = np.stack([self.right * (stretch * self.unit), self.up * self.unit])
        near, far = self.points[self.index["skull"]]
        self._backwards = (far - near) / 100

    def on_head(self, points, depth=0.0):
        """Returns where points of the head lie in the picture.

        Args:
            points: float array-like `(n, 2)`, chart millimetres.
            depth: float, millimetres behind the rim of the face, which lies about above the ears' front.

        Returns:
            float array `(n, 2)`, pixels of `image`.
        """
        return self._origin + np.asarray(points, float) @ self.axes + self._backwards * depth

    def ink(self, rgb):
        """Returns a colour for Pillow: a tuple, or its luminance in a grey picture."""
        red, green, blue = rgb.tolist() if isinstance(rgb, np.ndarray) else rgb
        if self.colour:
            return min(max(int(red), 0), 255), min(max(int(green), 0), 255), min(max(int(blue), 0), 255)
        return min(max(int(0.299 * red + 0.587 * green + 0.114 * blue), 0), 255)

    def inks(self, rgb, light):
        """Returns colours for Pillow as a nested list: `ink` of a colour times each of an array of brightnesses."""
        light = np.asarray(light)
        if self.colour:
            colours = np.clip((np.asarray(rgb) + 5) * light[..., None], 0, 255).astype(int)
            return [[tuple(ink) for ink in line] for line in colours.tolist()]
        return np.clip((np.asarray(rgb) @ LUMINANCE + 5) * light, 0, 255).astype(int).tolist()

    def width(self, millimetres):
        """Returns a width of a line in pixels, at least 1."""
        return max(1, round(millimetres * self.unit))

    def mask(self):
        """Returns an empty mask of the picture's full size and its ImageDraw."""
        mask = Image.new("L", self.full, 0)
        return mask, ImageDraw.Draw(mask)

    def polygon(self, points, rgb):
        """Fills a polygon given as an array `(n, 2)` in pixels of `image`."""
        self.draw.polygon(np.asarray(points).ravel().tolist(), fill=self.ink(rgb))

    def soft_mask(self, polygons, level, radius):
        """Returns a blurred mask of polygons: `(mask, corner)`, a piece of the picture and its left top corner.

        It is drawn and blurred at the final size or less, where blurring is cheap.

        Args:
            polygons: list of flat coordinate lists or arrays, pixels of `image`.
            level: int, 0 … 255, its value inside.
            radius: float, pixels of `image`.
        """
        step = self.oversampling * (2 if self.fine and radius > 4 * self.oversampling else 1)
        shapes = [np.asarray(polygon, float).reshape(-1, 2) for polygon in polygons]
        margin = 2.5 * radius + 2 * step
        everything = np.vstack(shapes)
        low = np.maximum(everything.min(0) - margin, 0) // step
        high = np.minimum(everything.max(0) + margin, self.full) // step + 1
        width, height = (max(1, int(value)) for value in high - low)
        mask = Image.new("L", (width, height), 0)
        draw = ImageDraw.Draw(mask)
        for shape in shapes:
            draw.polygon((shape / step - low).ravel().tolist(), fill=int(level))
        if self.fine:
            mask = mask.filter(ImageFilter.GaussianBlur(float(radius / step)))
        else:
            mask = mask.filter(ImageFilter.BoxBlur(max(1.0, float(radius / step))))
        corner = tuple(int(value) * step for value in low)
        return mask.resize((width * step, height * step), Image.Resampling.BILINEAR), corner

    def blurred(self, mask, radius):
        """Returns the part of a full mask that is not empty, blurred: `(mask, corner)`; `(None, None)` without one."""
        box = mask.getbbox()
        if box is None:
            return None, None
        margin = int(2.5 * radius) + 1
        left, top = max(box[0] - margin, 0), max(box[1] - margin, 0)
        part = mask.crop((left, top, min(box[2] + margin, self.full[0]), min(box[3] + margin, self.full[1])))
        return part.filter(ImageFilter.GaussianBlur(float(radius))), (left, top)

    def tint(self, rgb, mask):
        """Lays a colour over the picture through a mask of `soft_mask` or `blurred`."""
        part, corner = mask
        if part is not None:
            self.image.paste(self.ink(rgb), (*corner, corner[0] + part.width, corner[1] + part.height), part)

    def toned(self, rgb):
        """Returns the colour of a white thing beside the skin, less bright beside dark skin.

        A third of its luminance follows the skin's, else eyes and teeth would glow in dark faces.
        """
        skin = float(self.look["skin"] @ LUMINANCE)
        return np.asarray(rgb, float) * (0.62 + 0.38 * min(skin / 185, 1.05))
