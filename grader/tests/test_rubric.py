"""The rubric says what it promises, and refuses what it does not know."""

import pytest

from expressions.errors import DataError
from grader.rubric import RUBRIC, Ramp, load_rubric


def edited(tmp_path, old, new):
    text = RUBRIC.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path = tmp_path / "rubric.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_points_add_up_to_100_with_5_and_10_of_extra_credit():
    items = load_rubric().by_id.values()
    assert sum(item.points for item in items if not item.extra) == 100
    assert {item.id: item.points for item in items if item.extra} == {"EC1": 5, "EC2": 10}


def test_every_gradable_step_of_the_handout_has_an_item():
    steps = {item.step for item in load_rubric().items}
    assert {*"1b 1c 2a 2b 2c 2d 2e 2f 3a 3b 3c 4 5 6 7b 7c 7f 10 11 12 13 EC1 EC2".split()} <= steps


def test_extra_credit_asks_for_42_percent_whatever_the_data():
    assert {ramps["voxels"].full for ramps in load_rubric().thresholds.values()} == {0.42}


def test_ramp_gives_nothing_below_everything_above_and_half_in_the_middle():
    ramp = Ramp(zero=0.3, full=0.5)
    assert [ramp.fraction(value) for value in (0.1, 0.3, 0.5, 0.9)] == [0, 0, 1, 1]
    assert ramp.fraction(0.4) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("points = 4", "pionts = 4", "pionts"),
        ("[limits]", "[limits]\nfunktion_seconds = 3", "funktion_seconds"),
        ("[thresholds.demo]", "[thresholds.demo]\nmodel_9 = { zero = 0.1, full = 0.2 }", "model_9"),
        ("points = 4", "points = 5", "101"),
        ('needs = ["1b"]', 'needs = ["9z"]', "9z"),
        ('id = "1c"', 'id = "1b"', "twice"),
        ("zero = 0.30, full = 0.44", "zero = 0.50, full = 0.44", "model_1"),
        ("function_seconds = 20", 'function_seconds = "20"', "function_seconds"),
        ('title = "Expression recognition"', "title = ", "TOML"),
    ],
)
def test_wrong_rubrics_are_refused_by_name(tmp_path, old, new, names):
    with pytest.raises(DataError, match=names):
        load_rubric(edited(tmp_path, old, new))


def test_any_change_of_the_file_changes_the_version(tmp_path):
    assert load_rubric(edited(tmp_path, "points = 4", "points = 4 ")).version != load_rubric().version
