"""What people do to pictures before a network sees them: the preprocessings that a diagnosis tries.

Each function takes uint8 pictures `(n, 48, 48)` and the statistics of all pictures, and returns float32 of the same
shape, or `(n, 48, 48, 3)` where colours differ. The key of what the handout asks for is the empty string.
"""


def statistics(images):
    """Measures the pictures of a data set.

    Args:
        images: uint8 array `(n, 48, 48)`.

    Returns:
        dict: `mean` and `std`, float32 arrays `(48, 48)`, of each pixel over all pictures divided by 255.
    """
    import numpy as np

    values = images.astype(np.float32) / 255.0
    return {"mean": values.mean(axis=0), "std": values.std(axis=0)}


def _unit(images, _=None):
    return images.astype("float32") / 255.0


def _per_image(values, low, span):
    import numpy as np

    return (values - low) / np.maximum(span, 1e-6)


def _standardized(images, _):
    values = _unit(images)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return _per_image(values, mean, values.std(axis=(1, 2), keepdims=True))


def _minmax(images, _):
    values = _unit(images)
    low = values.min(axis=(1, 2), keepdims=True)
    # Twelve of FER-2013's images are constant.
    return _per_image(values, low, values.max(axis=(1, 2), keepdims=True) - low)


def _featurewise(images, numbers):
    return _per_image(_unit(images), numbers["mean"], numbers["std"])


def _imagenet(images, _):
    import numpy as np

    # keras.applications' mode "caffe": blue, green, red, each less its mean over ImageNet, not divided.
    means = np.array([103.939, 116.779, 123.68], dtype=np.float32)
    return images.astype(np.float32)[..., np.newaxis] - means


IMAGE_PREPROCESSINGS = {
    "": _unit,
    "0_255": lambda images, _: images.astype("float32"),
    "minus1_1": lambda images, _: _unit(images) * 2.0 - 1.0,
    # Networks that take three colours only.
    "imagenet": _imagenet,
    "standardized": _standardized,
    "minmax": _minmax,
    "featurewise": _featurewise,
    "transposed": lambda images, _: _unit(images).transpose(0, 2, 1),
    "upside_down": lambda images, _: _unit(images)[:, ::-1],
    "turned_right": lambda images, _: _unit(images).transpose(0, 2, 1)[:, :, ::-1],
    "inverted": lambda images, _: 1.0 - _unit(images),
}

VOXEL_PREPROCESSINGS = {
    "": lambda fixed, own: fixed,
    "own_bounds": lambda fixed, own: own,
    "occupied": lambda fixed, own: (fixed > 0).astype("float32"),
    "own_occupied": lambda fixed, own: (own > 0).astype("float32"),
    "largest": lambda fixed, own: fixed / fixed.max(axis=(1, 2, 3), keepdims=True).clip(1),
    "own_largest": lambda fixed, own: own / own.max(axis=(1, 2, 3), keepdims=True).clip(1),
    "reversed": lambda fixed, own: fixed.transpose(0, 3, 2, 1),
}
