"""Action units of a real OpenFace table beside the synthetic ones, and how well each tells posed from genuine."""

import csv

import numpy as np

from expressions.labels import OPENFACE_ACTION_UNITS


def read_table(path):
    """Reads a table of intensities and `class`.

    Args:
        path: csv with semicolons or commas between, columns `AU01_r` … `AU45_r` and `class`; names may have spaces.

    Returns:
        (intensities, genuine): float array `(n, 17)` and bool array `(n,)`.

    Raises:
        ValueError: a column is missing.
    """
    with open(path, newline="", encoding="utf-8") as file:
        first = file.readline()
        names = [name.strip() for name in first.replace(";", ",").split(",")]
        rows = [[value.strip() for value in row] for row in csv.reader(file, delimiter=";" if ";" in first else ",")]
    wanted = [*(f"AU{unit:02d}_r" for unit in OPENFACE_ACTION_UNITS), "class"]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}. Wanted {wanted[0]} … {wanted[-2]} and class.")
    table = np.array([[row[names.index(name)] for name in wanted] for row in rows if row], float)
    return table[:, :-1], table[:, -1] == 1


def posed_or_genuine(features, genuine, folds=4, seed=0):
    """Returns the accuracy of a linear classifier in cross-validation.

    Args:
        features: float array `(n, d)`.
        genuine: bool array `(n,)`.
        folds: int.
        seed: int, of the folds.

    Returns:
        float.
    """
    from grader.reality.transfer import fit_linear

    scaled = (features - features.mean(0)) / (features.std(0) + 1e-9)
    fold = np.random.default_rng(seed).permutation(np.arange(len(genuine)) % folds)
    right = 0
    for number in range(folds):
        train, test = fold != number, fold == number
        classify = fit_linear(scaled[train], genuine[train].astype(int), 2, strength=0.1)
        right += int((classify(scaled[test]).argmax(1) == genuine[test]).sum())
    return right / len(genuine)


def describe(intensities, genuine):
    """Measures a table: dict that JSON can hold."""
    return {
        "rows": len(genuine),
        "genuine": int(genuine.sum()),
        "zero": round(float((intensities == 0).mean()), 3),
        "mean": {
            f"AU{unit:02d}": [round(float(column[~genuine].mean()), 2), round(float(column[genuine].mean()), 2)]
            for unit, column in zip(OPENFACE_ACTION_UNITS, intensities.T, strict=True)
        },
        "linear_accuracy": round(posed_or_genuine(intensities, genuine), 3),
    }


def compare(path, num_rows, seed):
    """Measures a real table and a synthetic one of as many rows: dict that JSON can hold."""
    from expressions.synthetic import make_action_units

    made = make_action_units(num_rows, seed)
    both = np.hstack([made.intensities, np.abs(made.asymmetry)])
    result = {"synthetic": describe(made.intensities, made.genuine)}
    result["synthetic"]["linear_accuracy_with_asymmetry"] = round(posed_or_genuine(both, made.genuine), 3)
    if path:
        result["real"] = describe(*read_table(path))
    return result
