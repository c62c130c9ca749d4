"""Thousands of damaged model files: every one gets a verdict, in time, and none with other shapes than it promises.

The seeds are fixed, so that a failure comes again. Files are judged by batches in one process, as fast as the audit
is; a file that brings this process down is allowed to, since for such files there is `audit_in_child`, which then must
say so. A sample goes through `audit_in_child` itself.
"""

import copy
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import pytest

from expressions.model_file import KINDS, audit, audit_in_child
from expressions.model_file.audit import empty_result
from grader.tests.model_builders import (
    input_layer,
    keras_2_nested,
    layer,
    numbers,
    sequential,
    write,
    write_keras,
)

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10

# Judges the files named on stdin and prints `[seconds, verdict]` for each, in a process like the audit's own child.
BATCH = """
import json, resource, signal, sys, time
sys.path.append(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from expressions.model_file import audit
for path in sys.stdin.read().splitlines():
    # HDF5 itself may go round in circles; the process then dies as in a crash, and the child must say so.
    signal.setitimer(signal.ITIMER_PROF, 2)
    started = time.process_time()
    result = audit(path)
    print(json.dumps([time.process_time() - started, result], allow_nan=False), flush=True)
"""


# Whole files ----------------------------------------------------------------------------------------------------------


def tiny(**dense):
    """A network and its weights, with one layer of each usual kind."""
    config = sequential(
        input_layer(8, 8, 1),
        layer("Conv2D", "conv", filters=2, kernel_size=[3, 3], strides=[1, 1], padding="same", activation="relu"),
        layer("BatchNormalization", "bn", axis=3, momentum=0.99, epsilon=0.001),
        layer("MaxPooling2D", "pool", pool_size=[2, 2], padding="valid"),
        layer("Dropout", "dropout", rate=0.25),
        layer("Flatten", "flatten"),
        layer("Dense", "dense", units=7, activation="softmax", use_bias=True, **dense),
    )
    weights = {
        "conv": {"conv/kernel": numbers(3, 3, 1, 2), "conv/bias": numbers(2)},
        "bn": {f"bn/{name}": numbers(2) for name in ("gamma", "beta", "moving_mean", "moving_variance")},
        "dense": {"dense/kernel": numbers(32, 7), "dense/bias": numbers(7)},
    }
    return config, weights


def tiny_keras_1():
    dense = {"name": "dense_1", "output_dim": 7, "init": "glorot_uniform", "activation": "softmax", "bias": True}
    config = {
        "class_name": "Sequential",
        "config": [{"class_name": "Dense", "config": {**dense, "batch_input_shape": [None, 12]}}],
    }
    return config, {"dense_1": {"dense_1_W": numbers(12, 7), "dense_1_b": numbers(7)}}


def seeds(folder):
    """Writes one good file of each format: dict from name to `(bytes, config, weights)`."""
    files = {}
    for name, (config, weights), version in (
        ("keras3.h5", tiny(), "3.15.1"),
        ("keras2.h5", keras_2_nested(), "2.15.0"),
        ("keras1.h5", tiny_keras_1(), "1.2.2"),
    ):
        path = write(folder / name, config, weights, version)
        files[name] = path.read_bytes(), config, weights
    packed = write(folder / "packed.h5", *tiny())
    with h5py.File(packed, "a") as file:
        array = file["model_weights/dense/dense/kernel"][()]
        del file["model_weights/dense/dense/kernel"]
        file.create_dataset("model_weights/dense/dense/kernel", data=array, compression="gzip", shuffle=True)
    files["packed.h5"] = packed.read_bytes(), *tiny()
    arrays = {"layers/dense/vars/0": numbers(12, 7), "layers/dense/vars/1": numbers(7)}
    config = sequential(input_layer(12), layer("Dense", "dense", units=7))
    for name, compression in (("stored.keras", zipfile.ZIP_STORED), ("deflated.keras", zipfile.ZIP_DEFLATED)):
        path = write_keras(folder / name, config, arrays, compression)
        files[name] = path.read_bytes(), config, {"dense": arrays}
    return files


def stored_shapes(path):
    """The shapes of all arrays of an HDF5 file, sorted."""
    shapes = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: shapes.append(item.shape) if isinstance(item, h5py.Dataset) else None)
    return sorted(shapes)


def damage_bytes(content, others, generator):
    """Flips, cuts, copies, inserts, zeroes: what disks, networks, editors and attackers do."""
    data = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        size = max(len(data), 1)
        # Headers stand at the beginning; damage there says more.
        place = generator.randrange(size) if generator.random() < 0.5 else generator.randrange(min(size, 2048))
        length = generator.choice((1, 2, 4, 8, 64, 512))
        kind = generator.randrange(9)
        if kind <= 2:
            for _ in range(generator.choice((1, 2, 8, 32))):
                data[min(place, len(data) - 1)] ^= 1 << generator.randrange(8)
                place = generator.randrange(size)
        elif kind == 3:
            del data[generator.randrange(1, size + 1) :]
        elif kind == 4:
            source = generator.randrange(size)
            data[place : place + length] = data[source : source + length]
        elif kind == 5:
            data[place : place + length] = generator.choice((b"\0", b"\xff", b"\x80")) * length
        elif kind == 6:
            data[place:place] = generator.randbytes(length)
        elif kind == 7:
            other = generator.choice(others)
            source = generator.randrange(len(other))
            data[place : place + length * 8] = other[source : source + length * 8]
        else:
            # A length or an address that is far too large, or negative.
            data[place : place + 8] = generator.choice((2**63, 2**40, 2**32 - 1, 2**64 - 1, 2**31)).to_bytes(
                8, "little"
            )
        if not data:
            break
    return bytes(data)


ODD_VALUES = (
    None, True, False, 0, -1, 1, 2, 3.5, 1e308, 10**30, 2**31, "", "same", "relu", "../../etc/hostname", "x" * 500, [],
    [0], [-1, -1], [[1, 2], [3]], {}, {"class_name": "Lambda"}, {"class_name": "__tuple__", "items": [1, 2]},
    {"class_name": "Dense", "config": {}}, [None, 8, 8, 1], [[["conv", 0, 0, {}]]], float("inf"), float("nan"),
)  # fmt: skip


def damage_config(config, generator):
    """Changes the tree of an architecture. Returns it, and whether it now surely promises other weights."""
    config = copy.deepcopy(config)
    promises = False
    for _ in range(generator.choice((1, 1, 2, 3))):
        places = list(_places(config))
        if not places:
            break
        holder, key = generator.choice(places)
        value = holder[key]
        kind = generator.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(value))
        elif kind == 2:
            other_holder, other_key = generator.choice(places)
            holder[key] = copy.deepcopy(other_holder[other_key])
        elif kind == 3 and type(value) is int:
            holder[key] = generator.choice((value + 1, value * 1000, -value, 10**9))
        else:
            # A copy, so that no part of the tree can come to hold itself.
            holder[key] = copy.deepcopy(generator.choice(ODD_VALUES))
    sizes = [
        (part["units"] if "units" in part else part["filters"])
        for part in _parts(config)
        if "units" in part or "filters" in part
    ]
    promises = any(type(size) is int and size > 1000 for size in sizes)
    return config, promises


def _places(value):
    """Every `(holder, key)` below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)


def _parts(value):
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(item)


def damage_weights(path, generator):
    """Changes the stored arrays or the lists of their names. Returns whether a shape surely changed."""
    with h5py.File(path, "a") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        name = generator.choice(found)
        shape = file[name].shape
        kind = generator.randrange(5)
        if kind == 0:
            del file[name]
            return True
        if kind == 1 and shape:
            new = list(shape)
            new[generator.randrange(len(new))] += generator.choice((1, 2, 5))
            del file[name]
            file[name] = numbers(*new)
            return True
        if kind == 2 and len(set(shape)) > 1:
            del file[name]
            file[name] = numbers(*shape[::-1])
            return list(shape) != list(shape[::-1])
        if kind == 3:
            group = file[name].parent.parent if "/" in name else file
            for attribute in list(group.attrs):
                if generator.random() < 0.5:
                    group.attrs[attribute] = generator.choice(([b"../../x"], [b""], 3, "x", [1.5], [b"\xff\xfe"]))
            return False
        del file[name]
        file[name] = file.require_group("elsewhere")
        return True


def check(path, result, seconds):
    """What must hold for every file."""
    assert set(result) == set(empty_result()), path
    assert result["kind"] in KINDS
    assert result["accepted"] == (not result["reasons"])
    for reason in result["reasons"]:
        assert set(reason) == {"code", "what", "wanted", "try"}
        assert all(isinstance(text, str) and text.strip() and text.isprintable() for text in reason.values()), reason
    assert seconds < SECONDS, (path, seconds)
    if result["accepted"]:
        assert result["kind"] in ("hdf5-model", "keras-zip") and result["configuration"] is not None
    json.dumps(result, allow_nan=False)


def judge_all(paths):
    """Yields `(path, verdict, seconds)`; the verdict of a file that brings the batch down comes from a child."""
    waiting = list(paths)
    crashes = 0
    while waiting:
        run = subprocess.run(
            [sys.executable, "-I", "-c", BATCH, str(ROOT)],
            input="\n".join(map(str, waiting)),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        lines = [json.loads(line) for line in run.stdout.splitlines() if line.endswith("]")]
        for path, (seconds, result) in zip(waiting, lines, strict=False):
            yield path, result, seconds
        waiting = waiting[len(lines) :]
        if waiting:
            # A Python exception would be our own fault; only HDF5 may die, by a signal.
            assert run.returncode < 0, (waiting[0], run.stderr[-2000:])
            crashes += 1
            result = audit_in_child(waiting[0], timeout=4)
            assert not result["accepted"], waiting[0]
            yield waiting.pop(0), result, 0
    assert crashes <= len(paths) // 20


def run_fuzz(folder, num_bytes, num_configs, num_weights, num_children, seed):
    """Makes the damaged files, judges them, and returns how many were accepted and refused."""
    generator = random.Random(seed)
    originals = seeds(folder)
    contents = [content for content, _, _ in originals.values()]
    unchanged = {name: stored_shapes(folder / name) for name in originals if name.endswith(".h5")}
    paths, surely_wrong, same_config = [], set(), {}
    for index in range(num_bytes):
        name = generator.choice(list(originals))
        path = folder / f"bytes{index}-{name}"
        path.write_bytes(damage_bytes(originals[name][0], contents, generator))
        paths.append(path)
        same_config[path] = name
    plain = [name for name in originals if name.endswith(".h5")]
    for index in range(num_configs):
        name = generator.choice(plain)
        config, promises = damage_config(originals[name][1], generator)
        path = write(folder / f"config{index}-{name}", config, originals[name][2])
        paths.append(path)
        if promises:
            surely_wrong.add(path)
    for index in range(num_weights):
        name = generator.choice(plain)
        path = folder / f"weights{index}-{name}"
        path.write_bytes(originals[name][0])
        if damage_weights(path, generator):
            surely_wrong.add(path)
        paths.append(path)

    accepted = 0
    for path, result, seconds in judge_all(paths):
        check(path, result, seconds)
        accepted += result["accepted"]
        assert not (result["accepted"] and path in surely_wrong), path
        name = same_config.get(path)
        if result["accepted"] and name in unchanged and result["configuration"] == _configuration(folder / name):
            assert stored_shapes(path) == unchanged[name], path
    for path in generator.sample(paths, num_children):
        result = audit_in_child(path, timeout=4)
        check(path, result, 0)
    return accepted, len(paths) - accepted


def _configuration(path):
    return audit(path, weights=False)["configuration"]


def test_the_undamaged_files_are_accepted(tmp_path):
    for name in seeds(tmp_path):
        result = audit(tmp_path / name)
        assert result["accepted"], (name, result["reasons"])


def test_hundreds_of_damaged_files_get_a_verdict(tmp_path):
    accepted, refused = run_fuzz(tmp_path, 300, 150, 60, 12, seed=1)
    # Damage inside the numbers cannot be seen: such a file is a good file with other weights.
    assert refused > 250 and accepted > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_thousands_of_damaged_files_get_a_verdict(tmp_path, seed):
    accepted, refused = run_fuzz(tmp_path, 1500, 1000, 400, 30, seed)
    assert refused > 1500 and accepted > 50
