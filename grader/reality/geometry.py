"""Size, motion and voxels of real point clouds and blendshapes beside the synthetic ones."""

import numpy as np

from expressions.labels import EMOTIONS, NEUTRAL, NUM_CLASSES, OPENFACE_ACTION_UNITS

# An action unit of ours -> the ARKit blendshapes that come nearest, each on both sides where there are two.
BLENDSHAPES = {
    1: ("browInnerUp",), 2: ("browOuterUp",), 4: ("browDown",), 5: ("eyeWide",), 6: ("cheekSquint",),
    7: ("eyeSquint",), 9: ("noseSneer",), 10: ("mouthUpperUp",), 12: ("mouthSmile",), 14: ("mouthDimple",),
    15: ("mouthFrown",), 17: ("mouthShrugLower",), 20: ("mouthStretch",), 23: ("mouthPress",),
    25: ("mouthLowerDown",), 26: ("jawOpen",), 45: ("eyeBlink",),
}  # fmt: skip


def by_person(clouds):
    """Groups clouds by person.

    Args:
        clouds: `PointClouds` with each emotion once for each person.

    Returns:
        float array `(num_people, 7, num_points, 3)`, emotions in the order of `EMOTIONS`.

    Raises:
        ValueError: a person lacks an emotion or has one twice.
    """
    people = {}
    for points, label, subject in zip(clouds.points, clouds.labels, clouds.subject_ids, strict=True):
        people.setdefault(subject, {}).setdefault(int(label), []).append(points)
    for subject, faces in people.items():
        if sorted(faces) != list(range(NUM_CLASSES)) or any(len(found) != 1 for found in faces.values()):
            raise ValueError(f"{subject} has the emotions {sorted(faces)}. Wanted each of the seven once.")
    return np.array([[faces[label][0] for label in range(NUM_CLASSES)] for faces in people.values()], float)


def motion(people):
    """Returns how far each emotion moves a face: float array `(num_people, 6)`, RMS over the points in millimetres."""
    moved = people[:, :NEUTRAL] - people[:, NEUTRAL:]
    return 1000 * np.sqrt((moved**2).sum(-1).mean(-1))


def voxel_counts(people):
    """Returns occupied cells and the fullest cell of each cloud in a grid of 24³ between its own bounds.

    Args:
        people: float array `(num_people, 7, num_points, 3)`.

    Returns:
        (occupied, fullest): int arrays `(num_people * 7,)`.
    """
    grids = []
    for points in people.reshape(-1, people.shape[2], 3):
        low, high = points.min(0), points.max(0)
        cells = np.minimum((points - low) / (high - low) * 24, 23).astype(int)
        grids.append(np.bincount(np.ravel_multi_index(cells.T, (24, 24, 24)), minlength=24**3))
    grids = np.array(grids)
    return (grids > 0).sum(1), grids.max(1)


def unit_motion():
    """Returns how far each action unit at intensity 5 moves the average face: dict from unit to RMS in millimetres."""
    from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY, NUM_UNITS, face_model

    face = face_model()
    moved = {}
    for unit in OPENFACE_ACTION_UNITS:
        intensities = np.zeros((2, 2 * NUM_UNITS))
        intensities[1, [COLUMN_OF[unit], NUM_UNITS + COLUMN_OF[unit]]] = MAX_INTENSITY
        rest, shown = face.points(face.coefficients(np.zeros((2, face.num_identity)), intensities))[
            :, : face.num_vertices
        ]
        moved[unit] = float(1000 * np.sqrt(((shown - rest) ** 2).sum(-1).mean()))
    return moved


def blendshape_motion(path):
    """Returns how far ARKit's blendshapes at 1.0 move its neutral mesh: dict from our unit to RMS in millimetres.

    Args:
        path: an npz with `names` (52, the first is Neutral) and `verts` `(52, 1220, 3)` in metres.
    """
    with np.load(path, allow_pickle=False) as file:
        names, vertices = [str(name) for name in file["names"]], file["verts"].astype(float)
    moved = {}
    for unit, shapes in BLENDSHAPES.items():
        rows = [
            row
            for row, name in enumerate(names)
            for shape in shapes
            if name in (shape, f"{shape}Left", f"{shape}Right")
        ]
        shift = (vertices[rows] - vertices[0]).sum(0)
        moved[unit] = float(1000 * np.sqrt((shift**2).sum(-1).mean()))
    return moved


def shape_difference(people, template):
    """Returns how far neutral faces lie from a template: RMS in millimetres of the depth on a common (x, y) grid.

    Args:
        people: float array `(num_people, 7, num_points, 3)`.
        template: float array `(n, 3)`, metres.

    Returns:
        float array `(num_people,)`; both are centred by the mean depth of the grid first.
    """
    from grader.reality.transfer import grid_weights

    wanted, _ = grid_weights(template)
    depth = wanted @ template[:, 2]
    result = []
    for person in people:
        weights, _ = grid_weights(person[NEUTRAL])
        other = weights @ person[NEUTRAL][:, 2]
        difference = (other - other.mean()) - (depth - depth.mean())
        result.append(1000 * np.sqrt((difference**2).mean()))
    return np.array(result)


def compare(real, synthetic, blendshapes=None):
    """Measures real and synthetic clouds alike.

    Args:
        real: `PointClouds`.
        synthetic: `PointClouds`.
        blendshapes: path of an npz, or None.

    Returns:
        dict that JSON can hold.
    """
    result = {}
    for name, clouds in (("real", real), ("synthetic", synthetic)):
        people = by_person(clouds)
        neutral = people[:, NEUTRAL]
        occupied, fullest = voxel_counts(people)
        moved = motion(people)
        result[name] = {
            "people": len(people),
            "lowest_mm": (1000 * neutral.min(1).mean(0)).round(1).tolist(),
            "highest_mm": (1000 * neutral.max(1).mean(0)).round(1).tolist(),
            "motion_mm": {
                emotion: {
                    "least": round(float(column.min()), 2),
                    "median": round(float(np.median(column)), 2),
                    "most": round(float(column.max()), 2),
                    "5 %": round(float(np.percentile(column, 5)), 2),
                    "95 %": round(float(np.percentile(column, 95)), 2),
                }
                for emotion, column in zip(EMOTIONS, moved.T)
            },
            "occupied_voxels": [int(occupied.min()), round(float(occupied.mean())), int(occupied.max())],
            "fullest_voxel": [int(fullest.min()), round(float(fullest.mean()), 1), int(fullest.max())],
        }
    if blendshapes:
        arkit, ours = blendshape_motion(blendshapes), unit_motion()
        result["units_mm"] = {
            f"AU{unit:02d}": {"ours at 5": round(ours[unit], 2), "ARKit at 1": round(arkit[unit], 2),
                              "blendshape": "+".join(BLENDSHAPES[unit])}
            for unit in BLENDSHAPES
        }  # fmt: skip
    return result
