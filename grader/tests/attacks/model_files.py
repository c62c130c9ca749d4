"""Hostile .h5 and .keras files. `expects` is the code of the reason with which the audit refuses the file.

Where a payload would do something on loading, `unprotected` does what the loader of an affected version of Keras does
with it (the source is named) and nothing more: the payload then leaves its marker.
"""

import base64
import io
import json
import marshal
import os
import pickle
import runpy
import types
import warnings
import zipfile
import zlib

import h5py
import numpy

from grader.tests.attacks import Attack
from grader.tests.model_builders import (
    functional,
    input_layer,
    layer,
    node,
    numbers,
    sequential,
    small_config,
    small_weights,
    write,
    write_keras,
)

# What a leak would show. It stands in a file beside the model, never in the model.
DECOY = "the-decoy-of-the-model-files"


class _Touch:
    """Pickles to a call that writes the marker."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def _leave(marker, text="was here"):
    marker.write_text(text)


def _good(folder, name="model_1.h5"):
    return write(folder / name, small_config(), small_weights())


def _with_layers(folder, *layers, name="model_1.h5"):
    """A file whose network has these layers between an input and a Dense layer."""
    config = sequential(input_layer(8, 8, 1), *layers, layer("Flatten", "flatten"), layer("Dense", "dense", units=7))
    weights = {"dense": {"dense/kernel:0": numbers(64, 7), "dense/bias:0": numbers(7)}}
    return write(folder / name, config, weights)


def _with_dense(folder, **settings):
    """A file whose one Dense layer has these settings."""
    config = sequential(input_layer(64), layer("Dense", "dense", units=7, **settings))
    return write(folder / "model_1.h5", config, {"dense": {"d/kernel:0": numbers(64, 7), "d/bias:0": numbers(7)}})


# Code in the architecture ---------------------------------------------------------------------------------------------


def _lambda(marker, name="scale"):
    code = compile(f"open({str(marker)!r}, 'w')", "<lambda>", "eval")
    function = base64.b64encode(marshal.dumps(code)).decode()
    return layer("Lambda", name, function=[function, None, None], function_type="lambda", module="__main__")


def _run_lambda(path, marker):
    """As `func_load` in python_utils.py of Keras 2 and `Lambda.from_config` of Keras 3 before 3.11.3."""
    text = h5py.File(path).attrs["model_config"]

    def find(value):
        if isinstance(value, dict):
            if value.get("class_name") == "Lambda":
                yield value["config"]["function"][0]
            for item in value.values():
                yield from find(item)
        elif isinstance(value, list):
            for item in value:
                yield from find(item)

    for encoded in find(json.loads(text)):
        types.FunctionType(marshal.loads(base64.b64decode(encoded)), {"__builtins__": __builtins__})()


def _nested(folder, marker):
    inner = sequential(input_layer(8, 8, 1), _lambda(marker), name="inner")
    return _with_layers(folder, inner)


def _wrapped(folder, marker):
    return _with_layers(folder, layer("TimeDistributed", "wrapper", layer=sequential(_lambda(marker), name="inner")))


def _operating_system(folder, marker):
    command = {"module": "os", "class_name": "system", "config": {"command": f"touch {marker}"}}
    return _with_dense(folder, kernel_initializer=command)


def _decoy_text(folder):
    (folder / "decoy.txt").write_text(DECOY)
    return folder / "decoy.txt"


def _vocabulary(folder, marker):
    return _with_layers(folder, layer("StringLookup", "words", vocabulary=str(_decoy_text(folder)), max_tokens=9))


def _read_vocabulary(path, marker):
    """As `IndexLookup` of Keras before 3.11.4, which opens the named file on loading."""
    config = json.loads(h5py.File(path).attrs["model_config"])
    with open(config["config"]["layers"][1]["config"]["vocabulary"]) as file:
        _leave(marker, file.read())


def _torch_module(folder, marker):
    module = base64.b64encode(pickle.dumps(_Touch(marker))).decode()
    return _with_layers(folder, layer("TorchModuleWrapper", "torch", module={"buffer": module}))


def _load_torch_module(path, marker):
    """As `TorchModuleWrapper.from_config`, whose `torch.load` unpickles."""
    config = json.loads(h5py.File(path).attrs["model_config"])
    pickle.loads(base64.b64decode(config["config"]["layers"][1]["config"]["module"]["buffer"]))


def _layer_of(class_name, **extra):
    def build(folder, marker):
        return _with_layers(folder, layer(class_name, "bad") | extra)

    return build


def _setting(**settings):
    def build(folder, marker):
        return _with_dense(folder, **settings)

    return build


# Numbers that stand elsewhere -----------------------------------------------------------------------------------------


def _decoy_array(folder):
    with h5py.File(folder / "decoy.h5", "w") as file:
        file["answer"] = numpy.frombuffer(DECOY.encode(), "u1")
    return folder / "decoy.h5"


BIAS = "model_weights/dense/dense/bias:0"


def _replace_bias(folder, put):
    path = _good(folder)
    with h5py.File(path, "a") as file:
        del file[BIAS]
        put(file)
    return path


def _external_link(folder, marker):
    decoy = _decoy_array(folder)

    def put(file):
        file[BIAS] = h5py.ExternalLink(str(decoy), "/answer")

    return _replace_bias(folder, put)


def _external_storage(folder, marker):
    decoy = _decoy_text(folder)

    def put(file):
        file.create_dataset(BIAS, (len(DECOY),), "u1", external=[(str(decoy), 0, len(DECOY))])

    return _replace_bias(folder, put)


def _virtual(folder, marker):
    layout = h5py.VirtualLayout((len(DECOY),), "u1")
    layout[:] = h5py.VirtualSource(str(_decoy_array(folder)), "answer", (len(DECOY),))
    return _replace_bias(folder, lambda file: file.create_virtual_dataset(BIAS, layout))


def _read_bias(path, marker):
    """As every version of Keras before 3.13.2: plain h5py."""
    with h5py.File(path) as file:
        _leave(marker, file[BIAS][()].astype("u1").tobytes().decode())


def _soft_link(folder, marker):
    def put(file):
        file["elsewhere"] = numpy.frombuffer(DECOY[::-1].encode(), "u1")
        file[BIAS] = h5py.SoftLink("/elsewhere")

    return _replace_bias(folder, put)


def _cycle(folder, marker):
    path = _good(folder)
    with h5py.File(path, "a") as file:
        file["model_weights/dense/up"] = file["model_weights"]
    return path


# Files of kilobytes that ask for gigabytes ----------------------------------------------------------------------------


def _declared_bomb(folder, marker):
    # 200 MB that no byte of the file stands for.
    return _replace_bias(folder, lambda file: file.create_dataset(BIAS, (50_000_000,), "f4"))


def _packed_bomb(folder, marker):
    def put(file):
        packed = file.create_dataset(BIAS, (16_000_000,), "f4", chunks=(4_000_000,), compression="gzip")
        packed[:] = numpy.zeros(16_000_000, "f4")

    return _replace_bias(folder, put)


def _expand(path, marker):
    """Reads the array and leaves the marker if it is hundreds of times as large as the file."""
    with h5py.File(path) as file:
        if file[BIAS][()].nbytes > 300 * path.stat().st_size:
            _leave(marker)


def _chunk_bomb(folder, marker):
    def put(file):
        chunked = file.create_dataset(BIAS, (7,), "f4", chunks=(2**24,), maxshape=(None,), compression="gzip")
        chunked[:] = 1

    return _replace_bias(folder, put)


def _million_units(folder, marker):
    config = sequential(input_layer(4), layer("Dense", "dense", units=1_000_000))
    return write(folder / "model_1.h5", config, {"dense": {"d/kernel:0": numbers(4, 8), "d/bias:0": numbers(8)}})


def _other_shape(folder, marker):
    weights = small_weights()
    weights["dense"]["dense/kernel:0"] = numbers(7, 24 * 24 * 4)
    return write(folder / "model_1.h5", small_config(), weights)


def _activation_bomb(folder, marker):
    pooled = (layer("UpSampling2D", "up", size=[9000, 9000]), layer("GlobalAveragePooling2D", "mean"))
    config = sequential(input_layer(8, 8, 1), *pooled, layer("Dense", "dense", units=7))
    return write(folder / "model_1.h5", config, {"dense": {"kernel": numbers(1, 7), "bias": numbers(7)}})


def _flop_bomb(folder, marker):
    convolutions = [layer("Conv2D", f"c{index}", filters=4, kernel_size=[31, 31], padding="same") for index in range(4)]
    weights = {f"c{index}": {"kernel": numbers(31, 31, 4, 4), "bias": numbers(4)} for index in range(4)}
    return write(folder / "model_1.h5", sequential(input_layer(2000, 2000, 4), *convolutions), weights)


def _deep(folder, marker):
    config = sequential(input_layer(8, 8, 1))
    for depth in range(300):
        config = sequential(config, name=f"m{depth}")
    return write(folder / "model_1.h5", config, small_weights())


def _brackets(folder, marker):
    return write(folder / "model_1.h5", '{"class_name":' * 200_000, small_weights())


def _many_layers(folder, marker):
    layers = [layer("ReLU", f"r{index}") for index in range(20_000)]
    return write(folder / "model_1.h5", sequential(input_layer(4), *layers), {"r0": {}})


def _huge_attribute(folder, marker):
    return write(folder / "model_1.h5", json.dumps(small_config()) + " " * 2**25, small_weights())


def _deep_groups(folder, marker):
    path = _good(folder)
    with h5py.File(path, "a") as file:
        file.create_group("/".join(["a"] * 3000))
    return path


# Architectures that two readers may read in two ways ------------------------------------------------------------------


def _twice(folder, marker):
    honest = json.dumps(_lambda(marker)["config"])
    text = json.dumps(sequential(input_layer(8, 8, 1), layer("ReLU", "r")))
    text = text.replace('{"class_name": "ReLU"', f'{{"class_name": "Lambda", "config": {honest}, "class_name": "ReLU"')
    return write(folder / "model_1.h5", text, {"r": {}})


def _not_a_number(folder, marker):
    return _with_layers(folder, layer("Dropout", "dropout", rate=float("nan")))


def _not_utf_8(folder, marker):
    text = json.dumps(small_config()).encode().replace(b'"dense"', b'"d\xff\xfense"')
    return write(folder / "model_1.h5", text, small_weights())


def _circle(folder, marker):
    layers = [
        input_layer(8, name="i") | {"name": "i", "inbound_nodes": []},
        layer("Add", "a") | {"name": "a", "inbound_nodes": [[["i", 0, 0, {}], ["b", 0, 0, {}]]]},
        layer("ReLU", "b") | {"name": "b", "inbound_nodes": [node("a")]},
    ]
    return write(folder / "model_1.h5", functional(layers, [["i", 0, 0]], [["b", 0, 0]]), {"a": {}, "b": {}})


def _same_names(folder, marker):
    return _with_layers(folder, layer("ReLU", "r"), layer("Softmax", "r"))


def _escaping_name(folder, marker):
    weights = small_weights()
    path = write(folder / "model_1.h5", small_config(), weights)
    with h5py.File(path, "a") as file:
        file["model_weights/dense"].attrs["weight_names"] = [b"../../../decoy", b"dense/bias:0"]
    return path


# Containers that run what they hold -----------------------------------------------------------------------------------


def _pickled(folder, marker):
    path = folder / "model_1.h5"
    path.write_bytes(pickle.dumps(_Touch(marker)))
    return path


def _compressed_pickle(folder, marker):
    path = folder / "model_1.h5"
    path.write_bytes(zlib.compress(pickle.dumps(_Touch(marker))))
    return path


def _torch_file(folder, marker):
    path = folder / "model_1.h5"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Touch(marker)))
    return path


def _object_array(folder, marker):
    array = numpy.empty(1, object)
    array[0] = _Touch(marker)
    buffer = io.BytesIO()
    numpy.savez(buffer, weights=array)
    path = folder / "model_1.h5"
    path.write_bytes(buffer.getvalue())
    return path


def _script(folder, marker):
    path = folder / "model_1.h5"
    path.write_text(f"import pathlib\npathlib.Path({str(marker)!r}).write_text('was here')\n")
    return path


def _zip_bomb(folder, marker):
    path = folder / "model_1.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("config.json", "w") as entry:
            for _ in range(64):
                entry.write(b" " * 2**20)
    return path


def _unpack(path, marker):
    """Reads the entry and leaves the marker if it is hundreds of times as large as the file."""
    with zipfile.ZipFile(path) as archive:
        if len(archive.read("config.json")) > 300 * path.stat().st_size:
            _leave(marker)


def _two_configurations(folder, marker):
    path = write_keras(folder / "model_1.keras")
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        # zipfile itself would rather not write an entry twice.
        warnings.simplefilter("ignore", UserWarning)
        archive.writestr("config.json", json.dumps(sequential(input_layer(8, 8, 1), _lambda(marker))))
    return path


def _asset(folder, marker):
    return write_keras(folder / "model_1.keras", extra=[("assets/layers/words/vocabulary.txt", "a\nb\n")])


def _lambda_in_zip(folder, marker):
    return write_keras(folder / "model_1.keras", sequential(input_layer(8, 8, 1), _lambda(marker)))


def _terminal(folder, marker):
    return _with_layers(folder, layer("Evil\x1b]0;title\x07\x1b[2J" + "x" * 10_000, "bad\x1b[31m"))


def _named_pipe(folder, marker):
    os.mkfifo(folder / "model_1.h5")
    return folder / "model_1.h5"


ATTACKS = [
    Attack("lambda", "h5", lambda folder, marker: _with_layers(folder, _lambda(marker)), "lambda", _run_lambda),
    Attack("lambda_in_a_nested_model", "h5", _nested, "lambda", _run_lambda),
    Attack("lambda_in_a_wrapper", "h5", _wrapped, "lambda", _run_lambda),
    Attack("lambda_in_a_keras_zip", "h5", _lambda_in_zip, "lambda"),
    Attack("lambda_under_another_name", "h5", _layer_of("Custom>Lambda"), "lambda"),
    Attack(
        "lambda_as_activation",
        "h5",
        _setting(activation={"module": "keras.layers", "class_name": "Lambda", "config": {"function": "x"}}),
        "custom-object",
    ),
    Attack("function_of_the_operating_system", "h5", _operating_system, "module"),
    Attack("function_by_its_name", "h5", _setting(activation="os.system"), "custom-activation"),
    Attack("layer_of_another_module", "h5", _layer_of("Dense", module="evil.layers"), "module"),
    Attack(
        "registered_under_a_false_name",
        "h5",
        _layer_of("Dense", module="keras.layers", registered_name="Evil>Dense"),
        "custom-class",
    ),
    Attack("class_of_the_students_own", "h5", _layer_of("MyAttention"), "custom-class"),
    Attack("saved_model_layer", "h5", _layer_of("TFSMLayer"), "tfsm-layer"),
    Attack("torch_module", "h5", _torch_module, "foreign-layer", _load_torch_module),
    Attack("vocabulary_file", "h5", _vocabulary, "vocabulary", _read_vocabulary),
    Attack("vocabulary_asset", "h5", _asset, "vocabulary"),
    Attack("path_in_a_setting", "h5", _setting(filepath="/etc/hostname"), "config-value"),
    Attack(
        "function_that_reads_files",
        "h5",
        lambda folder, marker: _with_layers(folder, layer("TFOpLambda", "read", function="io.read_file")),
        "op-lambda",
    ),
    Attack("external_link", "h5", _external_link, "external-link", _read_bias),
    Attack("external_storage", "h5", _external_storage, "external-storage", _read_bias),
    Attack("virtual_data_set", "h5", _virtual, "virtual-dataset", _read_bias),
    Attack("soft_link", "h5", _soft_link, "soft-link", _read_bias),
    Attack("group_inside_itself", "h5", _cycle, "aliased"),
    Attack("shape_without_numbers", "h5", _declared_bomb, "declared-size", _expand),
    Attack("packed_zeros", "h5", _packed_bomb, "declared-size", _expand),
    Attack("huge_chunk", "h5", _chunk_bomb, "chunk-size"),
    Attack("million_units", "h5", _million_units, "weights-mismatch"),
    Attack("turned_kernel", "h5", _other_shape, "weights-mismatch"),
    Attack("huge_activation", "h5", _activation_bomb, "activation-size"),
    Attack("hours_of_arithmetic", "h5", _flop_bomb, "flops"),
    Attack("models_in_models", "h5", _deep, "too-deep"),
    Attack("brackets_in_brackets", "h5", _brackets, "config-unreadable"),
    Attack("groups_in_groups", "h5", _deep_groups, "too-deep"),
    Attack("twenty_thousand_layers", "h5", _many_layers, "too-many-layers"),
    Attack("huge_attribute", "h5", _huge_attribute, "config-too-large"),
    Attack("key_given_twice", "h5", _twice, "config-duplicate-key"),
    Attack("nan_in_the_architecture", "h5", _not_a_number, "config-value"),
    Attack("bytes_that_are_no_text", "h5", _not_utf_8, "config-unreadable"),
    Attack("circle_of_layers", "h5", _circle, "graph"),
    Attack("two_layers_of_one_name", "h5", _same_names, "config-unreadable"),
    Attack("weight_name_that_climbs", "h5", _escaping_name, "missing-weights"),
    Attack("pickle", "h5", _pickled, "pickle", lambda path, marker: pickle.loads(path.read_bytes())),
    Attack(
        "compressed_pickle",
        "h5",
        _compressed_pickle,
        "pickle",
        lambda path, marker: pickle.loads(zlib.decompress(path.read_bytes())),
    ),
    Attack(
        "torch_file",
        "h5",
        _torch_file,
        "not-a-model",
        lambda path, marker: pickle.loads(zipfile.ZipFile(path).read("archive/data.pkl")),
    ),
    Attack(
        "array_of_objects",
        "h5",
        _object_array,
        "not-a-model",
        lambda path, marker: numpy.load(path, allow_pickle=True)["weights"],
    ),
    Attack("python_script", "h5", _script, "python-source", lambda path, marker: runpy.run_path(str(path))),
    Attack("zip_bomb", "h5", _zip_bomb, "config-too-large", _unpack),
    Attack("two_configurations", "h5", _two_configurations, "zip-entries"),
    Attack("codes_for_the_terminal", "h5", _terminal, "custom-class"),
    Attack("named_pipe", "h5", _named_pipe, "not-a-file"),
]
