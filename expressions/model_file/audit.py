"""The audit of one file, from its first bytes to the verdict."""

import hashlib
import os
import stat

from expressions.model_file.comparison import compare
from expressions.model_file.configuration import parse_text
from expressions.model_file.hdf5 import Hdf5File, damaged, weights_by_class
from expressions.model_file.keras_zip import audit_zip
from expressions.model_file.limits import Limits
from expressions.model_file.messages import (
    A_MODEL_FILE,
    THIS_FILE,
    Refused,
    byte_size,
    name_file,
    plural,
    printable,
    product,
    show,
)
from expressions.model_file.sniffing import sniff
from expressions.model_file.weights import weight_facts


def audit(path, weights=True, name=None, limits=None, architecture=None):
    """Audits a model file in this process. For files of other people use `audit_in_child`.

    Args:
        path: path of the file; its bytes are read, its name is not believed.
        weights: bool, `False` reads the structure only: no SHA-256, no statistics of the weights.
        name: str, the name under which the file was handed in, if `path` has another; a `.keras` zip is accepted
            only under a name that ends in `.keras`, because Keras does not load it under any other.
        limits: Limits.
        architecture: path of a JSON file that `model.to_json()` wrote, for a file that holds the weights alone.

    Returns:
        dict ready for JSON. `kind` (a key of `KINDS`), `accepted` (bool), `reasons` (list of
        `{code, what, wanted, try}`, empty exactly when accepted), `notes` (list of `{code, what}`, nothing that
        refuses), `keras_version`, `backend`, `layers` (class names in order, nested models as one), `input_shape` and
        `output_shape` (with `None` for the batch; a list of shapes if there are several), `num_parameters` (numbers
        stored as weights), `sha256`, `num_bytes`, `layer_list`, `last_activation`, `optimizer_state`,
        `functional_inputs`, `model_class`, `config_format`, `max_activation` (numbers in the largest output of one
        picture), `flops` (per picture), `weight_facts`, and last and largest `configuration`: the architecture as it
        was read, from which a network can be built; `None` unless the file is accepted.

    Raises:
        OSError: the file cannot be opened.
    """
    path = os.fspath(path)
    name = name or os.path.basename(path)
    result = empty_result()
    _judge(path, result, weights, name, limits or Limits(), architecture)
    result["accepted"] = not result["reasons"]
    if not result["accepted"]:
        result["configuration"] = None
    name_file(result, name)
    return result


def _judge(path, result, weights, name, limits, architecture):
    information = os.stat(path)
    if not stat.S_ISREG(information.st_mode):
        result["reasons"].append(
            {
                "code": "not-a-file",
                "what": "this is no ordinary file",
                "wanted": A_MODEL_FILE,
                "try": "submit the file itself",
            }
        )
        return
    result["num_bytes"] = information.st_size
    if information.st_size > limits.max_file_bytes:
        result["reasons"].append(
            {
                "code": "too-large",
                "what": f"the file has {byte_size(information.st_size)}",
                "wanted": f"at most {byte_size(limits.max_file_bytes)}",
                "try": "make the network smaller, or save it without its optimizer: "
                f'`model.save("{THIS_FILE}", include_optimizer=False)`',
            }
        )
        return
    kind, reason = sniff(path)
    result["kind"] = kind
    if reason is not None:
        result["reasons"].append(reason)
    elif kind == "hdf5":
        _audit_hdf5(path, information.st_size, result, weights, limits, architecture)
    else:
        audit_zip(path, information.st_size, result, weights, limits, name)
    if weights:
        # Last, so that the weights' statistics have brought the file into memory and the disk is read once.
        with open(path, "rb") as file:
            result["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()


def empty_result():
    """Returns the verdict on a file of which nothing is known yet: every key, and no word that accepts it."""
    return {
        "kind": "unknown",
        "accepted": False,
        "reasons": [],
        "notes": [],
        "keras_version": None,
        "backend": None,
        "layers": [],
        "input_shape": None,
        "output_shape": None,
        "num_parameters": None,
        "sha256": None,
        "num_bytes": None,
        "layer_list": [],
        "last_activation": None,
        "optimizer_state": False,
        "functional_inputs": [],
        "model_class": None,
        "config_format": None,
        "max_activation": None,
        "total_activation": None,
        "flops": None,
        "weight_facts": None,
        "configuration": None,
    }


def _audit_hdf5(path, size, result, weights, limits, architecture):
    result["kind"] = "other-hdf5"
    try:
        store = Hdf5File(path, size, limits)
    except Refused as refusal:
        result["reasons"].append(refusal.reason)
        return
    try:
        _audit_store(store, result, weights, limits, architecture)
    except Refused as refusal:
        result["reasons"] += store.reasons + [refusal.reason]
    except Exception as error:
        # HDF5 reports damage wherever it meets it; the student needs the sentence, not our stack.
        result["reasons"] += store.reasons + [damaged(error).reason]
    finally:
        store.close()


def _audit_store(store, result, weights, limits, architecture):
    """Audits an open HDF5 file in the layout of `model.save("x.h5")`."""
    base = "/model_weights" if "/model_weights" in store.groups else "/"
    config_text = store.text("/", "model_config")
    layer_names = store.names(base, "layer_names")
    numbers = [dataset for dataset in store.datasets.values() if dataset.kind != "?"]
    result["optimizer_state"] = any(path.startswith("/optimizer_weights/") for path in store.datasets)
    for key in ("keras_version", "backend"):
        value = store.text("/", key) or store.text(base, key)
        result[key] = None if value is None else printable(value[:40])

    result["reasons"] += store.reasons
    if config_text is None:
        if not _describe_weights(store, result, base, layer_names, numbers):
            return
        if architecture is None:
            _ask_for_the_architecture(result)
            return
        config_text = _read_architecture(architecture, limits)
        result["notes"].append({"code": "architecture-file", "what": "the architecture comes from a file of its own"})
        result["layer_list"] = []
        stored_something = True
    else:
        stored_something = layer_names is not None and any(path.startswith(base) for path in store.datasets)
        result["kind"] = "hdf5-model" if stored_something else "hdf5-architecture"
    model, parser = parse_text(config_text, result, limits)
    if model is None:
        return
    if layer_names is None and result["kind"] == "hdf5-weights":
        by_layer = weights_by_class(store, model)
    else:
        by_layer = _weights_by_name(store, model, base, layer_names or [], parser)
    compare(model, by_layer, parser, result, limits, architecture_only=not stored_something)
    if not stored_something and any(child.expected for child in model.children):
        result["reasons"].append(
            {
                "code": "architecture-only",
                "what": f"the file describes a network of {plural(len(model.children), 'layer')}, but holds "
                "none of its weights",
                "wanted": "architecture and trained weights in one file",
                "try": f'save the trained model with `model.save("{THIS_FILE}")`',
            }
        )
    elif not stored_something:
        result["kind"] = "hdf5-model"
    if weights and not result["reasons"]:
        weight_facts(model, result, store)
    result["notes"] = parser.notes + result["notes"]


def _weights_by_name(store, model, base, layer_names, parser):
    """Finds each layer's arrays by the names that an .h5 file lists: dict from a layer's id to `[(name, Dataset)]`."""
    # The loader goes by these names, so they must lead to the arrays that we checked.
    groups = {name: [] for name in layer_names}
    missing = 0
    for name in groups:
        group = f"{base.rstrip('/')}/{name}"
        for weight in store.names(group, "weight_names") or []:
            dataset = store.datasets.get(f"{group}/{weight}")
            if dataset is not None:
                groups[name].append((weight, dataset))
                continue
            missing += 1
            if missing <= 3 and not store.reasons:
                parser.refuse(
                    "missing-weights",
                    f"the weight {show(weight)} of the layer {show(name)} is listed but not stored",
                    "save the model again with `model.save`",
                    "every weight in the file",
                )
    return {id(child): groups.get(child.name, []) for child in model.children}


def _read_architecture(path, limits):
    """Reads the JSON that `model.to_json()` wrote into a file of its own."""
    with open(path, "rb") as file:
        data = file.read(limits.max_config_bytes + 1)
    return data.decode("utf-8-sig", "surrogateescape")


def _describe_weights(store, result, base, layer_names, numbers):
    """Describes a file without an architecture. Returns whether it holds a network's weights."""
    root = store.groups["/"]
    legacy_weights = layer_names is not None or store.h5py.h5a.exists(root, b"nb_layers")
    new_weights = (
        "/layers" in store.groups
        or "/_layer_checkpoint_dependencies" in store.groups
        or any(path.endswith("/vars") for path in store.groups)
    )
    if not (legacy_weights or (new_weights and numbers)):
        names = [show(path.lstrip("/"), 30) for path in list(store.datasets)[:3]]
        inside = f"it holds {', '.join(names)}" if names else "it holds no arrays"
        what, try_ = f"this is an HDF5 file, but Keras did not write it as a model: {inside}", ""
        if store.h5py.h5a.exists(root, b"PYTABLES_FORMAT_VERSION"):
            what = f"this is an HDF5 file of pandas or PyTables, which holds tables and not a model: {inside}"
        elif "/images" in store.datasets or any("train" in path or "label" in path for path in store.datasets):
            try_ = "; this looks like a data set"
        result["kind"] = "other-hdf5"
        result["reasons"].append(
            {
                "code": "other-hdf5",
                "what": what,
                "wanted": A_MODEL_FILE,
                "try": f"look for the file that `model.save` wrote{try_}",
            }
        )
        return False
    result["kind"] = "hdf5-weights"
    total = 0
    for name in layer_names or []:
        entry = {
            "name": name,
            "class_name": None,
            "config": {},
            "output_shape": None,
            "num_parameters": 0,
            "weights": [],
        }
        for weight in store.names(f"{base.rstrip('/')}/{name}", "weight_names") or []:
            dataset = store.datasets.get(f"{base.rstrip('/')}/{name}/{weight}")
            if dataset is not None:
                entry["weights"].append({"name": weight, "shape": list(dataset.shape), "dtype": dataset.dtype})
                entry["num_parameters"] += product(dataset.shape)
        total += entry["num_parameters"]
        result["layer_list"].append(entry)
    if not result["layer_list"]:
        total = sum(
            product(dataset.shape)
            for dataset in numbers
            if "/optimizer" not in dataset.path and "seed_generator" not in dataset.path
        )
    result["num_parameters"] = total
    return True


def _ask_for_the_architecture(result):
    layers = f" of {plural(len(result['layer_list']), 'layer')}" if result["layer_list"] else ""
    result["reasons"].append(
        {
            "code": "weights-only",
            "what": f"the file holds the weights{layers} ({result['num_parameters']:,} numbers), but not the "
            "architecture, without which they are of no use",
            "wanted": "architecture and weights in one file",
            "try": f'in the script that trained the network write `model.save("{THIS_FILE}")` in place of '
            "`model.save_weights(...)` (and leave out `save_weights_only=True` in ModelCheckpoint)",
        }
    )
