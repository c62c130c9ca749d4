"""Colour portraits of one person showing the seven emotions: a stand-in for a student's own photographs."""

import numpy as np
from PIL import Image

from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.synthetic.appearance import repeat, row, sample_appearance
from expressions.synthetic.emotions import RECIPES
from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY, NUM_UNITS, face_model
from expressions.synthetic.paint import Painter
from expressions.synthetic.render import expose, project, rotate, rotation_matrices, shading

WIDTH, HEIGHT = 480, 640
OVERSAMPLING = 2
CELL = 3
# Pixels per metre: the face fills the picture, as the handout asks.
SCALE = 3200.0
CENTRE_ROW = 0.456 * HEIGHT


def _strong_intensities(rng):
    """Returns action units 0 … 5 of the seven emotions, each shown for all to see: float array `(7, 34)`."""
    intensities = np.zeros((NUM_CLASSES, 2, NUM_UNITS))
    for label, name in enumerate(EMOTIONS):
        _, recipe = RECIPES[name][0]
        for unit, (mean, probability) in recipe.items():
            if probability >= 0.5:
                tilt = 0.05 * rng.normal()
                sides = mean * rng.uniform(0.85, 1.05) * np.array([1 + tilt, 1 - tilt])
                intensities[label, :, COLUMN_OF[unit]] = np.clip(sides, 0, MAX_INTENSITY)
    return intensities.reshape(NUM_CLASSES, 2 * NUM_UNITS)


def make_portraits(subject_seed, take_seed):
    """Makes seven portraits of one person, one per emotion.

    Args:
        subject_seed: int; decides who it is.
        take_seed: int; decides pose, light and how each emotion is shown. Takes differ, the person stays.

    Returns:
        (portraits, labels): list of seven uint8 arrays `(640, 480, 3)`, RGB, and uint8 array `(7,)` in label order.
    """
    face = face_model()
    who = np.random.default_rng([int(subject_seed), 11])
    identity = np.clip(who.normal(0, 0.7, face.num_identity), -1.2, 1.2)
    # Resizing 480×640 to a square flattens a face by a quarter, so we choose people with long, narrow faces.
    identity[0], identity[1] = -2.0, 2.0
    appearance = repeat(sample_appearance(1, who, accessories=0.0), NUM_CLASSES)
    wall = appearance["background"].reshape(NUM_CLASSES, 2, 3)
    appearance["background"] = (0.35 * wall + 0.65 * wall.mean(2, keepdims=True)).reshape(NUM_CLASSES, 6)

    rng = np.random.default_rng([int(subject_seed), 12, int(take_seed)])
    labels = np.arange(NUM_CLASSES)
    intensities = _strong_intensities(rng)
    appearance["gaze"] = rng.normal(0, 0.5, (NUM_CLASSES, 2))
    coefficients = face.coefficients(np.repeat(identity[None], NUM_CLASSES, axis=0), intensities)
    yaw, pitch, roll = np.radians(rng.normal(0, 1, (3, NUM_CLASSES)) * [[5], [3], [3]])
    rotation = rotation_matrices(yaw, pitch, roll)
    scale = SCALE * np.exp(rng.normal(0, 0.03, NUM_CLASSES))
    positions = project(
        rotate(face.points(coefficients), rotation),
        scale,
        WIDTH / 2 + rng.normal(0, 8, NUM_CLASSES),
        CENTRE_ROW + rng.normal(0, 8, NUM_CLASSES),
        np.full(NUM_CLASSES, 0.7),
    )
    light = np.array([rng.uniform(-0.6, 0.6), rng.uniform(0.1, 0.7), 1.0])
    light_map = shading(
        positions[:, : face.num_vertices],
        rotate(face.normals(coefficients), rotation),
        (face.hollows(coefficients) @ rotation[:, 2, :, None])[..., 0],
        np.repeat(light[None] / np.linalg.norm(light), NUM_CLASSES, axis=0),
        np.full(NUM_CLASSES, 0.55),
        (WIDTH, HEIGHT),
        cell=CELL,
        sigma=4.0,
    )
    painter = Painter(face, (WIDTH, HEIGHT), OVERSAMPLING, colour=True)
    mean_intensities = 0.5 * (intensities[:, :NUM_UNITS] + intensities[:, NUM_UNITS:])
    portraits = []
    for i in labels:
        picture, skin = painter.paint(positions[i], row(appearance, i), mean_intensities[i], scale[i] / 1000)
        lit = np.asarray(skin.reduce(OVERSAMPLING), np.float32) / 255
        smooth = Image.fromarray(light_map[i].astype(np.float32)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        brightness = 0.92 + lit * (1.02 * np.asarray(smooth) - 0.92)
        pixels = np.asarray(picture.reduce(OVERSAMPLING), np.float32) * brightness[..., None]
        # The camera sets the luminance and leaves hue and saturation alone.
        luminance = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels *= (expose(luminance[None], np.array([0.8]))[0] / np.maximum(luminance, 1))[..., None]
        grain = rng.standard_normal((HEIGHT, WIDTH, 1), np.float32) * 2
        portraits.append(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    return portraits, labels.astype(np.uint8)
