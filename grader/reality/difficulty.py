"""How hard the synthetic class is: the reference's own scripts, trained on it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINE = re.compile(r"^(?P<split>[A-Za-z ]+): (?P<accuracy>[\d.]+)% of (?P<total>[\d,]+) right", re.MULTILINE)


def train_reference(folder, preset, seed, networks=("model_1", "model_2", "voxels"), say=print):
    """Trains the reference's networks on a preset's files.

    Args:
        folder: where data, models and logs go; data that is there already is used again.
        preset: str, a name in `PRESETS`.
        seed: int, of the training.
        networks: names out of `model_1`, `model_2`, `voxels`.
        say: function that is told what is done.

    Returns:
        dict from network and split, such as `"model_2 PublicTest"`, to `[accuracy, number of test pictures]`.

    Raises:
        RuntimeError: a script failed.
    """
    from expressions.synthetic import files

    folder = Path(folder).resolve()
    result = {}
    for network in networks:
        if network == "voxels":
            data = files.ensure_faces(preset, folder)
            command = ["cnnx.py", "--data", str(data)]
        else:
            data = files.ensure_fer2013(preset, folder)
            command = ["cnn.py", "--data", str(data), "--only", network]
        place = folder / preset / network
        place.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(ROOT / "grader" / "reference" / command[0]), *command[1:], "--seed", str(seed)],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        (place / "log.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode:
            raise RuntimeError(
                f"{command[0]} of the reference ended with status {done.returncode}:\n{done.stderr[-1500:]}"
            )
        for name, split, accuracy, total in _figures(done.stdout, network):
            result[f"{name} {split}"] = [accuracy, total]
            say(f"{preset}, seed {seed}: {name}, {split}: {accuracy:.1%} of {total}")
    return result


def _figures(output, network):
    """Yields `(name, split, accuracy, total)` of each line that a script prints about a network."""
    names = iter(("model_4", "model_ec1")) if network == "voxels" else None
    for found in _LINE.finditer(output):
        name = next(names) if names else network
        yield name, found["split"], float(found["accuracy"]) / 100, int(found["total"].replace(",", ""))
