"""Turns the configuration and the weights of any Keras, from 1.2 on, into the words of today's.

Everything here works on copies and on plain values: JSON and arrays, no TensorFlow. `grader/worker/loading.py` builds
the network. Where a newer Keras computes something else under the same name, the old meaning is kept and a change is
noted: Keras 3 has another `hard_sigmoid`, Keras 1 other kernels under Theano's order of axes.
"""

import re
from dataclasses import dataclass, field

from expressions.model_file.known import ALIASES

# Keras 1 had it because its Dense took no time steps; today's does.
RENAMED_LAYERS = {**ALIASES, "TimeDistributedDense": "Dense"}

RENAMED_SETTINGS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "pool_length": "pool_size",
    "stride": "strides",
    "filter_length": "kernel_size",
    "bias": "use_bias",
    "inner_activation": "recurrent_activation",
    "atrous_rate": "dilation_rate",
    "length": "size",
}

# What decides how a network learns, not what it predicts.
TRAINING_ONLY = re.compile(
    r".*_(initializer|regularizer|constraint)|(inner_|gamma_|beta_|forget_bias_)?init|[WUb]_(regularizer|constraint)|"
    r"initializer|noise_shape|dropout(_[WU])?|recurrent_dropout|unit_forget_bias|input_length|consume_less|weights|"
    r"renorm\w*|fused|virtual_batch_size|adjustment|synchronized|implementation|unroll|zero_output_for_mask|"
    r"use_cudnn|batch_input_shape|batch_shape|input_dtype|input_shape|build_config|shared_object_id|time_major|"
    r"quantization_config|lora_rank|lora_alpha|optional|sparse|ragged|autocast|max_rotations|seed|stateful|"
    r"(query|key|value)_shape"
)

# Layers that do nothing but in training, under every Keras.
IN_TRAINING_ONLY = re.compile(
    r"Dropout|SpatialDropout[123]D|AlphaDropout|GaussianDropout|GaussianNoise|ActivityRegularization|"
    r"Random(Flip|Translation|Rotation|Zoom|Contrast|Brightness|Height|Width|Shear|Grayscale|Erasing|GaussianBlur|Hue|"
    r"Saturation|Sharpness|Invert|Posterization|ColorDegeneration|ColorJitter|ElasticTransform|Perspective)"
)

ACTIVATIONS = {"swish": "silu", "hard_swish": "hard_silu", "gelu_new": "gelu", "": "linear"}

MERGE_MODES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate"}

# What Python's arithmetic became: the operations of Keras 3 and, in TensorFlow 2's Keras, the functions of TFOpLambda.
# The values are functions of keras.ops.
OPERATIONS = {
    **{"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Divide": "divide", "TrueDivide": "divide"},
    **{"Power": "power", "Maximum": "maximum", "Minimum": "minimum", "Negative": "negative", "Absolute": "absolute"},
    **{"Square": "square", "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Log1p": "log1p", "Relu": "relu"},
    **{"Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Silu": "silu"},
    **{"math.add": "add", "__operators__.add": "add", "math.subtract": "subtract", "math.multiply": "multiply"},
    **{"math.divide": "divide", "math.truediv": "divide", "math.pow": "power", "math.maximum": "maximum"},
    **{"math.minimum": "minimum", "math.negative": "negative", "math.abs": "absolute", "math.square": "square"},
    **{"math.sqrt": "sqrt", "math.exp": "exp", "math.log": "log", "nn.relu": "relu", "nn.relu6": "relu6"},
    **{"math.sigmoid": "sigmoid", "math.tanh": "tanh"},
}
BINARY = frozenset(("add", "subtract", "multiply", "divide", "power", "maximum", "minimum"))
UNARY = frozenset(OPERATIONS.values()) - BINARY

# The audit refuses them long before; here too, nothing that holds code or reads files is ever built.
NEVER_BUILT = frozenset(
    "Lambda TFSMLayer JaxLayer FlaxLayer TorchModuleWrapper StringLookup IntegerLookup TextVectorization Hashing "
    "HashedCrossing CategoryEncoding Discretization".split()
)

STATE = re.compile(r"seed_generator|StateVar|state_var|rng_state")


@dataclass(frozen=True)
class Era:
    """Which Keras wrote a file.

    Attributes:
        version: tuple of two ints; `(1, 0)` where the file does not say, as before Keras 1.2.
        backend: str, `"tensorflow"`, `"theano"`, or empty where the file does not say.
        channels_first: bool, whether layers that do not say so have the channels on the first axis.
    """

    version: tuple
    backend: str = ""
    channels_first: bool = False

    @classmethod
    def of(cls, version, backend="", config=""):
        """Reads what the attributes `keras_version`, `backend` and `model_config` of a file say."""
        numbers = re.match(r"(\d+)\.(\d+)", str(version or ""))
        version = (int(numbers[1]), int(numbers[2])) if numbers else (1, 0)
        # Keras 1 wrote the order of axes for convolutions, but not for padding and the like: they share the default.
        orders = set(re.findall(r'"dim_ordering": ?"(\w+)"', config)) if version < (2, 0) else set()
        return cls(version, str(backend or ""), orders == {"th"})


@dataclass
class Changes:
    """What was changed on the way, in words for a teaching assistant.

    Attributes:
        said: list of str, without repeats.
    """

    said: list = field(default_factory=list)

    def add(self, text):
        """Notes a change once."""
        if text not in self.said:
            self.said.append(text)


class Unrepairable(ValueError):
    """A setting of a network that no longer exists and cannot be said in other words."""


@dataclass(frozen=True)
class Reference:
    """One tensor of a functional network: the output of a call of a layer."""

    layer: str
    node: int
    tensor: int


# Plain values ------------------------------------------------------------------------------------------------------


def plain(value):
    """Unwraps Keras' and NumPy's ways to write a value in JSON: tuples, arrays, numbers."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__" and "items" in value:
            return [plain(item) for item in value["items"]]
        if value.get("class_name") in ("__numpy__", "__tensor__") and isinstance(value.get("config"), dict):
            return plain(value["config"].get("value"))
        if value.get("type") == "ndarray" and "value" in value:
            return plain(value["value"])
        return value
    return [plain(item) for item in value] if isinstance(value, list) else value


def declared_shape(config):
    """Returns the input shape that a layer states, with the batch axis free; None if it states none.

    Args:
        config: dict, a layer's configuration of any Keras.

    Returns:
        list of int and None, or None.
    """
    shape = plain(config.get("batch_input_shape") or config.get("batch_shape"))
    if shape is None and config.get("input_shape"):
        shape = [None, *plain(config["input_shape"])]
    if shape is None and isinstance(config.get("input_dim"), int) and "output_dim" in config:
        # Keras 1 stated the width of the first Dense so. An Embedding's input_dim is the size of its vocabulary.
        shape = [None, config["input_dim"]] if "init" in config and "input_length" not in config else None
    if not isinstance(shape, list) or not shape:
        return None
    return [None, *shape[1:]]


def policy_name(value):
    """Returns the name of a dtype policy, written as a word or as an object; None if there is none."""
    value = plain(value)
    if isinstance(value, dict):
        config = value.get("config")
        value = config.get("name") if isinstance(config, dict) else None
    return value.removesuffix("_ref") if isinstance(value, str) else None


# Calls of a functional network -------------------------------------------------------------------------------------


def references(value):
    """Reads `input_layers` or `output_layers` in every form.

    Returns:
        list of Reference.
    """
    if isinstance(value, dict):
        return [one for item in value.values() for one in references(item)]
    if _is_reference(value):
        return [Reference(*value[:3])]
    return [one for item in value or () for one in references(item)] if isinstance(value, list) else []


def _is_reference(value):
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
    )


def calls(nodes):
    """Reads `inbound_nodes`: what each call of a layer was given.

    Args:
        nodes: list as Keras 1, 2 or 3 writes it, or None.

    Returns:
        list of (list, dict): arguments and keyword arguments, with `Reference` for tensors, in lists if several.
    """
    return [_call(node) for node in nodes or ()]


def _call(node):
    if isinstance(node, dict):
        return [_argument(item) for item in node.get("args") or ()], {
            key: _argument(item) for key, item in (node.get("kwargs") or {}).items()
        }
    items = [node] if node and isinstance(node[0], str) else node
    tensors, keywords = [], {}
    for item in items:
        options = item[3] if len(item) > 3 and isinstance(item[3], dict) else {}
        # A number before a tensor, as in `1 - x`, is written in a tensor's place.
        tensors.append(_argument(item[2]) if item[0] == "_CONSTANT_VALUE" else Reference(*item[:3]))
        keywords.update({key: _argument(value) for key, value in options.items()})
    return [tensors[0] if len(tensors) == 1 else tensors], keywords


def _argument(value):
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return Reference(*value["config"]["keras_history"][:3])
        return plain(value)
    if _is_reference(value):
        return Reference(*value[:3])
    return [_argument(item) for item in value] if isinstance(value, list) else value


def references_in(value):
    """Lists the references within arguments, in order."""
    if isinstance(value, Reference):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [one for item in value for one in references_in(item)] if isinstance(value, (list, tuple)) else []


def first_node(name, num_calls, used):
    """Says from which number the calls of a layer count.

    Keras 1 and 2 count the inside of a nested model as its call 0, so that its calls in the outer network begin at 1;
    Keras 3 begins at 0. Every stored call is used by something, so that the largest number tells.

    Args:
        name: str, of the layer.
        num_calls: int, calls stored for it.
        used: list of Reference, everything that the network refers to.

    Returns:
        int, 0 or more.
    """
    numbers = [reference.node for reference in used if reference.layer == name]
    return max(0, max(numbers) - num_calls + 1) if numbers and num_calls else 0


# Layers ------------------------------------------------------------------------------------------------------------


def modern_layer(class_name, config, era, changes):
    """Says a layer in the words of Keras 3.

    Args:
        class_name: str.
        config: dict; it stays as it is.
        era: Era.
        changes: Changes, for what was changed.

    Returns:
        (str, dict): class and settings. Under `activation` and `recurrent_activation` stands a word, or a dict for
        one that is a layer; `"old_hard_sigmoid"` is the function of Keras 1 and 2.

    Raises:
        Unrepairable: the layer did something that Keras 3 cannot.
    """
    kind = RENAMED_LAYERS.get(class_name, class_name)
    old = dict(config)
    if kind == "Merge":
        return _merge(old)
    if class_name in ("CuDNNLSTM", "CuDNNGRU"):
        old["recurrent_activation"] = "sigmoid"
        if kind == "GRU":
            old["reset_after"] = True
        changes.add(f"{class_name} of a GPU as {kind}")
    if "nb_filter" in old or "border_mode" in old or "dim_ordering" in old or "output_dim" in old:
        old = _rename(kind, old, era, changes)
    elif era.channels_first and re.match(r"ZeroPadding|Cropping|UpSampling", kind):
        old["data_format"] = "channels_first"
    new = {key: plain(value) for key, value in old.items() if not TRAINING_ONLY.fullmatch(key)}
    if era.version < (3, 0):
        for key in ("groups", "time_major"):
            if key in old and (key == "time_major" or kind not in ("Conv1D", "Conv2D", "Conv3D")):
                changes.add(f"the setting {key}, which Keras 3 does not know")
                new.pop(key, None)
        if old.get("time_major") is True:
            raise Unrepairable(f"the file's layer {old.get('name')} takes time as its first axis, which Keras 3 cannot")
    if old.get("stateful") is True:
        changes.add("state kept between batches left out")
    if "dtype" in new:
        new["dtype"] = policy_name(new["dtype"])
        if new["dtype"] is None:
            del new["dtype"]
    for key in ("activation", "recurrent_activation"):
        if key in new:
            new[key] = _activation(new[key], era, changes)
    if kind == "GRU":
        new.setdefault("reset_after", False)
    if kind in ("LSTM", "GRU", "SimpleRNN"):
        new.pop("input_dim", None)
    if kind == "LeakyReLU" and "alpha" in new:
        new["negative_slope"] = new.pop("alpha")
    for key in ("alpha", "negative_slope", "max_value", "threshold", "theta"):
        if isinstance(new.get(key), list) and len(new[key]) == 1:
            new[key] = new[key][0]
    if kind == "BatchNormalization":
        _normalization(new)
    if kind == "Conv2DTranspose" and era.version < (2, 0):
        new.pop("output_shape", None)
    if kind.startswith("UpSampling") and new.get("interpolation") == "bilinear" and era.version < (2, 4):
        changes.add("bilinear up-sampling, which Keras before 2.4 aligned to other corners")
    return kind, new


def _rename(kind, old, era, changes):
    """Renames the settings of Keras 1."""
    new = {RENAMED_SETTINGS.get(key, key): value for key, value in old.items()}
    if era.version < (2, 0):
        changes.add("the names of Keras 1")
    if kind in ("Dense", "LSTM", "GRU", "SimpleRNN") and "output_dim" in new:
        new["units"] = new.pop("output_dim")
        new.pop("input_dim", None)
    if "nb_row" in new:
        new["kernel_size"] = [new.pop("nb_row"), new.pop("nb_col")]
    if "kernel_dim1" in new:
        new["kernel_size"] = [new.pop(f"kernel_dim{axis}") for axis in (1, 2, 3)]
    if "dim_ordering" in new:
        new["data_format"] = "channels_first" if new.pop("dim_ordering") == "th" else "channels_last"
    if kind == "Conv1D":
        new.pop("input_dim", None)
    if kind.startswith("ZeroPadding") and isinstance(new.get("padding"), dict):
        sides = new["padding"]
        new["padding"] = [[sides.get("top_pad", 0), sides.get("bottom_pad", 0)]]
        new["padding"].append([sides.get("left_pad", 0), sides.get("right_pad", 0)])
    return new


def _merge(old):
    mode = old.get("mode", "sum")
    if mode not in MERGE_MODES:
        raise Unrepairable(f"the file's layer {old.get('name')} merges by {mode!r}, which only Keras 1 could")
    new = {"name": old.get("name")}
    if mode == "concat":
        new["axis"] = old.get("concat_axis", -1)
    return MERGE_MODES[mode], new


def _normalization(new):
    mode = new.pop("mode", 0)
    if mode != 0:
        raise Unrepairable(f"the file's layer {new.get('name')} normalises in mode {mode}, as only Keras 1 could")
    axis = new.get("axis")
    if isinstance(axis, list):
        if len(axis) != 1:
            raise Unrepairable(f"the file's layer {new.get('name')} normalises over several axes, which Keras 3 cannot")
        new["axis"] = axis[0]


def _activation(value, era, changes):
    value = plain(value)
    if isinstance(value, dict):
        if value.get("class_name") in ("function", None) and isinstance(value.get("config"), str):
            value = value["config"]  # Keras 2.13 and later wrap a function's name so
        else:
            return value
    if value is None:
        return "linear"
    value = ACTIVATIONS.get(value, value)
    if value == "hard_sigmoid" and era.version < (3, 0):
        # 0.2 x + 0.5 until Keras 2, x / 6 + 0.5 in Keras 3: the same file would predict something else.
        changes.add("hard_sigmoid as Keras 1 and 2 computed it")
        return "old_hard_sigmoid"
    return value


# Weights -----------------------------------------------------------------------------------------------------------


def modern_weights(kind, class_name, config, arrays, era, changes):
    """Brings the arrays of one layer into the order and the axes of Keras 3.

    Args:
        kind: str, the class in today's words.
        class_name: str, as the file has it.
        config: dict, of `modern_layer`.
        arrays: list of arrays, as stored.
        era: Era.
        changes: Changes.

    Returns:
        list of arrays.

    Source: `preprocess_weights_for_loading` and `_convert_rnn_weights` of Keras 2.3.1.
    """
    import numpy as np

    arrays = list(arrays)
    inner = config.get("layer")
    if isinstance(inner, dict) and kind in ("Bidirectional", "TimeDistributed"):
        inner_kind, inner_config = modern_layer(inner["class_name"], inner["config"], era, changes)
        sides = 2 if kind == "Bidirectional" else 1
        share = len(arrays) // sides
        parts = [arrays[side * share : (side + 1) * share] for side in range(sides)]
        return [
            array
            for part in parts
            for array in modern_weights(inner_kind, inner["class_name"], inner_config, part, era, changes)
        ]
    if not arrays:
        return arrays
    first = config.get("data_format") == "channels_first"
    if era.version < (2, 0):
        if kind == "Conv1D" and arrays[0].ndim == 4:
            kernel = arrays[0]
            size = plain(config.get("kernel_size"))
            size = size[0] if isinstance(size, list) else size
            if kernel.shape[:2] != (size, 1) or kernel.shape[3] != config.get("filters"):
                kernel = kernel.transpose(2, 3, 1, 0)
            arrays[0] = kernel[:, 0]
        elif kind in ("Conv2D", "SeparableConv2D") and first:
            for index in range(1 if kind == "Conv2D" else 2):
                arrays[index] = arrays[index].transpose(2, 3, 1, 0)
            changes.add("kernels in Theano's order of axes")
        elif kind == "Conv2DTranspose":
            arrays[0] = arrays[0].transpose(2, 3, 0, 1) if first else arrays[0].transpose(0, 1, 3, 2)
        elif kind == "Conv3D" and first:
            arrays[0] = arrays[0].transpose(2, 3, 4, 1, 0)
            changes.add("kernels in Theano's order of axes")
        elif kind == "GRU" and len(arrays) == 9:
            arrays = [np.concatenate(arrays[part::3], axis=-1) for part in range(3)]
        elif kind == "LSTM" and len(arrays) == 12:
            # Stored as input, cell, forget, output; computed as input, forget, cell, output.
            arrays = [np.concatenate([arrays[part + 3 * gate] for gate in (0, 2, 1, 3)], axis=-1) for part in range(3)]
    if era.backend == "theano" and kind in ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose"):
        spatial = tuple(range(arrays[0].ndim - 2))
        arrays[0] = np.flip(arrays[0], spatial)
        changes.add("kernels turned round, since Theano convolves and TensorFlow correlates")
    if class_name in ("CuDNNLSTM", "CuDNNGRU") and len(arrays) == 3:
        arrays = _from_cudnn(kind, arrays)
    return arrays


def _from_cudnn(kind, arrays):
    import numpy as np

    gates = 4 if kind == "LSTM" else 3
    kernel, recurrent, bias = arrays
    kernel = np.hstack([part.T.reshape(part.shape, order="F") for part in np.hsplit(kernel, gates)])
    recurrent = np.hstack([part.T for part in np.hsplit(recurrent, gates)])
    if bias.size == 2 * recurrent.shape[1]:
        bias = np.sum(np.split(bias.reshape(-1), 2), axis=0) if kind == "LSTM" else bias.reshape(2, -1)
    return [kernel, recurrent, bias]
