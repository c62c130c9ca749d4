"""Architectures of ten years of Keras: arithmetic, functions as activations, odd graphs, files in two parts."""

import json

import h5py
import numpy
import pytest

from expressions.model_file import audit, audit_in_child
from expressions.model_file.__main__ import main
from expressions.model_file.known import OPERATIONS, OTHER_OPERATIONS, TF_OPERATIONS
from grader.tests.model_builders import (
    codes,
    functional,
    input_layer,
    layer,
    node,
    numbers,
    sequential,
    small_config,
    small_weights,
    with_layer,
    write,
    write_keras,
)


def called(class_name, name, nodes, **config):
    return layer(class_name, name, **config) | {"name": name, "inbound_nodes": nodes}


def tf_operation(function, name, nodes, **extra):
    """A TFOpLambda as Keras 2.4 to 2.15 writes it."""
    config = {"name": name, "trainable": True, "dtype": "float32", "function": function}
    return {"class_name": "TFOpLambda", "config": config | extra, "name": name, "inbound_nodes": nodes}


def with_operations(path, *operations, version="2.15.0"):
    """input (8) → operations → Dense(7)."""
    layers = [
        input_layer(8, name="i") | {"name": "i", "inbound_nodes": []},
        *operations,
        called("Dense", "out", [node(operations[-1]["name"])], units=7),
    ]
    config = functional(layers, [["i", 0, 0]], [["out", 0, 0]])
    return write(path, config, {"out": {"out/kernel:0": numbers(8, 7), "out/bias:0": numbers(7)}}, version)


# Arithmetic between layers --------------------------------------------------------------------------------------------


def test_arithmetic_with_numbers_is_accepted_and_described(tmp_path):
    """`1 - (x * 2 - 1) / 127.5`, as Keras 2.15 writes it."""
    path = with_operations(
        tmp_path / "model_1.h5",
        tf_operation("math.multiply", "double", [["i", 0, 0, {"y": 2, "name": None}]]),
        tf_operation("math.subtract", "less", [["double", 0, 0, {"y": 1, "name": None}]]),
        tf_operation("math.truediv", "parts", [["less", 0, 0, {"y": 127.5, "name": None}]]),
        tf_operation("math.subtract", "rest", [["_CONSTANT_VALUE", -1, 1.0, {"y": ["parts", 0, 0], "name": None}]]),
    )
    result = audit(path)
    assert result["accepted"], result["reasons"]
    assert [note["code"] for note in result["notes"]] == ["operation"]
    described = {entry["name"]: (entry["class_name"], entry["config"]) for entry in result["layer_list"]}
    assert described["double"] == ("TFOpLambda", {"function": "math.multiply", "constants": [2]})
    assert described["parts"] == ("TFOpLambda", {"function": "math.truediv", "constants": [127.5]})
    assert described["rest"] == ("TFOpLambda", {"function": "math.subtract", "constants": [1.0]})
    assert result["output_shape"] == [None, 7]


def test_two_tensors_may_be_added(tmp_path):
    path = with_operations(
        tmp_path / "model_1.h5",
        called("ReLU", "r", [node("i")]),
        tf_operation("__operators__.add", "sum", [["i", 0, 0, {"y": ["r", 0, 0], "name": None}]]),
    )
    result = audit(path)
    assert result["accepted"] and result["layer_list"][2]["output_shape"] == [None, 8]


@pytest.mark.parametrize("function", ["io.read_file", "py_function", "numpy_function", "image.resize", "math.unknown"])
def test_other_functions_of_tensorflow_are_refused(tmp_path, function):
    path = with_operations(tmp_path / "m.h5", tf_operation(function, "f", [["i", 0, 0, {"y": 2}]]))
    result = audit(path)
    assert codes(result) == ["op-lambda"] and "'f'" in result["reasons"][0]["what"]


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ([0.1] * 8, "op-lambda"),
        ("/etc/hostname", "config-value"),
        ({"class_name": "Evil", "config": {}}, "custom-object"),
        ([["x", 1]], "config-value"),
    ],
)
def test_arithmetic_with_anything_but_single_numbers_is_refused(tmp_path, argument, code):
    operation = tf_operation("math.multiply", "f", [["i", 0, 0, {"y": argument, "name": None}]])
    assert codes(audit(with_operations(tmp_path / "m.h5", operation)))[0] == code


def test_an_operation_holds_nothing_but_its_function(tmp_path):
    operation = tf_operation("math.multiply", "f", [["i", 0, 0, {"y": 2}]], code="4wEAAA==")
    assert codes(audit(with_operations(tmp_path / "m.h5", operation))) == ["op-lambda"]


def tensor(name):
    history = {"shape": [None, 8], "dtype": "float32", "keras_history": [name, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": history}


@pytest.mark.parametrize("class_name", ["Multiply", "Subtract", "TrueDivide", "Add", "Negative"])
def test_operators_of_keras_3_are_accepted(tmp_path, class_name):
    arguments = [tensor("i")] if class_name == "Negative" else [tensor("i"), 2.5]
    operation = {"class_name": class_name, "config": {"name": "f"}, "name": "f"}
    operation["inbound_nodes"] = [{"args": arguments, "kwargs": {}}]
    result = audit(with_operations(tmp_path / "m.h5", operation, version="3.15.1"))
    assert result["accepted"], result["reasons"]
    assert result["layer_list"][1]["config"].get("constants") == ([] if class_name == "Negative" else [2.5])
    assert [note["code"] for note in result["notes"]] == ["operation"]


def test_an_index_on_a_tensor_is_refused_with_layers_to_use(tmp_path):
    operation = {"class_name": "GetItem", "config": {"name": "f"}, "name": "f"}
    piece = {"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": None}}
    operation["inbound_nodes"] = [{"args": [tensor("i"), [piece]], "kwargs": {}}]
    result = audit(with_operations(tmp_path / "m.h5", operation, version="3.15.1"))
    assert codes(result) == ["op-lambda"] and "Cropping2D" in result["reasons"][0]["try"]


def test_every_function_of_keras_2_has_its_operator_of_keras_3():
    assert set(TF_OPERATIONS.values()) <= OPERATIONS | OTHER_OPERATIONS


# Activations ----------------------------------------------------------------------------------------------------------


def stored_function(name):
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


@pytest.mark.parametrize(
    ("stored", "means"),
    [
        (stored_function("softmax_v2"), "softmax"),
        (stored_function("swish"), "swish"),
        ({"class_name": "function", "config": "relu"}, "relu"),
        ("softmax_v2", "softmax"),
        ("relu6", "relu6"),
    ],
)
def test_functions_of_tensorflow_as_activations_are_taken_for_keras_own(tmp_path, stored, means):
    weights = {"dense": {"d/kernel": numbers(64, 7), "d/bias": numbers(7)}}
    config = sequential(input_layer(64), layer("Dense", "dense", units=7, activation=stored))
    result = audit(write(tmp_path / "m.h5", config, weights))
    assert result["accepted"], result["reasons"]
    assert result["configuration"]["config"]["layers"][1]["config"]["activation"] == means


def test_a_function_of_another_module_is_no_activation(tmp_path):
    stored = {"module": "os", "class_name": "function", "config": "relu", "registered_name": "function"}
    config = sequential(input_layer(64), layer("Dense", "dense", units=7, activation=stored))
    assert codes(audit(write(tmp_path / "m.h5", config, {"dense": {}}))) == ["module"]


# What a network is built from -----------------------------------------------------------------------------------------


def test_the_architecture_that_was_read_is_handed_on(tmp_path):
    result = audit_in_child(write(tmp_path / "m.h5", small_config(), small_weights()))
    assert result["configuration"] == small_config()


def test_what_compile_stored_is_left_out(tmp_path):
    result = audit(write_keras(tmp_path / "m.keras"))
    assert result["accepted"] and "compile_config" not in result["configuration"]
    assert "mine" not in json.dumps(result["configuration"])


def test_a_refused_file_hands_on_nothing(tmp_path):
    weights = small_weights() | {"dense": {}}
    result = audit(write(tmp_path / "m.h5", small_config(), weights))
    assert codes(result) == ["missing-weights"] and result["configuration"] is None


def test_a_custom_loss_or_metric_in_training_config_does_not_matter(tmp_path):
    path = write(tmp_path / "m.h5", small_config(), small_weights())
    with h5py.File(path, "a") as file:
        file.attrs["training_config"] = json.dumps({"loss": "my_loss", "metrics": ["f1_m"], "optimizer_config": {}})
    assert audit(path)["accepted"]


# Weights and architecture in two files --------------------------------------------------------------------------------


def legacy_weights(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv2d", b"flatten", b"dense"]
        for name, arrays in small_weights().items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [key.encode() for key in arrays]
            for key, array in arrays.items():
                group[key] = array
    return path


def test_weights_with_their_architecture_beside_them_are_accepted(tmp_path):
    path = legacy_weights(tmp_path / "model_1.h5")
    assert codes(audit(path)) == ["weights-only"]
    (tmp_path / "model_1.json").write_text(json.dumps(small_config()))
    result = audit_in_child(path, architecture=tmp_path / "model_1.json")
    assert result["accepted"], result["reasons"]
    assert result["kind"] == "hdf5-weights" and result["output_shape"] == [None, 7]
    assert result["configuration"] == small_config() and result["num_parameters"] == 16_175
    assert [note["code"] for note in result["notes"]] == ["architecture-file"]


def test_the_command_takes_the_architecture_too(tmp_path, capsys):
    path = legacy_weights(tmp_path / "model_1.h5")
    (tmp_path / "model_1.json").write_text(json.dumps(small_config()))
    assert main([str(path), "--architecture", str(tmp_path / "model_1.json")]) == 0
    assert "comes from a file of its own" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main([str(path), "--architecture", str(tmp_path / "none.json")])
    assert stopped.value.code == 2 and "none.json" in capsys.readouterr().err


def test_weights_of_keras_3_with_their_architecture_beside_them(tmp_path):
    with h5py.File(tmp_path / "model_1.weights.h5", "w") as file:
        for name, arrays in small_weights().items():
            for index, array in enumerate(arrays.values()):
                file[f"layers/{name}/vars/{index}"] = array
    (tmp_path / "a.json").write_text(json.dumps(small_config()))
    result = audit(tmp_path / "model_1.weights.h5", architecture=tmp_path / "a.json")
    assert result["accepted"] and result["num_parameters"] == 16_175


@pytest.mark.parametrize("text", ["", "{", "[]", "import keras", json.dumps(sequential(layer("Lambda", "x")))])
def test_the_architecture_beside_them_is_read_as_strictly(tmp_path, text):
    path = legacy_weights(tmp_path / "model_1.h5")
    (tmp_path / "a.json").write_text(text)
    assert codes(audit(path, architecture=tmp_path / "a.json"))[0] in ("config-unreadable", "lambda")


def test_an_architecture_of_another_network_does_not_fit(tmp_path):
    path = legacy_weights(tmp_path / "model_1.h5")
    config = small_config()
    config["config"]["layers"][1]["config"]["filters"] = 5
    (tmp_path / "a.json").write_text(json.dumps(config))
    assert "weights-mismatch" in codes(audit(path, architecture=tmp_path / "a.json"))


# JSON that two readers may read in two ways ---------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_are_no_numbers_are_refused(tmp_path, word):
    text = json.dumps(sequential(input_layer(4), layer("Dropout", "d", rate=0.5))).replace("0.5", word)
    result = audit(write(tmp_path / "m.h5", text, {"d": {}}))
    assert codes(result) == ["config-value"] and word in result["reasons"][0]["what"]


def test_a_key_given_twice_is_named(tmp_path):
    text = json.dumps(small_config()).replace('"units": 7', '"units": 7, "units": 7')
    result = audit(write(tmp_path / "m.h5", text, small_weights()))
    assert codes(result) == ["config-duplicate-key"] and "'units'" in result["reasons"][0]["what"]


# Graphs ---------------------------------------------------------------------------------------------------------------


def test_a_shared_layer_counts_once(tmp_path):
    layers = [
        input_layer(8, name="i") | {"name": "i", "inbound_nodes": []},
        input_layer(8, name="j") | {"name": "j", "inbound_nodes": []},
        called("Dense", "shared", [node("i"), node("j")], units=3),
        called("Concatenate", "both", [[["shared", 0, 0, {}], ["shared", 1, 0, {}]]], axis=-1),
        called("Dense", "out", [node("both")], units=7),
    ]
    config = functional(layers, [["i", 0, 0], ["j", 0, 0]], [["out", 0, 0]])
    weights = {
        "shared": {"kernel": numbers(8, 3), "bias": numbers(3)},
        "out": {"kernel": numbers(6, 7), "bias": numbers(7)},
    }
    result = audit(write(tmp_path / "m.h5", config, weights))
    assert result["accepted"], result["reasons"]
    assert result["num_parameters"] == 27 + 49 and result["input_shape"] == [[None, 8], [None, 8]]
    assert result["flops"] == 2 * 2 * 24 + 2 * 42


@pytest.mark.parametrize("waits_for", ["b", "a", "ghost"])
def test_a_layer_that_waits_for_ever_is_refused(tmp_path, waits_for):
    layers = [
        input_layer(8, name="i") | {"name": "i", "inbound_nodes": []},
        called("Add", "a", [[["i", 0, 0, {}], [waits_for, 0, 0, {}]]]),
        called("ReLU", "b", [node("a")]),
    ]
    path = write(tmp_path / "m.h5", functional(layers, [["i", 0, 0]], [["b", 0, 0]]), {"a": {}, "b": {}})
    assert "graph" in codes(audit(path))


def test_many_layers_of_one_foreign_kind_give_one_sentence(tmp_path):
    result = audit(with_layer(tmp_path, *[layer("MyBlock", f"block_{index}") for index in range(12)]))
    assert codes(result) == ["custom-class"] and "'block_0' and 11 more" in result["reasons"][0]["what"]


# Shapes ---------------------------------------------------------------------------------------------------------------


def cell(class_name, units, **config):
    return {"class_name": class_name, "config": {"name": class_name.lower(), "units": units, **config}}


def stack_of(*cells):
    return {"class_name": "StackedRNNCells", "config": {"name": "stack", "cells": list(cells)}}


@pytest.mark.parametrize(
    ("recurrent", "output", "weights"),
    [
        (layer("LSTM", "r", units=3), [None, 3], [(6, 12), (3, 12), (12,)]),
        (layer("GRU", "r", units=3, reset_after=True), [None, 3], [(6, 9), (3, 9), (2, 9)]),
        (layer("GRU", "r", units=3, reset_after=False), [None, 3], [(6, 9), (3, 9), (9,)]),
        (layer("RNN", "r", cell=cell("LSTMCell", 3)), [None, 3], [(6, 12), (3, 12), (12,)]),
        (
            layer("RNN", "r", return_sequences=True, cell=stack_of(cell("LSTMCell", 3), cell("SimpleRNNCell", 2))),
            [None, 5, 2],
            [(6, 12), (3, 12), (12,), (3, 2), (2, 2), (2,)],
        ),
        (
            layer("EinsumDense", "r", equation="abc,cd->abd", output_shape=[None, 4], bias_axes="d"),
            [None, 5, 4],
            [(6, 4), (4,)],
        ),
        (layer("Bidirectional", "r", layer=layer("LSTM", "inner", units=3)), [None, 6], [(6, 12), (3, 12), (12,)] * 2),
    ],
)
def test_layers_over_time_promise_their_weights(tmp_path, recurrent, output, weights):
    config = sequential(input_layer(5, 6), recurrent)
    good = write(tmp_path / "m.h5", config, {"r": {f"w{i}": numbers(*shape) for i, shape in enumerate(weights)}})
    result = audit(good)
    assert result["accepted"], result["reasons"]
    assert result["output_shape"] == output
    wrong = [weights[0][:-1] + (weights[0][-1] + 1,), *weights[1:]]
    bad = write(tmp_path / "n.h5", config, {"r": {f"w{i}": numbers(*shape) for i, shape in enumerate(wrong)}})
    assert codes(audit(bad)) == ["weights-mismatch"]


def test_an_input_shape_that_keras_2_forgot_is_found_from_the_weights(tmp_path):
    """Keras 2.2 and 2.3 leave an explicit InputLayer of a Sequential out of the file."""
    config = small_config()
    del config["config"]["layers"][0]
    result = audit(write(tmp_path / "m.h5", config, small_weights(), version="2.3.1"))
    assert result["accepted"] and result["input_shape"] == [None, 48, 48, 1] and result["output_shape"] == [None, 7]
    assert [note["code"] for note in result["notes"]] == ["input-shape-guessed"]


def test_a_bomb_without_an_input_shape_is_a_bomb_too(tmp_path):
    layers = (layer("UpSampling2D", "up", size=[900, 900]), layer("GlobalAveragePooling2D", "mean"))
    config = sequential(*layers, layer("Dense", "out", units=7))
    path = write(tmp_path / "m.h5", config, {"out": {"out/kernel": numbers(1, 7), "out/bias": numbers(7)}})
    assert codes(audit(path)) == ["activation-size"]


def test_a_network_for_larger_pictures_of_any_size_is_accepted_with_a_note(tmp_path):
    pools = [layer("MaxPooling2D", f"pool_{index}", pool_size=[4, 4]) for index in range(3)]
    config = sequential(
        input_layer(None, None, 1), *pools, layer("GlobalAveragePooling2D", "mean"), layer("Dense", "out", units=7)
    )
    path = write(tmp_path / "m.h5", config, {"out": {"out/kernel": numbers(1, 7), "out/bias": numbers(7)}})
    result = audit(path)
    assert result["accepted"] and [note["code"] for note in result["notes"]] == ["needs-larger-pictures"]


def test_the_theano_order_of_keras_1_is_known(tmp_path):
    convolution = {
        "class_name": "Convolution2D",
        "config": {
            "name": "c",
            "batch_input_shape": [None, 1, 8, 8],
            "nb_filter": 4,
            "nb_row": 3,
            "nb_col": 3,
            "border_mode": "same",
            "dim_ordering": "th",
        },
    }
    flatten = {"class_name": "Flatten", "config": {"name": "f"}}
    dense = {"class_name": "Dense", "config": {"name": "d", "output_dim": 7, "init": "glorot_uniform"}}
    config = {"class_name": "Sequential", "config": [convolution, flatten, dense]}
    weights = {"c": {"c_W": numbers(4, 1, 3, 3), "c_b": numbers(4)}, "d": {"d_W": numbers(256, 7), "d_b": numbers(7)}}
    assert audit(write(tmp_path / "m.h5", config, weights, "1.0.8"))["accepted"]
    weights["d"]["d_W"] = numbers(7, 256)
    assert codes(audit(write(tmp_path / "n.h5", config, weights, "1.0.8"))) == ["weights-mismatch"]


# Untrained networks ---------------------------------------------------------------------------------------------------


def test_the_ones_of_an_lstm_are_no_sign_of_training(tmp_path):
    config = sequential(input_layer(5, 6), layer("LSTM", "lstm", units=2))
    bias = numpy.zeros(8, "f4")
    bias[2:4] = 1
    weights = {"lstm": {"lstm/kernel:0": numbers(6, 8), "lstm/recurrent_kernel:0": numbers(2, 8), "lstm/bias:0": bias}}
    assert audit(write(tmp_path / "m.h5", config, weights))["weight_facts"]["untrained"] is True
    bias[0] = 0.01
    assert audit(write(tmp_path / "n.h5", config, weights))["weight_facts"]["untrained"] is False


@pytest.mark.parametrize(("bias", "untrained"), [(0, True), (0.01, False)])
def test_an_untrained_network_in_a_keras_zip_is_noticed(tmp_path, bias, untrained):
    arrays = {
        "layers/conv2d/vars/0": numbers(3, 3, 1, 4),
        "layers/conv2d/vars/1": numpy.zeros(4, "f4"),
        "layers/dense/vars/0": numbers(24 * 24 * 4, 7),
        "layers/dense/vars/1": numpy.full(7, bias, "f4"),
    }
    result = audit(write_keras(tmp_path / "m.keras", arrays=arrays))
    assert result["weight_facts"]["untrained"] is untrained


@pytest.mark.parametrize("name", ["optimizer_weights/iteration", "optimizer_weights/training/Adam/iterations:0"])
def test_the_steps_of_the_optimizer_are_read(tmp_path, name):
    path = write(tmp_path / "m.h5", small_config(), small_weights())
    assert audit(path)["weight_facts"]["optimizer_steps"] is None
    with h5py.File(path, "a") as file:
        file[name] = numpy.int64(560)
    assert audit(path)["weight_facts"]["optimizer_steps"] == 560
