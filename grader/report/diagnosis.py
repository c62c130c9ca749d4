"""The screen report of `grader diagnose`: what the file is, what it is right for, and why."""

import textwrap

from grader.diagnosis import DECLARED, DECLARED_VOXELS, FER2013, PREPROCESSINGS, VOXEL_PREPROCESSINGS, order_words

WIDTH = 100
_LABEL = 13
_BAR = 20


def render_diagnosis(report):
    """Returns the report of one network as text of at most `WIDTH` columns.

    Args:
        report: dict of `grader.diagnose.diagnose_file`.
    """
    audit = report["audit"]
    lines = [report["file"], "─" * min(len(report["file"]), WIDTH)]
    lines += _pair("File", f"{_kind_words(audit)}; sha256 {audit.get('sha256', '')[:16]}…")
    if report["task"]:
        parameters = report["num_parameters"]
        size = f"{parameters:,} parameters; " if parameters else ""
        lines += _pair("Network", f"{size}{report['task']}")
    if report["route"]:
        adapted = f"; pictures {report['adapted']}" if report["adapted"] else ""
        lines += _pair("Loaded", f"{report['route']}{adapted}")
    notes = [note["what"] for note in audit.get("notes") or ()]
    for note in notes:
        lines += _pair("Note", note)
    if report["outputs"] and report["outputs"]["range"]:
        low, high = report["outputs"]["range"]
        lines += _pair("Outputs", f"{_OUTPUT_WORDS[report['outputs']['kind']]}, {low:.3g} to {high:.3g}")
    if report["num_images"]:
        lines += _pair("Asked", report["data"])
        lines += ["", *_table(report), ""]
    if report["label_order_name"]:
        order = report["label_order_name"]
        words = "FER-2013's, as it should be" if order == FER2013 else order_words(order, report["classes"])
        lines += _pair("Labels", words)
    lines += _pair("Verdict", report["verdict"])
    for finding in report["findings"]:
        lines.append("")
        lines += _pair("Found", f"{finding['certainty']}: {finding['what']}")
        lines += _pair("Wanted", finding["wanted"]) + _pair("Try", finding["try"])
    if len(report["splits"]) > 1:
        words = ", ".join(f"{share:.1%} of {split}" for split, share in report["splits"].items())
        lines += ["", *_pair("For staff", f"right for {words}")]
    for flag in report["flags"]:
        lines.append("")
        lines += _pair("For staff", flag["what"]) + _pair("Look", flag["look"])
    return "\n".join(lines) + "\n"


_OUTPUT_WORDS = {
    "probabilities": "probabilities that sum to 1",
    "logits": "no probabilities: numbers of any sign, as without a softmax",
    "sigmoid": "seven separate values from 0 to 1, as behind a sigmoid",
    "relu": "no probabilities: many are exactly 0, none is negative, as behind a ReLU",
    "positive numbers": "no probabilities: positive numbers",
    "constant": "the same for every face",
    "not finite": "NaN or infinity",
}


def _kind_words(audit):
    words = {
        "hdf5-model": "a whole network in HDF5",
        "keras-zip": "a whole network in Keras' own zip format",
        "hdf5-weights": "weights without their network",
        "hdf5-architecture": "a network without weights",
    }.get(audit["kind"], audit["kind"])
    version = f", saved by Keras {audit['keras_version']}" if audit.get("keras_version") else ""
    size = f", {audit['num_bytes']:,} bytes" if audit.get("num_bytes") is not None else ""
    return f"{words}{version}{size}"


def _pair(label, text):
    wrapped = textwrap.wrap(str(text), WIDTH - _LABEL, break_long_words=True) or [""]
    return [f"{label:{_LABEL}}{wrapped[0]}", *(f"{'':{_LABEL}}{more}" for more in wrapped[1:])]


def _table(report):
    """The accuracy under each preprocessing, as numbers and as a bar with chance marked."""
    in_order = report["label_order_name"] not in (None, FER2013)
    column = report["accuracy_in_label_order"] if in_order or not report["accuracy"] else report["accuracy"]
    title = "in that order" if in_order else "right"
    head = f"  {'preprocessing':32}{title:>13}{'95 % interval':>17}{'n':>7}  "
    lines = [head + "FER-2013's order" if in_order and report["accuracy"] else head.rstrip()]
    for name, share in column.items():
        low, high = report["interval_in_label_order" if in_order or not report["accuracy"] else "interval"][name]
        mark = {DECLARED: " ← the handout's", DECLARED_VOXELS: " ← the reference's"}.get(name, "")
        mark = " ← fits best" if name == report["best_preprocessing"] else mark
        if name == report["best_preprocessing"] and name in (DECLARED, DECLARED_VOXELS):
            mark = " ← fits best"
        bar = "█" * round(share * _BAR)
        tail = f"{report['accuracy'][name]:>8.1%}" if in_order and report["accuracy"] else f"{bar:{_BAR}}"
        numbers = f"{share:>13.1%}{f'{low:.1%} – {high:.1%}':>17}{report['num_images'][name]:>7,}"
        lines.append(f"  {_name(name):32}{numbers}  {tail}{mark}".rstrip())
    return lines


def _name(name):
    table = {**PREPROCESSINGS, **VOXEL_PREPROCESSINGS}
    return {**_SHORT}.get(name, table[name].given)


_SHORT = {
    "standardized": "each picture standardized",
    "min-max": "each picture stretched to 0 … 1",
    "mean face": "standardized by the data set",
    "ImageNet": "preprocess_input of VGG16",
    "own bounds": "own bounds",
    "occupied": "0 or 1 a cell",
    "own bounds, occupied": "0 or 1 a cell, own bounds",
    "divided by the largest": "divided by the largest",
    "own bounds, divided by the largest": "by the largest, own bounds",
}
