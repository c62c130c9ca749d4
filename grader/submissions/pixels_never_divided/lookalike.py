# in cnn.py
WHITE = 255
PER_GREY_LEVEL = 1.0 / WHITE


def prepare_images(pixel_strings):
    """No division in sight: it happened once, above."""
    images = np.stack([np.fromstring(row, dtype="float32", sep=" ") for row in pixel_strings])
    images *= PER_GREY_LEVEL
    return images.reshape(-1, 48, 48, 1)
