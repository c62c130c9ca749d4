"""Works out the shape of every layer's output and of every weight, and what one prediction costs."""

import re

from expressions.model_file.configuration import sizes_of
from expressions.model_file.known import LAYERS, words
from expressions.model_file.messages import product

# No count of this module grows beyond, so that sums of absurd ones stay numbers that can be printed.
HUGE = 10**30


class _Unknown(Exception):
    """The shape depends on something that the configuration does not state."""


def _known(*sizes):
    if any(size is None for size in sizes):
        raise _Unknown
    return sizes if len(sizes) > 1 else sizes[0]


def _channels_first(config):
    return config.get("data_format") == "channels_first"


def _split(shape, config, rank):
    """Splits a picture's shape into its spatial sizes and its number of channels."""
    if shape is None or len(shape) != rank + 2:
        raise _Unknown
    if _channels_first(config):
        return list(shape[2:]), shape[1]
    return list(shape[1:-1]), shape[-1]


def _join(batch, spatial, channels, config):
    if _channels_first(config):
        return (batch, channels, *spatial)
    return (batch, *spatial, channels)


def _window(size, kernel, stride, padding, dilation=1):
    if size is None:
        return None
    if padding in ("same", "causal"):
        return -(-size // stride)
    if padding == "full":
        return -(-(size + dilation * (kernel - 1)) // stride)
    return (size - dilation * (kernel - 1) - 1) // stride + 1


def _rank_of(class_name):
    match = re.search(r"(\d)D", class_name)
    return int(match[1]) if match else None


def _multiply_known(sizes):
    return None if any(size is None for size in sizes) else product(sizes)


def _infer_conv(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    kernel = sizes_of(config["kernel_size"], rank)
    strides = sizes_of(config.get("strides") or 1, rank)
    dilation = sizes_of(config.get("dilation_rate") or 1, rank)
    padding = config.get("padding", "valid")
    use_bias = config.get("use_bias", True)
    if name.startswith("Depthwise") or name.startswith("Separable"):
        multiplier = config.get("depth_multiplier", 1)
        _known(channels)
        weights = [(*kernel, channels, multiplier)]
        filters = channels * multiplier
        cost = product(kernel) * filters
        if name.startswith("Separable"):
            weights.append((*[1] * rank, filters, config["filters"]))
            cost += filters * config["filters"]
            filters = config["filters"]
    else:
        filters = config["filters"]
        per_group = _known(channels) // (config.get("groups") or 1)
        weights = [(*kernel, per_group, filters)]
        cost = product(weights[0])
    if use_bias:
        weights.append((filters,))
    sizes = [_window(*parts) for parts in zip(spatial, kernel, strides, [padding] * rank, dilation, strict=True)]
    places = _multiply_known(sizes)
    return _join(shapes[0][0], sizes, filters, config), weights, 2 * cost * (places or 1)


def _infer_conv_transpose(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    kernel = sizes_of(config["kernel_size"], rank)
    strides = sizes_of(config.get("strides") or 1, rank)
    padding = config.get("padding", "valid")
    extra = config.get("output_padding")
    filters = config["filters"]
    weights = [(*kernel, filters, _known(channels))]
    if config.get("use_bias", True):
        weights.append((filters,))
    sizes = []
    for axis, size in enumerate(spatial):
        if size is None:
            sizes.append(None)
        elif extra is not None:
            pad = kernel[axis] // 2 if padding == "same" else 0
            sizes.append((size - 1) * strides[axis] + kernel[axis] - 2 * pad + sizes_of(extra, rank)[axis])
        elif padding == "same":
            sizes.append(size * strides[axis])
        else:
            sizes.append(size * strides[axis] + max(kernel[axis] - strides[axis], 0))
    places = _multiply_known(spatial)
    return _join(shapes[0][0], sizes, filters, config), weights, 2 * product(weights[0]) * (places or 1)


def _infer_pool(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    if name.startswith("Global"):
        if config.get("keepdims"):
            return _join(shapes[0][0], [1] * rank, channels, config), [], 0
        return (shapes[0][0], channels), [], 0
    if name.startswith("Adaptive"):
        return _join(shapes[0][0], sizes_of(config["output_size"], rank), channels, config), [], 0
    pool = sizes_of(config.get("pool_size") or 2, rank)
    strides = sizes_of(config.get("strides") or pool, rank)
    padding = config.get("padding", "valid")
    sizes = [_window(*parts) for parts in zip(spatial, pool, strides, [padding] * rank, strict=True)]
    return _join(shapes[0][0], sizes, channels, config), [], product(pool) * (_multiply_known(sizes) or 1)


def _infer_dense(name, config, shapes):
    inputs, units = _known(shapes[0][-1]), config["units"]
    weights = [(inputs, units)] + ([(units,)] if config.get("use_bias", True) else [])
    return (*shapes[0][:-1], units), weights, 2 * inputs * units * (_multiply_known(shapes[0][1:-1]) or 1)


def _infer_flatten(name, config, shapes):
    return (shapes[0][0], _multiply_known(shapes[0][1:])), [], 0


def _infer_reshape(name, config, shapes):
    target = [None if size is None else int(size) for size in sizes_of(config["target_shape"])]
    if -1 in target:
        total = _multiply_known(shapes[0][1:])
        rest = product(size for size in target if size != -1)
        target[target.index(-1)] = None if total is None or rest == 0 else total // rest
    return (shapes[0][0], *target), [], 0


def _axes(config, rank):
    axes = config.get("axis", -1)
    axes = sizes_of(axes) if not isinstance(axes, int) else [axes]
    return sorted(axis % rank for axis in axes)


def _infer_normalization(name, config, shapes):
    shape = shapes[0]
    axes = _axes(config, len(shape))
    sizes = tuple(_known(shape[axis]) for axis in axes)
    weights = []
    if name == "RMSNormalization":
        return shape, [sizes], _elements(shape)
    if config.get("scale", True):
        weights.append(sizes)
    if config.get("center", True):
        weights.append(sizes)
    if name == "BatchNormalization":
        if config.get("renorm"):
            raise _Unknown
        weights += [sizes, sizes]
    return shape, weights, 4 * _elements(shape)


def _elements(shape):
    return min(product(1 if size is None else size for size in shape[1:]), HUGE)


def _infer_pad(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    amounts = config["padding"] if name.startswith("Zero") else config["cropping"]
    if isinstance(amounts, dict):
        amounts = amounts["items"]
    if isinstance(amounts, int):
        amounts = [amounts] * rank
    if rank == 1 and len(amounts) == 2 and isinstance(amounts[0], int):
        amounts = [amounts]
    sign = 1 if name.startswith("Zero") else -1
    sizes = []
    for size, amount in zip(spatial, amounts, strict=True):
        before, after = sizes_of(amount, 2)
        sizes.append(None if size is None else size + sign * (before + after))
    return _join(shapes[0][0], sizes, channels, config), [], 0


def _infer_upsampling(name, config, shapes):
    rank = _rank_of(name)
    spatial, channels = _split(shapes[0], config, rank)
    factors = sizes_of(config.get("size") or config.get("length") or 2, rank)
    sizes = [None if size is None else size * factor for size, factor in zip(spatial, factors, strict=True)]
    return _join(shapes[0][0], sizes, channels, config), [], 0


def _infer_resize(name, config, shapes):
    _spatial, channels = _split(shapes[0], config, 2)
    return (
        _join(shapes[0][0], [config["height"], config["width"]], channels, config),
        [],
        8 * (config["height"] * config["width"] * (channels or 1)),
    )


def _infer_random_size(name, config, shapes):
    spatial, channels = _split(shapes[0], config, 2)
    spatial[0 if name == "RandomHeight" else 1] = None
    return _join(shapes[0][0], spatial, channels, config), [], 0


def _infer_merge(name, config, shapes):
    if name == "Concatenate" or (name == "Merge" and config.get("mode") == "concat"):
        axis = config.get("axis", config.get("concat_axis", -1)) % len(shapes[0])
        sizes = [shape[axis] for shape in shapes]
        total = None if None in sizes else sum(sizes)
        return (*shapes[0][:axis], total, *shapes[0][axis + 1 :]), [], 0
    if name == "Merge" and config.get("mode") not in ("sum", "mul", "ave", "max"):
        raise _Unknown
    rank = max(len(shape) for shape in shapes)
    output = []
    for sizes in zip(*[(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes], strict=True):
        output.append(None if None in sizes else max(sizes))
    output[0] = shapes[0][0]
    return tuple(output), [], len(shapes) * _elements(tuple(output))


def _infer_dot(name, config, shapes):
    first, second = shapes
    axes = config["axes"]
    axes = [axes, axes] if isinstance(axes, int) else sizes_of(axes)
    one, two = axes[0] % len(first), axes[1] % len(second)
    output = [size for axis, size in enumerate(first) if axis != one]
    output += [size for axis, size in enumerate(second) if axis not in (0, two)]
    if len(output) == 1:
        output.append(1)
    return tuple(output), [], 2 * _elements(tuple(output)) * (first[one] or 1)


def _infer_recurrent(name, config, shapes):
    batch, steps, inputs = shapes[0]
    weights, flops = _infer_cell(name, config, _known(inputs))
    states = [(batch, config["units"])] * (2 if name == "LSTM" else 1)
    return _over_steps(config, batch, steps, config["units"], states), weights, flops * (steps or 1)


def _infer_cell(name, config, inputs):
    """Returns the weights of a recurrent layer and the cost of one step."""
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}[name.removesuffix("Cell")]
    units = config["units"]
    weights = [(inputs, gates * units), (units, gates * units)]
    if config.get("use_bias", True):
        two = name.startswith("GRU") and config.get("reset_after", False)
        weights.append((2, gates * units) if two else (gates * units,))
    return weights, 2 * gates * units * (inputs + units)


def _over_steps(config, batch, steps, units, states):
    output = (batch, steps, units) if config.get("return_sequences") else (batch, units)
    return [output, *states] if config.get("return_state") else output


def _infer_cells(config, cells, shapes):
    """Infers an RNN layer around cells that stand on each other."""
    batch, steps, inputs = shapes[0]
    weights, flops = [], 0
    for cell in cells:
        own, cost = _infer_cell(cell.class_name, cell.config, _known(inputs))
        weights, flops, inputs = weights + own, flops + cost, cell.config["units"]
    if config.get("return_state"):
        raise _Unknown
    return _over_steps(config, batch, steps, inputs, []), weights, flops * (steps or 1)


def _infer_einsum(name, config, shapes):
    match = re.fullmatch(r"([A-Za-z]+),([A-Za-z]+)->([A-Za-z]+)", config["equation"].replace(" ", ""))
    if match is None or len(match[1]) != len(shapes[0]):
        raise _Unknown
    sizes = dict(zip(match[1], shapes[0], strict=True))
    for letter, size in zip(match[3][1:], _sizes_or_any(config["output_shape"]), strict=True):
        if sizes.get(letter) is None:
            sizes[letter] = size
    weights = [tuple(_size(sizes[letter]) for letter in match[2])]
    axes = config.get("bias_axes")
    if axes:
        first = min(match[3].index(letter) for letter in axes)
        weights.append(tuple(_size(sizes[letter]) if letter in axes else 1 for letter in match[3][first:]))
    flops = 2 * product(sizes[letter] or 1 for letter in set(match[1][1:] + match[2]))
    return (shapes[0][0], *[sizes[letter] for letter in match[3][1:]]), weights, flops


def _size(size):
    if size is None:
        raise _Unknown
    return size


def _sizes_or_any(value):
    """Reads `3`, `[None, 4]` or Keras's tuple as a list of sizes, `None` for any."""
    if isinstance(value, dict):
        value = value.get("items")
    return [value] if isinstance(value, int) else list(value)


def _infer_conv_recurrent(name, config, shapes):
    rank = _rank_of(name)
    batch, steps = shapes[0][:2]
    inner = (batch, *shapes[0][2:])
    conv = dict(config, filters=4 * config["filters"], use_bias=False)
    output, (kernel,), flops = _infer_conv(f"Conv{rank}D", conv, [inner])
    filters = config["filters"]
    recurrent = (*kernel[:rank], filters, 4 * filters)
    weights = [kernel, recurrent] + ([(4 * filters,)] if config.get("use_bias", True) else [])
    output = _join(batch, _split(output, config, rank)[0], filters, config)
    if config.get("return_sequences"):
        output = (batch, steps, *output[1:])
    return output, weights, 3 * flops * (steps or 1)


def _infer_prelu(name, config, shapes):
    alpha = list(shapes[0][1:])
    for axis in config.get("shared_axes") or []:
        alpha[axis - 1] = 1
    return shapes[0], [tuple(_known(size) for size in alpha)], _elements(shapes[0])


def _infer_embedding(name, config, shapes):
    return (*shapes[0], config["output_dim"]), [(config["input_dim"], config["output_dim"])], 0


def _infer_attention(name, config, shapes):
    heads, key = config["num_heads"], config["key_dim"]
    value = config.get("value_dim") or key
    query_in = _known(shapes[0][-1])
    value_in = _known(shapes[min(1, len(shapes) - 1)][-1])
    if config.get("output_shape") or len(shapes) > 3 or len(shapes[0]) != 3:
        raise _Unknown
    weights = [(query_in, heads, key), (value_in, heads, key), (value_in, heads, value), (heads, value, query_in)]
    if config.get("use_bias", True):
        weights += [(heads, key), (heads, key), (heads, value), (query_in,)]
    steps = shapes[0][1] or 1
    other = shapes[min(1, len(shapes) - 1)][1] or 1
    flops = 2 * steps * sum(product(shape) for shape in weights) + 4 * steps * other * heads * (key + value)
    return shapes[0], weights, flops


def _infer_dot_attention(name, config, shapes):
    steps, other, width = shapes[0][1], shapes[1][1], shapes[1][-1]
    weights = []
    if config.get("use_scale", name == "AdditiveAttention"):
        weights.append(() if name == "Attention" else (_known(shapes[0][-1]),))
    if config.get("score_mode") == "concat":
        weights.append(())
    return (*shapes[0][:-1], width), weights, 4 * (steps or 1) * (other or 1) * (width or 1)


def _infer_same(name, config, shapes):
    return shapes[0], [], _elements(shapes[0])


def _infer_permute(name, config, shapes):
    return (shapes[0][0], *[shapes[0][axis] for axis in sizes_of(config["dims"])]), [], 0


def _infer_repeat(name, config, shapes):
    return (shapes[0][0], config["n"], shapes[0][1]), [], 0


def _infer_normalization_layer(name, config, shapes):
    return shapes[0], None, 2 * _elements(shapes[0])


RULES = {
    **dict.fromkeys(
        words("Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D"), _infer_conv
    ),
    **dict.fromkeys(words("Conv1DTranspose Conv2DTranspose Conv3DTranspose"), _infer_conv_transpose),
    **dict.fromkeys([name for name in LAYERS if "Pooling" in name], _infer_pool),
    "Dense": _infer_dense,
    "Flatten": _infer_flatten,
    "Reshape": _infer_reshape,
    "Permute": _infer_permute,
    "RepeatVector": _infer_repeat,
    **dict.fromkeys(
        words("BatchNormalization LayerNormalization GroupNormalization RMSNormalization"), _infer_normalization
    ),
    "Normalization": _infer_normalization_layer,
    **dict.fromkeys([name for name in LAYERS if name.startswith(("ZeroPadding", "Cropping"))], _infer_pad),
    **dict.fromkeys(words("UpSampling1D UpSampling2D UpSampling3D"), _infer_upsampling),
    **dict.fromkeys(words("Resizing CenterCrop RandomCrop"), _infer_resize),
    **dict.fromkeys(words("RandomHeight RandomWidth"), _infer_random_size),
    **dict.fromkeys(words("Add Subtract Multiply Average Maximum Minimum Concatenate Merge"), _infer_merge),
    "Dot": _infer_dot,
    **dict.fromkeys(words("LSTM GRU SimpleRNN"), _infer_recurrent),
    **dict.fromkeys(words("ConvLSTM1D ConvLSTM2D ConvLSTM3D"), _infer_conv_recurrent),
    "PReLU": _infer_prelu,
    "Embedding": _infer_embedding,
    "EinsumDense": _infer_einsum,
    "MultiHeadAttention": _infer_attention,
    **dict.fromkeys(words("Attention AdditiveAttention"), _infer_dot_attention),
    **dict.fromkeys(
        [
            name
            for name in LAYERS
            if name.startswith("Random") and name not in ("RandomCrop", "RandomHeight", "RandomWidth")
        ],
        _infer_same,
    ),
    **dict.fromkeys(
        words(
            "Activation Masking Identity ActivityRegularization UnitNormalization Rescaling Dropout SpatialDropout1D "
            "SpatialDropout2D SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise ReLU LeakyReLU ELU Softmax "
            "ThresholdedReLU AutoContrast Equalization Solarization RandAugment AugMix MixUp CutMix"
        ),
        _infer_same,
    ),
}


class Inference:
    """Works out output shapes, weight shapes and the cost of one prediction.

    Args:
        limits: Limits.

    After `run`: every `Layer` has `output_shape` and `expected`; `max_activation` numbers in the largest output of one
    picture, `total_activation` in all of them, `flops` of one picture, `None` where a size is unknown. `unreachable`
    lists layers that wait for each other in a circle, or for a layer that is not there.
    """

    def __init__(self, limits):
        self.limits = limits
        self.max_activation = 0
        self.max_layer = None
        self.impossible = None
        self.unreachable = []
        self.memory = {}

    def run(self, model, input_shapes):
        """Returns the output shapes of a model, a list of tuples or None."""
        outputs, cost = self._model(model, input_shapes)
        self.flops, self.total_activation = cost
        return outputs

    def _layer(self, layer, shapes):
        """Returns the output shapes of one call of a layer and its cost `(flops, numbers)`."""
        key = (id(layer), tuple(shapes))
        if key in self.memory:
            return self.memory[key]
        if layer.kind in ("sequential", "functional"):
            result = self._model(layer, shapes)
        else:
            result = self._plain(layer, shapes)
        self.memory[key] = result
        return result

    def _plain(self, layer, shapes):
        try:
            output, weights, flops = self._rule(layer, shapes)
            outputs = output if isinstance(output, list) else [output]
            if not all(
                size is None or type(size) is int
                for shape in [*[one or () for one in outputs], *(weights or ())]
                for size in shape
            ):
                # A configuration may hold a word or a list where a number belongs.
                raise _Unknown
            flops = min(flops, HUGE)
        except (
            _Unknown,
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            ZeroDivisionError,
            OverflowError,
        ):
            outputs, weights, flops = [None], None, 0
        outputs = [None if output is None else tuple(output) for output in outputs]
        total = 0
        for output in outputs:
            if output is None:
                continue
            if any(size is not None and size <= 0 for size in output[1:]) and self.impossible is None:
                self.impossible = (layer, shapes, output)
            elements = _elements(output)
            total += elements
            if elements > self.max_activation:
                self.max_activation, self.max_layer = elements, layer
        if layer.output_shape is None:
            layer.output_shape = outputs[0] if len(outputs) == 1 else outputs
            layer.expected = weights
        return outputs, (flops, total)

    def _rule(self, layer, shapes):
        name, config = layer.class_name, layer.config
        if name == "InputLayer":
            return (shapes[0] if shapes and shapes[0] is not None else layer.declared), [], 0
        if not shapes or any(shape is None for shape in shapes):
            if layer.declared is None:
                raise _Unknown
            shapes = [layer.declared]
        if layer.kind == "operation":
            return (*_infer_merge("Add", {}, shapes)[:2], _elements(shapes[0]))
        if name == "TimeDistributed":
            (child,) = layer.children
            (output,), (flops, _) = self._layer(child, [(shapes[0][0], *shapes[0][2:])])
            if output is None:
                return None, child.expected, 0
            return (output[0], shapes[0][1], *output[1:]), child.expected, flops * (shapes[0][1] or 1)
        if name == "Bidirectional":
            child = layer.children[0]
            (output,), (flops, _) = self._layer(child, shapes[:1])
            for other in layer.children[1:]:
                self._layer(other, shapes[:1])
            weights = None if child.expected is None else child.expected * 2
            if output is not None and config.get("merge_mode", "concat") == "concat":
                output = (*output[:-1], 2 * output[-1])
            elif config.get("merge_mode", "concat") is None:
                output = None
            return output, weights, 2 * flops
        if name == "SpectralNormalization":
            (output,), (flops, _) = self._layer(layer.children[0], shapes)
            return output, None, flops
        if name == "RNN":
            cell = layer.children[0]
            cells = cell.children if cell.class_name == "StackedRNNCells" else layer.children
            return _infer_cells(config, cells, shapes)
        rule = RULES.get(name)
        if rule is None:
            raise _Unknown
        output, weights, flops = rule(name, config, shapes)
        if layer.legacy and name in ("LSTM", "GRU", "SimpleRNN"):
            weights = None
        return output, weights, flops

    def _model(self, model, shapes):
        if model.kind == "sequential":
            return self._sequential(model, shapes)
        return self._functional(model, shapes)

    def _sequential(self, model, shapes):
        shapes = list(shapes) or [model.declared]
        if shapes[0] is None and model.children:
            shapes = [model.declared or first_shape(model)]
        flops = numbers = 0
        for child in model.children:
            shapes, cost = self._layer(child, [shape for shape in shapes])
            flops, numbers = flops + cost[0], numbers + cost[1]
        self._summarise(model, shapes)
        return shapes, (flops, numbers)

    def _functional(self, model, shapes):
        children = {child.name: child for child in model.children}
        tensors = {}
        flops = numbers = 0
        for index, (name, node, tensor) in enumerate(model.inputs):
            child = children.get(name)
            if child is None:
                continue
            shape = shapes[index] if index < len(shapes) and shapes[index] is not None else child.declared
            tensors[name, node, tensor] = shape
            if child.output_shape is None:
                child.output_shape, child.expected = shape, []
        waiting = [
            (child, node, references)
            for child in model.children
            for node, references in enumerate(child.calls)
            if references
        ]
        # Keras 2 numbers the calls of a nested model from 1: a reference to a node that never comes means the last.
        ready = {(name, node) for name, node, _ in tensors}
        last_calls = {child.name: len(child.calls) - 1 for child in model.children}

        def find(reference):
            name, node, tensor = reference
            node = min(node, max(last_calls.get(name, 0), 0))
            return (name, node, tensor), (name, node) in ready

        while waiting:
            rest = []
            for child, node, references in waiting:
                found = [find(reference) for reference in references]
                if not all(is_ready for _, is_ready in found):
                    rest.append((child, node, references))
                    continue
                outputs, cost = self._layer(child, [tensors.get(key) for key, _ in found])
                flops, numbers = flops + cost[0], numbers + cost[1]
                ready.add((child.name, node))
                for tensor, output in enumerate(outputs):
                    tensors[child.name, node, tensor] = output
            if len(rest) == len(waiting):
                self.unreachable += [child for child, _, _ in rest]
                break
            waiting = rest
        outputs = [tensors.get(find(reference)[0]) for reference in model.outputs]
        self._summarise(model, outputs)
        return outputs, (flops, numbers)

    def _summarise(self, model, outputs):
        if model.output_shape is None:
            model.output_shape = outputs[0] if len(outputs) == 1 else outputs
            expected = [child.expected for child in model.children]
            model.expected = (
                None if any(one is None for one in expected) else [shape for one in expected for shape in one]
            )


def first_shape(model):
    """Returns the input shape that a model states, or the first of its layers that states one."""
    if model.declared is not None:
        return model.declared
    if model.kind == "functional":
        inputs = [child.declared for name, _, _ in model.inputs for child in model.children if child.name == name]
        return inputs[0] if inputs else None
    for child in model.children[:1]:
        if child.kind in ("sequential", "functional"):
            return first_shape(child)
        if child.declared is not None:
            return child.declared
        if child.class_name in ("TimeDistributed", "Bidirectional") and child.children:
            return None
    return None
