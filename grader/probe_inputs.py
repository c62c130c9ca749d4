"""What the probes are asked: pictures, photos, clouds and ids made for the purpose, and what is right for them.

Only the questions go into a sandbox; what is returned as `expected` stays with the grader. Nothing here comes from the
hidden test data except the clouds that `voxelize` is called with.
"""

import numpy as np
from PIL import Image

from expressions.labels import EMOTIONS

NUM_IMAGES = 12
NUM_CLOUDS = 6
NUM_SUBJECTS = 50
SIDE = 48


def make_fields(num_fields, seed, side=SIDE):
    """Makes smooth grey pictures that any sensible resampling gives the same small version of.

    Args:
        num_fields: int.
        seed: int.
        side: int, pixels.

    Returns:
        float64 array of shape `(num_fields, side, side)`, each from 0.05 to 0.95, none symmetric.
    """
    random = np.random.default_rng(seed)
    grid = (np.arange(side) + 0.5) / side
    waves = [(p, q) for p in range(4) for q in range(4) if 0 < p + q < 5]
    # Cosines with free phases up to two periods: 24 pixels a period at least once the picture has 48.
    fields = np.zeros((num_fields, side, side))
    for index in range(num_fields):
        for p, q in waves:
            amplitude, phase_y, phase_x = random.normal() / (p + q), *random.uniform(0, 2 * np.pi, 2)
            rows, columns = np.cos(np.pi * p * grid + phase_y), np.cos(np.pi * q * grid + phase_x)
            fields[index] += amplitude * np.outer(rows, columns)
    low = fields.min(axis=(1, 2), keepdims=True)
    high = fields.max(axis=(1, 2), keepdims=True)
    return 0.05 + 0.9 * (fields - low) / (high - low)


def make_pictures():
    """Makes the pictures of `prepare_images`, each with a range of its own so that scaling per picture shows.

    Returns:
        uint8 array of shape `(12, 48, 48)`; the last is constant, the one before reaches 0 and 255.
    """
    fields = make_fields(NUM_IMAGES, seed=1)
    low = np.linspace(5, 90, NUM_IMAGES)[:, np.newaxis, np.newaxis]
    high = np.linspace(250, 130, NUM_IMAGES)[:, np.newaxis, np.newaxis]
    images = np.round(low + (high - low) * (fields - 0.05) / 0.9)
    images[-2] = np.round(255 * (fields[-2] - 0.05) / 0.9)
    images[-1] = 119
    return images.astype(np.uint8)


def write_photos(folder, seed, capital=False):
    """Writes seven photos of known content, each of another size and kind.

    The files cover what phones and scanners give: grey and colour, RGBA, 16 bits a pixel, a JPEG stored on its side
    with an EXIF orientation. All are square and opaque: the handout leaves open what to do about the rest.

    Args:
        folder: Path that exists.
        seed: int, of the content.
        capital: bool, write every other name with a capital letter, which changes the alphabetical order.

    Returns:
        float32 array of shape `(7, 48, 48, 1)`: the right pictures, in the order of the labels.
    """
    kinds = ("L", "RGB", "RGBA", "I;16", "exif", "RGB", "L")
    # From 48 up: nothing is invented by enlarging.
    sides = (48, 96, 64, 144, 120, 200, 72)
    expected = []
    for label, name in enumerate(EMOTIONS):
        turn = (label + seed) % len(kinds)
        kind, side = kinds[turn], sides[(label * 3 + seed) % len(sides)]
        field = make_fields(1, seed=100 * seed + label, side=side)[0]
        expected.append(make_fields(1, seed=100 * seed + label)[0])
        name = name if capital and label % 2 else name.lower()
        _write_photo(folder, name, field, kind)
    return np.stack(expected)[..., np.newaxis].astype(np.float32)


def _write_photo(folder, name, field, kind):
    grey = np.round(field * 255).astype(np.uint8)
    # A tint small enough that luminance and the mean of the channels agree.
    tint = np.clip(grey[..., np.newaxis].astype(int) + np.array([4, 0, -4]), 0, 255).astype(np.uint8)
    if kind == "L":
        Image.fromarray(grey).save(folder / f"{name}.png")
    elif kind == "RGB":
        Image.fromarray(tint).save(folder / f"{name}.jpg", quality=95)
    elif kind == "RGBA":
        opaque = np.full((*grey.shape, 1), 255, np.uint8)
        Image.fromarray(np.concatenate([tint, opaque], axis=2)).save(folder / f"{name}.png")
    elif kind == "I;16":
        Image.fromarray(np.round(field * 65535).astype(np.uint16)).save(folder / f"{name}.png")
    else:
        exif = Image.Exif()
        exif[0x0112] = 6  # stored a quarter turn to the left; a viewer turns it clockwise
        Image.fromarray(np.rot90(tint)).save(folder / f"{name}.jpg", quality=95, exif=exif)


def make_personal_faces():
    """Makes the seven pictures that `personalize` learns.

    Returns:
        (float32 array of shape `(7, 48, 48, 1)` in [0, 1], int64 array of shape `(7,)`): labels not in order.
    """
    labels = np.array([3, 0, 6, 2, 5, 1, 4])
    return make_fields(7, seed=7)[..., np.newaxis].astype(np.float32), labels


def make_boundary_cloud(cloud):
    """Adds to a cloud points exactly on its bounds, and some beyond them.

    Args:
        cloud: float array of shape `(n, 3)`, metres.

    Returns:
        float array of shape `(n + 15, 3)`.
    """
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    corners = np.array([[(low, high)[(i >> axis) & 1][axis] for axis in range(3)] for i in range(8)])
    middle = (low + high) / 2
    faces = np.array([np.where(np.arange(3) == axis, side, middle) for axis in range(3) for side in (low, high)])
    # A decimetre beyond: outside any bounds that were fixed for faces.
    beyond = (high + 0.1)[np.newaxis]
    return np.concatenate([cloud, corners, faces, beyond]).astype(cloud.dtype)


def make_axis_clouds(num_points=400):
    """Makes three clouds of the size of a face, each crowded towards the upper end of one axis.

    Every sensible choice of bounds, fixed or the cloud's own, puts the mean cell of that axis above those of the
    other two.

    Args:
        num_points: int.

    Returns:
        float32 array of shape `(3, num_points, 3)`, metres; cloud 0 is crowded along x, 1 along y, 2 along z.
    """
    random = np.random.default_rng(3)
    low, high = np.array([-0.07, -0.1, -0.02]), np.array([0.07, 0.08, 0.07])
    clouds = []
    for axis in range(3):
        unit = random.random((num_points, 3))
        unit[:, axis] = 1 - unit[:, axis] ** 6  # mean 6/7; the others have 1/2
        unit[0], unit[1] = 0.0, 1.0
        clouds.append(low + unit * (high - low))
    return np.stack(clouds).astype(np.float32)


def make_subject_ids():
    """Makes the ids of 350 clouds: 50 people in the course's form, seven clouds each, shuffled.

    Returns:
        str array of shape `(350,)`.
    """
    random = np.random.default_rng(4)
    minutes = random.choice(24 * 60 * 10, NUM_SUBJECTS, replace=False)
    ids = [f"2018-03-{11 + m // 1440:02d} {m % 1440 // 60:02d}:{m % 60:02d}:41 +0000" for m in minutes]
    return random.permutation(np.repeat(ids, len(EMOTIONS)))
