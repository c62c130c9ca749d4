"""Evidence becomes outcomes: four kinds, prerequisites, and no fault of ours at a student's cost."""

import html
import json
from types import SimpleNamespace

import numpy as np
import pytest

from grader.grading import judge_evidence
from grader.hidden import HiddenData
from grader.judge import judge
from grader.outcome import Result
from grader.report.html import write_report
from grader.report.results_json import results_dict
from grader.report.text import handout_place, render
from grader.rubric import load_rubric

PROBES = (
    *("cnn.import", "transfer.import", "cnnx.import", "prepare_images", "prepare_images_alone", "make_model_1"),
    *("make_model_2", "train", "load_photos", "load_photos_other", "load_photos_train", "load_photos_test"),
    *("personalize", "voxelize", "voxelize_permuted", "voxelize_size", "voxelize_boundary", "voxelize_axes"),
    *("voxelize_hidden", "split_by_subject", "make_model_4"),
)


@pytest.fixture(scope="module")
def rubric():
    return load_rubric()


@pytest.fixture(scope="module")
def hidden():
    labels = np.arange(70) % 7
    return HiddenData(
        name="demo",
        description="seventy pictures",
        images=np.zeros((70, 48, 48, 1), np.uint8),
        labels=labels,
        num_score_images=70,
        clouds=np.zeros((70, 1220, 3), np.float32),
        cloud_labels=labels,
        version="0",
    )


def evidence(status="todo", message="1b: Convert the pixel strings."):
    return SimpleNamespace(
        probes={name: {"status": status, "message": message, "facts": {}, "seconds": 0.0} for name in PROBES},
        audits={},
        models={},
        arrays={},
        findings=[],
        submission={"name": "x", "sha256": "0", "mapped": [], "refused": []},
        isolation={"level": "rlimits"},
        versions={},
        seconds={},
        faults=[],
    )


def by_item(outcomes):
    return {outcome.item: outcome for outcome in outcomes}


def test_nothing_done_is_failed_everywhere_with_the_todo_as_its_cause(rubric, hidden):
    (outcomes,), errors = judge(rubric, [(evidence(), hidden)])
    assert errors == []
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert sum(outcome.points for outcome in outcomes) == 0
    assert by_item(outcomes)["1b"].what == "Still to do: 1b: Convert the pixel strings."


def test_item_whose_prerequisite_failed_names_it_and_its_cause(rubric, hidden):
    (outcomes,), _ = judge(rubric, [(evidence(), hidden)])
    learns, accuracy = by_item(outcomes)["3c"], by_item(outcomes)["3-accuracy"]
    assert learns.needs == "3a"
    assert learns.what == "Still to do: 1b: Convert the pixel strings."
    assert accuracy.needs == "3-file"
    assert accuracy.what == "Still to do: 1b: Convert the pixel strings."


def test_file_that_is_missing_is_called_that_where_nothing_is_left_to_do(rubric, hidden):
    (outcomes,), _ = judge(rubric, [(evidence("error", "ValueError: no"), hidden)])
    assert by_item(outcomes)["3-file"].what == by_item(outcomes)["3-accuracy"].what
    assert by_item(outcomes)["3-file"].what == "There is no model_1.h5 in the submission"


def test_fault_of_ours_leaves_the_score_open_and_explains_itself_to_the_staff(rubric, hidden):
    broken = evidence()
    del broken.probes["prepare_images"]
    (outcomes,), errors = judge(rubric, [(broken, hidden)])
    assert by_item(outcomes)["1b"].status == "grader_fault"
    assert by_item(outcomes)["1b"].points is None
    assert by_item(outcomes)["1c"].status == "cannot_grade"
    assert any("KeyError" in error for error in errors)
    assert "KeyError" not in by_item(outcomes)["1b"].what


def test_one_submission_does_not_change_the_next(rubric, hidden):
    broken = evidence()
    broken.probes.clear()
    together, _ = judge(rubric, [(evidence(), hidden), (broken, hidden), (evidence(), hidden)])
    alone, _ = judge(rubric, [(evidence(), hidden)])
    assert together[0] == alone[0] == together[2]
    assert together[1] != alone[0]


def test_refused_model_is_for_a_person_and_a_missing_one_has_failed(rubric, hidden):
    work = evidence()
    work.probes["train"].update(status="ok", facts=TRAINED)
    work.audits["model_1"] = {
        "accepted": False,
        "kind": "hdf5-model",
        "reasons": [{"code": "lambda", "what": "a Lambda layer", "wanted": "ordinary layers", "try": "remove it"}],
    }
    (outcomes,), _ = judge(rubric, [(work, hidden)])
    refused, missing = by_item(outcomes)["3-file"], by_item(outcomes)["4-file"]
    assert (refused.status, refused.points) == ("cannot_grade", None)
    assert "Lambda" in refused.what
    assert missing.status == "failed"


def test_model_that_intake_refused_is_for_a_person_too(rubric, hidden):
    work = evidence()
    work.probes["train"].update(status="ok", facts=TRAINED)
    work.submission["refused"] = [
        {"entry": "../model_1.h5", "file": "model_1.h5", "what": "a name that leads out", "wanted": "w", "try": "t"}
    ]
    (outcomes,), _ = judge(rubric, [(work, hidden)])
    assert by_item(outcomes)["3-file"].status == "cannot_grade"
    assert "leads out" in by_item(outcomes)["3-file"].what


TRAINED = {
    **{"is_history": True, "num_epochs": 2, "epochs": 2, "keys": ["loss", "val_loss"], "weights_changed": True},
    **{"num_training_steps": 8, "steps_per_epoch": 4, "wanted_steps": 4, "num_images": 64, "batch_size": 16},
}


def test_accuracy_below_the_full_mark_earns_a_share_and_states_its_interval(rubric, hidden):
    work = evidence()
    work.probes["train"].update(status="ok", facts=TRAINED)
    work.audits["model_1"] = {"accepted": True, "kind": "hdf5-model", "reasons": [], "last_activation": "softmax"}
    work.models["model_1"] = {
        **{"status": "ok", "input_shape": [None, 48, 48, 1], "output_shape": [None, 7], "num_parameters": 26_224_263}
    }
    right = np.arange(70) < 19  # 27.1 %, between 22 and 32
    predictions = np.where(right, hidden.labels, (hidden.labels + 1) % 7)
    work.arrays["model_1.hidden"] = np.eye(7, dtype=np.float32)[predictions]
    (outcomes,), errors = judge(rubric, [(work, hidden)])
    accuracy = by_item(outcomes)["3-accuracy"]
    assert errors == []
    assert accuracy.status == "failed"
    assert accuracy.points == pytest.approx(6 * (19 / 70 - 0.22) / 0.10, abs=0.01)
    assert accuracy.measured["n"] == 70
    assert "95 % interval" in accuracy.what


def test_feedback_has_the_form_of_the_house(rubric, hidden):
    work = evidence()
    images = np.full((12, 48, 48, 1), 255, np.float32)
    work.probes["prepare_images"].update(status="ok", facts={})
    work.arrays.update({"prepare_images.images": images, "prepare_images.input": images[..., 0].astype(np.uint8)})
    (outcomes,), _ = judge(rubric, [(work, hidden)])
    result = Result("ada", outcomes, work, "demo", "0", "0", ["Tested on seventy pictures."])
    lines = render(result).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("1b"))
    assert lines[start].endswith("0 / 4")
    assert lines[start + 1].split()[:1] == ["What"] and "255" in lines[start + 1]
    assert any("divide by 255" in line for line in lines[start + 1 : start + 6])
    assert any(line.startswith("2b") and line.endswith("not run: it needs 2a") for line in lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("1b", "Handout section 3, step 1(b)."),
        ("12", "Handout section 5, step 12."),
        ("7f", "Handout section 4, step 7(f)."),
        ("EC1", "Handout section 5, extra credit 1."),
    ],
)
def test_feedback_says_where_the_handout_asks_for_it(step, place):
    assert handout_place(step) == place


def test_results_json_blanks_the_score_of_open_items(rubric, hidden):
    broken = evidence()
    del broken.probes["prepare_images"]
    (outcomes,), errors = judge(rubric, [(broken, hidden)])
    data = results_dict(Result("ada", outcomes, broken, "demo", "0", "0", staff={"faults": errors}))
    tests = {test["number"]: test for test in data["tests"]}
    assert "score" not in tests["1b"]
    assert tests["2a"]["score"] == 0
    assert data["extra_data"]["provisional"] is True
    assert data["score"] == 0


# --- What costs its own item only ------------------------------------------------------------------------------------


def with_pictures(change):
    """Evidence of a prepare_images whose result is the right one, changed."""
    from grader.probe_inputs import make_pictures

    work, pixels = evidence(), make_pictures()
    right = pixels[..., np.newaxis].astype(np.float32) / 255
    for probe in ("prepare_images", "prepare_images_alone"):
        work.probes[probe].update(status="ok", facts={})
    images = change(right)
    work.arrays.update(
        {
            "prepare_images.input": pixels,
            "prepare_images.images": images,
            "prepare_images_alone.images": images[:1],
        }
    )
    return work


def per_picture(images):
    low, high = images.min(axis=(1, 2, 3), keepdims=True), images.max(axis=(1, 2, 3), keepdims=True)
    return (images - low) / np.maximum(high - low, 1e-6)


PICTURES = {
    # name: what becomes of the right pictures, and whether scale (1b) and shape (1c) pass
    "right": (lambda images: images, "passed", "passed"),
    "0-255": (lambda images: images * 255, "failed", "passed"),
    "-1 to 1": (lambda images: images * 2 - 1, "failed", "passed"),
    "float64": (lambda images: images.astype("float64"), "failed", "passed"),
    "per picture": (per_picture, "failed", "passed"),
    "turned": (lambda images: images.transpose(0, 2, 1, 3), "passed", "failed"),
    "flat": (lambda images: images[..., 0], "passed", "failed"),
    "upside down": (lambda images: images[:, ::-1], "passed", "failed"),
    "both wrong": (lambda images: images.transpose(0, 2, 1, 3) * 255, "failed", "failed"),
}


@pytest.fixture(scope="module")
def judged_pictures(rubric, hidden):
    """All of `PICTURES` in one run, for each run of the checks takes half a second."""
    outcomes, errors = judge(rubric, [(with_pictures(change), hidden) for change, *_ in PICTURES.values()])
    assert errors == []
    return dict(zip(PICTURES, map(by_item, outcomes), strict=True))


@pytest.mark.parametrize("name", PICTURES)
def test_scale_and_shape_of_pictures_are_two_items(judged_pictures, name):
    scale, shape = (judged_pictures[name][item] for item in ("1b", "1c"))
    assert (scale.status, shape.status) == PICTURES[name][1:]
    assert shape.needs is None


def with_networks(**shares):
    """Evidence of saved networks without any script: name to the share of the hidden pictures that it has right."""
    work = evidence("missing", "cnn.py is not in the submission")
    labels = np.arange(70) % 7
    for name, share in shares.items():
        work.audits[name] = {"accepted": True, "kind": "hdf5-model", "reasons": [], "last_activation": "softmax"}
        work.models[name] = {
            **{"status": "ok", "route": "keras", "adapted": "", "num_parameters": 26_224_263},
            **{"input_shape": [None, 48, 48, 1], "output_shape": [None, 7], "layer_list": []},
        }
        predictions = np.where(np.arange(70) < round(share * 70), labels, (labels + 1) % 7)
        work.arrays[f"{name}.hidden"] = np.eye(7, dtype=np.float32)[predictions]
    return work


def test_saved_networks_are_judged_without_the_scripts_that_made_them(rubric, hidden):
    (outcomes,), errors = judge(rubric, [(with_networks(model_1=0.5, model_2=0.6), hidden)])
    items = by_item(outcomes)
    assert errors == []
    assert [items[item].status for item in ("3-file", "3-accuracy", "4-file", "4-accuracy")] == ["passed"] * 4
    assert {items[item].status for item in ("1b", "2a", "3a", "4")} == {"failed"}


def test_networks_without_scripts_are_for_a_person(rubric, hidden):
    result = judge_evidence("ada", rubric, hidden, with_networks(model_1=0.5, model_2=0.6))
    (note,) = result.triage
    assert "model_1.h5 and model_2.h5 are in the submission, but cnn.py is not" in note
    assert result.provisional
    assert note in " ".join(render(result).split())
    assert results_dict(result)["extra_data"]["triage"] == [note]


def test_scripts_alone_are_for_nobody(rubric, hidden):
    assert judge_evidence("ada", rubric, hidden, evidence()).triage == []


COMPARISONS = {
    # (share that model_1 has right, model_2): points of the comparison, and what is said
    (0.50, 0.56): (8, ""),
    (0.50, 0.50): (0, "model_1 is right for 50.0%"),
    (0.10, 0.20): (0, "counts as 22%"),  # a network at chance makes no other one good
    (0.10, 0.28): (8, ""),
    (None, 0.30): (0, "32% stands in for it"),
    (None, 0.40): (8, ""),
}


def test_model_2_is_compared_with_a_model_1_that_is_worth_it(rubric, hidden):
    cases = []
    for first, second in COMPARISONS:
        shares = {"model_2": second} if first is None else {"model_1": first, "model_2": second}
        cases.append((with_networks(**shares), hidden))
    judged, errors = judge(rubric, cases)
    assert errors == []
    for (shares, (points, words)), outcomes in zip(COMPARISONS.items(), judged, strict=True):
        gain = by_item(outcomes)["4-accuracy"]
        assert gain.points == points, shares
        assert words in gain.what


def test_model_1_of_other_layers_loses_its_own_item_and_keeps_its_accuracy(rubric, hidden):
    work = with_networks(model_1=0.5)
    work.models["model_1"]["num_parameters"] = 1000
    (outcomes,), _ = judge(rubric, [(work, hidden)])
    assert by_item(outcomes)["3-file"].status == "failed"
    assert by_item(outcomes)["3-accuracy"].status == "passed"


def test_refused_model_1_leaves_the_comparison_to_a_person(rubric, hidden):
    work = with_networks(model_1=0.5, model_2=0.6)
    work.audits["model_1"].update(accepted=False, reasons=[{"what": "a Lambda layer", "wanted": "w", "try": "t"}])
    (outcomes,), _ = judge(rubric, [(work, hidden)])
    assert by_item(outcomes)["4-accuracy"].status == "cannot_grade"


def test_wrong_input_shape_leaves_the_layers_to_be_judged(rubric, hidden):
    work = evidence()
    facts = {"input_shape": [None, 48, 48, 3], "layer_list": model_1_layers(False), "compiled": None}
    work.probes["make_model_1"].update(status="ok", facts=facts)
    (outcomes,), _ = judge(rubric, [(work, hidden)])
    assert by_item(outcomes)["2a"].status == "failed"
    assert [by_item(outcomes)[item].status for item in ("2b", "2c", "2d", "2e", "2f")] == ["passed"] * 5


def test_report_says_what_was_read_how_it_was_loaded_and_how_it_was_held(rubric, hidden, tmp_path):
    work = with_networks(model_1=0.5)
    work.models["model_1"].update(route="repaired: groups", adapted="resized from 48×48 to 64×64")
    work.submission.update(
        mapped=[{"from": "Model_1.h5", "to": "model_1.h5", "why": "another case"}],
        skipped=[{"entry": "venv/", "why": "a virtual environment", "files": 31245}],
        refused=[{"entry": "/etc/passwd", "file": None, "what": "an absolute name", "wanted": "w", "try": "t"}],
    )
    work.isolation.update(level="bubblewrap", canary={"read_file": "blocked", "network": "allowed", "uid": 1000})
    result = judge_evidence("ada", rubric, hidden, work)
    write_report(result, tmp_path / "report.html")
    texts = [" ".join(render(result).split()), html.unescape((tmp_path / "report.html").read_text(encoding="utf-8"))]
    for text in texts:
        assert "Model_1.h5 was read as model_1.h5: another case" in text
        assert "venv/ (31,245 files) was not read: a virtual environment" in text
        assert "/etc/passwd was left out: an absolute name" in text
        assert "repaired: groups; resized from 48×48 to 64×64" in text
        assert "bubblewrap; the canary found 1 of 2 doors shut, open or unknown: network" in text
    extra = results_dict(result)["extra_data"]
    assert extra["models"]["model_1"]["route"] == "repaired: groups"
    assert extra["isolation"]["canary"]["network"] == "allowed"


def test_flags_are_for_the_staff_page_and_its_json_alone(rubric, hidden, tmp_path):
    work = with_networks(model_1=0.5, model_2=0.5)
    work.models["model_2"]["same_as_model_1"] = {"identical": True}
    result = judge_evidence("ada", rubric, hidden, work)
    write_report(result, tmp_path / "report.html")
    write_report(result, tmp_path / "staff.html", staff=True)
    said = "the same layers with the same weights"
    assert said in (tmp_path / "staff.html").read_text(encoding="utf-8")
    assert said not in (tmp_path / "report.html").read_text(encoding="utf-8") + render(result)
    data = results_dict(result)
    assert [flag["code"] for flag in data["extra_data"]["staff"]["flags"]] == ["model_2_is_model_1"]
    assert said not in json.dumps([test["output"] for test in data["tests"]] + [data["output"]])


def test_finding_stands_under_its_item_and_changes_no_score(rubric, hidden, tmp_path):
    work = with_networks(model_1=0.05)
    (before,), _ = judge(rubric, [(work, hidden)])
    labels = np.arange(70) % 7
    work.arrays["model_1.hidden_0_255"] = np.eye(7, dtype=np.float32)[labels]
    result = judge_evidence("ada", rubric, hidden, work)
    accuracy = by_item(result.outcomes)["3-accuracy"]
    assert [finding["code"] for finding in accuracy.findings] == ["pixels_never_divided"]
    assert accuracy.points == by_item(before)["3-accuracy"].points == 0
    write_report(result, tmp_path / "report.html")
    assert "never divided by 255" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "never divided by 255" in " ".join(render(result).split())


# --- Right in another way --------------------------------------------------------------------------------------------


def model_1_layers(separate):
    """The handout's layers as a worker describes them, with activations inside or in layers of their own."""
    relu, softmax = ("linear", "linear") if separate else ("relu", "softmax")
    layers = [
        {"class_name": "InputLayer", "config": {}},
        {"class_name": "Conv2D", "config": {"filters": 64, "kernel_size": [5, 5], "activation": relu}},
        {"class_name": "Activation", "config": {"activation": "relu"}},
        {"class_name": "MaxPooling2D", "config": {"pool_size": [5, 5], "strides": [2, 2]}},
        {"class_name": "Flatten", "config": {}},
        {"class_name": "Dense", "config": {"units": 1024, "activation": relu}},
        {"class_name": "ReLU", "config": {}},
        {"class_name": "Dense", "config": {"units": 7, "activation": softmax}},
        {"class_name": "Softmax", "config": {}},
    ]
    kept = layers if separate else [layer for layer in layers if layer["class_name"] not in ACTIVATION_LAYERS]
    return [{"name": "x", **layer} for layer in kept]


ACTIVATION_LAYERS = ("Activation", "ReLU", "Softmax")


@pytest.mark.parametrize("separate", [False, True])
def test_activation_may_be_a_layer_of_its_own(rubric, hidden, separate):
    work = evidence()
    facts = {"input_shape": [None, 48, 48, 1], "layer_list": model_1_layers(separate), "compiled": None}
    work.probes["make_model_1"].update(status="ok", facts=facts)
    (outcomes,), _ = judge(rubric, [(work, hidden)])
    assert [by_item(outcomes)[item].status for item in ("2a", "2b", "2c", "2d", "2e", "2f")] == ["passed"] * 6


def grids_of(clouds, cells_of):
    """Counts of clouds, given a function from points to cell numbers."""
    grids = np.zeros((len(clouds), 24, 24, 24))
    for grid, cloud in zip(grids, clouds):
        np.add.at(grid, tuple(np.clip(cells_of(cloud), 0, 23).astype(int).T), 1)
    return grids


LOW, HIGH = np.array([-0.08, -0.125, -0.035]), np.array([0.08, 0.1, 0.085])
BOUNDS = {
    "fixed": lambda p: (p - LOW) / (HIGH - LOW) * 24,
    "own minimum and maximum": lambda p: (p - p.min(0)) / (p.max(0) - p.min(0)) * 24,
    "a cube that keeps proportions": lambda p: (p - p.min(0)) / (p.max(0) - p.min(0)).max() * 24,
    "13 cm around the mean": lambda p: (p - p.mean(0) + 0.13) / 0.26 * 24,
}


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize(
    ("turn", "status"),
    [(lambda p: p, "passed"), (lambda p: p[:, [1, 0, 2]], "failed"), (lambda p: p * [1, 1, -1], "failed")],
    ids=["as they are", "x and y swapped", "z upside down"],
)
def test_any_linear_bounds_are_right_and_swapped_axes_are_not(rubric, hidden, name, turn, status):
    from grader.probe_inputs import make_axis_clouds, make_boundary_cloud

    clouds = make_axis_clouds()
    border = make_boundary_cloud(clouds[0])
    work = evidence()
    arrays = {
        "voxelize": grids_of(clouds, BOUNDS["fixed"]),
        "voxelize_size": np.zeros((12, 12, 12)),
        "voxelize_axes": grids_of([turn(cloud) for cloud in clouds], BOUNDS[name]),
        "voxelize_boundary": grids_of([border], BOUNDS[name])[0],
    }
    for probe, counts in arrays.items():
        work.probes[probe].update(status="ok", facts={})
        work.arrays[f"{probe}.counts"] = counts
    work.arrays["voxelize_boundary.input"] = border
    (outcomes,), errors = judge(rubric, [(work, hidden)])
    bounds = by_item(outcomes)["10-bounds"]
    assert bounds.status == status, (bounds.what, errors)
