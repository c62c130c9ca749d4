"""48×48 grey images in FER-2013's manner, with everything that is known about the faces in them."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from expressions.synthetic.appearance import row, sample_appearance
from expressions.synthetic.emotions import class_counts, sample_intensities, shown_emotions
from expressions.synthetic.face import NUM_UNITS, face_model
from expressions.synthetic.landmarks import check_num_landmarks, select_landmarks
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
# Pixels per metre, and the row of the head's origin, a little under the eyes: FER-2013's mean picture has its eyes at
# row 17 and its mouth at row 38, and the face, 146 mm wide, fills 40 of 48 columns.
SCALE = 276.0
CENTRE_ROW = 26.0
LENS = 0.58  # pixels
SHARPENING = 0.6
# What of an appearance belongs to the picture; the rest belongs to the person.
CHANGING = ("background", "blobs", "cloth", "collar", "gaze", "hat")


@dataclass(frozen=True)
class FaceImages:
    """Images, and what is known of the faces in them.

    Attributes:
        images: uint8 array `(n, 48, 48)`, 0 black … 255 white.
        labels: uint8 array `(n,)`, the emotion that the data set claims, 0 … 6.
        shown: uint8 array `(n,)`, the emotion that the face shows; differs from the label in a share `label_noise`.
        landmarks: float32 array `(n, 68, 2)` or `(n, 468, 2)`, column and row in pixels.
        sides: float32 array `(n, 34)`, action-unit intensities 0 … 5: the 17 of `OPENFACE_ACTION_UNITS` on the
            subject's left, then the same on the right.
        genuine: bool array `(n,)`, felt or posed.
        subjects: int array `(n,)`, which person it is.
    """

    images: np.ndarray
    labels: np.ndarray
    shown: np.ndarray
    landmarks: np.ndarray
    sides: np.ndarray
    genuine: np.ndarray
    subjects: np.ndarray

    @property
    def action_units(self):
        """Intensities 0 … 5 as one number per action unit, the mean of both sides: float32 array `(n, 17)`."""
        return 0.5 * (self.sides[:, :NUM_UNITS] + self.sides[:, NUM_UNITS:])


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
        "scale": SCALE * np.exp(np.clip(normal(0.13), -0.33, 0.33) * knobs.framing),
        "column": SIZE / 2 + normal(2.0) * knobs.framing,
        "row": CENTRE_ROW + normal(2.0) * knobs.framing,
        "distance": rng.uniform(0.4, 1.6, num_images),
        "light": light / np.linalg.norm(light, axis=1, keepdims=True),
        "ambient": rng.uniform(0.35, 0.8, num_images),
        "contrast": np.exp(0.05 + normal(0.13)),
        "gain": np.exp(normal(0.16)),
        "gamma": np.exp(normal(0.22)),
        "offset": normal(12),
        "blur": rng.choice([0, 0.45, 0.75, 1.1], num_images, p=[0.45, 0.3, 0.17, 0.08]) * knobs.blur,
        "noise": rng.gamma(2, knobs.noise / 2, num_images),
        "occluded": rng.random(num_images) < 0.10 * knobs.accessories,
    }


def plan_images(num_images, seed, knobs, usage="Training", images_per_person=1):
    """Draws everything about a set of images except the pixels.

    Args:
        num_images: int.
        seed: int, or a sequence of ints.
        knobs: ImageKnobs.
        usage: str, whose class proportions to take.
        images_per_person: int; a person's pictures share identity, skin, hair and glasses, and are not neighbours.

    Returns:
        dict of arrays of length `num_images`: `labels`, `shown` (the emotion the face really shows), `identity`,
        `intensities` (34), `genuine`, `subjects`, and the dicts `appearance` and `views`; and `seed`.
    """
    seed = [int(value) for value in np.atleast_1d(seed)]
    rng = np.random.default_rng([*seed, 1])
    labels = rng.permutation(np.repeat(np.arange(7), class_counts(num_images, usage)))
    shown = shown_emotions(labels, knobs.label_noise, rng)
    intensities, genuine = sample_intensities(shown, rng, knobs)
    identity = np.clip(rng.normal(0, knobs.identity, (num_images, face_model().num_identity)), -2.5, 2.5)
    appearance = sample_appearance(num_images, rng, knobs.accessories)
    views = _sample_views(num_images, rng, knobs)
    subjects = np.arange(num_images)
    if images_per_person > 1:
        # The order of the labels is random already, so neighbours here are strangers in what they show.
        num_people = -(-num_images // images_per_person)
        subjects = np.random.default_rng([*seed, 4]).permutation(subjects % num_people)
        identity = identity[subjects]
        appearance = {name: values if name in CHANGING else values[subjects] for name, values in appearance.items()}
    return {
        "seed": seed,
        "labels": labels.astype(np.uint8),
        "shown": shown.astype(np.uint8),
        "identity": identity,
        "intensities": intensities,
        "genuine": genuine,
        "subjects": subjects,
        "appearance": appearance,
        "views": views,
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
    # Cameras sharpen, and a picture that was made smaller has lost its finest detail: the spectrum is then FER-2013's.
    images = (1 + SHARPENING) * blur_images(images, LENS) - SHARPENING * blur_images(images, 1.2)
    images = expose(images, views["contrast"])

    def column(name):
        return views[name][:, None, None].astype(np.float32)

    images = (images / 255) ** column("gamma") * 255 * column("gain") + column("offset")
    images += rng.standard_normal(images.shape, np.float32) * column("noise")
    return np.clip(images, 0, 255).astype(np.uint8)


def draw_faces(
    identity, intensities, appearance, views, size=(SIZE, SIZE), oversampling=OVERSAMPLING, cell=1, sigma=1.3
):
    """Draws lit faces in grey, as a lens would see them: neither blur nor noise nor exposure.

    Args:
        identity: float array `(n, 28)`.
        intensities: float array `(n, 34)`, action units 0 … 5 on either side.
        appearance: dict of arrays of length `n`, of `sample_appearance`.
        views: dict of arrays of length `n`: `yaw`, `pitch`, `roll`, `scale`, `column`, `row`, `distance`, `light`,
            `ambient`.
        size: pair `(width, height)` in pixels.
        oversampling: int, how many times larger the painter paints.
        cell: int, pixels per cell of the map of light.
        sigma: float, blur of the map of light in cells.

    Returns:
        (pictures, positions): float32 arrays `(n, height, width)`, 0 … 255, and `(n, num_points, 2)`, column and row
        of every point of the face.
    """
    face = face_model()
    coefficients = face.coefficients(identity, intensities)
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
        size,
        cell=cell,
        sigma=sigma,
    )
    painter = Painter(face, size, oversampling, colour=False)
    mean_intensities = 0.5 * (intensities[:, :NUM_UNITS] + intensities[:, NUM_UNITS:])
    pictures = np.empty((len(positions), size[1], size[0]), np.float32)
    for i in range(len(positions)):
        picture, skin = painter.paint(positions[i], row(appearance, i), mean_intensities[i], views["scale"][i] / 1000)
        lit = np.asarray(skin.reduce(oversampling), np.float32) / 255
        # Unlit things, hair and clothes, get a flat 92 %.
        brightness = 0.92 + lit * (1.04 * spread_cells(light[i], size) - 0.92)
        pictures[i] = np.asarray(picture.reduce(oversampling), np.float32) * brightness
    return pictures, positions


def spread_cells(light, size):
    """Enlarges a map of light `(rows, columns)` to a picture's size `(width, height)`, smoothly."""
    if light.shape == (size[1], size[0]):
        return light
    return np.asarray(Image.fromarray(light.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))


def _render(plan, chunk):
    """Renders images `start … stop` of a plan: uint8 `(n, 48, 48)` and the positions that `plan["points"]` asks for."""
    part = slice(*chunk)
    views = {name: values[part] for name, values in plan["views"].items()}
    appearance = {name: values[part] for name, values in plan["appearance"].items()}
    images, positions = draw_faces(plan["identity"][part], plan["intensities"][part], appearance, views)
    rng = np.random.default_rng([*plan["seed"], 7, chunk[0]])
    return _develop(images, views, rng), select_landmarks(positions, plan.get("num_landmarks", 68))


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


def make_face_images(
    num_images,
    seed,
    preset="default",
    knobs=None,
    usage="Training",
    jobs=1,
    progress=None,
    images_per_person=1,
    num_landmarks=68,
):
    """Makes images of faces with FER-2013's class proportions, and says everything about them.

    Args:
        num_images: int, at least 1.
        seed: int, or a sequence of ints; the same seed gives the same images on one machine.
        preset: str or Preset whose difficulty to take.
        knobs: ImageKnobs that override the preset's, or None.
        usage: str, the usage of FER-2013 whose class proportions to take.
        jobs: int, number of processes; None takes all cores. The result does not depend on it.
        progress: None, or a function of `(num_done, num_images)`.
        images_per_person: int; with 1, as in FER-2013, everybody is seen once. More lets a split by person be tried.
        num_landmarks: int, 68 (iBUG 300-W) or 468 (MediaPipe FaceMesh).

    Returns:
        `FaceImages`.

    Raises:
        ValueError: a number is not positive, `num_landmarks` is another, or the preset is unknown.
    """
    if num_images < 1 or images_per_person < 1:
        raise ValueError(
            f"num_images is {num_images} and images_per_person {images_per_person}. Wanted at least 1 each."
        )
    check_num_landmarks(num_landmarks)
    plan = plan_images(num_images, seed, knobs or preset_of(preset).images, usage, images_per_person)
    plan["num_landmarks"] = num_landmarks
    images, landmarks = render_images(plan, jobs, progress)
    return FaceImages(
        images,
        plan["labels"],
        plan["shown"],
        landmarks,
        plan["intensities"],
        np.asarray(plan["genuine"], bool),
        plan["subjects"],
    )


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
        in the 68-landmark layout of iBUG 300-W. `make_face_images` says more about the same faces.

    Raises:
        ValueError: `num_images` is not positive, or the preset is unknown.
    """
    faces = make_face_images(num_images, seed, preset, knobs, usage, jobs, progress)
    return faces.images, faces.labels, faces.landmarks
