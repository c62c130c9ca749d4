"""Point clouds as an iPhone X's ARKit gives them: 1220 vertices in metres, seven expressions a person."""

import numpy as np

from expressions.labels import NUM_CLASSES
from expressions.synthetic.emotions import sample_intensities
from expressions.synthetic.face import face_model
from expressions.synthetic.presets import preset_of
from expressions.synthetic.render import rotate, rotation_matrices

# ARKit's face frame against the template's: a little wider and taller, less deep. Calibrated with the README's table.
ARKIT_SCALE = np.array([1.034, 1.043, 0.971])
ARKIT_SHIFT = np.array([0, -0.0019, 0.0023])  # metres


def cloud_triangles():
    """Returns the triangles of every cloud: int32 array `(num_triangles, 3)`, normals out of the face."""
    return face_model().triangles


def make_clouds(num_subjects, seed, preset="default", knobs=None):
    """Makes one point cloud per person and emotion.

    Args:
        num_subjects: int, at least 1.
        seed: int, or a sequence of ints; the same seed gives the same clouds on one machine.
        preset: str or Preset whose difficulty to take.
        knobs: CloudKnobs that override the preset's, or None.

    Returns:
        `expressions.point_clouds.PointClouds` with points float32 `(7 · num_subjects, 1220, 3)` in metres, labels
        uint8 and subject ids such as `"synthetic-07"`; a person's seven clouds follow each other in label order.

    Raises:
        ValueError: `num_subjects` is not positive, or the preset is unknown.
    """
    from expressions.point_clouds import PointClouds

    if num_subjects < 1:
        raise ValueError(f"num_subjects is {num_subjects}. Wanted at least 1.")
    knobs = knobs or preset_of(preset).clouds
    face = face_model()
    rng = np.random.default_rng([*(int(value) for value in np.atleast_1d(seed)), 2])
    identity = np.clip(rng.normal(0, knobs.identity, (num_subjects, face.num_identity)), -2.5, 2.5)
    labels = np.tile(np.arange(NUM_CLASSES), num_subjects)
    intensities, _ = sample_intensities(labels, rng, knobs)
    points = face.points(face.coefficients(np.repeat(identity, NUM_CLASSES, axis=0), intensities))
    points = points[:, : face.num_vertices] * ARKIT_SCALE + ARKIT_SHIFT
    yaw, pitch, roll = np.radians(rng.normal(0, knobs.rotation, (3, len(labels))))
    points = rotate(points, rotation_matrices(yaw, pitch, roll))
    points = points + rng.normal(0, knobs.shift, (len(labels), 1, 3)) + rng.normal(0, knobs.noise, points.shape)
    width = len(str(num_subjects))
    names = np.array([f"synthetic-{number:0{width}d}" for number in range(1, num_subjects + 1)])
    return PointClouds(points.astype(np.float32), labels.astype(np.uint8), np.repeat(names, NUM_CLASSES))
