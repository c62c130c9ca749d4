"""The probes of student code: each calls one function of a script and returns what it gave, without judging it.

There are no labels here, no hidden images and no file of another student. What a probe expects is known to the grader
alone; here are only the questions.
"""

import contextlib
import importlib
import importlib.metadata
import inspect
import math
import platform
import sys
import time
from pathlib import Path

from grader.worker import results, scripts
from grader.worker.results import BadResult, Missing, to_array
from grader.worker.schema import CODE_PROBES

# Given code that the starters import: once here instead of in every probe.
_GIVEN = ("command_line", "datasets", "errors", "labels", "photos", "plotting", "point_clouds", "seeds")
# What takes three seconds of CPU to import.
_WITH_KERAS = ("make_model_1", "make_model_2", "make_model_4", "train", "personalize")
# Keras imports these where it finds them: a quarter of its own import, for nothing unless a script uses them.
_OPTIONAL_FOR_KERAS = ("pandas", "matplotlib")
PERSONALIZE_EPOCHS = 20


def prepare(box):
    """Imports what every script will import, once, before any probe is forked.

    Returns:
        dict of versions.
    """
    for name in box.job.get("preload", ("numpy", "PIL.Image", *(f"expressions.{name}" for name in _GIVEN))):
        importlib.import_module(name)
    scripts.prepare_import(box.submission)
    versions = {"python": platform.python_version()}
    for name in ("keras", "tensorflow", "tensorflow-cpu", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name.removesuffix("-cpu")] = importlib.metadata.version(name)
    return versions


def warm(probe_id, box):
    """Imports Keras before the first probe that needs it, in the process that all later probes are forked from.

    Nothing here may run a TensorFlow operation: a process forked after one hangs.

    Args:
        probe_id: str, a key of `CODE_PROBES`.
        box: Box.
    """
    probe = CODE_PROBES.get(probe_id)
    if "preload" in box.job or probe is None or "keras" in sys.modules:
        return
    if probe.function in _WITH_KERAS or scripts.needs_keras(box.submission, probe.script):
        with _without(_unmentioned(_OPTIONAL_FOR_KERAS, box.submission)):
            for name in ("tensorflow", "keras"):
                importlib.import_module(name)


def _unmentioned(names, folder):
    """Returns the names that no script of a submission speaks of."""
    texts = [path.read_bytes() for path in folder.rglob("*.py") if path.is_file()]
    return [name for name in names if not any(name.encode() in text for text in texts)]


@contextlib.contextmanager
def _without(names):
    """Makes an import of some packages fail for a while, those apart that are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def run(probe_id, box):
    """Runs one probe and writes its result.

    Args:
        probe_id: str, a key of `CODE_PROBES`.
        box: Box.
    """
    probe = CODE_PROBES[probe_id]
    facts = {}
    try:
        arrays = _PROBES[probe_id](box, probe, facts) or {}
        status, message = "ok", ""
    except Missing as error:
        status, message, arrays = "missing", str(error), {}
    except BadResult as error:
        status, message, arrays = "bad_result", str(error), {}
    except BaseException as error:  # a student's script may raise SystemExit or KeyboardInterrupt
        status, message = _describe(error, probe_id, probe, box)
        arrays = {}
    results.write_result(box.outbox, status, message, facts, arrays)


def _describe(error, probe_id, probe, box):
    """Makes a status and a sentence of an exception whose own methods may be a trap."""
    try:
        message, theirs = results.describe_error(error, box.submission)
        if issubclass(type(error), MemoryError):
            return "memory", message
        if issubclass(type(error), NotImplementedError) and theirs:
            return "todo", results.text_of(error)[:2000] or message
        return "error", _with_advice(message, error, probe_id, probe, box)
    except BaseException:
        return "error", f"{probe.script}.py raised an exception that cannot be described."


def _with_advice(message, error, probe_id, probe, box):
    """Adds to a message what to do, where the error is one that honest scripts make."""
    advice = scripts.advice(error, box.submission / f"{probe.script}.py", box.submission)
    if advice:
        return f"{message}. {advice}"
    if probe_id.endswith(".import") and isinstance(error, FileNotFoundError) and ".h5" in message:
        return f"{message}. Load models inside main(): the grader imports the script without them."
    if probe_id == "personalize" and ".h5" in message:
        return f"{message} The function gets the model as its argument `model`: use that."
    return message


def _seed():
    import keras

    keras.utils.set_random_seed(0)


def _import(box, name):
    """Imports a student's script afresh, under the name that its siblings would import it by."""
    path = box.submission / f"{name}.py"
    if not path.is_file():
        raise Missing(f"{name}.py is not in the submission")
    return scripts.import_script(box.submission, name)


def _function(box, probe):
    module = _import(box, probe.script)
    function = getattr(module, probe.function, None)
    if function is None:
        raise Missing(f"{probe.script}.py defines no function {probe.function}")
    if not callable(function):
        raise BadResult(f"{probe.function} in {probe.script}.py is {results.describe(function)}, not a function")
    return function


def _array(value, probe, facts, keep=True):
    array = to_array(value, probe.function, probe.wanted, int(probe.max_mb * 1e6))
    if keep:
        facts["dtype"] = str(array.dtype)
    return array


def _pair(value, probe, names):
    """Takes apart what should be two values."""
    if type(value) not in (tuple, list) or len(value) != 2:
        raise BadResult(f"{probe.function} returned {results.describe(value)}. Wanted {names}.")
    return value


def probe_import(box, probe, facts):
    """Imports a script: how long it took, and whether it trained or opened a window."""
    calls = []
    keras = sys.modules.get("keras")
    if keras is not None:
        original = keras.Model.fit

        def counting_fit(self, *args, **kwargs):
            calls.append(1)
            return original(self, *args, **kwargs)

        keras.Model.fit = counting_fit
    began = time.monotonic()
    try:
        _import(box, probe.script)
    finally:
        facts["seconds"] = round(time.monotonic() - began, 4)
        facts["fit_calls"] = len(calls)
        facts["absent_packages"] = sorted(scripts.absent_packages)[:16]
        pyplot = sys.modules.get("matplotlib.pyplot")
        facts["num_figures"] = len(pyplot.get_fignums()) if pyplot else 0
        facts["window_toolkits"] = [
            name for name in ("tkinter", "PyQt5.QtWidgets", "pyqtgraph", "cv2", "wx") if name in sys.modules
        ]


def probe_prepare_images(box, probe, facts, num_images=None):
    """Calls prepare_images on pixel strings in the form of the csv."""
    pixels = box.arrays["prepare_images.input"][:num_images]
    strings = [" ".join(map(str, row.tolist())) for row in pixels.reshape(len(pixels), -1)]
    images = _array(_function(box, probe)(strings), probe, facts)
    facts["shape"] = list(images.shape)
    if images.size:
        low, high = float(images.min()), float(images.max())
        facts["min"], facts["max"] = (low, high) if math.isfinite(low) and math.isfinite(high) else (None, None)
    return {"images": images}


def probe_prepare_images_alone(box, probe, facts):
    """Calls prepare_images on a single string: a script that scales by the batch's maximum gives itself away."""
    try:
        return probe_prepare_images(box, probe, facts, num_images=1)
    except Exception as error:
        if isinstance(error, (BadResult, Missing, NotImplementedError, MemoryError)):
            raise
        if not results.describe_error(error, box.submission)[1]:
            raise
    # np.loadtxt and its kin make one row of one string; the contract is n strings.
    images = probe_prepare_images(box, probe, facts, num_images=2)["images"][:1]
    facts["shape"] = list(images.shape)
    return {"images": images}


def probe_make_model(box, probe, facts):
    """Builds a network and describes it."""
    import keras

    from grader.worker.layers import describe_compilation, describe_model

    _seed()
    model = _function(box, probe)()
    facts["is_model"] = isinstance(model, keras.Model)
    if not facts["is_model"]:
        hint = " Is the return statement missing?" if model is None else ""
        raise BadResult(f"{probe.function} returned {results.describe(model)}. Wanted {probe.wanted}.{hint}")
    facts.update(describe_model(model))
    facts["compiled"] = describe_compilation(model)


def _tiny_model(loss):
    """A network like model_1 in miniature: enough layers for code that counts them from the end."""
    import keras

    layers = keras.layers
    inputs = keras.Input((48, 48, 1))
    x = layers.Conv2D(4, 5, strides=3, activation="relu")(inputs)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(16, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(7, activation="softmax")(x), name="tiny")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    return model


def _changed(before, after):
    import numpy as np

    return [i for i, (a, b) in enumerate(zip(before, after, strict=False)) if not np.array_equal(a, b)]


def probe_train(box, probe, facts):
    """Trains a tiny compiled model for two epochs on 64 images with one-hot labels."""
    import keras
    import numpy as np

    num_images, epochs, batch_size = 64, 2, 16
    _seed()
    function = _function(box, probe)
    model = _tiny_model("categorical_crossentropy")
    random = np.random.default_rng(0)
    images = random.random((num_images + 32, 48, 48, 1), dtype=np.float32)
    labels = np.eye(7, dtype=np.float32)[random.integers(0, 7, len(images))]
    before = model.get_weights()
    parts = images[:num_images], labels[:num_images], images[num_images:], labels[num_images:]
    history = function(model, *parts, epochs=epochs, batch_size=batch_size)
    facts.update(num_images=num_images, epochs=epochs, batch_size=batch_size, wanted_steps=num_images // batch_size)
    facts["weights_changed"] = bool(_changed(before, model.get_weights()))
    facts["is_history"] = isinstance(history, keras.callbacks.History)
    facts["returned"] = results.describe(history)
    facts["num_epochs"], facts["keys"] = None, []
    if facts["is_history"]:
        facts["num_epochs"] = len(history.epoch)
        facts["keys"] = sorted(map(str, history.history))[:32]
    # The optimizer counts its own steps, whatever loop took them.
    facts["num_training_steps"] = int(model.optimizer.iterations)
    facts["steps_per_epoch"] = facts["num_training_steps"] / max(facts["num_epochs"] or epochs, 1)


def probe_load_photos(box, probe, facts, folder="photos"):
    """Calls load_photos on a folder of pictures the staff made."""
    return _load_photos(box, probe, facts, box.root / "inbox" / folder)


def probe_load_photos_other(box, probe, facts):
    """Calls load_photos on a second folder: a script that always reads the same one gives itself away."""
    return _load_photos(box, probe, facts, box.root / "inbox" / "photos_other")


def probe_load_photos_train(box, probe, facts):
    """Calls load_photos on the student's training pictures."""
    return _own_photos(box, probe, facts, "train")


def probe_load_photos_test(box, probe, facts):
    """Calls load_photos on the student's test pictures."""
    return _own_photos(box, probe, facts, "test")


def _own_photos(box, probe, facts, name):
    folder = box.submission / "photos" / name
    if not folder.is_dir():
        raise Missing(f"the submission has no folder photos/{name}")
    return _load_photos(box, probe, facts, folder)


def _load_photos(box, probe, facts, folder):
    function = _function(box, probe)
    try:
        returned = function(Path(folder))  # what the starter's main() passes
    except (TypeError, AttributeError) as error:
        if not results.describe_error(error, box.submission)[1]:
            raise
        returned = function(str(folder))  # `folder + "/happy.png"` wants a string
    images, labels = _pair(returned, probe, probe.wanted)
    images = to_array(images, f"{probe.function} (images)", probe.wanted, int(probe.max_mb * 1e6))
    labels = to_array(labels, f"{probe.function} (labels)", probe.wanted, int(probe.max_mb * 1e6))
    facts["dtype"] = str(images.dtype)
    return {"images": images, "labels": labels}


def probe_personalize(box, probe, facts):
    """Personalizes a tiny model on seven faces, in an order that is not that of the labels."""
    import keras
    import numpy as np

    _seed()
    function = _function(box, probe)
    images = box.arrays["personalize.images"].astype(np.float32)
    labels = box.arrays["personalize.labels"].astype(np.int64)

    def predict(model):
        # Not predict_on_batch: tracing a graph takes longer than seven pictures do.
        return np.asarray(model(images, training=False))

    options = _fewer_epochs(function)

    def try_on(model):
        before, weights_before = predict(model), model.get_weights()
        return before, weights_before, function(model, images.copy(), labels.copy(), **options)

    try:
        before, weights_before, result = try_on(_tiny_model("categorical_crossentropy"))
    except Exception as error:
        # It may be written for the layers of the student's own model_2; where that fails too, the first error counts.
        if isinstance(error, (NotImplementedError, MemoryError)):
            raise
        try:
            before, weights_before, result = try_on(_import(box, "cnn").make_model_2())
        except Exception:
            raise error from None
    facts["is_model"] = isinstance(result, keras.Model)
    if not facts["is_model"]:
        hint = " Is the return statement missing?" if result is None else ""
        raise BadResult(f"{probe.function} returned {results.describe(result)}. Wanted {probe.wanted}.{hint}")
    facts["same_output_shape"] = tuple(result.output_shape) == (None, 7)
    changed = _changed(weights_before, result.get_weights())
    facts["weights_changed"] = bool(changed) or len(result.get_weights()) != len(weights_before)
    facts["num_layers_changed"] = len(changed)
    after = predict(result)
    return {"before": before, "after": to_array(after, probe.function, probe.wanted, 10**6)}


def _fewer_epochs(function):
    """Asks for 20 epochs where a function lets its caller choose, as the starter's does.

    Its own 80 take four seconds of CPU, nearly all of it for starting an epoch, and show no more.
    """
    try:
        chosen = inspect.signature(function).parameters.get("epochs")
    except (TypeError, ValueError):
        return {}
    if chosen is None or chosen.kind is inspect.Parameter.POSITIONAL_ONLY or not isinstance(chosen.default, int):
        return {}
    return {"epochs": min(chosen.default, PERSONALIZE_EPOCHS)}


def probe_voxelize(box, probe, facts):
    """Voxelizes some clouds one by one, and looks whether the clouds were left as they were."""
    import numpy as np

    clouds = box.arrays["voxelize.input"]
    function = _function(box, probe)
    grids, unchanged = [], True
    for cloud in clouds:
        given = cloud.copy()
        grids.append(_array(function(given), probe, facts))
        unchanged = unchanged and given.shape == cloud.shape and np.array_equal(given, cloud)
    facts["shapes"] = [list(grid.shape) for grid in grids]
    facts["input_unchanged"] = bool(unchanged)
    facts["input_shape"] = list(clouds.shape[1:])
    return {"counts": _stack(grids, probe)}


def _stack(grids, probe):
    import numpy as np

    shapes = {grid.shape for grid in grids}
    if len(shapes) > 1:
        raise BadResult(
            f"{probe.function} returned arrays of different shapes for clouds of one shape: "
            f"{sorted(shapes)[:4]}. Wanted {probe.wanted}."
        )
    stacked = np.stack(grids)
    if stacked.nbytes > probe.max_mb * 1e6:
        raise BadResult(f"{probe.function} returned {results.describe(grids[0])}. Wanted {probe.wanted}.")
    return stacked.astype(np.float64)


def _one_cloud(box, probe, facts, name, **options):
    function = _function(box, probe)
    return {"counts": _array(function(box.arrays[name].copy(), **options), probe, facts)}


def probe_voxelize_permuted(box, probe, facts):
    """Voxelizes the first cloud with its rows shuffled."""
    return _one_cloud(box, probe, facts, "voxelize_permuted.input")


def probe_voxelize_size(box, probe, facts):
    """Voxelizes the first cloud into 12 cells along each axis."""
    return _one_cloud(box, probe, facts, "voxelize_size.input", size=12)


def probe_voxelize_axes(box, probe, facts):
    """Voxelizes three clouds, each crowded towards the upper end of one axis."""
    function = _function(box, probe)
    clouds = box.arrays["voxelize_axes.input"]
    return {"counts": _stack([_array(function(cloud.copy()), probe, facts) for cloud in clouds], probe)}


def probe_voxelize_boundary(box, probe, facts):
    """Voxelizes a cloud with points exactly on its own bounds, where rounding likes to give cell 24."""
    return _one_cloud(box, probe, facts, "voxelize_boundary.input")


def probe_voxelize_hidden(box, probe, facts):
    """Voxelizes every cloud the models will be asked about."""
    import numpy as np

    clouds = box.arrays["voxelize_hidden.input"]
    function = _function(box, probe)
    grids = None
    for index, cloud in enumerate(clouds):
        grid = _array(function(cloud.copy()), probe, facts)
        if grids is None:
            if len(clouds) * grid.size * 4 > probe.max_mb * 1e6:
                raise BadResult(f"{probe.function} returned {results.describe(grid)}. Wanted {probe.wanted}.")
            grids = np.zeros((len(clouds), *grid.shape), np.float32)
        if grid.shape != grids.shape[1:]:
            raise BadResult(
                f"{probe.function} returned shape {grid.shape} for one cloud and {grids.shape[1:]} for another. "
                f"Wanted {probe.wanted}."
            )
        grids[index] = grid
    return {"counts": grids}


def probe_split_by_subject(box, probe, facts):
    """Splits 50 people's rows, the same way twice and another way once."""
    ids = box.arrays["split_by_subject.input"]
    function = _function(box, probe)
    arrays = {}
    for suffix, options in (("", (0.2, 0)), ("_again", (0.2, 0)), ("_other", (0.3, 1))):
        test_fraction, seed = options
        sides = _pair(function(ids.copy(), test_fraction=test_fraction, seed=seed), probe, probe.wanted)
        for side, value in zip(("train", "test"), sides, strict=True):
            arrays[side + suffix] = _array(value, probe, facts)
    return arrays


_PROBES = {
    "cnn.import": probe_import,
    "transfer.import": probe_import,
    "cnnx.import": probe_import,
    "prepare_images": probe_prepare_images,
    "prepare_images_alone": probe_prepare_images_alone,
    "make_model_1": probe_make_model,
    "make_model_2": probe_make_model,
    "train": probe_train,
    "load_photos": probe_load_photos,
    "load_photos_other": probe_load_photos_other,
    "load_photos_train": probe_load_photos_train,
    "load_photos_test": probe_load_photos_test,
    "personalize": probe_personalize,
    "voxelize": probe_voxelize,
    "voxelize_permuted": probe_voxelize_permuted,
    "voxelize_size": probe_voxelize_size,
    "voxelize_axes": probe_voxelize_axes,
    "voxelize_boundary": probe_voxelize_boundary,
    "voxelize_hidden": probe_voxelize_hidden,
    "split_by_subject": probe_split_by_subject,
    "make_model_4": probe_make_model,
}
