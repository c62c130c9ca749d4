"""The static audit of a large model file, in its own process as the grader runs it."""

import contextlib
import json
import tempfile
from pathlib import Path

from grader.benchmark import Case

TITLE = "static audit of model_1 with the state of Adam (CPU seconds of the child and its parent)"
ALTERNATIVE = "sha256 of the file alone"

HERE = "grader.benchmarks.audit"


@contextlib.contextmanager
def cases(quick):
    """Yields a sentence about the data, and the cases."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model_1.h5"
        write_model_1(path, units=64 if quick else 1024)
        yield (
            f"model_1 of the handout, {path.stat().st_size / 1e6:.0f} MB, no TensorFlow; "
            "limits wanted: structure 0.2 s, whole command 1.5 s",
            [
                Case(ALTERNATIVE, f"{HERE}:digest", [str(path)]),
                Case("structure, inside the child", f"{HERE}:structure", [str(path)]),
                Case("structure, with the child's start", f"{HERE}:command", [str(path), False]),
                Case("whole command", f"{HERE}:command", [str(path), True]),
            ],
        )


def write_model_1(path, units):
    """Writes the handout's model_1 as Keras 3 does after training, with random numbers."""
    # Here and not above: what the audit itself imports is part of what is measured.
    import h5py
    import numpy as np

    def layer(class_name, name, **config):
        return {"class_name": class_name, "config": {"name": name, "trainable": True, "dtype": "float32", **config}}

    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 48, 48, 1], "dtype": "float32", "name": "input"}},
        layer("Conv2D", "conv", filters=64, kernel_size=[5, 5], activation="relu"),
        layer("MaxPooling2D", "pool", pool_size=[5, 5], strides=[2, 2]),
        layer("Flatten", "flatten"),
        layer("Dense", "dense", units=units, activation="relu"),
        layer("Dense", "dense_1", units=7, activation="softmax"),
    ]
    shapes = {
        "conv": {"kernel": (5, 5, 1, 64), "bias": (64,)},
        "dense": {"kernel": (25600, units), "bias": (units,)},
        "dense_1": {"kernel": (units, 7), "bias": (7,)},
    }
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        config = {"class_name": "Sequential", "config": {"name": "model_1", "layers": layers}}
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "3.15.1"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in shapes]
        for name, arrays in shapes.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [key.encode() for key in arrays]
            for key, shape in arrays.items():
                own[key] = generator.normal(size=shape).astype("f4")
                for moment in ("momentum", "velocity"):
                    file[f"optimizer_weights/adam/{name}_{key}_{moment}"] = own[key][()]


def digest(path):
    """Reads every byte once."""
    import hashlib

    with open(path, "rb") as file:
        hashlib.file_digest(file, "sha256").hexdigest()


def structure(path):
    """What the child does without the weights: NumPy and h5py are imported here, as in the child."""
    from expressions.model_file import audit

    return _accepted(audit(path, weights=False))


def command(path, weights):
    """What the grader calls: a disposable child, whose CPU time is counted too."""
    from expressions.model_file import audit_in_child

    return _accepted(audit_in_child(path, weights=weights))


def _accepted(result):
    if not result["accepted"]:
        raise ValueError(result["reasons"])
