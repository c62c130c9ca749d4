# in cnn.py
def prepare_images(pixel_strings):
    """Columns first, then the axes exchanged: the picture stands upright."""
    columns = np.array([row.split() for row in pixel_strings], dtype="float32").reshape(-1, 48, 48).T  # (48, 48, n)
    faces = np.transpose(columns, (2, 1, 0))  # (n, 48, 48), rows first again
    return np.ascontiguousarray(faces[..., np.newaxis]) / 255
