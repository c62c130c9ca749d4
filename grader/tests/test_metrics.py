"""Accuracy, its interval, precision, recall, F1 and confusion."""

import json

import numpy as np
import pytest

from expressions.metrics import classification_metrics, confusion_matrix, wilson_interval


def test_interval_is_the_one_in_the_textbook():
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, and 15 of 148, by Wilson's method.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_interval_solves_its_defining_equation():
    z = 1.959964
    for num_correct, num_samples in ((3, 7), (50, 70), (1768, 3589)):
        share = num_correct / num_samples
        for bound in wilson_interval(num_correct, num_samples):
            assert (share - bound) ** 2 == pytest.approx(z * z * bound * (1 - bound) / num_samples)


def test_interval_of_none_or_all_right_ends_at_the_border_and_has_width():
    assert wilson_interval(0, 7)[0] == 0 and wilson_interval(0, 7)[1] == pytest.approx(0.3543, abs=1e-4)
    assert wilson_interval(7, 7)[1] == 1 and wilson_interval(7, 7)[0] == pytest.approx(0.6457, abs=1e-4)


def test_interval_of_nothing_is_everything():
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize(("num_correct", "num_samples"), [(8, 7), (-1, 7), (0, -1)])
def test_impossible_counts_are_refused(num_correct, num_samples):
    with pytest.raises(ValueError, match="Wanted a count"):
        wilson_interval(num_correct, num_samples)


def test_confusion_has_true_classes_in_rows():
    confusion = confusion_matrix([0, 0, 2], [0, 2, 2], num_classes=3)
    assert confusion.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_confusion_is_seven_by_seven_even_if_classes_are_absent():
    assert confusion_matrix([3], [3]).shape == (7, 7)


def test_uint8_labels_do_not_overflow():
    labels = np.array([6, 6], np.uint8)
    assert confusion_matrix(labels, labels)[6, 6] == 2
    big = np.array([19], np.uint8)
    assert confusion_matrix(big, big, num_classes=20)[19, 19] == 1


def test_metrics_of_an_example_worked_by_hand():
    metrics = classification_metrics([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], num_classes=3)
    assert metrics.accuracy == pytest.approx(4 / 6)
    assert metrics.precision == pytest.approx([1, 1 / 2, 1 / 2])
    assert metrics.recall == pytest.approx([2 / 3, 1 / 2, 1])
    assert metrics.f1 == pytest.approx([4 / 5, 1 / 2, 2 / 3])
    assert metrics.f1_macro == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert metrics.f1_micro == metrics.accuracy
    assert metrics.support.tolist() == [3, 2, 1]
    assert metrics.interval == wilson_interval(4, 6)


def test_a_class_that_never_occurs_does_not_lower_the_macro_mean():
    metrics = classification_metrics([0, 3], [0, 3])
    assert metrics.f1_macro == 1
    assert metrics.f1.tolist() == [1, 0, 0, 1, 0, 0, 0]


def test_a_class_that_is_only_predicted_does_lower_it():
    assert classification_metrics([0, 0], [0, 3]).precision_macro == pytest.approx(1 / 2)


def test_renaming_the_classes_permutes_the_metrics():
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 7, (2, 200))
    order = random.permutation(7)
    before, after = (
        classification_metrics(labels, predictions),
        classification_metrics(order[labels], order[predictions]),
    )
    assert after.f1[order] == pytest.approx(before.f1)
    assert after.f1_macro == pytest.approx(before.f1_macro)


def test_as_dict_survives_json():
    metrics = classification_metrics(np.array([0, 1], np.uint8), np.array([0, 2]))
    assert json.loads(json.dumps(metrics.as_dict()))["confusion"] == metrics.confusion.tolist()


@pytest.mark.parametrize(
    ("labels", "predictions", "words"),
    [
        ([0, 1], [0], "2 labels and 1 predictions"),
        ([0, 7], [0, 0], "runs from 0 to 7"),
        ([0, -1], [0, 0], "runs from -1"),
        ([0, 1], [0.1, 0.9], "whole numbers"),
        ([0, 1], np.eye(2), "argmax"),
        ([], [], "no samples"),
    ],
)
def test_wrong_input_is_explained(labels, predictions, words):
    with pytest.raises(ValueError, match=words):
        classification_metrics(labels, predictions)
