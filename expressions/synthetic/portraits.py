"""Colour portraits of one person showing the seven emotions: a stand-in for a student's own photographs."""

import numpy as np

from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.synthetic.appearance import repeat, row, sample_appearance
from expressions.synthetic.canvas import LUMINANCE
from expressions.synthetic.emotions import RECIPES
from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY, NUM_UNITS, face_model
from expressions.synthetic.paint import Painter
from expressions.synthetic.render import project, rotate, rotation_matrices
from expressions.synthetic.skin import folds
from expressions.synthetic.surface import skin_light

WIDTH, HEIGHT = 480, 640
OVERSAMPLING = 2
# Pixels per metre: head and hair fill the picture, as the handout asks of photographs.
SCALE = 2550.0
CENTRE_ROW = 0.505 * HEIGHT
DISTANCE = 0.7  # metres: a phone at arm's length
AMBIENT = 0.56
WARMTH = np.array([1.08, 1.04, 1.00], np.float32)  # indoor light


def _strong_intensities(rng):
    """Returns action units 0 … 5 of the seven emotions, each shown for all to see: float array `(7, 34)`."""
    intensities = np.zeros((NUM_CLASSES, 2, NUM_UNITS))
    for label, name in enumerate(EMOTIONS):
        shares = np.array([share for share, _ in RECIPES[name]])
        _, recipe = RECIPES[name][rng.choice(len(shares), p=shares)]
        for unit, (mean, probability) in recipe.items():
            if probability >= 0.5:
                tilt = 0.05 * rng.normal()
                sides = mean * rng.uniform(0.88, 1.05) * np.array([1 + tilt, 1 - tilt])
                intensities[label, :, COLUMN_OF[unit]] = np.clip(sides, 0, MAX_INTENSITY)
    return intensities.reshape(NUM_CLASSES, 2 * NUM_UNITS)


def _plan(subject_seed, take_seed):
    """Draws everything about a person's seven portraits except the pixels, as a dict of arrays of length 7."""
    face = face_model()
    who = np.random.default_rng([int(subject_seed), 11])
    identity = np.clip(who.normal(0, 0.75, face.num_identity), -1.5, 1.5)
    # Resizing 480×640 to a square flattens a face by a quarter, so we take people with rather long, narrow faces.
    identity[0], identity[1] = identity[0] * 0.5 - 0.5, identity[1] * 0.4 + 0.2
    appearance = repeat(sample_appearance(1, who, accessories=0.0), NUM_CLASSES)
    wall = appearance["background"].reshape(NUM_CLASSES, 2, 3)
    appearance["background"] = (0.18 * wall + 0.82 * wall.mean(2, keepdims=True)).reshape(NUM_CLASSES, 6)
    cloth = appearance["cloth"]
    appearance["cloth"] = 0.55 * cloth + 0.45 * cloth.mean(1, keepdims=True)

    rng = np.random.default_rng([int(subject_seed), 12, int(take_seed)])
    intensities = _strong_intensities(rng)
    appearance["gaze"] = rng.normal(0, 0.5, (NUM_CLASSES, 2))
    coefficients = face.coefficients(np.repeat(identity[None], NUM_CLASSES, axis=0), intensities)
    yaw, pitch, roll = np.radians(rng.normal(0, 1, (3, NUM_CLASSES)) * [[6], [3], [3]])
    rotation = rotation_matrices(yaw, pitch, roll)
    scale = SCALE * np.exp(rng.normal(0, 0.02, NUM_CLASSES))
    column = WIDTH / 2 + rng.normal(0, 6, NUM_CLASSES)
    line = CENTRE_ROW + rng.normal(0, 6, NUM_CLASSES)
    distance = np.full(NUM_CLASSES, DISTANCE)
    positions = project(rotate(face.points(coefficients), rotation), scale, column, line, distance)
    light = np.array([rng.uniform(-0.65, 0.65), rng.uniform(0.25, 0.7), 1.0])
    return {
        "appearance": appearance,
        "intensities": intensities,
        "coefficients": coefficients,
        "rotation": rotation,
        "camera": np.stack([scale, column, line, distance], axis=1),
        "positions": positions,
        "light": np.repeat(light[None] / np.linalg.norm(light), NUM_CLASSES, axis=0),
        "grain": [int(subject_seed), 13, int(take_seed)],
    }


def portrait_boxes(subject_seed, take_seed):
    """Returns where the faces lie in the portraits of `make_portraits` with the same seeds.

    Args:
        subject_seed: int.
        take_seed: int.

    Returns:
        (boxes, landmarks): int array `(7, 4)` of left, top, width, height in pixels, a square from above the brows
        to the chin as a face detector draws it, inside the picture; float32 array `(7, 68, 2)`, column and row, in
        the layout of iBUG 300-W.
    """
    plan = _plan(subject_seed, take_seed)
    landmarks = plan["positions"][:, face_model().landmarks]
    low, high = landmarks.min(1), landmarks.max(1)
    # Landmarks begin at the brows: a detector's box takes a part of the forehead with it.
    low[:, 1] -= 0.15 * (high[:, 1] - low[:, 1])
    side = np.minimum((high - low).max(1) * 1.04, min(WIDTH, HEIGHT))
    corner = np.clip(0.5 * (low + high) - 0.5 * side[:, None], 0, np.array([[WIDTH, HEIGHT]]) - side[:, None])
    boxes = np.concatenate([corner, side[:, None], side[:, None]], axis=1)
    return boxes.astype(int), landmarks


def make_portraits(subject_seed, take_seed):
    """Makes seven portraits of one person, one per emotion.

    Args:
        subject_seed: int; decides who it is.
        take_seed: int; decides pose, light and how each emotion is shown. Takes differ, the person stays.

    Returns:
        (portraits, labels): list of seven uint8 arrays `(640, 480, 3)`, RGB, and uint8 array `(7,)` in label order.
    """
    plan = _plan(subject_seed, take_seed)
    painter = Painter(face_model(), (WIDTH, HEIGHT), OVERSAMPLING, colour=True)
    labels = np.arange(NUM_CLASSES)
    return [_portrait(plan, painter, i) for i in labels], labels.astype(np.uint8)


def make_portrait(subject_seed, take_seed, label):
    """Makes one of the seven portraits of `make_portraits`: uint8 array `(640, 480, 3)`."""
    painter = Painter(face_model(), (WIDTH, HEIGHT), OVERSAMPLING, colour=True)
    return _portrait(_plan(subject_seed, take_seed), painter, int(label))


def _portrait(plan, painter, i):
    """Paints and lights portrait `i` of a plan: uint8 array `(640, 480, 3)`."""
    look = row(plan["appearance"], i)
    sides = plan["intensities"][i].reshape(2, NUM_UNITS)
    units = sides.mean(0)
    picture, skin = painter.paint(plan["positions"][i], look, units, plan["camera"][i, 0] / 1000)
    strength = dict(zip(COLUMN_OF, (units / MAX_INTENSITY).tolist(), strict=True))
    diffuse, gloss = skin_light(
        plan["coefficients"][i],
        plan["rotation"][i],
        folds(strength, 0.35 + 0.65 * look["age"]),
        tuple(plan["camera"][i]),
        plan["light"][i],
        AMBIENT,
        (WIDTH, HEIGHT),
    )
    lit = (np.asarray(skin.reduce(OVERSAMPLING), np.float32) / 255)[..., None]
    # Light that has passed through skin comes out redder: shadows lose green and blue first.
    shade = np.maximum(diffuse, 0.02)[..., None] ** np.array([0.88, 1.08, 1.14], np.float32)
    pixels = np.asarray(picture.reduce(OVERSAMPLING), np.float32)
    pixels = pixels * (0.88 + lit * (WARMTH * shade - 0.88)) + lit * gloss[..., None] * 19
    pixels = _develop(pixels, look["skin"] @ LUMINANCE)
    grain = np.random.default_rng([*plan["grain"], i])
    pixels += grain.standard_normal((HEIGHT, WIDTH, 1), np.float32) * 1.6
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _develop(pixels, skin_luminance):
    """Exposes for the face, a third of the way to a middle grey; highlights roll off, so that all skin has shape."""
    gain = (150 / max(skin_luminance, 20)) ** 0.38
    pixels = np.maximum(pixels, 0) * gain
    knee = 175
    luminance = pixels @ LUMINANCE.astype(np.float32)
    over = np.maximum(luminance - knee, 0)
    rolled = np.minimum(luminance, knee) + (250 - knee) * (1 - np.exp(-over / (250 - knee)))
    # Colours keep most of their saturation.
    return pixels * (rolled / np.maximum(luminance, 1))[..., None]
