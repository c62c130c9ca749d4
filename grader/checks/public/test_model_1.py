"""Checks of steps 2 and 3: model_1's layers, how it is compiled, and how it is trained."""

import pytest

from grader.outcome import Failed


def describe(layer):
    """One layer as a student would write it: `Conv2D(filters=64, kernel_size=[5, 5], activation='relu')`."""
    keys = ("filters", "units", "kernel_size", "pool_size", "strides", "padding", "activation")
    config = layer["config"]
    return f"{layer['class_name']}({', '.join(f'{key}={config[key]!r}' for key in keys if key in config)})"


def main_layers(work):
    """Layers of make_model_1 without inputs; an activation layer counts as part of the linear layer before it."""
    layers = []
    for layer in work.facts("make_model_1")["layer_list"]:
        kind, config = layer["class_name"], layer["config"]
        activation = {"ReLU": "relu", "Softmax": "softmax", "Activation": config.get("activation")}.get(kind)
        if kind == "InputLayer":
            continue
        if activation and layers and layers[-1]["config"].get("activation") == "linear":
            layers[-1] = {**layers[-1], "config": {**layers[-1]["config"], "activation": activation}}
        else:
            layers.append(layer)
    return layers


def expect_layer(work, position, class_name, wanted, **settings):
    """Fails unless the layer after `position - 1` others, inputs not counted, is the handout's."""
    layers = main_layers(work)
    if len(layers) < position:
        raise Failed(f"the network has {len(layers)} layers after the input", wanted, "add the layer")
    layer = layers[position - 1]
    found = describe(layer)
    if layer["class_name"] != class_name:
        names = [other["class_name"] for other in layers]
        where = " → ".join(names)
        raise Failed(f"layer {position} is {found} (Input → {where})", wanted, "keep the order of the handout")
    for key, value in settings.items():
        given = layer["config"].get(key)
        given = tuple(given) if isinstance(given, list) else given
        if given != value:
            raise Failed(found, wanted, f"set {key}={value!r}")


@pytest.mark.item("2a")
def test_model_1_takes_pictures(work):
    """model_1 takes pictures of shape (48, 48, 1)."""
    facts = work.facts("make_model_1")
    shape = tuple(facts["input_shape"] or ())
    if shape != (None, 48, 48, 1):
        seen = f"the input has shape {shape}" if shape else "the network has no input yet"
        raise Failed(seen, "(None, 48, 48, 1); None is the batch", "begin with keras.Input((48, 48, 1))", blocks=False)


@pytest.mark.item("2b")
def test_model_1_convolves(work):
    """The first layer is a convolution with 64 filters of 5 × 5 and ReLU."""
    wanted = "Conv2D(64, (5, 5), activation='relu')"
    expect_layer(work, 1, "Conv2D", wanted, filters=64, kernel_size=(5, 5), activation="relu")


@pytest.mark.item("2c")
def test_model_1_pools(work):
    """The second layer takes the maximum over 5 × 5, in strides of 2."""
    wanted = "MaxPooling2D(pool_size=(5, 5), strides=(2, 2))"
    expect_layer(work, 2, "MaxPooling2D", wanted, pool_size=(5, 5), strides=(2, 2))


@pytest.mark.item("2d")
def test_model_1_flattens(work):
    """The third layer flattens."""
    expect_layer(work, 3, "Flatten", "Flatten()")


@pytest.mark.item("2e")
def test_model_1_has_a_hidden_layer(work):
    """The fourth layer is dense: 1024 units with ReLU."""
    expect_layer(work, 4, "Dense", "Dense(1024, activation='relu')", units=1024, activation="relu")


@pytest.mark.item("2f")
def test_model_1_ends_in_seven_probabilities(work):
    """The last layer is dense: 7 units with softmax."""
    wanted = "Dense(7, activation='softmax')"
    expect_layer(work, 5, "Dense", wanted, units=7, activation="softmax")
    num_layers = len(main_layers(work))
    if num_layers != 5:
        raise Failed(f"{num_layers} layers after the input", f"five, {wanted} last", "keep other layers for model_2")


@pytest.mark.item("3b")
def test_model_1_is_compiled(work):
    """model_1 is compiled with categorical cross-entropy and Adam."""
    compiled = work.facts("make_model_1")["compiled"]
    wanted = "categorical_crossentropy, and Adam"
    if compiled is None:
        raise Failed("the model is not compiled", wanted, "call model.compile before you return the model")
    loss, optimizer = str(compiled["loss"]), str(compiled["optimizer"])
    seen = f"loss {loss}, optimizer {optimizer}"
    if loss.lower().replace("_", "") != "categoricalcrossentropy":
        raise Failed(seen, wanted, 'loss="categorical_crossentropy": the labels are one-hot')
    if optimizer.lower() != "adam":
        raise Failed(seen, wanted, "optimizer=keras.optimizers.Adam()")


@pytest.mark.item("3a")
def test_training_goes_in_batches(work):
    """Training takes batch_size pictures per step, and sees every picture."""
    facts = work.facts("train")
    wanted = f"{facts['num_images']} pictures in steps of {facts['batch_size']}: {facts['wanted_steps']} steps an epoch"
    if facts["num_training_steps"] == 0:
        raise Failed("the model took no training step", wanted, "call fit on the model that train() is given")
    if facts["steps_per_epoch"] != facts["wanted_steps"]:
        raise Failed(
            f"{facts['steps_per_epoch']:g} steps an epoch",
            wanted,
            "batch with the batch_size that train() is given",
            blocks=False,
        )


@pytest.mark.item("3c")
def test_training_runs_and_learns(work):
    """train() runs the epochs that it is given, changes the weights and returns the history."""
    facts = work.facts("train")
    wanted = f"the History of {facts['epochs']} epochs, with loss and val_loss"
    if not facts["weights_changed"]:
        raise Failed("training left every weight as it was", "weights that change", "train the model that train() gets")
    if not facts["is_history"]:
        raise Failed(f"train() returned {facts['returned']}", wanted, "return what model.fit returns")
    if facts["num_epochs"] != facts["epochs"]:
        raise Failed(f"{facts['num_epochs']} epochs", wanted, "pass epochs=epochs to model.fit")
    if "val_loss" not in facts["keys"]:
        raise Failed(f"a history with {', '.join(facts['keys'])}", wanted, "pass validation_data=(x_val, y_val)")
