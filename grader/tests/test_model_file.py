"""The static audit of model files: every kind, every refusal, every old format.

Files are written by hand with h5py, so that a test shows what it is about and needs no TensorFlow. Where an attack
would run code or read a file, the test leaves a harmless marker and checks that it stays untouched.
"""

import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy
import pytest

from expressions import model_file
from expressions.model_file import Limits, audit, audit_in_child, child
from expressions.model_file.__main__ import main
from grader import benchmark
from grader.tests.model_builders import (
    codes,
    functional,
    input_layer,
    keras_2_nested,
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

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small(tmp_path):
    """A small, good model."""
    return write(tmp_path / "model_1.h5", small_config(), small_weights())


# What a good file says ------------------------------------------------------------------------------------------------


def test_a_good_model_is_described(small):
    result = audit(small)
    assert result["accepted"] and result["reasons"] == [] and result["kind"] == "hdf5-model"
    assert result["keras_version"] == "3.15.1"
    assert result["layers"] == ["InputLayer", "Conv2D", "Flatten", "Dense"]
    assert result["input_shape"] == [None, 48, 48, 1]
    assert result["output_shape"] == [None, 7]
    assert result["num_parameters"] == 36 + 4 + 24 * 24 * 4 * 7 + 7
    assert result["last_activation"] == "softmax"
    assert result["optimizer_state"] is False
    assert [entry["output_shape"] for entry in result["layer_list"]][1] == [None, 24, 24, 4]
    assert result["layer_list"][1]["config"]["kernel_size"] == [3, 3]
    assert result["layer_list"][1]["weights"][0]["shape"] == [3, 3, 1, 4]
    # 2 * (3 * 3 * 1 * 4) for each of 24 * 24 places, and 2 * 2304 * 7.
    assert result["flops"] == 2 * 36 * 576 + 2 * 2304 * 7
    json.dumps(result, allow_nan=False)


def test_the_child_says_the_same(small):
    assert audit_in_child(small) == audit(small)


def test_structure_alone_skips_hash_and_statistics(small):
    result = audit(small, weights=False)
    assert result["accepted"] and result["sha256"] is None and result["weight_facts"] is None
    assert result["num_parameters"] == audit(small)["num_parameters"]


def test_the_optimizer_is_noticed(tmp_path):
    result = audit(write(tmp_path / "m.h5", small_config(), small_weights(), optimizer=True))
    assert result["accepted"] and result["optimizer_state"] is True


def test_the_handouts_model_1_has_its_shapes_and_parameters(tmp_path):
    config = sequential(
        input_layer(48, 48, 1),
        layer("Conv2D", "conv", filters=64, kernel_size=[5, 5], activation="relu"),
        layer("MaxPooling2D", "pool", pool_size=[5, 5], strides=[2, 2]),
        layer("Flatten", "flatten"),
        layer("Dense", "dense", units=1024, activation="relu"),
        layer("Dense", "out", units=7, activation="softmax"),
    )
    zeros = {
        "conv": {"conv/kernel": numpy.zeros((5, 5, 1, 64), "f2"), "conv/bias": numpy.zeros(64, "f2")},
        "dense": {"dense/kernel": numpy.zeros((25600, 1024), "f2"), "dense/bias": numpy.zeros(1024, "f2")},
        "out": {"out/kernel": numpy.zeros((1024, 7), "f2"), "out/bias": numpy.zeros(7, "f2")},
    }
    result = audit(write(tmp_path / "m.h5", config, zeros))
    assert result["accepted"], result["reasons"]
    assert result["num_parameters"] == 26_224_263
    assert [entry["output_shape"] for entry in result["layer_list"]][2:4] == [[None, 20, 20, 64], [None, 25600]]
    assert result["weight_facts"]["all_zero"] == ["conv", "dense", "out"]


# Kinds of bytes -------------------------------------------------------------------------------------------------------

MANGLED = (model_file.HDF5_SIGNATURE + bytes(range(256)) * 8).decode("utf-8", "replace").encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 302951655\n"
BYTES = {
    "empty": (b"", "empty", "empty"),
    "git lfs": (POINTER, "lfs-pointer", "lfs-pointer"),
    "web page": (b"\n\n<!DOCTYPE html>\n<html><head><title>Sign in &amp; up</title>", "html", "html-page"),
    "web page, xhtml": (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x"><html></html>', "html", "html-page"),
    "mangled": (MANGLED, "utf8-mangled", "utf8-mangled"),
    "latin-1 mangled": (b"\xc2\x89HDF\r\n\x1a\n" + b"\0" * 99, "utf8-mangled", "utf8-mangled"),
    "newlines": (b"\x89HDF\n\x1a\n" + b"\0" * 99, "unknown", "newline-mangled"),
    "python": (b"import keras\nmodel = keras.Sequential()\nmodel.save('m.h5')\n", "python-source", "python-source"),
    "pickle": (pickle.dumps({"weights": [1, 2, 3]}), "pickle", "pickle"),
    "old pickle": (pickle.dumps({"weights": [1, 2, 3]}, protocol=0), "pickle", "pickle"),
    "seven bytes": (b"\x89HDF\r\n\x1a", "truncated", "truncated"),
    "only a signature": (model_file.HDF5_SIGNATURE, "truncated", "truncated"),
    "half a zip": (b"PK\x03\x04" + b"\0" * 200, "truncated", "truncated"),
    "picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "unknown", "not-a-model"),
    "tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 50, "unknown", "not-a-model"),
    "prose": ("Mein Modell ist zu groß, siehe Link.".encode(), "unknown", "text"),
    "architecture json": (b'{"class_name": "Sequential", "config": []}', "unknown", "json-text"),
    "notebook": (b'{"cells": [], "nbformat": 4}', "unknown", "json-text"),
    "zeros": (b"\0" * 5000, "unknown", "zeros"),
    "noise": (bytes(range(200, 256)) * 9, "unknown", "unknown"),
    "user block": (b"x" * 512 + model_file.HDF5_SIGNATURE + b"\0" * 99, "unknown", "user-block"),
}


@pytest.mark.parametrize("case", BYTES)
def test_bytes_that_are_no_model_are_named(tmp_path, case):
    content, kind, code = BYTES[case]
    path = tmp_path / "model_1.h5"
    path.write_bytes(content)
    result = audit(path)
    assert (result["kind"], codes(result), result["accepted"]) == (kind, [code], False)
    assert all(result["reasons"][0][key] for key in ("what", "wanted", "try"))
    assert len(result["sha256"]) == 64


def test_the_pointer_states_the_real_size_and_the_page_its_title(tmp_path):
    (tmp_path / "a.h5").write_bytes(POINTER)
    (tmp_path / "b.h5").write_bytes(BYTES["web page"][0])
    assert "302,951,655" in audit(tmp_path / "a.h5")["reasons"][0]["what"]
    assert "'Sign in & up'" in audit(tmp_path / "b.h5")["reasons"][0]["what"]


def test_a_file_that_ends_early_says_how_much_is_missing(small):
    content = small.read_bytes()
    small.write_bytes(content[: len(content) // 2])
    result = audit(small)
    assert result["kind"] == "truncated" and f"{len(content):,}" in result["reasons"][0]["what"]


def test_damage_in_the_middle_is_a_reason_not_an_exception(small):
    content = small.read_bytes()
    for start in (100, 600, 1000, 2000, 5000, 9000):
        small.write_bytes(content[:start] + b"\xff" * 200 + content[start + 200 :])
        result = audit_in_child(small)
        assert result["accepted"] != bool(result["reasons"])


def test_a_file_with_holes_in_its_header_is_damaged(small):
    content = bytearray(small.read_bytes())
    content[96:4000] = bytes(4000 - 96)
    small.write_bytes(content)
    result = audit_in_child(small)
    assert not result["accepted"] and codes(result)[0] in ("damaged", "child-crashed")


def test_weights_without_architecture_ask_for_model_save(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"dense/kernel:0"]
        file["dense/dense/kernel:0"] = numbers(5, 7)
    result = audit(tmp_path / "w.h5")
    assert (result["kind"], codes(result), result["num_parameters"]) == ("hdf5-weights", ["weights-only"], 35)
    assert "model.save(" in result["reasons"][0]["try"]


def test_weights_of_keras_3_without_architecture(tmp_path):
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = numbers(5, 7)
    result = audit(tmp_path / "w.weights.h5")
    assert (result["kind"], codes(result), result["num_parameters"]) == ("hdf5-weights", ["weights-only"], 35)


def test_architecture_without_weights(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(small_config())
    result = audit(tmp_path / "a.h5")
    assert (result["kind"], codes(result)) == ("hdf5-architecture", ["architecture-only"])
    assert result["output_shape"] == [None, 7]


def test_another_programs_hdf5_is_no_model(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x_train"] = numbers(3, 3)
        file["names"] = ["a", "b"]
    result = audit(tmp_path / "data.h5")
    assert (result["kind"], codes(result)) == ("other-hdf5", ["other-hdf5"])
    assert "'x_train'" in result["reasons"][0]["what"] or "'names'" in result["reasons"][0]["what"]


def test_a_folder_or_a_pipe_is_no_file(tmp_path):
    assert codes(audit(tmp_path)) == ["not-a-file"]
    os.mkfifo(tmp_path / "pipe.h5")
    assert codes(audit_in_child(tmp_path / "pipe.h5")) == ["not-a-file"]


def test_a_file_that_does_not_exist_is_the_callers_error(tmp_path):
    with pytest.raises(OSError):
        audit_in_child(tmp_path / "none.h5")


# Layers that are refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_name", "code", "says"),
    [
        ("Lambda", "lambda", "Rescaling"),
        ("TFOpLambda", "op-lambda", "Rescaling"),
        ("GetItem", "op-lambda", "Cropping2D"),
        ("TensorFlowOpLayer", "op-lambda", "Rescaling"),
        ("LocallyConnected2D", "removed-layer", "Conv2D"),
        ("FixedDropout", "custom-class", "`Dropout`"),
        ("KerasLayer", "custom-class", "keras.applications"),
        ("SlicingOpLambda", "op-lambda", "Cropping2D"),
        ("TFSMLayer", "tfsm-layer", "ordinary layers"),
        ("StringLookup", "vocabulary", "vocabulary"),
        ("TextVectorization", "vocabulary", "vocabulary"),
        ("TorchModuleWrapper", "foreign-layer", "ordinary Keras layers"),
        ("MyAttention", "custom-class", "keras.layers"),
        ("Custom>MyLayer", "custom-class", "keras.layers"),
        ("Layer", "custom-class", "keras.layers"),
        ("Custom>Lambda", "lambda", "Rescaling"),
    ],
)
def test_layers_that_carry_code_or_read_files_are_refused(tmp_path, class_name, code, says):
    result = audit(with_layer(tmp_path, layer(class_name, "bad")))
    assert codes(result) == [code] and result["kind"] == "hdf5-model"
    assert says in " ".join(result["reasons"][0].values()) and "'bad'" in result["reasons"][0]["what"]


def test_a_lambda_deep_inside_is_found(tmp_path):
    inner = sequential(input_layer(8, 8, 1), layer("Lambda", "hidden", function=["4wEAAA==", None, None]), name="inner")
    wrapped = layer("TimeDistributed", "wrapper", layer=sequential(inner, name="middle"))
    result = audit(with_layer(tmp_path, wrapped))
    assert codes(result) == ["lambda"] and "'hidden'" in result["reasons"][0]["what"]


def test_every_bad_layer_gets_its_sentence(tmp_path):
    result = audit(with_layer(tmp_path, layer("Lambda", "one"), layer("TFOpLambda", "two"), layer("Mine", "three")))
    assert codes(result) == ["lambda", "op-lambda", "custom-class"]


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"activation": "my_swish"}, "custom-activation"),
        (
            {
                "activation": {
                    "module": "builtins",
                    "class_name": "function",
                    "config": "leak",
                    "registered_name": "function",
                }
            },
            "custom-activation",
        ),
        ({"activation": {"class_name": "function", "config": "leak"}}, "custom-activation"),
        ({"activation": {"module": "keras.layers", "class_name": "Lambda", "config": {}}}, "custom-object"),
        ({"kernel_initializer": {"module": "os", "class_name": "system", "config": {"command": "true"}}}, "module"),
        ({"kernel_initializer": {"module": "keras.initializers", "class_name": "Mine", "config": {}}}, "custom-object"),
        ({"kernel_initializer": {"class_name": "Zeros", "config": {}, "registered_name": "x>Zeros"}}, "custom-object"),
        ({"kernel_initializer": "os.system"}, "config-value"),
        (
            {"kernel_regularizer": {"class_name": "L2", "config": {"l2": {"class_name": "Evil", "config": {}}}}},
            "custom-object",
        ),
        (
            {"dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "quantized;x"}}},
            "config-value",
        ),
        ({"vocabulary": "/etc/hostname"}, "config-value"),
        ({"anything": "/etc/hostname"}, "config-value"),
        ({"anything": {"path": "/etc/hostname"}}, "config-key"),
        ({"data_format": "../x"}, "config-value"),
    ],
)
def test_settings_that_are_not_keras_own_are_refused(tmp_path, config, code):
    dense = layer("Dense", "dense", units=7) | {}
    dense["config"] |= config
    arrays = {"dense": {"dense/kernel:0": numbers(64, 7), "dense/bias:0": numbers(7)}}
    path = write(tmp_path / "m.h5", sequential(input_layer(64), dense), arrays)
    assert codes(audit(path)) == [code]


def test_a_module_outside_keras_is_refused(tmp_path):
    bad = layer("Dense", "d", units=7) | {"module": "evil.layers", "registered_name": "Dense"}
    assert codes(audit(with_layer(tmp_path, bad))) == ["module"]
    bad = layer("Dense", "d", units=7) | {"module": "keras.layers", "registered_name": "Custom>Dense"}
    assert codes(audit(with_layer(tmp_path, bad))) == ["custom-class"]


def test_an_unknown_number_is_only_a_note(tmp_path):
    result = audit(with_layer(tmp_path, layer("Dropout", "dropout", rate=0.5, invented_in_2031=3)))
    assert result["accepted"] and [note["code"] for note in result["notes"]] == ["unknown-setting"]


def test_ordinary_objects_of_keras_2_and_3_are_accepted(tmp_path):
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    leaky = {
        "module": "keras.layers",
        "class_name": "LeakyReLU",
        "config": {"name": "leaky", "dtype": policy, "negative_slope": 0.1},
    }
    config = sequential(
        input_layer(8, 8, 1) | {"module": "keras.layers", "registered_name": None},
        layer("Flatten", "flatten")
        | {"module": "keras.layers", "registered_name": None, "build_config": {"input_shape": [None, 8, 8, 1]}},
        layer(
            "Dense",
            "dense",
            units=7,
            activation=leaky,
            bias_initializer="zeros",
            kernel_initializer={
                "module": "keras.initializers",
                "class_name": "VarianceScaling",
                "registered_name": None,
                "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None},
            },
            kernel_regularizer={"class_name": "L2", "config": {"l2": 0.01}},
            kernel_constraint={"class_name": "MaxNorm", "config": {"max_value": 2, "axis": 0}},
            shared_object_id=3,
            quantization_config=None,
        ),
    )
    config["config"]["layers"][2]["config"]["dtype"] = policy
    path = write(tmp_path / "m.h5", config, {"dense": {"a/kernel": numbers(64, 7), "a/bias": numbers(7)}})
    result = audit(path)
    assert result["accepted"], result["reasons"]
    assert result["last_activation"] == "LeakyReLU"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '{"class_name": "Sequential"}',
        '{"class_name": "Sequential", "config": {"layers": 3}}',
        '{"class_name": "Sequential", "config": [3]}',
        '{"class_name": "Functional", "config": {"layers": []}}',
        "[" * 100_000,
        '{"class_name": "Dense", "config": {"name": "d"}}',
        '{"class_name": 3, "config": {}}',
        '{"class_name": "Model", "config": {"layers": [], "output_layers": [["x", 0, 0]], "input_layers": {"a": 1}}}',
    ],
)
def test_nonsense_in_place_of_an_architecture_is_refused_with_a_sentence(tmp_path, text):
    result = audit(write(tmp_path / "m.h5", text or " ", small_weights()))
    assert not result["accepted"] and set(codes(result)) <= {"config-unreadable", "too-deep"}


def test_nesting_without_end_is_refused(tmp_path):
    config = sequential(input_layer(8, 8, 1))
    for depth in range(200):
        config = sequential(config, name=f"m{depth}")
    assert codes(audit(write(tmp_path / "m.h5", config, small_weights()))) == ["too-deep"]


# HDF5 that reaches out of its file, or lies about its size ------------------------------------------------------------


def test_external_links_are_refused_and_not_followed(small, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["answer"] = numpy.arange(3)
    os.utime(secret, (1, 1))
    with h5py.File(small, "a") as file:
        file["model_weights/dense/more"] = h5py.ExternalLink(str(secret), "/answer")
    result = audit_in_child(small)
    assert codes(result)[0] == "external-link" and result["kind"] == "hdf5-model"
    assert secret.stat().st_atime == 1
    # The same payload, unprotected, is followed: the marker works.
    with h5py.File(small) as file:
        assert file["model_weights/dense/more"][2] == 2


def test_soft_links_are_refused(small):
    with h5py.File(small, "a") as file:
        file["model_weights/dense/more"] = h5py.SoftLink("/model_weights/conv2d")
    assert codes(audit(small)) == ["soft-link"]


def test_two_names_for_one_array_and_cycles_are_refused(small):
    with h5py.File(small, "a") as file:
        file["model_weights/dense/again"] = file["model_weights/dense/dense/kernel:0"]
        file["model_weights/dense/up"] = file["model_weights"]
    assert "aliased" in codes(audit(small))


def test_external_storage_is_refused_and_not_read(small, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\1" * 400)
    os.utime(secret, (1, 1))
    with h5py.File(small, "a") as file:
        del file["model_weights/dense/dense/bias:0"]
        file.create_dataset("model_weights/dense/dense/bias:0", (7,), "f4", external=[(str(secret), 0, 28)])
    result = audit_in_child(small)
    assert codes(result)[0] == "external-storage" and secret.stat().st_atime == 1
    with h5py.File(small) as file:
        assert file["model_weights/dense/dense/bias:0"][0] != 0


def test_virtual_arrays_are_refused_and_not_read(small, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["answer"] = numpy.arange(7, dtype="f4")
    os.utime(secret, (1, 1))
    layout = h5py.VirtualLayout((7,), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "answer", (7,))
    with h5py.File(small, "a") as file:
        del file["model_weights/dense/dense/bias:0"]
        file.create_virtual_dataset("model_weights/dense/dense/bias:0", layout)
    result = audit_in_child(small)
    assert codes(result)[0] == "virtual-dataset" and secret.stat().st_atime == 1
    with h5py.File(small) as file:
        assert file["model_weights/dense/dense/bias:0"][3] == 3


def test_an_array_that_claims_more_than_it_stores_is_refused(small):
    with h5py.File(small, "a") as file:
        del file["model_weights/dense/dense/kernel:0"]
        file.create_dataset("model_weights/dense/dense/kernel:0", (2**20, 2**10), "f4")
    assert small.stat().st_size < 100_000
    started = time.process_time()
    result = audit(small)
    assert codes(result)[0] == "declared-size" and time.process_time() - started < 1


def test_a_packed_bomb_is_refused(small):
    with h5py.File(small, "a") as file:
        file.create_dataset(
            "model_weights/bomb", data=numpy.zeros((4096, 4096), "f4"), compression="gzip", chunks=(4096, 1024)
        )
    assert codes(audit(small)) == ["declared-size"]


def test_a_huge_chunk_is_refused(small):
    with h5py.File(small, "a") as file:
        chunked = file.create_dataset(
            "model_weights/chunk", (4,), "f4", chunks=(2**20,), maxshape=(None,), compression="gzip", fillvalue=0
        )
        chunked[:] = 1
    assert codes(audit(small)) == ["chunk-size"]


def test_modest_packing_is_accepted(tmp_path):
    path = write(tmp_path / "m.h5", small_config(), small_weights())
    with h5py.File(path, "a") as file:
        array = file["model_weights/dense/dense/kernel:0"][()]
        del file["model_weights/dense/dense/kernel:0"]
        file.create_dataset("model_weights/dense/dense/kernel:0", data=array, compression="gzip", shuffle=True)
    assert audit(path)["accepted"]


def test_unknown_filters_are_refused(small):
    with h5py.File(small, "a") as file:
        file.create_dataset("model_weights/lzf", data=numbers(64, 64), compression="lzf")
    assert codes(audit(small)) == ["filter"]


def test_a_model_of_a_million_units_that_stores_forty_numbers_is_refused(tmp_path):
    config = sequential(input_layer(4), layer("Dense", "dense", units=1_000_000))
    path = write(tmp_path / "m.h5", config, {"dense": {"dense/kernel:0": numbers(4, 8), "dense/bias:0": numbers(8)}})
    result = audit(path)
    assert codes(result) == ["weights-mismatch"] and "1000000" in result["reasons"][0]["what"]


def test_promises_are_checked_where_no_shape_can_be_inferred(tmp_path):
    config = sequential(layer("Dense", "dense", units=1_000_000))
    path = write(tmp_path / "m.h5", config, {"dense": {"dense/kernel:0": numbers(4, 8), "dense/bias:0": numbers(8)}})
    assert codes(audit(path)) == ["weights-mismatch"]


def test_missing_weights_are_named(tmp_path):
    weights = small_weights()
    weights["dense"] = {}
    result = audit(write(tmp_path / "m.h5", small_config(), weights))
    assert codes(result) == ["missing-weights"] and "'dense'" in result["reasons"][0]["what"]


def test_a_listed_weight_that_is_not_stored_is_named(small):
    with h5py.File(small, "a") as file:
        del file["model_weights/dense/dense/bias:0"]
    assert "missing-weights" in codes(audit(small))


@pytest.mark.parametrize(
    ("bomb", "code"),
    [
        (layer("ZeroPadding2D", "pad", padding=[[50_000, 50_000], [50_000, 50_000]]), "activation-size"),
        (layer("UpSampling2D", "up", size=[5000, 5000]), "activation-size"),
        (layer("Resizing", "resize", height=100_000, width=100_000), "activation-size"),
        (layer("MaxPooling2D", "pool", pool_size=[9, 9]), "impossible-shape"),
        (layer("Cropping2D", "crop", cropping=[[5, 5], [5, 5]]), "impossible-shape"),
    ],
)
def test_layers_without_weights_can_be_bombs_too(tmp_path, bomb, code):
    config = sequential(
        input_layer(8, 8, 1), bomb, layer("GlobalAveragePooling2D", "mean"), layer("Dense", "dense", units=7)
    )
    path = write(tmp_path / "m.h5", config, {"dense": {"d/kernel": numbers(1, 7), "d/bias": numbers(7)}})
    assert codes(audit(path)) == [code]


def test_a_network_for_any_size_is_judged_at_the_size_of_this_course(tmp_path):
    def any_size(*extra):
        return sequential(
            input_layer(None, None, 1),
            *extra,
            layer("GlobalAveragePooling2D", "mean"),
            layer("Dense", "dense", units=7),
        )

    weights = {"dense": {"d/kernel": numbers(1, 7), "d/bias": numbers(7)}}
    good = audit(write(tmp_path / "good.h5", any_size(layer("UpSampling2D", "up", size=[2, 2])), weights))
    assert good["accepted"] and good["max_activation"] == 96 * 96
    assert good["layer_list"][1]["output_shape"] == [None, None, None, 1]
    bad = any_size(layer("UpSampling2D", "up", size=[5000, 5000]))
    assert codes(audit(write(tmp_path / "bad.h5", bad, weights))) == ["activation-size"]


def test_a_network_that_computes_for_hours_is_refused(tmp_path):
    config = sequential(
        input_layer(2000, 2000, 4),
        *[layer("Conv2D", f"c{index}", filters=4, kernel_size=[31, 31], padding="same") for index in range(4)],
    )
    weights = {f"c{index}": {"kernel": numbers(31, 31, 4, 4), "bias": numbers(4)} for index in range(4)}
    assert codes(audit(write(tmp_path / "m.h5", config, weights))) == ["flops"]


def test_models_that_call_themselves_twice_at_every_level_take_no_time(tmp_path):
    model = functional(
        [
            input_layer(4) | {"name": "i", "inbound_nodes": []},
            layer("ReLU", "r") | {"name": "r", "inbound_nodes": [node("i")]},
        ],
        [["i", 0, 0]],
        [["r", 0, 0]],
        "m0",
    )
    for depth in range(1, 35):
        child = model | {"name": f"m{depth - 1}", "inbound_nodes": [node("i"), node(f"m{depth - 1}")]}
        model = functional(
            [input_layer(4) | {"name": "i", "inbound_nodes": []}, child],
            [["i", 0, 0]],
            [[f"m{depth - 1}", 1, 0]],
            f"m{depth}",
        )
    started = time.process_time()
    result = audit(write(tmp_path / "m.h5", model, {"i": {}}))
    assert result["flops"] == 4 * 2**34 and time.process_time() - started < 2
    assert result["accepted"] == (result["flops"] <= Limits().max_flops)


def test_limits_hold_for_file_size_parameters_and_entries(small):
    assert codes(audit(small, limits=Limits(max_file_bytes=100))) == ["too-large"]
    assert codes(audit(small, limits=Limits(max_parameters=100))) == ["too-many-parameters"]
    assert codes(audit(small, limits=Limits(max_objects=3))) == ["too-many-objects"]
    assert codes(audit(small, limits=Limits(max_layers=2))) == ["too-many-layers"]
    assert codes(audit(small, limits=Limits(max_config_bytes=100))) == ["config-too-large"]


def test_the_students_names_cannot_fill_the_report(tmp_path):
    result = audit(with_layer(tmp_path, layer("X" * 100_000 + "\n\x1b[31m", "bad")))
    assert len(json.dumps(result["reasons"])) < 1000 and "\x1b" not in result["reasons"][0]["what"]


# Formats of ten years -------------------------------------------------------------------------------------------------


def test_keras_1_lists_and_its_old_words(tmp_path):
    config = {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Convolution2D",
                "config": {
                    "name": "convolution2d_1",
                    "batch_input_shape": [None, 48, 48, 1],
                    "input_dtype": "float32",
                    "nb_filter": 8,
                    "nb_row": 3,
                    "nb_col": 5,
                    "border_mode": "same",
                    "subsample": [2, 2],
                    "dim_ordering": "tf",
                    "init": "glorot_uniform",
                    "activation": "relu",
                    "bias": True,
                    "trainable": True,
                    "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.01},
                    "b_regularizer": None,
                    "W_constraint": None,
                    "b_constraint": None,
                    "activity_regularizer": None,
                },
            },
            {
                "class_name": "MaxPooling2D",
                "config": {
                    "name": "maxpooling2d_1",
                    "pool_size": [2, 2],
                    "strides": [2, 2],
                    "border_mode": "valid",
                    "dim_ordering": "tf",
                    "trainable": True,
                },
            },
            {"class_name": "Dropout", "config": {"name": "dropout_1", "p": 0.5, "trainable": True}},
            {"class_name": "Flatten", "config": {"name": "flatten_1", "trainable": True}},
            {
                "class_name": "Dense",
                "config": {
                    "name": "dense_1",
                    "output_dim": 7,
                    "input_dim": None,
                    "bias": True,
                    "init": "glorot_uniform",
                    "activation": "softmax",
                },
            },
        ],
    }
    weights = {
        "convolution2d_1": {"convolution2d_1_W:0": numbers(3, 5, 1, 8), "convolution2d_1_b:0": numbers(8)},
        "dense_1": {"dense_1_W:0": numbers(12 * 12 * 8, 7), "dense_1_b:0": numbers(7)},
    }
    result = audit(write(tmp_path / "m.h5", config, weights, version="1.2.2"))
    assert result["accepted"], result["reasons"]
    assert result["layers"] == ["Conv2D", "MaxPooling2D", "Dropout", "Flatten", "Dense"]
    assert result["input_shape"] == [None, 48, 48, 1] and result["output_shape"] == [None, 7]
    assert {note["code"] for note in result["notes"]} == {"list-config", "first-layer-input"}
    assert result["layer_list"][0]["config"]["kernel_size"] == [3, 5]


def test_keras_2_states_the_input_in_its_first_layer(tmp_path):
    config = sequential(layer("Dense", "dense", units=7, batch_input_shape=[None, 136], activation="softmax"))
    path = write(tmp_path / "m.h5", config, {"dense": {"d/kernel:0": numbers(136, 7), "d/bias:0": numbers(7)}}, "2.3.1")
    result = audit(path)
    assert result["accepted"] and result["input_shape"] == [None, 136]
    assert [note["code"] for note in result["notes"]] == ["first-layer-input"]


def test_a_nested_model_of_keras_2_is_followed(tmp_path):
    config, weights = keras_2_nested()
    result = audit(write(tmp_path / "model_3.h5", config, weights, version="2.15.0"))
    assert result["accepted"], result["reasons"]
    assert result["layers"] == ["InputLayer", "Functional", "Dense"]
    assert result["output_shape"] == [None, 7] and result["num_parameters"] == 20 + 8 + 21
    inner = result["layer_list"][1]
    assert inner["output_shape"] == [None, 2] and [child["name"] for child in inner["layers"]][1:3] == ["conv", "bn"]
    assert [child["num_parameters"] for child in inner["layers"]] == [0, 20, 8, 0]


def test_a_nested_model_with_other_weights_than_configured_is_refused(tmp_path):
    config, weights = keras_2_nested()
    config["config"]["layers"][1]["config"]["layers"][1]["config"]["filters"] = 500
    assert codes(audit(write(tmp_path / "m.h5", config, weights)))[0] == "weights-mismatch"


def test_branches_merge_and_keras_3_writes_them_its_own_way(tmp_path):
    def tensor(name):
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": [None, 8], "dtype": "float32", "keras_history": [name, 0, 0]},
        }

    def called(*names, **kwargs):
        arguments = [tensor(names[0])] if len(names) == 1 else [[tensor(name) for name in names]]
        return [{"args": arguments, "kwargs": kwargs}]

    layers = [
        input_layer(8, name="i") | {"name": "i", "inbound_nodes": []},
        layer("Dense", "a", units=3) | {"name": "a", "inbound_nodes": called("i")},
        layer("Dropout", "b", rate=0.5) | {"name": "b", "inbound_nodes": called("i", training=False)},
        layer("Concatenate", "c", axis=-1) | {"name": "c", "inbound_nodes": called("a", "b")},
        {
            "class_name": "TrueDivide",
            "config": {"name": "t"},
            "name": "t",
            "inbound_nodes": [{"args": [tensor("c"), 255.0], "kwargs": {}}],
        },
        layer("Dense", "out", units=7, activation="softmax") | {"name": "out", "inbound_nodes": called("t")},
    ]
    # The order of the layers in the file does not matter.
    config = functional(layers[::-1], ["i", 0, 0], ["out", 0, 0])
    weights = {
        "a": {"kernel": numbers(8, 3), "bias": numbers(3)},
        "out": {"kernel": numbers(11, 7), "bias": numbers(7)},
    }
    result = audit(write(tmp_path / "m.h5", config, weights))
    assert result["accepted"], result["reasons"]
    assert result["input_shape"] == [None, 8] and result["output_shape"] == [None, 7]
    assert [note["code"] for note in result["notes"]] == ["operation"]
    assert result["functional_inputs"] == [{"name": "i", "shape": [None, 8]}]


def test_an_object_in_a_call_is_refused(tmp_path):
    bad = [{"args": [], "kwargs": {"mask": {"class_name": "Evil", "module": "os", "config": {}}}}]
    layers = [
        input_layer(8, name="i") | {"name": "i", "inbound_nodes": []},
        layer("ReLU", "r") | {"name": "r", "inbound_nodes": bad},
    ]
    assert codes(audit(write(tmp_path / "m.h5", functional(layers, ["i", 0, 0], ["r", 0, 0])))) == ["custom-object"]


def test_states_of_random_layers_are_no_parameters(tmp_path):
    weights = {
        "dense": {"d/kernel:0": numbers(64, 7), "d/bias:0": numbers(7)},
        "flip": {"flip/StateVar:0": numpy.zeros(3, "i8")},
    }
    result = audit(with_layer(tmp_path, layer("RandomFlip", "flip", mode="horizontal", seed=None), weights=weights))
    assert result["accepted"] and result["num_parameters"] == 64 * 7 + 7


# Weights --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "fact"), [(numpy.nan, "nan"), (numpy.inf, "inf"), (0, "all_zero"), (0.5, "constant")]
)
def test_odd_weights_are_noticed_and_accepted(tmp_path, value, fact):
    weights = small_weights()
    weights["dense"]["dense/kernel:0"][:] = value
    result = audit(write(tmp_path / "m.h5", small_config(), weights))
    facts = result["weight_facts"]
    assert result["accepted"] and facts[fact] == ["dense"]
    assert all(facts[other] == [] for other in ("nan", "inf", "all_zero", "constant") if other != fact)
    json.dumps(result, allow_nan=False)


def test_one_nan_among_many_numbers_is_found(tmp_path):
    weights = small_weights()
    weights["conv2d"]["conv2d/kernel:0"][1, 1, 0, 2] = numpy.nan
    assert audit(write(tmp_path / "m.h5", small_config(), weights))["weight_facts"]["nan"] == ["conv2d"]


def test_an_untrained_network_is_noticed(tmp_path):
    weights = small_weights()
    assert audit(write(tmp_path / "m.h5", small_config(), weights))["weight_facts"]["untrained"] is False
    for arrays in weights.values():
        for name in arrays:
            if "bias" in name:
                arrays[name][:] = 0
    assert audit(write(tmp_path / "n.h5", small_config(), weights))["weight_facts"]["untrained"] is True


def test_the_weights_hash_does_not_change_with_the_file_around_them(tmp_path):
    weights = small_weights()
    one = audit(write(tmp_path / "a.h5", small_config(), weights))
    two = audit(write(tmp_path / "b.h5", small_config(), weights, version="2.9.0", optimizer=True))
    assert one["sha256"] != two["sha256"] and one["weight_facts"]["sha256"] == two["weight_facts"]["sha256"]


# .keras ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_keras_zip_is_audited_like_the_others(tmp_path, compression):
    result = audit_in_child(write_keras(tmp_path / "model_1.keras", compression=compression))
    assert result["accepted"], result["reasons"]
    assert (result["kind"], result["keras_version"], result["output_shape"]) == ("keras-zip", "3.9.0", [None, 7])
    assert result["num_parameters"] == 36 + 4 + 2304 * 7 + 7 and result["optimizer_state"]


def test_a_keras_zip_under_the_name_of_an_h5_is_refused_with_the_way_out(tmp_path):
    result = audit(write_keras(tmp_path / "model_1.h5"))
    assert (result["kind"], codes(result)) == ("keras-zip", ["keras-zip-name"])
    assert ".save(" in result["reasons"][0]["try"] and result["num_parameters"] == 36 + 4 + 2304 * 7 + 7
    assert audit(tmp_path / "model_1.h5", name="model_1.keras")["accepted"]


def test_the_refusals_hold_inside_a_keras_zip(tmp_path):
    lambda_model = sequential(input_layer(4), layer("Lambda", "bad"))
    assert codes(audit(write_keras(tmp_path / "a.keras", lambda_model))) == ["lambda"]
    assert "vocabulary" in codes(audit(write_keras(tmp_path / "b.keras", extra=[("assets/layers/vocab.txt", "x")])))
    wrong = {"layers/conv2d/vars/0": numbers(3, 3, 1, 4)}
    assert set(codes(audit(write_keras(tmp_path / "c.keras", arrays=wrong)))) == {"weights-mismatch", "missing-weights"}


def test_other_zips_are_named(tmp_path):
    for name, inside, kind in (
        ("a.h5", "archive/data.pkl", "pickle"),
        ("b.h5", "model_1.h5", "unknown"),
        ("c.h5", "x/saved_model.pb", "unknown"),
        ("d.h5", "x.npy", "unknown"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(inside, "x")
        result = audit(tmp_path / name)
        assert (result["kind"], codes(result)) == (kind, ["not-a-model"])


# The child ------------------------------------------------------------------------------------------------------------


def test_a_child_that_dies_or_never_ends_gives_a_reason(small, monkeypatch, tmp_path):
    marker = tmp_path / "written-by-child"
    for line, code in (
        ("os.kill(os.getpid(), 11)", "child-crashed"),
        ("bytearray(2**36)", "child-memory"),
        ("__import__('time').sleep(60)", "child-timeout"),
        ("print('no json'); os._exit(0)", "child-crashed"),
        (f"os.write(os.open({str(marker)!r}, os.O_CREAT | os.O_WRONLY), b'x' * 99)", "child-crashed"),
    ):
        broken = (
            "import sys, os; sys.path.append(sys.argv[1]); from expressions.model_file import child\n"
            f"def audit(*args, **kwargs):\n    {line}\n"
            "child.audit = audit\nchild.child_main(sys.argv[2])"
        )
        monkeypatch.setattr(child, "CHILD_PROGRAM", broken)
        result = audit_in_child(small, timeout=1.5)
        assert codes(result) == [code], (line, result["reasons"])
    assert marker.stat().st_size == 0


def test_the_audit_imports_no_tensorflow_and_the_package_stands_alone(small):
    code = (
        "import sys; sys.path.append(sys.argv[1]); from expressions import model_file; model_file.audit(sys.argv[2]);"
        "names = {name for name in sys.modules if name.split('.')[0] in ('keras', 'tensorflow', 'expressions')};"
        "print([name for name in names if name != 'expressions' and not name.startswith('expressions.model_file')])"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", code, str(ROOT), small], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_files_beside_the_package_cannot_stand_in_for_libraries(small, monkeypatch, tmp_path):
    for name in ("h5py", "numpy", "json", "zipfile"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the wrong {name}')")
    (tmp_path / "expressions").symlink_to(ROOT / "expressions")
    monkeypatch.setattr(child, "ROOM", str(tmp_path))
    assert audit_in_child(small)["accepted"]


# The command ----------------------------------------------------------------------------------------------------------


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "expressions.model_file", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_answers_by_exit_code(small, tmp_path):
    (tmp_path / "page.h5").write_bytes(BYTES["web page"][0])
    good, bad, none = command(small, "--json"), command(tmp_path / "page.h5"), command(tmp_path / "none.h5")
    assert (good.returncode, bad.returncode, none.returncode) == (0, 1, 2)
    assert json.loads(good.stdout)["accepted"] is True
    assert "Try" in bad.stdout and "none.h5" in none.stderr


def test_names_in_an_accepted_file_cannot_command_the_terminal(tmp_path, capsys):
    weights = {"dense": {"d/kernel": numbers(64, 7), "d/bias": numbers(7)}, "\x1b[2J": {}}
    path = with_layer(tmp_path, layer("ReLU", "\x1b[2J"), weights=weights)
    with h5py.File(path, "a") as file:
        file.attrs["keras_version"] = "3.\x1b[31m"
    assert main([str(path)]) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


def test_the_table_of_speed_is_printed(capsys):
    assert benchmark.run(["audit"], quick=True, repeats=1) == 0
    printed = capsys.readouterr().out
    assert "structure, inside the child" in printed and "not run" not in printed


def test_people_can_read_the_description(small):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([str(small)]) == 0
    text = out.getvalue()
    assert "model_1.h5   accepted" in text and "(any, 48, 48, 1)" in text and "16,175" in text


# Real files -----------------------------------------------------------------------------------------------------------

REAL = {
    "oarriaga": ("hdf5-model", [], "2.0.5", [None, 64, 64, 1], [None, 7], 58_423),
    "Johannestampere": ("hdf5-model", [], "3.9.0", [None, 48, 48, 1], [None, 7], 339_111),
    "Sammyregt": ("hdf5-model", [], "3.12.0", [None, 48, 48, 1], [None, 7], 309_895),
    "LucianaSimon": ("hdf5-model", [], "2.3.1", [None, 136], [None, 8], 2_600),
    "techprav2010": ("hdf5-model", ["lambda"], "2.1.6", None, None, None),
    "nhyan30": ("hdf5-weights", ["weights-only"], "2.8.0", None, None, 411_975),
    "Chhanda-das": ("lfs-pointer", ["lfs-pointer"], None, None, None, None),
    "Nagi2003": ("utf8-mangled", ["utf8-mangled"], None, None, None, None),
    "ishan-1010": ("html", ["html-page"], None, None, None, None),
    "Radhikakakad28": ("python-source", ["python-source"], None, None, None, None),
    "satsin06": ("hdf5-model", [], "3.10.0", [None, 40, 1], [None, 40, 4], 660),
}


@pytest.mark.parametrize("owner", REAL)
def test_files_from_public_repositories_get_the_right_verdict(real_data, owner):
    (path,) = (real_data / "models").glob(owner + "*")
    listed = {entry["file"]: entry for entry in json.loads((real_data / "models" / "manifest.json").read_text())}
    result = audit_in_child(path)
    found = (
        result["kind"],
        codes(result),
        result["keras_version"],
        result["input_shape"],
        result["output_shape"],
        result["num_parameters"],
    )
    assert found == REAL[owner]
    assert result["sha256"] == listed[path.name]["sha256"]
