"""The model worker: odd inputs, other scalings, numbers that are none, and networks too large for it."""

import json

import h5py
import numpy as np
import pytest

from grader.sandbox import limits_from, run_worker

NUM_IMAGES = 12


def saved(path, shape, layers, summary="flat"):
    """Saves a small network from `shape` to seven numbers."""
    import keras

    inputs = keras.Input(shape)
    x = inputs
    for layer in layers:
        x = layer(x)
    x = keras.layers.Flatten()(x) if summary == "flat" else keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(7, activation="softmax")(x))
    model.save(path)
    return model


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """One run of the worker over networks of several forms; `(result, pictures, models)`."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("models")
    models = {
        "model_1": saved(folder / "model_1.h5", (48, 48, 1), [layers.Dropout(0.5), layers.Conv2D(2, 3, strides=4)]),
        "model_2": saved(
            folder / "model_2.h5", (3, 64, 64), [layers.AveragePooling2D(8, data_format="channels_first")]
        ),
        "model_3": saved(folder / "model_3.h5", (None, None, 1), [layers.Conv2D(3, 3)], "pooled"),
    }
    # 0.9 GB for one picture; the audit refuses it long before.
    saved(folder / "bomb.h5", (24, 24, 24, 1), [layers.Conv3D(4, 1)] * 1)
    with h5py.File(folder / "bomb.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        entries = config["config"]["layers"]
        size = 2 * 10**4
        entries[1]["config"]["filters"] = size
        group = file["model_weights"][entries[1]["config"]["name"]]
        for key in list(group.attrs["weight_names"]):
            shape = group[key].shape
            del group[key]
            group[key] = np.zeros((*shape[:-1], size), "float32")
        file.attrs["model_config"] = json.dumps(config)
    paths = {name: folder / f"{name}.h5" for name in models} | {"model_ec1": folder / "bomb.h5"}
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 48, 48), dtype=np.uint8)
    result = run_worker(
        "grader.worker.models",
        job={"models": {name: {"file": f"models/{path.name}"} for name, path in paths.items()}},
        inbox={"images": images, "voxels": np.zeros((2, 24, 24, 24), "float32")},
        limits=limits_from({"memory_gigabytes": 1}),
        probes=["model_1", "model_2", "model_3", "model_ec1", "model_1.variants", "model_3.variants"],
        files={f"models/{path.name}": path for path in paths.values()},
        level="rlimits",
    )
    assert not result.fault
    return result, images, models


def test_hidden_images_are_predicted_under_the_declared_preprocessing(answers):
    result, images, models = answers
    expected = np.asarray(models["model_1"](images[..., None].astype("float32") / 255, training=False))
    assert np.abs(result.arrays["model_1.hidden"] - expected).max() < 1e-5
    assert set(result.arrays) >= {"model_1.hidden", "model_1.variants.hidden_0_255"}


def test_other_scalings_are_a_probe_of_their_own(answers):
    result, images, models = answers
    expected = np.asarray(models["model_1"](images[..., None].astype("float32") / 127.5 - 1, training=False))
    assert np.abs(result.arrays["model_1.variants.hidden_minus1_1"] - expected).max() < 1e-4
    assert "model_1.hidden_minus1_1" not in result.arrays
    assert "layer_list" not in result.probes["model_1.variants"]["facts"]


def test_pictures_are_resized_coloured_and_turned_to_fit(answers):
    probe = answers[0].probes["model_2"]
    assert probe["status"] == "ok", probe["message"]
    assert probe["facts"]["adapted"] == "resized from 48×48 to 64×64, channels first, grey repeated in 3 channels"
    assert answers[0].arrays["model_2.hidden"].shape == (NUM_IMAGES, 7)


def test_a_network_for_pictures_of_any_size_gets_ours(answers):
    probe = answers[0].probes["model_3"]
    assert (probe["status"], probe["facts"]["adapted"]) == ("ok", "")


def test_a_network_that_asks_for_too_much_memory_costs_itself_alone(answers):
    probe = answers[0].probes["model_ec1"]
    assert probe["status"] == "memory"
    assert "memory" in probe["message"] and "model_ec1" in probe["message"]
    assert answers[0].probes["model_3.variants"]["status"] == "ok"


def test_networks_are_compared_by_what_is_stored(answers):
    facts = answers[0].probes["model_2"]["facts"]["same_as_model_1"]
    assert facts["shared_layers"] == 0 and not facts["identical"]


def test_a_batch_is_as_large_as_the_largest_layer_lets_it_be():
    import keras

    from grader.worker.models import BATCH_SIZE, batch_size

    assert batch_size(keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Conv2D(4, 3)])) == BATCH_SIZE
    large = keras.Sequential([keras.Input((512, 512, 1)), keras.layers.Conv2D(16, 3, padding="same")])
    nested = keras.Sequential([keras.Input((512, 512, 1)), large])
    assert batch_size(large) == batch_size(nested) == 2**26 // (512 * 512 * 16)


def test_a_network_too_slow_for_all_faces_says_so_early():
    from grader.worker import models
    from grader.worker.results import BadResult

    deadline = models._Deadline("model_2", {"limits": {"model_seconds": 10}})
    deadline.check(10, 1000)
    deadline.began -= 20
    done, when = deadline.first
    deadline.first = (done, when - 1)
    with pytest.raises(BadResult, match=r"model_2 takes 0\.10 s for a face, so 1.. s for the 1,000 hidden ones"):
        deadline.check(20, 1000)
