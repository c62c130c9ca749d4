"""Builds model files by hand with h5py, without TensorFlow: what a test is about stands in the test."""

import io
import json
import zipfile

import h5py
import numpy

GENERATOR = numpy.random.default_rng(0)


def layer(class_name, name, **config):
    return {"class_name": class_name, "config": {"name": name, "trainable": True, "dtype": "float32", **config}}


def input_layer(*shape, name="input"):
    return {"class_name": "InputLayer", "config": {"batch_shape": [None, *shape], "dtype": "float32", "name": name}}


def sequential(*layers, name="sequential"):
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


def numbers(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


def write(path, config, weights=(), version="3.15.1", optimizer=False):
    """Writes a file as `model.save` does. `weights` maps a layer's name to `{weight name: array}`."""
    weights = dict(weights)
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, (str, bytes)) else json.dumps(config)
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [key.encode() for key in arrays]
            for key, array in arrays.items():
                own[key] = array
        if optimizer:
            file["optimizer_weights/iteration"] = numpy.int64(3)
    return path


def small_config(**dense):
    return sequential(
        input_layer(48, 48, 1),
        layer("Conv2D", "conv2d", filters=4, kernel_size=[3, 3], strides=[2, 2], padding="same", activation="relu"),
        layer("Flatten", "flatten"),
        layer("Dense", "dense", units=7, activation="softmax", **dense),
    )


def small_weights():
    return {
        "conv2d": {"conv2d/kernel:0": numbers(3, 3, 1, 4), "conv2d/bias:0": numbers(4)},
        "flatten": {},
        "dense": {"dense/kernel:0": numbers(24 * 24 * 4, 7), "dense/bias:0": numbers(7)},
    }


def codes(result):
    return [reason["code"] for reason in result["reasons"]]


def with_layer(tmp_path, *extra, weights=None):
    config = sequential(input_layer(8, 8, 1), *extra, layer("Flatten", "flatten"), layer("Dense", "dense", units=7))
    return write(
        tmp_path / "model.h5",
        config,
        weights or {"dense": {"dense/kernel:0": numbers(64, 7), "dense/bias:0": numbers(7)}},
    )


def functional(layers, inputs, outputs, name="model"):
    return {
        "class_name": "Functional",
        "config": {"name": name, "layers": layers, "input_layers": inputs, "output_layers": outputs},
    }


def node(name, index=0):
    return [[name, index, 0, {}]]


def keras_2_nested():
    inner = functional(
        [
            input_layer(8, 8, 1, name="input_2") | {"name": "input_2", "inbound_nodes": []},
            layer("Conv2D", "conv", filters=2, kernel_size=[3, 3], padding="same", groups=1)
            | {"name": "conv", "inbound_nodes": [node("input_2")]},
            layer("BatchNormalization", "bn", axis=[3]) | {"name": "bn", "inbound_nodes": [node("conv")]},
            layer("GlobalAveragePooling2D", "mean") | {"name": "mean", "inbound_nodes": [node("bn")]},
        ],
        [["input_2", 0, 0]],
        [["mean", 0, 0]],
        "base",
    ) | {"name": "base", "inbound_nodes": [node("input_1")]}
    outer = functional(
        [
            input_layer(8, 8, 1, name="input_1") | {"name": "input_1", "inbound_nodes": []},
            inner,
            layer("Dense", "dense", units=7, activation="softmax")
            | {
                # Keras 2 counts the calls of a nested model from 1.
                "name": "dense",
                "inbound_nodes": [node("base", 1)],
            },
        ],
        [["input_1", 0, 0]],
        [["dense", 0, 0]],
    )
    batch_norm = {f"bn/{name}:0": numbers(2) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    weights = {
        "input_1": {},
        "base": {"conv/kernel:0": numbers(3, 3, 1, 2), "conv/bias:0": numbers(2), **batch_norm},
        "dense": {"dense/kernel:0": numbers(2, 7), "dense/bias:0": numbers(7)},
    }
    return outer, weights


def write_keras(path, config=None, arrays=None, compression=zipfile.ZIP_STORED, extra=()):
    arrays = (
        arrays
        if arrays is not None
        else {
            "layers/conv2d/vars/0": numbers(3, 3, 1, 4),
            "layers/conv2d/vars/1": numbers(4),
            "layers/dense/vars/0": numbers(24 * 24 * 4, 7),
            "layers/dense/vars/1": numbers(7),
            "layers/dropout/seed_generator/vars/0": numpy.zeros(2, "u4"),
            "optimizer/vars/0": numpy.int64(1),
        }
    )
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.9.0"}))
        archive.writestr(
            "config.json",
            json.dumps(
                config
                or small_config()
                | {
                    "module": "keras",
                    "registered_name": "Sequential",
                    "compile_config": {"loss": {"module": "builtins", "class_name": "function", "config": "mine"}},
                }
            ),
        )
        archive.writestr("model.weights.h5", buffer.getvalue())
        for name, data in extra:
            archive.writestr(name, data)
    return path
