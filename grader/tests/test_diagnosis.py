"""Which scaling and which order of labels explain an accuracy, and when nothing may be said: on made-up predictions."""

import itertools
import math

import numpy as np
import pytest

from expressions.labels import EMOTIONS
from grader.diagnosis import (
    DECLARED,
    FER2013,
    MIN_SIGMAS,
    PREPROCESSINGS,
    best_assignment,
    beyond_chance,
    class_ids,
    count_table,
    cross_fitted,
    diagnose,
    kind_of_outputs,
    luck,
    orders_for,
    sign_test,
)

N = 600
# As frequent as in FER-2013, where Happy is a quarter and Disgust hardly there.
FREQUENCY = np.array([0.13, 0.015, 0.14, 0.25, 0.18, 0.115, 0.17])


def some_labels(n=N, seed=0):
    return np.random.default_rng(seed).choice(7, n, p=FREQUENCY / FREQUENCY.sum())


def network(labels, share, order=EMOTIONS, seed=1, sharp=3.0):
    """Probabilities of a network that is right for a share of the faces, and else mistakes one face for another."""
    random = np.random.default_rng(seed)
    ids = class_ids(order)
    mistaken = random.choice(7, len(labels), p=FREQUENCY / FREQUENCY.sum())
    said = np.where(random.random(len(labels)) < share, labels, mistaken)
    # An emotion that the network does not know gets any answer.
    column = [np.flatnonzero(ids == label) if label in ids else np.arange(len(order)) for label in range(7)]
    scores = random.random((len(labels), len(order)))
    scores[np.arange(len(labels)), [random.choice(column[label]) for label in said]] += sharp
    return (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype("float32")


# --- Which scaling ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PREPROCESSINGS if name != DECLARED])
def test_scaling_that_a_network_was_trained_on_is_named(name):
    labels = some_labels()
    found = diagnose({DECLARED: network(labels, 0.0), name: network(labels, 0.5, seed=2)}, labels)
    assert (found.best_preprocessing, found.label_order) == (name, FER2013)
    (finding,) = found.findings
    assert finding["code"] == PREPROCESSINGS[name].code
    assert finding["certainty"] == "certain"
    assert PREPROCESSINGS[name].trained in finding["what"]


def test_network_that_is_right_as_the_handout_asks_has_nothing_to_be_told():
    labels = some_labels()
    outputs = {DECLARED: network(labels, 0.5), "0-255": network(labels, 0.1, seed=2), "min-max": network(labels, 0.5)}
    found = diagnose(outputs, labels)
    assert (found.best_preprocessing, found.label_order, found.findings) == (DECLARED, FER2013, [])
    assert found.also == ("min-max",)
    assert "as the handout asks" in found.sentence


def test_better_by_luck_is_not_better():
    """Ten scalings that are worth the same: the best of them is some points better, and that is not said."""
    labels = some_labels(300)
    for seed in range(20):
        outputs = {name: network(labels, 0.4, seed=100 * seed + i) for i, name in enumerate(PREPROCESSINGS)}
        found = diagnose(outputs, labels)
        assert found.best_preprocessing == DECLARED, seed
        assert found.findings == []


def test_scalings_that_cannot_be_told_apart_are_all_named():
    labels = some_labels()
    good = network(labels, 0.6, seed=2)
    found = diagnose({DECLARED: network(labels, 0.0), "[-1, 1]": good, "standardized": good}, labels)
    assert found.best_preprocessing in ("[-1, 1]", "standardized") and len(found.also) == 1
    assert "(or on " in found.findings[0]["what"]


def test_fewer_pictures_under_a_scaling_are_compared_on_those():
    labels = some_labels()
    found = diagnose({DECLARED: network(labels, 0.0), "0-255": network(labels, 0.5, seed=2)[:300]}, labels)
    assert found.num_images == 300
    assert "of 300 pictures" in found.findings[0]["what"]
    assert {row.name: row.num_images for row in found.rows} == {DECLARED: 600, "0-255": 300}


def test_scaling_may_make_outputs_that_are_no_numbers():
    labels = some_labels()
    broken = np.full((N, 7), np.nan, "float32")
    found = diagnose({DECLARED: broken, "0-255": network(labels, 0.5)}, labels)
    assert found.best_preprocessing == "0-255"
    alone = diagnose({DECLARED: broken}, labels)
    assert alone.best_preprocessing is None and "NaN" in alone.sentence
    assert found.before == found.rows[0].accuracy == alone.rows[0].accuracy == 0


# --- Which order of labels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in orders_for(7) if name != FER2013])
def test_known_order_of_labels_is_named(name):
    labels = some_labels()
    order = orders_for(7)[name]
    found = diagnose({DECLARED: network(labels, 0.5, order)}, labels)
    assert (found.best_preprocessing, found.label_order, found.classes) == (DECLARED, name, order)
    assert found.accuracy > found.before + 0.08
    (finding,) = found.findings
    assert finding["code"] == "label_order_differs"
    assert f"{found.accuracy:.0%} of 600 pictures are right in that order" in finding["what"]
    assert f"{found.before:.0%} in FER-2013's order" in finding["what"]


def test_order_without_a_name_is_listed():
    labels = some_labels()
    order = ("Sad", "Surprise", "Neutral", "Happy", "Fear", "Angry", "Disgust")
    found = diagnose({DECLARED: network(labels, 0.6, order)}, labels)
    assert found.label_order == "assigned"
    assert found.classes == order
    assert found.findings[0]["certainty"] == "probable"


def test_nameless_order_that_explains_little_is_not_claimed():
    labels = some_labels(3000)
    order = ("Sad", "Surprise", "Neutral", "Happy", "Fear", "Angry", "Disgust")
    found = diagnose({DECLARED: network(labels, 0.12, order)}, labels)
    assert found.label_order is None


def test_order_and_scaling_may_both_differ():
    labels = some_labels()
    outputs = {DECLARED: network(labels, 0.0), "0-255": network(labels, 0.5, tuple(sorted(EMOTIONS)), seed=2)}
    found = diagnose(outputs, labels)
    assert (found.best_preprocessing, found.label_order) == ("0-255", "alphabetical")
    assert [finding["code"] for finding in found.findings] == ["pixels_never_divided", "label_order_differs"]


def test_network_that_mistakes_sad_for_neutral_keeps_its_order():
    """The best assignment would exchange two emotions that a network confuses: that is no order of labels."""
    labels = some_labels()
    mistaken = np.where((labels == 4) & (np.random.default_rng(5).random(N) < 0.7), 6, labels)
    found = diagnose({DECLARED: network(mistaken, 0.5)}, labels)
    assert found.label_order == FER2013


def test_network_that_never_says_disgust_keeps_its_order():
    labels = some_labels()
    outputs = network(labels, 0.5)
    outputs[:, 1] = 0
    assert diagnose({DECLARED: outputs}, labels).label_order == FER2013


@pytest.mark.parametrize("num_outputs", [4, 5, 6, 8])
def test_networks_with_other_numbers_of_outputs_are_read_in_their_order(num_outputs):
    labels = some_labels(1500)
    for name, order in list(orders_for(num_outputs).items())[:: max(1, len(orders_for(num_outputs)) // 3)]:
        found = diagnose({DECLARED: network(labels, 0.7, order)}, labels)
        assert len(found.classes) == num_outputs
        ids, wanted = class_ids(found.classes), class_ids(order)
        unclear = (wanted == 1) | (ids == 1) | (wanted == -1) | (ids == -1)  # Disgust hardly occurs
        assert ((ids == wanted) | unclear).all(), (name, found.classes)
        assert found.before is None and found.findings == []
        assert all(row.accuracy is None for row in found.rows)


def test_thousand_outputs_of_another_task_say_nothing():
    labels = some_labels(300)
    found = diagnose({DECLARED: np.random.default_rng(0).random((300, 40)).astype("float32")}, labels)
    assert found.best_preprocessing is None
    assert "do not follow the emotions" in found.sentence


# --- When nothing may be said ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_network_without_knowledge_gets_no_explanation(seed):
    """With 11 preprocessings and 5,040 orders something always looks better; it is luck, and stays unsaid."""
    labels = some_labels(300, seed)
    outputs = {name: network(labels, 0.0, seed=1000 * seed + i + 50) for i, name in enumerate(PREPROCESSINGS)}
    found = diagnose(outputs, labels)
    assert (found.best_preprocessing, found.label_order) == (None, None)
    assert [finding["code"] for finding in found.findings] == ["at_chance"]
    assert "as chance allows" in found.sentence


def test_best_of_all_orders_beats_chance_by_luck_alone():
    labels = some_labels(300)
    answers = network(labels, 0.0).argmax(axis=1)
    counts = count_table(labels, answers, 7)
    order = best_assignment(counts)
    in_sample = np.mean(order[answers] == labels)
    assert in_sample > np.mean(cross_fitted(labels, answers, 7)), "what is chosen on a picture must not count there"
    assert in_sample <= luck(labels, answers, 7) + 0.03


def test_network_that_gives_one_answer_knows_nothing_however_often_it_is_right():
    labels = some_labels()
    outputs = np.tile(np.eye(7, dtype="float32")[3] * 0.5 + 0.07, (N, 1))
    found = diagnose({DECLARED: outputs}, labels)
    assert found.best_preprocessing is None
    assert found.outputs["kind"] == "constant"
    assert [finding["code"] for finding in found.findings] == ["one_answer"]


def test_network_that_nearly_always_says_happy_is_told_so():
    labels = some_labels()
    random = np.random.default_rng(3)
    outputs = network(np.where(random.random(N) < 0.98, 3, random.integers(0, 7, N)), 1.0)
    (finding,) = diagnose({DECLARED: outputs}, labels).findings
    assert finding["code"] == "one_answer"
    assert "Happy for 9" in finding["what"]


def test_scaling_that_explains_one_answer_is_what_is_said():
    """Saturated by pixels that it never saw, a network gives one answer: the cause is said, not the symptom."""
    labels = some_labels()
    outputs = {DECLARED: np.tile(np.eye(7, dtype="float32")[0], (N, 1)), "[-1, 1]": network(labels, 0.6)}
    (finding,) = diagnose(outputs, labels).findings
    assert finding["code"] == "scaling_differs"


def test_who_tried_one_scaling_only_does_not_say_that_none_helps():
    labels = some_labels()
    assert diagnose({DECLARED: network(labels, 0.0)}, labels).findings == []


# --- Tools -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_outputs", [3, 5, 6, 7])
def test_assignment_is_the_best_of_all(num_outputs):
    random = np.random.default_rng(num_outputs)
    for _ in range(10):
        counts = random.integers(0, 40, (7, num_outputs))
        order = best_assignment(counts)
        assert len(set(order.tolist())) == num_outputs
        best = max(
            sum(counts[label, output] for output, label in enumerate(labels))
            for labels in itertools.permutations(range(7), num_outputs)
        )
        assert counts[order, np.arange(num_outputs)].sum() == best


def test_more_outputs_than_emotions_leave_some_over():
    counts = np.zeros((7, 9), int)
    counts[np.arange(7), np.arange(7) + 2] = 10
    assert best_assignment(counts).tolist() == [-1, -1, 0, 1, 2, 3, 4, 5, 6]


def test_assignment_keeps_the_preferred_label_where_nothing_tells():
    counts = np.zeros((7, 7), int)
    assert best_assignment(counts, np.arange(7)).tolist() == list(range(7))


@pytest.mark.parametrize("pair", [(0, 0), (3, 9), (9, 3), (10, 10), (0, 5), (200, 100), (1, 40)])
def test_sign_test_is_exact(pair):
    n = sum(pair)
    exact = min(1.0, 2 * sum(math.comb(n, k) for k in range(min(pair) + 1)) / 2**n)
    assert sign_test(*pair) == pytest.approx(exact, rel=1e-9)


def test_sign_test_of_thousands_is_a_small_number_and_no_overflow():
    assert 0 <= sign_test(3000, 10) < 1e-250


def test_answers_without_knowledge_are_not_beyond_chance():
    labels = some_labels()
    always = np.full(N, 3)
    assert beyond_chance(labels, always, always == labels) == pytest.approx(0, abs=1e-6)
    assert beyond_chance(labels, labels, labels == labels) > 3 * MIN_SIGMAS


SCORES = np.random.default_rng(0).normal(size=(50, 7))


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        (np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True), "probabilities"),
        (SCORES, "logits"),
        (1 / (1 + np.exp(-SCORES)), "sigmoid"),
        (np.maximum(SCORES, 0), "relu"),
        (np.tile(SCORES[:1], (50, 1)), "constant"),
        (np.full((50, 7), np.nan), "not finite"),
        (np.exp(SCORES), "positive numbers"),
    ],
)
def test_outputs_are_named_for_what_they_are(outputs, kind):
    assert kind_of_outputs(outputs)["kind"] == kind


@pytest.mark.parametrize(
    ("outputs", "labels", "complaint"),
    [
        ({"0-255": np.ones((3, 7))}, [0, 1, 2], "Wanted those under"),
        ({DECLARED: np.ones((4, 7))}, [0, 1, 2], "shape"),
        ({DECLARED: np.ones(7)}, [0], "shape"),
        ({DECLARED: np.ones((3, 7)), "0-255": np.ones((3, 6))}, [0, 1, 2], "differ in width"),
        ({DECLARED: np.ones((3, 7))}, [0, 1, 9], "Labels run"),
        ({DECLARED: np.ones((3, 7)), "sideways": np.ones((3, 7))}, [0, 1, 2], "sideways"),
    ],
)
def test_arrays_that_do_not_belong_together_are_errors(outputs, labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        diagnose(outputs, labels)
