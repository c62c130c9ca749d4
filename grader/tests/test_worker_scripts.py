"""How scripts are imported: helpers, absent packages, screens, notebooks, encodings; each with its sentence."""

import os
import subprocess
import sys

import numpy as np
import pytest

from grader import sandbox
from grader.sandbox import limits_from, run_worker
from grader.worker import scripts

# Honest, and wrong only for a grader that knows nothing but its own machine.
CNNX = """
import random
import statistics

import cv2
import seaborn as sns
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from google.colab import drive
from torch.utils.data import Dataset
from tqdm import tqdm, trange
import numba

import helpers
from missing_helpers import to_cells

plt.switch_backend("TkAgg")
sns.set_theme(style="white")
drive.mount("/content/drive")
detector = cv2.CascadeClassifier("faces.xml")
try:
    import albumentations
except ImportError:
    albumentations = None


class Clouds(Dataset):
    def __init__(self, clouds):
        super().__init__()


@numba.njit(parallel=True)
def count(cells, grid):
    for i in range(len(cells)):
        grid[cells[i, 0], cells[i, 1], cells[i, 2]] += 1


def voxelize(points, size=24):
    if size == 12:
        return to_cells(points, size)
    if len(points) == 7:
        return detector.detectMultiScale(points)
    if len(points) == 9:
        return Clouds(points)
    if albumentations is not None:
        raise ValueError("the import error was not seen")
    if random.own() + statistics.own() + helpers.own() != 6:
        raise ValueError("another module of that name was imported")
    plt.figure()
    grid = np.zeros((size, size, size))
    for _ in trange(1):
        count(np.array([[1, 2, 3] for point in tqdm(points)]), grid)
    return grid


def split_by_subject(subject_ids, test_fraction=0.2, seed=0):
    people = np.unique(subject_ids)
    chosen = np.random.default_rng(seed).permutation(people)[: round(test_fraction * len(people))]
    return np.flatnonzero(~np.isin(subject_ids, chosen)), np.flatnonzero(np.isin(subject_ids, chosen))
"""


def run(folder, names, sources, **arrays):
    for name, text in sources.items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(data)
    inbox = {
        "voxelize.input": np.zeros((1, 5, 3)),
        "split_by_subject.input": np.repeat([f"person {i}" for i in range(10)], 7),
        **arrays,
    }
    result = run_worker(
        "grader.worker.code",
        job={"preload": ["numpy"]},
        inbox=inbox,
        limits=limits_from(),
        probes=names,
        files={"submission": folder},
        level=sandbox.probe_isolation()["level"],
        needs={name: "cnnx.import" for name in names if name != "cnnx.import"},
    )
    assert not result.fault
    return result


@pytest.fixture(scope="module")
def at_home(tmp_path_factory):
    """One run over a script that works on its author's machine."""
    folder = tmp_path_factory.mktemp("home")
    helper = "import random as others\n\ndef own():\n    return 2\n"
    return run(
        folder,
        ["cnnx.import", "voxelize", "voxelize_size", "voxelize_permuted", "voxelize_boundary", "split_by_subject"],
        {
            "cnnx.py": CNNX,
            # random.py imports the other random.py, which is itself: as at home.
            "random.py": "def own():\n    return 2\n",
            "statistics.py": "import random\n\ndef own():\n    return random.own()\n",
            "helpers.py": helper,
        },
        **{"voxelize_size.input": np.zeros((5, 3)), "voxelize_permuted.input": np.zeros((7, 3))},
        **{"voxelize_boundary.input": np.zeros((9, 3))},
    )


def test_absent_packages_do_not_stop_the_functions_that_do_without(at_home):
    assert at_home.probes["cnnx.import"]["status"] == "ok", at_home.probes["cnnx.import"]
    assert at_home.probes["split_by_subject"]["status"] == "ok"
    absent = at_home.probes["cnnx.import"]["facts"]["absent_packages"]
    installed = {"cv2", "seaborn", "torch", "tqdm", "numba", "IPython"} - set(absent)
    assert all(subprocess.run([sys.executable, "-c", f"import {name}"]).returncode == 0 for name in installed)
    assert {"google.colab", "missing_helpers"} <= set(absent) and "albumentations" not in absent


def test_own_helpers_tqdm_numba_and_a_screen_work_as_at_home(at_home):
    assert at_home.probes["voxelize"]["status"] == "ok", at_home.probes["voxelize"]
    assert at_home.arrays["voxelize.counts"].sum() == 5


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ("voxelize_size", "missing_helpers is not in requirements.txt, and no file missing_helpers.py was handed in"),
        ("voxelize_permuted", "cv2 is not in requirements.txt"),
        ("voxelize_permuted", "`return detector.detectMultiScale(points)`"),
        ("voxelize_boundary", "torch is not in requirements.txt"),
    ],
)
def test_who_uses_an_absent_package_hears_which(at_home, probe, words):
    found = at_home.probes[probe]
    assert found["status"] == "error" and words in found["message"], found


def test_a_library_never_gets_a_stand_in(tmp_path):
    source = "import importlib\n\nfound = importlib.util.find_spec('package_of_nobody')\nassert found is None\n"
    source += "import logging.config\n\n"
    source += (
        "try:\n    logging.config._resolve('package_of_nobody.x')\nexcept ImportError:\n    seen = True\nassert seen\n"
    )
    result = run(tmp_path, ["cnnx.import"], {"cnnx.py": source})
    assert result.probes["cnnx.import"]["status"] == "ok", result.probes["cnnx.import"]


GOOD = "def split_by_subject(subject_ids, test_fraction=0.2, seed=0):\n    return [0], [1]\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("%matplotlib inline\n", "work in a notebook only"),
        ("!pip install keras\n", "work in a notebook only"),
        ("get_ipython().run_line_magic('matplotlib', 'inline')\n", "exists in notebooks only"),
        ('{"cells": [{"execution_count": null}], "metadata": {}}\n', "The file is a notebook (.ipynb)"),
        ("print 'hello'\n", "This is Python 2"),
        ("x = raw_input()\n", "raw_input is Python 2"),
        ("x = input('how many epochs? ')\n", "Nobody is at the keyboard"),
        ("if True:\n\tx = 1\n        y = 2\n", "convert tabs to spaces"),
        ("def f():\nreturn 1\n", "Compare how far this line is indented"),
        ("x = “text”\n", "type the quotes and dashes again"),
        ("x = 'gr\xfc\xdfe'\n".encode("latin-1"), "The file is not saved as UTF-8"),
        ("x = 1\n".encode("utf-16"), "UTF-16"),
        ("<<<<<<< HEAD\nx = 1\n", "git left both versions"),
        (b"<!DOCTYPE html><html></html>", "The file is a web page"),
        ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1')\n", "The grader has no network"),
        ("import grader.rubric\n", "is not there when a script is graded"),
    ],
)
def test_what_works_only_at_home_gets_its_sentence(tmp_path, source, words):
    source = source + GOOD if isinstance(source, str) else source
    found = run(tmp_path, ["cnnx.import"], {"cnnx.py": source}).probes["cnnx.import"]
    assert found["status"] == "error" and words in found["message"], found


@pytest.mark.parametrize("source", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()])
def test_byte_order_marks_and_windows_line_ends_are_read(tmp_path, source):
    result = run(tmp_path, ["cnnx.import", "split_by_subject"], {"cnnx.py": source})
    assert {probe["status"] for probe in result.probes.values()} == {"ok"}


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("import numpy as np\n", False),
        ("import numpy, keras as K\n", True),
        ("from tensorflow import keras\n", True),
        ("try:\n    import keras\nexcept ImportError:\n    pass\n", True),
        ("def make_model_4():\n    import keras\n", False),
        ("class A:\n    def f(self):\n        from keras import layers\n\nimport numpy\n", False),
        ("import helper\n", True),
        ("from other import x\n", False),
        ("# import keras\nx = 'import keras'\n", False),
    ],
)
def test_keras_is_imported_for_scripts_that_import_it(tmp_path, source, needed):
    (tmp_path / "cnnx.py").write_text(source)
    (tmp_path / "helper.py").write_text("import cnnx\nimport keras\n")
    (tmp_path / "other.py").write_text("import cnnx\n")
    assert scripts.needs_keras(tmp_path, "cnnx") is needed


def test_voxels_and_photos_are_reached_without_keras_where_the_script_allows(tmp_path):
    source = (
        "import sys\nimport numpy as np\n\n\ndef voxelize(points, size=24):\n"
        "    return np.full((size, size, size), float('keras' in sys.modules or 'tensorflow' in sys.modules))\n\n\n"
        "def make_model_4():\n    import keras\n\n    return 'keras' in sys.modules\n"
    )
    (tmp_path / "cnnx.py").write_text(source)
    result = run_worker(
        "grader.worker.code",
        inbox={"voxelize.input": np.zeros((1, 5, 3))},
        limits=limits_from(),
        probes=["cnnx.import", "voxelize"],
        files={"submission": tmp_path},
        level="rlimits",
    )
    assert result.arrays["voxelize.counts"].max() == 0
    assert result.cpu_seconds < 2.5, "TensorFlow alone takes more"


def test_the_exception_table_tells_what_is_guarded():
    def plain():
        return scripts._is_guarded(sys._getframe())

    def tried():
        try:
            return scripts._is_guarded(sys._getframe())
        except ImportError:
            return None

    def after():
        try:
            os.getpid()
        except ImportError:
            pass
        return scripts._is_guarded(sys._getframe())

    assert (plain(), tried(), after()) == (False, True, False)
