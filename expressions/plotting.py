"""Draws predictions, learning curves, confusion matrices, pictures and the architecture of a model.

Every function returns the matplotlib figure. With a `path` it saves a PNG, and needs no screen for it; without one it
shows the figure in a window if there is a screen. Colours are from Okabe and Ito's set, which people with any kind of
colour vision can tell apart; whatever colour says is also said by a number, a mark or a position.
"""

import os
import sys
from pathlib import Path

import numpy as np

from expressions.labels import EMOTIONS, NUM_CLASSES

# Okabe and Ito 2008, "Color universal design".
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, GREY, FAINT = "#222222", "#6B6B6B", "#D9D9D9"

_STYLE = {
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.dpi": 160,
}


def plot_emotion_prediction(prediction, image=None, path=None, title=None):
    """Draws how sure a model is of each emotion, beside the picture it was shown.

    Args:
        prediction: float array `(7,)` or `(1, 7)`, probabilities in the order of `EMOTIONS`.
        image: array `(48, 48)`, `(48, 48, 1)` or `(height, width, 3)` to show on the left, or `None`; floats are from
            0 to 1, integers from 0 to 255.
        path: where to save a PNG, or `None` to show a window.
        title: str or `None` for the most likely emotion and its probability.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: `prediction` is not 7 finite numbers, or `image` is no picture.
    """
    prediction = np.asarray(prediction, dtype=float)
    if prediction.shape == (1, NUM_CLASSES):
        prediction = prediction[0]
    if prediction.shape != (NUM_CLASSES,):
        raise ValueError(
            f"The prediction has shape {prediction.shape}. Wanted ({NUM_CLASSES},), one probability per emotion:"
            " model.predict(x)[0]."
        )
    if not np.isfinite(prediction).all():
        raise ValueError(f"The prediction holds {prediction}. Wanted {NUM_CLASSES} finite numbers.")
    best = int(prediction.argmax())
    probabilities = prediction.min() >= 0 and prediction.max() <= 1.0001
    if title is None:
        title = f"{EMOTIONS[best]}, {_percent(prediction[best])}" if probabilities else EMOTIONS[best]

    with _style():
        if image is None:
            figure, bars = _figure(6.4, 3.6)
        else:
            figure, (picture, bars) = _figure(8.6, 3.6, ncols=2, width_ratios=[1, 1.35])
            _show_picture(picture, image)
        rows = np.arange(NUM_CLASSES)
        colors = [BLUE if label == best else "#A9C9DC" for label in rows]
        bars.barh(rows, prediction, color=colors, height=0.68)
        bars.set_yticks(rows, EMOTIONS)
        bars.get_yticklabels()[best].set_fontweight("bold")
        bars.invert_yaxis()
        bars.spines[["left", "bottom"]].set_visible(False)
        if probabilities:
            bars.set_xlim(0, 1.12)
            bars.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"], color=GREY)
            bars.vlines([0.25, 0.5, 0.75, 1], -0.5, 6.5, color=FAINT, linewidth=0.8, zorder=0)
        else:
            bars.set_xlabel("output of the last layer (no softmax: not probabilities)", color=GREY)
            low, high = min(prediction.min(), 0), max(prediction.max(), 0)
            bars.set_xlim(low - 0.03 * (high - low), high + 0.12 * (high - low))
        bars.axvline(0, color=GREY, linewidth=1)
        for row, value in enumerate(prediction):
            text = _percent(value) if probabilities else f"{value:.2f}"
            bars.annotate(
                text,
                (max(value, 0), row),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold" if row == best else "normal",
                fontsize=10,
            )
        bars.set_title(title)
    return _finish(figure, path)


def plot_learning_curves(history, path=None):
    """Draws loss and accuracy after each epoch, for training and validation.

    Args:
        history: dict from name to list of numbers, as `model.fit(…).history`; or the `History` itself.
        path: where to save a PNG, or `None` to show a window.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: the history has no epochs.
    """
    history = getattr(history, "history", history)
    metrics = [
        name for name in history if not name.startswith("val_") and len(history[name]) and name != "learning_rate"
    ]
    # Accuracy is what a reader looks for, so it comes first.
    metrics.sort(key=lambda name: (name not in ("accuracy", "acc"), name != "loss"))
    if not metrics:
        raise ValueError(f"The history holds {sorted(history) or 'nothing'}. Wanted the loss of at least one epoch.")
    metrics = metrics[:4]

    with _style():
        figure, panels = _figure(
            4.9 * len(metrics) if len(metrics) > 1 else 6.0, 3.7, ncols=len(metrics), squeeze=False
        )
        for panel, name in zip(panels[0], metrics, strict=True):
            as_percent = name in ("accuracy", "acc") or name.endswith("_accuracy")
            scale = 100 if as_percent else 1
            curves = [("training", history[name], GREY, "o", (0, (4, 2)))]
            if len(history.get(f"val_{name}", ())):
                curves.append(("validation", history[f"val_{name}"], BLUE, "s", "-"))
            ends = []
            for label, values, color, marker, dashes in curves:
                values = np.asarray(values, dtype=float) * scale
                epochs = np.arange(1, len(values) + 1)
                every = max(1, len(values) // 20)
                panel.plot(
                    epochs,
                    values,
                    color=color,
                    linestyle=dashes,
                    marker=marker,
                    markersize=5,
                    markevery=every,
                    linewidth=2,
                )
                ends.append((epochs[-1], values[-1], label, color))
            _label_ends(panel, ends, "{:.1f} %" if as_percent else "{:.3g}")
            panel.set_title(
                {"acc": "Accuracy"}.get(name, name.replace("_", " ").capitalize()) + (", %" if as_percent else "")
            )
            panel.set_xlabel("epoch")
            panel.yaxis.set_major_locator(_round_ticks())
            panel.grid(axis="y", color=FAINT, linewidth=0.8)
            panel.set_axisbelow(True)
            panel.spines["left"].set_visible(False)
            num_epochs = len(history[name])
            panel.set_xticks(_epoch_ticks(num_epochs))
            panel.set_xlim(1 - 0.04 * num_epochs, num_epochs + max(0.04 * num_epochs, 0.2))
    return _finish(figure, path)


def plot_confusion_matrix(confusion, path=None):
    """Draws which emotion was taken for which.

    Args:
        confusion: int array `(7, 7)`, rows true, columns predicted, as `expressions.metrics.confusion_matrix` counts.
        path: where to save a PNG, or `None` to show a window.

    Returns:
        The `matplotlib.figure.Figure`. A cell shows the share of its row in percent, and the count below.

    Raises:
        ValueError: `confusion` is no `(7, 7)` array of counts.
    """
    confusion = np.asarray(confusion)
    if confusion.shape != (NUM_CLASSES, NUM_CLASSES) or not np.isfinite(confusion).all() or confusion.min() < 0:
        raise ValueError(
            f"The confusion matrix has shape {confusion.shape}. Wanted ({NUM_CLASSES}, {NUM_CLASSES}) counts: rows"
            " true, columns predicted."
        )
    support = confusion.sum(axis=1)
    share = np.divide(confusion, support[:, None], out=np.zeros(confusion.shape), where=support[:, None] > 0)
    num_samples = int(confusion.sum())
    accuracy = np.trace(confusion) / num_samples if num_samples else 0.0

    with _style():
        figure, axes = _figure(7.2, 6.8)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(confusion.shape):
            if confusion[row, column] == 0:
                continue
            color = "white" if share[row, column] > 0.55 else INK
            weight = "bold" if row == column else "normal"
            axes.text(
                column,
                row - 0.09,
                f"{100 * share[row, column]:.0f}",
                ha="center",
                va="center",
                color=color,
                weight=weight,
                size=13,
            )
            axes.text(
                column,
                row + 0.25,
                f"{int(confusion[row, column]):,}",
                ha="center",
                va="center",
                color=color,
                size=8,
                alpha=0.85,
            )
        ticks = np.arange(NUM_CLASSES)
        axes.set_xticks(ticks, EMOTIONS)
        axes.set_yticks(ticks, [f"{name}\n{count:,}" for name, count in zip(EMOTIONS, support, strict=True)])
        axes.set_xticks(ticks[1:] - 0.5, minor=True)
        axes.set_yticks(ticks[1:] - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
        axes.tick_params(which="minor", length=0)
        axes.tick_params(axis="x", labelsize=10)
        axes.tick_params(axis="y", labelsize=10)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted", labelpad=10, color=GREY)
        axes.set_ylabel("true, with its number of faces", labelpad=10, color=GREY)
        axes.set_title(f"{100 * accuracy:.1f} % of {num_samples:,} right")
        axes.annotate(
            "large: percent of the row; small: count",
            (1, 1),
            (0, 14),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            color=GREY,
            size=9,
        )
    return _finish(figure, path)


def plot_samples(images, labels, path=None, predictions=None):
    """Draws a grid of pictures with their emotions.

    Args:
        images: array `(n, 48, 48)`, `(n, 48, 48, 1)` or `(n, height, width, 3)`; floats are from 0 to 1, integers from
            0 to 255. The first 49 are drawn.
        labels: int array `(n,)`, true emotions.
        path: where to save a PNG, or `None` to show a window.
        predictions: int array `(n,)` or probabilities `(n, 7)`, or `None`. A wrong one is marked by a cross, a frame
            and what the picture was taken for.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: there are no images, or the lengths differ.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"There are {len(images)} images and {len(labels)} labels. Wanted one label per image.")
    if predictions is not None:
        predictions = np.asarray(predictions)
        if len(predictions) != len(images):
            raise ValueError(f"There are {len(predictions)} predictions for {len(images)} images.")
        if predictions.ndim == 2:
            predictions = predictions.argmax(axis=1)
    count = min(len(images), 49)
    columns = count if count <= 7 else next(c for c in (5, 6, 7) if -(-count // c) <= c or c == 7)
    rows = -(-count // columns)
    face, gap, text = 1.4, 0.16, 0.28 if predictions is None else 0.44

    with _style():
        figure, _ = _figure(columns * (face + gap) + gap, rows * (face + gap + text) + gap, 0, 0)
        width, height = figure.get_size_inches()
        for index in range(count):
            row, column = divmod(index, columns)
            left = gap + column * (face + gap)
            bottom = height - (row + 1) * (face + gap + text)
            axes = figure.add_axes((left / width, bottom / height, face / width, face / height))
            axes.set_axis_off()
            _show_picture(axes, images[index])
            truth = EMOTIONS[labels[index]]
            title = {"fontsize": 10, "loc": "center", "pad": 4, "linespacing": 1.1}
            if predictions is None:
                axes.set_title(truth, fontweight="normal", **title)
            elif predictions[index] == labels[index]:
                axes.set_title(f"✓ {truth}", fontweight="normal", **title)
            else:
                axes.set_title(f"✗ {EMOTIONS[predictions[index]]}\nis {truth}", color=VERMILION, **title)
                axes.add_patch(_frame(axes))
    return _finish(figure, path)


def _frame(axes):
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=VERMILION, linewidth=4)


def plot_architecture(model, path=None):
    """Draws the layers of a model: what each does, the shape it puts out and its number of parameters.

    The handout asks for such a diagram of your final network.

    Args:
        model: `keras.Model` that has been built.
        path: where to save a PNG, or `None` to show a window.

    Returns:
        The `matplotlib.figure.Figure`. Layers follow each other downwards, then in the next column. A model inside the
        model is followed by its own layers, indented (by its name alone if there are more than 40). A line on the
        right is a connection that skips layers.

    Raises:
        ValueError: the model has no layers yet.
    """
    from expressions.plotting_layers import draw_layers, list_layers

    layers = list_layers(model)
    with _style():
        figure = draw_layers(layers, model.name, model.count_params())
    return _finish(figure, path)


def _percent(value):
    return f"{100 * value:.0f} %" if 0.0095 <= value < 0.9995 or value in (0, 1) else f"{100 * value:.1f} %"


def _round_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=6, steps=[1, 2, 5, 10])


def _epoch_ticks(num_epochs):
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if num_epochs / step <= 10)
    return [1, *range(step, num_epochs + 1, step)] if step > 1 else list(range(1, num_epochs + 1))


def _label_ends(panel, ends, number):
    """Writes each curve's name at its last point, moved apart where two would touch."""
    low, high = panel.get_ylim()
    gap = 0.14 * (high - low)
    ends = sorted(ends, key=lambda end: end[1])
    heights = [end[1] for end in ends]
    if len(heights) == 2 and heights[1] - heights[0] < gap:
        middle = min(max(sum(heights) / 2, low + gap), high - gap)
        heights = [middle - gap / 2, middle + gap / 2]
    for (epoch, value, label, color), height in zip(ends, heights, strict=True):
        panel.annotate(
            f"{label}\n{number.format(value)}",
            (epoch, height),
            (9, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=10,
            fontweight="bold",
            linespacing=1.25,
            annotation_clip=False,
        )


def _show_picture(axes, image):
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[-1] not in (3, 4)):
        raise ValueError(f"The image has shape {image.shape}. Wanted (48, 48), (48, 48, 1) or (height, width, 3).")
    top = 255 if np.issubdtype(image.dtype, np.integer) else 1.0
    axes.imshow(np.clip(image / top, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_axis_off()


def _style():
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def _has_screen():
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _figure(width, height, nrows=1, ncols=1, **subplots):
    """Makes a figure that belongs to no window yet, so that drawing never needs a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained" if nrows else None)
    FigureCanvasAgg(figure)
    if not nrows:
        return figure, None
    figure.get_layout_engine().set(w_pad=0.14, h_pad=0.12)
    ratios = {key: subplots.pop(key) for key in ("width_ratios", "height_ratios") if key in subplots}
    return figure, figure.subplots(nrows, ncols, **subplots, gridspec_kw=ratios or None)


def _finish(figure, path):
    if path is not None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=_STYLE["savefig.dpi"])
    elif _has_screen():
        _show(figure)
    return figure


def _show(figure):
    import matplotlib.pyplot as plt

    window = plt.figure(figsize=figure.get_size_inches())
    manager = window.canvas.manager
    manager.canvas.figure = figure
    figure.set_canvas(manager.canvas)
    plt.show()
    plt.close(manager.num)
