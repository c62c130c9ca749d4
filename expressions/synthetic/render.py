"""Camera and light: from faces in metres to pixel positions and to a map of brightness.

The light model runs on the 1220 vertices and is spread over the pixel grid by normalised convolution, which needs no
rasterizer: at 48×48 a pixel is 3.5 mm, about the distance between two vertices.
"""

import functools

import numpy as np


def rotation_matrices(yaw, pitch, roll):
    """Returns head rotations.

    Args:
        yaw: float array `(n,)` in radians; positive turns the face to the viewer's right.
        pitch: float array `(n,)`; positive looks down.
        roll: float array `(n,)`; positive tilts counter-clockwise.

    Returns:
        float32 array `(n, 3, 3)` for column vectors.
    """
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)

    def matrix(*rows):
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    about_z = matrix((np.cos(roll), -np.sin(roll), zero), (np.sin(roll), np.cos(roll), zero), (zero, zero, one))
    about_x = matrix((one, zero, zero), (zero, np.cos(pitch), -np.sin(pitch)), (zero, np.sin(pitch), np.cos(pitch)))
    about_y = matrix((np.cos(yaw), zero, np.sin(yaw)), (zero, one, zero), (-np.sin(yaw), zero, np.cos(yaw)))
    return (about_z @ about_x @ about_y).astype(np.float32)


def rotate(vectors, rotation):
    """Applies a rotation to each face's vectors: `(n, p, 3)`, `(n, 3, 3)` → `(n, p, 3)`."""
    return vectors @ rotation.transpose(0, 2, 1)


def project(points, pixels_per_metre, centre_x, centre_y, distance):
    """Projects rotated points with a pinhole camera.

    Args:
        points: float array `(n, p, 3)`, metres, already rotated.
        pixels_per_metre: float array `(n,)`, at the depth of the head's origin.
        centre_x: float array `(n,)`, pixel column of the origin.
        centre_y: float array `(n,)`, pixel row.
        distance: float array `(n,)`, metres from the camera to the origin; a near camera widens the nose.

    Returns:
        float32 array `(n, p, 2)`: column and row, rows growing downwards.
    """
    scale = (pixels_per_metre * distance)[:, None] / (distance[:, None] - points[..., 2])
    return np.stack(
        [centre_x[:, None] + scale * points[..., 0], centre_y[:, None] - scale * points[..., 1]], axis=-1
    ).astype(np.float32)


@functools.cache
def _blur_matrix(size, sigma):
    offset = np.arange(size)[:, None] - np.arange(size)[None]
    kernel = np.exp(-0.5 * (offset / sigma) ** 2) * (np.abs(offset) <= 3 * sigma + 0.5)
    return kernel / (sigma * np.sqrt(2 * np.pi))


def blur(maps, sigma):
    """Blurs maps by a Gaussian; outside the map counts as zero.

    Args:
        maps: float array `(n, height, width)`.
        sigma: float, cells.

    Returns:
        float64 array of the same shape.
    """
    return _blur_matrix(maps.shape[1], sigma) @ maps @ _blur_matrix(maps.shape[2], sigma)


def blur_images(images, sigma):
    """Blurs images by a Gaussian that keeps their brightness at the edges; as `blur`."""
    height, width = images.shape[1:]
    rows, columns = _blur_matrix(height, sigma), _blur_matrix(width, sigma)
    return (rows / rows.sum(1, keepdims=True)) @ images @ (columns / columns.sum(1, keepdims=True)).T


def shading(positions, normals, hollows, light, ambient, size, cell=1, sigma=1.3):
    """Returns how bright skin is at each cell of the picture.

    Lambert's law with an ambient term from above, a little darkening of hollows and a weak highlight.

    Args:
        positions: float array `(n, 1220, 2)`, pixel column and row of the vertices.
        normals: float array `(n, 1220, 3)`, rotated.
        hollows: float array `(n, 1220)`, metres by which a vertex lies under its neighbourhood.
        light: float array `(n, 3)`, unit vectors towards the light.
        ambient: float array `(n,)` in 0 … 1.
        size: pair `(width, height)`, pixels.
        cell: int, pixels per cell.
        sigma: float, reach of a vertex in cells.

    Returns:
        float32 array `(n, rows, columns)`, about 1 where light falls straight.
    """
    num_faces = len(positions)
    columns, rows = -(-size[0] // cell), -(-size[1] // cell)
    light = light.astype(np.float32)
    halfway = light + np.array([0, 0, 1], np.float32)
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    lambert = np.maximum((normals @ light[:, :, None])[..., 0], 0)
    gloss = np.maximum((normals @ halfway[:, :, None])[..., 0], 0) ** 24
    ambient = ambient[:, None].astype(np.float32)
    value = ambient * (0.875 + 0.125 * normals[..., 1]) + (1 - ambient) * 1.15 * lambert
    value = value * np.clip(1 - 160 * hollows, 0.55, 1.18) + 0.08 * gloss
    weight = np.clip(normals[..., 2], 0.03, 1)
    column = np.clip((positions[..., 0] / cell).astype(np.int32), 0, columns - 1)
    line = np.clip((positions[..., 1] / cell).astype(np.int32), 0, rows - 1)
    index = ((np.arange(num_faces, dtype=np.int32)[:, None] * rows + line) * columns + column).ravel()

    def spread(values):
        sums = np.bincount(index, values.ravel(), num_faces * rows * columns)
        return blur(sums.reshape(num_faces, rows, columns), sigma)

    total, mass = spread(value * weight), spread(weight)
    # Where no vertex is near, a wide average takes over, and far from the face the mean.
    wide_total, wide_mass = blur(total, 4 * sigma), blur(mass, 4 * sigma)
    share = 0.03 * mass.mean((1, 2), keepdims=True)
    mean = ((value * weight).sum(1) / weight.sum(1))[:, None, None]
    wide = (wide_total + 0.1 * share * mean) / (wide_mass + 0.1 * share)
    return ((total + wide * share) / (mass + share)).astype(np.float32)


def expose(pictures, contrast):
    """Sets brightness and contrast as a camera does by itself, so that dark and pale skin both keep their features.

    Args:
        pictures: float32 array `(n, height, width)`, 0 … 255, with a face in the middle.
        contrast: float array `(n,)`, 1 for the contrast that FER-2013 has on average.

    Returns:
        float32 array of the same shape, 0 … 224.
    """
    height, width = pictures.shape[1:]
    middle = pictures[:, height // 4 : -(height // 5), width // 4 : -(width // 4)]
    # A camera that finds faces meters half of its light there; else a pale face before a dark wall burns out.
    meter = 0.5 * (pictures.mean((1, 2), keepdims=True) + middle.mean((1, 2), keepdims=True))
    pictures = pictures * (146 / np.maximum(meter, 8)) ** 0.8
    mean = 0.5 * (pictures.mean((1, 2), keepdims=True) + 146)
    # FER-2013's median picture has mean 128 and standard deviation 54. Hard light has contrast of its own.
    spread = np.maximum(pictures.std((1, 2), keepdims=True), 8)
    stretch = 1.5 * np.clip((40 / spread) ** 0.5, 0.65, 1.35) * np.reshape(contrast, mean.shape).astype(np.float32)
    pictures = np.maximum(mean + 6 + stretch * (pictures - mean), 0)
    # Highlights roll off and leave room for what the film does afterwards.
    knee, top = 130, 224
    over = np.maximum(pictures - knee, 0)
    return np.minimum(pictures, knee) + (top - knee) * (1 - np.exp(-over / (top - knee)))
