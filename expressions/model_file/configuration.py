"""Reads the JSON of an architecture against the lists of known layers, keys and values."""

import dataclasses
import json
import re

from expressions.model_file.known import (
    ACTIVATION_FUNCTIONS,
    ACTIVATION_LAYERS,
    ACTIVATIONS,
    ALIASES,
    CONSTRAINTS,
    DTYPE,
    DTYPE_POLICIES,
    INITIALIZERS,
    KEYS,
    LAYERS,
    MODEL_CLASSES,
    MODULE,
    OPERATIONS,
    OTHER_OPERATIONS,
    PLAIN_OBJECTS,
    REFUSED_LAYERS,
    REGULARIZERS,
    SETTINGS,
    TF_OPERATIONS,
)
from expressions.model_file.messages import Refused, byte_size, show


@dataclasses.dataclass(eq=False)
class Layer:
    """One layer of the architecture, in today's names."""

    name: str
    class_name: str
    config: dict
    kind: str = "layer"  # or sequential, functional, operation
    children: list = dataclasses.field(default_factory=list)
    calls: list = dataclasses.field(default_factory=list)  # [[(layer name, node, tensor), …], …]
    inputs: list = dataclasses.field(default_factory=list)  # the same references
    outputs: list = dataclasses.field(default_factory=list)
    numbers: list = dataclasses.field(default_factory=list)  # constants of an operation
    has_lists: bool = False  # a call takes a list of numbers
    legacy: bool = False  # Keras 1
    declared: tuple | None = None  # input shape that the configuration states
    # Filled by the inference:
    output_shape: object = None
    expected: list | None = None  # shapes of the weights, None if unknown


MAX_REASONS = 30


class Parser:
    """Turns the JSON of an architecture into `Layer`s and collects what it refuses.

    Args:
        limits: Limits.
    """

    def __init__(self, limits):
        self.limits = limits
        self.reasons = []
        self.notes = []
        self.num_layers = 0
        self._said = set()
        self._refused_layers = {}

    def refuse(self, code, what, try_, wanted="ordinary Keras layers with ordinary settings"):
        """Adds a reason, once."""
        if (code, what) not in self._said and len(self.reasons) < MAX_REASONS:
            self._said.add((code, what))
            self.reasons.append({"code": code, "what": what, "wanted": wanted, "try": try_})

    def note(self, code, what):
        """Adds a note, once: something to know that refuses nothing."""
        if (code, what) not in self._said and len(self.notes) < MAX_REASONS:
            self._said.add((code, what))
            self.notes.append({"code": code, "what": what})

    def parse(self, entry, depth=0):
        """Checks one `{"class_name", "config", …}` and returns its `Layer`, or None if it is refused."""
        if depth > self.limits.max_depth:
            raise Refused(
                "too-deep",
                f"models are nested more than {self.limits.max_depth} deep",
                "a network that a person can read",
                "flatten the network",
            )
        self.num_layers += 1
        if self.num_layers > self.limits.max_layers:
            raise Refused(
                "too-many-layers",
                f"the network has more than {self.limits.max_layers:,} layers",
                "a network of ordinary size",
                "make the network smaller",
            )
        if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
            self.refuse(
                "config-unreadable",
                f"a layer is described by {show(json.dumps(entry)[:80])}",
                "save the model again with `model.save`",
                "a class name and a configuration",
            )
            return None
        original = entry["class_name"]
        config = entry.get("config")
        module = entry.get("module")
        short = original.split(">")[-1]
        if original == "TFOpLambda" and isinstance(config, dict) and str(config.get("function")) in TF_OPERATIONS:
            return self._tf_operation(entry, config, depth)
        if short in REFUSED_LAYERS:
            code, what, try_ = REFUSED_LAYERS[short]
            self._refuse_layer(code, entry, "the network " + what, try_)
            return None
        is_operation = isinstance(module, str) and re.match(r"keras(\.src)?\.ops\b", module) is not None
        class_name = ALIASES.get(original, original)
        # An .h5 file drops the module, so that only the name tells.
        is_operation |= module is None and class_name in OPERATIONS - LAYERS and entry.get("inbound_nodes") is not None
        known = class_name in OPERATIONS if is_operation else class_name in LAYERS or class_name in MODEL_CLASSES
        registered = entry.get("registered_name")
        if not known and (is_operation or (module is None and original in OTHER_OPERATIONS)):
            self._refuse_layer(
                "op-lambda",
                entry,
                f"the network contains {show(original)}, a function of `keras.ops` or an index applied to a Keras "
                "tensor, which is no layer",
                "use layers in its place: `Rescaling` for arithmetic, `Cropping2D` for `x[:, 1:-1, 1:-1]`, `Resizing` "
                "for sizes, `Concatenate` or `Reshape`. Then train and save again",
            )
            return None
        if not known or (registered is not None and registered != original) or ">" in original:
            self._refuse_layer(
                "custom-class",
                entry,
                f"the network contains {show(original)}, which is no layer of Keras that this course knows. Its code "
                "is not in the file, and we run no code that comes with a model",
                "build the network from the layers of `keras.layers` alone, train it and save it again",
            )
            return None
        if module is not None and not (isinstance(module, str) and MODULE.fullmatch(module)):
            self.refuse(
                "module",
                f"the layer {show(original)} names the Python module {show(module)} instead of Keras",
                "build the network from the layers of `keras.layers` alone and save it again",
            )
            return None
        for key in ("build_config", "name", "shared_object_id"):
            self._value(entry.get(key), key, class_name, depth)
        if class_name in MODEL_CLASSES:
            return self._model(entry, class_name, config, depth)
        if not isinstance(config, dict):
            self.refuse(
                "config-unreadable",
                f"the layer {show(original)} has no configuration",
                "save the model again with `model.save`",
            )
            return None
        children = []
        for key in ("layer", "backward_layer", "cell"):
            if config.get(key) is not None:
                cells = config[key] if isinstance(config[key], list) else [config[key]]
                children += [self.parse(child, depth + 1) for child in cells]
        if isinstance(config.get("cells"), list):
            children += [self.parse(child, depth + 1) for child in config["cells"]]
        if any(child is None for child in children):
            return None
        for key, value in config.items():
            if key not in ("layer", "backward_layer", "cell", "cells"):
                self._value(value, key, class_name, depth)
        modern, legacy = _modern(original, class_name, config)
        name = str(entry.get("name") or config.get("name") or class_name)
        layer = Layer(name, class_name, modern, children=children, legacy=legacy)
        layer.kind = "operation" if is_operation else "layer"
        layer.declared = declared_shape(modern)
        layer.calls = self._calls(entry.get("inbound_nodes"), layer, depth)
        if layer.numbers and class_name in OPERATIONS & LAYERS and all(len(call) < 2 for call in layer.calls):
            layer.kind = "operation"
        return self._operation(layer) if layer.kind == "operation" else layer

    def _tf_operation(self, entry, config, depth):
        """Reads arithmetic of Keras 2: a function by its name, called with tensors and single numbers."""
        unknown = set(config) - {"name", "trainable", "dtype", "function"}
        if unknown:
            code, what, try_ = REFUSED_LAYERS["TFOpLambda"]
            self.refuse(code, f"the network {what} (it holds {show(sorted(unknown)[0])})", try_)
            return None
        for key in ("name", "trainable", "dtype"):
            self._value(config.get(key), key, "TFOpLambda", depth)
        self._value(entry.get("name"), "name", "TFOpLambda", depth)
        name = str(entry.get("name") or config.get("name") or "TFOpLambda")
        layer = Layer(name, "TFOpLambda", {"function": config["function"]}, kind="operation")
        layer.calls = self._calls(entry.get("inbound_nodes"), layer, depth)
        return self._operation(layer)

    def _operation(self, layer):
        """Notes that the network has arithmetic; refuses it with lists of numbers, which could change the shape."""
        if layer.has_lists:
            self.refuse(
                "op-lambda",
                f"the arithmetic {show(layer.name)} takes a list of numbers",
                "write it as a layer, for example `Rescaling` or `Normalization`. Then train and save again",
                "arithmetic with single numbers, as in `x * 2 - 1`",
            )
        self.note(
            "operation",
            "the network has arithmetic between its layers, as in `x * 2 - 1`, which Keras writes to .h5 files but "
            "cannot load back (`Rescaling(2, offset=-1)` avoids this)",
        )
        return layer

    def _refuse_layer(self, code, entry, what, try_):
        """Refuses a layer; a second one of its kind is only counted in the first one's sentence."""
        config = entry.get("config")
        name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
        if (code, what) not in self._refused_layers:
            self._refused_layers[code, what] = {"name": name, "count": 0, "reason": None}
        known = self._refused_layers[code, what]
        known["count"] += 1
        more = f" and {known['count'] - 1:,} more" if known["count"] > 1 else ""
        named = f" (named {show(known['name'], 40)}{more})" if known["name"] else ""
        start, comma, rest = what.partition(", ")
        sentence = start + named + comma + rest
        if known["reason"] is not None:
            known["reason"]["what"] = sentence
        elif len(self.reasons) < MAX_REASONS:
            self.refuse(code, sentence, try_)
            known["reason"] = self.reasons[-1]

    def _model(self, entry, class_name, config, depth):
        legacy_list = isinstance(config, list)
        if legacy_list:
            config = {"layers": config}
            self.note("list-config", "the Sequential's configuration is a list, as Keras before 2.2.3 wrote it")
        if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
            self.refuse(
                "config-unreadable",
                f"the model {show(class_name)} lists no layers",
                "build it with keras.Sequential or keras.Model(inputs, outputs) and save it again",
            )
            return None
        for key, value in config.items():
            if key not in ("layers", "input_layers", "output_layers"):
                self._value(value, key, class_name, depth)
        children = [self.parse(child, depth + 1) for child in config["layers"]]
        if any(child is None for child in children):
            return None
        name = str(entry.get("name") or config.get("name") or class_name.lower())
        names = {child.name for child in children}
        if len(names) < max(len(children), 1):
            self.refuse(
                "config-unreadable",
                f"the model {show(name)} has {'two layers of one name' if children else 'no layers'}",
                "give every layer its own name and save the model again",
            )
            return None
        if any(child.legacy and child.config.get("data_format") == "channels_first" for child in children):
            # Keras 1 forgot to write the order of the axes for these layers.
            for child in children:
                if child.class_name.startswith(("ZeroPadding", "UpSampling", "Cropping")):
                    child.config = {"data_format": "channels_first", **child.config}
        layer = Layer(name, class_name, {"name": name}, children=children)
        layer.kind = "sequential" if class_name == "Sequential" else "functional"
        layer.declared = declared_shape(config)
        if layer.kind == "functional":
            layer.inputs = _references(config.get("input_layers"))
            layer.outputs = _references(config.get("output_layers"))
            if not layer.outputs or {reference[0] for reference in layer.inputs + layer.outputs} - names:
                self.refuse(
                    "config-unreadable",
                    f"the model {show(name)} does not say which of its layers are its inputs and outputs",
                    "build it with keras.Model(inputs, outputs) and save it again",
                )
                return None
        layer.calls = self._calls(entry.get("inbound_nodes"), layer, depth)
        return layer

    def _calls(self, nodes, layer, depth):
        """Reads which tensors each call of a layer takes, from the format of Keras 1 and 2 or of Keras 3."""
        if nodes is None:
            return []
        if not isinstance(nodes, list) or len(nodes) > self.limits.max_layers:
            self.refuse(
                "config-unreadable",
                f"the connections of {show(layer.name)} cannot be read",
                "save the model again with `model.save`",
            )
            return []
        calls = []
        for node in nodes:
            references = []
            if isinstance(node, dict):
                for key in ("args", "kwargs"):
                    self._arguments(node.get(key), references, layer, 0)
            elif isinstance(node, list):
                items = [node] if len(node) >= 3 and isinstance(node[0], str) else node
                for item in items:
                    if isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str):
                        self._keras_2_argument(item, references, layer)
                    else:
                        self._arguments(item, references, layer, 0)
            calls.append(references)
        return calls

    def _keras_2_argument(self, item, references, layer):
        """Reads `[layer, node, tensor, {argument: value}]`, or a constant `["_CONSTANT_VALUE", -1, value, {…}]`."""
        if item[0] == "_CONSTANT_VALUE":
            self._arguments(item[2], references, layer, 0)
        else:
            references.append(_reference(item))
        self._arguments(item[3:], references, layer, 0)

    def _arguments(self, value, references, layer, depth):
        if depth > 12:
            raise Refused(
                "too-deep",
                f"the arguments of {show(layer.name)} are nested more than 12 deep",
                "a network as Keras saves it",
                "save the model again with `model.save`",
            )
        if isinstance(value, (bool, type(None))):
            return
        if isinstance(value, (int, float)):
            layer.numbers.append(value)
        elif isinstance(value, str):
            if value not in SETTINGS and not DTYPE.fullmatch(value):
                self.refuse(
                    "config-value",
                    f"the layer {show(layer.name)} is called with the text {show(value)}",
                    "call layers with tensors and numbers only",
                )
        elif isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and all(type(one) is int for one in value[1:3]):
                self._keras_2_argument(value, references, layer)
                return
            if depth > 0 and any(isinstance(item, (int, float)) for item in value):
                layer.has_lists = True
            for item in value[:4096]:
                self._arguments(item, references, layer, depth + 1)
        elif isinstance(value, dict):
            name = value.get("class_name")
            if name == "__keras_tensor__" and isinstance(value.get("config"), dict):
                references.append(_reference(value["config"].get("keras_history")))
            elif name == "__tuple__":
                self._arguments(value.get("items"), references, layer, depth + 1)
            elif name is None:
                for item in value.values():
                    self._arguments(item, references, layer, depth + 1)
            else:
                self.refuse(
                    "custom-object",
                    f"the layer {show(layer.name)} is called with an object {show(name)}",
                    "call layers with tensors and numbers only",
                )

    def _value(self, value, key, owner, depth):
        """Checks one setting: numbers always, words and objects only where they are Keras's own."""
        where = f"the setting {show(key, 40)} of {show(owner, 40)}"
        if depth > self.limits.max_depth:
            raise Refused(
                "too-deep",
                f"{where} is nested more than {self.limits.max_depth} deep",
                "a network as Keras saves it",
                "save the model again with `model.save`",
            )
        if value is None or isinstance(value, (bool, int, float)):
            if isinstance(value, int) and not -(2**64) < value < 2**64:
                self.refuse(
                    "config-value",
                    f"{where} is a number beyond all measure",
                    "build the layer with the settings that the Keras documentation lists",
                )
            elif key not in KEYS and value not in (None, False, True):
                self.note("unknown-setting", f"{where} is not one that we know; it holds {show(value)}")
        elif isinstance(value, list):
            for item in value:
                self._value(item, key, owner, depth + 1)
        elif isinstance(value, str):
            self._word(value, key, where)
        elif isinstance(value, dict):
            if "class_name" in value:
                self._object(value, key, where, owner, depth)
            elif key in KEYS:
                for inner, item in value.items():
                    self._value(item, inner, owner, depth + 1)
            elif not _is_numeric(value):
                self.refuse(
                    "config-key",
                    f"{where} is no setting of a Keras layer and holds {show(json.dumps(value))}",
                    "build the layer with the settings that the Keras documentation lists",
                )

    def _word(self, value, key, where):
        lower = key.lower()
        if key in ("name", "class_name", "registered_name") or value == "":
            fine = len(value) <= 400
        elif key in ("activation", "recurrent_activation", "inner_activation"):
            if value not in ACTIVATION_FUNCTIONS:
                self.refuse(
                    "custom-activation",
                    f"{where} is {show(value)}, which is no activation function of Keras",
                    'use one of Keras\'s own, such as "relu", "leaky_relu", "elu", "softmax"',
                )
            return
        elif lower.endswith("_initializer") or "init" in lower:
            fine = value in INITIALIZERS
        elif lower.endswith("_regularizer"):
            fine = value in REGULARIZERS
        elif lower.endswith("_constraint"):
            fine = value in CONSTRAINTS
        elif "dtype" in lower:
            fine = DTYPE.fullmatch(value) is not None
        elif key == "equation":
            fine = re.fullmatch(r"[A-Za-z.,\-> ]{1,80}", value) is not None
        elif key == "bias_axes":
            fine = re.fullmatch(r"[A-Za-z]{1,20}", value) is not None
        elif key == "module":
            fine = MODULE.fullmatch(value) is not None
        elif key in ("vocabulary", "filepath", "function", "path", "filename", "file"):
            fine = False
        else:
            fine = value in SETTINGS or value in ACTIVATIONS
        if not fine:
            self.refuse(
                "config-value",
                f"{where} is {show(value)}, which Keras does not know",
                "build the layer with the settings that the Keras documentation lists",
            )

    def _object(self, value, key, where, owner, depth):
        name = value.get("class_name")
        module = value.get("module")
        if name == "__tuple__" or name == "__tensor__" or name == "__numpy__":
            inner = value.get("items") if name == "__tuple__" else (value.get("config") or {}).get("value")
            self._value(inner, key, owner, depth + 1)
            return
        if name == "function" and value.get("registered_name") in (None, "function") and module in (None, "builtins"):
            # A function's name stands here, not its code: Keras's own function of that name is what we use.
            function = value.get("config")
            if key in ("activation", "recurrent_activation") and str(function) in ACTIVATION_FUNCTIONS:
                self.note(
                    "activation-function",
                    f"{where} is a function called {show(function)}, not one of Keras's activations; "
                    f"we take it for Keras's {ACTIVATION_FUNCTIONS[function]}",
                )
            else:
                self._word(str(function), "activation", where)
            return
        if module is not None and not (isinstance(module, str) and MODULE.fullmatch(module)):
            self.refuse(
                "module",
                f"{where} names the Python module {show(module)} instead of Keras",
                "use Keras's own activations, initializers and regularizers, and save the model again",
            )
            return
        registered = value.get("registered_name")
        own = isinstance(name, str) and name in PLAIN_OBJECTS and (registered is None or registered == name)
        if not own:
            self.refuse(
                "custom-object",
                f"{where} is an object of the class {show(name)}, which is not one of Keras's",
                "use Keras's own activations, initializers and regularizers, and save the model again",
            )
            return
        config = value.get("config")
        if isinstance(config, dict):
            for inner, item in config.items():
                if name in ACTIVATION_LAYERS or name in DTYPE_POLICIES or inner not in KEYS:
                    self._setting_of_object(item, inner, owner, depth, name)
                else:
                    self._value(item, inner, owner, depth + 1)
        elif config is not None:
            self._value(config, key, owner, depth + 1)

    def _setting_of_object(self, item, inner, owner, depth, name):
        if inner == "name" and name in DTYPE_POLICIES:
            self._word(str(item), "dtype", f"the dtype of {show(owner, 40)}")
        elif isinstance(item, str) and inner in ("mode", "distribution"):
            self._word(item, "mode", f"the setting {show(inner)} of {show(owner, 40)}")
        elif isinstance(item, (bool, int, float, type(None))):
            return
        else:
            self._value(item, inner, owner, depth + 1)


def _is_numeric(value, depth=0):
    if depth > 8:
        return False
    if isinstance(value, dict):
        return all(_is_numeric(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return all(_is_numeric(item, depth + 1) for item in value)
    return value is None or isinstance(value, (bool, int, float))


def _reference(item):
    if isinstance(item, (list, tuple)) and len(item) >= 3 and isinstance(item[0], str):
        node, tensor = item[1], item[2]
        if type(node) is int and type(tensor) is int:
            return (item[0], node, tensor)
    return ("", 0, 0)


def _references(value):
    """Reads `input_layers` and `output_layers`: one reference, a list of them, or a dict of them."""
    if isinstance(value, dict):
        return [reference for item in value.values() for reference in _references(item)]
    if not isinstance(value, list):
        return []
    if len(value) >= 3 and isinstance(value[0], str):
        return [_reference(value)]
    return [reference for item in value for reference in _references(item)]


def sizes_of(value, rank=None):
    """Reads `3`, `[3, 3]` or Keras's tuple as a list of ints, repeated to `rank`."""
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        value = value.get("items")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [int(value)] * (rank or 1)
    return [int(size) for size in value]


def declared_shape(config):
    """Returns the shape with batch that a configuration states, as a tuple with None for any, or None."""
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if isinstance(shape, dict):
        shape = shape.get("items")
    if shape is None and config.get("input_shape"):
        shape = [None, *_plain_list(config["input_shape"])]
    if shape is None and isinstance(config.get("input_dim"), int) and "input_length" not in config:
        shape = [None, config["input_dim"]]
    if shape is None and isinstance(config.get("build_input_shape"), list):
        shape = config["build_input_shape"]
    if not isinstance(shape, list) or len(shape) > 8:
        return None
    if not all(size is None or (type(size) is int and size >= 0) for size in shape):
        return None
    return tuple(shape)


def _plain_list(value):
    if isinstance(value, dict):
        value = value.get("items")
    return value if isinstance(value, list) else []


RENAMED_KEYS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "pool_length": "pool_size",
    "stride": "strides",
    "filter_length": "kernel_size",
    "p": "rate",
    "bias": "use_bias",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "atrous_rate": "dilation_rate",
}


def _modern(original, class_name, config):
    """Renames the settings of Keras 1. Returns the new configuration and whether anything was old."""
    old = {"nb_filter", "border_mode", "dim_ordering", "W_regularizer", "p", "init", "nb_row"} & set(config)
    if not old and not ("output_dim" in config and class_name in ("Dense", "LSTM", "GRU", "SimpleRNN")):
        return config, False
    modern = {}
    for key, value in config.items():
        modern[RENAMED_KEYS.get(key, key)] = value
    if class_name in ("Dense", "LSTM", "GRU", "SimpleRNN") and "output_dim" in modern:
        modern["units"] = modern.pop("output_dim")
    if "nb_row" in modern:
        modern["kernel_size"] = [modern.pop("nb_row"), modern.pop("nb_col", 1)]
    if "kernel_dim1" in modern:
        modern["kernel_size"] = [modern.pop(f"kernel_dim{axis}", 1) for axis in (1, 2, 3)]
    if "dim_ordering" in modern:
        ordering = modern.pop("dim_ordering")
        modern["data_format"] = "channels_first" if ordering == "th" else "channels_last"
    return modern, True


def _only_once(pairs):
    """Refuses an object that gives one key twice, because two readers may then believe two things."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Refused(
            "config-duplicate-key",
            f"the architecture gives the key {show(twice)} twice in one place",
            "the JSON that `model.save` writes",
            "save the model again with `model.save`",
        )
    return found


def _no_number(word):
    raise Refused(
        "config-value",
        f"a setting of the network is {word}, where a number belongs",
        "settings that are numbers",
        "look for the layer that was built with it, correct it, train and save the model again",
    )


def _plain(entry):
    """Copies an audited architecture: activations by their names, and nothing of what `compile` stored."""
    if isinstance(entry, list):
        return [_plain(item) for item in entry]
    if not isinstance(entry, dict):
        return entry
    plain = {}
    for key, value in entry.items():
        if key in ("activation", "recurrent_activation"):
            if isinstance(value, dict) and value.get("class_name") == "function":
                value = value.get("config")
            if isinstance(value, str):
                value = ACTIVATION_FUNCTIONS.get(value, value)
        if key != "compile_config":
            plain[key] = _plain(value)
    return plain


def parse_text(text, result, limits):
    """Reads the architecture's JSON, and keeps it under `configuration` if nothing in it is refused.

    Args:
        text: str, JSON.
        result: dict of `audit`; `model_class`, `config_format`, `configuration` and reasons are filled in.
        limits: Limits.

    Returns:
        `(model, parser)`: a `Layer`, or None if it is refused, and the `Parser` that read it.

    Raises:
        Refused: the text is no JSON or too much of it.
    """
    parser = Parser(limits)
    if len(text) > limits.max_config_bytes:
        raise Refused(
            "config-too-large",
            f"the architecture takes {byte_size(len(text))}",
            f"at most {byte_size(limits.max_config_bytes)}",
            "save the model again with `model.save`",
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Refused(
            "config-unreadable",
            "the architecture holds bytes that are no UTF-8 text",
            "the JSON that `model.save` writes",
            "save the model again with `model.save`",
        )
    try:
        entry = json.loads(text, object_pairs_hook=_only_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused(
            "config-unreadable",
            f"the architecture is no readable JSON ({show(error, 80)})",
            "the JSON that `model.save` writes",
            "save the model again with `model.save`",
        ) from None
    if isinstance(entry, dict):
        result["model_class"] = str(entry.get("class_name"))[:60]
        result["config_format"] = "list" if isinstance(entry.get("config"), list) else "dict"
    try:
        model = parser.parse(entry)
    except RecursionError:
        raise Refused(
            "too-deep",
            "the architecture is nested too deep to read",
            "the JSON that `model.save` writes",
            "save the model again with `model.save`",
        ) from None
    if model is not None and model.kind == "layer":
        parser.refuse(
            "config-unreadable",
            f"the architecture is a single layer {show(model.class_name)}, no model",
            "save the whole model with `model.save`",
        )
        model = None
    if model is None or parser.reasons:
        result["reasons"] += parser.reasons
        result["notes"] += parser.notes
        if isinstance(entry, dict):
            result["layers"] = _class_names(entry)
        return None, parser
    result["configuration"] = _plain(entry)
    return model, parser


def _class_names(entry):
    """Lists the class names of a refused architecture, as far as they can be read."""
    config = entry.get("config")
    layers = config if isinstance(config, list) else config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        return []
    return [str(layer.get("class_name"))[:60] for layer in layers[:1000] if isinstance(layer, dict)]
