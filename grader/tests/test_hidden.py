"""Test data: the same bytes whether they were made or kept, and a file that only the grader can read."""

import dataclasses
import os
import stat

import numpy as np
import pytest

from grader import hidden
from grader.hidden import load_hidden
from grader.rubric import load_rubric


@pytest.fixture
def rubric():
    numbers = {"image_seed": 1, "num_public_images": 20, "num_private_images": 10, "cloud_seed": 2, "num_subjects": 1}
    return dataclasses.replace(load_rubric(), hidden={"demo": numbers})


def same(one, two):
    names = ("images", "labels", "clouds", "cloud_labels")
    return one.version == two.version and all(
        np.array_equal(getattr(one, name), getattr(two, name)) and getattr(one, name).dtype == getattr(two, name).dtype
        for name in names
    )


def test_the_class_is_made_once_and_is_the_same_afterwards(rubric, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = load_hidden(rubric, demo=True)
    folder = tmp_path / "expressions-grader"
    assert len(list(folder.iterdir())) == 2 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setattr(hidden, "_synthetic_images", lambda *_: pytest.fail("made again"))
    monkeypatch.setattr(hidden, "_synthetic_clouds", lambda *_: pytest.fail("made again"))
    assert same(load_hidden(rubric, demo=True), made)
    assert made.images.shape == (30, 48, 48, 1) and len(made.clouds) == len(made.cloud_labels) == 7


def test_other_numbers_or_a_damaged_file_are_made_anew(rubric, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = load_hidden(rubric, demo=True)
    other = dataclasses.replace(rubric, hidden={"demo": {**rubric.hidden["demo"], "image_seed": 3}})
    assert load_hidden(other, demo=True).version != made.version
    for path in (tmp_path / "expressions-grader").iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    assert same(load_hidden(rubric, demo=True), made)


def test_a_folder_that_others_can_read_is_not_used(rubric, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "expressions-grader").mkdir()
    os.chmod(tmp_path / "expressions-grader", 0o755)
    made = load_hidden(rubric, demo=True)
    assert made.num_score_images == 20 and not list((tmp_path / "expressions-grader").iterdir())
