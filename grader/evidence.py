"""Gathers what a submission does, without judging it: audits, answers of its functions, predictions of its models.

    evidence = collect(submission, hidden, rubric.limits, cache_dir)

Order: static audit of each model file, reading of the sources, code worker, model worker. Student code never meets the
hidden pictures, models never meet student code, and neither meets a label. What came back is kept under a hash of
submission, worker and data: grading again under another rubric needs no worker.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from expressions.errors import DataError
from grader import probe_inputs
from grader.sandbox import ROOT, UnreadableResult, clean_json, limits_from, probe_isolation, run_worker
from grader.worker.schema import CODE_PROBES, IMAGE_MODELS, MODELS, SCRIPTS

PHOTO_FOLDERS = ("photos_train", "photos_test")
VOXELS_SHAPE = (24, 24, 24)
MODEL_SUFFIXES = (".h5", ".hdf5", ".keras")
FINDINGS_SECONDS = 20
AUDIT_SECONDS = 20
# What decides over the evidence apart from submission and data. Thresholds and points do not.
_SOURCES = (
    "grader/evidence.py",
    "grader/findings.py",
    "grader/probe_inputs.py",
    "grader/sandbox.py",
    "grader/source_findings.py",
    "grader/source_reading.py",
    "grader/worker/*.py",
    "expressions/*.py",
)


@dataclass(frozen=True)
class Evidence:
    """What is known about one submission.

    Attributes:
        submission: dict with `name`, `sha256`, `mapped`, `refused`, `files` (dict from name to bytes).
        isolation: dict with `level`, `canary`.
        versions: dict with `python`, `keras`, `tensorflow`, `numpy`, `worker`, `data`.
        probes: dict from probe id to `{"status", "message", "facts", "seconds"}`. Status is `ok`, `todo` (message:
            the TODO's sentence), `error`, `timeout`, `memory`, `died`, `missing` or `bad_result`.
        audits: dict from model name to the dict of `expressions.model_file.audit`; absent files are absent.
        models: dict from model name to `{"status", "message", "route", "input_shape", "output_shape",
            "num_parameters", "layer_list", "seconds", …}`; status is `ok`, `error`, `timeout`, `memory`, `died`,
            `refused` or `missing`.
        arrays: dict from `"<probe or model>.<name>"` to array; `.input`, `.expected` are the grader's own.
        findings: list of dict, mistakes seen in the sources.
        seconds: dict from phase to wall seconds, and `"<phase>_cpu"` to CPU seconds.
        faults: list of `{"where", "message"}`, ours; what they cost is absent above, and nothing is cached.
    """

    submission: dict
    isolation: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    probes: dict = field(default_factory=dict)
    audits: dict = field(default_factory=dict)
    models: dict = field(default_factory=dict)
    arrays: dict = field(default_factory=dict)
    findings: list = field(default_factory=list)
    seconds: dict = field(default_factory=dict)
    faults: list = field(default_factory=list)

    def save(self, folder):
        """Writes `evidence.json` and `arrays/*.npy`; the folder appears whole or not at all.

        Args:
            folder: Path that does not exist yet; if another process was quicker, its folder stays.
        """
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        (draft / "arrays").mkdir(parents=True)
        try:
            for name, array in self.arrays.items():
                np.save(draft / "arrays" / f"{name}.npy", array, allow_pickle=False)
            content = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "arrays"}
            with open(draft / "evidence.json", "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.rename(draft, folder)
            except OSError:
                if not (folder / "evidence.json").is_file():
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    @classmethod
    def load(cls, folder):
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: there is no evidence in this folder.
            ValueError: it is not what `save` writes.
        """
        folder = Path(folder)
        with open(folder / "evidence.json", encoding="utf-8") as file:
            content = json.load(file)
        names = {item.name for item in fields(cls)} - {"arrays"}
        if set(content) != names:
            raise ValueError(f"{folder}/evidence.json has the keys {sorted(content)}. Wanted {sorted(names)}.")
        arrays = {path.stem: np.load(path, allow_pickle=False) for path in sorted((folder / "arrays").glob("*.npy"))}
        return cls(**content, arrays=arrays)


@functools.cache
def worker_version():
    """Names the code that gathers evidence, as it was when this process first asked.

    Returns:
        str of 12 hexadecimal digits, which change with every byte of that code.
    """
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def library_versions():
    """Returns the versions that the workers will import, read without importing them."""
    versions = {"python": platform.python_version()}
    for name, packages in (
        ("keras", ("keras",)),
        ("tensorflow", ("tensorflow", "tensorflow-cpu")),
        ("numpy", ("numpy",)),
        ("h5py", ("h5py",)),
    ):
        for package in packages:
            try:
                versions[name] = importlib.metadata.version(package)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return versions


def cache_key(submission, hidden, limits):
    """Names the evidence of a submission.

    Returns:
        str of 32 hexadecimal digits.
    """
    parts = [submission.sha256, hidden.version, worker_version(), library_versions(), limits]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def collect(
    submission, hidden, limits=None, cache=None, progress=None, accept_weak_isolation=False, level=None, parts=None
):
    """Gathers a submission's evidence, or takes it from the cache.

    Args:
        submission: `grader.intake.Submission`: `name`, `folder`, `sha256`, `mapped`, `refused`.
        hidden: `grader.hidden.HiddenData`; its labels are not read.
        limits: dict, the rubric's `[limits]`.
        cache: Path of a folder, or None to keep nothing.
        progress: function of a short sentence, called at each phase, or None.
        accept_weak_isolation: bool, run student code although this machine hides nothing from it.
        level: str, an isolation level instead of the strongest that holds here.
        parts: tuple out of `"code"`, `"models"`; by default both. Evidence in parts is not cached.

    Returns:
        Evidence.

    Raises:
        DataError: the machine cannot isolate student code and nobody accepted that.
    """
    limits = limits_from(limits)
    say = progress or (lambda sentence: None)
    folder = None
    if cache is not None and parts is None:
        folder = Path(cache) / cache_key(submission, hidden, limits)
        try:
            evidence = Evidence.load(folder)
        except FileNotFoundError:
            pass
        except (ValueError, OSError):
            shutil.rmtree(folder, ignore_errors=True)  # half a disk, or an older form: gather it again
        else:
            say("evidence taken from the cache")
            # The same files under another name are another submission.
            evidence.submission.update(
                name=submission.name,
                mapped=[_as_dict(entry) for entry in submission.mapped],
                refused=[_as_dict(entry) for entry in submission.refused],
            )
            return evidence

    isolation = _isolation(level, accept_weak_isolation)
    evidence = Evidence(
        submission={
            "name": submission.name,
            "sha256": submission.sha256,
            "mapped": [_as_dict(entry) for entry in submission.mapped],
            "refused": [_as_dict(entry) for entry in submission.refused],
            "files": _files_in(Path(submission.folder)),
        },
        isolation=isolation,
        versions={**library_versions(), "worker": worker_version(), "data": hidden.version},
    )
    parts = ("code", "models") if parts is None else parts
    _time(evidence, "audit", say, "reading the model files", _audit, submission)
    _time(evidence, "findings", say, "reading the scripts", _find, submission)
    if "code" in parts:
        _time(evidence, "code", say, "calling the functions", _run_code, submission, hidden, limits, say)
    if "models" in parts:
        _time(evidence, "models", say, "predicting with the models", _run_models, submission, hidden, limits, say)
    if folder is not None and not evidence.faults:
        evidence.save(folder)
    return evidence


def _isolation(level, accept_weak):
    found = probe_isolation()
    chosen = level or found["level"]
    canary = found["tried"].get(chosen, {}).get("canary", {})
    holds = canary and all(value == "blocked" for key, value in canary.items() if key != "uid")
    if not holds and not accept_weak:
        open_doors = [key.replace("_", " ") for key, value in canary.items() if value == "allowed"]
        reasons = [f"{name}: {tried['missing']}" for name, tried in found["tried"].items() if tried["missing"]]
        raise DataError(
            f"This machine cannot isolate student code: {chosen} leaves open {', '.join(open_doors) or 'everything'}"
            + (f" ({'; '.join(reasons)})." if reasons else "."),
            "a level of isolation that hides other files, the network and other processes",
            "install bubblewrap and see `python -m grader doctor`; or accept the risk with --accept-weak-isolation",
        )
    return {"level": chosen, "canary": canary}


def _time(evidence, phase, say, sentence, function, *arguments):
    say(sentence)
    began = time.monotonic()
    function(evidence, *arguments)
    evidence.seconds[phase] = round(time.monotonic() - began, 2)


def _as_dict(entry):
    return dict(entry) if isinstance(entry, dict) else dict(vars(entry))


def _files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _model_files(submission):
    """Returns the model files of a submission: dict from model name to Path."""
    found = {}
    for name in MODELS:
        for suffix in MODEL_SUFFIXES:
            path = Path(submission.folder) / f"{name}{suffix}"
            if path.is_file():
                found.setdefault(name, path)
    return found


def _audit(evidence, submission):
    from expressions.model_file import audit_in_child

    for name, path in _model_files(submission).items():
        evidence.audits[name] = audit_in_child(path, timeout=AUDIT_SECONDS)


def _find(evidence, submission):
    """Looks for known mistakes in the sources, in a process that may crash on a crafted one."""
    if not (ROOT / "grader" / "findings.py").is_file():
        return
    program = (
        "import json, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))\n"
        f"resource.setrlimit(resource.RLIMIT_CPU, ({FINDINGS_SECONDS}, {FINDINGS_SECONDS}))\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from grader.findings import find_in_sources\n"
        "print(json.dumps(find_in_sources(sys.argv[2])))\n"
    )
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.run(
                [sys.executable, "-s", "-P", "-c", program, str(ROOT), str(submission.folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                timeout=2 * FINDINGS_SECONDS,
                env={"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return  # a source that keeps the reader busy has no finding; its probes say what it does
        output.seek(0)
        text = output.read(2**20)
    if child.returncode > 0 and b"Error" in child.stderr[-4000:] and b"MemoryError" not in child.stderr[-4000:]:
        # Explanations only: grading goes on, and the TA hears of it.
        words = child.stderr.decode("utf-8", "replace").strip().splitlines()
        evidence.faults.append({"where": "findings", "message": words[-1][:500]})
        return
    try:
        findings = clean_json(json.loads(text or b"[]"))
    except (ValueError, UnreadableResult):
        return
    evidence.findings.extend(finding for finding in findings if isinstance(finding, dict))


def _run_code(evidence, submission, hidden, limits, say):
    folder = Path(submission.folder)
    evidence.arrays.update(_questions(hidden))
    present = [name for name in SCRIPTS if (folder / f"{name}.py").is_file()]
    asked = []
    for probe_id, probe in CODE_PROBES.items():
        if probe.script in present:
            asked.append(probe_id)
        else:
            message = f"{probe.script}.py is not in the submission"
            evidence.probes[probe_id] = {"status": "missing", "message": message, "facts": {}, "seconds": 0.0}
    if not asked:
        return
    with tempfile.TemporaryDirectory(prefix="grader-photos-") as scratch:
        photos, other, scripts = Path(scratch) / "photos", Path(scratch) / "other", Path(scratch) / "submission"
        photos.mkdir()
        other.mkdir()
        evidence.arrays["load_photos.expected"] = probe_inputs.write_photos(photos, seed=1)
        evidence.arrays["load_photos_other.expected"] = probe_inputs.write_photos(other, seed=2, capital=True)
        # Models stay outside: a script that loads one when it is imported would have to be told apart from one that
        # a student trained.
        shutil.copytree(folder, scripts, ignore=shutil.ignore_patterns("*.h5", "*.hdf5", "*.keras", "*.pdf"))
        inbox = {name: array for name, array in evidence.arrays.items() if name in _SENT_TO_CODE}
        inbox["voxelize_hidden.input"] = hidden.clouds
        result = run_worker(
            "grader.worker.code",
            inbox=inbox,
            limits=limits,
            probes=asked,
            files={"submission": scripts, "photos": photos, "photos_other": other},
            level=evidence.isolation["level"],
            progress=lambda probe_id, probe: say(f"{probe_id}: {probe['status']}"),
            needs={
                probe_id: f"{CODE_PROBES[probe_id].script}.import" for probe_id in asked if ".import" not in probe_id
            },
        )
    evidence.probes.update(result.probes)
    evidence.arrays.update(result.arrays)
    _check_voxels(evidence, len(hidden.clouds))
    _note(evidence, "code", result)


_SENT_TO_CODE = frozenset(
    (
        "prepare_images.input",
        "personalize.images",
        "personalize.labels",
        "voxelize.input",
        "voxelize_permuted.input",
        "voxelize_size.input",
        "voxelize_axes.input",
        "voxelize_boundary.input",
        "split_by_subject.input",
    )
)


def _questions(hidden):
    """Makes what the functions are called with; kept in the evidence, for the checks compare with it."""
    clouds = np.asarray(hidden.clouds[: probe_inputs.NUM_CLOUDS])
    faces, labels = probe_inputs.make_personal_faces()
    order = np.random.default_rng(5).permutation(clouds.shape[1])
    return {
        "prepare_images.input": probe_inputs.make_pictures(),
        "personalize.images": faces,
        "personalize.labels": labels,
        "voxelize.input": clouds,
        "voxelize_permuted.input": clouds[0][order],
        "voxelize_size.input": clouds[0],
        "voxelize_axes.input": probe_inputs.make_axis_clouds(),
        "voxelize_boundary.input": probe_inputs.make_boundary_cloud(clouds[0]),
        "split_by_subject.input": probe_inputs.make_subject_ids(),
    }


def _check_voxels(evidence, num_clouds):
    """Voxels of another shape cannot be given to a model: a wrong result of `voxelize`, not an error of the model."""
    counts = evidence.arrays.get("voxelize_hidden.counts")
    if counts is None or counts.shape == (num_clouds, *VOXELS_SHAPE):
        return
    probe = evidence.probes["voxelize_hidden"]
    probe["status"] = "bad_result"
    probe["message"] = f"voxelize returned an array of shape {counts.shape[1:]}. Wanted {VOXELS_SHAPE}."
    del evidence.arrays["voxelize_hidden.counts"]


def _run_models(evidence, submission, hidden, limits, say):
    files, models, entries = {}, [], {}
    paths = _model_files(submission)
    for name in MODELS:
        audit = evidence.audits.get(name)
        if audit is None:
            message = f"{name}.h5 is not in the submission"
            evidence.models[name] = {"status": "missing", "message": message}
        elif not audit["accepted"]:
            reasons = audit.get("reasons") or [{}]
            evidence.models[name] = {"status": "refused", "message": str(reasons[0].get("what", audit.get("kind")))}
        else:
            models.append(name)
            files[f"models/{paths[name].name}"] = paths[name]
            shapes = {key: audit.get(key) for key in ("input_shape", "output_shape")}
            entries[name] = {"file": f"models/{paths[name].name}", **shapes}
    if not models:
        return
    inbox = {"images": np.asarray(hidden.images).reshape(-1, 48, 48)}
    counts = evidence.arrays.get("voxelize_hidden.counts")
    if counts is not None and evidence.probes["voxelize_hidden"]["status"] == "ok":
        inbox["voxels"] = counts.astype(np.float32)
    for name in PHOTO_FOLDERS:
        photos = evidence.arrays.get(f"load_{name}.images")
        if photos is not None and photos.shape[1:] == (48, 48, 1) and 0 < len(photos) <= 64:
            inbox[f"{name}.images"] = photos.astype(np.float32)
    result = run_worker(
        "grader.worker.models",
        job={"models": entries},
        inbox=inbox,
        limits=limits,
        probes=models,
        files=files,
        level=evidence.isolation["level"],
        progress=lambda name, probe: say(f"{name}: {probe['status']}"),
    )
    num_rows = {name: len(inbox["images"]) if name in IMAGE_MODELS else len(inbox.get("voxels", ())) for name in models}
    for name, probe in result.probes.items():
        facts = probe["facts"]
        status = "error" if probe["status"] in ("bad_result", "missing", "todo") else probe["status"]
        entry = {**facts, "status": status, "message": probe["message"], "seconds": probe["seconds"]}
        hidden_array = result.arrays.get(f"{name}.hidden")
        if status == "ok" and hidden_array is not None and hidden_array.shape != (num_rows[name], 7):
            entry.update(status="error", message=f"{name} gave predictions of shape {hidden_array.shape}.")
        evidence.models[name] = entry
    evidence.arrays.update(result.arrays)
    _note(evidence, "models", result)


def _note(evidence, phase, result):
    evidence.seconds[f"{phase}_cpu"] = result.cpu_seconds
    evidence.versions.update({key: value for key, value in result.versions.items() if key not in ("worker", "data")})
    if result.fault:
        evidence.faults.append({"where": f"{phase} worker", "message": result.fault})
