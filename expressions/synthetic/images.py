"""48×48 grey images in FER-2013's manner, with labels and 68 landmarks."""

import numpy as np

from expressions.synthetic.appearance import row, sample_appearance
from expressions.synthetic.emotions import class_counts, sample_intensities, shown_emotions
from expressions.synthetic.face import NUM_UNITS, face_model
from expressions.synthetic.paint import Painter
from expressions.synthetic.pool import map_chunks
from expressions.synthetic.presets import preset_of
from expressions.synthetic.render import (
    blur_images,
    expose,
    project,
    rotate,
    rotation_matrices,
    shading,
)

SIZE = 48
OVERSAMPLING = 3
CHUNK = 128
# Pixels per metre: the face, 146 mm wide, fills 41 of 48 pixels, as in FER-2013's crops.
SCALE = 284.0
CENTRE_ROW = 21.5


def _sample_views(num_images, rng, knobs):
    """Draws camera, light and faults of each picture: dict of arrays of length `num_images`."""

    def normal(spread):
        return rng.normal(0, spread, num_images)

    light = np.c_[
        rng.uniform(-0.9, 0.9, num_images), rng.uniform(-0.25, 0.9, num_images), rng.uniform(0.45, 1.0, num_images)
    ]
    return {
        # Hair is a flat cut-out and gives itself away beyond 32°.
        "yaw": np.radians(np.clip(normal(13), -32, 32) * knobs.pose),
        "pitch": np.radians(np.clip(normal(7), -18, 18) * knobs.pose),
        "roll": np.radians(normal(5.5) * knobs.pose),
        "scale": SCALE * np.exp(normal(0.07) * knobs.framing),
        "column": SIZE / 2 + normal(1.1) * knobs.framing,
        "row": CENTRE_ROW + normal(1.1) * knobs.framing,
        "distance": rng.uniform(0.4, 1.6, num_images),
        "light": light / np.linalg.norm(light, axis=1, keepdims=True),
        "ambient": rng.uniform(0.35, 0.8, num_images),
        "contrast": np.exp(normal(0.15)),
        "gain": np.exp(normal(0.18)),
        "gamma": np.exp(normal(0.16)),
        "offset": normal(8),
        "blur": rng.choice([0, 0.45, 0.75, 1.1], num_images, p=[0.45, 0.3, 0.17, 0.08]) * knobs.blur,
        "noise": rng.gamma(2, knobs.noise / 2, num_images),
        "occluded": rng.random(num_images) < 0.10 * knobs.accessories,
    }


def plan_images(num_images, seed, knobs, usage="Training"):
    """Draws everything about a set of images except the pixels.

    Args:
        num_images: int.
        seed: int, or a sequence of ints.
        knobs: ImageKnobs.
        usage: str, whose class proportions to take.

    Returns:
        dict of arrays of length `num_images`: `labels`, `shown` (the emotion the face really shows), `identity`,
        `intensities` (34), `genuine`, and the dicts `appearance` and `views`; and `seed`.
    """
    seed = [int(value) for value in np.atleast_1d(seed)]
    rng = np.random.default_rng([*seed, 1])
    labels = rng.permutation(np.repeat(np.arange(7), class_counts(num_images, usage)))
    shown = shown_emotions(labels, knobs.label_noise, rng)
    intensities, genuine = sample_intensities(shown, rng, knobs)
    identity = np.clip(rng.normal(0, knobs.identity, (num_images, face_model().num_identity)), -2.5, 2.5)
    return {
        "seed": seed,
        "labels": labels.astype(np.uint8),
        "shown": shown.astype(np.uint8),
        "identity": identity,
        "intensities": intensities,
        "genuine": genuine,
        "appearance": sample_appearance(num_images, rng, knobs.accessories),
        "views": _sample_views(num_images, rng, knobs),
    }


def _occlude(image, rng):
    """Lays a hand, a bar or a corner over part of a float image `(48, 48)`, in place."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    x, y = rng.uniform([4, 12], [44, 46])
    width, height = rng.uniform(4, 10, 2) * [1, 2]
    angle, grey = rng.uniform(0, np.pi), rng.uniform(20, 220)
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    covered = np.abs(along / width) ** 3 + np.abs(across / height) ** 3 < 1
    image[covered] = grey + 0.1 * image[covered]


def _develop(images, views, rng):
    """Turns float pictures into what a camera and an old JPEG would keep of them: uint8 `(n, 48, 48)`."""
    for i in np.flatnonzero(views["occluded"]):
        _occlude(images[i], rng)
    for sigma in np.unique(views["blur"]):
        if sigma > 0:
            chosen = views["blur"] == sigma
            images[chosen] = blur_images(images[chosen], float(sigma))
    images = expose(images, views["contrast"])

    def column(name):
        return views[name][:, None, None].astype(np.float32)

    images = (images / 255) ** column("gamma") * 255 * column("gain") + column("offset")
    images += rng.standard_normal(images.shape, np.float32) * column("noise")
    return np.clip(images, 0, 255).astype(np.uint8)


def _render(plan, chunk):
    """Renders images `start … stop` of a plan: `(images uint8 (n, 48, 48), landmarks float32 (n, 68, 2))`."""
    face = face_model()
    part = slice(*chunk)
    views = {name: values[part] for name, values in plan["views"].items()}
    intensities = plan["intensities"][part]
    coefficients = face.coefficients(plan["identity"][part], intensities)
    rotation = rotation_matrices(views["yaw"], views["pitch"], views["roll"])
    positions = project(
        rotate(face.points(coefficients), rotation), views["scale"], views["column"], views["row"], views["distance"]
    )
    light = shading(
        positions[:, : face.num_vertices],
        rotate(face.normals(coefficients), rotation),
        (face.hollows(coefficients) @ rotation[:, 2, :, None])[..., 0],
        views["light"],
        views["ambient"],
        (SIZE, SIZE),
    )
    painter = Painter(face, (SIZE, SIZE), OVERSAMPLING, colour=False)
    mean_intensities = 0.5 * (intensities[:, :NUM_UNITS] + intensities[:, NUM_UNITS:])
    images = np.empty((len(positions), SIZE, SIZE), np.float32)
    for i in range(len(positions)):
        picture, skin = painter.paint(
            positions[i], row(plan["appearance"], chunk[0] + i), mean_intensities[i], views["scale"][i] / 1000
        )
        lit = np.asarray(skin.reduce(OVERSAMPLING), np.float32) / 255
        # Unlit things, hair and clothes, get a flat 92 %.
        images[i] = np.asarray(picture.reduce(OVERSAMPLING), np.float32) * (0.92 + lit * (1.04 * light[i] - 0.92))
    return _develop(images, views, np.random.default_rng([*plan["seed"], 7, chunk[0]])), positions[:, face.landmarks]


def render_images(plan, jobs=1, progress=None):
    """Renders a plan.

    Args:
        plan: dict of `plan_images`.
        jobs: int, number of processes; None takes all cores. The result does not depend on it.
        progress: None, or a function of `(num_done, num_images)`.

    Returns:
        (images, landmarks): uint8 array `(n, 48, 48)` and float32 array `(n, 68, 2)`, column and row in pixels.
    """
    num_images = len(plan["labels"])
    chunks = [(start, min(start + CHUNK, num_images)) for start in range(0, num_images, CHUNK)]
    face_model()  # built before workers fork, so that they inherit it

    def report(done, total):
        progress(chunks[done - 1][1] if done < total else num_images, num_images)

    results = map_chunks(_render, plan, chunks, jobs, report if progress else None)
    return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))


def make_images(num_images, seed, preset="default", knobs=None, usage="Training", jobs=1, progress=None):
    """Makes images of faces with FER-2013's class proportions.

    Args:
        num_images: int, at least 1.
        seed: int, or a sequence of ints; the same seed gives the same images on one machine.
        preset: str or Preset whose difficulty to take.
        knobs: ImageKnobs that override the preset's, or None.
        usage: str, the usage of FER-2013 whose class proportions to take.
        jobs: int, number of processes; None takes all cores. The result does not depend on it.
        progress: None, or a function of `(num_done, num_images)`.

    Returns:
        (images, labels, landmarks): uint8 `(n, 48, 48)`; uint8 `(n,)`; float32 `(n, 68, 2)`, column and row in pixels
        in the 68-landmark layout of iBUG 300-W.

    Raises:
        ValueError: `num_images` is not positive, or the preset is unknown.
    """
    if num_images < 1:
        raise ValueError(f"num_images is {num_images}. Wanted at least 1.")
    plan = plan_images(num_images, seed, knobs or preset_of(preset).images, usage)
    images, landmarks = render_images(plan, jobs, progress)
    return images, plan["labels"], landmarks
