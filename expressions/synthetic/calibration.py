"""Compares the synthetic face with reality: action units with ARKit's blendshapes, expressions with captured ones.

    python -m expressions.synthetic.calibration --real data/iPhoneX

prints two Markdown tables. The folder holds the course's `faces.py` and `arkit_blendshapes_1220.npz` (arrays `names`
and `verts` of shape `(52, 1220, 3)` in metres). They calibrate numbers; no vertex of them is kept.
"""

import argparse
from pathlib import Path

import numpy as np

from expressions.labels import ACTION_UNITS, EMOTIONS, NEUTRAL, NUM_CLASSES
from expressions.synthetic.emotions import sample_intensities
from expressions.synthetic.face import COLUMN_OF, MAX_INTENSITY, NUM_UNITS, face_model
from expressions.synthetic.presets import CloudKnobs

# Action unit -> the blendshape that comes closest, as Ozel's guide "ARKit to FACS" pairs them; both sides together.
BLENDSHAPE_OF = {
    1: "browInnerUp",
    2: "browOuterUp",
    4: "browDown",
    5: "eyeWide",
    6: "cheekSquint",
    7: "eyeSquint",
    9: "noseSneer",
    10: "mouthUpperUp",
    12: "mouthSmile",
    14: "mouthDimple",
    15: "mouthFrown",
    17: "mouthShrugLower",
    20: "mouthStretch",
    23: "mouthPress",
    25: "mouthLowerDown",
    26: "jawOpen",
    45: "eyeBlink",
}


def _describe(shift, rest):
    """Returns size, place and direction of a shift `(1220, 3)` of points `(1220, 3)`, all in millimetres."""
    length = np.linalg.norm(shift, axis=1)
    weight = length**2 / (length**2).sum()
    place = np.abs(rest[:, 0]) @ weight, rest[:, 1] @ weight
    # Away from the midline is positive on both sides.
    outwards = shift * np.c_[np.sign(rest[:, 0]), np.ones(len(rest)), np.ones(len(rest))]
    return {
        "rms": float(np.sqrt((length**2).mean())),
        "largest": float(length.max()),
        "place": tuple(float(value) for value in place),
        "direction": tuple(float(value) for value in outwards[length > 0.6 * length.max()].mean(0)),
        "moved": int((length > 1).sum()),
    }


def _similarity(ours, our_rest, theirs, their_rest):
    """Returns the correlation −1 … 1 of two displacement fields, both spread over one grid of 6 mm."""
    u, v = np.meshgrid(np.arange(-66, 67, 6), np.arange(-84, 85, 6))
    grid = np.c_[u.ravel(), v.ravel()]

    def spread(shift, rest):
        squared = ((grid[:, None] - rest[None, :, :2]) ** 2).sum(-1)
        weight = np.exp(-0.5 * squared / 5.0**2)
        near = weight.sum(1) > 0.3
        return near, (weight @ shift) / np.maximum(weight.sum(1, keepdims=True), 1e-9)

    near_a, a = spread(ours, our_rest)
    near_b, b = spread(theirs, their_rest)
    a, b = a[near_a & near_b].ravel(), b[near_a & near_b].ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def compare_action_units(path):
    """Compares our action units at intensity 5 with ARKit's blendshapes at 1, left and right together.

    Args:
        path: str or path of an npz with `names` and `verts` (52, 1220, 3) in metres, the neutral face first.

    Returns:
        list of dicts, one per action unit: `unit`, `blendshape`, `ours` and `theirs` (each with `rms` and `largest`
        shift in mm, `place` |x|, y in mm, `direction` outwards, up, forwards in mm, `moved` vertices by over 1 mm),
        and `similarity`, the correlation of the two fields.
    """
    with np.load(path) as file:
        names, vertices = [str(name) for name in file["names"]], file["verts"].astype(float) * 1000
    rest = vertices[names.index("Neutral")]
    shifts = {name: shape - rest for name, shape in zip(names, vertices, strict=True)}
    face = face_model()
    num = face.num_vertices
    intensities = np.zeros((NUM_UNITS + 1, 2, NUM_UNITS))
    for column in range(NUM_UNITS):
        intensities[column + 1, :, column] = MAX_INTENSITY
    identity = np.zeros((NUM_UNITS + 1, face.num_identity))
    ours = face.points(face.coefficients(identity, intensities.reshape(NUM_UNITS + 1, -1)))
    ours = 1000 * ours[:, :num].astype(float)
    rows = []
    for unit, name in BLENDSHAPE_OF.items():
        theirs = shifts[name] if name in shifts else shifts[name + "Left"] + shifts[name + "Right"]
        own = ours[COLUMN_OF[unit] + 1] - ours[0]
        rows.append(
            {
                "unit": unit,
                "blendshape": name,
                "ours": _describe(own, ours[0]),
                "theirs": _describe(theirs, rest),
                "similarity": _similarity(own, ours[0], theirs, rest),
            }
        )
    return rows


def displacements(points):
    """Returns how far each expression is from its owner's neutral face: root mean square over the vertices.

    Args:
        points: float array `(num_people · 7, 1220, 3)` in metres, seven clouds a person in the order of the labels.

    Returns:
        float array `(num_people, 7)`, millimetres.
    """
    people = np.asarray(points, float).reshape(-1, NUM_CLASSES, *np.shape(points)[1:])
    shift = people - people[:, NEUTRAL : NEUTRAL + 1]
    return 1000 * np.sqrt((shift**2).sum(-1).mean(-1))


def apex_displacements(num_people=60, seed=1):
    """Returns `displacements` of synthetic people who show every expression at its apex."""
    face, rng = face_model(), np.random.default_rng(seed)
    knobs = CloudKnobs(weakest=1.0, strongest=1.0, missing_units=0.0, spurious_units=0.0, unit_jitter=0.1)
    identity = np.clip(rng.normal(0, knobs.identity, (num_people, face.num_identity)), -2.5, 2.5)
    intensities, _ = sample_intensities(np.tile(np.arange(NUM_CLASSES), num_people), rng, knobs)
    points = face.points(face.coefficients(np.repeat(identity, NUM_CLASSES, axis=0), intensities))
    return displacements(points[:, : face.num_vertices])


def _vector(values):
    return ", ".join(f"{value:.0f}" for value in values)


def action_unit_table(path):
    """Returns `compare_action_units` as a Markdown table."""
    lines = [
        "| action unit | blendshape | RMS mm | largest mm | centre &#124;x&#124;, y mm | direction mm | correlation |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in compare_action_units(path):
        a, b = row["ours"], row["theirs"]
        lines.append(
            f"| {row['unit']} {ACTION_UNITS[row['unit']]} | {row['blendshape']} | {a['rms']:.1f} / {b['rms']:.1f} "
            f"| {a['largest']:.0f} / {b['largest']:.0f} | {_vector(a['place'])} / {_vector(b['place'])} "
            f"| {_vector(a['direction'])} / {_vector(b['direction'])} | {row['similarity']:.2f} |"
        )
    return "\n".join(lines)


def displacement_table(path):
    """Returns a Markdown table of `displacements`: our apexes beside the captures in a `faces.py` or `.npz`."""
    from expressions.point_clouds import load_point_clouds

    clouds = load_point_clouds(path)
    people = [clouds.subject_ids == subject for subject in dict.fromkeys(clouds.subject_ids)]
    real = np.concatenate([displacements(clouds.points[who][np.argsort(clouds.labels[who])]) for who in people])
    ours = apex_displacements()
    lines = ["| emotion | ours, median (5 … 95 %) mm | captured mm |", "|---|---|---|"]
    for label, name in enumerate(EMOTIONS):
        if label != NEUTRAL:
            low, middle, high = np.percentile(ours[:, label], [5, 50, 95])
            captured = ", ".join(f"{value:.1f}" for value in sorted(real[:, label]))
            lines.append(f"| {name} | {middle:.1f} ({low:.1f} … {high:.1f}) | {captured} |")
    return "\n".join(lines)


def feature_contrast(seed=1, num_images=420):
    """Measures how well brows, eyes and mouth stand out on fair, medium and dark skin in 48×48 pictures.

    Args:
        seed: int.
        num_images: int.

    Returns:
        dict from "fair", "medium", "dark" to a dict from "brows", "eyes", "mouth" to the mean of
        (cheek − feature) / (cheek + feature), where the feature is the mean of its landmarks' darkest third and the
        cheeks are measured below the eyes; and "all", the picture's standard deviation in grey levels.
    """
    from expressions.synthetic.images import plan_images, render_images
    from expressions.synthetic.presets import ImageKnobs

    knobs = ImageKnobs(label_noise=0, accessories=0, blur=0, noise=0.01, pose=0.3)
    plan = plan_images(num_images, [int(seed), 31], knobs)
    tone, beard = plan["appearance"]["tone"], plan["appearance"]["beard"]
    images, landmarks = render_images(plan)
    result = {}
    for name, low, high in (("fair", 0, 5 / 3), ("medium", 5 / 3, 10 / 3), ("dark", 10 / 3, 5.1)):
        found = {"brows": [], "eyes": [], "mouth": [], "all": []}
        for i in np.flatnonzero((tone >= low) & (tone < high) & (beard == 0)):
            image, place = images[i].astype(float), landmarks[i]

            def at(points, image=image):
                column, line = np.clip(np.round(points).astype(int), 0, 47).T
                return image[line, column]

            eye, nose = 0.5 * (place[36:42].mean(0) + place[42:48].mean(0)), place[33]
            cheeks = [0.5 * (place[k] + [0, 0]) + 0.5 * (nose + place[k] - eye) for k in (41, 46)]
            cheek = at(np.array(cheeks)).mean()
            for part, rows in (("brows", slice(17, 27)), ("eyes", slice(36, 48)), ("mouth", slice(48, 68))):
                dark = np.sort(at(place[rows]))
                feature = dark[: max(1, len(dark) // 3)].mean()
                found[part].append((cheek - feature) / (cheek + feature + 1e-6))
            found["all"].append(image.std())
        result[name] = {part: float(np.mean(values)) for part, values in found.items()}
    return result


def contrast_table(seed=1):
    """Returns `feature_contrast` as a Markdown table."""
    lines = ["| skin | brows | eyes | mouth | standard deviation |", "|---|---|---|---|---|"]
    for name, values in feature_contrast(seed).items():
        lines.append(
            f"| {name} | {values['brows']:.2f} | {values['eyes']:.2f} | {values['mouth']:.2f} | {values['all']:.0f} |"
        )
    return "\n".join(lines)


def main(arguments=None):
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m expressions.synthetic.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--real", required=True, metavar="FOLDER", help="holds faces.py and arkit_blendshapes_1220.npz")
    folder = Path(parser.parse_args(arguments).real)
    print(action_unit_table(folder / "arkit_blendshapes_1220.npz"), displacement_table(folder / "faces.py"), sep="\n\n")
    print("\n" + contrast_table())


if __name__ == "__main__":
    main()
