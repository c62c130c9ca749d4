"""Figures: what is on them, that no screen is needed, and that nothing runs over the edge."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from expressions.labels import EMOTIONS
from expressions.plotting import (
    plot_architecture,
    plot_confusion_matrix,
    plot_emotion_prediction,
    plot_learning_curves,
    plot_samples,
)

HAPPY = np.array([0.02, 0.001, 0.05, 0.8, 0.06, 0.039, 0.03])


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def texts(figure):
    """Every text on a figure that is not empty."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def texts_over_the_edge(figure):
    """The texts of a figure that are cut by its border."""
    from matplotlib.text import Text

    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.canvas.get_width_height()
    cut = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text():
            box = text.get_window_extent(renderer)
            if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1:
                cut.append(text.get_text())
    return cut


def test_a_prediction_has_a_bar_for_each_emotion_in_the_order_of_the_list(tmp_path):
    figure = plot_emotion_prediction(HAPPY, np.zeros((48, 48)), tmp_path / "new" / "folder" / "happy.png")
    bars = figure.axes[1]
    assert [tick.get_text() for tick in bars.get_yticklabels()] == list(EMOTIONS)
    assert [patch.get_width() for patch in bars.patches] == pytest.approx(HAPPY.tolist())
    assert bars.yaxis_inverted()
    assert bars.get_title(loc="left") == "Happy, 80 %"
    assert "0.1 %" in texts(figure)
    with Image.open(tmp_path / "new" / "folder" / "happy.png") as image:
        assert image.format == "PNG" and image.width > 800


@pytest.mark.parametrize("shape", [(48, 48), (48, 48, 1), (48, 48, 3)])
def test_any_picture_is_shown_from_black_to_white(shape):
    for image in (np.full(shape, 0.5), np.full(shape, 128, np.uint8)):
        figure = plot_emotion_prediction(HAPPY, image)
        assert np.asarray(figure.axes[0].images[0].get_array()).mean() == pytest.approx(0.5, abs=0.01)
        assert figure.axes[0].images[0].get_clim() == (0, 1)


def test_a_batch_of_one_and_a_title_of_your_own_are_accepted():
    figure = plot_emotion_prediction(HAPPY[None], title="Is it joy?")
    assert "Is it joy?" in texts(figure)


def test_outputs_that_are_no_probabilities_are_not_called_so():
    words = " ".join(texts(plot_emotion_prediction([-1, 2, 3, 4.5, 1, 0, 0.3])))
    assert "not probabilities" in words and "%" not in words


@pytest.mark.parametrize("wrong", [np.ones(6) / 6, np.ones((2, 7)), [np.nan] * 7])
def test_a_wrong_prediction_is_explained(wrong):
    with pytest.raises(ValueError, match="Wanted"):
        plot_emotion_prediction(wrong)


def test_a_wrong_image_is_explained():
    with pytest.raises(ValueError, match="image has shape"):
        plot_emotion_prediction(HAPPY, np.zeros(2304))


def test_learning_curves_start_at_epoch_1_with_accuracy_first(tmp_path):
    history = {"loss": [2, 1], "accuracy": [0.3, 0.5], "val_loss": [2, 1.5], "val_accuracy": [0.3, 0.4]}
    figure = plot_learning_curves(SimpleNamespace(history=history), tmp_path / "curves.png")
    accuracy, loss = figure.axes
    assert accuracy.get_title(loc="left").startswith("Accuracy") and loss.get_title(loc="left") == "Loss"
    training, validation = accuracy.get_lines()
    assert training.get_xdata().tolist() == [1, 2] and training.get_ydata().tolist() == [30, 50]
    assert validation.get_ydata().tolist() == [30, 40]
    assert training.get_linestyle() != validation.get_linestyle()
    assert training.get_marker() != validation.get_marker()
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_a_single_epoch_and_no_validation_still_make_a_figure():
    figure = plot_learning_curves({"loss": [1.8]})
    assert len(figure.axes) == 1 and "training\n1.8" in texts(figure)


def test_a_learning_rate_is_no_curve_of_its_own():
    assert len(plot_learning_curves({"loss": [1], "learning_rate": [0.1]}).axes) == 1


@pytest.mark.parametrize("history", [{}, {"loss": []}])
def test_an_empty_history_is_explained(history):
    with pytest.raises(ValueError, match="at least one epoch"):
        plot_learning_curves(history)


def test_a_confusion_matrix_shows_the_share_of_the_row_and_the_count():
    confusion = np.diag([30, 0, 10, 10, 10, 10, 10])
    confusion[0, 6] = 10
    figure = plot_confusion_matrix(confusion)
    axes = figure.axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    first_row = [text for (x, y), text in written.items() if -0.5 < y < 0.5 and x in (0, 6)]
    assert first_row == ["75", "30", "25", "10"]
    assert "88.9 % of 90 right" in texts(figure)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(EMOTIONS)
    assert [tick.get_text().split("\n")[0] for tick in axes.get_yticklabels()] == list(EMOTIONS)


def test_an_empty_confusion_matrix_divides_nothing_by_zero():
    with np.errstate(all="raise"):
        plot_confusion_matrix(np.zeros((7, 7), int))


@pytest.mark.parametrize("wrong", [np.zeros((6, 6)), np.zeros(7), -np.ones((7, 7))])
def test_a_wrong_confusion_matrix_is_explained(wrong):
    with pytest.raises(ValueError, match="Wanted"):
        plot_confusion_matrix(wrong)


@pytest.mark.parametrize("count", [1, 7, 8, 23, 49])
def test_samples_are_captioned_and_fit_on_the_page(count):
    labels = np.arange(count) % 7
    figure = plot_samples(np.zeros((count, 48, 48), np.uint8), labels)
    assert [axes.get_title() for axes in figure.axes] == [EMOTIONS[label] for label in labels]
    assert texts_over_the_edge(figure) == []


def test_more_than_49_samples_are_cut_to_49():
    assert len(plot_samples(np.zeros((60, 48, 48)), np.zeros(60, int)).axes) == 49


def test_a_wrong_prediction_is_marked_by_more_than_colour():
    probabilities = np.eye(7)[[3, 4]]
    figure = plot_samples(np.zeros((2, 48, 48, 1)), [3, 0], predictions=probabilities)
    right, wrong = figure.axes
    assert right.get_title() == "✓ Happy" and not right.patches
    assert wrong.get_title() == "✗ Sad\nis Angry" and len(wrong.patches) == 1


@pytest.mark.parametrize(("images", "labels"), [((0, 48, 48), 0), ((2, 48, 48), 1)])
def test_samples_without_a_label_each_are_explained(images, labels):
    with pytest.raises(ValueError, match="one label per image"):
        plot_samples(np.zeros(images), np.zeros(labels, int))


class Layer:
    """What the diagram asks of a Keras layer."""

    def __init__(self, name, shape, num_parameters=0, **config):
        self.name, self.num_parameters, self.config = name, num_parameters, config
        self.output = SimpleNamespace(shape=(None, *shape))

    def get_config(self):
        return self.config

    def count_params(self):
        return self.num_parameters


def make_layer(kind, *args, **config):
    return type(kind, (Layer,), {})(*args, **config)


def make_model(layers, name="model_1", input_shape=(None, 48, 48, 1)):
    total = sum(layer.count_params() for layer in layers)
    return SimpleNamespace(name=name, layers=layers, input_shape=input_shape, count_params=lambda: total)


def model_1_layers():
    return [
        make_layer(
            "Conv2D", "conv2d", (44, 44, 64), 1664, filters=64, kernel_size=(5, 5), strides=(1, 1), activation="relu"
        ),
        make_layer("MaxPooling2D", "pool", (20, 20, 64), pool_size=(5, 5), strides=(2, 2), padding="valid"),
        make_layer("Flatten", "flatten", (25600,)),
        make_layer("Dense", "dense", (1024,), 26_215_424, units=1024, activation="relu"),
        make_layer("Dense", "dense_1", (7,), 7175, units=7, activation="softmax"),
    ]


def test_the_architecture_says_of_each_layer_kind_settings_shape_and_parameters(tmp_path):
    figure = plot_architecture(make_model(model_1_layers()), tmp_path / "model_1.png")
    words = texts(figure)
    for text in (
        "model_1",
        "26,224,263 parameters in 5 layers",
        "Input",
        "48 × 48 × 1",
        "Conv2D",
        "64 filters 5×5, relu",
        "44 × 44 × 64",
        "1,664 parameters",
        "5×5, step 2",
        "25,600",
        "1024 units, relu",
        "26,215,424 parameters",
        "7 units, softmax",
    ):
        assert text in words
    assert texts_over_the_edge(figure) == []
    with Image.open(tmp_path / "model_1.png") as image:
        assert image.format == "PNG"


def test_a_long_model_wraps_into_columns_with_every_layer_on_the_page():
    layers = [make_layer("BatchNormalization", f"normalization_{i}", (48, 48, 32), 128, scale=True) for i in range(30)]
    figure = plot_architecture(make_model(layers))
    words = texts(figure)
    assert sum(text.startswith("normalization_") for text in words) == 30
    assert texts_over_the_edge(figure) == []
    width, height = figure.get_size_inches()
    assert 0.7 < width / height < 2.5
    lefts = {
        round(text.get_position()[0], 2) for text in figure.axes[0].texts if text.get_text() == "BatchNormalization"
    }
    assert len(lefts) > 1


def test_texts_of_a_card_never_run_into_each_other():
    layer = make_layer(
        "Conv3DTranspose",
        "a_very_long_name_that_somebody_gave_to_a_layer_of_theirs",
        (128, 128, 128, 1024),
        1_234_567_890,
        filters=1024,
        kernel_size=(3, 3, 3),
        strides=(2, 2, 2),
        padding="same",
        activation="hard_sigmoid_with_a_long_name",
    )
    figure = plot_architecture(make_model([layer]))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


def test_a_model_in_a_model_is_followed_by_its_layers_and_a_huge_one_is_not():
    for count, shown in ((5, True), (200, False)):
        inner = make_layer("Functional", "backbone", (32,), 500)
        inner.layers = [make_layer("Dense", f"inside_{i}", (32,), 100, units=32) for i in range(count)]
        words = texts(plot_architecture(make_model([inner, make_layer("Dense", "head", (7,), 231, units=7)])))
        assert ("inside_0" in words) is shown
        assert f"a model with {count} layers" in words


def test_a_model_without_layers_is_explained():
    with pytest.raises(ValueError, match="has no layers"):
        plot_architecture(SimpleNamespace(name="empty", layers=[]))


KERAS_MODELS = """
import keras
from keras import layers
from expressions.plotting_layers import list_layers

images = keras.Input((48, 48, 1), name="faces")
first = layers.Conv2D(4, 3, padding="same", name="first")(images)
second = layers.Conv2D(4, 3, padding="same", name="second")(first)
joined = layers.Add(name="join")([first, second])
backbone = keras.Model(images, layers.GlobalAveragePooling2D()(joined), name="backbone")
model = keras.Sequential([keras.Input((48, 48, 1)), backbone, layers.Dense(7, name="head")], name="model_3")

cards = {card.name: card for card in list_layers(model)}
assert list(cards)[:3] == ["input", "backbone", "first"], list(cards)
assert cards["join"].sources == ("first", "second") and cards["join"].depth == 1, cards["join"]
assert cards["join"].shape == (48, 48, 4), cards["join"]
assert cards["backbone"].num_parameters == backbone.count_params() == 188, cards["backbone"]
assert cards["head"].sources == ("backbone",) and cards["head"].details == "7 units", cards["head"]
"""


def test_real_keras_models_give_their_shapes_and_connections():
    # In a child, as TensorFlow takes half a gigabyte and starts threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    run = [sys.executable, "-c", KERAS_MODELS]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr


def test_importing_the_module_loads_neither_matplotlib_nor_keras_and_no_screen_is_needed(tmp_path):
    code = (
        "import sys, expressions.plotting as plotting;"
        "assert not {'matplotlib', 'keras', 'tensorflow'} & set(sys.modules);"
        "plotting.plot_emotion_prediction([0, 0, 0, 1, 0, 0, 0]);"
        f"plotting.plot_emotion_prediction([0, 0, 0, 1, 0, 0, 0], path={str(tmp_path / 'a.png')!r});"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment, timeout=60)
    assert (tmp_path / "a.png").exists()


def test_without_a_path_a_figure_is_shown_where_there_is_a_screen(monkeypatch):
    from expressions import plotting

    shown = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(plotting, "_show", shown.append)
    figure = plot_emotion_prediction(HAPPY)
    assert shown == [figure]


def test_a_window_shows_the_figure_that_is_returned(monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("Agg")
    seen = []
    monkeypatch.setattr(plt, "show", lambda: seen.append(plt.gcf().canvas.manager.canvas.figure))
    monkeypatch.setenv("DISPLAY", ":0")
    figure = plot_emotion_prediction(HAPPY)
    assert seen == [figure] and plt.get_fignums() == []
