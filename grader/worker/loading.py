"""Loads the network of an audited file, whichever Keras wrote it, and says by which route.

    model, route = load(path, entry, scratch)

1. The network is built anew from the file's configuration, said in today's words (`grader/worker/repair.py`), and
   every stored array goes to the layer of its name, its shape compared.
2. Where that fails, Keras loads the file in its own way.

Either way the result must have the input shape, the output shape and the number of parameters that the static audit
read, since Keras 3 loads some old files without complaint as another network than the one that was saved. Nothing here
runs code from the file: layers are found by name among Keras' own, and activations among its functions.
"""

import inspect
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from grader.worker import repair
from grader.worker.repair import Changes, Era, Reference, Unrepairable
from grader.worker.results import BadResult

MAX_CONFIG_BYTES = 16 * 2**20


class LoadError(BadResult):
    """The file cannot be loaded; its text says why, to the student, in a sentence about "the file"."""


def load(path, entry, scratch):
    """Loads a model.

    Args:
        path: Path of an audited .h5, .hdf5 or .keras file; for one that holds weights alone, an audited `.json` of the
            same name beside it holds the architecture.
        entry: dict of what the audit read: `input_shape`, `output_shape` (lists with None for the batch axis, or None),
            and `num_parameters` (int or None) where it is known.
        scratch: Path of a folder for what is inside a .keras file.

    Returns:
        (keras.Model, str): the model, and the route in a sentence.

    Raises:
        LoadError: neither route gave the network that the file describes.
    """
    path = Path(path)
    is_zip = zipfile.is_zipfile(path)
    try:
        return (_by_keras(path, entry), "loaded by Keras") if is_zip else _rebuild(path, entry)
    except Exception as error:
        # Another way does not help against too little memory, nor where we know what is wrong.
        if is_out_of_memory(error):
            raise
        if isinstance(error, (LoadError, Unrepairable)) and not is_zip:
            raise LoadError(_sentence(error)) from error
        reason = error
    try:
        if is_zip:
            return _rebuild_zip(path, entry, scratch)
        return _by_keras(path, entry), f"loaded by Keras; building it anew failed: {_sentence(reason)}"
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise LoadError(_sentence(error if is_zip else reason)) from error


def is_out_of_memory(error):
    """Says whether Python or TensorFlow found no more memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _sentence(error):
    text = " ".join(str(error).split("\n\n")[0].split())
    plain = isinstance(error, (LoadError, Unrepairable))
    return (text if plain else f"it cannot be built ({type(error).__name__}: {text})")[:500]


def _by_keras(path, entry):
    from keras.saving import load_model

    model = load_model(path, compile=False, safe_mode=True)
    check_against_audit(model, entry)
    return model


def check_against_audit(model, entry):
    """Compares a loaded network with what the audit read from the file.

    Raises:
        LoadError: they differ.
    """
    for key, word in (("input_shape", "input"), ("output_shape", "output")):
        declared = entry.get(key)
        try:
            found = _plain_shape(getattr(model, key))
        except (AttributeError, ValueError):
            found = None
        if found is None:
            raise LoadError(f"the file has no fixed {word} shape. Save it after training, with model.save")
        if _is_one_shape(declared) and _is_one_shape(found) and not _agree(declared, found):
            raise LoadError(f"the file declares the {word} shape {tuple(declared)}, but loads with {tuple(found)}")
    expected, count = entry.get("num_parameters"), model.count_params()
    if expected and expected != count:
        raise LoadError(f"the file stores {expected:,} parameters, but loads with {count:,}")


def _plain_shape(shape):
    return [_plain_shape(axis) if isinstance(axis, (list, tuple)) else axis for axis in shape]


def _is_one_shape(shape):
    return isinstance(shape, (list, tuple)) and not any(isinstance(axis, (list, tuple)) for axis in shape)


def _agree(declared, found):
    """Compares shapes without their batch axes; what one of them leaves open cannot differ."""
    return len(declared) == len(found) and all(
        a == b or a is None or b is None for a, b in zip(declared[1:], found[1:], strict=True)
    )


# Building ----------------------------------------------------------------------------------------------------------


@dataclass
class _Part:
    """One layer of a built network and what the file says of it.

    Attributes:
        name: str, in the file.
        class_name: str, in the file.
        kind: str, in today's words; `"model"` for a nested one.
        config: dict, as `repair.modern_layer` gives it.
        layer: keras layer or model.
        parts: list of _Part, of a nested model.
    """

    name: str
    class_name: str
    kind: str
    config: dict
    layer: object
    parts: list


class _Builder:
    """Builds a network from its configuration.

    Args:
        era: Era.
        changes: Changes, filled.
    """

    def __init__(self, era, changes):
        self.era, self.changes = era, changes

    def model(self, entry, shape=None):
        """Builds a model, nested ones within it first.

        Args:
            entry: dict with `class_name` and `config`.
            shape: list, its input shape with the batch axis, where the file leaves it open.

        Returns:
            _Part.
        """
        config = entry.get("config")
        if isinstance(config, list):
            self.changes.add("a configuration that is a list, as before Keras 2.2.3")
            config = {"layers": config}
        name = str(entry.get("name") or config.get("name") or "model")
        if entry.get("class_name") == "Sequential":
            layer, parts = self._sequential(name, config, shape)
        else:
            layer, parts = self._functional(name, config)
        return _Part(name, entry["class_name"], "model", {}, layer, parts)

    def _sequential(self, name, config, shape):
        import keras

        parts, layers = [], []
        entries = config["layers"]
        if entries and not _is_model(entries[0]):
            first = entries[0].get("config") or {}
            declared = repair.declared_shape(first)
            if declared is None and entries[0].get("class_name") in ("TimeDistributed", "Bidirectional"):
                declared = repair.declared_shape(first.get("layer", {}).get("config") or {})
            declared = declared or repair.plain(config.get("build_input_shape")) or shape
            if entries[0].get("class_name") != "InputLayer" and declared is not None:
                layers.append(keras.Input(declared[1:], dtype=_input_dtype(first)))
                self.changes.add("an input of its own for the first layer")
        for entry in entries:
            if entry.get("class_name") == "InputLayer":
                options = entry["config"]
                layers.append(keras.Input(repair.declared_shape(options)[1:], dtype=_input_dtype(options)))
                continue
            part = self.part(entry, shape if entry is entries[0] else None)
            parts.append(part)
            layers.append(part.layer)
        return keras.Sequential(layers, name=_safe(name)), parts

    def part(self, entry, shape=None):
        """Builds one layer, or a nested model.

        Returns:
            _Part.
        """
        if _is_model(entry):
            return self.model(entry, shape)
        config = entry.get("config") or {}
        name = str(entry.get("name") or config.get("name") or entry["class_name"])
        kind, settings = repair.modern_layer(entry["class_name"], config, self.era, self.changes)
        return _Part(name, entry["class_name"], kind, settings, self._layer(kind, settings, name), [])

    def _layer(self, kind, settings, name):
        import keras

        from grader.worker import extra_layers

        common = {"name": _safe(name)}
        if "dtype" in settings:
            common["dtype"] = settings["dtype"]
        if repair.IN_TRAINING_ONLY.fullmatch(kind):
            shown = {key: value for key, value in settings.items() if key not in ("name", "dtype", "trainable")}
            return extra_layers.training_only(kind, shown, **common)
        options = {key: value for key, value in settings.items() if key not in ("name", "dtype")}
        for key in ("activation", "recurrent_activation"):
            if key in options:
                options[key] = self._activation(options[key])
        for key in ("layer", "backward_layer", "cell"):
            if isinstance(options.get(key), dict):
                options[key] = self.part(options[key]).layer
            elif isinstance(options.get(key), list):
                options[key] = [self.part(one).layer for one in options[key]]
        if isinstance(options.get("cells"), list):
            options["cells"] = [self.part(one).layer for one in options["cells"]]
        if kind == "ThresholdedReLU":
            return extra_layers.ThresholdedReLU(options.get("theta", 1.0), **common)
        layer_class = None if kind in repair.NEVER_BUILT else getattr(keras.layers, kind, None)
        if not (isinstance(layer_class, type) and issubclass(layer_class, keras.layers.Layer)):
            raise LoadError(
                f"the file has a layer {kind}, which Keras {keras.__version__} does not know or we do not build"
            )
        trainable = options.pop("trainable", True)
        known = inspect.signature(layer_class.__init__).parameters
        unknown = [key for key, value in options.items() if key not in known and value not in (None, False)]
        if unknown:
            self.changes.add(f"settings of {kind} that this Keras does not know left out: {', '.join(sorted(unknown))}")
        # Values that are written over at once need no random numbers: model_1 has 26 million.
        zeros = {key: "zeros" for key in known if key.endswith("_initializer")}
        options = {key: value for key, value in options.items() if key in known}
        layer = layer_class(**zeros, **options, **common)
        layer.trainable = bool(trainable)
        return layer

    def _activation(self, value):
        import keras

        from grader.worker import extra_layers

        if value == "old_hard_sigmoid":
            return extra_layers.old_hard_sigmoid
        if isinstance(value, dict):
            config = {"name": "activation", **(value.get("config") or {})}
            return self.part({"class_name": value.get("class_name"), "config": config}).layer
        function = getattr(keras.activations, value, None) if isinstance(value, str) else None
        if not inspect.isfunction(function) or value in ("get", "serialize", "deserialize"):
            raise LoadError(f"the file has the activation {value!r}, which Keras {keras.__version__} does not know")
        return function

    def _functional(self, name, config):
        import keras

        parts, waiting, tensors = {}, [], {}
        inputs, outputs = (repair.references(config.get(key)) for key in ("input_layers", "output_layers"))
        all_calls = {entry["name"]: repair.calls(entry.get("inbound_nodes")) for entry in config["layers"]}
        used = [*outputs, *repair.references_in([list(call) for many in all_calls.values() for call in many])]
        start = {key: repair.first_node(key, len(many), used) for key, many in all_calls.items()}
        for entry in config["layers"]:
            key = entry["name"]
            if entry.get("class_name") == "InputLayer":
                shape = repair.declared_shape(entry["config"])
                if shape is None:
                    raise LoadError(f"the file has an input {key} of no stated shape")
                tensors[key, 0] = [keras.Input(shape[1:], dtype=_input_dtype(entry["config"]), name=_safe(key))]
                continue
            operation = _operation(entry)
            parts[key] = None if operation else self.part(entry)
            for number, (arguments, keywords) in enumerate(all_calls[key]):
                waiting.append((entry, operation, number, arguments, keywords))
        if any(start.values()):
            self.changes.add("numbers of the calls of nested models")

        def find(reference):
            at = (reference.layer, reference.node - start.get(reference.layer, 0))
            return tensors[at][reference.tensor]

        # Keras writes layers in the order in which they are called, but for layers that are called again.
        while waiting:
            later = []
            for item in waiting:
                entry, operation, number, arguments, keywords = item
                try:
                    ready = _replace(arguments, find), _replace(keywords, find)
                except KeyError:
                    later.append(item)
                    continue
                key = entry["name"]
                if operation:
                    layer, ready = self._arithmetic(operation, key, number, *ready), (_tensors(ready), {})
                    parts.setdefault(f"{key} {number}", None)
                else:
                    layer = parts[key].layer
                    ready = ready[0], _known_keywords(layer, ready[1])
                result = layer(*ready[0], **ready[1])
                tensors[key, number] = list(result) if isinstance(result, (list, tuple)) else [result]
            if len(later) == len(waiting):
                raise LoadError(f"the file has layers that are connected to nothing, such as {later[0][0]['name']}")
            waiting = later
        ends = [[find(reference) for reference in side] for side in (inputs, outputs)]
        ends = [side[0] if len(side) == 1 else side for side in ends]
        return keras.Model(*ends, name=_safe(name)), [part for part in parts.values() if part is not None]

    def _arithmetic(self, operation, name, number, arguments, keywords):
        from grader.worker import extra_layers

        places = [*arguments, *[keywords[key] for key in ("x", "y", "x1", "x2") if key in keywords]]
        numbers = {place: value for place, value in enumerate(places) if isinstance(value, (int, float))}
        tensors = [place for place, value in enumerate(places) if hasattr(value, "shape")]
        wanted = 1 if operation in repair.UNARY else 2
        if len(places) != wanted or len(numbers) + len(tensors) != wanted or not tensors:
            raise LoadError(f"the file has arithmetic of another form than a tensor and a number, in {name}")
        self.changes.add("arithmetic between its layers")
        suffix = f"_{number}" if number else ""
        return extra_layers.Arithmetic(operation, numbers, name=_safe(f"{name}{suffix}"))


def _is_model(entry):
    config = entry.get("config")
    return isinstance(config, list) or (
        isinstance(config, dict)
        and isinstance(config.get("layers"), list)
        and entry.get("class_name") in ("Sequential", "Functional", "Model")
    )


def _operation(entry):
    """Returns the name in keras.ops of a layer that is arithmetic, or an empty string."""
    kind, config = entry.get("class_name"), entry.get("config") or {}
    if kind == "TFOpLambda":
        return repair.OPERATIONS.get(config.get("function"), "")
    if kind not in repair.OPERATIONS:
        return ""
    if kind not in ("Add", "Subtract", "Multiply", "Maximum", "Minimum"):
        return repair.OPERATIONS[kind]
    # The layers of these names take a list of tensors, the operations two arguments.
    calls = repair.calls(entry.get("inbound_nodes"))
    return repair.OPERATIONS[kind] if calls and all(len(arguments) == 2 for arguments, _ in calls) else ""


def _replace(value, find):
    """Puts tensors in the place of references."""
    if isinstance(value, Reference):
        return find(value)
    if isinstance(value, list):
        return [_replace(item, find) for item in value]
    return {key: _replace(item, find) for key, item in value.items()} if isinstance(value, dict) else value


def _tensors(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [one for item in value for one in _tensors(item)]
    return [value] if hasattr(value, "shape") else []


def _known_keywords(layer, keywords):
    """Keeps what a call can be given and what matters: `training=True` would let a network answer by chance."""
    known = inspect.signature(layer.call).parameters
    return {key: value for key, value in keywords.items() if key in known and key != "training" and value is not None}


def _safe(name):
    return name.replace("/", "_")


def _input_dtype(config):
    name = repair.policy_name(config.get("dtype") or config.get("input_dtype"))
    # A policy of mixed precision names what layers compute in; inputs come as float32.
    return name if name and not name.startswith("mixed") else "float32"


# Weights -----------------------------------------------------------------------------------------------------------


def _rebuild(path, entry):
    import h5py

    changes, part = Changes(), None
    with h5py.File(path, "r") as file:
        base = file["model_weights"] if "model_weights" in file else file
        text, beside = file.attrs.get("model_config"), path.with_suffix(".json")
        if text is None and not beside.is_file():
            raise LoadError("the file holds weights without an architecture. Save it with model.save, not save_weights")
        if text is None:
            text = beside.read_text(encoding="utf-8")
            changes.add(f"the architecture from {beside.name}")
        text = _text(text)
        config = json.loads(text)
        said = {
            key: _text(file.attrs.get(key, base.attrs.get(key, config.get(key, ""))))
            for key in ("keras_version", "backend")
        }
        era = Era.of(said["keras_version"], said["backend"], text)
        part = _Builder(era, changes).model(config, entry.get("input_shape"))
        if not part.layer.built:
            raise LoadError("the file has no fixed input shape. Save it after training, with model.save")
        by_name = "layer_names" in base.attrs or "layer_names0" in base.attrs
        if by_name:
            _Assigner(base, era, changes).fill(part)
    if not by_name:
        part.layer.load_weights(path)  # the layout of Keras 3's save_weights, which follows the network's own structure
    # Where the layout differs, the numbers stored are not those in use: CuDNN stores each bias twice.
    same_layout = not any(leaf.class_name.startswith("CuDNN") or leaf.kind == "Normalization" for leaf in _leaves(part))
    check_against_audit(part.layer, entry if same_layout else {**entry, "num_parameters": None})
    how = f"built anew from its configuration (Keras {said['keras_version'] or '1'})"
    return part.layer, how + (f"; taken care of: {', '.join(changes.said)}" if changes.said else "")


def _text(value):
    if hasattr(value, "reshape"):
        value = value.reshape(-1)[0] if value.size else ""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if len(text) > MAX_CONFIG_BYTES:
        raise LoadError("the file has a configuration of more than 16 MB")
    return text


def stored_names(group, attribute):
    """Reads a list of names, which Keras splits into `name0`, `name1`, … above 64 kB.

    Args:
        group: h5py.Group.
        attribute: str, `"layer_names"` or `"weight_names"`.

    Returns:
        list of str; empty if there is none.
    """
    if attribute in group.attrs:
        chunks = [group.attrs[attribute]]
    else:
        chunks = []
        while f"{attribute}{len(chunks)}" in group.attrs:
            chunks.append(group.attrs[f"{attribute}{len(chunks)}"])
    return [_text(name) for chunk in chunks for name in chunk]


class _Assigner:
    """Gives the arrays of an HDF5 file to the layers of a built network.

    Args:
        base: h5py.Group that holds a group for each layer.
        era: Era.
        changes: Changes, filled.
    """

    def __init__(self, base, era, changes):
        self.base, self.era, self.changes = base, era, changes
        self.groups = {}
        for name in stored_names(base, "layer_names"):
            group = base[name]
            names = [one for one in stored_names(group, "weight_names") if not repair.STATE.search(one)]
            self.groups[name] = [(one, group[one]) for one in names]

    def fill(self, part):
        """Fills a model, layer by layer.

        Raises:
            LoadError: a layer's arrays are missing or have other shapes.
        """
        for inner in part.parts:
            stored = self.groups.get(inner.name)
            if stored is None and inner.kind == "model":
                self.fill(inner)  # Keras 1 stored the layers of nested Sequentials one by one
            elif inner.kind == "model":
                self._fill_nested(inner, stored)
            else:
                self._assign(inner, stored or [])

    def _fill_nested(self, part, stored):
        leaves = [leaf for leaf in _leaves(part) if leaf.layer.weights]
        by_leaf = _by_name(leaves, stored)
        if by_leaf is None:
            by_leaf = self._by_order(leaves, stored)
        for leaf, arrays in zip(leaves, by_leaf, strict=True):
            self._assign(leaf, arrays)

    def _by_order(self, leaves, stored):
        """Takes the order in which Keras writes a nested model: what is trained first, then the rest."""
        order = [(leaf, "trainable_weights") for leaf in leaves] + [(leaf, "non_trainable_weights") for leaf in leaves]
        shares, left = {id(leaf): [] for leaf in leaves}, list(stored)
        for leaf, attribute in order:
            count = len(getattr(leaf.layer, attribute))
            shares[id(leaf)] += left[:count]
            left = left[count:]
        self.changes.add("weights of nested models by their order")
        return [shares[id(leaf)] for leaf in leaves]

    def _assign(self, part, stored):
        layer = part.layer
        arrays = [dataset[()] for _, dataset in stored]
        if not arrays and not layer.weights:
            return
        arrays = repair.modern_weights(part.kind, part.class_name, part.config, arrays, self.era, self.changes)
        if part.kind == "Normalization":
            arrays = arrays[: len(layer.weights)]  # mean and variance; some also count
        targets = layer.weights
        if [tuple(array.shape) for array in arrays] != [tuple(weight.shape) for weight in targets]:
            wanted = ", ".join(str(tuple(weight.shape)) for weight in targets) or "none"
            found = ", ".join(str(tuple(array.shape)) for array in arrays) or "none"
            raise LoadError(f"the file stores weights of shapes {found} for the layer {part.name}. Wanted {wanted}")
        for weight, array in zip(targets, arrays, strict=True):
            weight.assign(array)
        if part.kind == "Normalization":
            layer.finalize_state()


def _leaves(part):
    return [leaf for inner in part.parts for leaf in (_leaves(inner) if inner.kind == "model" else [inner])]


def owns(name, key):
    """Says whether a stored weight is named after a layer: `dense_1_W` by Keras 1, `dense_1/kernel:0` by later ones.

    Args:
        name: str, of the layer, which may hold slashes itself.
        key: str, of the stored weight.
    """
    return f"/{name}/" in f"/{key}" or ("/" not in key and key.startswith(f"{name}_"))


def _by_name(leaves, stored):
    """Shares out the arrays of a nested model by the layers' names in them.

    Returns:
        list of list, one for each leaf; None where names do not tell.
    """
    names = [leaf.name for leaf in leaves]
    if len(set(names)) < len(names):
        return None
    shares = {name: [] for name in names}
    for key, dataset in stored:
        owners = [name for name in names if owns(name, key)]
        if not owners:
            return None
        shares[max(owners, key=len)].append((key, dataset))
    if any(len(shares[leaf.name]) != len(leaf.layer.weights) for leaf in leaves if leaf.class_name == leaf.kind):
        return None
    return [shares[name] for name in names]


# .keras files ------------------------------------------------------------------------------------------------------


def _rebuild_zip(path, entry, scratch):
    """Builds the network of a .keras file anew; Keras fills in its weights by the structure that both share."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(_text(archive.read("config.json")))
        version = json.loads(archive.read("metadata.json")).get("keras_version") if _has(archive) else "3.0"
        weights = Path(scratch) / "rebuilt.weights.h5"
        with archive.open("model.weights.h5") as source, open(weights, "wb") as target:
            while chunk := source.read(2**20):
                target.write(chunk)
    changes = Changes()
    part = _Builder(Era.of(version), changes).model(config, entry.get("input_shape"))
    part.layer.load_weights(weights)
    weights.unlink()
    check_against_audit(part.layer, entry)
    how = f"built anew from its configuration (Keras {version})"
    return part.layer, how + (f"; taken care of: {', '.join(changes.said)}" if changes.said else "")


def _has(archive):
    return "metadata.json" in archive.namelist()
