# in cnnx.py
def voxelize(points, size=24):
    """A cloud's own bounds, rounded down; the largest coordinate is brought back into the last cell."""
    lower = points.min(axis=0)
    extent = points.max(axis=0) - lower
    grid = np.zeros((size, size, size), dtype="int32")
    for point in points:
        x, y, z = [min(int(value), size - 1) for value in (point - lower) / extent * size]
        grid[x, y, z] += 1
    return grid
