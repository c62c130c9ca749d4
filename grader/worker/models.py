"""The probes of student models: loads audited files one by one and predicts the hidden images or voxels with them.

There is no student code here and no label. A file reaches this process only after the static audit accepted it.
"""

import difflib
import importlib
import json
import shutil
import time
from pathlib import Path

from grader.worker import code, results
from grader.worker.results import BadResult, to_array
from grader.worker.schema import IMAGE_MODELS

BATCH_SIZE = 256
NUM_DIAGNOSED = 300
NUM_CLASSES = 7
# Resizing every hidden image to more than this costs more than it tells.
MAX_ADAPTED_SIDE = 96


def prepare(box):
    """Imports Keras once; see `code.prepare`."""
    for name in ("numpy", "PIL.Image", "h5py", "tensorflow", "keras"):
        importlib.import_module(name)
    return code.prepare(box)


def run(probe_id, box):
    """Loads one model, predicts with it, and writes the result.

    Args:
        probe_id: str, `"model_1"` … `"model_ec1"`.
        box: Box; its job maps `models` to `{name: {"file", "input_shape", "output_shape"}}`.
    """
    facts, arrays = {}, {}
    try:
        arrays = _probe(probe_id, box, facts)
        status, message = "ok", ""
    except BadResult as error:
        # "error" and not "bad_result": a model that cannot be used is an error of the model's.
        status, message = "error", str(error)
    except MemoryError:
        status, message = "memory", f"{probe_id} needs more memory than a model of this project can use"
    except Exception as error:
        sentence, _ = results.describe_error(error, box.submission)
        status, message = "error", f"Keras could not use {probe_id}: {_first_paragraph(sentence)}"
    results.write_result(box.outbox, status, message, facts, arrays)


def _first_paragraph(text):
    return " ".join(text.split("\n\n")[0].split())[:600]


def _probe(name, box, facts):
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    entry = box.job["models"][name]
    began = time.monotonic()
    model, facts["route"] = load(box.root / "inbox" / entry["file"], entry, box.root / "tmp")
    facts["load_seconds"] = round(time.monotonic() - began, 3)

    from grader.worker.layers import describe_model

    facts.update(describe_model(model))
    _check_shapes(name, facts, entry)
    began = time.monotonic()
    arrays = {}
    if name in IMAGE_MODELS:
        inputs = box.arrays["images"]  # uint8 (n, 48, 48)
        fit, facts["adapted"] = _adapter(name, facts["input_shape"], (48, 48, 1))
        for key, scale in SCALINGS.items():
            chosen = inputs if key == "hidden" else inputs[:NUM_DIAGNOSED]
            arrays[key] = predict(model, chosen, lambda batch, scale=scale: fit(scale(batch)[..., None]), name)
        for key in ("photos_train", "photos_test"):
            if f"{key}.images" in box.arrays:
                photos = box.arrays[f"{key}.images"].astype(np.float32)
                arrays[key] = predict(model, photos, fit, name)
    else:
        fit, facts["adapted"] = _adapter(name, facts["input_shape"], (24, 24, 24, 1))
        if "voxels" not in box.arrays:  # cnnx.voxelize gave none; its own probe says why
            return {}
        arrays["hidden"] = predict(model, box.arrays["voxels"], lambda batch: fit(batch[..., None]), name)
    facts["predict_seconds"] = round(time.monotonic() - began, 3)
    if not np.isfinite(arrays["hidden"]).all():
        share = float(1 - np.isfinite(arrays["hidden"]).all(axis=1).mean())
        raise BadResult(
            f"{name} predicts NaN or infinity for {share:.0%} of the hidden faces. Wanted seven finite numbers for "
            "each: its training diverged, try a smaller learning rate."
        )
    arrays = {key: value for key, value in arrays.items() if np.isfinite(value).all()}
    for other, key in (("model_1", "same_as_model_1"), ("model_2", "descends_from_model_2")):
        if name == {"model_1": "model_2", "model_2": "model_3"}[other] and other in box.job["models"]:
            weights = layer_weights(model)
            keras.utils.clear_session()
            other_entry = box.job["models"][other]
            try:
                ancestor, _ = load(box.root / "inbox" / other_entry["file"], other_entry, box.root / "tmp")
            except Exception:
                continue  # that model's own probe says why
            facts[key] = kinship(layer_weights(ancestor), weights)
    return arrays


# Scaling of uint8 images to what a network may have been trained on; "hidden" is what the handout asks for.
def _per_image(values, low, span):
    import numpy as np

    return (values - low) / np.maximum(span, 1e-6)


def _unit(images):
    return images.astype("float32") / 255.0


def _standardized(images):
    values = _unit(images)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return _per_image(values, mean, values.std(axis=(1, 2), keepdims=True))


def _minmax(images):
    values = _unit(images)
    low = values.min(axis=(1, 2), keepdims=True)
    # Twelve of FER-2013's images are constant.
    return _per_image(values, low, values.max(axis=(1, 2), keepdims=True) - low)


SCALINGS = {
    "hidden": _unit,
    "hidden_0_255": lambda images: images.astype("float32"),
    "hidden_minus1_1": lambda images: _unit(images) * 2.0 - 1.0,
    "hidden_standardized": _standardized,
    "hidden_minmax": _minmax,
}


def predict(model, inputs, scale, name):
    """Predicts in batches of one size.

    Args:
        model: keras.Model.
        inputs: array of shape `(n, …)`, unscaled.
        scale: function from a part of `inputs` to what the model takes.
        name: str, of the model, for messages.

    Returns:
        float32 array of shape `(n, 7)`.

    Raises:
        BadResult: the model gives something else.
    """
    import numpy as np

    parts = []
    for start in range(0, len(inputs), BATCH_SIZE):
        batch = scale(inputs[start : start + BATCH_SIZE])
        output = model.predict_on_batch(batch)
        if isinstance(output, (list, tuple, dict)):
            raise BadResult(f"{name} has {len(output)} outputs. Wanted one of shape (None, 7).")
        parts.append(to_array(np.asarray(output), name, "an output of shape (None, 7)", 10**8))
    predictions = np.concatenate(parts).astype(np.float32) if parts else np.zeros((0, NUM_CLASSES), np.float32)
    if predictions.shape != (len(inputs), NUM_CLASSES):
        raise BadResult(
            f"{name} gives an output of shape {predictions.shape} for {len(inputs)} faces. "
            f"Wanted {(len(inputs), NUM_CLASSES)}: seven numbers for each face."
        )
    return predictions


def _check_shapes(name, facts, entry):
    output = facts["output_shape"]
    if facts["input_shape"] is None or output is None:
        raise BadResult(f"{name} has no fixed input shape, so it cannot be asked anything. Save it after training.")
    if not isinstance(output, list) or any(isinstance(axis, list) for axis in output):
        raise BadResult(f"{name} has several outputs: {output}. Wanted one of shape (None, 7).")
    if output[-1] != NUM_CLASSES or len(output) != 2:
        raise BadResult(f"{name} has output shape {tuple(output)}. Wanted (None, 7): one number for each emotion.")
    declared = entry.get("input_shape")
    if declared and list(declared)[1:] != facts["input_shape"][1:]:
        raise BadResult(
            f"{name} declares the input shape {tuple(declared)}, but Keras loads it with {tuple(facts['input_shape'])}"
        )


def _adapter(name, shape, wanted):
    """Makes the function that turns our inputs into what a model takes, where that is cheap.

    Args:
        name: str, of the model.
        shape: list, its input shape with the batch axis first.
        wanted: tuple, our shape without the batch axis.

    Returns:
        (function, str): from an array `(n, *wanted)` to the model's input; what was changed, or `""`.

    Raises:
        BadResult: the model wants something that our inputs cannot be made into.
    """
    import numpy as np

    inner = tuple(shape[1:])
    refuse = BadResult(f"{name} has input shape {(None, *inner)}. Wanted {(None, *wanted)}.")
    if any(isinstance(axis, list) for axis in inner):
        raise BadResult(f"{name} has several inputs: {shape}. Wanted one of shape {(None, *wanted)}.")
    if len(inner) == len(wanted) and all(axis in (None, size) for axis, size in zip(inner, wanted, strict=True)):
        return (lambda batch: batch), ""
    if inner == wanted[:-1]:
        return (lambda batch: batch[..., 0]), "the channel axis was dropped"
    if inner == (int(np.prod(wanted)),):
        return (lambda batch: batch.reshape(len(batch), -1)), "flattened"
    if len(wanted) != 3 or len(inner) not in (2, 3):
        raise refuse
    height, width = (axis or size for axis, size in zip(inner[:2], wanted, strict=False))
    channels = inner[2] if len(inner) == 3 else None
    if max(height, width) > MAX_ADAPTED_SIDE or channels not in (None, 1, 3):
        raise refuse

    def adapt(batch):
        if (height, width) != wanted[:2]:
            batch = _resize(batch[..., 0], height, width)[..., None]
        if len(inner) == 2:
            return batch[..., 0]
        return np.repeat(batch, 3, axis=-1) if channels == 3 else batch

    changes = [f"resized from 48×48 to {height}×{width}"] if (height, width) != wanted[:2] else []
    changes += ["grey repeated in 3 channels"] if channels == 3 else []
    return adapt, ", ".join(changes)


def _resize(images, height, width):
    import numpy as np
    from PIL import Image

    # Mode F keeps values outside 0 … 255 and below one.
    return np.stack(
        [
            np.asarray(Image.fromarray(image.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
            for image in images
        ]
    )


# Loading -----------------------------------------------------------------------------------------------------------


def load(path, entry, scratch):
    """Loads a model, by Keras as it is and, where that fails, from a repaired copy of an old file.

    Args:
        path: Path of an audited .h5, .hdf5 or .keras file.
        entry: dict; `input_shape` as the audit read it, or None.
        scratch: Path of a folder for the copy.

    Returns:
        (keras.Model, str): the model, and the route: `"keras"` or `"repaired: <what was changed>"`.

    Raises:
        Exception: whatever Keras raised on the file as it is, if no repair helped.
    """
    from keras.saving import load_model

    first, model = None, None
    try:
        model = load_model(path, compile=False, safe_mode=True)
        if _as_declared(model, entry):
            return model, "keras"
    except Exception as error:
        first = error
    copy = Path(scratch) / f"repaired{path.suffix}"
    changes = repair(path, copy)
    if changes:
        try:
            repaired = load_model(copy, compile=False, safe_mode=True)
            if first is not None or _as_declared(repaired, entry):
                return repaired, f"repaired: {', '.join(changes)}"
        except Exception:
            if first is None:
                return model, "keras"
    if first is not None:
        raise first
    return model, "keras"


def _as_declared(model, entry):
    declared = entry.get("input_shape")
    try:
        return not declared or list(declared)[1:] == list(model.input_shape)[1:]
    except (AttributeError, ValueError, TypeError):
        return False


def repair(path, copy):
    """Writes a copy of an old .h5 file whose configuration Keras 3 accepts.

    The weights are untouched. Keras 2 wrote options that Keras 3 no longer knows, and other forms of the same graph.

    Args:
        path: Path of the file.
        copy: Path of the copy to write.

    Returns:
        list of str, what was changed; empty (and no copy) if nothing here applies.
    """
    import h5py

    if not h5py.is_hdf5(path):
        return []
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    if text is None:
        return []
    config = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    changes = set()
    _repair_model(config, changes)
    if not changes:
        return []
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = json.dumps(config).encode("utf-8")
    return sorted(changes)


def _repair_model(entry, changes):
    """Repairs one model's configuration in place, and those nested in it."""
    config = entry.get("config")
    if isinstance(config, list):  # Sequential, before Keras 2.2.3
        entry["config"] = config = {"name": "sequential", "layers": config}
        changes.add("list of layers")
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        return
    layers = config["layers"]
    nested = set()
    for layer in layers:
        options = layer.get("config")
        if (isinstance(options, dict) and isinstance(options.get("layers"), list)) or isinstance(options, list):
            nested.add(layer.get("name") or (options.get("name") if isinstance(options, dict) else None))
            _repair_model(layer, changes)
        elif isinstance(options, dict):
            _repair_layer(layer.get("class_name"), options, changes)
    if entry.get("class_name") == "Sequential" and layers:
        _repair_first_layer(layers, changes)
    for key in ("input_layers", "output_layers"):
        references = config.get(key)
        # One input may be written [["name", 0, 0]]; Keras 3 wants ["name", 0, 0] for nested models of one input.
        if isinstance(references, list) and len(references) == 1 and isinstance(references[0], list):
            config[key] = references[0]
            changes.add(f"form of {key}")
    for layer in layers:
        for node in layer.get("inbound_nodes") or ():
            for reference in node if isinstance(node, list) else ():
                # Keras 2 counts the call inside the nested model as node 0, Keras 3 does not.
                if isinstance(reference, list) and len(reference) >= 3 and reference[0] in nested and reference[1] == 1:
                    reference[1] = 0
                    changes.add("node numbers of nested models")


def _repair_layer(kind, options, changes):
    for key, kinds in (
        ("groups", ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "SeparableConv1D", "Conv3DTranspose")),
        ("time_major", ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional")),
    ):
        if kind in kinds and options.pop(key, None) is not None:
            changes.add(key)
    inner = options.get("layer")
    if isinstance(inner, dict) and isinstance(inner.get("config"), dict):
        _repair_layer(inner.get("class_name"), inner["config"], changes)


def _repair_first_layer(layers, changes):
    """Gives a Sequential model the input layer that old files leave to `batch_input_shape`."""
    first = layers[0]
    options = first.get("config")
    if not isinstance(options, dict) or first.get("class_name") == "InputLayer":
        return
    shape = options.pop("batch_input_shape", None)
    if not isinstance(shape, list):
        return
    dtype = options.get("dtype") if isinstance(options.get("dtype"), str) else "float32"
    name = f"{options.get('name', 'first')}_input"
    layers.insert(0, {"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": dtype, "name": name}})
    changes.add("input layer from batch_input_shape")


# Kinship -----------------------------------------------------------------------------------------------------------


def layer_weights(model):
    """Lists the weights of a model's layers in order, those of nested models too.

    Returns:
        list of (class name, list of arrays), layers without weights left out.
    """
    found = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += layer_weights(layer)
        elif layer.weights:
            found.append((type(layer).__name__, layer.get_weights()))
    return found


def kinship(ancestor, model):
    """Measures how far a model's weights are from another's, over the layers that both have in the same order.

    Args:
        ancestor: list as `layer_weights` gives it.
        model: list as `layer_weights` gives it.

    Returns:
        dict: `shared_layers` (int), `num_layers` (int, of the model), `relative_distance` (‖w − w₀‖ / ‖w₀‖),
        `correlation` (of all shared weights), `identical` (bool, every layer shared and equal).
    """
    import numpy as np

    forms = [[(kind, *(weight.shape for weight in weights)) for kind, weights in side] for side in (ancestor, model)]
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
