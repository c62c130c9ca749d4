"""Names the mistake behind a wrong result, with its evidence: a line of source, or numbers that came back.

`find_in_sources` reads the scripts (nothing runs) and `find_behaviour` looks at the arrays that workers returned; what
the networks' answers say about scaling and labels is `grader/diagnosis.py`. Together they know the mistakes that public
solutions of this assignment really contain; `grader/submissions/` keeps each of them twice, with a correct look-alike
that must stay silent. `settle` then drops what the source suggested and the results disprove. A finding explains; it
never changes a score.

A finding is a dict: `code` (the mistake), `certainty` ("certain" only if the pattern cannot be right, else
"probable"), `basis` ("source" or "behaviour"), `item` (rubric item), `step` (of the handout), `file`, `line`,
`evidence` (the source line, or the numbers), `what`, `wanted`, `try`.
"""

import re

import numpy as np

from grader import diagnosis
from grader.outcome import PASSED
from grader.source_findings import SCRIPTS, detect
from grader.source_reading import Reader, ReadingLimit

CODES = (
    "stale_test_labels",
    "test_photos_from_training_folder",
    "last_layer_not_softmax",
    "sample_level_split",
    "test_set_used_for_validation",
    "scaling_differs",
    "voxel_index_outside_grid",
    "pixels_never_divided",
    "label_order_differs",
    "pictures_turned",
)
# What results show when no single mistake explains them.
SYMPTOMS = ("one_answer", "at_chance")


def find_in_sources(folder):
    """Finds mistakes that can be seen in a submission's scripts. Nothing of them runs.

    Args:
        folder: path of a submission with its canonical names: `cnn.py`, `transfer.py`, `cnnx.py` and their helpers.

    Returns:
        list of findings, at most one for each code and script; those from `cnn.py` first. Files that are no Python,
        or too tangled to read, give none.
    """
    try:
        known = Reader(folder, unroll=True)
        known.read(SCRIPTS)
        apart = Reader(folder, unroll=False)
        apart.read(SCRIPTS)
        found = detect(known, apart)
    except (ReadingLimit, RecursionError):
        return []
    return _one_each(found)


def _one_each(found):
    """Keeps the first certain finding of each code and file, or else the first one."""
    best = {}
    for finding in found:
        key = (finding["code"], finding["file"])
        if key not in best or (finding["certainty"] == "certain" and best[key]["certainty"] != "certain"):
            best[key] = finding
    return sorted(best.values(), key=lambda finding: [f"{s}.py" for s in (*SCRIPTS, "")].index(_script(finding)))


def settle(findings, outcomes):
    """Drops what a script's source suggested where its behaviour has shown the opposite.

    Args:
        findings: list of findings, from `find_in_sources` and from `find_behaviour`.
        outcomes: list of `grader.outcome.Outcome` of the same submission.

    Returns:
        list of findings, a new one; those by behaviour are all in it. Mistakes that no item measures stay, such as
        labels of another loop.
    """
    passed = {outcome.item for outcome in outcomes if outcome.status == PASSED}
    kept = []
    for finding in findings:
        code, disproved = finding["code"], False
        if finding["basis"] == "source":
            if code == "voxel_index_outside_grid":
                disproved = passed >= {"10-shape", "10-sum", "10-bounds"}
            elif code == "pixels_never_divided":
                disproved = finding["item"] in passed
            elif code == "sample_level_split" and "12" in passed:
                # Item 12 asks split_by_subject alone; main may still cut the clouds itself.
                disproved = (
                    finding["what"].startswith("split_by_subject ") or "split_by_subject(" in finding["evidence"]
                )
                finding = {**finding, "certainty": "probable"}
        if not disproved:
            kept.append(finding)
    return kept


def _script(finding):
    return finding["file"] if finding["file"] in {f"{script}.py" for script in SCRIPTS} else ".py"


# --- Behaviour -------------------------------------------------------------------------------------------------------

_MODEL_ITEMS = {
    "model_1": ("3-file", "2f"),
    "model_2": ("4-file", "4"),
    "model_3": ("7f-file", "7f"),
    "model_4": ("13-file", "11"),
    "model_ec1": ("EC1", "EC1"),
}
_OUT_OF_BOUNDS = re.compile(r"index (\d+) is out of bounds for axis \d+ with size (\d+)|list index out of range")
# A picture counts as stretched to its own range if its extremes are 0 and 1 to this precision.
_EXTREME = 1e-3


def find_behaviour(evidence, hidden_labels, cloud_labels=None):
    """Finds mistakes in what came back from the workers.

    Args:
        evidence: `grader.evidence.Evidence`, of which `probes` and `arrays` are looked at.
        hidden_labels: int array `(n,)`, labels of the first hidden pictures, in the order of `model_1.hidden`; where
            there are more predictions than labels, the others are not looked at.
        cloud_labels: int array `(m,)`, labels of the hidden clouds, in the order of `model_4.hidden`, or `None`.

    Returns:
        list of findings; `evidence` in each holds numbers.
    """
    arrays, probes = evidence.arrays, evidence.probes
    found = [
        *_prepared_pixels(arrays),
        *_photos_behaviour(arrays),
        *_voxels_behaviour(arrays, probes),
        *_split_behaviour(arrays),
        *_outputs_behaviour(arrays),
        *_accuracy_behaviour(arrays, np.asarray(hidden_labels), cloud_labels),
    ]
    best = {}
    for finding in found:
        best.setdefault((finding["code"], finding["item"]), finding)
    return list(best.values())


def _measured(code, certain, item, file, evidence, what, wanted, try_, step=None):
    return {
        "code": code,
        "certainty": "certain" if certain else "probable",
        "basis": "behaviour",
        "item": item,
        "step": step or item,
        "file": file,
        "line": None,
        "evidence": evidence,
        "what": what,
        "wanted": wanted,
        "try": try_,
    }


def _pictures(arrays, key, num_pictures=None):
    """Returns pictures as float64 `(n, 2304)`, or `None` if they are absent or of another size."""
    images = arrays.get(key)
    if images is None or images.dtype.kind not in "fiu" or images.size == 0 or images.size % 2304:
        return None
    flat = np.asarray(images, dtype="float64").reshape(-1, 2304)
    return flat if num_pictures is None or len(flat) == num_pictures else None


def _stretched(flat):
    """Whether every picture runs from 0 to 1 by itself; pictures of one grey, and what is not finite, do not count."""
    with np.errstate(invalid="ignore"):
        usable = flat[np.isfinite(flat).all(axis=1) & (np.ptp(flat, axis=1) > 0)]
    if len(usable) < 3:
        return False
    return bool((np.abs(usable.min(axis=1)) < _EXTREME).all() and (np.abs(usable.max(axis=1) - 1) < _EXTREME).all())


def _range_of(flat):
    finite = flat[np.isfinite(flat)]
    return f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "no finite value"


def _prepared_pixels(arrays):
    pixels = arrays.get("prepare_images.input")
    images = _pictures(arrays, "prepare_images.images", None if pixels is None else len(pixels))
    photos = _pictures(arrays, "load_photos.images")
    wanted = "float32 values from 0.0 to 1.0"
    for flat, name, item, file in (
        (images, "prepare_images", "1b", "cnn.py"),
        (photos, "load_photos", "7b", "transfer.py"),
    ):
        if flat is None or not np.isfinite(flat).all() or flat.min() < 0 or not 200 <= flat.max() <= 255:
            continue
        # A single picture above 1 has another cause, such as 16 bits a pixel.
        if np.median(flat.max(axis=1)) > 1.5:
            yield _measured(
                "pixels_never_divided", True, item, file, f"values from {_range_of(flat)}",
                f"{name} returns values from {_range_of(flat)}: they were never divided by 255",
                wanted, "divide by 255 after converting to float32, and keep the result",
            )  # fmt: skip
    if images is None or pixels is None:
        return
    raw = np.asarray(pixels, dtype="float64").reshape(len(pixels), -1)
    raw_varies = np.ptp(raw, axis=1) > 0
    raw_stretched = bool(((raw.min(axis=1) == 0) & (raw.max(axis=1) == 255))[raw_varies].all())
    images_stretched = not raw_stretched and _stretched(images[raw_varies])
    photos_stretched = photos is not None and _stretched(photos)
    if images_stretched and not photos_stretched:
        others = "" if photos is None else f"; load_photos gives {_range_of(photos)}"
        not_finite = "" if np.isfinite(images).all() else ", and a picture of one grey becomes NaN"
        yield _measured(
            "scaling_differs", photos is not None, "1b", "cnn.py",
            f"strings from {raw[0].min():.0f} to {raw[0].max():.0f} become {_range_of(images[:1])}{others}",
            f"prepare_images stretches each picture to its own 0 to 1{not_finite}, but load_photos does not do so"
            if photos is not None
            else f"prepare_images stretches each picture to its own 0 to 1{not_finite}",
            "one and the same scaling wherever pictures are made: values from 0 to 1 by dividing by 255",
            "divide all pictures by 255",
        )  # fmt: skip
    elif photos_stretched and not images_stretched and images.max() <= 1 + _EXTREME:
        yield _measured(
            "scaling_differs", True, "7b", "transfer.py",
            f"each of {len(photos)} photos runs from 0.0 to 1.0; prepare_images gives {_range_of(images)}",
            "load_photos stretches each photo to its own 0 to 1, but prepare_images divides by 255",
            "one and the same scaling wherever pictures are made: values from 0 to 1 by dividing by 255",
            "divide the photos by 255",
        )  # fmt: skip


def _photos_behaviour(arrays):
    first, other = (_pictures(arrays, f"{name}.images") for name in ("load_photos", "load_photos_other"))
    wanted = "training photos from photos/train (step 5), test photos from photos/test (step 6)"
    train, test = (_pictures(arrays, f"load_photos_{name}.images") for name in ("train", "test"))
    if first is not None and other is not None and first.shape == other.shape and np.array_equal(first, other):
        yield _measured(
            "test_photos_from_training_folder", True, "7b", "transfer.py",
            f"two folders of other photos give the same {len(first)} pictures",
            "load_photos gives the same pictures whatever folder it is given: test photos are training photos",
            wanted, "use the argument of load_photos, not a fixed folder",
        )  # fmt: skip
    elif train is not None and test is not None and train.shape == test.shape and np.array_equal(train, test):
        yield _measured(
            "test_photos_from_training_folder", False, "6", "transfer.py",
            f"all {len(train)} pictures of photos/test equal those of photos/train",
            "your test photos are your training photos: the same pictures are in both folders",
            wanted, "take seven new photos for photos/test",
        )  # fmt: skip
    for name in ("load_photos", "load_photos_other"):
        labels = arrays.get(f"{name}.labels")
        if labels is None or labels.ndim != 1 or len(labels) < 2:
            continue
        advice = "read the label from the same file name as the picture, in the same loop, before you append it"
        if len(np.unique(labels)) == 1:
            yield _measured(
                "stale_test_labels", True, "7b", "transfer.py", f"labels {labels.tolist()[:20]}",
                f"load_photos gives {len(labels)} photos of different emotions the same label {labels[0]}",
                "for each photo the label of that photo", advice,
            )  # fmt: skip
            return
    own, left_over = (_true_labels(arrays, name) for name in ("load_photos_other", "load_photos"))
    labels = arrays.get("load_photos_other.labels")
    if own is not None and left_over is not None and labels is not None and labels.shape == own.shape:
        if np.array_equal(labels, left_over) and not np.array_equal(labels, own):
            yield _measured(
                "stale_test_labels", True, "7b", "transfer.py",
                f"labels {labels.tolist()}, the photos show {own.tolist()}",
                "the photos of a second folder get the labels of the first folder's photos",
                "for each photo the label of that photo", "start with empty lists in every call of load_photos",
            )  # fmt: skip


def _true_labels(arrays, name):
    """Returns which of the staff's photos each returned picture is: int `(7,)`, `None` if that is not clear."""
    images, expected = _pictures(arrays, f"{name}.images", 7), _pictures(arrays, f"{name}.expected", 7)
    if images is None or expected is None or not np.isfinite(images).all():
        return None
    centred = [part - part.mean(axis=1, keepdims=True) for part in (images, expected)]
    norms = [np.linalg.norm(part, axis=1) for part in centred]
    if min(part.min() for part in norms) == 0:
        return None
    match = (centred[0] / norms[0][:, np.newaxis]) @ (centred[1] / norms[1][:, np.newaxis]).T
    labels = match.argmax(axis=1)
    return labels if len(set(labels.tolist())) == 7 and match.max(axis=1).min() > 0.8 else None


def _voxels_behaviour(arrays, probes):
    advice = "round down (np.floor), then np.clip(cells, 0, size - 1)"
    wanted = "indices 0 to 23, with points on or outside the upper bound in the border cell"
    for name in ("voxelize", "voxelize_boundary", "voxelize_hidden"):
        probe = probes.get(name)
        message = (probe.get("message") or "") if probe else ""
        match = _OUT_OF_BOUNDS.search(message) if "IndexError" in message else None
        if match:
            on_the_border = match.group(1) is None or match.group(1) == match.group(2)
            # Points beyond fixed bounds may have any index; 24 of 24 comes from rounding up, or from the maximum.
            yield _measured(
                "voxel_index_outside_grid", on_the_border and match.group(1) is not None, "10-shape", "cnnx.py",
                message[:300],
                f"voxelize asks for index {match.group(1) or '24'} of a grid that ends at"
                f" {int(match.group(2) or 24) - 1}",
                wanted, advice, "10",
            )  # fmt: skip
            return
    for name in ("voxelize", "voxelize_boundary"):
        counts, points = arrays.get(f"{name}.counts"), arrays.get(f"{name}.input")
        if counts is None or points is None or counts.ndim < 3 or points.ndim < 2:
            continue
        num_points = points.shape[-2]
        grids = counts.reshape(-1, *counts.shape[-3:])
        sums = grids.sum(axis=(1, 2, 3))
        if np.all(sums < num_points) if name == "voxelize" else np.any(sums < num_points):
            if grids.max() <= 1 or sums.min() < num_points / 2:
                continue  # points that share a cell are counted once, or most are lost: another mistake
            yield _measured(
                "voxel_index_outside_grid", False, "10-sum" if name == "voxelize" else "10-bounds", "cnnx.py",
                f"{num_points} points give a grid that sums to {sums.min():.0f}",
                f"of {num_points} points {num_points - sums.min():.0f} are lost: an index beyond the grid is dropped",
                wanted, advice, "10",
            )  # fmt: skip
            return


def _split_behaviour(arrays):
    ids = arrays.get("split_by_subject.input")
    train, test = (arrays.get(f"split_by_subject.{name}") for name in ("train", "test"))
    if any(part is None for part in (ids, train, test)):
        return
    rows = [np.ravel(part) for part in (train, test)]
    if any(
        part.dtype.kind not in "iu" or (part.size and not 0 <= part.min() <= part.max() < len(ids)) for part in rows
    ):
        return
    in_train, in_test = (np.unique(ids[part]) for part in rows)
    both = np.intersect1d(in_train, in_test)
    if len(both):
        yield _measured(
            "sample_level_split", True, "12", "cnnx.py",
            f"{len(both)} of {len(np.unique(ids))} people are in both sets",
            f"split_by_subject puts {len(both)} of {len(np.unique(ids))} people into training and into test",
            "no person in both: the test asks about faces that the network has never seen",
            "draw from the different ids, np.unique(subject_ids), then take all rows of the people drawn",
        )  # fmt: skip


def _outputs_behaviour(arrays):
    for model, (item, step) in _MODEL_ITEMS.items():
        outputs = arrays.get(f"{model}.hidden")
        if outputs is None or outputs.ndim != 2 or not len(outputs) or not np.isfinite(outputs).all():
            continue
        sums = outputs.sum(axis=1)
        if np.abs(sums - 1).max() < 1e-2 and outputs.min() >= -1e-6:
            continue
        negative = outputs.min() < -1e-6
        zeros = float((outputs == 0).mean())
        relu = not negative and zeros > 0.05
        yield _measured(
            "last_layer_not_softmax", relu or model == "model_1", item, f"{model}.h5",
            f"outputs from {outputs.min():.3g} to {outputs.max():.3g}, sums from {sums.min():.3g} to {sums.max():.3g}"
            + (f", {zeros:.0%} exactly 0" if relu else ""),
            f"the outputs of {model} are no probabilities: "
            + ("many are exactly 0, none is negative, as behind a ReLU" if relu else "its last layer has no softmax"),
            "seven numbers from 0 to 1 that sum to 1: a last Dense layer with activation 'softmax'",
            "give the last layer activation=\"softmax\", and train again",
            step,
        )  # fmt: skip


# model_3 has seen seven photos of one person last, and is judged by its descent alone.
_ACCURACY_ITEMS = {"model_1": "3-accuracy", "model_2": "4-accuracy", "model_4": "13-accuracy", "model_ec1": "EC1"}


def _accuracy_behaviour(arrays, labels, cloud_labels):
    """What explains the accuracy of each network: another scaling, orientation or order of labels, or nothing."""
    for model, item in _ACCURACY_ITEMS.items():
        reads_clouds = model in ("model_4", "model_ec1")
        own_labels = cloud_labels if reads_clouds else labels
        if own_labels is None or not len(own_labels):
            continue
        table = diagnosis.VOXEL_PREPROCESSINGS if reads_clouds else diagnosis.PREPROCESSINGS
        declared, outputs = next(iter(table)), {}
        for name, preprocessing in table.items():
            array = arrays.get(f"{model}.hidden{'_' if preprocessing.key else ''}{preprocessing.key}")
            if array is not None and array.ndim == 2 and array.shape[1] == 7 and len(array):
                outputs[name] = array[: len(own_labels)]
        if declared not in outputs or len(outputs[declared]) < len(own_labels):
            continue
        found = diagnosis.diagnose(
            outputs, own_labels, declared, table, samples="clouds" if reads_clouds else "pictures"
        )
        for finding in found.findings:
            certain = finding["certainty"] == "certain"
            rest = [finding[key] for key in ("evidence", "what", "wanted", "try")]
            rest[1] = f"{model} {rest[1]}"
            step = "1b" if finding["code"] in ("pixels_never_divided", "scaling_differs") else None
            yield _measured(finding["code"], certain, item, f"{model}.h5", *rest, step=step)
