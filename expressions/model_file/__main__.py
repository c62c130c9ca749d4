"""The command: `python -m expressions.model_file FILE [--json]`."""

import argparse
import json
import os
import sys

from expressions.model_file.child import audit_in_child
from expressions.model_file.messages import KINDS, printable, shape_text


def describe(result, name):
    """Writes an audit for people.

    Args:
        result: dict of `audit`.
        name: str, the file's name.

    Returns:
        str of several lines.
    """
    lines = [f"{name}   {'accepted' if result['accepted'] else 'REFUSED'}"]
    version = f", saved by Keras {result['keras_version']}" if result["keras_version"] else ""
    lines.append(f"  Kind        {KINDS[result['kind']]}{version}")
    if result["num_bytes"] is not None:
        lines.append(
            f"  Size        {result['num_bytes']:,} bytes"
            + (", with the optimizer's state" if result["optimizer_state"] else "")
        )
    if result["input_shape"] is not None:
        lines.append(f"  Input       {shape_text(result['input_shape'])}")
    if result["output_shape"] is not None:
        lines.append(f"  Output      {shape_text(result['output_shape'])}, activation {result['last_activation']}")
    if result["num_parameters"] is not None:
        lines.append(f"  Parameters  {result['num_parameters']:,}")
    if result["flops"]:
        lines.append(f"  Cost        {result['flops'] / 1e6:,.1f} MFLOP a picture")
    for entry in result["layer_list"] if result["kind"] in ("hdf5-model", "keras-zip") else []:
        shape = entry["output_shape"]
        shape = "" if shape is None else shape_text(shape)
        label = printable(entry["name"])[:28]
        lines.append(f"    {label:28} {entry['class_name'][:24]:24} {shape:26} {entry['num_parameters']:>12,}")
    if result["sha256"]:
        lines.append(f"  SHA-256     {result['sha256']}")
    for note in result["notes"]:
        lines.append(f"  Note        {note['what']}")
    for reason in result["reasons"]:
        lines += [
            f"  What        {reason['what']}",
            f"  Wanted      {reason['wanted']}",
            f"  Try         {reason['try']}",
        ]
    return "\n".join(lines)


def main(arguments=None):
    """Runs the command line. Returns 0 if the file is accepted and 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m expressions.model_file",
        description="Says what a model file is, and whether the grader would load it. Runs nothing from the file.",
    )
    parser.add_argument("file", metavar="FILE", help="a model file, such as model_1.h5")
    parser.add_argument(
        "--architecture", metavar="JSON", help="what `model.to_json()` wrote, for a file that holds the weights alone"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    options = parser.parse_args(arguments)
    try:
        result = audit_in_child(options.file, architecture=options.architecture)
    except OSError as error:
        parser.error(f"cannot read {error.filename or options.file}: {error.strerror or error}")
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        print(describe(result, os.path.basename(options.file)))
    return 0 if result["accepted"] else 1


if __name__ == "__main__":
    sys.exit(main())
