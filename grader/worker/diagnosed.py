"""The probes of `grader diagnose`: one network of any shape, asked about the same pictures in several ways.

`screen` predicts some test pictures under every preprocessing, `predict.<preprocessing>` all of them under one,
`others.<preprocessing>` those that are no test pictures; `load` only says what the network is. Each stops in time by
itself and returns the pictures it got to, since a network may be a hundred times as large as model_1.
"""

import time

from grader.worker import models, results
from grader.worker.loading import load
from grader.worker.preprocessing import IMAGE_PREPROCESSINGS, VOXEL_PREPROCESSINGS, statistics
from grader.worker.results import BadResult, to_array
from grader.worker.schema import MAX_DIAGNOSED_OUTPUTS

BATCH_SIZE = 64
NUM_SCREENED = 500
MIN_SCREENED = 64
# Of the time limit of a probe, for predicting; loading needs the rest.
SHARE_OF_TIME = 0.7
IMAGE_SIDE, MAX_SIDE = 48, 512


def prepare(box):
    """Imports Keras once; see `code.prepare`."""
    return models.prepare(box)


def run(probe_id, box):
    """Loads the network, predicts, and writes the result.

    Args:
        probe_id: str, `"load"`, `"screen"`, `"predict.<preprocessing>"` or `"others.<preprocessing>"`.
        box: Box; its job has `file`, `input_shape`, `output_shape`, `seconds`, `num_test`: how many of the faces are
            the test's, which come first. Its arrays are `images` uint8 (n, 48, 48), or `voxels` and `voxels_own`
            float32 (n, 24, 24, 24).
    """
    facts, arrays = {}, {}
    try:
        arrays = _probe(probe_id, box, facts)
        status, message = "ok", ""
    except BadResult as error:
        status, message = "error", str(error)
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            status, message = "memory", "the network needs more memory than one of this project can use"
        else:
            sentence, _ = results.describe_error(error, box.submission)
            status, message = "error", f"Keras could not use it: {' '.join(sentence.split())[:600]}"
    results.write_result(box.outbox, status, message, facts, arrays)


def _probe(probe_id, box, facts):
    import keras

    keras.utils.set_random_seed(0)
    began = time.monotonic()
    entry = box.job
    model, facts["route"] = load(box.root / "inbox" / entry["file"], entry, box.root / "tmp")
    facts["load_seconds"] = round(time.monotonic() - began, 3)

    from grader.worker.layers import describe_model

    facts.update(describe_model(model))
    chosen, _, key = probe_id.partition(".")
    if chosen == "load":
        return {}
    make_input, facts["adapted"] = input_maker(facts["input_shape"])
    began = time.monotonic()
    if "images" in box.arrays:
        images = box.arrays["images"]
        numbers = statistics(images[: entry["num_test"]])
        table = {
            name: lambda part, f=function: make_input(f(images[part], numbers))
            for name, function in IMAGE_PREPROCESSINGS.items()
            if name != "imagenet" or facts["input_shape"][-1] == 3
        }
        num_samples = len(images)
    else:
        fixed, own = box.arrays["voxels"], box.arrays["voxels_own"]
        table = {
            name: lambda part, f=function: make_input(f(fixed[part], own[part]))
            for name, function in VOXEL_PREPROCESSINGS.items()
        }
        num_samples = len(fixed)
    seconds = SHARE_OF_TIME * entry["seconds"]
    if chosen == "screen":
        arrays = _screen(model, table, entry["num_test"], began + seconds)
    else:
        rows = range(entry["num_test"]) if chosen == "predict" else range(entry["num_test"], num_samples)
        arrays = {"outputs": _predict(model, table[key], rows, began + seconds)}
    facts["predict_seconds"] = round(time.monotonic() - began, 3)
    return arrays


def _screen(model, table, num_samples, deadline):
    """Predicts as many samples under every preprocessing as there is time for, the declared one first."""
    size = min(BATCH_SIZE, num_samples)
    _predict(model, table[""], range(size), None)  # builds the graph, which takes its own time
    began = time.monotonic()
    _predict(model, table[""], range(size), None)
    each = max(time.monotonic() - began, 1e-6) / size
    affordable = int((deadline - time.monotonic()) / each / len(table))
    num_screened = min(num_samples, NUM_SCREENED, max(affordable, MIN_SCREENED))
    arrays = {}
    for key, make in table.items():
        if arrays and time.monotonic() > deadline:
            break
        arrays["screened" + ("_" + key if key else "")] = _predict(model, make, range(num_screened), None)
    return arrays


def _predict(model, make, rows, deadline):
    """Predicts a range of samples in order until there are no more, or no more time.

    Returns:
        float32 array `(m, num_outputs)`, m ≤ the number of rows.

    Raises:
        BadResult: the network has several outputs, or one that is no list of numbers for each sample.
    """
    import numpy as np

    parts, size = [], min(BATCH_SIZE, models.batch_size(model))
    for start in range(rows.start, rows.stop, size):
        output = model(make(slice(start, min(start + size, rows.stop))), training=False)
        if isinstance(output, (list, tuple, dict)):
            raise BadResult(f"it has {len(output)} outputs. Wanted one: a number for each emotion.")
        part = to_array(np.asarray(output), "the network", "a number for each emotion", 10**8).astype(np.float32)
        if part.ndim > 2 and part.size == len(part) * max(part.shape[1:]):
            part = part.reshape(len(part), -1)  # a convolution over the whole picture ends in (1, 1, 7)
        if part.ndim != 2 or part.shape[1] > MAX_DIAGNOSED_OUTPUTS:
            raise BadResult(f"it gives an output of shape {(None, *part.shape[1:])}. Wanted a number for each emotion.")
        parts.append(part)
        if deadline is not None and time.monotonic() > deadline:
            break
    return np.concatenate(parts)


def input_maker(shape):
    """Makes the function that turns grey 48 × 48 pictures, or voxels, into what a network takes.

    Args:
        shape: list, the network's input shape with the batch axis first.

    Returns:
        (function, str): from float32 `(n, 48, 48)`, `(n, 48, 48, 3)` or `(n, 24, 24, 24)` to the input; what changed.

    Raises:
        BadResult: pictures and voxels cannot be made into that.
    """
    import numpy as np

    refuse = BadResult(f"it takes inputs of shape {tuple(shape or ())}. No face of this project has that form.")
    if not isinstance(shape, list) or any(isinstance(axis, list) for axis in shape):
        raise refuse
    inner = shape[1:]
    if inner in ([24, 24, 24, 1], [24, 24, 24], [24**3]):
        return (lambda voxels: voxels.reshape(len(voxels), *inner)), "flattened" if len(inner) == 1 else ""
    if inner == [1, 24, 24, 24]:
        return (lambda voxels: voxels[:, np.newaxis]), "channels first"
    changes = []
    flat = len(inner) == 1
    if flat:
        sizes = ((side, side, c) for c in (1, 3) for side in (48, 64, 96, 224))
        inner = next((list(size) for size in sizes if inner[0] == size[0] ** 2 * size[2]), None)
        if inner is None:
            raise refuse
    first = len(inner) == 3 and inner[0] in (1, 3) and inner[2] not in (1, 3)
    if first:
        inner = [*inner[1:], inner[0]]
        changes.append("channels first")
    if len(inner) not in (2, 3):
        raise refuse
    height, width = (axis or IMAGE_SIDE for axis in inner[:2])
    channels = (inner[2] or 1) if len(inner) == 3 else 0
    if channels not in (0, 1, 3) or not all(8 <= axis <= MAX_SIDE for axis in (height, width)):
        raise refuse
    if (height, width) != (IMAGE_SIDE, IMAGE_SIDE):
        changes.insert(0, f"resized from 48×48 to {height}×{width}")
    if channels == 3:
        changes.append("grey repeated in 3 channels")
    if flat:
        changes.append("flattened")
    elif channels == 0:
        changes.append("the channel axis was dropped")

    def make(values):
        planes = [values] if values.ndim == 3 else [values[..., channel] for channel in range(3)]
        if (height, width) != (IMAGE_SIDE, IMAGE_SIDE):
            planes = [resize(plane, height, width) for plane in planes]
        if channels == 0:
            return planes[0]
        batch = np.stack(planes if len(planes) == channels else planes[:1] * channels, axis=-1)
        batch = batch.transpose(0, 3, 1, 2) if first else batch
        return batch.reshape(len(batch), -1) if flat else batch

    return make, ", ".join(changes)


def resize(images, height, width):
    """Resizes float32 pictures `(n, h, w)` bilinearly; values outside 0 … 255 stay as they are (Pillow's mode F)."""
    import numpy as np
    from PIL import Image

    return np.stack(
        [
            np.asarray(Image.fromarray(image.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
            for image in images
        ]
    )
