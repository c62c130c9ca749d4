"""The probes of student models: loads audited files one by one and predicts the hidden images or voxels with them.

    model_1            its predictions under the declared preprocessing, on all hidden images
    model_1.variants   the same network on some of them under other scalings, asked for where accuracy is low

There is no student code here and no label. A file reaches this process only after the static audit accepted it.
"""

import importlib
import math
import sys
import time

from grader.worker import code, results
from grader.worker.kinship import kinship_of_files
from grader.worker.loading import LoadError, is_out_of_memory, load
from grader.worker.preprocessing import IMAGE_PREPROCESSINGS
from grader.worker.results import BadResult, to_array
from grader.worker.schema import IMAGE_MODELS, VARIANTS

BATCH_SIZE = 256
NUM_DIAGNOSED = 300
NUM_CLASSES = 7
# Numbers in the largest output of a layer for one batch: 256 MB as float32.
MAX_BATCH_NUMBERS = 2**26
# Libraries that Keras imports only if they are there, for plots and tables: 0.5 CPU seconds of 3.5.
NOT_NEEDED = ("matplotlib", "pandas")
ANCESTORS = {"model_2": ("model_1", "same_as_model_1"), "model_3": ("model_2", "descends_from_model_2")}


def prepare(box):
    """Imports Keras once; see `code.prepare`."""
    for name in NOT_NEEDED:
        sys.modules.setdefault(name, None)  # an import of it now raises ImportError, as where it is not installed
    for name in ("numpy", "PIL.Image", "h5py", "tensorflow", "keras", "grader.worker.extra_layers"):
        importlib.import_module(name)
    return code.prepare(box)


def run(probe_id, box):
    """Loads one model, predicts with it, and writes the result.

    Args:
        probe_id: str, a key of `schema.MODEL_PROBES`.
        box: Box; its job maps `models` to `{name: {"file", "input_shape", "output_shape", "num_parameters"}}`.
    """
    facts, arrays = {}, {}
    name = probe_id.partition(".")[0]
    try:
        arrays = _probe(probe_id, box, facts)
        status, message = "ok", ""
    except LoadError as error:
        status, message = "error", f"Keras could not use {name}: {error}"
    except BadResult as error:
        # "error" and not "bad_result": a model that cannot be used is an error of the model's.
        status, message = "error", str(error)
    except Exception as error:
        if is_out_of_memory(error):
            status, message = "memory", f"{name} needs more memory than a model of this project can use"
        else:
            sentence, _ = results.describe_error(error, box.submission)
            status, message = "error", f"Keras could not use {name}: {_first_paragraph(sentence)}"
    results.write_result(box.outbox, status, message, facts, arrays)


def _first_paragraph(text):
    return " ".join(text.split("\n\n")[0].split())[:600]


def _probe(probe_id, box, facts):
    import keras
    import numpy as np

    name, _, variants = probe_id.partition(".")
    keras.utils.set_random_seed(0)
    entry = box.job["models"][name]
    began = time.monotonic()
    model, facts["route"] = load(box.root / "inbox" / entry["file"], entry, box.root / "tmp")
    facts["load_seconds"] = round(time.monotonic() - began, 3)

    from grader.worker.layers import describe_model

    description = describe_model(model)
    facts.update({} if variants else description)
    _check_shapes(name, description)
    fit, facts["adapted"] = _adapter(name, description["input_shape"])
    deadline = _Deadline(name, box.job)
    began = time.monotonic()
    if variants:
        images = box.arrays["images"][:NUM_DIAGNOSED]
        arrays = {
            f"hidden_{key}": predict(
                model, images, lambda part, key=key: fit(IMAGE_PREPROCESSINGS[key](part, None)), name
            )
            for key in VARIANTS
        }
        facts["predict_seconds"] = round(time.monotonic() - began, 3)
        return {key: value for key, value in arrays.items() if np.isfinite(value).all()}
    arrays = {}
    if name in IMAGE_MODELS:
        images = box.arrays["images"]  # uint8 (n, 48, 48)
        arrays["hidden"] = predict(
            model, images, lambda part: fit(IMAGE_PREPROCESSINGS[""](part, None)), name, deadline
        )
        for key in ("photos_train", "photos_test"):
            if f"{key}.images" in box.arrays:
                photos = box.arrays[f"{key}.images"].astype(np.float32)[..., 0]
                arrays[key] = predict(model, photos, fit, name)
    elif "voxels" in box.arrays:  # where there are none, the probe of cnnx.voxelize says why
        arrays["hidden"] = predict(model, box.arrays["voxels"], fit, name, deadline)
    facts["predict_seconds"] = round(time.monotonic() - began, 3)
    if "hidden" in arrays and not np.isfinite(arrays["hidden"]).all():
        share = float(1 - np.isfinite(arrays["hidden"]).all(axis=1).mean())
        raise BadResult(
            f"{name} predicts NaN or infinity for {share:.0%} of the hidden faces. Wanted seven finite numbers for "
            "each: its training diverged, try a smaller learning rate."
        )
    _add_kinship(name, box, facts)
    return {key: value for key, value in arrays.items() if np.isfinite(value).all()}


def _add_kinship(name, box, facts):
    other, key = ANCESTORS.get(name, ("", ""))
    if other not in box.job["models"]:
        return
    paths = [box.root / "inbox" / box.job["models"][one]["file"] for one in (other, name)]
    try:
        facts[key] = kinship_of_files(*paths)
    except Exception:
        return  # that model's own probe says what is wrong with its file


class _Deadline:
    """Says early that a network is too slow for all faces, instead of using up the whole time limit."""

    def __init__(self, name, job):
        self.name = name
        self.seconds = job.get("limits", {}).get("model_seconds", math.inf)
        self.began, self.first = time.process_time(), None

    def check(self, done, total):
        """Looks after each batch; the first one builds what later ones use.

        Raises:
            BadResult: at this pace all faces take more CPU time than the limit.
        """
        now = time.process_time()
        if self.first is None:
            self.first = (done, now)
            return
        pace = (now - self.first[1]) / (done - self.first[0])
        if now - self.began > 10 and pace * (total - done) > self.seconds:
            raise BadResult(
                f"{self.name} takes {pace:.2f} s for a face, so {pace * total:,.0f} s for the {total:,} hidden ones. "
                f"Wanted at most {self.seconds:g} s: use a smaller input or fewer filters."
            )


def predict(model, inputs, scale, name, deadline=None):
    """Predicts in batches.

    Args:
        model: keras.Model.
        inputs: array of shape `(n, …)`, unscaled.
        scale: function from a part of `inputs` to what the model takes.
        name: str, of the model, for messages.
        deadline: _Deadline, or None to take what time it takes.

    Returns:
        float32 array of shape `(n, 7)`.

    Raises:
        BadResult: the model gives something else.
    """
    import numpy as np

    parts, size = [], batch_size(model)
    for start in range(0, len(inputs), size):
        # Called directly: for the few batches of a class, tracing a graph costs more than it saves.
        output = model(scale(inputs[start : start + size]), training=False)
        if isinstance(output, (list, tuple, dict)):
            raise BadResult(f"{name} has {len(output)} outputs. Wanted one of shape (None, 7).")
        parts.append(to_array(np.asarray(output, dtype=np.float32), name, "an output of shape (None, 7)", 10**8))
        if deadline is not None:
            deadline.check(min(start + size, len(inputs)), len(inputs))
    predictions = np.concatenate(parts) if parts else np.zeros((0, NUM_CLASSES), np.float32)
    if predictions.shape != (len(inputs), NUM_CLASSES):
        raise BadResult(
            f"{name} gives an output of shape {predictions.shape} for {len(inputs)} faces. "
            f"Wanted {(len(inputs), NUM_CLASSES)}: seven numbers for each face."
        )
    return predictions


def batch_size(model):
    """Says how many inputs a model can take at once without its largest layer filling the memory.

    Returns:
        int, 1 to `BATCH_SIZE`.
    """
    return max(1, min(BATCH_SIZE, MAX_BATCH_NUMBERS // max(_largest_output(model), 1)))


def _largest_output(model):
    largest = 1
    for layer in model.layers:
        if hasattr(layer, "layers"):
            largest = max(largest, _largest_output(layer))
        try:
            shape = layer.output.shape
        except AttributeError:
            continue  # called more than once, or with several outputs: its neighbours tell
        largest = max(largest, math.prod(axis or 1 for axis in shape[1:]))
    return largest


def _check_shapes(name, facts):
    output = facts["output_shape"]
    if facts["input_shape"] is None or output is None:
        raise BadResult(f"{name} has no fixed input shape, so it cannot be asked anything. Save it after training.")
    if not isinstance(output, list) or any(isinstance(axis, list) for axis in output):
        raise BadResult(f"{name} has several outputs: {output}. Wanted one of shape (None, 7).")
    if output[-1] != NUM_CLASSES or len(output) != 2:
        raise BadResult(f"{name} has output shape {tuple(output)}. Wanted (None, 7): one number for each emotion.")


def _adapter(name, shape):
    """Makes the function that turns our inputs into what a model takes; see `diagnosed.input_maker`.

    Raises:
        BadResult: the model wants something that our inputs cannot be made into.
    """
    from grader.worker.diagnosed import input_maker

    wanted = (48, 48, 1) if name in IMAGE_MODELS else (24, 24, 24, 1)
    if any(isinstance(axis, list) for axis in shape):
        raise BadResult(f"{name} has several inputs: {shape}. Wanted one of shape {(None, *wanted)}.")
    refuse = BadResult(f"{name} has input shape {tuple(shape)}. Wanted {(None, *wanted)}.")
    if (len(shape) == 5 or shape[1:] == [24, 24, 24] or shape[1:] == [24**3]) == (name in IMAGE_MODELS):
        raise refuse
    try:
        return input_maker(shape)
    except BadResult:
        raise refuse from None
