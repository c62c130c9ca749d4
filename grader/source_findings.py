"""The mistakes that a script's source shows, one section for each; `grader/findings.py` calls `detect`.

Each detector asks questions of the terms and events that `grader/source_reading.py` has read, and yields findings.
"""

import math
import re

from grader.source_reading import (
    call_arguments,
    call_name,
    canonical_path,
    constant,
    dotted_name,
)

SCRIPTS = ("cnn", "transfer", "cnnx")
FOLDER_READERS = {
    "find_photos", "listdir", "scandir", "iterdir", "glob", "iglob", "rglob", "walk",
    "image_dataset_from_directory", "flow_from_directory",
}  # fmt: skip
PLAIN_CALLS = {
    # What happens to pixels without changing their values' range.
    "abs", "alpha_composite", "append", "array", "asanyarray", "asarray", "ascontiguousarray", "astype", "basename",
    "clip", "column_stack", "concatenate", "convert", "copy", "crop", "cvtColor", "emotion_id", "emotion_in", "empty",
    "enumerate", "exif_transpose", "expand_dims", "find_photos", "fit", "float", "float32", "float64", "fromarray",
    "fromiter", "fromstring", "genfromtxt", "getdata", "glob", "grayscale", "img_to_array", "imread", "index", "int",
    "int32", "isfile", "iterdir", "join", "len", "list", "listdir", "load_img", "loadtxt", "lower", "map", "maximum",
    "minimum", "moveaxis", "new", "new_list", "open", "open_photo", "pad", "Path", "print", "prod", "range", "ravel",
    "reshape", "resize", "rsplit", "series", "sorted", "split", "splitext", "squeeze", "stack", "str", "strip",
    "swapaxes", "thumbnail", "to_list", "to_numpy", "tolist", "tqdm", "transpose", "tuple", "uint8", "vstack", "zeros",
    "zip", "cast", "convert_to_tensor", "reduce", "Series", "DataFrame", "apply", "dtype", "replace", "next", "iter",
}  # fmt: skip
EXTREMES = {"max", "amax", "nanmax", "ptp", "reduce_max", "percentile"}
LABEL_LINE = re.compile(r"label|emotion|target|class|truth|expression|answer|\by\b|_y\b|\by_|\bys\b|Y_|_Y\b", re.I)
TEST_NAME = re.compile(r"(?<!la)(?<!grea)(?<!fas)(?<!con)test", re.I)  # x_test, but not latest_photos
# What comes out of these is no picture, whatever goes in.
MEASURES = {
    "predict", "predict_on_batch", "predict_classes", "predict_proba", "evaluate", "test_on_batch", "score", "len",
    "shape", "size", "argmax", "accuracy_score", "confusion_matrix", "classification_report",
    "classification_metrics",
}  # fmt: skip
LAYERS_AFTER = {"Dropout", "Flatten", "Reshape", "Identity"}  # a softmax stays one behind these
ACTIVATION_LAYERS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu", "Softmax": "softmax"}
SPLITTERS = {"train_test_split", "ShuffleSplit", "KFold", "StratifiedKFold", "StratifiedShuffleSplit"}
DATA_WRAPPERS = {"batch", "shuffle", "prefetch", "cache", "repeat", "with_options"}


def detect(known, apart):
    """Runs all detectors.

    Args:
        known: `Reader` that followed loops over known values one value at a time.
        apart: `Reader` that did not, so that it keeps apart what one loop and the next have bound.

    Returns:
        list of findings, several of a code if it is seen in several places.
    """
    return [
        *_stale_labels(apart),
        *_photo_folders(known),
        *_last_layers(known),
        *_splits(known),
        *_validation(known),
        *_scaling(known),
        *_undivided_pixels(known),
        *_voxel_indices(known),
    ]


def _finding(reader, code, certain, item, place, what, wanted, try_, step=None):
    module, line = place
    return {
        "code": code,
        "certainty": "certain" if certain else "probable",
        "basis": "source",
        "item": item,
        "step": step or item,
        "file": f"{module}.py",
        "line": line,
        "evidence": reader.source_line(module, line),
        "what": what,
        "wanted": wanted,
        "try": try_,
    }


def _place(event):
    return event.module, event.line


def _runs(reader, *names):
    return [(run, reader.results[run]) for name in names for run in [tuple(name.split("."))] if run in reader.results]


def _parameter(reader, run, position=0):
    """Returns the term of a function's parameter, where the function was followed on its own."""
    function = reader.function_of(run)
    arguments = [*function.node.args.posonlyargs, *function.node.args.args] if function is not None else []
    return reader.term("param", function.name, arguments[position].arg) if position < len(arguments) else None


# --- Labels left over from another loop ------------------------------------------------------------------------------


def _stale_labels(reader):
    """A loop appends, for each test sample, the label variable that an earlier loop or branch has left behind."""
    for event in reader.events:
        if event.kind != "append" or not event.loops:
            continue
        text = reader.source_line(event.module, event.line)
        if not LABEL_LINE.search(text):
            continue
        fresh, stale = _sources_of(reader, event.terms["value"], event.loops, event.branches)
        if fresh or not stale:
            continue
        siblings = [
            other
            for other in reader.events
            if other.kind == "append" and other.run == event.run and other.loops == event.loops and other is not event
            and _sources_of(reader, other.terms["value"], event.loops)[0]
        ]  # fmt: skip
        in_cnn = event.module == "cnn"
        yield _finding(
            reader,
            "stale_test_labels",
            bool(siblings),
            "1b" if in_cnn else "12" if event.module == "cnnx" else "7b",
            _place(event),
            f"this appends a label that its own loop never sets: it is {stale}, the same for every sample",
            "for each sample the label of that sample",
            "read the label from the same row or file name as the picture, in the same loop, before you append it",
            "1a" if in_cnn else None,
        )


def _sources_of(reader, value, loops, branches=()):
    """Returns whether a term changes with the loops around it, and in words what it has left over instead."""

    def excluded(term):
        """Whether a term comes from an `if` that cannot hold where another one does, as for two values of usage."""
        test = reader.guarded.get(term, (None,))[0]
        return test is not None and any(which == 0 and _exclude_each_other(test, other) for _, which, other in branches)

    def sources(term):
        for part in reader.walk(term, skip=excluded, contents=False):
            if excluded(part):
                _, inside = reader.guarded[part]
                for alternative in part.parts if part.kind == "phi" else ():
                    if alternative is not inside:
                        yield from sources(alternative)
            else:
                yield part

    inner = {term.parts[1] for term in reader.walk(value, contents=False) if term.kind == "comp"}
    fresh, stale = False, ""
    for term in sources(value):
        if term.kind == "unknown" or call_name(term) in ("readline", "next", "pop", "popleft", "read", "send"):
            fresh = True  # something else at each call
        if term.kind == "each":
            loop = term.parts[1]
        elif term.kind == "index":
            loop = term.parts[0]
        elif term.kind == "carried":
            name, loop, _, was_bound = term.parts
            if loop in loops and not was_bound:
                stale = stale or f"`{name}` from an earlier round of the loop"
                continue
            fresh = True  # a counter or a running total: it does change
            continue
        else:
            continue
        if loop in loops or loop in inner:
            fresh = True
        else:
            stale = stale or "what the last round of an earlier loop has left behind"
    return fresh, stale


def _exclude_each_other(first, second):
    """Whether two conditions compare the same thing with two constants, as `usage == "Training"` and `"PublicTest"`."""
    if not (first.kind == second.kind == "compare" and first.parts[0] == second.parts[0] and first is not second):
        return False
    (left, right), (other_left, other_right) = (
        term.parts[1] if len(term.parts[1]) == 2 else (None, None) for term in (first, second)
    )
    if left is None or other_left is None:
        return False
    if first.parts[0] == ("Eq",):
        return left is other_left and right.kind == other_right.kind == "const"
    return first.parts[0] == ("In",) and right is other_right and left.kind == other_left.kind == "const"


# --- Photos of the wrong folder --------------------------------------------------------------------------------------


def _photo_folders(reader):
    for run, _ in _runs(reader, "transfer.load_photos"):
        yield from _argument_ignored(reader, run)
    main = ("transfer", "main")
    reads = [(event, path) for event in reader.events if event.run == main for path in _read_path(reader, event)]
    calls = [
        (event, canonical_path(reader, event.terms["arguments"][0]))
        for event in reader.events
        if event.run == main and event.kind == "call" and event.terms["arguments"]
        and event.terms["function"].kind == "function"
        and reader.functions[event.terms["function"].parts[0]].name == "load_photos"
    ]  # fmt: skip
    outside = [(event, path) for event, path in reads if "load_photos" not in event.function]
    if len(calls) >= 2 and not outside and len({path for _, path in calls}) == 1:
        (first, _), (second, path) = calls[0], calls[-1]
        yield _same_folder(reader, True, first, second, path)
    elif not calls and len(outside) >= 2 and len({path for _, path in outside}) == 1:
        (first, _), (second, path) = outside[0], outside[-1]
        if first.line != second.line and not _filtered_by_name(reader, main, path):
            yield _same_folder(reader, False, first, second, path)
    yield from _test_names_with_training_photos(reader, main)


def _argument_ignored(reader, run):
    folder = _parameter(reader, run)
    reads = [(event, path) for event in reader.events if event.run == run for path in _read_path(reader, event)]
    if folder is None or not reads:
        return
    if any(folder in reader.walk(path) for _, path in reads):
        return
    event, path = reads[0]
    shown = constant(path)
    yield _finding(
        reader,
        "test_photos_from_training_folder",
        True,
        "7b",
        _place(event),
        f"load_photos never uses its argument `{folder.parts[1]}`: it reads "
        + (f"{shown!r}" if isinstance(shown, str) else "the same folder")
        + " whatever folder it is given, so training and test photos are the same",
        f"the photos of `{folder.parts[1]}`, the folder that the function is called with",
        f"replace the fixed folder in load_photos by `{folder.parts[1]}`",
    )


def _read_path(reader, event):
    """Yields the path of the folder that an event lists."""
    if event.kind != "call" or event.terms["function"].kind == "function":
        return
    function = event.terms["function"]
    if dotted_name(function).rpartition(".")[2] not in FOLDER_READERS:
        return
    if function.kind == "attr" and dotted_name(function) in (".iterdir", ".glob", ".rglob"):
        yield canonical_path(reader, function.parts[0])
    elif event.terms["arguments"]:
        yield canonical_path(reader, event.terms["arguments"][0])
    else:
        yield from (canonical_path(reader, value) for value in event.terms["keywords"].values())


def _filtered_by_name(reader, run, path):
    """Whether some condition looks at names of what was listed: one folder may hold both, told apart by name."""
    for event in reader.events:
        if event.run == run and event.kind == "test":
            inside = list(reader.walk(event.terms["condition"]))
            if any(term.kind == "each" for term in inside):
                return True
    return any("*" in str(constant(term)) for term in reader.walk(path))


def _same_folder(reader, certain, first, second, path):
    shown = constant(path)
    last = shown if isinstance(shown, str) else next((constant(p) for p in path.parts[1:]), None)
    folder = f"the same folder {last!r}" if isinstance(last, str) else "one and the same folder"
    lines = (
        f"line {first.line} reads, twice,"
        if first.line == second.line
        else f"lines {first.line} and {second.line} read"
    )
    return _finding(
        reader,
        "test_photos_from_training_folder",
        certain,
        "7b",
        _place(second),
        f"{lines} {folder}: the network is tested on its own training photos",
        "training photos from photos/train (step 5), test photos from photos/test (step 6)",
        "check the folder of the second call; 7 of 7 right on photos that it has trained on says nothing",
        "7b",
    )


def _test_names_with_training_photos(reader, main):
    for event in reader.events:
        if event.run != main or event.kind != "bind" or not TEST_NAME.search(event.terms["name"]):
            continue
        value = event.terms["value"]
        if LABEL_LINE.search(event.terms["name"]) or event.terms["name"].startswith("y"):
            continue  # labels of another loop are a mistake of their own
        if value.kind in ("const", "param") or call_name(value) in ("len", "Path", "join", "str"):
            continue
        paths = set()
        for term in reader.walk(value, skip=_is_no_photo):
            if term.kind == "call" and call_name(term) in FOLDER_READERS:
                arguments = call_arguments(term)
                if arguments:
                    paths.add(canonical_path(reader, arguments[0]))
        names = [[str(constant(part)) for part in reader.walk(path) if part.kind == "const"] for path in paths]
        if names and all(
            "train" in " ".join(words).lower() and "test" not in " ".join(words).lower() for words in names
        ):
            # A list is filled after it is made: its last append shows more than `x_test = []`.
            filled = [other for other in reader.events if other.kind == "append" and other.terms["list"] is value]
            place = _place(filled[-1] if filled else event)
            yield _finding(
                reader,
                "test_photos_from_training_folder",
                True,
                "7b",
                place,
                f"`{event.terms['name']}` is filled from the folder of the training photos",
                "training photos from photos/train (step 5), test photos from photos/test (step 6)",
                "check the folder; 7 of 7 right on photos that the network has trained on says nothing",
            )


def _is_no_photo(term):
    """Whether a term is made from photos without holding any: answers of a network, accuracies, counts."""
    if term.kind == "attr" and term.parts[1] in ("shape", "size", "ndim", "dtype"):
        return True
    if term.kind == "call" and call_name(term.parts[0]) in ("Model", "Sequential", "load_model"):
        return True  # model(images)
    if call_name(term) == "fit":
        return dotted_name(term.parts[0]) == ".fit"  # of a network; ImageOps.fit crops
    return call_name(term) in MEASURES


# --- The last layer --------------------------------------------------------------------------------------------------

_LAST_LAYERS = {
    "cnn.make_model_1": ("2f", "2f"),
    "cnn.make_model_2": ("4", "4"),
    "cnnx.make_model_4": ("11", "11"),
    "cnnx.make_model_ec1": ("11", "EC1"),
}


def _last_layers(reader):
    for name, (item, step) in _LAST_LAYERS.items():
        for run, model in _runs(reader, name):
            losses = _losses(reader, run)
            for alternative in model.parts if model.kind == "phi" else (model,):
                last = _last_layer(reader, alternative)
                if last is None:
                    continue
                activation, layer = last
                if activation == "softmax" or (activation in (None, "linear") and losses["from_logits"]):
                    continue
                if activation == "sigmoid" and losses["binary"]:
                    continue
                place = reader.where.get((run, layer))
                if place is None:
                    continue
                shown = activation or "no activation"
                certain = activation not in ("sigmoid", "tanh", "softplus", "swish", "log_softmax")
                reason = (
                    "a ReLU turns every negative score into 0, and seven zeros have no gradient to learn from"
                    if activation == "relu"
                    else "the cross-entropy takes the seven numbers for probabilities, and they are none"
                )
                yield _finding(
                    reader,
                    "last_layer_not_softmax",
                    certain,
                    item,
                    place,
                    f"the last layer of {run[1]} has {shown} instead of softmax: {reason}",
                    "seven probabilities that sum to 1: the last Dense layer with activation 'softmax'",
                    f'in {run[1]}, give the last layer activation="softmax"',
                    step,
                )


def _losses(reader, run):
    """Returns what the loss of the models compiled in a run expects."""
    found = {"from_logits": False, "binary": False}
    for event in reader.events:
        if event.run == run and event.kind == "call" and dotted_name(event.terms["function"]) == ".compile":
            loss = event.terms["keywords"].get("loss")
            values = [loss] if loss is not None else event.terms["arguments"]
            for term in (part for value in values for part in reader.walk(value)):
                if term.kind == "call" and constant(dict(term.parts[2]).get("from_logits")) is True:
                    found["from_logits"] = True
                text = f"{constant(term)} {dotted_name(term)}".lower()
                found["binary"] |= "binary" in text
                found["from_logits"] |= term.kind == "name" and "with_logits" in text
    return found


def _last_layer(reader, model):
    """Returns `(activation, layer term)` of a model's last layer, or `None` where it cannot be told."""
    name = call_name(model)
    if name == "Sequential":
        layers = [term for term in reader.stored.get(model, ()) if term.kind != "compare"]
        while layers and call_name(layers[-1]) in LAYERS_AFTER:
            layers.pop()
        return _activation_of_layer(layers[-1]) if layers else None
    if name not in ("Model", "Functional") or not dotted_name(model.parts[0]).startswith("keras"):
        return None
    arguments, keywords = model.parts[1], dict(model.parts[2])
    outputs = keywords.get("outputs", arguments[1] if len(arguments) > 1 else None)
    inside = reader.elements(outputs) if outputs is not None else None
    if inside is not None and len(inside) == 1:
        outputs = inside[0]
    while outputs is not None and outputs.kind == "call":
        function, values, _, _ = outputs.parts
        last = dotted_name(function).rpartition(".")[2]
        if last.lower() in ("softmax", "log_softmax") or last == "relu":
            return last.lower(), outputs
        if function.kind == "call" and call_name(function) in LAYERS_AFTER and values:
            outputs = values[0]
            continue
        return _activation_of_layer(function)
    return None


def _activation_of_layer(layer):
    name = call_name(layer)
    if name in ACTIVATION_LAYERS:
        return ACTIVATION_LAYERS[name], layer
    if name not in ("Dense", "Activation"):
        return None
    arguments, keywords = layer.parts[1], dict(layer.parts[2])
    position = 1 if name == "Dense" else 0
    term = keywords.get("activation", arguments[position] if len(arguments) > position else None)
    if term is None or (term.kind == "const" and term.parts[1] is None):
        return None, layer
    activation = constant(term) if term.kind == "const" else dotted_name(term).rpartition(".")[2]
    if term.kind == "call":  # activation=keras.layers.LeakyReLU()
        activation = ACTIVATION_LAYERS.get(call_name(term), "")
    return (str(activation).lower(), layer) if activation else None


# --- A person in training and test -----------------------------------------------------------------------------------


def _splits(reader):
    unique_lists = {
        event.terms["list"]
        for event in reader.events
        if event.kind == "append"
        and any(
            term.kind == "compare" and "NotIn" in term.parts[0]
            for _, _, test in event.branches
            for term in reader.walk(test)
        )
    }

    def by_subject(term):
        for part in reader.walk(term):
            if call_name(part) in _UNIQUE_CALLS or part in unique_lists:
                return True
            if part.kind == "dict" and part in reader.open:
                return True  # rows gathered under their subject's id
        return False

    runs = [("cnnx", "split_by_subject"), ("cnnx", "main"), ("cnnx", "import")]
    for event in reader.events:
        if event.run in runs and event.kind == "call":
            name = dotted_name(event.terms["function"]).rpartition(".")[2]
            given = [*event.terms["arguments"], *event.terms["keywords"].values()]
            if dotted_name(event.terms["function"]) == ".split":
                base = event.terms["function"].parts[0]
                name = call_name(base)
            if name in SPLITTERS and given and not any(by_subject(term) for term in given):
                if name != "train_test_split" and dotted_name(event.terms["function"]) != ".split":
                    continue  # made, not yet used
                inside = event.run[1] == "split_by_subject" or "split_by_subject" in event.function
                yield _split_finding(reader, _place(event), f"{name} draws single clouds", inside)
    for run, result in _runs(reader, "cnnx.split_by_subject"):
        ids = _parameter(reader, run)
        terms = list(reader.walk(result))
        if ids is None or ids not in terms or any(term.kind == "unknown" for term in terms):
            continue
        if ids in reader.walk(result, skip=_only_counts):
            continue
        if any(
            (term.kind == "dict" and term in reader.open) or call_name(term) in ("defaultdict", "groupby")
            for term in terms
        ):
            continue  # rows gathered under their subject's id
        yield _split_finding(
            reader,
            _drawn_at(reader, run, terms),
            f"it only counts `{ids.parts[1]}` and never looks at whose cloud it is",
            True,
        )
    yield from _sliced_shuffles(reader, ("cnnx", "main"), by_subject)


_UNIQUE_CALLS = {
    "unique", "set", "frozenset", "fromkeys", "keys", "drop_duplicates", "Counter", "groupby", "factorize", "nunique",
    "defaultdict", "GroupShuffleSplit", "GroupKFold", "LeaveOneGroupOut", "StratifiedGroupKFold", "first_subjects",
}  # fmt: skip
_RANDOM_CALLS = {
    "permutation",
    "shuffle",
    "choice",
    "sample",
    "permuted",
    "random",
    "rand",
    "randint",
    "train_test_split",
}


def _only_counts(term):
    """Whether a term knows its argument's length alone."""
    if term.kind == "attr" and term.parts[1] in ("shape", "size", "ndim"):
        return True
    return call_name(term) in ("len", "shape", "size")


def _drawn_at(reader, run, terms):
    """Returns the place where rows are drawn: a call of the random generator, or else where they are counted."""
    for event in reader.events:
        if event.run == run and event.kind == "call":
            if dotted_name(event.terms["function"]).rpartition(".")[2] in _RANDOM_CALLS:
                return _place(event)
    counted = [reader.where[run, term] for term in terms if _only_counts(term) and (run, term) in reader.where]
    function = reader.function_of(run)
    return counted[0] if counted else (function.module.name, function.node.lineno)


def _sliced_shuffles(reader, run, by_subject):
    shuffled = set()
    for event in reader.events:
        if event.run == run and event.kind == "call":
            if dotted_name(event.terms["function"]).endswith("shuffle") and event.terms["arguments"]:
                shuffled.add(event.terms["arguments"][0])
    heads, tails = {}, {}
    for event in reader.events:
        if event.run != run or event.module != "cnnx" or "split_by_subject" in event.function:
            continue
        values = [event.terms["value"]] if event.kind == "bind" else []
        if event.kind == "call" and dotted_name(event.terms["function"]) in (".fit", ".evaluate", ".predict"):
            values = [*event.terms["arguments"], *event.terms["keywords"].values()]
        for term in (part for value in values for part in reader.walk(value, contents=False)):
            if term.kind != "item" or term.parts[1].kind != "slice":
                continue
            base, (start, stop, _) = term.parts[0], term.parts[1].parts
            mixed = base in shuffled or any(call_name(part) in ("permutation", "sample") for part in reader.walk(base))
            if mixed and not by_subject(base):
                if constant(start) in (None, 0) and stop.kind != "const":
                    heads.setdefault((base, stop), event)
                elif start.kind != "const":
                    tails.setdefault((base, start), event)
    for key, event in heads.items():
        if key in tails:
            yield _split_finding(reader, _place(event), "the shuffled clouds are cut into two parts")


def _split_finding(reader, place, how, inside=False):
    """`inside`: whether it lies in split_by_subject; `grader.findings.settle` reads that from the first word."""
    where = "split_by_subject" if inside else "this line"
    return _finding(
        reader,
        "sample_level_split",
        True,
        "12",
        place,
        f"{where} splits clouds, not people: {how}, so the same people are in training and in test",
        "no person in both: the test asks about faces that the network has never seen",
        "draw from the different ids, np.unique(subject_ids), then take all rows of the people drawn",
    )


# --- The test set for validation -------------------------------------------------------------------------------------


# Script -> (item, what to do instead).
_VALIDATION_ADVICE = {
    "cnn": ("3c", "validate on PublicTest and report PrivateTest (or keep some training samples back for validation)"),
    "transfer": ("7c", "fix the number of epochs in advance, or take other photos for validation"),
    "cnnx": ("12", "keep some training subjects back for validation, or fix the number of epochs in advance"),
}


def _validation(reader):
    for script, (item, advice) in _VALIDATION_ADVICE.items():
        trained, validated, evaluated = _roles(reader, (script, "main"))
        if None in evaluated:
            continue  # something is measured that we could not follow
        others = [x for x in evaluated if x not in trained and not _derived(x, validated)]
        for x in evaluated:
            if others or x in trained or not _derived(x, validated):
                continue
            root = x
            while root not in validated:
                root = root.parts[0]
            fit = validated[root]
            chosen = _chooses_epoch(reader, fit)
            yield _finding(
                reader,
                "test_set_used_for_validation",
                bool(chosen),
                item,
                _place(evaluated[x]),
                "the accuracy reported is measured on the very samples that were given to training as validation data"
                + (f", and {chosen} has already used them to choose the epoch" if chosen else ""),
                "three sets: one to learn from, one to choose by, and one that is looked at once, at the end",
                advice,
            )
            break


def _roles(reader, run):
    """Returns dicts from the samples that are trained on, validated on, measured, to the first event that does so."""
    trained, validated, evaluated = {}, {}, {}
    for event in reader.events:
        if event.run != run or event.kind != "call":
            continue
        function, arguments, keywords = (event.terms[key] for key in ("function", "arguments", "keywords"))
        name = dotted_name(function)
        if name == ".fit":
            x = arguments[0] if arguments else keywords.get("x")
            if x is not None:
                trained.setdefault(_samples(reader, x), event)
            if "validation_data" in keywords:
                validated.setdefault(_samples(reader, keywords["validation_data"]), event)
        elif name in (".evaluate", ".predict", ".predict_on_batch"):
            x = arguments[0] if arguments else keywords.get("x")
            evaluated.setdefault(_samples(reader, x) if x is not None else None, event)
        elif name.endswith("report_training"):
            splits = arguments[3] if len(arguments) > 3 else keywords.get("splits")
            if splits is None or splits.kind != "dict" or splits in reader.open:
                evaluated.setdefault(None, event)
                continue
            for key, value in reader.contents[splits].items():
                if constant(key) != "Training":
                    evaluated.setdefault(_samples(reader, value), event)
    return trained, {x: event for x, event in validated.items() if x.kind != "const"}, evaluated


def _samples(reader, term):
    """Returns the term of the samples x inside a data set, a pair `(x, y)` or an array's copy."""
    for _ in range(50):
        inside = reader.elements(term)
        if inside:
            term = inside[0]
            continue
        if term.kind == "call":
            function, arguments, _, _ = term.parts
            name = dotted_name(function).rpartition(".")[2]
            if function.kind == "attr" and name in (*DATA_WRAPPERS, "astype", "copy", "numpy"):
                term = function.parts[0]
                continue
            if name in ("from_tensor_slices", "flow", "array", "asarray", "convert_to_tensor", "zip") and arguments:
                term = arguments[0]
                continue
        break
    return term


def _derived(x, others):
    """Whether samples are one of some sets, or a part of one."""
    while x is not None:
        if x in others:
            return True
        x = x.parts[0] if x.kind == "item" else None
    return False


def _chooses_epoch(reader, fit):
    """Returns the name of the callback that picks an epoch by the validation data, else `""`."""
    callbacks = fit.terms["keywords"].get("callbacks")
    if callbacks is None:
        return ""
    for term in reader.walk(callbacks):
        name = call_name(term)
        keywords = dict(term.parts[2]) if term.kind == "call" else {}
        monitor = keywords.get("monitor", term.parts[1][0] if name == "EarlyStopping" and term.parts[1] else None)
        if monitor is not None and not str(constant(monitor)).startswith("val"):
            continue
        if name in ("EarlyStopping", "ReduceLROnPlateau"):
            return name
        if name == "ModelCheckpoint" and constant(keywords.get("save_best_only")) is True:
            return name
    return ""


# --- Scaling of pixels -----------------------------------------------------------------------------------------------


def _scaling(reader):
    paths = {}
    for name in ("cnn.prepare_images", "transfer.load_photos"):
        for run, result in _runs(reader, name):
            paths[name] = (run, *_scale(reader, run, _samples_of_result(reader, result)))
    if len(paths) == 2:
        first, second = paths.values()
        if {first[1], second[1]} == {"minmax", "255"}:
            stretched, divided = (first, second) if first[1] == "minmax" else (second, first)
            yield _scaling_finding(reader, "7b" if stretched[0][0] == "transfer" else "1b", stretched, divided)
    for script, item in (("cnn", "1b"), ("transfer", "7b")):
        run = (script, "main")
        trained, validated, evaluated = _roles(reader, run)
        scales = {}
        for x in [*trained, *validated, *evaluated]:
            if x is not None:
                scale, place = _scale(reader, run, x)
                scales.setdefault(scale, (run, scale, place, x in trained))
        if "minmax" in scales and "255" in scales and scales["minmax"][3] != scales["255"][3]:
            yield _scaling_finding(reader, item, scales["minmax"][:3], scales["255"][:3])


def _samples_of_result(reader, result):
    inside = reader.elements(result)
    return inside[0] if inside else result


def _scaling_finding(reader, item, stretched, divided):
    place = stretched[2]
    other = f"{divided[2][0]}.py, line {divided[2][1]}" if divided[2] else f"{divided[0][0]}.py"
    return _finding(
        reader,
        "scaling_differs",
        True,
        item,
        place,
        f"{place[0]}.py, line {place[1]} stretches each picture from its own darkest to its own brightest pixel, while"
        f" {other} divides by 255: the network is trained on one kind of picture and tested on another",
        "one and the same scaling wherever pictures are made: values from 0 to 1 by dividing by 255",
        "divide by 255 in prepare_images and in load_photos, and nowhere by a picture's own minimum and maximum",
    )


def _scale(reader, run, term):
    """Returns how pixels are scaled ("minmax" per picture, "255", "other", "none") and the place where."""
    found, place = "none", None
    rank = ["none", "255", "other", "minmax"]
    for part in reader.walk(term, skip=_reads_a_file):
        scale = _scaling_step(reader, part)
        if scale is not None and rank.index(scale) > rank.index(found):
            found, place = scale, reader.where.get((run, part))
            if place is None:
                place = next((where for (_, known), where in reader.where.items() if known is part), None)
    if place is None and found == "minmax":
        return "other", None
    return found, place


def _reads_a_file(term):
    """Whether a call opens or lists files: what it is given is a path, in which a division means nothing."""
    return call_name(term) in FOLDER_READERS or call_name(term) in ("open", "open_photo", "load_img", "imread", "Path")


def _scaling_step(reader, term):
    """Returns how one operation scales pixels: "255", "minmax", "other", or `None` if it does not."""
    if term.kind == "op" and not isinstance(constant(term.parts[2]), str):
        symbol, left, right = term.parts
        factor = constant(right) if isinstance(constant(right), int | float) else constant(left)
        if symbol == "/":
            if isinstance(constant(right), int | float):
                return "255" if 254 <= constant(right) <= 257 or constant(right) == 65535 else "other"
            if any(call_name(part) == "iinfo" for part in reader.walk(right)):
                return "255"
            extremes = [part for part in reader.walk(right) if call_name(part) in EXTREMES]
            if extremes:
                return "minmax" if _per_picture(reader, extremes) else "other"
            return "other"
        if symbol == "*" and isinstance(factor, float) and 0 < abs(factor) < 1:
            return "255" if math.isclose(factor, 1 / 255, rel_tol=0.01) else "other"
    if term.kind == "call":
        name, arguments, keywords = call_name(term), term.parts[1], dict(term.parts[2])
        if name in ("divide", "true_divide", "div") and len(arguments) > 1:
            return "255" if constant(arguments[1]) in (255, 255.0, 256) else "other"
        if name == "multiply" and any(isinstance(constant(argument), float) for argument in arguments):
            return "255"
        if name == "Rescaling":
            scale = constant(keywords.get("scale", arguments[0] if arguments else None))
            return "255" if isinstance(scale, float) and math.isclose(scale, 1 / 255, rel_tol=0.01) else "other"
        if name in ("minmax_scale", "autocontrast", "equalize", "equalizeHist", "rescale_intensity"):
            return "minmax"
        if name == "normalize" and any(
            "MINMAX" in dotted_name(value).upper() for value in [*arguments, *keywords.values()]
        ):
            return "minmax"
        if name in ("normalize", "per_image_standardization", "std", "rescale", "img_as_float", "preprocess_input",
                    "convert_image_dtype", "fit_transform", "transform", "interp"):  # fmt: skip
            return "other"
    return None


def _per_picture(reader, extremes):
    """Whether an extreme value is that of one picture, not of all together."""
    if any(len(part.parts[1]) + len(part.parts[2]) > (part.parts[0].kind != "attr") for part in extremes):
        return True  # max(axis=…)
    return any(
        part.kind in ("each", "index")
        for extreme in extremes
        for part in reader.walk(extreme, skip=lambda term: term.kind in ("comp", "list"), contents=False)
    )


def _undivided_pixels(reader):
    for name, item in (("cnn.prepare_images", "1b"), ("transfer.load_photos", "7b")):
        for run, result in _runs(reader, name):
            pixels = _samples_of_result(reader, result)
            if pixels.kind in ("const", "param", "unknown"):
                continue
            scale, _ = _scale(reader, run, pixels)
            inside = list(reader.walk(pixels))
            if scale != "none" or any(term.kind == "unknown" for term in inside):
                continue
            calls = [term for term in inside if term.kind == "call" and term.parts[0].kind != "call"]
            if not calls or any(call_name(term) not in PLAIN_CALLS for term in calls):
                continue
            lost = [
                event
                for event in reader.events
                if event.run == run and event.kind == "discard" and _scaling_step(reader, event.terms["value"]) == "255"
                and "out" not in (dict(event.terms["value"].parts[2]) if event.terms["value"].kind == "call" else {})
            ]  # fmt: skip
            places = [reader.where[run, term] for term in calls if (run, term) in reader.where]
            function = run[1]
            if lost:
                place = _place(lost[0])
                what = "this divides by 255 and throws the result away, so the pixels stay 0 to 255"
                try_ = "keep the result: images = images / 255, or images /= 255"
            elif places:
                place = max(places, key=lambda where: (where[0] == run[0], where[1]))
                what = f"{function} returns the pixels as they are, 0 to 255: nothing in it divides them"
                try_ = "divide by 255 after converting to float32"
            else:
                continue
            yield _finding(
                reader, "pixels_never_divided", True, item, place, what, "float32 values from 0.0 to 1.0", try_
            )


# --- Voxel 24 of 24 --------------------------------------------------------------------------------------------------


def _voxel_indices(reader):
    for run, _ in _runs(reader, "cnnx.voxelize"):
        points, size = _parameter(reader, run), _parameter(reader, run, 1)
        if points is None:
            continue
        for event, sink in _index_uses(reader, run, size):
            for rounding, scaled, is_round in _roundings(reader, sink, size):
                span, own, padded = _span(reader, scaled, size, points)
                if span != "size" or (padded and not is_round):
                    continue
                place = reader.where.get((run, rounding)) or _place(event)
                guarded = _guarded(reader, event, sink, rounding)
                yield _finding(
                    reader,
                    "voxel_index_outside_grid",
                    is_round or own,
                    "10-sum" if guarded else "10-bounds",
                    place,
                    "this "
                    + ("rounds to the nearest whole number" if is_round else "scales the largest coordinate to `size`")
                    + (
                        ", so points near the upper bound get index 24 of a grid that ends at 23"
                        if is_round
                        else ", so a point on the upper bound gets index 24 of a grid that ends at 23"
                    )
                    + ("; the condition behind it drops them, and the grid's sum is too small" if guarded else ""),
                    "indices 0 to 23, with points on or outside the upper bound in the border cell",
                    "round down (np.floor), then np.clip(cells, 0, size - 1)",
                    "10",
                )
                return


def _index_uses(reader, run, size):
    """Yields events that use a term as an index into the grid, with that term."""
    for event in reader.events:
        if event.run != run or _has_spare_cells(reader, event, size):
            continue
        if event.kind == "store" and event.terms["base"].kind in (
            "call",
            "item",
            "phi",
            "carried",
            "op",
            "attr",
            "list",
        ):
            yield event, event.terms["key"]
            base = event.terms["base"]
            while base.kind == "item":  # grid[x][y][z] += 1
                yield event, base.parts[1]
                base = base.parts[0]
        elif event.kind == "call":
            name = dotted_name(event.terms["function"])
            arguments = event.terms["arguments"]
            if name.endswith("add.at") and len(arguments) > 1:
                yield event, arguments[1]
            elif name.endswith(("bincount", "ravel_multi_index")) and arguments:
                yield event, arguments[0]


def _has_spare_cells(reader, event, size):
    """Whether the grid is made larger than `size`, to be folded or cut afterwards: no index is outside it then."""
    if event.kind == "store":
        grids = (event.terms["base"],)
    elif event.kind == "call":
        grids = (*event.terms["arguments"], *event.terms["keywords"].values())
        if dotted_name(event.terms["function"]).endswith("add.at"):
            grids = grids[:1]  # the others are indices and values
    else:
        return False
    for grid in grids:
        while grid.kind in ("item", "carried"):
            grid = grid.parts[2] if grid.kind == "carried" else grid.parts[0]
        for made in _terms_in(grid.parts[1:3]) if grid.kind == "call" else (grid,):
            if any(_is_above(part, size) for part in reader.walk(made)):
                return True
    return False


def _is_above(term, size):
    """Whether a term is size + 1, or a little more."""
    if term.kind == "op" and term.parts[0] == "+":
        added = [constant(side) for side in term.parts[1:]]
        return any(_is_size(side, size) for side in term.parts[1:]) and any(
            isinstance(value, int | float) and value >= 1 for value in added
        )
    return constant(term) in (25, 26)


def _terms_in(parts):
    """Yields the terms in nested tuples, such as a call's arguments and keywords."""
    for part in parts:
        if isinstance(part, tuple):
            yield from _terms_in(part)
        elif not isinstance(part, str):
            yield part


def _roundings(reader, sink, size):
    """Yields `(term, what is rounded, to nearest)` for each rounding in an index that nothing keeps below size."""

    def skip(term):
        inside = reader.stored.get(term, ())
        if _keeps_below(reader, term, size):
            return True
        if any(_is_below(value, size) for value in inside):
            return True
        # cells[cells == size] -= 1, with the condition inside the brackets or around the line
        if any(_steps_back(value, term) for value in inside) and any(
            _compares_with(reader, value, size) for value in inside
        ):
            return True
        if term.kind == "op" and term.parts[0] == "-" and _compares_with(reader, term.parts[2], size):
            return True  # cells - (cells == size)
        # the alternatives of an if that sets the index to size - 1, or takes 1 from it
        return term.kind == "phi" and any(
            _is_below(part, size) or any(_steps_back(part, other) for other in term.parts) for part in term.parts
        )

    for term in reader.walk(sink, skip=skip):
        if skip(term):
            continue
        name = call_name(term)
        if name in ("round", "rint", "around", "round_"):
            arguments = call_arguments(term)
            if dotted_name(term.parts[0]) in (
                "round",
                "numpy.round",
                "numpy.rint",
                "numpy.around",
                "numpy.round_",
                ".round",
            ):
                arguments = [a for a in arguments if a.kind != "name"] or arguments
            scaled = arguments[0] if arguments else None
            if scaled is not None and not _clipped_inside(reader, scaled, size):
                half_less = scaled.kind == "op" and scaled.parts[0] == "-" and constant(scaled.parts[2]) == 0.5
                yield term, scaled, not half_less
        elif name in ("int", "floor", "astype", "trunc", "int32", "int64", "fix"):
            arguments = call_arguments(term)
            scaled = arguments[0] if arguments else None
            if scaled is None or _clipped_inside(reader, scaled, size) or call_name(scaled) in (
                "round", "rint", "around", "floor", "trunc", "round_", "fix", "ceil", "astype"
            ):  # fmt: skip
                continue
            if any(call_name(part) == "ceil" for part in reader.walk(scaled, contents=False)):
                continue  # ceil(…) - 1 is right but for the lower bound
            plus_half = scaled.kind == "op" and scaled.parts[0] == "+" and 0.5 in map(constant, scaled.parts[1:])
            yield term, scaled, plus_half
        elif term.kind == "op" and term.parts[0] == "//":
            yield term, reader.term("op", "/", term.parts[1], term.parts[2]), False


def _steps_back(value, index):
    """Whether a value is an index, or a part of it, less 1: `i -= 1`, `cells[cells == size] -= 1`."""
    if value.kind != "op" or value.parts[0] != "-" or constant(value.parts[2]) != 1:
        return False
    left = value.parts[1]
    return left is index or (left.kind == "item" and left.parts[0] is index)


def _compares_with(reader, term, size):
    return any(
        part.kind == "compare" and any(_is_size(side, size) or _is_below(side, size) for side in part.parts[1])
        for part in reader.walk(term, contents=False)
    )


def _is_almost_one(term):
    value = constant(term)
    return isinstance(value, float) and 0.9 < value < 1


def _clipped_inside(reader, scaled, size):
    return any(_keeps_below(reader, term, size) for term in reader.walk(scaled, contents=False))


def _keeps_below(reader, term, size):
    """Whether a call keeps its result below size: clip, minimum, remainder."""
    if term.kind == "op" and term.parts[0] == "%":
        return True
    name = call_name(term)
    if name in ("clip", "clip_by_value"):
        arguments, keywords = term.parts[1], dict(term.parts[2])
        bound = keywords.get("max", keywords.get("a_max", arguments[-1] if arguments else None))
        return bound is None or not _is_size(bound, size)
    if name in ("minimum", "min", "fmin"):
        arguments = call_arguments(term)
        return len(arguments) > 1 and any(_is_below(part, size) or _is_almost_one(part) for part in arguments)
    if name in ("where", "digitize", "searchsorted", "mod", "remainder", "linspace", "nan_to_num", "putmask", "select"):
        return True
    return False


def _is_size(term, size):
    if size is not None and term is size:
        return True
    if call_name(term) in ("float", "int", "float32", "array", "full") and term.parts[1]:
        return _is_size(term.parts[1][0], size)
    return constant(term) == 24 and not isinstance(constant(term), bool)


def _is_below(term, size):
    if term.kind == "op" and term.parts[0] == "-":
        return _is_size(term.parts[1], size)
    return constant(term) == 23


def _span(reader, scaled, size, points):
    """Returns the top of scaled coordinates ("size", "below", `None`), if it is their maximum, if it is widened."""
    span, own, padded = None, False, False
    for term in reader.walk(scaled):
        if term.kind == "op" and term.parts[0] in ("*", "/"):
            symbol, left, right = term.parts
            factors = [left, right] if symbol == "*" else []
            # 0.9999 times the coordinate keeps the largest point inside, as does division by 1.0001
            padded |= any(_is_almost_one(factor) for factor in factors)
            padded |= symbol == "/" and isinstance(constant(right), float) and 1 < constant(right) < 1.1
            # points * (size / extent)
            factors += [part.parts[1] for part in factors if part.kind == "op" and part.parts[0] == "/"]
            if any(_is_below(factor, size) for factor in factors):
                return "below", own, padded
            if any(_is_size(factor, size) for factor in factors):
                span = "size"
            if symbol == "/":
                # (points - lower) / cell, where cell = (upper - lower) / size
                for part in reader.walk(right, contents=False):
                    if part.kind == "op" and part.parts[0] == "/":
                        if _is_size(part.parts[2], size):
                            span = "size"
                        elif _is_below(part.parts[2], size):
                            return "below", own, padded
                    # an added constant makes the range a little wider, so that the largest point stays inside
                    padded |= part.kind == "op" and part.parts[0] in ("+", "*") and part.parts[2].kind == "const"
        if term.kind == "op" and term.parts[0] == "-" and isinstance(constant(term.parts[2]), float):
            padded |= 0 < constant(term.parts[2]) < 0.1
        padded |= call_name(term) == "nextafter"
        if call_name(term) in ("max", "amax", "ptp", "nanmax") and points in reader.walk(term):
            own = True
            arguments = call_arguments(term)
            padded |= any(arg.kind == "op" and arg.parts[0] == "+" for arg in arguments)
    return span, own, padded


def _guarded(reader, event, sink, rounding):
    """Whether points with too large an index are dropped: by a condition, by try, or by a mask."""
    for _, _, test in event.branches:
        if dotted_name(test) == "try" or rounding in reader.walk(test):
            return True
    for term in reader.walk(sink):
        if term.kind == "item" and any(part.kind == "compare" for part in reader.walk(term.parts[1])):
            return True
    return False
