"""Files of every Keras give what they gave where they were made, and the route says how."""

import functools
import importlib.util
import json
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from expressions.model_file import audit
from grader.worker import repair
from grader.worker.kinship import kinship_of_files
from grader.worker.repair import Changes, Era, Reference

OLD_MODELS = Path(__file__).with_name("old_models")
AGREEMENT = 1e-5
# bfloat16 has 8 bits; how sums are rounded depends on how they are fused.
HALF_AGREEMENT = 2e-2


@functools.cache
def names_of_old_models():
    """Lists `keras-1.2.2-plain.h5` and its like, of all archives."""
    found = []
    for path in sorted(OLD_MODELS.glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            found += sorted(name for name in archive.getnames() if name.endswith((".h5", ".keras")))
    return [name for name in found if "weights" not in name]


# Fast: one of each kind, where an old file differs most from today's. All others are slow.
FAST = [
    *[f"keras-1.2.2-{case}.h5" for case in ("plain", "first_dense", "separable", "recurrent", "merged", "transfer")],
    *[f"keras-1.2.2-{case}.h5" for case in ("nested_twice", "channels_first", "voxels", "spatial", "rectifiers")],
    *[f"keras-2.0.8-{case}.h5" for case in ("plain", "mobilenet", "mini_xception", "regression")],
    *[f"keras-2.3.1-{case}.h5" for case in ("transfer_functional", "nested_twice", "rectifiers", "channels_first")],
    *[f"keras-2.4.0-{case}.h5" for case in ("arithmetic", "augmented", "separable", "recurrent", "attention")],
    *[f"keras-2.15.0-{case}.h5" for case in ("transfer_functional", "shared", "squeeze", "half_precision")],
    *["keras-3.0.5-arithmetic.h5", "keras-3.0.5-nested_twice.keras"],
]


@pytest.fixture(scope="module")
def old_models(tmp_path_factory):
    """Returns the folder of all old files, unpacked."""
    folder = tmp_path_factory.mktemp("old_models")
    for path in OLD_MODELS.glob("*.tar.xz"):
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def loading():
    """Imports the loader, and Keras with it."""
    from grader.worker import loading

    return loading


def entry_of(path):
    """Returns what the worker is told of a file."""
    found = audit(path, weights=False)
    return {key: found[key] for key in ("input_shape", "output_shape", "num_parameters")}


def disagreement(model, folder, name):
    """Returns the largest difference from the predictions that were recorded where the file was made."""
    version, case = name.rsplit(".", 1)[0].rsplit("-", 1)
    with np.load(folder / f"{version}.npz") as recorded:
        return np.abs(np.asarray(model(recorded[f"x-{case}"], training=False)) - recorded[f"y-{case}"]).max()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in names_of_old_models()]
)
def test_an_old_file_predicts_what_it_did(name, old_models, loading, tmp_path):
    path = old_models / name
    before = path.read_bytes()
    model, route = loading.load(path, entry_of(path), tmp_path)
    assert disagreement(model, old_models, name) < (HALF_AGREEMENT if "half_precision" in name else AGREEMENT)
    wanted = "loaded by Keras" if path.suffix == ".keras" else "built anew from its configuration (Keras "
    assert route.startswith(wanted)
    assert path.read_bytes() == before


def test_every_fast_file_is_there():
    assert set(FAST) <= set(names_of_old_models())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("keras-1.2.2-plain.h5", "the names of Keras 1"),
        ("keras-1.2.2-plain.h5", "a configuration that is a list, as before Keras 2.2.3"),
        ("keras-1.2.2-channels_first.h5", "kernels in Theano's order of axes"),
        ("keras-2.3.1-first_dense.h5", "an input of its own for the first layer"),
        ("keras-2.0.8-recurrent.h5", "hard_sigmoid as Keras 1 and 2 computed it"),
        ("keras-2.4.0-separable.h5", "the setting groups"),
        ("keras-2.15.0-recurrent.h5", "the setting time_major"),
        ("keras-2.15.0-nested_twice.h5", "numbers of the calls of nested models"),
        ("keras-2.15.0-arithmetic.h5", "arithmetic between its layers"),
    ],
)
def test_the_route_says_what_was_taken_care_of(name, words, old_models, loading, tmp_path):
    path = old_models / name
    assert words in loading.load(path, entry_of(path), tmp_path)[1]


@pytest.mark.parametrize(
    "name",
    ["keras-1.2.2-plain.h5", "keras-2.4.0-separable.h5", "keras-2.15.0-recurrent.h5", "keras-2.15.0-arithmetic.h5"],
)
def test_keras_alone_does_not_load_it(name, old_models, loading):
    from keras.saving import load_model

    with pytest.raises(Exception):  # noqa: B017 each fails in its own way
        load_model(old_models / name, compile=False)


def test_keras_alone_loads_it_as_another_network(old_models, loading):
    """Why a file that loads without complaint is not believed."""
    from keras.saving import load_model

    path = old_models / "keras-2.3.1-first_dense.h5"
    declared = entry_of(path)["input_shape"]
    model = load_model(path, compile=False)
    assert declared == [None, 9] and list(model.input_shape) != declared
    with pytest.raises(loading.LoadError, match="declares the input shape"):
        loading.check_against_audit(model, entry_of(path))


# Files made here -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cases(loading):
    """The networks of `make_old_models.py`, for today's Keras."""
    spec = importlib.util.spec_from_file_location("make_old_models", OLD_MODELS / "make_old_models.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(cases, name, path):
    """Saves a network of today's Keras with random weights; returns inputs and predictions."""
    random = np.random.RandomState(3)
    model = cases.CASES[name][0]()
    cases.randomize(model, random)
    x = random.uniform(0, 1, (3, *model.input_shape[1:])).astype("float32")
    model.save(path)
    return x, np.asarray(model(x, training=False))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", ["plain", "transfer_functional", "arithmetic", "augmented"])
def test_a_file_of_today_predicts_what_it_did(name, suffix, cases, loading, tmp_path):
    path = tmp_path / f"model_1{suffix}"
    x, y = made(cases, name, path)
    model, _ = loading.load(path, entry_of(path), tmp_path)
    assert np.abs(np.asarray(model(x, training=False)) - y).max() < AGREEMENT


def rewrite(path, change):
    """Changes the configuration of a file in place."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
            file.attrs["keras_version"] = "3.99.0"
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    parts["metadata.json"] = json.dumps({"keras_version": "3.99.0"}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_file_of_a_newer_keras_loads_without_its_new_settings(suffix, cases, loading, tmp_path):
    path = tmp_path / f"model_1{suffix}"
    x, y = made(cases, "plain", path)

    def add_settings(config):
        for layer in config["config"]["layers"]:
            layer["config"].update(a_later_setting=2, another_later_setting=None)

    rewrite(path, add_settings)
    model, route = loading.load(path, entry_of(path), tmp_path)
    assert np.abs(np.asarray(model(x, training=False)) - y).max() < AGREEMENT
    assert "Keras 3.99.0" in route and "a_later_setting" in route and "another_later_setting" not in route


def test_layers_of_a_gpu_become_ordinary_ones(cases, loading, tmp_path):
    import keras

    layers = keras.layers
    plain = keras.Sequential(
        [
            layers.Input((5, 4)),
            layers.LSTM(3, return_sequences=True, name="lstm"),
            layers.GRU(2, name="gru"),
            layers.Dense(7, name="dense"),
        ]
    )
    random = np.random.RandomState(1)
    cases.randomize(plain, random)
    x = random.uniform(0, 1, (3, 5, 4)).astype("float32")
    y = np.asarray(plain(x, training=False))
    path = tmp_path / "model_1.h5"
    plain.save(path)

    def to_cudnn(arrays, gates):
        # The inverse of what the loader does, after Keras 2.3.1: each gate transposed, laid out the other way.
        kernel, recurrent, bias = arrays
        kernel = np.hstack([part.T.reshape(part.shape, order="C") for part in np.hsplit(kernel, gates)])
        # `.T.reshape(order="C")` undoes `.T.reshape(order="F")` only through the transposed shape.
        recurrent = np.hstack([part.T for part in np.hsplit(recurrent, gates)])
        return kernel, recurrent, np.tile(0.5 * bias, 2) if gates == 4 else bias.reshape(-1)

    def rename(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] in ("LSTM", "GRU"):
                kept = ("name", "units", "return_sequences")
                layer["config"] = {key: layer["config"][key] for key in kept}
                layer["class_name"] = "CuDNN" + layer["class_name"]

    rewrite(path, rename)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.3.1"
        for name, gates in (("lstm", 4), ("gru", 3)):
            group = file["model_weights"][name]
            keys = [str(key) for key in group.attrs["weight_names"]]
            arrays = to_cudnn([group[key][()] for key in keys], gates)
            for key, array in zip(keys, arrays, strict=True):
                del group[key]
                group[key] = array
    model, route = loading.load(path, {"input_shape": [None, 5, 4], "output_shape": [None, 7]}, tmp_path)
    assert np.abs(np.asarray(model(x, training=False)) - y).max() < AGREEMENT
    assert "CuDNNLSTM of a GPU as LSTM" in route


# What cannot be loaded ---------------------------------------------------------------------------------------------


def test_weights_without_architecture_say_what_is_missing(old_models, loading, tmp_path):
    with pytest.raises(loading.LoadError, match=r"weights without an architecture\. Save it with model.save"):
        loading.load(shutil.copy(old_models / "keras-2.15.0-weights_only.h5", tmp_path / "model_2.h5"), {}, tmp_path)


@pytest.mark.parametrize(
    "version", ["keras-2.3.1", *[pytest.param(one, marks=pytest.mark.slow) for one in ("keras-2.0.8", "keras-2.15.0")]]
)
def test_weights_and_an_architecture_beside_them_make_a_network(version, old_models, loading, tmp_path):
    for suffix, name in ((".h5", "model_2.h5"), (".json", "model_2.json")):
        shutil.copy(old_models / f"{version}-weights_only{suffix}", tmp_path / name)
    model, route = loading.load(tmp_path / "model_2.h5", {}, tmp_path)
    assert disagreement(model, old_models, f"{version}-weights_only.h5") < AGREEMENT
    assert "the architecture from model_2.json" in route


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"input_shape": [None, 48, 48, 1]}, r"declares the input shape \(None, 48, 48, 1\), but loads with"),
        ({"output_shape": [None, 8]}, r"declares the output shape \(None, 8\), but loads with \(None, 7\)"),
        ({"num_parameters": 12}, "stores 12 parameters, but loads with"),
    ],
)
def test_a_network_other_than_the_audited_is_refused(entry, words, cases, loading, tmp_path):
    path = tmp_path / "model_1.h5"
    made(cases, "plain", path)
    with pytest.raises(loading.LoadError, match=words):
        loading.load(path, entry, tmp_path)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("NoSuchLayer", {}, "has a layer NoSuchLayer, which Keras .* does not know"),
        ("Dense", {"activation": "os.system"}, "has the activation 'os.system', which Keras .* does not know"),
        ("Dense", {"activation": "deserialize"}, "has the activation 'deserialize', which Keras .* does not know"),
        ("Dense", {"units": 9}, r"stores weights of shapes \(75, 7\), \(7,\) for the layer .* Wanted \(75, 9\)"),
        ("BatchNormalization", {"mode": 2}, "normalises in mode 2, as only Keras 1 could"),
        ("LSTM", {"time_major": True}, "takes time as its first axis, which Keras 3 cannot"),
    ],
)
def test_a_layer_that_cannot_be_built_is_named(kind, settings, words, cases, loading, tmp_path):
    path = tmp_path / "model_1.h5"
    made(cases, "plain", path)

    def spoil(config):
        last = config["config"]["layers"][-1]
        last["class_name"] = kind
        last["config"].update(settings)

    rewrite(path, spoil)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.15.0"
    with pytest.raises(loading.LoadError, match=words):
        loading.load(path, {}, tmp_path)


# Configurations, without Keras ---------------------------------------------------------------------------------------


def test_calls_are_read_in_the_words_of_every_keras():
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}}
    one, two = Reference("a", 0, 0), Reference("b", 1, 0)
    assert repair.calls([[["a", 0, 0]]]) == [([one], {})]
    assert repair.calls([[["a", 0, 0, {}], ["b", 1, 0, {}]]]) == [([[one, two]], {})]
    assert repair.calls([["a", 0, 0, {"y": 2.0}]]) == [([one], {"y": 2.0})]
    assert repair.calls([["_CONSTANT_VALUE", -1, 1.0, {"y": ["b", 1, 0]}]]) == [([1.0], {"y": two})]
    assert repair.calls([{"args": [tensor, 2.0], "kwargs": {"mask": None}}]) == [([one, 2.0], {"mask": None})]


def test_calls_of_a_nested_model_count_from_where_its_keras_counted():
    used = [Reference("base", 1, 0), Reference("base", 2, 0), Reference("dense", 0, 0)]
    assert repair.first_node("base", 2, used) == 1
    assert repair.first_node("base", 3, used) == 0
    assert repair.first_node("dense", 1, used) == 0


def test_hard_sigmoid_keeps_the_meaning_of_its_time():
    settings = {"name": "a", "activation": "hard_sigmoid"}
    old, changes = repair.modern_layer("Activation", settings, Era.of("2.3.1"), Changes())[1], Changes()
    assert old["activation"] == "old_hard_sigmoid"
    assert repair.modern_layer("Activation", settings, Era.of("3.4.0"), changes)[1]["activation"] == "hard_sigmoid"
    assert not changes.said


def test_kernels_of_theano_are_turned_round():
    kernel = np.arange(9.0).reshape(3, 3, 1, 1)
    for backend, expected in (("theano", kernel[::-1, ::-1]), ("tensorflow", kernel)):
        turned = repair.modern_weights("Conv2D", "Conv2D", {}, [kernel], Era.of("2.0.8", backend), Changes())
        assert np.array_equal(turned[0], expected)


def test_a_configuration_is_read_without_tensorflow():
    source = Path(repair.__file__).read_text()
    assert "keras" not in {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith("import ")}
    assert Path(sys.modules[Era.__module__].__file__).name == "repair.py"


# Kinship of files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffixes", [(".h5", ".h5"), (".h5", ".keras"), (".keras", ".keras")])
@pytest.mark.parametrize("name", ["plain", "transfer_functional"])
def test_a_fine_tuned_copy_is_known_by_its_stored_weights(name, suffixes, cases, loading, tmp_path):
    first, second = (tmp_path / f"model_{number}{suffix}" for number, suffix in zip((2, 3), suffixes, strict=True))
    model = cases.CASES[name][0]()
    cases.randomize(model, np.random.RandomState(3))
    model.save(first)
    model.save(second)
    same = kinship_of_files(first, second)
    assert same["identical"] and same["shared_layers"] == same["num_layers"] > 2
    model.set_weights([weight + (0.01 if weight.dtype.kind == "f" else 0) for weight in model.get_weights()])
    model.save(second)
    child = kinship_of_files(first, second)
    assert not child["identical"] and child["correlation"] > 0.99 and 0 < child["relative_distance"] < 0.1
    cases.randomize(model, np.random.RandomState(4))
    model.save(second)
    assert kinship_of_files(first, second)["correlation"] < 0.9


def test_an_old_file_and_todays_have_layers_in_common(old_models, tmp_path):
    copy = tmp_path / "copy.h5"
    shutil.copy(old_models / "keras-1.2.2-nested_twice.h5", copy)
    assert kinship_of_files(old_models / "keras-1.2.2-nested_twice.h5", copy)["identical"]
    other = kinship_of_files(old_models / "keras-2.0.8-nested_twice.h5", copy)
    # Both were filled with the same random numbers, by names that differ: batchnormalization_1_gamma:0, and so on.
    assert other["shared_layers"] == other["num_layers"] and other["identical"]
