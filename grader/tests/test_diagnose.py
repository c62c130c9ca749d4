"""`grader diagnose`: networks of every shape, through the sandbox, to a sentence; and public models of real people."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from expressions.labels import EMOTIONS
from grader import __main__ as commands
from grader import flags
from grader.diagnose import Samples, count_cells, describe_task, diagnose_file
from grader.report.diagnosis import render_diagnosis

ROOT = Path(__file__).resolve().parents[2]
NUM_PICTURES = 300


# --- Networks whose knowledge is known -------------------------------------------------------------------------------


def patterns():
    """Seven pictures of noise: what the faces of these tests are made of."""
    return np.random.default_rng(0).normal(size=(7, 48, 48))


def pictures(seed=1, n=NUM_PICTURES):
    """Grey pictures, uint8 `(n, 48, 48)`, each with some of its label's pattern, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, n)
    return np.clip(128 + 6 * patterns()[labels] + 50 * random.normal(size=(n, 48, 48)), 0, 255).astype("uint8"), labels


# Runs in a process of its own: the tests' process stays without TensorFlow. A network compares a picture with the
# patterns, so it knows what a trained one would know.
MAKE_MODELS = """
import sys
import keras
import numpy as np
from keras import layers

folder, patterns = sys.argv[1], np.load(sys.argv[2])  # (7, 48, 48)
EMOTIONS = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")


def network(order=EMOTIONS, scale=1.0, shape=(48, 48, 1), turn=lambda p: p, last="softmax"):
    inputs = x = keras.Input(shape)
    if len(shape) == 3 and shape[2] == 3:
        x = layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 3))(x)
    if shape[0] == 96:
        x = layers.AveragePooling2D(2)(x)
    x = layers.Flatten()(x)
    dense = layers.Dense(len(order), activation=last)
    model = keras.Model(inputs, dense(x))
    chosen = [turn(patterns[EMOTIONS.index(name)]).ravel() if name in EMOTIONS else np.zeros(2304) for name in order]
    kernel = np.stack(chosen, axis=1) * 255 / 500 / scale
    dense.set_weights([kernel, -kernel.sum(axis=0) * scale * 0.5])
    return model


made = {
    "plain": network(),
    "bytes": network(scale=255.0),
    "alphabetical": network(order=sorted(EMOTIONS)),
    "transposed": network(turn=lambda p: p.T),
    "six": network(order=["Angry", "Fear", "Happy", "Sad", "Surprise", "Neutral"], last=None),
    "eight": network(order=["nothing", *EMOTIONS], last="sigmoid"),
    "coloured": network(shape=(96, 96, 3)),
    "flat": network(shape=(2304,)),
    "no_channel": network(shape=(48, 48)),
    "sound": keras.Sequential([keras.Input((40, 13)), layers.LSTM(4), layers.Dense(7)]),
}
two = keras.Input((48, 48, 1))
flat = layers.Flatten()(two)
made["two_heads"] = keras.Model(two, [layers.Dense(7)(flat), layers.Dense(1)(flat)])
voxels = keras.Sequential([keras.Input((24, 24, 24, 1)), layers.AveragePooling3D(8), layers.Flatten(), layers.Dense(7)])
made["voxels"] = voxels
for name, model in made.items():
    model.save(f"{folder}/{name}.h5")
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnosed")
    np.save(folder / "patterns.npy", patterns())
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", MAKE_MODELS, str(folder), str(folder / "patterns.npy")]
    subprocess.run(command, check=True, env=quiet, capture_output=True, timeout=120)
    return folder


def data(num_test=NUM_PICTURES):
    images, labels = pictures()
    samples = Samples("made up", "pictures", {"images": images}, labels, num_test, [("test", num_test)], "made up")
    points = np.random.default_rng(0).normal(size=(40, 500, 3)) * 0.03
    grids = count_cells(points, np.array([-0.1] * 3), np.array([0.1] * 3))
    inbox = {"voxels": grids, "voxels_own": grids}
    clouds = Samples("made up", "clouds", inbox, np.arange(40) % 7, 40, [("test", 40)], "made-up clouds")
    return SimpleNamespace(pictures=samples, clouds=clouds)


def test_network_that_was_trained_on_bytes_is_told_so(models):
    report = diagnose_file(models / "bytes.h5", data())
    assert report["best_preprocessing"] == "0-255"
    assert report["accuracy"]["[0, 1]"] < 0.25 < 0.4 < report["accuracy"]["0-255"]
    assert report["label_order"] == "fer2013"
    (finding,) = report["findings"]
    assert (finding["code"], finding["certainty"]) == ("pixels_never_divided", "certain")
    text = render_diagnosis(report)
    assert "never divided by 255" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 110
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.slow
def test_alphabetical_network_is_read_in_its_order(models):
    report = diagnose_file(models / "alphabetical.h5", data())
    assert (report["best_preprocessing"], report["label_order"]) == ("[0, 1]", "alphabetical")
    assert report["accuracy_in_label_order"]["[0, 1]"] > report["accuracy"]["[0, 1]"] + 0.1
    assert [finding["code"] for finding in report["findings"]] == ["label_order_differs"]
    assert "FER-2013's order" in render_diagnosis(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preprocessing", "order", "adapted"),
    [
        ("plain", "[0, 1]", "fer2013", ""),
        ("transposed", "transposed", "fer2013", ""),
        ("coloured", "[0, 1]", "fer2013", "resized from 48×48 to 96×96, grey repeated in 3 channels"),
        ("flat", "[0, 1]", "fer2013", "flattened"),
        ("no_channel", "[0, 1]", "fer2013", "the channel axis was dropped"),
        ("six", "[0, 1]", ["Angry", "Fear", "Happy", "Sad", "Surprise", "Neutral"], ""),
        ("eight", "[0, 1]", ["nothing", *EMOTIONS], ""),
    ],
)
def test_network_of_another_shape_is_asked_all_the_same(models, name, preprocessing, order, adapted):
    report = diagnose_file(models / f"{name}.h5", data())
    assert report["status"] == "ok", report["message"]
    assert (report["best_preprocessing"], report["label_order"]) == (preprocessing, order)
    assert report["adapted"] == adapted
    assert report["best_accuracy"] > 0.35
    assert render_diagnosis(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [("sound", "sequences of shape (40, 13)"), ("two_heads", "several inputs or outputs")],
)
def test_network_for_another_task_is_called_that(models, name, said):
    report = diagnose_file(models / f"{name}.h5", data())
    assert report["status"] == "ok", report["message"]
    assert said in report["verdict"] and report["accuracy"] == {} and report["label_order"] is None
    assert said in " ".join(render_diagnosis(report).split())


@pytest.mark.slow
def test_voxel_network_is_asked_about_clouds(models):
    report = diagnose_file(models / "voxels.h5", data())
    assert report["status"] == "ok", report["message"]
    assert {"fixed bounds", "own bounds", "occupied"} <= set(report["accuracy"])
    assert report["best_preprocessing"] is None
    assert "clouds" in report["verdict"]


def test_file_that_is_no_network_is_explained_without_a_worker(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a worker was started")

    monkeypatch.setattr("grader.diagnose.Worker", refuse)
    path = tmp_path / "model_1.h5"
    path.write_text("<!DOCTYPE html><html><head><title>model_1.h5 at main</title></head></html>")
    report = diagnose_file(path, data())
    assert (report["status"], report["route"], report["accuracy"]) == ("refused", None, {})
    assert "model_1.h5 at main" in report["verdict"]
    assert report["findings"][0]["code"] and report["findings"][0]["try"]
    assert "web page" in render_diagnosis(report)


# --- The command -----------------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    status = commands.main(["diagnose", *map(str, arguments)])
    output = capsys.readouterr()
    return status, output.out, output.err


def test_command_prints_json_with_the_keys_that_others_read(tmp_path, capsys):
    path = tmp_path / "fer.h5"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 302951655\n")
    status, out, _ = run(capsys, path, "--json")
    report = json.loads(out)
    wanted = {"audit", "route", "accuracy", "best_preprocessing", "label_order", "findings"}
    assert wanted <= set(report)
    assert report["audit"]["kind"] == "lfs-pointer"
    assert status == 0, "nothing is left for a person to find out"


def test_refused_network_is_for_a_person(tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "model_1.h5"
    layer = {"class_name": "Lambda", "config": {"name": "x", "function": ["4wEAAAA=", None, None]}}
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}})
        file.attrs["keras_version"] = "2.9.0"
        file.create_dataset("model_weights/x/x/kernel:0", data=np.ones((3, 3), "float32"))
        file["model_weights"].attrs["layer_names"] = [b"x"]
        file["model_weights/x"].attrs["weight_names"] = [b"x/kernel:0"]
    status, out, _ = run(capsys, path)
    assert status == 3
    assert "Lambda" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere.h5"], "There is no file nowhere.h5"), ([__file__, "--fer2013", "nowhere.csv"], "nowhere.csv")],
)
def test_missing_file_is_a_bad_argument(capsys, arguments, said):
    status, _, err = run(capsys, *arguments)
    assert status == 2 and said in err


@pytest.mark.parametrize("limit", ["0", "-3", "many"])
def test_limit_is_a_number_above_0(capsys, limit):
    with pytest.raises(SystemExit) as ended:
        run(capsys, __file__, "--limit", limit)
    assert ended.value.code == 2


# --- What a network is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("takes", "gives", "said", "kind"),
    [
        ([None, 48, 48, 1], [None, 7], "grey pictures of 48 × 48; gives 7 outputs", "pictures"),
        ([None, 224, 224, 3], [None, 6], "colour pictures of 224 × 224; gives 6 outputs, not 7", "pictures"),
        ([None, None, None, 1], [None, 7], "pictures of any size", "pictures"),
        ([None, 1, 48, 48], [None, 7], "grey pictures of 48 × 48", "pictures"),
        ([None, 2304], [None, 7], "pictures as 2,304 numbers", "pictures"),
        ([None, 48, 48], [None, 7], "grey pictures of 48 × 48", "pictures"),
        ([None, 48, 48, 1], [None, 1, 1, 7], "an output of shape (1, 1, 7)", "pictures"),
        ([None, 48, 48, 1], [None, 48, 48, 1], "an output of shape (48, 48, 1)", "other"),
        ([None, 48, 48, 1], [None, 1], "a yes or no, or a number", "other"),
        ([None, 24, 24, 24, 1], [None, 7], "24 × 24 × 24 voxels", "clouds"),
        ([None, 136], [None, 8], "136 numbers, perhaps the x and y of 68 landmarks", "other"),
        ([None, 40, 1], [None, 40, 4], "sequences of shape (40, 1)", "other"),
        ([None, 30, 48, 48, 1], [None, 7], "arrays of shape (30, 48, 48, 1)", "other"),
        ([[None, 48, 48, 1], [None, 10]], [None, 7], "several inputs", "other"),
        (None, None, "not fixed", "other"),
    ],
)
def test_network_is_described_by_its_shapes(takes, gives, said, kind):
    words, found = describe_task({"input_shape": takes, "output_shape": gives})
    assert said in words
    assert found == kind


def test_cells_are_counted_as_the_reference_counts_them():
    random = np.random.default_rng(0)
    points = random.normal(size=(3, 200, 3)) * 0.05
    lower, upper = np.array([-0.080, -0.125, -0.035]), np.array([0.080, 0.100, 0.085])
    grids = count_cells(points, lower, upper)
    for cloud, grid in zip(points, grids, strict=True):
        wanted = np.zeros((24, 24, 24))
        cells = np.clip(np.floor((cloud - lower) / (upper - lower) * 24).astype(int), 0, 23)
        np.add.at(wanted, tuple(cells.T), 1)
        assert np.array_equal(grid, wanted)


# --- Flags -----------------------------------------------------------------------------------------------------------


def codes(found):
    return [flag["code"] for flag in found]


def test_public_model_is_flagged_by_its_bytes():
    (sha256, entry), *_ = flags.known_models().items()
    (flag,) = flags.file_flags({"sha256": sha256}, "model_2")
    assert flag["code"] == "known_model" and entry["repository"] in flag["what"]
    assert flags.file_flags({"sha256": "0" * 64}, "model_2") == []


def test_public_model_in_another_file_is_flagged_by_its_weights():
    sha256, entry = next(iter(flags.known_weights().items()))
    (flag,) = flags.file_flags({"sha256": "0" * 64, "weight_facts": {"sha256": sha256}}, "model_2")
    assert "has the same weights" in flag["what"] and entry["path"] in flag["what"]


def test_list_of_public_models_has_a_sum_for_each():
    for sha256, entry in flags.known_models().items():
        for value in (sha256, entry.get("weights_sha256", sha256)):
            assert len(value) == 64 and set(value) <= set("0123456789abcdef")
        assert set(entry) - {"weights_sha256"} == {"sha256", "repository", "path"}


@pytest.mark.parametrize(
    ("counted", "wanted"),
    [
        ({"PublicTest": (0.66, 3589), "PrivateTest": (0.66, 1794), "Training": (0.75, 1000)}, []),
        ({"PublicTest": (0.52, 3589), "PrivateTest": (0.53, 1794), "Training": (0.55, 1000)}, []),
        (
            {"PublicTest": (0.90, 3589), "PrivateTest": (0.66, 1794)},
            ["trained_on_public_test", "better_than_published"],
        ),
        ({"PublicTest": (0.68, 3589), "PrivateTest": (0.66, 1794)}, []),
        (
            {"PublicTest": (0.95, 3589), "PrivateTest": (0.95, 1794), "Training": (0.95, 1000)},
            ["trained_on_everything", "better_than_published"],
        ),
        (
            {"PublicTest": (0.70, 3589), "PrivateTest": (0.70, 1794), "Training": (0.70, 1000)},
            ["trained_on_everything"],
        ),
        ({"PublicTest": (0.45, 3589), "PrivateTest": (0.45, 1794), "Training": (0.45, 1000)}, []),
        ({"PublicTest": (0.9, 20)}, []),
    ],
)
def test_accuracies_that_a_person_should_look_at_are_flagged(counted, wanted):
    numbers = {name: (round(share * n), n) for name, (share, n) in counted.items()}
    assert codes(flags.split_flags("fer2013", numbers)) == wanted


def submission(**models):
    return SimpleNamespace(
        models=models,
        audits={name: {"sha256": model.pop("sha256", name)} for name, model in models.items()},
        arrays={},
        probes={},
    )


SAME = {"shared_layers": 3, "num_layers": 3, "relative_distance": 0.0, "correlation": 1.0, "identical": True}
TUNED = {**SAME, "relative_distance": 0.1, "correlation": 0.99, "identical": False}
OTHER = {**SAME, "relative_distance": 1.4, "correlation": 0.02, "identical": False}


@pytest.mark.parametrize(
    ("second", "third", "wanted"),
    [
        ({}, {"descends_from_model_2": TUNED}, []),
        ({"same_as_model_1": OTHER}, {"descends_from_model_2": TUNED}, []),
        ({"same_as_model_1": SAME}, {"descends_from_model_2": TUNED}, ["model_2_is_model_1"]),
        ({}, {"descends_from_model_2": SAME}, ["model_3_is_model_2"]),
        ({"sha256": "same"}, {"sha256": "same"}, ["model_3_is_model_2"]),
        ({}, {"descends_from_model_2": OTHER}, ["model_3_not_from_model_2"]),
        (
            {},
            {"descends_from_model_2": {**TUNED, "shared_layers": 0, "correlation": None}},
            ["model_3_not_from_model_2"],
        ),
        ({}, {}, []),
    ],
)
def test_kinship_of_networks_is_flagged(second, third, wanted):
    ok = {"status": "ok"}
    work = submission(model_1=dict(ok), model_2={**ok, **second}, model_3={**ok, **third})
    hidden = SimpleNamespace(name="demo", labels=np.arange(7))
    assert codes(flags.submission_flags(work, hidden)) == wanted


def test_untrained_network_is_flagged_from_its_audit():
    audit = {"sha256": "0", "notes": [{"code": "untrained", "what": "every bias has its first value"}]}
    assert codes(flags.file_flags(audit, "model_1")) == ["untrained_weights"]


# --- Public models, which real people trained ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fer2013(real_data):
    fer = np.load(real_data / "fer2013.npz")
    rows = np.flatnonzero(fer["usage"] == 1)[:300]
    images, labels = fer["images"][rows], fer["labels"][rows].astype(int)
    samples = Samples("fer2013", "pictures", {"images": images}, labels, 300, [("PublicTest", 300)], "PublicTest")
    return SimpleNamespace(pictures=samples, clouds=None)


@pytest.mark.parametrize(
    ("name", "preprocessing", "order", "low", "high", "handout"),
    [
        ("oarriaga", "[-1, 1]", "fer2013", 0.57, 0.74, 0.64),
        ("Johannestampere", "0-255", "fer2013", 0.43, 0.62, 0.25),
        ("Sammyregt", "[0, 1]", "alphabetical", 0.43, 0.62, 0.44),
    ],
)
def test_public_model_is_right_under_its_own_scaling_and_order(
    real_data, fer2013, name, preprocessing, order, low, high, handout
):
    (path,) = (real_data / "models").glob(f"{name}*")
    report = diagnose_file(path, fer2013)
    assert (report["best_preprocessing"], report["label_order"]) == (preprocessing, order)
    assert low < report["best_accuracy"] < high
    assert report["accuracy"]["[0, 1]"] < handout
    assert len(report["findings"]) == 1
    assert codes(report["flags"]) == ["known_model"]
    assert report["audit"]["weight_facts"]["sha256"] in flags.known_weights()
    text = " ".join(render_diagnosis(report).split())
    assert report["findings"][0]["what"] in text and report["verdict"] in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LucianaSimon", "takes 136 numbers, perhaps the x and y of 68 landmarks"),
        ("satsin06", "takes sequences of shape (40, 1)"),
        ("techprav2010", "Lambda"),
        ("nhyan30", "weights"),
        ("Chhanda-das", "Git LFS pointer"),
        ("Nagi2003", "text"),
        ("ishan-1010", "web page"),
        ("Radhikakakad28", "Python"),
    ],
)
def test_public_file_is_called_what_it_is(real_data, fer2013, name, said):
    (path,) = (real_data / "models").glob(f"{name}*")
    report = diagnose_file(path, fer2013)
    assert said in report["verdict"]
    assert report["accuracy"] == {}
    assert said in " ".join(render_diagnosis(report).split())
