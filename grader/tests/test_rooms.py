"""The rooms keep their doors: who imports whom, and what a command costs before it begins."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"tensorflow", "keras", "tf_keras"}


def python_files(*folders):
    for folder in folders:
        place = ROOT / folder
        yield from sorted([place] if place.suffix == ".py" else place.rglob("*.py"))


def imports_of(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def first_parts(path):
    return {name.split(".")[0] for name in imports_of(path)}


def test_nothing_outside_the_grader_imports_the_grader():
    scripts = ("cnn.py", "transfer.py", "cnnx.py", "test_cnn.py", "show_gui.py")
    files = list(python_files(*scripts, "expressions", "tracks"))
    assert len(files) > 10
    assert [path.name for path in files if "grader" in first_parts(path)] == []


def test_expressions_does_not_import_scripts_or_tracks():
    rooms = {"tracks", "cnn", "transfer", "cnnx"}
    assert [path.name for path in python_files("expressions") if rooms & first_parts(path) - _viewer(path)] == []


def _viewer(path):
    """The viewer voxelizes with the student's own cnnx."""
    return {"cnnx"} if "viewer" in path.parts else set()


def test_only_workers_scripts_and_submissions_import_tensorflow():
    files = [
        path
        for path in python_files("grader", "expressions/model_file")
        if not {"worker", "reference", "submissions", "tests"} & set(path.relative_to(ROOT).parts)
    ]
    assert len(files) > 15
    assert [str(path.relative_to(ROOT)) for path in files if HEAVY & first_parts(path)] == []


COMMANDS = (
    ["-m", "grader", "--help"],
    *(["-m", "grader", name, "--help"] for name in ("demo", "grade", "release", "doctor", "benchmark")),
    ["-m", "expressions.synthetic", "--help"],
    ["-m", "expressions.model_file", "--help"],
    ["show_gui.py", "--help"],
    ["test_cnn.py", "--help"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_needs_no_tensorflow(command):
    program = (
        "import sys, runpy\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {HEAVY!r}: raise ImportError(name + ' was imported')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "sys.path.insert(0, '.')\n"
        "sys.argv = sys.argv[1:]\n"
        "if sys.argv[0] == '-m':\n"
        "    sys.argv = sys.argv[1:]\n"
        "    runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        "else:\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_importing_a_script_trains_nothing_and_opens_nothing(tmp_path):
    program = (
        "import sys, keras; sys.path[:0] = [sys.argv[1]]\n"
        "def refuse(*args, **kwargs): raise SystemExit('training at import')\n"
        "keras.Model.fit = refuse\n"
        "import cnn, transfer, cnnx, test_cnn, show_gui\n"
        "from matplotlib import pyplot\n"
        "assert 'PyQt5' not in sys.modules and not pyplot.get_fignums()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
