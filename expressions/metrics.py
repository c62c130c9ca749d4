"""Accuracy with its uncertainty, precision, recall, F1 and confusion: defined once, for the grader and the tracks."""

from dataclasses import dataclass, fields
from math import sqrt

import numpy as np

from expressions.labels import NUM_CLASSES


@dataclass(frozen=True)
class ClassificationMetrics:
    """How well predictions agree with labels. Every rate is a fraction from 0 to 1.

    Attributes:
        num_samples: int, n.
        accuracy: float, the share of samples that are right.
        interval: `(low, high)`, the 95 % Wilson interval of the accuracy.
        precision: float array `(num_classes,)`, of the samples called c, the share that are c; 0 if none is called c.
        recall: float array `(num_classes,)`, of the samples that are c, the share called c; 0 if none is c.
        f1: float array `(num_classes,)`, the harmonic mean of the two; 0 where both are 0.
        precision_macro: float, mean of `precision` over the classes that occur among labels or predictions.
        recall_macro: float, the same for `recall`.
        f1_macro: float, the same for `f1`.
        f1_micro: float, F1 over all samples at once; with one label per sample it equals the accuracy.
        confusion: int array `(num_classes, num_classes)`, rows are true classes, columns predicted ones.
        support: int array `(num_classes,)`, how many samples are of each class.
    """

    num_samples: int
    accuracy: float
    interval: tuple
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    precision_macro: float
    recall_macro: float
    f1_macro: float
    f1_micro: float
    confusion: np.ndarray
    support: np.ndarray

    def as_dict(self):
        """Returns the attributes as numbers and lists that `json.dumps` accepts."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["interval"] = list(self.interval)
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def wilson_interval(num_correct, num_samples, z=1.959964):
    """Returns the range of true accuracies that a count of right answers is compatible with.

    Unlike p ± z·√(p(1−p)/n) it stays inside 0 … 1 and has width at 0 and n right answers.

    Args:
        num_correct: int, 0 … `num_samples`.
        num_samples: int; 0 gives (0, 1), as nothing is known.
        z: float, the normal quantile; 1.959964 is 95 %.

    Returns:
        `(low, high)`, floats from 0 to 1.

    Raises:
        ValueError: `num_correct` is not between 0 and `num_samples`.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    """
    num_correct, num_samples = int(num_correct), int(num_samples)
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"{num_correct} right of {num_samples}. Wanted a count from 0 to {num_samples}.")
    if num_samples == 0:
        return 0.0, 1.0
    share = num_correct / num_samples
    scale = 1 + z * z / num_samples
    centre = (share + z * z / (2 * num_samples)) / scale
    half = z / scale * sqrt(share * (1 - share) / num_samples + z * z / (4 * num_samples**2))
    # At 0 and n right the bounds are exactly 0 and 1; rounding would leave them 1e-17 away.
    low = 0.0 if num_correct == 0 else max(0.0, centre - half)
    high = 1.0 if num_correct == num_samples else min(1.0, centre + half)
    return low, high


def confusion_matrix(labels, predictions, num_classes=NUM_CLASSES):
    """Counts how often each class was called what.

    Args:
        labels: int array `(n,)`, true classes, 0 … `num_classes` − 1.
        predictions: int array `(n,)`, predicted classes.
        num_classes: int.

    Returns:
        int64 array `(num_classes, num_classes)`; entry `[t, p]` counts the samples of class t that were called p.

    Raises:
        ValueError: lengths differ, values are not whole numbers or are out of range.
    """
    labels = _class_ids(labels, "labels", num_classes)
    predictions = _class_ids(predictions, "predictions", num_classes)
    if labels.size != predictions.size:
        raise ValueError(f"{labels.size} labels and {predictions.size} predictions. Wanted one prediction per label.")
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def classification_metrics(labels, predictions, num_classes=NUM_CLASSES):
    """Compares predicted classes with true ones.

    Args:
        labels: int array `(n,)`, true classes.
        predictions: int array `(n,)`, predicted classes; for probabilities `(n, num_classes)` take their argmax first.
        num_classes: int.

    Returns:
        A `ClassificationMetrics`.

    Raises:
        ValueError: as `confusion_matrix`, or n is 0.
    """
    confusion = confusion_matrix(labels, predictions, num_classes)
    num_samples = int(confusion.sum())
    if num_samples == 0:
        raise ValueError("There are no samples. Wanted at least one label with its prediction.")
    support, called, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diagonal(confusion)
    num_correct = int(right.sum())
    precision = _ratio(right, called)
    recall = _ratio(right, support)
    f1 = _ratio(2 * right, support + called)
    occurs = (support + called) > 0
    accuracy = num_correct / num_samples
    return ClassificationMetrics(
        num_samples=num_samples,
        accuracy=accuracy,
        interval=wilson_interval(num_correct, num_samples),
        precision=precision,
        recall=recall,
        f1=f1,
        precision_macro=float(precision[occurs].mean()),
        recall_macro=float(recall[occurs].mean()),
        f1_macro=float(f1[occurs].mean()),
        f1_micro=accuracy,
        confusion=confusion,
        support=support,
    )


def _ratio(part, whole):
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _class_ids(values, name, num_classes):
    values = np.asarray(values)
    if values.ndim != 1:
        hint = f" Take {name}.argmax(axis=1) first." if values.ndim == 2 else ""
        raise ValueError(f"{name} has shape {values.shape}. Wanted (n,), one class per sample.{hint}")
    if values.size and not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{name} is {values.dtype}. Wanted whole numbers from 0 to {num_classes - 1}.")
    if values.size and (values.min() < 0 or values.max() >= num_classes):
        raise ValueError(f"{name} runs from {values.min()} to {values.max()}. Wanted 0 to {num_classes - 1}.")
    return values.astype(np.int64)
