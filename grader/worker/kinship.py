"""Compares the stored weights of two model files, without loading either network.

Only the layers that both files have in the same form are read: model_1 alone holds 105 MB.
"""

import contextlib
import difflib
import io
import json
import re
import zipfile

from grader.worker import repair
from grader.worker.loading import owns, stored_names

MODEL_CLASSES = ("Sequential", "Functional", "Model")


def kinship_of_files(ancestor, model):
    """Measures how far the weights of one file are from another's.

    Args:
        ancestor: Path of an audited .h5, .hdf5 or .keras file.
        model: Path of another.

    Returns:
        dict as `kinship` gives it.
    """
    with stored_layers(ancestor) as before, stored_layers(model) as after:
        return kinship(before, after)


@contextlib.contextmanager
def stored_layers(path):
    """Lists the layers of a file that have weights, in the order of its configuration, those of nested models too.

    Args:
        path: Path of an audited file.

    Yields:
        list of (class name in today's words, list of h5py.Dataset).
    """
    import h5py

    with contextlib.ExitStack() as stack:
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            config = json.loads(archive.read("config.json"))
            file = stack.enter_context(h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r"))
            yield [layer for layer in _layers_of_zip(file, config) if layer[1]]
        else:
            file = stack.enter_context(h5py.File(path, "r"))
            config = file.attrs["model_config"]
            config = json.loads(config.decode("utf-8") if isinstance(config, bytes) else config)
            base = file["model_weights"] if "model_weights" in file else file
            yield [layer for layer in _layers_of_hdf5(base, config) if layer[1]]


def _entries(config):
    inner = config.get("config")
    return inner if isinstance(inner, list) else inner["layers"]


def _is_model(entry):
    config = entry.get("config")
    return isinstance(config, list) or (entry.get("class_name") in MODEL_CLASSES and "layers" in (config or {}))


def _name_of(entry):
    config = entry.get("config")
    return entry.get("name") or (config.get("name") if isinstance(config, dict) else None) or entry["class_name"]


def _kind_of(entry):
    return repair.RENAMED_LAYERS.get(entry["class_name"], entry["class_name"])


def _leaves(config):
    return [leaf for entry in _entries(config) for leaf in (_leaves(entry) if _is_model(entry) else [entry])]


def _layers_of_hdf5(base, config):
    names = set(stored_names(base, "layer_names"))
    found = []
    for entry in _entries(config):
        name = _name_of(entry)
        if name not in names:
            found += _layers_of_hdf5(base, entry) if _is_model(entry) else []
            continue
        group = base[name]
        stored = [(key, group[key]) for key in stored_names(group, "weight_names") if not repair.STATE.search(key)]
        if not _is_model(entry):
            found.append((_kind_of(entry), [dataset for _, dataset in stored]))
            continue
        leaves = _leaves(entry)
        shares = {_name_of(leaf): (_kind_of(leaf), []) for leaf in leaves}
        for key, dataset in stored:
            owners = [one for one in shares if owns(one, key)]
            owner = max(owners, key=len) if owners else ""
            shares.setdefault(owner, ("", []))[1].append(dataset)
        found += shares.values()
    return found


def _layers_of_zip(group, config):
    """Finds each layer's arrays as Keras 3 lays them out: counted by class, not by name."""
    import h5py

    counts, found = {}, []
    parent = next((group[key] for key in ("layers", "_layer_checkpoint_dependencies") if key in group), group)
    for entry in _entries(config):
        snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", entry["class_name"]))
        snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
        number = counts[snake] = counts.get(snake, -1) + 1
        own = parent.get(f"{snake}_{number}" if number else snake)
        if own is None:
            continue
        if _is_model(entry):
            found += _layers_of_zip(own, entry)
            continue
        arrays = []
        own.visititems(
            lambda key, item, arrays=arrays: (
                arrays.append(item) if isinstance(item, h5py.Dataset) and not repair.STATE.search(key) else None
            )
        )
        found.append((_kind_of(entry), arrays))
    return found


def kinship(ancestor, model):
    """Measures how far a model's weights are from another's, over the layers that both have in the same order.

    Args:
        ancestor: list of (class name, list of arrays), layers without weights left out; h5py datasets will do.
        model: list as `ancestor`.

    Returns:
        dict: `shared_layers` (int), `num_layers` (int, of the model), `relative_distance` (‖w − w₀‖ / ‖w₀‖),
        `correlation` (of all shared weights), `identical` (bool, every layer shared and equal).
    """
    import numpy as np

    forms = [
        [(kind, *(tuple(weight.shape) for weight in weights)) for kind, weights in side] for side in (ancestor, model)
    ]
    blocks = difflib.SequenceMatcher(None, *forms, autojunk=False).get_matching_blocks()
    pairs = [(ancestor[a + i][1], model[b + i][1]) for a, b, size in blocks for i in range(size)]
    summary = {"shared_layers": len(pairs), "num_layers": len(model), "relative_distance": None, "correlation": None}
    if not pairs:
        return {**summary, "identical": False}
    # Sums instead of one long vector: model_1 has 26 million weights.
    count = sum_a = sum_b = sum_aa = sum_bb = sum_ab = distance = 0.0
    same = True
    for before, after in pairs:
        for a, b in zip(before, after, strict=True):
            a, b = np.asarray(a), np.asarray(b)
            same = same and np.array_equal(a, b)
            a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
            count += a.size
            sum_a, sum_b = sum_a + a.sum(), sum_b + b.sum()
            sum_aa, sum_bb, sum_ab = sum_aa + a @ a, sum_bb + b @ b, sum_ab + a @ b
            distance += ((b - a) ** 2).sum()
    if np.isfinite([sum_aa, sum_bb]).all():
        summary["relative_distance"] = float(np.sqrt(distance / max(sum_aa, 1e-30)))
        spread = (sum_aa - sum_a**2 / count) * (sum_bb - sum_b**2 / count)
        covariance = sum_ab - sum_a * sum_b / count
        summary["correlation"] = float(covariance / np.sqrt(spread)) if spread > 0 else None
    complete = len(pairs) == len(model) == len(ancestor)
    return {**summary, "identical": bool(same and complete)}
