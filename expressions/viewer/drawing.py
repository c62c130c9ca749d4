"""Draws a point cloud with NumPy alone: for the seven small faces, and wherever there is no OpenGL."""

import numpy as np

# Radius of a point as a share of the face's radius: neighbours of ARKit's 1220 vertices nearly touch.
POINT_RADIUS = 0.016


def draw_points(points, colours, camera, bounds, width, height, background):
    """Draws points as discs, the nearer ones over the farther ones.

    Args:
        points: float array `(n, 3)` in metres, face frame.
        colours: uint8 array `(n, 3)`.
        camera: `Camera`.
        bounds: `Bounds` of the face.
        width: int, width of the picture in pixels.
        height: int, height of the picture in pixels.
        background: three ints in 0 … 255.

    Returns:
        uint32 array `(height, width)`: 0xFFRRGGBB, which is Qt's `Format_RGB32`.
    """
    placed = camera.project(points, bounds, width, height)
    disc_rows, disc_columns, reach = _disc(POINT_RADIUS * bounds.radius * float(np.median(placed[:, 2])))
    columns, rows = np.floor(placed[:, :2]).astype(np.int64).T
    seen = (placed[:, 2] > 0) & (columns > -reach) & (columns < width + reach)
    seen &= (rows > -reach) & (rows < height + reach)
    order = np.flatnonzero(seen)
    order = order[np.argsort(placed[order, 2], kind="stable")]

    # A margin as wide as two discs takes what hangs over the edge, so that no pixel needs a test of its own.
    margin = 2 * reach
    canvas = np.full((height + 2 * margin, width + 2 * margin), _packed(np.array([background]))[0], np.uint32)
    stride = canvas.shape[1]
    centres = (rows[order] + margin) * stride + columns[order] + margin
    pixels = centres[:, None] + (disc_rows * stride + disc_columns)  # (n, size of the disc)
    # Where two discs meet, the later assignment wins, and that is the nearer point.
    canvas.reshape(-1)[pixels] = _packed(np.asarray(colours)[order])[:, None]
    return np.ascontiguousarray(canvas[margin : margin + height, margin : margin + width])


def _packed(colours):
    """Returns uint32 `(n,)` 0xFFRRGGBB of colours `(n, 3)`."""
    red, green, blue = np.asarray(colours, np.uint32).T
    return 0xFF000000 | red << 16 | green << 8 | blue


def _disc(radius):
    """Returns the row and column offsets of the pixels in a disc of a radius in pixels, and how far they reach."""
    radius = min(max(radius, 0.6), 60.0)
    reach = int(radius) + 1
    offsets = np.arange(-reach, reach + 1)
    rows, columns = np.meshgrid(offsets, offsets, indexing="ij")
    near = rows**2 + columns**2 <= radius**2
    return rows[near], columns[near], reach
