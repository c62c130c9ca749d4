"""The whole kit in a few minutes: a synthetic class, the reference trained on it, good and bad submissions graded."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from expressions.synthetic import ensure_faces, ensure_fer2013, ensure_photos
from grader.grading import grade
from grader.hidden import load_hidden
from grader.report.html import write_index
from grader.report.text import render
from grader.rubric import load_rubric
from grader.wrong_answers import build

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "grader" / "reference"

# What a TA meets: one good submission, one that was never begun, and mistakes of several kinds.
SUBMISSIONS = (
    ("good", "reference", None),
    ("untouched", "untouched_starter", None),
    ("forgot_255", "pixels_never_divided", "variant_a"),
    ("relu_at_the_end", "relu_on_the_last_layer", "variant_a"),
    ("split_by_sample", "sample_level_split", "variant_a"),
    ("half_a_file", "truncated_model", None),
    ("lambda_layer", "lambda_model", None),
)


def train_reference(folder, seed, preset="demo", say=print, arguments=()):
    """Trains the reference's four networks on a synthetic class, by running its three scripts.

    Args:
        folder: where the models go.
        seed: int.
        preset: `"demo"` or `"default"`, which synthetic class.
        say: function that is told what begins.
        arguments: more arguments for every script, such as `("--epochs", "1")`.

    Returns:
        dict from script name to seconds.

    Raises:
        RuntimeError: a script failed; its output is on the screen.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = {"cnn.py": ensure_fer2013(preset), "transfer.py": ensure_photos(preset), "cnnx.py": ensure_faces(preset)}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    seconds = {}
    for script, path in data.items():
        say(f"Training the reference's {script} …")
        began = time.monotonic()
        command = [sys.executable, str(REFERENCE / script), "--data", str(path), "--seed", str(seed), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError(f"{script} of the reference ended with status {done.returncode}; see its output above.")
        seconds[script] = time.monotonic() - began
    return seconds


def run_demo(out, seed, say=print):
    """Runs the demo.

    Args:
        out: folder for the models, the submissions and the reports.
        seed: int, of the reference's training.
        say: function that is told what begins.

    Returns:
        list of `grader.outcome.Result`, by name.
    """
    out = Path(out).resolve()
    began = time.monotonic()
    reference = out / "reference"
    train_reference(reference, seed, say=say)

    rubric = load_rubric()
    hidden = load_hidden(rubric, demo=True)
    results = []
    for name, answer, variant in SUBMISSIONS:
        say(f"Grading {name} …")
        folder = out / "submissions" / name
        shutil.rmtree(folder, ignore_errors=True)
        build(answer, variant, folder, reference)
        # These are the kit's own submissions, so they may run where only limits hold them.
        result = grade(folder, rubric, hidden, out / "reports" / name, accept_weak_isolation=True)
        print(render(result))
        results.append((result, f"reports/{name}/report.html"))
    results.sort(key=lambda pair: pair[0].name)
    write_index(f"{rubric.title}: demo class", results, out / "index.html")

    minutes = (time.monotonic() - began) / 60
    print(f"{'submission':20} {'points':>10}  extra  passed  failed  open")
    for result, _ in results:
        num_open = result.count("cannot_grade") + result.count("grader_fault")
        points = f"{result.total - result.extra_points:g} / {result.max_points:g}"
        counts = f"{result.count('passed'):6}  {result.count('failed'):6}  {num_open:4}"
        print(f"{result.name:20} {points:>10}  {result.extra_points:5g}  {counts}")
    print(f"\nDone in {minutes:.1f} minutes. Open {out / 'index.html'} in a browser.")
    return [result for result, _ in results]
