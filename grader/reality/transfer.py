"""Do readers that learned from synthetic clouds alone read real ones?

Three readers, none of which has seen a real face:

    displacement  a linear classifier on how the face moved from the person's own neutral cloud
    expression    a voxel network on the expression alone: that movement, put on the synthetic average face
    cloud         a voxel network on the bare cloud, neutral unknown

Vertices of different meshes do not correspond, so a movement is taken between the vertices of one person, and then
resampled on a grid over (x, y) that all faces share. The first two know the neutral cloud and choose among the six
other emotions; the third chooses among all seven.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from expressions.labels import EMOTIONS, NEUTRAL
from expressions.metrics import wilson_interval
from expressions.point_clouds import PointClouds
from expressions.synthetic import make_clouds
from expressions.synthetic.presets import CloudKnobs
from grader.reality.geometry import by_person

ROOT = Path(__file__).resolve().parents[2]
NETWORK = ROOT / "grader" / "reference" / "voxel_transfer.py"

# The grid over a face, in metres, on a face stretched to the width and height of the course's clouds.
FACE_SIZE = np.array([0.152, 0.185])
_COLUMNS, _ROWS = np.linspace(-0.060, 0.060, 13), np.linspace(-0.085, 0.075, 17)
_REACH = 0.006
# Movements of a fraction of a millimetre have no direction to speak of.
_SMALLEST = 1e-4

TRAINING_KNOBS = CloudKnobs(
    weakest=0.45, missing_units=0.08, spurious_units=0.6, unit_jitter=0.25, identity=1.0, noise=0.0001, rotation=0.2
)


def grid_weights(points):
    """Says how the points of a face are averaged into the cells of the common grid.

    Args:
        points: float array `(num_points, 3)`, metres; the grid is fitted to their width and height.

    Returns:
        (weights, positions): float array `(221, num_points)` whose rows sum to 1, and the grid `(221, 2)` in metres.
    """
    columns, rows = np.meshgrid(_COLUMNS, _ROWS)
    grid = np.c_[columns.ravel(), rows.ravel()]
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    place = (points[:, :2] - (low + high) / 2) * FACE_SIZE / (high - low)
    distance = ((grid[:, None] - place) ** 2).sum(-1)
    # Subtracting the nearest keeps a cell far from every point from dividing nothing by nothing.
    weights = np.exp(-0.5 * (distance - distance.min(1, keepdims=True)) / _REACH**2)
    return weights / weights.sum(1, keepdims=True), grid


def without_head_motion(neutral, moved):
    """Takes out of a movement what a turn or shift of the whole head explains, by least squares.

    Args:
        neutral: float array `(num_points, 3)`.
        moved: float array `(num_points, 3)`, displacement of each point.

    Returns:
        float array `(num_points, 3)`.
    """
    offset = neutral - neutral.mean(0)
    zero = np.zeros(len(offset))
    x, y, z = offset.T
    # A small turn w moves a point at p by w × p.
    turn = np.stack([np.c_[zero, z, -y], np.c_[-z, zero, x], np.c_[y, -x, zero]], axis=2)
    shift = moved - moved.mean(0)
    angles = np.linalg.lstsq(turn.reshape(-1, 3), shift.ravel(), rcond=None)[0]
    return shift - turn @ angles


def displacement_features(people):
    """Describes each expression by the direction of its movement from neutral on the common grid.

    Args:
        people: float array `(num_people, 7, num_points, 3)`, in the order of `EMOTIONS`.

    Returns:
        float array `(num_people * 6, 663)` of length 1 each, person by person.
    """
    features = []
    for person in people:
        weights, _ = grid_weights(person[NEUTRAL])
        for face in person[:NEUTRAL]:
            moved = (weights @ without_head_motion(person[NEUTRAL], face - person[NEUTRAL])).ravel()
            features.append(moved / max(np.linalg.norm(moved), _SMALLEST))
    return np.array(features)


def fit_linear(features, labels, num_classes, strength=1.0):
    """Fits ridge regression onto one-hot labels.

    Args:
        features: float array `(n, d)`.
        labels: int array `(n,)`.
        num_classes: int.
        strength: float, penalty in units of the mean variance.

    Returns:
        function from features `(m, d)` to scores `(m, num_classes)`.
    """
    mean = features.mean(0)
    centred = features - mean
    kernel = centred @ centred.T
    wanted = np.eye(num_classes)[labels] - 1 / num_classes
    penalty = strength * np.trace(kernel) / len(kernel)
    weights = centred.T @ np.linalg.solve(kernel + penalty * np.eye(len(kernel)), wanted)
    return lambda new: (new - mean) @ weights


def on_average_face(people, template):
    """Puts each person's movements on one face, so that nothing of the person is left but the expression.

    Args:
        people: float array `(num_people, 7, num_points, 3)`.
        template: float array `(1220, 3)`, metres.

    Returns:
        float array `(num_people, 7, 1220, 3)`; the neutral faces are the template.
    """
    low, high = template[:, :2].min(0), template[:, :2].max(0)
    result = np.empty((*people.shape[:2], *template.shape))
    for number, person in enumerate(people):
        neutral = person[NEUTRAL]
        its_low, its_high = neutral[:, :2].min(0), neutral[:, :2].max(0)
        place = (neutral[:, :2] - (its_low + its_high) / 2) * (high - low) / (its_high - its_low) + (low + high) / 2
        distance = ((template[:, None, :2] - place) ** 2).sum(-1)
        weights = np.exp(-0.5 * (distance - distance.min(1, keepdims=True)) / 0.005**2)
        weights /= weights.sum(1, keepdims=True)
        for label, face in enumerate(person):
            result[number, label] = template + weights @ without_head_motion(neutral, face - neutral)
    return result


def fit_bounds(people):
    """Scales each cloud to one width and depth, and puts its upper edge at one height, so that a jaw stays low.

    Args:
        people: float array `(num_people, 7, num_points, 3)`.

    Returns:
        float array of the same shape, metres.
    """
    low, high = people.min(2, keepdims=True), people.max(2, keepdims=True)
    result = people.copy()
    result[..., 0] = (people - (low + high) / 2)[..., 0] * FACE_SIZE[0] / (high - low)[..., 0]
    result[..., 1] = people[..., 1] - high[..., 1] + 0.090
    result[..., 2] = (people - low)[..., 2] * 0.105 / (high - low)[..., 2] - 0.028
    return result


def average_face():
    """Returns the synthetic average face: float array `(1220, 3)`, metres."""
    still = CloudKnobs(identity=0, noise=0, rotation=0, shift=0)
    return by_person(make_clouds(1, 0, knobs=still))[0, NEUTRAL]


def blendshape_person(path):
    """Makes one more person out of ARKit's blendshapes: the synthetic class's recipes, shown by ARKit's own mesh.

    Args:
        path: npz with `names` and `verts`, as for `geometry.blendshape_motion`.

    Returns:
        `PointClouds` of seven clouds.
    """
    from expressions.synthetic.emotions import RECIPES
    from grader.reality.geometry import BLENDSHAPES

    with np.load(path, allow_pickle=False) as file:
        names, vertices = [str(name) for name in file["names"]], file["verts"].astype(float)
    clouds = []
    for emotion in EMOTIONS:
        points = vertices[0].copy()
        for unit, (intensity, probability) in RECIPES[emotion][0][1].items():
            for shape in BLENDSHAPES[unit]:
                rows = [row for row, name in enumerate(names) if name in (shape, f"{shape}Left", f"{shape}Right")]
                # Intensity 5 of a jaw is a scream; people open it half as far.
                share = 0.7 * min(1.0, 1.2 * probability) * intensity / 5
                points += share * (vertices[rows] - vertices[0]).sum(0)
        clouds.append(points)
    return PointClouds(
        np.array(clouds, np.float32), np.arange(len(EMOTIONS), dtype=np.uint8), np.repeat("ARKit blendshapes", 7)
    )


def train_network(train, tests, labels, seed, epochs):
    """Trains the reference's voxel network in a process of its own and reads other clouds with it.

    Args:
        train: float array `(n, num_points, 3)`.
        tests: dict from name to float array `(m, num_points, 3)`.
        labels: int array `(n,)`.
        seed: int.
        epochs: int.

    Returns:
        dict from name to float array `(m, 7)` of probabilities.

    Raises:
        RuntimeError: the training failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, answer = Path(folder) / "job.npz", Path(folder) / "answer.npz"
        named = {f"test {name}": np.asarray(points, np.float32) for name, points in tests.items()}
        np.savez(job, train=np.asarray(train, np.float32), labels=labels, seed=seed, epochs=epochs, **named)
        done = subprocess.run(
            [sys.executable, str(NETWORK), str(job), str(answer)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"The voxel network's training failed:\n{done.stderr[-2000:]}")
        with np.load(answer, allow_pickle=False) as file:
            return {name: file[f"test {name}"] for name in tests}


def _score(predictions, labels, num_classes):
    correct, total = int((predictions == labels).sum()), len(labels)
    low, high = wilson_interval(correct, total)
    return {
        "correct": correct,
        "of": total,
        "accuracy": round(correct / total, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "chance": round(1 / num_classes, 4),
        "beats_chance": bool(low > 1 / num_classes),
        "read_as": [EMOTIONS[label] for label in predictions],
    }


def measure(tests, seeds=(1, 2, 3), num_people=150, network_people=100, epochs=6, copies=4, networks=True, say=print):
    """Trains on synthetic clouds and tests on others.

    Args:
        tests: dict from name to `PointClouds`, each emotion once for each person.
        seeds: sequence of int; of the synthetic people and of the networks.
        num_people: int, synthetic people that the linear classifier learns from.
        network_people: int, those that a network learns from.
        epochs: int, of a network.
        copies: int, changed copies of each cloud that a network learns from.
        networks: bool, whether to train the networks too.
        say: function that is told what is done.

    Returns:
        list of dicts, one for each reader, seed and test. The test named `"synthetic"` is people that nobody learned
        from; seed `"together"` adds the scores of all seeds.
    """
    template = average_face()
    people = {name: by_person(clouds) for name, clouds in tests.items()}
    knobs = TRAINING_KNOBS
    rows, sums = [], {}

    def note(reader, seed, name, scores, num_classes):
        labels = np.tile(np.arange(num_classes), len(scores) // num_classes)
        rows.append({"reader": reader, "seed": seed, "test": name, **_score(scores.argmax(1), labels, num_classes)})
        say(f"{reader}, seed {seed}, {name}: {rows[-1]['correct']} of {rows[-1]['of']}")
        # The synthetic people of each seed are others, so their scores cannot be added.
        if seed != "together" and name in people:
            sums[reader, name, num_classes] = sums.get((reader, name, num_classes), 0) + scores

    for seed in seeds:
        new = by_person(make_clouds(50, [seed, 1], knobs=knobs))
        everybody = {**people, "synthetic": new}
        learned = by_person(make_clouds(num_people, [seed, 0], knobs=knobs))
        classify = fit_linear(displacement_features(learned), np.tile(np.arange(NEUTRAL), num_people), NEUTRAL)
        for name, group in everybody.items():
            note("displacement", seed, name, classify(displacement_features(group)), NEUTRAL)
        if not networks:
            continue
        learned, random = learned[:network_people], np.random.default_rng(seed)
        expression = {name: on_average_face(group, template)[:, :NEUTRAL] for name, group in everybody.items()}
        bare = {name: fit_bounds(group) for name, group in everybody.items()}
        for reader, train, test, num_classes in (
            ("expression", on_average_face(learned, template)[:, :NEUTRAL], expression, NEUTRAL),
            ("cloud", fit_bounds(learned), bare, NEUTRAL + 1),
        ):
            points = train.reshape(-1, *train.shape[2:])
            varied = np.concatenate([vary(points, random) for _ in range(copies)])
            labels = np.tile(np.arange(num_classes), len(varied) // num_classes)
            flat = {name: group.reshape(-1, *group.shape[2:]) for name, group in test.items()}
            for name, scores in train_network(varied, flat, labels, seed, epochs).items():
                note(reader, seed, name, scores[:, :num_classes], num_classes)
    for (reader, name, num_classes), scores in list(sums.items()):
        note(reader, "together", name, scores, num_classes)
    return rows


def vary(points, random):
    """Changes clouds as another person and another mesh would: mirrored, scaled, shifted, other points.

    Args:
        points: float array `(n, num_points, 3)`.
        random: numpy Generator.

    Returns:
        float array of the same shape.
    """
    num_clouds, num_points, _ = points.shape
    mirror = np.where(random.random((num_clouds, 1, 1)) < 0.5, np.array([-1, 1, 1]), 1)
    varied = points * mirror * random.normal(1, 0.02, (num_clouds, 1, 3)) + random.normal(0, 0.0015, (num_clouds, 1, 3))
    # Another mesh is denser elsewhere: one point in seven gives its place to a copy of another, all tremble a little.
    given = random.random((num_clouds, num_points)) < 0.15
    source = np.where(given, random.integers(0, num_points, (num_clouds, num_points)), np.arange(num_points))
    return np.take_along_axis(varied, source[..., None], axis=1) + random.normal(0, 0.001, points.shape)


def table(rows):
    """Returns the rows as lines of Markdown."""
    lines = ["| reader | test | seed | right | accuracy | 95 % interval | chance |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        lines.append(
            f"| {row['reader']} | {row['test']} | {row['seed']} | {row['correct']} of {row['of']} |"
            f" {row['accuracy']:.1%} | {interval} | {row['chance']:.1%} |"
        )
    return "\n".join(lines)
