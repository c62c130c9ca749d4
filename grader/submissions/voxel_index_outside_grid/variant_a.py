# in cnnx.py
def voxelize(points, size=24):
    mins = points.min(axis=0)
    maxs = points.max(axis=0)
    scaled = (points - mins) / (maxs - mins) * size
    idx = np.round(scaled).astype(int)
    voxels = np.zeros((size, size, size))
    for i, j, k in idx:
        voxels[i, j, k] += 1
    return voxels
