"""`python -m grader diagnose MODEL.h5`: one network, and why it is right for so few faces.

Audits the file, loads it in the sandbox that grading uses, predicts the same pictures under every preprocessing that
people use, and says which scaling and which order of labels fit (`grader/diagnosis.py`). A first pass over a few
hundred pictures finds what matters; what matters is then predicted for all of them.
"""

import functools
import time
from pathlib import Path

import numpy as np

from grader import diagnosis, flags
from grader.diagnosis import DECLARED, DECLARED_VOXELS, FER2013
from grader.hidden import SCORE_SPLIT, load_hidden
from grader.sandbox import Worker, WorkerFault, limits_from, probe_isolation

AUDIT_SECONDS = 20
NUM_TRAINING = 1000
VOXEL_BOUNDS = (np.array([-0.080, -0.125, -0.035]), np.array([0.080, 0.100, 0.085]))  # metres, those of the reference
GRID_SIZE = 24

# Files that are no network at all: there is nothing left for a person to find out.
USELESS_KINDS = {
    *("empty", "lfs-pointer", "html", "python-source"),
    *("utf8-mangled", "truncated", "hdf5-weights", "hdf5-architecture"),
}

# What networks with these inputs usually read; (number of axes, first axis) of the shape without the batch.
_FLAT_INPUTS = {136: "the x and y of 68 landmarks", 936: "the x and y of 468 landmarks", 17: "17 action units"}


def diagnose_file(path, data, limits=None, progress=None):
    """Finds out what a model file is, how it loads, and under which preprocessing and order of labels it is right.

    Args:
        path: path of a file, under any name.
        data: `Data`, as `load_data` gives it.
        limits: dict, the rubric's `[limits]`, or None.
        progress: function that is told what begins, or None.

    Returns:
        dict that JSON can hold: `file`, `audit`, `status` (`ok`, `refused`, `error`, `timeout`, `memory`, `died`,
        `fault`), `message`, `route`, `adapted`, `input_shape`, `output_shape`, `num_parameters`, `task` (a sentence:
        what the network is), `data`, `accuracy` (dict from preprocessing to the share that is right in FER-2013's
        order), `interval` and `num_images` (likewise), `accuracy_in_label_order`, `best_preprocessing`, `also_fits`,
        `label_order` (`"fer2013"`, `"alphabetical"` or a list of names; None if nothing can be said),
        `label_order_name`, `best_accuracy`, `best_interval`, `splits` (accuracy on each part of the
        data, under the best), `outputs`, `chance`, `verdict`, `findings`, `flags` (for the staff), `isolation`,
        `seconds`.

    Raises:
        OSError: the file cannot be read.
    """
    from expressions.model_file import audit_in_child

    path, say, began = Path(path), progress or (lambda sentence: None), time.monotonic()
    say("reading the file")
    architecture = path.with_suffix(".json")  # where weights were saved alone
    architecture = architecture if architecture.is_file() and architecture != path else None
    audit = audit_in_child(path, timeout=AUDIT_SECONDS, architecture=architecture)
    report = _empty_report(path, audit)
    if not audit["accepted"]:
        report["status"] = "refused"
        report["message"] = "; ".join(str(reason.get("what", "")) for reason in audit["reasons"]) or audit["kind"]
        report["verdict"] = f"Not a network that can be asked anything: {report['message']}."
        report["findings"] = [_from_audit(reason, path.name) for reason in audit["reasons"]]
        return _finish(report, began)
    task, kind = describe_task(audit)
    report["task"] = task
    try:
        _ask(report, path, architecture, audit, kind, data, limits_from(limits), say)
    except WorkerFault as error:
        report.update(status="fault", message=str(error), verdict=f"The grader itself failed: {error}.")
    return _finish(report, began)


def _empty_report(path, audit):
    return {
        "file": path.name,
        "audit": audit,
        "status": "ok",
        "message": "",
        "route": None,
        "adapted": "",
        **{key: audit.get(key) for key in ("input_shape", "output_shape", "num_parameters")},
        "task": "",
        "data": "",
        "accuracy": {},
        "interval": {},
        "num_images": {},
        "accuracy_in_label_order": {},
        "best_preprocessing": None,
        "also_fits": [],
        "label_order": None,
        "label_order_name": None,
        "best_accuracy": None,
        "best_interval": None,
        "splits": {},
        "outputs": None,
        "chance": None,
        "verdict": "",
        "findings": [],
        "flags": [],
        "isolation": None,
    }


def _finish(report, began):
    report["flags"] = [*flags.file_flags(report["audit"], report["file"]), *report["flags"]]
    report["seconds"] = round(time.monotonic() - began, 2)
    return report


def _from_audit(reason, file):
    return {
        "code": reason.get("code", ""),
        "certainty": "certain",
        "basis": "file",
        "item": "",
        "step": "",
        "file": file,
        "line": None,
        "evidence": "",
        **{key: str(reason.get(key, "")) for key in ("what", "wanted", "try")},
    }


def describe_task(audit):
    """Says what a network is, from its shapes.

    Args:
        audit: dict of `expressions.model_file.audit`.

    Returns:
        (str, str): a sentence; `"pictures"`, `"clouds"` or `"other"`, what can be given to it.
    """
    takes, gives = audit.get("input_shape"), audit.get("output_shape")
    if not isinstance(takes, list) or not isinstance(gives, list):
        return "a network whose shapes are not fixed", "other"
    if any(isinstance(axis, list) for axis in (*takes, *gives)):
        return f"a network with several inputs or outputs: takes {takes}, gives {gives}", "other"
    inner, out = takes[1:], gives[1:]
    words, kind = f"takes arrays of shape {tuple(inner)}", "other"
    if inner in ([24, 24, 24, 1], [24, 24, 24], [1, 24, 24, 24], [24**3]):
        words, kind = "takes 24 × 24 × 24 voxels of a face", "clouds"
    elif len(inner) == 3 and inner[2] in (1, 3, None):
        words, kind = f"takes {'colour' if inner[2] == 3 else 'grey'} pictures of {_side(inner[:2])}", "pictures"
    elif len(inner) == 3 and inner[0] in (1, 3):
        words, kind = f"takes {'colour' if inner[0] == 3 else 'grey'} pictures of {_side(inner[1:])}", "pictures"
    elif len(inner) == 2 and min(axis or 48 for axis in inner) >= 24 and abs((inner[0] or 0) - (inner[1] or 0)) <= 32:
        words, kind = f"takes grey pictures of {_side(inner)}", "pictures"
    elif len(inner) == 1 and inner[0] in {s * s * c for s in (48, 64, 96, 224) for c in (1, 3)}:
        words, kind = f"takes pictures as {inner[0]:,} numbers", "pictures"
    elif len(inner) == 1 and inner[0]:
        usual = _FLAT_INPUTS.get(inner[0])
        words = f"takes {inner[0]:,} numbers{f', perhaps {usual}' if usual else ''}, and no pictures"
    elif len(inner) == 2:
        words = f"takes sequences of shape {tuple(inner)}, such as sound or text features, and no pictures"
    if len(out) == 1 and out[0]:
        count = {7: "7 outputs", 1: "1 output, a yes or no, or a number"}.get(out[0], f"{out[0]:,} outputs, not 7")
    else:
        count = f"an output of shape {tuple(out)}, not 7 numbers"
        kind = kind if out and all(axis == 1 for axis in out[:-1]) else "other"
    if out and out[-1] == 1:
        kind = "other"
    return f"{words}; gives {count}", kind


def _side(axes):
    return "any size" if None in axes else " × ".join(map(str, axes))


def _ask(report, path, architecture, audit, kind, data, limits, say):
    level = probe_isolation()["level"]
    report["isolation"] = level
    file = f"models/model{'.keras' if audit['kind'].startswith('keras') else '.h5'}"
    files, job = {file: path}, {"file": file, "seconds": limits["model_seconds"]}
    job.update({key: audit.get(key) for key in ("input_shape", "output_shape", "num_parameters")})
    job["has_cudnn"] = any("CuDNN" in str(name) for name in audit.get("layers") or ())
    if architecture is not None:
        job["architecture"] = "models/model.json"
        files[job["architecture"]] = architecture
    samples = data.clouds if kind == "clouds" else data.pictures
    inbox, labels, number = samples.inbox, samples.labels, samples.num_test
    job["num_test"] = number
    report["data"] = samples.description
    table = diagnosis.VOXEL_PREPROCESSINGS if kind == "clouds" else diagnosis.PREPROCESSINGS
    declared = DECLARED_VOXELS if kind == "clouds" else DECLARED
    names = {preprocessing.key: name for name, preprocessing in table.items()}
    say("loading the network")
    with Worker("grader.worker.diagnosed", job, inbox, files, limits, level) as worker:
        if kind == "other":
            answer, _, _ = worker.run("load", limits["model_seconds"])
            _note(report, answer)
            if answer["status"] == "ok":
                report["verdict"] = (
                    f"It is a network for another task: it {report['task']}. Nothing here has a face for it."
                )
            return
        answer, arrays, _ = worker.run("screen", limits["model_seconds"])
        _note(report, answer)
        if answer["status"] != "ok":
            return
        outputs = {
            names[key]: array
            for key in names
            if (array := arrays.get("screened" + (f"_{key}" if key else ""))) is not None
        }
        first = diagnosis.diagnose(outputs, labels[:number], declared, table, samples.word)
        chosen = [declared, first.best_preprocessing, *first.also]
        if len(outputs[declared]) < number:
            for name in dict.fromkeys(name for name in chosen if name):
                say(f"predicting with {table[name].given}")
                answer, arrays, _ = worker.run(f"predict.{table[name].key}", limits["model_seconds"])
                if answer["status"] == "ok":
                    outputs[name] = arrays["outputs"]
        found = diagnosis.diagnose(outputs, labels[:number], declared, table, samples.word)
        others = None
        if found.best_preprocessing and len(labels) > number:
            say("predicting what it may have been trained on")
            answer, arrays, _ = worker.run(f"others.{table[found.best_preprocessing].key}", limits["model_seconds"])
            others = arrays["outputs"] if answer["status"] == "ok" else None
    _report_found(report, found)
    if others is not None:
        name, counted = _shares(found, outputs, others, samples)
        report["splits"] = {split: _rounded(right / n) for split, (right, n) in counted.items()}
        report["flags"] = flags.split_flags(name, counted)


def _note(report, answer):
    facts = answer["facts"]
    report["status"], report["message"] = answer["status"], answer["message"]
    for key in ("route", "adapted", "input_shape", "output_shape", "num_parameters"):
        if facts.get(key) is not None:
            report[key] = facts[key]
    if answer["status"] != "ok":
        report["verdict"] = f"It could not be used: {answer['message'] or answer['status']}"
        reason = {
            "code": f"model_{answer['status']}",
            "what": answer["message"] or answer["status"],
            "wanted": "a network that Keras can load and run",
            "try": "load it with keras.models.load_model where it was made; save it again with model.save",
        }
        report["findings"].append(_from_audit(reason, report["file"]))


def _report_found(report, found):
    rows = {row.name: row for row in found.rows}
    report["accuracy"] = {name: _rounded(row.accuracy) for name, row in rows.items() if row.accuracy is not None}
    report["interval"] = {name: _rounded(row.interval) for name, row in rows.items() if row.interval is not None}
    report["num_images"] = {name: row.num_images for name, row in rows.items()}
    report["accuracy_in_label_order"] = {name: _rounded(row.assigned_accuracy) for name, row in rows.items()}
    report["interval_in_label_order"] = {name: _rounded(row.assigned_interval) for name, row in rows.items()}
    report["answers"] = {name: {k: _rounded(v) for k, v in row.answers.items()} for name, row in rows.items()}
    report["confidence"] = {name: _rounded(row.confidence) for name, row in rows.items() if row.confidence is not None}
    report["best_preprocessing"], report["also_fits"] = found.best_preprocessing, list(found.also)
    named = found.label_order in (FER2013, "alphabetical")
    report["label_order"] = found.label_order if named or found.classes is None else list(found.classes)
    report["label_order_name"], report["classes"] = found.label_order, found.classes and list(found.classes)
    report["best_accuracy"] = _rounded(found.accuracy) if found.best_preprocessing else None
    report["best_interval"] = _rounded(found.interval) if found.best_preprocessing else None
    report["outputs"], report["chance"] = found.outputs, _rounded(found.chance)
    report["best_order_by_luck"] = _rounded(found.luck)
    report["verdict"] = found.sentence
    for finding in found.findings:
        report["findings"].append(
            {
                **{"basis": "behaviour", "item": "", "step": "", "file": report["file"], "line": None},
                **finding,
                "what": f"the network {finding['what']}",
            }
        )


def _rounded(value):
    if value is None:
        return None
    return [round(float(part), 4) for part in value] if isinstance(value, tuple) else round(float(value), 4)


def _shares(found, outputs, others, samples):
    """Returns what the flags compare: the data set's name, and (right, n) of each split, in the order found."""
    ids = diagnosis.class_ids(found.classes)
    best = outputs[found.best_preprocessing]
    right = ids[best.argmax(axis=1)] == samples.labels[: len(best)]
    counted = {samples.splits[0][0]: (int(right.sum()), len(right))}
    right = ids[others.argmax(axis=1)] == samples.labels[samples.num_test :][: len(others)]
    start = 0
    for name, size in samples.splits[1:]:
        part = right[start : start + size]
        start += size
        if len(part) == size:
            counted[name] = (int(part.sum()), len(part))
    return samples.name, counted


# --- Data ------------------------------------------------------------------------------------------------------------


class Samples:
    """Faces to ask a network about.

    Attributes:
        name: `"fer2013"` or `"synthetic"`.
        word: `"pictures"` or `"clouds"`.
        inbox: dict of arrays for the worker.
        labels: int array, of all faces, test faces first.
        num_test: int, how many faces the accuracy is measured on.
        splits: list of (name, size) of the parts, in order; the first one is the test.
        description: str.
    """

    def __init__(self, name, word, inbox, labels, num_test, splits, description):
        self.name, self.word, self.inbox, self.labels = name, word, inbox, np.asarray(labels, dtype=int)
        self.num_test, self.splits, self.description = num_test, splits, description


class Data:
    """Pictures and clouds, made when they are first asked for: each takes seconds.

    Args:
        rubric: `grader.rubric.Rubric`.
        fer2013: path of FER-2013's csv, or None for the hidden synthetic class.
        limit: int, at most so many test faces, or None for all.
    """

    def __init__(self, rubric, fer2013=None, limit=None):
        self._rubric, self._fer2013, self._limit = rubric, fer2013, limit

    @functools.cached_property
    def _hidden(self):
        return load_hidden(self._rubric)

    @property
    def pictures(self):
        """`Samples` of PublicTest, PrivateTest and Training, or of the hidden synthetic class."""
        if self._fer2013:
            from expressions.fer2013_arrays import load_fer2013_arrays

            fer = load_fer2013_arrays(self._fer2013)
            images, labels = fer.split("PublicTest")
            images, labels = images[: self._limit], labels[: self._limit]
            parts, splits = [(images, labels)], [("PublicTest", len(labels))]
            for name, most in (("PrivateTest", None), ("Training", NUM_TRAINING)):
                if not (fer.usage == {"Training": 0, "PrivateTest": 2}[name]).any():
                    continue
                images, labels = fer.split(name)
                rows = np.arange(len(labels))
                if most and len(rows) > most:
                    rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
                parts.append((images[rows], labels[rows]))
                splits.append((name, len(rows)))
            images = np.concatenate([images for images, _ in parts])
            labels = np.concatenate([labels for _, labels in parts])
            words = f"{splits[0][1]:,} pictures: PublicTest of {Path(self._fer2013).name}"
            return Samples("fer2013", "pictures", {"images": images}, labels, splits[0][1], splits, words)
        rows = self._hidden.rows(SCORE_SPLIT)
        images = self._hidden.images[rows][: self._limit, ..., 0]
        labels = self._hidden.labels[rows][: self._limit]
        size = len(labels)
        words = f"{size:,} pictures of the hidden synthetic class"
        return Samples("synthetic", "pictures", {"images": images}, labels, size, [("hidden", size)], words)

    @property
    def clouds(self):
        """`Samples` of the hidden synthetic class's point clouds."""
        points, labels = self._hidden.clouds[: self._limit], self._hidden.cloud_labels[: self._limit]
        lowest, highest = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
        inbox = {"voxels": count_cells(points, *VOXEL_BOUNDS), "voxels_own": count_cells(points, lowest, highest)}
        words = f"{len(labels)} point clouds of the hidden synthetic class, as voxels"
        return Samples("synthetic", "clouds", inbox, labels, len(labels), [("hidden", len(labels))], words)


def count_cells(points, lower, upper, size=GRID_SIZE):
    """Counts the points in each cell, for many clouds at once.

    Args:
        points: float array `(n, num_points, 3)`, metres.
        lower: array that broadcasts against it, the lower bounds of the grid; points outside go to the border cell.
        upper: likewise, the upper bounds.
        size: int, cells along each axis.

    Returns:
        float32 array `(n, size, size, size)`, indexed `[cloud, x, y, z]`.
    """
    cells = np.floor((points - lower) / np.maximum(upper - lower, 1e-9) * size).astype(int).clip(0, size - 1)
    index = np.ravel_multi_index(
        (np.arange(len(points))[:, np.newaxis], *cells.transpose(2, 0, 1)), (len(points), *[size] * 3)
    )
    counts = np.bincount(index.ravel(), minlength=len(points) * size**3)
    return counts.reshape(len(points), size, size, size).astype(np.float32)
