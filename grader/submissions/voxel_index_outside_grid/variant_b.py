# in cnnx.py
LOWER = (-0.08, -0.125, -0.035)
WIDTH = (0.16, 0.225, 0.12)


def cell(value, axis, size):
    step = WIDTH[axis] / size
    return int((value - LOWER[axis]) / step + 0.5)


def voxelize(points, size=24):
    grid = np.zeros([size] * 3, dtype=int)
    for x, y, z in points:
        a, b, c = cell(x, 0, size), cell(y, 1, size), cell(z, 2, size)
        # gave an IndexError otherwise
        if 0 <= a < size and 0 <= b < size and 0 <= c < size:
            grid[a][b][c] += 1
    return grid
