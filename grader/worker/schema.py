"""What each probe may send back: the one list that worker and grader share.

The worker uses it to refuse a value with a sentence the student can act on; the grader uses it to refuse anything a
hostile script may have written in its place.
"""

from dataclasses import dataclass, field

from grader.worker.preprocessing import IMAGE_PREPROCESSINGS, VOXEL_PREPROCESSINGS

IMAGE_MODELS = ("model_1", "model_2", "model_3")
VOXEL_MODELS = ("model_4", "model_ec1")
MODELS = IMAGE_MODELS + VOXEL_MODELS
SCRIPTS = ("cnn", "transfer", "cnnx")

# Statuses that a worker may claim. "timeout" and "died" are the grader's own observations.
STATUSES = ("ok", "todo", "error", "memory", "missing", "bad_result")

MAX_TEXT = 2000
MAX_FACTS_BYTES = 1_000_000
MAX_FACTS_DEPTH = 8
MAX_FACTS_ITEMS = 20_000


@dataclass(frozen=True)
class Probe:
    """One question to a student's code or model.

    Attributes:
        script: str, the module it imports, without `.py`; empty for models.
        function: str, the function it calls; empty for an import.
        wanted: str, what the function should return, for messages.
        arrays: tuple of str, names of the arrays that may come back.
        facts: tuple of str, names of the facts that may come back.
        limit: str, key of the time limit in the limits.
        max_mb: float, the most that one array may hold.
    """

    script: str = ""
    function: str = ""
    wanted: str = ""
    arrays: tuple = ()
    facts: tuple = ()
    limit: str = "function_seconds"
    max_mb: float = 16.0
    any_facts: tuple = field(default=("returned", "printed"))


_MODEL_FACTS = ("is_model", "input_shape", "output_shape", "num_parameters", "layer_list", "compiled")
_IMAGES = "a float array of shape (n, 48, 48, 1)"
_PHOTOS = "images, labels: float32 of shape (7, 48, 48, 1) and 7 whole numbers from 0 to 6"
_COUNTS = "a numpy array of counts of shape (size, size, size)"
_SPLIT = "train and test: two arrays of whole numbers, the rows that go to each side"

_IMPORT = {
    "limit": "import_seconds",
    "facts": ("seconds", "num_figures", "window_toolkits", "fit_calls", "absent_packages"),
}

CODE_PROBES = {
    "cnn.import": Probe("cnn", **_IMPORT),
    "transfer.import": Probe("transfer", **_IMPORT),
    "cnnx.import": Probe("cnnx", **_IMPORT),
    "prepare_images": Probe("cnn", "prepare_images", _IMAGES, ("images",), ("dtype", "shape", "min", "max")),
    "prepare_images_alone": Probe("cnn", "prepare_images", _IMAGES, ("images",), ("dtype", "shape", "min", "max")),
    "make_model_1": Probe("cnn", "make_model_1", "a compiled keras.Model", (), _MODEL_FACTS),
    "make_model_2": Probe("cnn", "make_model_2", "a compiled keras.Model", (), _MODEL_FACTS),
    "train": Probe(
        "cnn",
        "train",
        "the History that model.fit returns",
        (),
        (
            "is_history",
            "num_epochs",
            "epochs",
            "keys",
            "weights_changed",
            "num_images",
            "batch_size",
            "wanted_steps",
            "num_training_steps",
            "steps_per_epoch",
        ),
        "training_seconds",
    ),
    "load_photos": Probe("transfer", "load_photos", _PHOTOS, ("images", "labels"), ("dtype",)),
    "load_photos_other": Probe("transfer", "load_photos", _PHOTOS, ("images", "labels"), ("dtype",)),
    "load_photos_train": Probe("transfer", "load_photos", _PHOTOS, ("images", "labels"), ("dtype",)),
    "load_photos_test": Probe("transfer", "load_photos", _PHOTOS, ("images", "labels"), ("dtype",)),
    "personalize": Probe(
        "transfer",
        "personalize",
        "the fine-tuned keras.Model",
        ("before", "after"),
        ("is_model", "same_output_shape", "weights_changed", "num_layers_changed"),
        "training_seconds",
    ),
    "voxelize": Probe("cnnx", "voxelize", _COUNTS, ("counts",), ("dtype", "shapes", "input_unchanged", "input_shape")),
    "voxelize_permuted": Probe("cnnx", "voxelize", _COUNTS, ("counts",), ("dtype",)),
    "voxelize_size": Probe("cnnx", "voxelize", _COUNTS, ("counts",), ("dtype",)),
    "voxelize_axes": Probe("cnnx", "voxelize", _COUNTS, ("counts",), ("dtype",)),
    "voxelize_boundary": Probe("cnnx", "voxelize", _COUNTS, ("counts",), ("dtype",)),
    "voxelize_hidden": Probe("cnnx", "voxelize", _COUNTS, ("counts",), ("dtype",), "voxelize_seconds", 512.0),
    "split_by_subject": Probe(
        "cnnx",
        "split_by_subject",
        _SPLIT,
        ("train", "test", "train_again", "test_again", "train_other", "test_other"),
        ("dtype",),
    ),
    "make_model_4": Probe("cnnx", "make_model_4", "a compiled keras.Model", (), _MODEL_FACTS),
}

# Other pictures with which a model is asked again where its accuracy is low; keys of IMAGE_PREPROCESSINGS.
VARIANTS = (
    *("0_255", "minus1_1", "standardized", "minmax"),
    *("transposed", "upside_down", "turned_right", "inverted"),
)
_LOADED_FACTS = ("route", "adapted", "load_seconds", "predict_seconds")
_MODEL_PROBE_FACTS = (
    *_LOADED_FACTS,
    *("input_shape", "output_shape", "num_parameters", "layer_list", "same_as_model_1", "descends_from_model_2"),
)
MODEL_PROBES = {
    **{
        name: Probe(
            arrays=("hidden", "photos_train", "photos_test") if name in IMAGE_MODELS else ("hidden",),
            facts=_MODEL_PROBE_FACTS,
            limit="model_seconds",
        )
        for name in MODELS
    },
    **{
        f"{name}.variants": Probe(
            arrays=tuple(f"hidden_{key}" for key in VARIANTS), facts=_LOADED_FACTS, limit="model_seconds"
        )
        for name in IMAGE_MODELS
    },
}

# What the canary tries. Each door is "blocked", "allowed" or "unknown"; only the first is good.
DOORS = (
    *("read_file", "other_student", "rubric", "network", "abstract_socket", "processes", "process_list"),
    *("environment", "memory", "big_file", "signal"),
)
CANARY_PROBES = {"canary": Probe(facts=(*DOORS, "uid"))}

# `grader diagnose`: one network of any shape, asked about the same pictures or voxels in several ways.
MAX_DIAGNOSED_OUTPUTS = 1000
_DIAGNOSED_FACTS = tuple(set(_MODEL_PROBE_FACTS) - {"same_as_model_1", "descends_from_model_2"})
DIAGNOSED_PROBES = {
    "screen": Probe(
        arrays=tuple("screened" + (f"_{key}" if key else "") for key in (*IMAGE_PREPROCESSINGS, *VOXEL_PREPROCESSINGS)),
        facts=_DIAGNOSED_FACTS,
        limit="model_seconds",
    ),
    **{
        f"{part}.{key}": Probe(arrays=("outputs",), facts=_DIAGNOSED_FACTS, limit="model_seconds")
        for part in ("predict", "others")
        for key in (*IMAGE_PREPROCESSINGS, *VOXEL_PREPROCESSINGS)
    },
    "load": Probe(facts=_DIAGNOSED_FACTS, limit="model_seconds"),
}

PROBES = {**CODE_PROBES, **MODEL_PROBES, **CANARY_PROBES, **DIAGNOSED_PROBES}
