"""Light on skin for portraits: a dense sheet over the chart, with wrinkles as grooves in it.

The mesh's 1220 vertices are too coarse for a picture of 480×640. The fields of `face.py` are defined at every point of
the chart, so we evaluate them on a grid of 1.5 mm, cut the grooves of the folds into its height, take normals by
differences and drop the grid's light into the picture's cells.
"""

import functools
import itertools

import numpy as np
from PIL import Image

from expressions.synthetic.canvas import SIDES
from expressions.synthetic.face import chart_fields
from expressions.synthetic.mesh import MIDDLE_CURVES, PAIRED_CURVES, half_width
from expressions.synthetic.render import blur, blur_images, project, rotate

STEP = 1.5  # millimetres of the chart
FINER = 3  # pieces into which each step is cut before it is dropped into the picture
GROOVE = 0.9  # millimetres, the deepest fold
_EXTENT_U, _EXTENT_V = 79.5, (-96.0, 117.0)


def _distance_to_line(points, line):
    """Returns each point's distance to a polyline, and 0 … 1 along it: two float arrays `(n,)`."""
    nearest, along = np.full(len(points), np.inf), np.zeros(len(points))
    for k, (a, b) in enumerate(itertools.pairwise(line)):
        t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a) + 1e-9), 0, 1)
        distance = np.linalg.norm(points - a - t[:, None] * (b - a), axis=1)
        closer = distance < nearest
        nearest[closer], along[closer] = distance[closer], (k + t[closer]) / (len(line) - 1)
    return nearest, along


@functools.cache
def _sheet():
    """Returns what does not depend on the face.

    Returns:
        (fields, valid, grooves, pores): float32 `(63, n · 3)` in metres; bool `(rows, columns)`, where the grid lies
        on the face; dict from a fold's name to its profile `(rows, columns)` in 0 … 1; a fixed roughness `(rows,
        columns)` in millimetres.
    """
    u = np.arange(-_EXTENT_U, _EXTENT_U + 0.1, STEP)
    v = np.arange(*_EXTENT_V, STEP)
    grid_u, grid_v = np.meshgrid(u, v)
    points = np.c_[grid_u.ravel(), grid_v.ravel()]
    fields = chart_fields(points).astype(np.float32)
    lines = {name: line for name, line in MIDDLE_CURVES.items() if name.startswith(("forehead", "chin_fold"))}
    for k in range(3):
        lines[f"forehead_{k} middle"] = MIDDLE_CURVES[f"forehead_{k}"][3:8]
    for name in ("nasolabial", "marionette", "crow_0", "crow_1", "crow_2", "glabella", "nose_wrinkle_0",
                 "nose_wrinkle_1", "eye_bag", "nose_wing"):  # fmt: skip
        for side, sign in zip(SIDES, (1, -1), strict=True):
            lines[name + side] = PAIRED_CURVES[name] * [sign, 1]
    grooves = {}
    for name, line in lines.items():
        distance, along = _distance_to_line(points, line)
        # A groove with raised banks, shallower towards its ends.
        profile = np.exp(-0.5 * (distance / 1.5) ** 2) - 0.35 * np.exp(-0.5 * ((distance - 3.6) / 1.8) ** 2)
        grooves[name] = (profile * np.sin(np.pi * np.clip(along, 0.06, 0.94)) ** 0.5).reshape(grid_u.shape)
    # Beyond the rim the chart no longer follows a head.
    valid = np.abs(grid_u) < 1.06 * half_width(grid_v)
    pores = np.random.default_rng(5).normal(0, 1, (1, *grid_u.shape))
    pores = (pores - blur(pores, 2.0) * 1.0)[0] * 0.035
    return fields, valid, grooves, pores


def skin_light(coefficients, rotation, folds, camera, light, ambient, size, cell=2):
    """Returns how much light the skin of one portrait throws back, from ambient and key light.

    Args:
        coefficients: float array `(63,)`, `FaceModel.coefficients`.
        rotation: float array `(3, 3)`.
        folds: dict of `skin.folds`: a line's name to `(depth 0 … 1, width)`.
        camera: tuple of floats: pixels per metre, column and row of the head's origin, distance in metres.
        light: float array `(3,)`, unit vector towards the key light.
        ambient: float in 0 … 1.
        size: pair `(width, height)` of the picture in pixels.
        cell: int, pixels per cell of the map.

    Returns:
        (diffuse, gloss): two float32 arrays `(height, width)`; diffuse is about 1 where light falls straight.
    """
    fields, valid, grooves, pores = _sheet()
    shape = valid.shape
    points = (coefficients.astype(np.float32) @ fields).reshape(*shape, 3).astype(np.float64)
    relief = pores.copy()
    for name, (depth, _) in folds.items():
        if depth > 0.05 and name in grooves:
            relief -= GROOVE * min(depth, 1) * grooves[name]
    points[..., 2] += relief / 1000
    a, b = np.gradient(points, axis=1), np.gradient(points, axis=0)
    normals = np.cross(a, b)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12
    # Hollows see less of the sky: how far a point lies below the mean of its neighbourhood.
    height = points[..., 2]
    hollow = blur_images(height[None], 3.0)[0] - height + 0.5 * (blur_images(height[None], 7.0)[0] - height)
    turned = (normals.reshape(-1, 3) @ rotation.T).reshape(normals.shape)
    # Skin scatters light a little round the edge into shadow.
    lambert = np.clip((turned @ light + 0.18) / 1.18, 0, 1)
    sky = 0.80 + 0.20 * turned[..., 1]
    occlusion = np.clip(1 - 75 * hollow, 0.45, 1.12)
    diffuse = (ambient * sky + (1 - ambient) * 1.2 * lambert) * occlusion
    halfway = light + np.array([0, 0, 1.0])
    halfway /= np.linalg.norm(halfway)
    gloss = np.clip(turned @ halfway, 0, 1) ** 28 * occlusion

    scale, column, row, distance = (np.array([value]) for value in camera)
    pixels = project(rotate(points.reshape(1, -1, 3), rotation[None]), scale, column, row, distance)[0]
    facing = valid * np.clip(turned[..., 2] - 0.12, 0, 1) ** 2

    def finer(values):
        picture = Image.fromarray(np.asarray(values, np.float32).reshape(shape))
        return np.asarray(picture.resize((shape[1] * FINER, shape[0] * FINER), Image.Resampling.BICUBIC)).ravel()

    columns, rows = -(-size[0] // cell), -(-size[1] // cell)
    x, y = finer(pixels[:, 0] / cell), finer(pixels[:, 1] / cell)
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    index = y[inside].astype(np.int64) * columns + x[inside].astype(np.int64)
    weight = np.clip(finer(facing), 1e-7, 1)[inside]

    def dropped(values):
        sums = np.bincount(index, values, columns * rows).reshape(1, rows, columns)
        return blur(sums, 0.8)[0]

    mass = dropped(weight)
    maps = []
    for values, elsewhere in ((diffuse, 0.72), (gloss, 0.0)):
        total = dropped(weight * finer(values)[inside])
        known = total / (mass + 1e-5)
        # Beyond the sheet lie ears and the back of the skull: the light there fades to a constant.
        near = blur(np.stack([total, mass]), 6.0)
        wide = (near[0] + 0.02 * elsewhere) / (near[1] + 0.02)
        share = mass / (mass + 0.08)
        result = Image.fromarray((share * known + (1 - share) * wide).astype(np.float32))
        maps.append(np.asarray(result.resize(size, Image.Resampling.BICUBIC)))
    return maps[0], maps[1]
