"""What a training script leaves beside its model: learning curves, a confusion matrix, and one last line."""

from pathlib import Path

import numpy as np

from expressions.metrics import classification_metrics
from expressions.plotting import plot_confusion_matrix, plot_learning_curves


def report_training(model, saved_as, history, splits):
    """Measures a trained model, draws its figures and prints what was saved.

    Args:
        model: trained `keras.Model` with 7 outputs.
        saved_as: name of its file, such as `"model_1.h5"`; the figures are named after it.
        history: `keras.callbacks.History` or its dict, `None` if there is none.
        splits: dict from the name of a split to `(x, y)`, y one-hot `(n, 7)`; the split named `"Training"` is not
            measured, and the confusion matrix is that of the last one.

    Returns:
        dict from split name to `ClassificationMetrics`.
    """
    stem = Path(saved_as).with_suffix("")
    if history is not None:
        plot_learning_curves(getattr(history, "history", history), f"{stem}_curves.png")

    measured = {}
    for name, (x, y) in splits.items():
        if name != "Training":
            predictions = np.argmax(model.predict(x, batch_size=256, verbose=0), axis=1)
            measured[name] = classification_metrics(np.argmax(y, axis=1), predictions)
    plot_confusion_matrix(list(measured.values())[-1].confusion, f"{stem}_confusion.png")

    for name, metrics in measured.items():
        low, high = metrics.interval
        print(
            f"{name}: {metrics.accuracy:.1%} of {metrics.num_samples:,} right (95 % interval {low:.1%} to {high:.1%})"
        )
    name, metrics = next(iter(measured.items()))
    figures = f"{stem}_curves.png, {stem}_confusion.png ({list(measured)[-1]})"
    print(f"Saved {saved_as}: accuracy {metrics.accuracy:.1%} on {name}. Figures: {figures}")
    return measured
