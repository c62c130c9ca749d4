"""What grading one good submission costs, against a bare script that only loads its models and predicts."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from grader.benchmark import ROOT, Case

TITLE = "one submission of the reference's networks, model_1 at its full 26 million parameters"
ALTERNATIVE = "bare script"

HERE = "grader.benchmarks.grading"
NUM_IMAGES, NUM_CLOUDS = 1500, 140  # what the synthetic class hides
MODELS = ("model_1", "model_2", "model_3", "model_4")

# Keras is imported by children alone, as everywhere in the grader.
MAKE = """
import importlib.util, sys
import keras
for script, function, names in (
    ("cnn", "make_model_1", ["model_1"]), ("cnn", "make_model_2", ["model_2", "model_3"]),
    ("cnnx", "make_model_4", ["model_4"]),
):
    spec = importlib.util.spec_from_file_location(script, f"{sys.argv[1]}/{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    keras.utils.set_random_seed(0)
    model = getattr(module, function)()
    for name in names:
        model.save(f"{name}.h5", include_optimizer=False)
"""
BARE = """
import sys
import numpy as np, keras
images = np.load("images.npy").astype("float32")[..., None] / 255
voxels = np.load("voxels.npy")[..., None]
for name in sys.argv[1:]:
    model = keras.models.load_model(f"submission/{name}.h5", compile=False)
    model.predict(voxels if name == "model_4" else images, batch_size=256, verbose=0)
"""


@contextlib.contextmanager
def cases(quick):
    """Yields a sentence about the data, and the cases."""
    from expressions.synthetic import ensure_photos

    with tempfile.TemporaryDirectory() as folder:
        submission = Path(folder) / "submission"
        submission.mkdir()
        reference = ROOT / "grader" / "reference"
        for script in ("cnn.py", "transfer.py", "cnnx.py"):
            shutil.copy(reference / script, submission)
        for name in ("train", "test"):
            shutil.copytree(Path(ensure_photos("demo")) / name, submission / "photos" / name)
        _python(MAKE, [str(reference)], submission)
        random = np.random.default_rng(0)
        share = 10 if quick else 1
        np.save(f"{folder}/images.npy", random.integers(0, 256, (NUM_IMAGES // share, 48, 48), dtype=np.uint8))
        np.save(f"{folder}/voxels.npy", random.poisson(0.1, (NUM_CLOUDS // share, 24, 24, 24)).astype(np.float32))
        size = sum(path.stat().st_size for path in submission.glob("*.h5"))
        yield (
            f"four networks of {size / 1e6:.0f} MB, {NUM_IMAGES // share:,} pictures and {NUM_CLOUDS // share} clouds "
            f"(whole of grade: {NUM_IMAGES:,} and {NUM_CLOUDS}, made before)",
            [
                Case(ALTERNATIVE, f"{HERE}:predict_barely", [folder]),
                Case("model items", f"{HERE}:ask_models", [folder]),
                Case("whole of grade", f"{HERE}:grade_all", [folder]),
            ],
        )


def _python(program, arguments, folder):
    """Runs a program in a child, in a folder, as a student would: no sandbox, no limits."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"a script of the benchmark failed: {done.stderr.strip().splitlines()[-1:]}")


def predict_barely(folder):
    """Imports Keras once, loads the four models and predicts with each."""
    _python(BARE, list(MODELS), folder)


def ask_models(folder):
    """Audits the four files and has the model worker predict with them, as grading does."""
    from expressions.model_file import audit_in_child
    from grader.rubric import load_rubric
    from grader.sandbox import limits_from, run_worker

    paths = {name: Path(folder) / "submission" / f"{name}.h5" for name in MODELS}
    audits = {name: audit_in_child(path) for name, path in paths.items()}
    shapes = ("input_shape", "output_shape", "num_parameters")
    result = run_worker(
        "grader.worker.models",
        job={
            "models": {
                name: {"file": f"models/{name}.h5", **{key: audit[key] for key in shapes}}
                for name, audit in audits.items()
            }
        },
        inbox={"images": np.load(f"{folder}/images.npy"), "voxels": np.load(f"{folder}/voxels.npy")},
        limits=limits_from(load_rubric().limits),
        probes=list(MODELS),
        files={f"models/{name}.h5": path for name, path in paths.items()},
    )
    failed = {name: probe["message"] for name, probe in result.probes.items() if probe["status"] != "ok"}
    if failed or result.fault:
        raise RuntimeError(result.fault or f"models that gave no predictions: {failed}")
    return {"cpu_elsewhere": result.cpu_seconds}


def grade_all(folder):
    """Grades the submission: intake, audits, both workers, the checks, the reports."""
    from grader import grading
    from grader.hidden import load_hidden
    from grader.rubric import load_rubric

    # Untrained networks would be asked again under other scalings, which a good submission is not.
    grading.variants_wanted = lambda rubric, hidden: lambda name, predictions: False
    rubric = load_rubric()
    with tempfile.TemporaryDirectory() as out:
        result = grading.grade(
            Path(folder) / "submission", rubric, load_hidden(rubric), out=out, accept_weak_isolation=True
        )
    faults = result.staff.get("faults") if isinstance(result.staff, dict) else None
    if faults:
        raise RuntimeError(f"faults of the grader: {faults}")
    seconds = result.evidence.seconds
    return {"cpu_elsewhere": seconds["code_cpu"] + seconds["models_cpu"]}


def _make_hidden():
    """Makes the hidden class, which is kept between runs, before the clock starts."""
    from grader.hidden import load_hidden
    from grader.rubric import load_rubric

    load_hidden(load_rubric())


grade_all.prepare = _make_hidden
