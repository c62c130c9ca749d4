"""Checks of the saved networks: do they load, and what do they make of faces that they have never seen?"""

import pytest

from grader.hidden import SCORE_SPLIT
from grader.outcome import Failed

MODEL_1_PARAMETERS = 26_224_263
CHANCE = 1 / 7


def expect_shapes(work, name, input_shape):
    """Fails unless a saved network takes the right input and gives 7 numbers."""
    model = work.model(name)
    found = tuple(model["input_shape"] or ()), tuple(model["output_shape"] or ())
    if found != ((None, *input_shape), (None, 7)):
        raise Failed(
            f"{name}.h5 takes {found[0]} and gives {found[1]}",
            f"{(None, *input_shape)} and (None, 7)",
            "save the network that its make_… function builds",
            blocks=False,
        )
    return model


def score_rows(work):
    """Rows of the hidden pictures that count, and their labels."""
    rows = work.hidden.rows(SCORE_SPLIT)
    return rows, work.hidden.labels[rows]


def expect_accuracy(metrics, value, ramp, subject, wanted, try_):
    """Fails with a share of the points when a value lies below the full mark of its ramp."""
    fraction = ramp.fraction(value)
    if fraction < 1:
        low, high = metrics.interval
        raise Failed(
            f"{subject} {metrics.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%}, n = {metrics.num_samples:,})",
            wanted,
            try_,
            fraction=fraction,
        )


@pytest.mark.item("3-file")
def test_model_1_loads(work):
    """model_1.h5 loads and is the handout's network."""
    model = expect_shapes(work, "model_1", (48, 48, 1))
    if model["num_parameters"] != MODEL_1_PARAMETERS:
        raise Failed(
            f"model_1.h5 has {model['num_parameters']:,} parameters",
            f"{MODEL_1_PARAMETERS:,}, those of the handout's layers",
            "build it with make_model_1, and keep changes for model_2",
            blocks=False,
        )
    last = work.evidence.audits["model_1"]["last_activation"]
    if last != "softmax":
        raise Failed(
            f"model_1.h5 ends in {last or 'no activation'}",
            "softmax, so that the seven outputs are probabilities",
            "set activation='softmax' in the last Dense layer, train again and save",
            blocks=False,
        )


@pytest.mark.item("3-accuracy")
def test_model_1_recognises_faces(work):
    """model_1 reads faces that it has never seen."""
    rows, labels = score_rows(work)
    metrics = work.measure(labels, work.predictions("model_1", rows))
    ramp = work.thresholds["model_1"]
    expect_accuracy(
        metrics,
        metrics.accuracy,
        ramp,
        "model_1 is right for",
        f"{ramp.full:.0%} for all points, none at {ramp.zero:.0%}",
        "train for 5 epochs on all training pictures, divided by 255; see whether the validation accuracy rises",
    )


@pytest.mark.item("4-file")
def test_model_2_loads(work):
    """model_2.h5 loads."""
    expect_shapes(work, "model_2", (48, 48, 1))


@pytest.mark.item("4-accuracy")
def test_model_2_is_better_than_model_1(work):
    """model_2 is clearly better than model_1 on the same pictures."""
    rows, labels = score_rows(work)
    ramp, baseline, said = work.thresholds["model_2_gain"], *baseline_of(work, rows, labels)
    second = work.measure(labels, work.predictions("model_2", rows))
    expect_accuracy(
        second,
        second.accuracy - baseline,
        ramp,
        f"{said}; model_2 is right for",
        f"{100 * ramp.full:.0f} points more than {baseline:.1%} for all points of this item",
        "more convolution layers with batch normalisation, augmentation, dropout, more epochs: one change at a time",
    )


def baseline_of(work, rows, labels):
    """What model_2 is compared with: the accuracy of model_1, and a sentence that says so.

    A model_1 below its own zero mark would make any model_2 look better, and counts as that mark. Where model_1 is
    missing or no network, its full mark stands in, so that one lost file does not cost both networks' points.
    """
    marks = work.thresholds["model_1"]
    try:
        first = work.measure(labels, work.predictions("model_1", rows))
    except Failed:
        work.measured["model_1_accuracy"] = None
        return marks.full, f"there is no model_1 to compare with, so {marks.full:.0%} stands in for it"
    work.measured["model_1_accuracy"] = work.measured["accuracy"]
    if first.accuracy < marks.zero:
        return marks.zero, f"model_1 is right for {first.accuracy:.1%} and counts as {marks.zero:.0%}"
    return first.accuracy, f"model_1 is right for {first.accuracy:.1%}"


@pytest.mark.item("7f-file")
def test_model_3_loads(work):
    """model_3.h5 loads."""
    expect_shapes(work, "model_3", (48, 48, 1))


@pytest.mark.item("7f-lineage")
def test_model_3_is_model_2_fine_tuned(work):
    """model_3 has model_2's layers, and weights that started from model_2's."""
    lineage = work.model("model_3").get("descends_from_model_2")
    wanted = "model_2's network and weights, changed a little by your seven photos"
    if lineage is None or not lineage["shared_layers"]:
        raise Failed("model_3 has no layer in common with model_2", wanted, "load model_2.h5 and train that")
    work.measured.update(lineage)
    if lineage["shared_layers"] < MIN_SHARED_LAYERS * lineage["num_layers"]:
        raise Failed(
            f"{lineage['shared_layers']} of model_3's {lineage['num_layers']} layers with weights have model_2's form",
            wanted,
            "load model_2.h5 and train that, with at most a new last layer",
        )
    if lineage["identical"]:
        raise Failed("model_3 is model_2, unchanged", wanted, "save the model that personalize returns")
    if lineage["correlation"] is None or lineage["correlation"] <= MIN_LINEAGE_CORRELATION:
        raise Failed(
            f"model_3's weights have a correlation of {lineage['correlation'] or 0:.2f} with model_2's",
            wanted,
            "load model_2.h5 before you train, and use a small learning rate",
        )


# Networks of one kind trained from different starts correlate by less than 0.2, fine-tuned ones by more than 0.9.
MIN_LINEAGE_CORRELATION = 0.5

# Half: a student may cut off the last layers and put new ones there.
MIN_SHARED_LAYERS = 0.5


@pytest.mark.item("13-file")
def test_model_4_loads(work):
    """model_4.h5 loads, and takes raw voxel counts."""
    expect_shapes(work, "model_4", (24, 24, 24, 1))


@pytest.mark.item("13-accuracy")
def test_model_4_is_better_than_chance(work):
    """model_4 is better than chance on people that it has never seen, by the interval and not by luck."""
    work.facts("voxelize_hidden")
    metrics = work.measure(work.hidden.cloud_labels, work.predictions("model_4"))
    low, high = metrics.interval
    if low <= CHANCE:
        raise Failed(
            f"model_4 is right for {metrics.accuracy:.1%} of {metrics.num_samples} clouds"
            f" (95 % interval {low:.1%} to {high:.1%})",
            f"an interval above chance, {CHANCE:.1%}",
            "train longer, and check that voxels and labels belong together",
        )


@pytest.mark.item("EC1")
def test_model_ec1_reaches_the_mark(work):
    """model_ec1 is right for 42 % of the clouds of people that it has never seen."""
    work.facts("voxelize_hidden")
    if "model_ec1" not in work.evidence.audits:
        raise Failed(
            "not attempted: there is no model_ec1.h5 in the submission",
            "a network for extra credit, if you want it",
            "save your better network as model_ec1.h5",
        )
    expect_shapes(work, "model_ec1", (24, 24, 24, 1))
    metrics = work.measure(work.hidden.cloud_labels, work.predictions("model_ec1"))
    ramp = work.thresholds["voxels"]
    expect_accuracy(
        metrics,
        metrics.accuracy,
        ramp,
        "model_ec1 is right for",
        f"{ramp.full:.0%} for all points, none at {ramp.zero:.0%}",
        "batch normalisation, augmentation by small shifts, label smoothing; compare on subjects held out",
    )
