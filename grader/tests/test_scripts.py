"""What stands around the TODOs works: choice of data, seeds, and the reference's own functions."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from expressions import datasets
from expressions.errors import DataError
from expressions.labels import EMOTIONS, emotion_id, emotion_in
from expressions.seeds import choose_seed

ROOT = Path(__file__).resolve().parents[2]


def load_reference(name):
    spec = importlib.util.spec_from_file_location(f"reference_{name}", ROOT / "grader" / "reference" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cnn():
    return load_reference("cnn")


@pytest.fixture(scope="module")
def cnnx():
    return load_reference("cnnx")


# --- Labels, seeds, data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelling", "name"), [("happy", "Happy"), (" JOY ", "Happy"), ("Anger", "Angry"), ("SU", "Surprise")]
)
def test_emotions_have_several_spellings(spelling, name):
    assert EMOTIONS[emotion_id(spelling)] == name


def test_unknown_emotion_is_refused_with_the_seven_names():
    with pytest.raises(ValueError, match=r"'bored'.*Angry.*Neutral"):
        emotion_id("bored")


def test_name_that_speaks_of_two_emotions_is_refused():
    assert emotion_in("IMG_0042_sad") == EMOTIONS.index("Sad")
    assert emotion_in("IMG_0042") is None
    with pytest.raises(ValueError, match="Happy and Sad"):
        emotion_in("sad_to_happy")


def test_seed_is_drawn_once_and_found_again(tmp_path, capsys):
    path = tmp_path / "seed.json"
    seed = choose_seed(path=path)
    assert choose_seed(path=path) == seed
    assert f"{seed}" in capsys.readouterr().out
    assert choose_seed(path=tmp_path / "other.json") != seed


def test_chosen_seed_takes_the_place_of_the_recorded_one(tmp_path):
    path = tmp_path / "seed.json"
    choose_seed(path=path)
    assert choose_seed(7, path=path) == 7
    assert json.loads(path.read_text()) == {"seed": 7}


def test_broken_seed_file_is_named(tmp_path):
    path = tmp_path / "seed.json"
    path.write_text("seven")
    with pytest.raises(DataError, match="delete the file"):
        choose_seed(path=path)


def test_named_file_wins_and_must_exist(tmp_path):
    csv = tmp_path / "mine.csv"
    csv.write_text("emotion,pixels,Usage\n")
    assert datasets.find_fer2013(csv)[0] == csv
    with pytest.raises(DataError, match="There is no"):
        datasets.find_faces(tmp_path / "nowhere.npz")


def test_real_file_in_its_place_is_used_and_the_first_line_says_so(tmp_path, monkeypatch):
    csv = tmp_path / "fer2013.csv"
    csv.write_text("emotion,pixels,Usage\n")
    monkeypatch.setattr(datasets, "FER2013_CSV", csv)
    path, description = datasets.find_fer2013()
    assert path == csv
    assert description.startswith("Data: FER-2013")


def test_without_the_real_file_the_synthetic_class_is_used_and_the_first_line_says_so(tmp_path, monkeypatch):
    import expressions.synthetic

    monkeypatch.setattr(datasets, "FER2013_CSV", tmp_path / "absent.csv")
    monkeypatch.setattr(expressions.synthetic, "ensure_fer2013", lambda: Path("synthetic.csv"), raising=False)
    path, description = datasets.find_fer2013()
    assert path.name == "synthetic.csv"
    assert "synthetic class" in description


def test_photos_in_only_one_of_the_two_folders_is_an_error(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "happy.png").write_bytes(b"x")
    with pytest.raises(DataError, match="no photos in test"):
        datasets.find_photo_folders(tmp_path)


# --- The reference ---------------------------------------------------------------------------------------------------


def test_pixel_strings_become_pictures(cnn):
    pixels = np.arange(2 * 2304) % 256
    images = cnn.prepare_images([" ".join(map(str, row)) for row in pixels.reshape(2, -1)])
    assert (images.shape, images.dtype) == ((2, 48, 48, 1), np.float32)
    assert np.allclose(images, pixels.reshape(2, 48, 48, 1) / 255)


def test_model_1_has_the_parameters_of_the_handout(cnn):
    assert cnn.make_model_1().count_params() == 26_224_263


def test_photos_of_every_kind_become_the_same_grey_picture(tmp_path):
    transfer = load_reference("transfer")
    grey = np.full((60, 60), 128, np.uint8)
    grey[:, 30:] = 255  # black would be lost in a transparent corner
    pictures = {
        "angry.png": Image.fromarray(grey),
        "disgust.png": Image.fromarray(np.stack([grey] * 3, axis=2)),
        "fear.png": Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)])),
        "happy.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "sad.jpg": Image.fromarray(grey),
        "surprise.png": Image.fromarray(grey).convert("P"),
        "neutral.png": Image.fromarray(grey).convert("LA"),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
    images, labels = transfer.load_photos(tmp_path)
    assert (images.shape, images.dtype, labels.tolist()) == ((7, 48, 48, 1), np.float32, list(range(7)))
    assert np.abs(images - images[:1]).max() < 0.02
    assert images.max() == pytest.approx(1, abs=0.01)


def test_every_point_has_its_cell_even_outside_the_bounds(cnnx):
    points = np.array([[0, 0, 0], [0, 0, 0], [9, 9, 9], [-9, -9, -9], [0.08, 0.1, 0.085]], dtype=np.float32)
    grid = cnnx.voxelize(points)
    assert grid.sum() == 5
    assert grid[-1, -1, -1] == 2
    assert grid[0, 0, 0] == 1
    assert grid.max() == 2


def test_voxels_are_indexed_x_y_z(cnnx):
    grid = cnnx.voxelize(np.array([[0.079, 0, 0]]))
    assert np.argwhere(grid)[0].tolist()[0] == 23


def test_split_keeps_people_apart_and_uses_every_row(cnnx):
    ids = np.random.default_rng(0).permutation(np.repeat([f"person {i}" for i in range(10)], 7))
    train, test = cnnx.split_by_subject(ids, 0.2, seed=3)
    assert set(ids[train]) & set(ids[test]) == set()
    assert len(set(ids[test])) == 2
    assert sorted([*train, *test]) == list(range(70))
    assert not np.array_equal(test, cnnx.split_by_subject(ids, 0.2, seed=4)[1])


def test_varied_clouds_stay_faces_of_the_same_person(cnnx):
    points = np.random.default_rng(0).normal(0, 0.05, (3, 50, 3))
    varied = cnnx.vary_clouds(points, num_copies=2)
    assert varied.shape == (6, 50, 3)
    assert np.abs(varied[:3] - points * [-1, 1, 1]).max() < 0.03
    assert np.abs(varied[3:] - points).max() < 0.03


@pytest.mark.parametrize("picture", ["17", "happy.png"])
def test_one_prediction_is_shown_for_a_number_or_a_file(tmp_path, picture):
    """test_cnn.py with the reference's cnn.py beside it and a small network."""
    import subprocess
    import sys

    import keras

    from expressions.synthetic import ensure_fer2013, ensure_photos

    shutil.copy(ROOT / "test_cnn.py", tmp_path)
    for script in ("cnn.py", "transfer.py"):
        shutil.copy(ROOT / "grader" / "reference" / script, tmp_path)
    model = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, "softmax")])
    model.save(tmp_path / "model_1.h5")
    if not picture.isdigit():
        picture = str(ensure_photos("demo") / "test" / picture)
    command = [sys.executable, "test_cnn.py", picture, "--data", str(ensure_fer2013("demo")), "--save", "shown.png"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model_1.h5 says " in done.stdout
    assert Image.open(tmp_path / "shown.png").size[0] > 200


def test_missing_model_is_a_sentence_not_a_traceback(tmp_path):
    import subprocess
    import sys

    command = [sys.executable, str(ROOT / "test_cnn.py"), "0", "--model", str(tmp_path / "none.h5")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "There is no" in done.stderr and "Traceback" not in done.stderr


def test_file_that_is_no_network_is_refused_before_keras_opens_it(tmp_path):
    import subprocess
    import sys

    (tmp_path / "model_1.h5").write_text("import keras\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "test_cnn.py"), "0"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Python" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        ("cnn.py", ["--data", "none.csv"], "There is no none.csv"),
        ("cnn.py", ["--epochs", "0"], "wanted 1 or more"),
        ("cnnx.py", ["--limit", "2", "--epochs", "1"], "Still to do: 12: "),
        ("transfer.py", [], "There is no model_2.h5 in this folder"),
    ],
)
def test_starter_ends_in_a_sentence_not_in_a_traceback(tmp_path, script, arguments, sentence):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, str(ROOT / script), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode in (1, 2)
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_todo_says_where_it_stands(capsys):
    from expressions.command_line import run_script

    def main():
        raise NotImplementedError("1b: Convert.")

    with pytest.raises(SystemExit) as ended:
        run_script(main)
    assert "Still to do: 1b: Convert." in str(ended.value)
    assert "test_scripts.py, line " in str(ended.value)


@pytest.mark.slow
def test_trial_with_ten_subjects_runs_to_its_end(tmp_path):
    import subprocess
    import sys

    command = [sys.executable, str(ROOT / "grader" / "reference" / "cnnx.py"), "--limit", "10", "--epochs", "1"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MPLBACKEND": "Agg"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "70 clouds of 10 subjects" in done.stdout


# --- The grade command -----------------------------------------------------------------------------------------------


def test_grading_what_is_not_there_is_a_bad_argument(tmp_path, capsys):
    from grader.__main__ import main

    assert main(["grade", str(tmp_path / "nobody.zip")]) == 2
    assert "There is no" in capsys.readouterr().err


def test_archive_that_cannot_be_read_needs_a_person_and_costs_nothing_yet(tmp_path, capsys):
    from grader.__main__ import main

    (tmp_path / "ada.zip").write_bytes(b"PK\x03\x04 half a zip")
    assert main(["grade", str(tmp_path / "ada.zip"), "--demo-data", "--out", str(tmp_path / "out")]) == 3
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {test.get("score") for test in results["tests"]} == {None}
    assert "Nothing in ada.zip could be read" in capsys.readouterr().out
