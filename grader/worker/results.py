"""Turns what a student's function did into arrays, facts and sentences, inside the probe's own process."""

import json
import os
import sys
import types

from grader.worker.schema import MAX_TEXT

# Taken before any student code runs, so that a patched numpy costs the student a wrong array, not a strange crash.
_dumps = json.dumps
_class_name = type.__dict__["__name__"].__get__


class BadResult(Exception):
    """A function returned something that cannot be judged; its text goes to the student."""


class Missing(Exception):
    """A script, function or folder is not there; its text goes to the student."""


def describe(value):
    """Says in a few words what came back.

    Args:
        value: anything; none of its methods is called unless its type is a plain one.

    Returns:
        str such as `"None"`, `"a list of 3"`, `"a float32 array of shape (7, 48, 48)"`.
    """
    kind = type(value)
    if value is None:
        return "None"
    if kind in (bool, int, float):
        return f"the {kind.__name__} {value!r}"[:80]
    if kind is str:
        return f"the string {value[:40]!r}"
    if kind in (list, tuple, dict, set):
        return f"an empty {kind.__name__}" if not value else f"a {kind.__name__} of {len(value)}"
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        return f"a {value.dtype} array of shape {value.shape}"
    if isinstance(value, types.FunctionType):
        return f"the function {value.__name__[:40]} itself, not what it returns"
    if kind is types.GeneratorType:
        return "a generator, which gives its values one by one (return a list or an array of them)"
    module = type.__dict__["__module__"].__get__(kind)
    return f"a value of type {module if type(module) is str else '?'}.{_name_of(kind)}"[:120]


def _eager_tensors():
    """Returns TensorFlow's own class of eager tensors, by identity: a name can be chosen."""
    ops = sys.modules.get("tensorflow.python.framework.ops")
    kind = getattr(ops, "_EagerTensorBase", None)
    eager = getattr(ops, "EagerTensor", None)
    return tuple(found for found in (kind, eager) if isinstance(found, type))


def to_array(value, function, wanted, max_bytes):
    """Converts a returned value to a plain numeric array, or says why it cannot be one.

    Only exact types are accepted: a subclass may answer `==`, `shape` and `__array__` as it pleases. TensorFlow's
    own eager tensors are plain enough, and common after `tf.image.resize`.

    Args:
        value: what the function returned.
        function: str, its name.
        wanted: str, what it should have returned.
        max_bytes: int.

    Returns:
        numpy array of a bool, int, uint or float dtype of at most 8 bytes, in native byte order.

    Raises:
        BadResult: with a sentence for the student.
    """
    import numpy as np

    def refuse(what):
        hint = " Is the return statement missing?" if value is None else ""
        return BadResult(f"{function} returned {what}. Wanted {wanted}.{hint}")

    kind = type(value)
    if kind in _eager_tensors():
        value = value.numpy()
        kind = type(value)
    if kind not in (np.ndarray, list, tuple) and not (
        isinstance(value, np.generic) and kind.__module__ == "numpy" and kind is not np.void
    ):
        raise refuse(describe(value))
    if kind in (list, tuple) and len(value) * 8 > max_bytes:
        raise refuse(f"{describe(value)}, which is too much to look at")
    if kind is np.ndarray and value.nbytes > max_bytes:
        raise refuse(f"{describe(value)}: {value.nbytes / 1e6:,.0f} MB, where {max_bytes / 1e6:,.0f} MB is plenty")
    try:
        array = np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:
        why = "its entries have different lengths" if "inhomogeneous" in str(error) else type(error).__name__
        raise refuse(f"{describe(value)} that numpy cannot make an array of ({why})") from None
    if array.dtype.kind == "O":
        raise refuse(f"{describe(value)} whose entries are objects or of different lengths, not numbers")
    if array.dtype.kind not in "biuf":
        raise refuse(f"{describe(value)} of {array.dtype}, not of numbers")
    if array.nbytes > max_bytes:
        raise refuse(f"{describe(value)}: {array.nbytes / 1e6:,.0f} MB, where {max_bytes / 1e6:,.0f} MB is plenty")
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return np.ascontiguousarray(array).reshape(array.shape).astype(array.dtype.newbyteorder("="), copy=False)


def describe_error(error, folder):
    """Says what went wrong in the student's own terms.

    Args:
        error: BaseException with its traceback.
        folder: Path of the submission inside the sandbox.

    Returns:
        (str, bool): a sentence such as ``TypeError: bad operand (cnn.py, line 41: `x = -text`)``, never with an
        absolute path or a traceback of ours; and whether the error was raised by a line of the student's.
    """
    kind = _name_of(type(error))
    text = _without_paths(text_of(error), folder)
    folders = {str(folder), os.path.realpath(folder)}
    where, theirs = "", False
    if isinstance(error, SyntaxError) and error.filename and _inside(error.filename, folders):
        where = _place(error.filename, error.lineno or 0, folders)
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        theirs = _inside(name, folders)
        if theirs and not isinstance(error, SyntaxError):
            where = _place(name, step.tb_lineno, folders)
        step = step.tb_next
    sentence = f"{kind}: {text}" if text else kind
    return (f"{sentence[: MAX_TEXT - 300]} ({where})" if where else sentence[:MAX_TEXT]), theirs


def text_of(error):
    """Returns what an exception says; `""` where its own __str__ fails, exits or says something other than text."""
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        return ""
    return text[:100_000] if type(text) is str else ""


def _name_of(kind):
    """Returns the name of a class as Python has it, not as its metaclass tells."""
    return str(_class_name(kind))[:80]


def _inside(name, folders):
    return any(str(name).startswith(folder + os.sep) for folder in folders)


def _place(name, line, folders):
    short = next(name[len(folder) + 1 :] for folder in folders if name.startswith(folder + os.sep))
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            source = next((text for number, text in enumerate(file, 1) if number == line), "").strip()[:160]
    except OSError:
        source = ""
    return f"{short}, line {line}: `{source}`" if source else f"{short}, line {line}"


def _without_paths(text, folder):
    """Takes our folders out of a message: a student cannot look there, and they say where the grader lives."""
    root = folder.parent.parent
    work = str(root / "work")
    while (at := text.find(work + os.sep)) >= 0:
        end = text.find(os.sep, at + len(work) + 1)
        text = text[:at] + (text[end + 1 :] if end >= 0 else "")
    for place in (folder, folder.parent, root):
        for name in (str(place), os.path.realpath(place)):
            text = text.replace(name + os.sep, "").replace(name, ".")
    for place in (sys.prefix, sys.base_prefix):
        text = text.replace(place, "…")
    return text


def write_result(outbox, status, message="", facts=None, arrays=None):
    """Writes what one probe found; `result.json` last, so that it is there only if everything else is.

    Args:
        outbox: Path of this probe's own folder.
        status: str, one of `schema.STATUSES`.
        message: str for the student.
        facts: dict of JSON values.
        arrays: dict from name to array.
    """
    arrays = arrays or {}
    for name, array in arrays.items():
        import numpy as np

        with open(outbox / f"{name}.npy", "wb") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)
    text = _dumps({"status": status, "message": message[:MAX_TEXT], "facts": facts or {}, "arrays": sorted(arrays)})
    with open(outbox / "result.json", "w", encoding="utf-8") as file:
        file.write(text)
