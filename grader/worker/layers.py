"""Describes a Keras model in plain values: the same form as the static audit's `layer_list`."""

import re

# What tells two layers apart; weights' values and initializers do not.
_KEYS = (
    "filters",
    "units",
    "kernel_size",
    "pool_size",
    "strides",
    "padding",
    "dilation_rate",
    "depth_multiplier",
    "activation",
    "rate",
    "negative_slope",
    "alpha",
    "axis",
    "epsilon",
    "momentum",
    "use_bias",
    "data_format",
    "target_shape",
    "scale",
    "offset",
    "factor",
    "mode",
    "height",
    "width",
    "height_factor",
    "width_factor",
    "batch_shape",
    "trainable",
)


def plain(value):
    """Makes JSON of a config value: numbers, strings and lists of them; anything else becomes its class name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value][:16]
    if isinstance(value, dict):
        # keras.losses.categorical_crossentropy, a function, has its name in the config.
        if value.get("class_name") == "function" and isinstance(value.get("config"), str):
            return value["config"]
        return plain(value.get("registered_name") or value.get("class_name") or "dict")
    return type(value).__name__


def describe_layer(layer):
    """Describes one layer.

    Args:
        layer: keras.layers.Layer.

    Returns:
        dict with `name`, `class_name`, `config` (the keys that tell layers apart), `num_parameters`, `weights`
        (list of `{"name", "shape", "dtype"}`), and `layers` where the layer is itself a model.
    """
    try:
        config = layer.get_config()
    except Exception:
        config = {}  # a layer class of the student's own need not implement it
    entry = {
        "name": str(layer.name)[:200],
        "class_name": type(layer).__name__,
        "config": {
            key: _name(config[key]) if key == "activation" else plain(config[key]) for key in _KEYS if key in config
        },
        "num_parameters": int(layer.count_params()) if layer.built else 0,
        "weights": [
            {"name": str(weight.name), "shape": list(weight.shape), "dtype": str(weight.dtype)}
            for weight in layer.weights[:64]
        ],
    }
    if hasattr(layer, "layers"):
        entry["layers"] = [describe_layer(inner) for inner in layer.layers]
        entry["weights"] = []
    return entry


def describe_model(model):
    """Describes a model.

    Args:
        model: keras.Model.

    Returns:
        dict with `input_shape`, `output_shape` (lists with None for free axes; None where the model was never
        built), `num_parameters` and `layer_list`.
    """
    shapes = {}
    for name in ("input_shape", "output_shape"):
        try:
            shapes[name] = plain(getattr(model, name))
        except (AttributeError, ValueError):
            shapes[name] = None
    return {
        **shapes,
        "num_parameters": int(model.count_params()) if model.built else 0,
        "layer_list": [describe_layer(layer) for layer in model.layers],
    }


def describe_compilation(model):
    """Says how a model was compiled.

    Returns:
        dict with `loss`, `optimizer`, `metrics` in Keras' own spelling (`"categorical_crossentropy"`, `"adam"`) and
        `learning_rate`; None if it was not compiled.
    """
    if not getattr(model, "compiled", False):
        return None
    config = model.get_compile_config() or {}
    rate = getattr(model.optimizer, "learning_rate", None)
    try:
        rate = float(rate)
    except (TypeError, ValueError):
        rate = None
    metrics = config.get("metrics") or []
    return {
        "loss": _name(_only(config.get("loss"))),
        "optimizer": _name(type(model.optimizer).__name__),
        "metrics": [_name(metric) for metric in (metrics if isinstance(metrics, (list, tuple)) else [metrics])][:16],
        "learning_rate": rate,
    }


def _only(value):
    """Unwraps a list of one: a model with one output may be given its loss so."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _name(value):
    value = plain(value)
    if not isinstance(value, str):
        return value
    value = value.split(">")[-1]
    value = value.replace("ReLU", "Relu")
    if value.isupper():
        return value.lower()
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value).lower()
