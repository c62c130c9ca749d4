"""Compares what the configuration promises with what the file stores, and describes the layers."""

import copy
import math
import re

from expressions.model_file.known import SHOWN_KEYS
from expressions.model_file.messages import Refused, plural, product, shape_text, show
from expressions.model_file.shapes import Inference, first_shape

# Weights that Keras stores beside the parameters: the state of random generators.
STATE = re.compile(r"seed_generator|StateVar|state_var|rng_state")
ASSUMED_SIZE = 48


def compare(model, by_layer, parser, result, limits, architecture_only=False):
    """Infers all shapes, compares them with what is stored, and fills the result's structure.

    Args:
        model: Layer of the whole network.
        by_layer: dict from the id of a `Layer` to the arrays that the file stores for it, `[(name, Dataset)]`.
        parser: Parser that read the network; its reasons are added to those of the result.
        result: dict of `audit`.
        limits: Limits.
        architecture_only: bool, whether the file stores no weights at all.

    Raises:
        Refused: the models are nested too deep.
    """
    inference = Inference(limits)
    if model.kind == "functional":
        inputs = []
        for name, _, _ in model.inputs:
            child = next((child for child in model.children if child.name == name), None)
            inputs.append(child.declared if child is not None else None)
        result["functional_inputs"] = [
            {"name": name, "shape": None if shape is None else list(shape)}
            for (name, _, _), shape in zip(model.inputs, inputs, strict=True)
        ]
    else:
        inputs = [first_shape(model)]
        if inputs == [None] and not architecture_only:
            inputs = [_guess_input(model, by_layer, limits, is_large=parser.num_layers > 100)]
            if inputs != [None]:
                parser.note(
                    "input-shape-guessed",
                    f"the file does not say for which input the network is made, a slip of Keras 2.2 and 2.3; the "
                    f"stored weights fit {shape_text(inputs[0])}",
                )
    try:
        outputs = inference.run(model, inputs)
        cost = inference
        if any(shape is None or None in shape[1:] for shape in inputs):
            # A network for pictures of any size, or of unknown size, costs what it would on pictures of this one.
            cost = Inference(limits)
            cost.run(copy.deepcopy(model), [_assumed(shape, model) for shape in inputs])
    except RecursionError:
        raise Refused(
            "too-deep", "the models are nested too deep", "a network that a person can read", "flatten the network"
        ) from None

    first = model.children[0] if model.children else None
    if (
        model.kind == "sequential"
        and first is not None
        and first.class_name != "InputLayer"
        and first.kind == "layer"
        and first.declared is not None
    ):
        parser.note(
            "first-layer-input",
            f"the first layer ({first.class_name}) states the input shape {shape_text(first.declared)} itself, as "
            "Keras 1 and 2 wrote it; Keras 3 loads such a file without complaint and with a wrong input rank",
        )
    result["layers"] = [child.class_name for child in model.children]
    total = 0
    for child in model.children:
        stored = by_layer.get(id(child), [])
        entry = _layer_entry(child, stored)
        total += entry["num_parameters"]
        result["layer_list"].append(entry)
        if not architecture_only:
            _compare_layer(child, stored, parser)
    result["num_parameters"] = 0 if architecture_only else total
    result["input_shape"] = _json_shapes(inputs)
    result["output_shape"] = _json_shapes(outputs)
    result["max_activation"] = cost.max_activation
    result["total_activation"] = cost.total_activation
    result["flops"] = cost.flops
    result["last_activation"] = _last_activation(model)
    _refuse_excess(parser, limits, inference, cost, total)
    result["reasons"] += parser.reasons


def _assumed(shape, model):
    """Fills the free axes of an input shape; a shape that is not stated at all is taken from the first layer's kind."""
    if shape is None:
        rank = re.search(r"([123])D", model.children[0].class_name) if model.children else None
        if rank is None:
            return None
        shape = (None, *[None] * int(rank[1]), 1)
    return (None, *[ASSUMED_SIZE if size is None else size for size in shape[1:]])


def _refuse_excess(parser, limits, inference, cost, total):
    """Refuses a network that cannot be, or that would take more than one of this course may."""
    if inference.unreachable:
        parser.refuse(
            "graph",
            f"the layer {show(inference.unreachable[0].name)} waits for its own output, or for a layer that is not in "
            "the network",
            "save the model again with `model.save`",
            "layers that lead from the inputs to the outputs",
        )
    if cost.impossible is not None and inference.impossible is None:
        parser.note(
            "needs-larger-pictures",
            f"on pictures of {ASSUMED_SIZE} x {ASSUMED_SIZE} nothing would be left after the layer "
            f"{show(cost.impossible[0].name)}",
        )
    if inference.impossible is not None:
        layer, shapes, output = inference.impossible
        parser.refuse(
            "impossible-shape",
            f"the layer {show(layer.name)} would make an output of the shape "
            f"{shape_text(output)} from {shape_text(shapes[0] if shapes else None)}",
            "use a smaller kernel, pool or cropping",
            "at least one number along each axis",
        )
    if total > limits.max_parameters:
        parser.refuse(
            "too-many-parameters",
            f"the network has {total:,} parameters",
            "use fewer filters or units, or pool before Flatten",
            f"at most {limits.max_parameters:,}",
        )
    if cost.max_activation > limits.max_activation:
        parser.refuse(
            "activation-size",
            f"the layer {show(cost.max_layer.name)} makes {cost.max_activation:,} numbers from one picture",
            "use fewer filters, a smaller size, or pool earlier",
            f"at most {limits.max_activation:,}",
        )
    if cost.flops > limits.max_flops:
        parser.refuse(
            "flops",
            f"one prediction takes {cost.flops / 1e9:,.0f} GFLOP",
            "use fewer filters, a smaller input, or pool earlier",
            f"at most {limits.max_flops / 1e9:,.0f} GFLOP",
        )


# Sides of pictures and voxel grids, the likeliest first.
USUAL_SIZES = (48, 24, 64, 32, 28, 96, 100, 128, 150, 160, 192, 197, 200, 224, 227, 256, 299, 16, 8)


def _guess_input(model, by_layer, limits, is_large):
    """Finds an input shape with which the stored weights are those that the configuration promises, or None."""
    first = next((child for child in model.children if by_layer.get(id(child))), None)
    if first is None:
        return None
    largest = max((dataset.shape for _, dataset in by_layer[id(first)]), key=len)
    rank = {"Conv1D": 1, "Conv2D": 2, "SeparableConv2D": 2, "DepthwiseConv2D": 2, "Conv3D": 3}.get(first.class_name)
    if rank is not None and len(largest) == rank + 2:
        channels = largest[-2]
        # A network of very many layers is tried with the usual sizes only, for time.
        sizes = USUAL_SIZES if is_large else [*USUAL_SIZES, *range(2, 161)]
        shapes = [(None, *[size] * rank, channels) for size in sizes]
        if first.config.get("data_format") == "channels_first":
            shapes = [(None, channels, *[size] * rank) for size in sizes]
    elif first.class_name == "Dense" and len(largest) == 2:
        shapes = [(None, largest[0])]
        sides = [side for side in USUAL_SIZES if side * side == largest[0]]
        if any(child.class_name == "Flatten" for child in model.children[: model.children.index(first)]):
            shapes = [(None, side, side, 1) for side in sides] + shapes
    else:
        return None
    for shape in shapes:
        trial = copy.deepcopy(model)
        inference = Inference(limits)
        inference.run(trial, [shape])
        fits = all(
            copied.expected is not None
            and sorted(copied.expected)
            == sorted(dataset.shape for name, dataset in by_layer.get(id(child), []) if not STATE.search(name))
            for child, copied in zip(model.children, trial.children, strict=True)
        )
        if fits and inference.impossible is None:
            return shape
    return None


def _compare_layer(layer, stored, parser):
    """Refuses a layer whose weights are not those that its configuration promises."""
    shapes = sorted(dataset.shape for name, dataset in stored if not STATE.search(name))
    if layer.expected is None:
        total = sum(product(shape) for shape in shapes)
        for key, value in _promises(layer):
            if value > max(total, 1):
                parser.refuse(
                    "weights-mismatch",
                    f"the layer {show(layer.name)} ({layer.class_name}) says {key}={value:,}, but the file stores "
                    f"{plural(total, 'number')} for it",
                    "save the model again with `model.save`",
                    "the weights that the configuration promises",
                )
        return
    expected = sorted(layer.expected)
    if expected == shapes:
        return
    if layer.legacy and "Conv" in layer.class_name and _unordered(expected) == _unordered(shapes):
        # Keras 1 on Theano stores (filters, channels, rows, columns), and a Conv1D with one more axis of 1.
        return
    if layer.class_name in ("LSTM", "GRU") and sum(map(product, shapes)) in (
        sum(map(product, expected)),
        sum(map(product, expected)) + max(map(product, expected[:1])),
    ):
        # CuDNN layers of Keras 2 store the bias twice.
        return
    if not shapes:
        what = f"the file stores no weights for the layer {show(layer.name)} ({layer.class_name})"
        code = "missing-weights"
    else:
        what = (
            f"the layer {show(layer.name)} ({layer.class_name}) is configured for weights of the shapes "
            f"{_shape_list(expected)}, but the file stores {_shape_list(shapes)}"
        )
        code = "weights-mismatch"
    parser.refuse(code, what, "save the model again with `model.save`", "the weights that the configuration promises")


def _unordered(shapes):
    return sorted(sorted(size for size in shape if size != 1) for shape in shapes)


def _shape_list(shapes):
    texts = [shape_text(shape) for shape in shapes[:6]] + (["…"] if len(shapes) > 6 else [])
    return ", ".join(texts) if texts else "none"


def _promises(layer):
    """Yields the sizes that a configuration promises, where the weights' shapes are not known."""
    for key in ("units", "filters", "output_dim", "input_dim", "num_heads", "key_dim", "value_dim"):
        value = layer.config.get(key)
        if type(value) is int and value > 1:
            yield key, value
    for child in layer.children:
        if child.expected is None:
            yield from _promises(child)


def _layer_entry(layer, stored):
    entry = {
        "name": layer.name,
        "class_name": layer.class_name,
        "config": {key: shown(layer.config[key]) for key in SHOWN_KEYS if key in layer.config},
        "output_shape": _json_shapes(
            layer.output_shape if isinstance(layer.output_shape, list) else [layer.output_shape]
        ),
        "num_parameters": sum(product(dataset.shape) for name, dataset in stored if not STATE.search(name)),
        "weights": [{"name": name, "shape": list(dataset.shape), "dtype": dataset.dtype} for name, dataset in stored],
    }
    if layer.kind == "operation":
        entry["config"]["constants"] = shown(layer.numbers)
    if layer.children:
        left = list(stored)
        entry["layers"] = []
        for child in layer.children:
            own = [item for item in left if child.name in item[0].split("/")]
            left = [item for item in left if item not in own]
            entry["layers"].append(_layer_entry(child, own))
    layer.stored = stored
    return entry


def shown(value):
    """Makes a setting short and plain, as people would write it."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return value.get("items")
        config = value.get("config")
        return config if isinstance(config, str) else value.get("class_name")
    if isinstance(value, list):
        return [shown(item) for item in value[:16]]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_shapes(shapes):
    shapes = [None if shape is None else list(shape) for shape in shapes]
    if len(shapes) == 1:
        return shapes[0]
    return shapes or None


def _last_activation(model):
    """Returns the name of the activation that makes the model's output, or None."""
    last = model.children[-1] if model.children else None
    if model.kind == "functional" and model.outputs:
        last = next((child for child in model.children if child.name == model.outputs[0][0]), None)
    if last is None:
        return None
    if last.kind in ("sequential", "functional"):
        return _last_activation(last)
    if last.class_name in ("Softmax", "ReLU", "LeakyReLU", "ELU", "PReLU") or last.kind == "operation":
        return {"LeakyReLU": "leaky_relu"}.get(last.class_name, last.class_name.lower())
    activation = shown(last.config.get("activation"))
    return activation if isinstance(activation, str) else "linear"
