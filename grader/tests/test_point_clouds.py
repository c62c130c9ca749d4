"""faces.py and npz: what is read, and every way in which a file can be wrong."""

import re

import numpy as np
import pytest

from expressions.errors import DataError
from expressions.labels import EMOTIONS
from expressions.point_clouds import PointClouds, load_point_clouds, save_point_clouds

ALPHABETICAL = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def person(num_points=2, emotions=ALPHABETICAL, **changes):
    """One person's emotions; the x of each point is the label, so that nothing can change places unseen."""
    faces = {}
    for emotion in emotions:
        label = [name.lower() for name in EMOTIONS].index(emotion)
        faces[emotion] = {"x": [label / 10] * num_points, "y": [-0.5] * num_points, "z": [0] * num_points}
    faces.update(changes)
    return faces


@pytest.fixture
def faces_py(tmp_path):
    """Writes text as faces.py; returns the path."""

    def write(text):
        path = tmp_path / "faces.py"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_labels_follow_the_list_of_emotions_whatever_the_order_of_the_keys(faces_py):
    shuffled = person(emotions=("surprise", "neutral", "angry", "happy", "sad", "fear", "disgust"))
    shuffled["sad"] = dict(reversed(shuffled["sad"].items()))
    clouds = load_point_clouds(faces_py(f"face_samples = { {'b': shuffled, 'a': person()} }"))
    assert clouds.points.shape == (14, 2, 3) and clouds.points.dtype == np.float32
    assert clouds.labels.tolist() == [0, 1, 2, 3, 4, 5, 6] * 2 and clouds.labels.dtype == np.uint8
    assert clouds.subject_ids.tolist() == ["b"] * 7 + ["a"] * 7
    assert np.allclose(clouds.points[:, 0], [[label / 10, -0.5, 0] for label in clouds.labels])


def test_comments_docstring_line_breaks_tuples_and_trailing_commas_are_fine(faces_py):
    lines = repr(person(1)).replace("[", "(").replace("]", ",)").replace("},", "},  # one { more [\n")
    text = f'# -*- coding: utf-8 -*-\n"""Faces: {{"x": 1}}."""\n\nany_name = \\\n{{"2018":\n\t{lines},\n}};  # done\n'
    assert len(load_point_clouds(faces_py(text))) == 7


def test_a_comment_among_the_numbers_is_skipped(faces_py):
    text = f"f = { {'p': person()} }".replace("[-0.5, -0.5]", "[-0.5, # 3, 4\n -0.5,\n]")
    assert load_point_clouds(faces_py(text)).points.shape == (7, 2, 3)


def test_emotions_may_be_spelled_in_several_ways(faces_py):
    faces = person()
    faces = {"Happiness" if emotion == "happy" else emotion.upper(): cloud for emotion, cloud in faces.items()}
    assert len(load_point_clouds(faces_py(f"f = { {'p': faces} }"))) == 7


RUNS_SOMETHING = {
    "an import before": "import os\nf = {}\n",
    "a call after": "f = {}\nprint(f)\n",
    "a second assignment": "f = {}\ng = {}\n",
    "a call on the same line": "f = {}; open('x', 'w')\n",
    "a call as the value": "f = dict()\n",
    "a method of the value": "f = {}.update({})\n",
    "a call as a key": "f = {\n__import__('os'): {}}\n",
    "a call as a number": "f = {'p': {'angry': {'x': [\n1, exit()]}}}\n",
    "a call as a list": "f = {'p': {'angry': {'x': \nlist((1, 2))}}}\n",
    "a comprehension": "f = {'p': {'angry': {'x': [\n0 for i in range(9)]}}}\n",
    "a dict comprehension": "f = {'p'\n for i in range(9)}\n",
    "an f-string as a key": "f = {\nf'{exit()}': {}}\n",
    "an operator": "f = {} \\\n | {}\n",
    "a walrus": "(f := {})\n",
    "a comparison": "f == {}\n",
    "a function": "def f():\n  return {}\n",
    "a bare dict": "{}\n",
    "two strings before": "'a'\n'b'\nf = {}\n",
}


@pytest.mark.parametrize("name", RUNS_SOMETHING)
def test_anything_but_one_literal_dict_is_refused_with_its_line(faces_py, name):
    path = faces_py(RUNS_SOMETHING[name])
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}, line [12]: (p, angry, x: )?there is ") as caught:
        load_point_clouds(path)
    assert caught.value.wanted and caught.value.try_


def test_the_line_that_is_named_is_the_one(faces_py):
    with pytest.raises(DataError, match="line 4: there is 'import os'"):
        load_point_clouds(faces_py(f"# a\n\nf = { {'p': person()} }\nimport os\n"))
    with pytest.raises(DataError, match=r"line 3: p, fear, x: there is 'None' among the numbers"):
        load_point_clouds(faces_py("f = {'p': \n {'fear': {'x': [1,\n 2, None, 3]}}}"))


@pytest.mark.parametrize("opening", ["[", "{", "(", "{'a':", "-", "'", '"""', "not ", "#\n"])
def test_deep_nesting_is_refused_and_crashes_nothing(faces_py, opening):
    with pytest.raises(DataError):
        load_point_clouds(faces_py("f = " + opening * 300_000))
    with pytest.raises(DataError):
        load_point_clouds(faces_py("f = {'p': {'angry': {'x': " + opening * 300_000))


def test_a_file_that_is_cut_off_says_so(faces_py):
    text = f"f = { {'p': person()} }"
    for length in range(4, len(text) - 1, 7):
        with pytest.raises(DataError):
            load_point_clouds(faces_py(text[:length]))
    with pytest.raises(DataError, match="the file ends here") as caught:
        load_point_clouds(faces_py(text[:-1]))
    assert "cut off" in caught.value.try_


WRONG_FACES = {
    "different lengths": (person(sad={"x": [1, 2], "y": [1, 2], "z": [1]}), "anna, sad has 2 x, 2 y, 1 z"),
    "no points": (person(sad={"x": [], "y": [], "z": []}), "anna, sad has 0 x, 0 y, 0 z"),
    "an axis is missing": (person(sad={"x": [1, 2], "z": [1, 2]}), "anna, sad has no y"),
    "another axis": (person(sad={"x": [1], "y": [1], "z": [1], "w": [1]}), "anna, sad: there is an axis 'w'"),
    "a missing emotion": (person(emotions=ALPHABETICAL[1:]), "anna has no Angry"),
    "two missing emotions": (person(emotions=ALPHABETICAL[2:]), "anna has no Angry, no Disgust"),
    "an unknown emotion": (person(contempt={"x": [1], "y": [1], "z": [1]}), "anna has an emotion 'contempt'"),
    "one emotion in two spellings": (person(joy={"x": [1, 2], "y": [1, 2], "z": [1, 2]}), "anna has Happy twice"),
    "NaN": (person(sad={"x": [1, 2], "y": [1, float("nan")], "z": [1, 2]}), "anna, sad: y of point 1 is nan"),
    "infinity": (person(sad={"x": [float("inf"), 2], "y": [1, 2], "z": [1, 2]}), "anna, sad: x of point 0 is inf"),
    "too large": (person(sad={"x": [1, 2], "y": [1, 2], "z": [1, 1e99]}), "anna, sad: z of point 1 is 1e\\+99"),
    "other points": (person(sad={"x": [1], "y": [1], "z": [1]}), "anna, Sad has 1 points"),
    "a number as text": (person(sad={"x": ["1"], "y": [1], "z": [1]}), "anna, sad, x: there is"),
    "a list of lists": (person(sad={"x": [[1]], "y": [1], "z": [1]}), "anna, sad, x: there is"),
    "points instead of axes": (person(sad=[[1, 2, 3]]), "there is"),
    "no emotions": ({}, "anna has no Angry, no Disgust"),
}


@pytest.mark.parametrize("name", WRONG_FACES)
def test_a_wrong_cloud_is_named_by_person_and_emotion(faces_py, name):
    faces, words = WRONG_FACES[name]
    path = faces_py(f"face_samples = { {'bert': person(), 'anna': faces} }")
    with pytest.raises(DataError, match=words) as caught:
        load_point_clouds(path)
    assert str(path) in caught.value.what and caught.value.wanted and caught.value.try_


def test_a_person_who_is_there_twice_is_refused(faces_py):
    with pytest.raises(DataError, match="'p' is there twice"):
        load_point_clouds(faces_py(f"f = {{'p': {person()}, 'p': {person()}}}"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: the file ends here"),
        (b"f = {}", "holds no faces"),
        (b"# only a comment", "the file ends here"),
        (b"<!DOCTYPE html>\n<html>", "line 1: there is '<!DOCTYPE html>'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "line 1: there is 'version"),
        (b"f = {\n'\xff\xfe': {}}", "line 2: this is not text in UTF-8"),
    ],
)
def test_a_file_without_faces_is_explained(faces_py, content, words):
    with pytest.raises(DataError, match=words):
        load_point_clouds(faces_py(content))


def test_a_missing_file_and_a_folder_are_explained(tmp_path):
    for path in (tmp_path / "faces.py", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            load_point_clouds(path)


@pytest.fixture
def clouds():
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(7, dtype=np.uint8), 2)
    subject_ids = np.array(["2018-03-11 18:48:11 +0000"] * 7 + ["Zoë"] * 7)
    return PointClouds(random.normal(0, 0.05, (14, 5, 3)).astype(np.float32), labels, subject_ids)


@pytest.mark.parametrize("name", ["faces.py", "faces.npz", "new/folder/faces.npz"])
def test_what_is_saved_is_what_is_loaded_to_the_last_bit(tmp_path, clouds, name):
    save_point_clouds(tmp_path / name, clouds)
    loaded = load_point_clouds(tmp_path / name)
    assert np.array_equal(loaded.points, clouds.points) and loaded.points.dtype == np.float32
    assert np.array_equal(loaded.labels, clouds.labels) and loaded.labels.dtype == np.uint8
    assert loaded.subject_ids.tolist() == clouds.subject_ids.tolist()
    assert [entry.name for entry in (tmp_path / name).parent.iterdir()] == ["faces" + (tmp_path / name).suffix]


def test_a_saved_py_has_the_layout_of_the_course_and_python_agrees(tmp_path, clouds):
    path = tmp_path / "faces.py"
    save_point_clouds(path, clouds)
    namespace = {}
    exec(path.read_text(encoding="utf-8"), namespace)
    assert list(namespace["face_samples"]["Zoë"]) == list(ALPHABETICAL)
    assert namespace["face_samples"]["Zoë"]["neutral"]["y"] == pytest.approx(clouds.points[13, :, 1].tolist())


def test_clouds_that_a_py_cannot_hold_are_refused_and_leave_no_file(tmp_path, clouds):
    for wrong in (clouds.select(slice(0, 3)), clouds.select([0, 0, 1, 2, 3, 4, 5, 6])):
        with pytest.raises(DataError, match="has"):
            save_point_clouds(tmp_path / "faces.py", wrong)
    with pytest.raises(DataError, match=r"ends in \.csv"):
        save_point_clouds(tmp_path / "faces.csv", clouds)
    assert list(tmp_path.iterdir()) == []


def test_select_takes_the_same_rows_of_everything(clouds):
    few = clouds.select(clouds.labels == 3)
    assert len(few) == 2 and few.labels.tolist() == [3, 3] and len(set(few.subject_ids.tolist())) == 2


POINTS, LABELS, IDS = np.zeros((2, 4, 3), np.float32), np.array([0, 6]), np.array(["a", "b"])
WRONG_ARRAYS = {
    "no labels": ({"points": POINTS, "subject_ids": IDS}, "has no labels"),
    "pickled ids": ({"points": POINTS, "labels": LABELS, "subject_ids": np.array(["a", 1], object)}, "cannot be read"),
    "flat points": ({"points": POINTS[0], "labels": LABELS, "subject_ids": IDS}, r"shape \(4, 3\)"),
    "whole points": ({"points": POINTS.astype(int), "labels": LABELS, "subject_ids": IDS}, "points is int64"),
    "NaN": ({"points": POINTS * np.float32("nan"), "labels": LABELS, "subject_ids": IDS}, "a, Angry .* NaN"),
    "label 7": ({"points": POINTS, "labels": LABELS + 1, "subject_ids": IDS}, "from 1 to 7"),
    "names as labels": ({"points": POINTS, "labels": IDS, "subject_ids": IDS}, "labels is <U1"),
    "a label too few": ({"points": POINTS, "labels": LABELS[:1], "subject_ids": IDS}, r"shape \(1,\)"),
    "numbers as ids": ({"points": POINTS, "labels": LABELS, "subject_ids": LABELS}, "subject_ids is int64"),
    "no clouds": ({"points": POINTS[:0], "labels": LABELS[:0], "subject_ids": IDS[:0]}, r"shape \(0, 4, 3\)"),
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_a_wrong_npz_is_explained(tmp_path, name):
    arrays, words = WRONG_ARRAYS[name]
    np.savez(tmp_path / "faces.npz", **arrays)
    with pytest.raises(DataError, match=words):
        load_point_clouds(tmp_path / "faces.npz")


def test_a_zip_that_is_no_npz_is_explained(tmp_path):
    (tmp_path / "faces.npz").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(DataError, match="cannot be read as an npz"):
        load_point_clouds(tmp_path / "faces.npz")


def test_the_file_of_the_course_has_1220_points_within_its_bounds_and_equals_what_python_reads(real_data):
    import ast

    path = real_data / "iPhoneX" / "faces.py"
    clouds = load_point_clouds(path)
    assert clouds.points.shape[1:] == (1220, 3) and len(clouds) % 7 == 0
    low, high = clouds.points.min((0, 1)), clouds.points.max((0, 1))
    assert (low > [-0.08, -0.116, -0.029]).all() and (high < [0.08, 0.092, 0.079]).all()

    faces = ast.literal_eval(path.read_text().split("=", 1)[1].strip())
    for row in (0, 6, 10):
        subject, emotion = clouds.subject_ids[row], EMOTIONS[clouds.labels[row]].lower()
        expected = np.array([faces[str(subject)][emotion][axis] for axis in "xyz"], np.float32).T
        assert np.array_equal(clouds.points[row], expected)


def test_first_subjects_are_taken_in_the_order_in_which_they_come():
    clouds = PointClouds(np.zeros((6, 4, 3)), np.arange(6), np.array(["b", "b", "a", "a", "c", "c"]))
    assert clouds.first_subjects(2).subject_ids.tolist() == ["b", "b", "a", "a"]
    assert len(clouds.first_subjects(9)) == 6
    with pytest.raises(DataError, match="at least 1 subject"):
        clouds.first_subjects(0)
