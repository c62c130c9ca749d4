"""Why a network is right for 14 %: which scaling, which order of labels, which side up would make it right.

A network that was trained on pixels from 0 to 255, or on labels in alphabetical order, has learned something and looks
as if it had not. `diagnose` takes its outputs for the same pictures under several preprocessings, with the labels, and
finds the simplest explanation that the numbers carry: one scaling of `PREPROCESSINGS` with one order of `ORDERS`, or
else the assignment of outputs to emotions that agrees best.

Searching makes luck look like knowledge: of the 5,040 orders of seven labels the best one always beats chance on the
pictures that it was chosen on. So a free assignment is chosen on one half of the pictures and counted on the other; two
explanations are compared on the same pictures by a sign test; and nothing is said unless it is beyond what a network
without any knowledge would reach (`beyond_chance`). Pure numpy: no network runs here.

    outputs = {"[0, 1]": …, "0-255": …}              # float arrays (n, num_outputs), of the first n pictures
    diagnosis = diagnose(outputs, labels)
    diagnosis.best_preprocessing, diagnosis.label_order, diagnosis.sentence
"""

import itertools
import math
from dataclasses import dataclass, field, replace

import numpy as np

from expressions.labels import EMOTIONS, NUM_CLASSES
from expressions.metrics import wilson_interval

DECLARED = "[0, 1]"


@dataclass(frozen=True)
class Preprocessing:
    """One thing that people do to pictures before a network sees them.

    Attributes:
        key: name of the worker's array, after `"hidden_"`; empty for what the handout asks for.
        code: the finding's code, empty for what the handout asks for or leaves open.
        given: what the network was given here: "right for 15 % with values from 0 to 1, 50 % with …".
        trained: what it must have been trained on: "it was trained on …".
        advice: what the student can do.
    """

    key: str
    code: str
    given: str
    trained: str
    advice: str


_DIVIDE = "divide by 255, and do nothing else to the pixels, wherever pictures are made; train again and save"
_TURN = (
    "reshape once, to (-1, 48, 48, 1), without transposing; look at a picture before you train; train again and save"
)

PREPROCESSINGS = {
    DECLARED: Preprocessing("", "", "values from 0 to 1", "values from 0 to 1", ""),
    "0-255": Preprocessing(
        "0_255", "pixels_never_divided", "pixels from 0 to 255", "pixels that were never divided by 255",
        "divide by 255 in prepare_images, train again and save",
    ),
    "[-1, 1]": Preprocessing(
        "minus1_1", "scaling_differs", "values from -1 to 1", "values from -1 to 1",
        f"{_DIVIDE}; a Rescaling(2, offset=-1) layer inside the network does the rest",
    ),
    "ImageNet": Preprocessing(
        "imagenet", "scaling_differs", "pixels from 0 to 255 less the colour means of ImageNet",
        "pictures that went through the preprocess_input of VGG16 or ResNet50",
        f"{_DIVIDE}; put preprocess_input's arithmetic into a layer of the network",
    ),
    "standardized": Preprocessing(
        "standardized", "scaling_differs", "each picture less its own mean, divided by its own standard deviation",
        "pictures that were standardized one by one", _DIVIDE,
    ),
    "min-max": Preprocessing(
        "minmax", "scaling_differs", "pictures stretched to their own 0 to 1",
        "pictures that were scaled one by one, by their own minimum and maximum", _DIVIDE,
    ),
    "mean face": Preprocessing(
        "featurewise", "scaling_differs",
        "each pixel less its mean over all pictures, divided by its standard deviation",
        "pixels that were standardized with the mean and standard deviation of the data set",
        f"{_DIVIDE}; a Normalization layer inside the network may keep the mean",
    ),
    "transposed": Preprocessing(
        "transposed", "pictures_turned", "rows and columns swapped", "pictures with rows and columns swapped", _TURN
    ),
    "upside down": Preprocessing(
        "upside_down", "pictures_turned", "pictures upside down", "pictures that stood upside down", _TURN
    ),
    "turned right": Preprocessing(
        "turned_right", "pictures_turned", "pictures turned by a quarter", "pictures that lay on their side", _TURN
    ),
    "inverted": Preprocessing(
        "inverted", "scaling_differs", "black and white exchanged", "negatives: black where the picture is white",
        "keep 0 black and 1 white; plot a picture with cmap='gray', vmin=0, vmax=1 before you train",
    ),
}  # fmt: skip
DECLARED_VOXELS = "fixed bounds"
_VOXELS = "counts in fixed bounds, as voxelize should return them; any scaling is a layer inside the network"
VOXEL_PREPROCESSINGS = {
    DECLARED_VOXELS: Preprocessing("", "", "counts in fixed bounds", "counts in fixed bounds", ""),
    "own bounds": Preprocessing(
        "own_bounds", "", "counts in each cloud's own bounds", "clouds stretched to their own bounds",
        "use one voxelize for training and for the test",
    ),
    "occupied": Preprocessing(
        "occupied", "scaling_differs", "1 for each cell with a point", "cells that are 0 or 1", _VOXELS
    ),
    "own bounds, occupied": Preprocessing(
        "own_occupied", "scaling_differs", "1 for each cell with a point, in each cloud's own bounds",
        "cells that are 0 or 1, of clouds stretched to their own bounds", _VOXELS,
    ),
    "divided by the largest": Preprocessing(
        "largest", "scaling_differs", "counts divided by the largest", "counts divided by the largest", _VOXELS
    ),
    "own bounds, divided by the largest": Preprocessing(
        "own_largest", "scaling_differs", "counts divided by the largest, in each cloud's own bounds",
        "counts divided by the largest, of clouds stretched to their own bounds", _VOXELS,
    ),
    "[z, y, x]": Preprocessing(
        "reversed", "pictures_turned", "grids indexed [z, y, x]", "grids indexed [z, y, x]", "index the grid [x, y, z]"
    ),
}  # fmt: skip
NAME_OF_KEY = {preprocessing.key: name for name, preprocessing in PREPROCESSINGS.items()}

CONTEMPT = "Contempt"
NOTHING = "nothing"
FER2013 = "fer2013"
_SORTED = tuple(sorted(EMOTIONS))

# Orders in which data sets and tutorials number the emotions. RAF-DB counts from 1; FER+ and AffectNet as their papers
# list them; CK+ without contempt is FER-2013 with Neutral first, which is also what one-off counting gives.
_SEVEN = {
    FER2013: EMOTIONS,
    "alphabetical": _SORTED,
    "Neutral first": ("Neutral", *EMOTIONS[:-1]),
    "shifted by one": (*EMOTIONS[1:], EMOTIONS[0]),
    "RAF-DB": ("Surprise", "Fear", "Disgust", "Happy", "Sad", "Angry", "Neutral"),
    "FER+": ("Neutral", "Happy", "Surprise", "Sad", "Angry", "Disgust", "Fear"),
    "AffectNet": ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry"),
    "KDEF": ("Fear", "Angry", "Disgust", "Happy", "Neutral", "Sad", "Surprise"),
    "CK+48": ("Angry", CONTEMPT, "Disgust", "Fear", "Happy", "Sad", "Surprise"),
}
_EIGHT = {
    "FER-2013 counted from 1": (NOTHING, *EMOTIONS),
    "FER-2013 and an output for nothing": (*EMOTIONS, NOTHING),
    "alphabetical, with Contempt": tuple(sorted((*EMOTIONS, CONTEMPT))),
    "CK+": ("Neutral", "Angry", CONTEMPT, "Disgust", "Fear", "Happy", "Sad", "Surprise"),
    "FER+": (*_SEVEN["FER+"], CONTEMPT),
    "AffectNet": (*_SEVEN["AffectNet"], CONTEMPT),
    "RAF-DB counted from 1": (NOTHING, *_SEVEN["RAF-DB"]),
}

# A gain smaller than this is nothing to write home about, however certain.
MIN_GAIN = 0.03
# What a student is told: a difference that a mistake makes, and chance does not.
FINDING_GAIN, FINDING_P = 0.08, 1e-4
CERTAIN_GAIN, CERTAIN_P = 0.15, 1e-9
VERY_CERTAIN_P = 1e-20
# An explanation that is simpler wins unless the best one is better by more than this, and not by luck.
SAME_GAIN, SAME_P = 0.02, 0.01
# Standard deviations above independence of outputs and labels; a search over all preprocessings stays below 4.
MIN_SIGMAS = 5.0
# An order that nobody has a name for must explain more: pictures that a network was not trained on are mistaken
# systematically, and the best assignment then looks a little like an order.
MIN_ASSIGNED = 0.12
ONE_ANSWER = 0.9
# Who has tried fewer preprocessings than this cannot say that none of them helps.
MIN_TRIED = 4


@dataclass(frozen=True)
class Row:
    """Accuracy under one preprocessing.

    Attributes:
        name: key of `PREPROCESSINGS`, or a caller's own.
        accuracy: float, with outputs in FER-2013's order; `None` unless the network has seven.
        interval: its 95 % Wilson interval, `None` likewise.
        num_images: int, n.
        assigned_accuracy: float, with outputs in the order that the diagnosis names.
        assigned_interval: its 95 % Wilson interval.
        best_accuracy: float, with the best assignment, chosen on one half and counted on the other.
        confidence: float, mean of the largest output; `None` if outputs are no probabilities.
        answers: dict from name of the answer to its share, of the two most frequent.
    """

    name: str
    accuracy: float | None
    interval: tuple | None
    num_images: int
    assigned_accuracy: float
    assigned_interval: tuple
    best_accuracy: float
    confidence: float | None
    answers: dict


@dataclass(frozen=True)
class Diagnosis:
    """What the numbers carry.

    Attributes:
        rows: tuple of `Row`, one for each preprocessing that was tried.
        samples: str, `"pictures"` or `"clouds"`.
        best_preprocessing: name, or `None` if no preprocessing makes the network beat chance.
        also: tuple of names of preprocessings that cannot be told from the best one.
        label_order: name of the order, `"assigned"` for one without a name, or `None` if none beats chance.
        classes: tuple of str, the emotion that each output stands for; `None` with `label_order`.
        accuracy, interval, num_images: under the best preprocessing, in the label order found; of the declared
            preprocessing in FER-2013's order if nothing beats chance.
        before, before_interval: under the declared preprocessing in FER-2013's order, on the same pictures.
        gain: float, how much better the explanation is than what the handout asks for, on the same pictures.
        p: float, the probability of so uneven a difference by luck.
        outputs: dict: `kind` (`"probabilities"`, `"logits"`, `"sigmoid"`, `"relu"`, `"constant"`, `"not finite"`),
            `range`, `sums`.
        chance: float, accuracy that always naming the most frequent emotion would reach.
        luck: float, what the best assignment reaches by luck alone on so many pictures (95 % quantile, in-sample).
        sentence: what all this says, in one sentence.
        findings: list of partial findings: `code`, `certainty`, `evidence`, `what`, `wanted`, `try`.
    """

    rows: tuple
    samples: str
    best_preprocessing: str | None
    also: tuple
    label_order: str | None
    classes: tuple | None
    accuracy: float
    interval: tuple
    num_images: int
    before: float | None
    before_interval: tuple | None
    gain: float
    p: float
    outputs: dict
    chance: float
    luck: float
    sentence: str
    findings: list = field(default_factory=list)


def orders_for(num_outputs):
    """Lists the orders in which a network with so many outputs may count the emotions.

    Args:
        num_outputs: int.

    Returns:
        dict from name to tuple of `num_outputs` names, of emotions, `"Contempt"` or `"nothing"`. Networks with four
        to six outputs leave emotions out, in FER-2013's order or in the alphabet's.
    """
    if num_outputs == NUM_CLASSES:
        return dict(_SEVEN)
    if num_outputs == NUM_CLASSES + 1:
        return dict(_EIGHT)
    found = {}
    if 4 <= num_outputs < NUM_CLASSES:
        for left_out in itertools.combinations(EMOTIONS, NUM_CLASSES - num_outputs):
            words = " and ".join(filter(None, [", ".join(left_out[:-1]), left_out[-1]]))
            for name, order in ((FER2013, EMOTIONS), ("alphabetical", _SORTED)):
                kept = tuple(emotion for emotion in order if emotion not in left_out)
                if kept not in found.values():
                    found[f"{name} without {words}"] = kept
    return found


def class_ids(order):
    """Turns an order's names into labels: int array, −1 for an output that stands for no emotion of ours."""
    return np.array([EMOTIONS.index(name) if name in EMOTIONS else -1 for name in order])


def sign_test(num_better, num_worse):
    """Compares two answers to the same questions by those where only one of them is right.

    Args:
        num_better: int, pictures that the second alone has right.
        num_worse: int, pictures that the first alone has right.

    Returns:
        float, the two-sided exact probability of so uneven a split by a fair coin (McNemar's test, exact form).
    """
    n = int(num_better) + int(num_worse)
    if n == 0:
        return 1.0
    k = np.arange(min(num_better, num_worse) + 1)
    # log of n choose k, term by term: the numbers themselves have a thousand digits.
    steps = np.log((n - k[1:] + 1) / k[1:])
    logs = np.concatenate([[0.0], np.cumsum(steps)]) - n * math.log(2)
    return float(min(1.0, 2 * np.exp(logs - logs.max()).sum() * math.exp(max(logs.max(), -700))))


def count_table(labels, answers, num_outputs):
    """Counts labels against answers.

    Returns:
        int array `(7, num_outputs)`; `[label, output]` counts the pictures of this label that got this answer.
    """
    counts = np.bincount(labels * num_outputs + answers, minlength=NUM_CLASSES * num_outputs)
    return counts.reshape(NUM_CLASSES, num_outputs)


def best_assignment(counts, preferred=None):
    """Finds the assignment of outputs to labels that makes most answers right. Exact.

    Args:
        counts: array `(7, num_outputs)`, as `count_table` gives it.
        preferred: int array `(num_outputs,)`, the labels to keep where it makes no difference, or `None`.

    Returns:
        int array `(num_outputs,)`: the label of each output, no label twice; −1 for outputs that are left over.

    Source: the Hungarian method, Kuhn 1955, as shortest augmenting paths.
    """
    num_labels, num_outputs = counts.shape
    gain = counts.astype(float)
    if preferred is not None:
        kept = np.flatnonzero(preferred >= 0)
        gain[preferred[kept], kept] += 1e-3
    turned = num_labels > num_outputs
    cost = -(gain.T if turned else gain)  # fewer rows than columns
    rows, columns = cost.shape
    u, v = np.zeros(rows + 1), np.zeros(columns + 1)
    match = np.zeros(columns + 1, dtype=int)  # row of each column, counted from 1; 0 is none
    for row in range(1, rows + 1):
        match[0], column = row, 0
        shortest, way, done = np.full(columns + 1, np.inf), np.zeros(columns + 1, int), np.zeros(columns + 1, bool)
        while True:
            done[column] = True
            slack = cost[match[column] - 1] - u[match[column]] - v[1:]
            closer = ~done[1:] & (slack < shortest[1:])
            shortest[1:][closer], way[1:][closer] = slack[closer], column
            open_ones = np.where(done, np.inf, shortest)
            open_ones[0] = np.inf
            following = int(open_ones.argmin())
            delta = open_ones[following]
            u[match[done]] += delta
            v[done] -= delta
            shortest[~done] -= delta
            column = following
            if match[column] == 0:
                break
        while column:
            match[column], column = match[way[column]], way[column]
    assigned = np.full(num_outputs, -1)
    pairs = [(match[column] - 1, column - 1) for column in range(1, columns + 1) if match[column]]
    for first, second in pairs:
        label, output = (second, first) if turned else (first, second)
        assigned[output] = label
    return assigned


def cross_fitted(labels, answers, num_outputs, preferred=None):
    """Says which pictures the best assignment has right, without letting a picture choose its own assignment.

    The assignment of the even pictures is counted on the odd ones, and the other way round.

    Returns:
        bool array `(n,)`.
    """
    right = np.zeros(len(labels), bool)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        other = slice(1, None, 2) if part.start == 0 else slice(0, None, 2)
        order = best_assignment(count_table(labels[part], answers[part], num_outputs), preferred)
        right[other] = order[answers[other]] == labels[other]
    return right


def beyond_chance(labels, answers, right):
    """Measures how far an accuracy is beyond what answers without any knowledge of the pictures would reach.

    Answers that are independent of the labels, given as often as these, and labels as frequent as these, agree for a
    share that follows from the two frequencies alone. A network that always gives one answer reaches exactly that.

    Args:
        labels: int array `(n,)`.
        answers: int array `(n,)`, labels that the network names; −1 where it names none of ours.
        right: bool array `(n,)`.

    Returns:
        float, standard deviations above it.
    """
    n = len(labels)
    named = answers[answers >= 0]
    expected = float((np.bincount(labels, minlength=NUM_CLASSES) / n) @ (np.bincount(named, minlength=NUM_CLASSES) / n))
    spread = math.sqrt(max(expected * (1 - expected), 1e-12) / n)
    return (float(right.mean()) - expected) / max(spread, 1e-9) if n else 0.0


def luck(labels, answers, num_outputs, num_rounds=100, seed=0):
    """Returns what the best assignment reaches on shuffled labels: the 95 % quantile of its accuracy, in-sample."""
    random = np.random.default_rng(seed)
    rounds = []
    for _ in range(num_rounds):
        counts = count_table(random.permutation(labels), answers, num_outputs)
        order = best_assignment(counts)
        kept = order >= 0
        rounds.append(counts[order[kept], np.flatnonzero(kept)].sum() / max(len(labels), 1))
    return float(np.quantile(rounds, 0.95))


def kind_of_outputs(outputs):
    """Says what a network's outputs are.

    Args:
        outputs: float array `(n, num_outputs)`.

    Returns:
        dict with `kind`, `range` (smallest, largest), `sums` (smallest, largest sum of a picture's outputs).
    """
    finite = np.isfinite(outputs).all()
    if not finite or not outputs.size:
        return {"kind": "not finite" if outputs.size else "none", "range": None, "sums": None}
    sums = outputs.sum(axis=1, dtype=np.float64)
    low, high = float(outputs.min()), float(outputs.max())
    if len(outputs) > 1 and np.ptp(outputs, axis=0).max() <= 1e-6 * max(1.0, abs(high)):
        kind = "constant"
    elif low >= -1e-6 and np.abs(sums - 1).max() < 1e-2:
        kind = "probabilities"
    elif low < -1e-6:
        kind = "logits"
    elif high <= 1 + 1e-6 and float((outputs == 0).mean()) <= 0.05:
        kind = "sigmoid"
    elif float((outputs == 0).mean()) > 0.05:
        kind = "relu"
    else:
        kind = "positive numbers"
    return {"kind": kind, "range": [low, high], "sums": [float(sums.min()), float(sums.max())]}


def diagnose(outputs, labels, declared=DECLARED, preprocessings=None, samples="pictures"):
    """Finds what explains a network's accuracy.

    Args:
        outputs: dict from preprocessing (of `PREPROCESSINGS`) to the network's outputs, float array
            `(m, num_outputs)` for the first m pictures; m may differ. The declared one must be there.
        labels: int array `(n,)`, 0 … 6, n ≥ every m.
        declared: the preprocessing that the handout asks for.
        preprocessings: dict from name to `Preprocessing`, where they are others than `PREPROCESSINGS`.
        samples: str, what the labels belong to, for sentences: `"pictures"` or `"clouds"`.

    Returns:
        A `Diagnosis`.

    Raises:
        ValueError: the declared preprocessing is absent, arrays have another form, or there are fewer labels.
    """
    preprocessings = PREPROCESSINGS if preprocessings is None else preprocessings
    labels = np.asarray(labels, dtype=int)
    outputs = _checked(outputs, labels, declared, preprocessings)
    num_outputs = outputs[declared].shape[1]
    answers = {name: array.argmax(axis=1) for name, array in outputs.items() if np.isfinite(array).all()}
    broken = declared not in answers
    if broken:
        answers = {declared: np.zeros(len(outputs[declared]), int), **answers}
    candidates = _candidates(answers, labels, num_outputs, declared)
    if broken:  # NaN is no answer, and nothing of it is right
        candidates = [_nothing_right(one) if one.preprocessing == declared else one for one in candidates]
    best = _simplest(candidates)
    baseline = candidates[0]
    knows = best is not None and best.sigmas >= MIN_SIGMAS

    n = min(len(baseline.right), len(best.right)) if best else len(baseline.right)
    gain, p = 0.0, 1.0
    if best is not None and best is not baseline:
        gain = float(best.right[:n].mean() - baseline.right[:n].mean())
        p = _compare(baseline.right, best.right)
        if knows and num_outputs == NUM_CLASSES and (gain < MIN_GAIN or p >= FINDING_P):
            # Nothing is clearly better than what the handout asks for; perhaps that alone is beyond chance.
            best, knows, gain, p = baseline, baseline.sigmas >= MIN_SIGMAS, 0.0, 1.0
            n = len(best.right)
    shown = best if knows else baseline
    order = shown.order if knows else None
    also = _also(candidates, best, labels, answers) if knows else ()
    rows = tuple(
        _row(name, answers[name], outputs[name], labels, num_outputs, shown.ids)
        for name in sorted(answers, key=list(preprocessings).index)
    )
    right = shown.right
    before = baseline.right[:n] if num_outputs == NUM_CLASSES else None
    found = {
        "rows": rows,
        "samples": samples,
        "best_preprocessing": best.preprocessing if knows else None,
        "also": also,
        "label_order": order,
        "classes": tuple(_class_names(shown)) if knows else None,
        "accuracy": float(right.mean()) if len(right) else 0.0,
        "interval": wilson_interval(int(right.sum()), len(right)),
        "num_images": len(right),
        "before": None if before is None else float(before.mean()),
        "before_interval": None if before is None else wilson_interval(int(before.sum()), len(before)),
        "gain": gain if knows else 0.0,
        "p": p if knows else 1.0,
        "outputs": kind_of_outputs(outputs[declared]),
        "chance": float(np.bincount(labels, minlength=NUM_CLASSES).max() / max(len(labels), 1)),
        "luck": luck(labels[: len(answers[declared])], answers[declared], num_outputs),
    }
    draft = Diagnosis(**found, sentence="")
    return Diagnosis(
        **found,
        sentence=_sentence(draft, declared, preprocessings),
        findings=_findings(draft, declared, preprocessings),
    )


def _checked(outputs, labels, declared, preprocessings):
    unknown = sorted(set(outputs) - set(preprocessings))
    if unknown:
        raise ValueError(f"Outputs under {', '.join(unknown)}. Wanted those of {', '.join(preprocessings)}.")
    if declared not in outputs:
        raise ValueError(f"There are outputs under {sorted(outputs)}. Wanted those under {declared!r} among them.")
    checked = {}
    for name, array in outputs.items():
        array = np.asarray(array)
        if array.ndim != 2 or array.shape[1] < 2 or not 0 < len(array) <= len(labels):
            raise ValueError(
                f"Outputs under {name!r} have shape {array.shape}. Wanted (n, 2 or more), n from 1 to {len(labels)}."
            )
        checked[name] = array
    if len({array.shape[1] for array in checked.values()}) != 1:
        shapes = {name: array.shape for name, array in checked.items()}
        raise ValueError(f"Outputs differ in width: {shapes}. Wanted those of one network.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < NUM_CLASSES:
        raise ValueError(f"Labels run from {labels.min()} to {labels.max()}. Wanted 0 to {NUM_CLASSES - 1}.")
    return checked


@dataclass(frozen=True)
class _Candidate:
    """One explanation: a preprocessing with an order.

    `ids` is the label of each output and `right` what it has right; `score` decides between candidates. It is the
    accuracy for seven outputs, and the mean recall of the emotions that it knows for another number: the faces that
    such a network cannot name get any answer, and most of them are of the most frequent emotion.
    """

    preprocessing: str
    order: str
    ids: np.ndarray
    right: np.ndarray
    score: float
    sigmas: float
    complexity: int


def _candidates(answers, labels, num_outputs, declared):
    """Lists all explanations; the first is what the handout asks for."""
    orders = {name: class_ids(order) for name, order in orders_for(num_outputs).items()}
    seven = num_outputs == NUM_CLASSES
    plain = orders[FER2013] if seven else None
    found = []

    def add(name, order, ids, right, other_labels):
        own, given = labels[: len(right)], answers[name]
        score = float(right.mean()) if seven else _mean_recall(own, right, ids)
        sigmas = beyond_chance(own, ids[given], right)
        complexity = (name != declared) + other_labels
        found.append(_Candidate(name, order, ids, right, score, sigmas, complexity))

    for name, given in sorted(answers.items(), key=lambda pair: pair[0] != declared):
        own = labels[: len(given)]
        for order, ids in orders.items():
            add(name, order, ids, ids[given] == own, 0 if order == FER2013 or not seven else 1)
        counts = count_table(own, given, num_outputs)
        if not seven:
            counts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        right = cross_fitted(own, given, num_outputs, plain)
        most_frequent = np.bincount(own, minlength=NUM_CLASSES).max() / len(own)
        if right.mean() >= most_frequent + MIN_ASSIGNED:
            add(name, "assigned", best_assignment(counts, plain), right, 2)
    if not seven:
        # There is no declared order for another number of outputs: nothing is right as it stands.
        nothing = np.zeros(len(answers[declared]), bool)
        found.insert(0, _Candidate(declared, "", np.full(num_outputs, -1), nothing, 0.0, 0.0, 0))
    return found


def _nothing_right(candidate):
    return replace(candidate, right=np.zeros_like(candidate.right), score=0.0, sigmas=0.0)


def _mean_recall(labels, right, ids):
    known = [right[labels == label].mean() for label in ids if label >= 0 and (labels == label).any()]
    return float(np.mean(known)) if known else 0.0


def _compare(first, second):
    n = min(len(first), len(second))
    first, second = first[:n], second[:n]
    return sign_test(int((second & ~first).sum()), int((first & ~second).sum()))


def _simplest(candidates):
    """Returns the simplest explanation that the best one does not clearly beat."""
    able = [candidate for candidate in candidates if candidate.sigmas >= MIN_SIGMAS]
    if not able:
        return None
    best = max(able, key=lambda candidate: candidate.score)
    enough = [
        candidate
        for candidate in able
        if candidate is best
        or best.score - candidate.score < SAME_GAIN
        or _compare(candidate.right, best.right) > SAME_P
    ]
    return min(enough, key=lambda candidate: (candidate.complexity, -candidate.score))


def _also(candidates, best, labels, answers):
    """Names the preprocessings that cannot be told from the best one, in the same order of labels."""
    names = []
    for candidate in candidates:
        if candidate.preprocessing != best.preprocessing and np.array_equal(candidate.ids, best.ids):
            n = min(len(candidate.right), len(best.right))
            close = best.right[:n].mean() - candidate.right[:n].mean() < SAME_GAIN
            if (close or _compare(candidate.right, best.right) > SAME_P) and candidate.preprocessing not in names:
                names.append(candidate.preprocessing)
    return tuple(names)


def _class_names(candidate):
    known = {**_SEVEN, **_EIGHT, **orders_for(len(candidate.ids))}.get(candidate.order)
    if known is not None and len(known) == len(candidate.ids):
        return known
    return [EMOTIONS[label] if label >= 0 else NOTHING for label in candidate.ids]


def _row(name, answers, outputs, labels, num_outputs, ids):
    labels = labels[: len(answers)]
    seven = num_outputs == NUM_CLASSES
    finite = bool(np.isfinite(outputs).all())
    right, assigned = (finite & (ids_of[answers] == labels) for ids_of in (np.arange(num_outputs), ids))
    best = finite & cross_fitted(labels, answers, num_outputs, np.arange(NUM_CLASSES) if seven else None)
    counts = np.bincount(answers, minlength=num_outputs)
    sure = finite and kind_of_outputs(outputs)["kind"] == "probabilities"
    frequent = np.argsort(-counts, kind="stable")[:2]
    return Row(
        name=name,
        accuracy=float(right.mean()) if seven else None,
        interval=wilson_interval(int(right.sum()), len(right)) if seven else None,
        num_images=len(answers),
        assigned_accuracy=float(assigned.mean()),
        assigned_interval=wilson_interval(int(assigned.sum()), len(assigned)),
        best_accuracy=float(best.mean()),
        confidence=float(outputs.max(axis=1).mean()) if sure else None,
        answers={
            (EMOTIONS[ids[output]] if ids[output] >= 0 else f"output {output}"): float(counts[output] / len(answers))
            for output in frequent
            if finite
        },
    )


# --- In words --------------------------------------------------------------------------------------------------------

_SAME_AS = {
    "Neutral first": "Neutral first, then FER-2013's order: as CK+ counts, or one place off",
    "shifted by one": "FER-2013's order, one place off",
    "RAF-DB": "RAF-DB's order",
    "FER+": "FER+'s order",
    "AffectNet": "AffectNet's order",
    "KDEF": "the order of KDEF's codes (AF, AN, DI, HA, NE, SA, SU)",
    "CK+48": "CK+'s order, with Contempt and without Neutral",
    "CK+": "CK+'s order",
}


def order_words(order, classes):
    """Names an order of labels in words, with its emotions."""
    listed = ", ".join(classes)
    if order == "assigned":
        return f"this order: {listed}"
    if order == "alphabetical":
        return f"alphabetical order ({listed})"
    return f"{_SAME_AS.get(order, order.replace(FER2013, 'FER-2013 order'))} ({listed})"


def _percent(value):
    return f"{value:.0%}"


def _range_words(interval):
    return f"{interval[0]:.0%} to {interval[1]:.0%}"


def _sentence(found, declared, preprocessings):
    n = f"{found.num_images:,}"
    if found.best_preprocessing is None:
        if found.outputs["kind"] == "not finite":
            return "It gives NaN or infinity: its training diverged, and nothing can be said about its answers."
        if found.outputs["kind"] == "constant":
            return "It gives the same outputs whatever the face shows."
        said = "" if found.before is None else f"It is right for {_percent(found.before)} of {n} {found.samples}"
        chance = f"always the most frequent emotion would be {_percent(found.chance)}"
        if found.before is None:
            return (
                f"Its outputs do not follow the emotions of these {found.samples}, in any order of labels ({chance})."
            )
        return (
            f"{said} ({_range_words(found.before_interval)}), as chance allows: {chance}. No other scaling, side up or "
            "order of labels that was tried lifts it above chance; by luck alone the best of all orders would be "
            f"right for {_percent(found.luck)}."
        )
    words = f"It is right for {_percent(found.accuracy)} of {n} {found.samples} ({_range_words(found.interval)})"
    parts = []
    if found.best_preprocessing != declared:
        others = " or ".join(preprocessings[name].given for name in found.also if name != declared)
        parts.append(f"with {preprocessings[found.best_preprocessing].given}{f' (or {others})' if others else ''}")
    if found.label_order != FER2013:
        parts.append(f"if its outputs are read in {order_words(found.label_order, found.classes)}")
    asks = ", as the handout asks" if found.samples == "pictures" else ""
    plain = f"with {preprocessings[declared].given} and labels in FER-2013's order"
    if not parts:
        return f"{words} {plain}{asks}."
    tail = f"; {plain}{asks}, for {_percent(found.before)}" if found.before is not None else ""
    return f"{words} {' and '.join(parts)}{tail}."


def _findings(found, declared, preprocessings):
    """Returns partial findings: the caller adds whose network it is, and to which item they belong."""
    findings = []
    certain = (found.gain >= CERTAIN_GAIN and found.p < CERTAIN_P) or found.p < VERY_CERTAIN_P
    told = found.gain >= FINDING_GAIN and found.p < FINDING_P and found.before is not None
    numbers = (
        ""
        if found.before is None
        else f"{_percent(found.before)} as the handout asks, {_percent(found.accuracy)} so, p = {found.p:.1g}"
    )
    other_pixels = told and found.best_preprocessing != declared and preprocessings[found.best_preprocessing].code
    other_order = told and found.label_order != FER2013
    if other_pixels:
        best = preprocessings[found.best_preprocessing]
        order = "" if not other_order else ", and its outputs in another order"
        findings.append(
            {
                "code": best.code,
                "certainty": "certain" if certain else "probable",
                "evidence": f"on {found.num_images:,} {found.samples} {_percent(found.before)} right with "
                f"{preprocessings[declared].given}, {_percent(found.accuracy)} with {best.given}{order}",
                "what": f"is right for {_percent(found.before)} of {found.num_images:,} {found.samples} with "
                f"{preprocessings[declared].given}, but for {_percent(found.accuracy)} with {best.given}{order}: "
                f"it was trained on {best.trained}" + _or_else(found, declared, preprocessings),
                "wanted": f"a network trained on {preprocessings[declared].given}",
                "try": best.advice,
            }
        )
    if other_order:
        named = found.label_order != "assigned"
        findings.append(
            {
                "code": "label_order_differs",
                "certainty": "certain" if certain and named else "probable",
                "evidence": f"on {found.num_images:,} {found.samples} {numbers}",
                "what": f"has its labels in {order_words(found.label_order, found.classes)}: "
                f"{_percent(found.accuracy)} of {found.num_images:,} {found.samples} are right in that order, "
                f"{_percent(found.before)} in FER-2013's order",
                "wanted": f"output i for emotion i of FER-2013: {', '.join(EMOTIONS)}",
                "try": "take labels from the csv's column `emotion`, or from expressions.labels, and never from the "
                "order of folders or dictionary keys; train again and save",
            }
        )
    if found.best_preprocessing is None and found.before is not None:
        findings += _at_chance(found, declared, num_tried=len(found.rows))
    return findings


def _or_else(found, declared, preprocessings):
    others = [preprocessings[name].trained for name in found.also if name != declared]
    return f" (or on {' or '.join(others)})" if others else ""


def _at_chance(found, declared, num_tried):
    row = next(row for row in found.rows if row.name == declared)
    kind = found.outputs["kind"]
    if kind == "not finite":
        return []
    answer, share = next(iter(row.answers.items()), ("", 0.0))
    common = {"certainty": "certain", "wanted": "answers that depend on the face"}
    if kind == "constant":
        return [
            {
                **common,
                "code": "one_answer",
                "evidence": f"the same outputs for {row.num_images:,} {found.samples}",
                "what": "gives the same outputs whatever the face shows: it has stopped learning",
                "try": "see whether the training loss falls; a smaller learning rate, and no ReLU before the softmax",
            }
        ]
    if share >= ONE_ANSWER:
        return [
            {
                **common,
                "code": "one_answer",
                "evidence": f"{answer} for {share:.0%} of {row.num_images:,} {found.samples}",
                "what": f"answers {answer} for {share:.0%} of {row.num_images:,} {found.samples}",
                "try": "see whether the training loss falls; divide by 255, and try a smaller learning rate",
            }
        ]
    if num_tried < MIN_TRIED:
        return []
    return [
        {
            **common,
            "code": "at_chance",
            "certainty": "probable",
            "evidence": f"{found.before:.0%} of {row.num_images} right; {found.chance:.0%} for one answer always",
            "what": f"is right for {_percent(found.before)} of {row.num_images:,} {found.samples}, as chance allows, "
            "and no other scaling, side up or order of labels that was tried helps",
            "wanted": "a network that has learned from pictures with their own labels",
            "try": "check that picture i has label i in training: plot a few with their emotions; train longer",
        }
    ]
