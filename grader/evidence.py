"""Gathers what a submission does, without judging it: audits, answers of its functions, predictions of its models.

    evidence = collect(submission, hidden, rubric.limits, cache_dir)

Order: static audit of each model file, reading of the sources, code worker, model worker. Student code never meets the
hidden pictures, models never meet student code, and neither meets a label. What came back is kept under a hash of
submission, worker and data: grading again under another rubric needs no worker.

Each audit and each answer is on the disk before the next question is asked, so a run that was killed goes on where it
ended. A worker that something outside killed costs one more try.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from expressions.errors import DataError
from grader import probe_inputs
from grader.durable import Pieces, hold, remove_folder, scratch_folder, sweep, sync_file, sync_folder
from grader.sandbox import (
    ROOT,
    UnreadableResult,
    Worker,
    WorkerFault,
    clean_json,
    clean_text,
    holds,
    limits_from,
    probe_isolation,
    probe_level,
)
from grader.worker import schema
from grader.worker.schema import CODE_PROBES, IMAGE_MODELS, MODELS, SCRIPTS

PHOTO_FOLDERS = ("photos_train", "photos_test")
VOXELS_SHAPE = (24, 24, 24)
MODEL_SUFFIXES = (".h5", ".hdf5", ".keras")
FINDINGS_SECONDS = 20
AUDIT_SECONDS = 20
# What decides over the evidence apart from submission and data. Thresholds and points do not.
_SOURCES = (
    "grader/evidence.py",
    "grader/durable.py",
    "grader/findings.py",
    "grader/probe_inputs.py",
    "grader/sandbox.py",
    "grader/source_findings.py",
    "grader/source_reading.py",
    "grader/worker/*.py",
    "expressions/*.py",
    "expressions/model_file/*.py",
)


@dataclass(frozen=True)
class Evidence:
    """What is known about one submission.

    Attributes:
        submission: dict with `name`, `sha256`, `mapped`, `refused`, `skipped`, `remarks`, `files` (dict from name to
            bytes).
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

    def save(self, folder, replace=False):
        """Writes `evidence.json` and `arrays/*.npy`; the folder appears whole or not at all.

        Args:
            folder: Path.
            replace: bool; False keeps a folder that is there already, for another process was quicker.
        """
        folder = Path(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f"{_DRAFT}{folder.name}.{secrets.token_hex(4)}")
        (draft / "arrays").mkdir(parents=True)
        handle = hold(draft)
        try:
            for name, array in self.arrays.items():
                np.save(draft / "arrays" / f"{name}.npy", array, allow_pickle=False)
                sync_file(draft / "arrays" / f"{name}.npy")
            content = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "arrays"}
            with open(draft / "evidence.json", "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(draft / "arrays")
            sync_folder(draft)
            if replace:
                _discard(folder)
            try:
                os.rename(draft, folder)
            except OSError:
                if not (folder / "evidence.json").is_file():
                    raise
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            if handle is not None:
                os.close(handle)

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


# Folders in the cache that are not evidence yet: drafts of the whole, and pieces of runs that are not done.
_DRAFT, _PIECES = ".draft-", ".pieces-"
# Seconds after which nobody goes on with a run that was killed.
MAX_PIECES_AGE = 7 * 86_400


def collect(
    submission,
    hidden,
    limits=None,
    cache=None,
    progress=None,
    accept_weak_isolation=False,
    level=None,
    parts=None,
    wants_variants=None,
):
    """Gathers a submission's evidence, or takes it from the cache.

    Args:
        submission: `grader.intake.Submission`: `name`, `folder`, `sha256`, `mapped`, `refused`, `skipped`.
        hidden: `grader.hidden.HiddenData`; its labels are not read.
        limits: dict, the rubric's `[limits]`.
        cache: Path of a folder, or None to keep nothing. Pieces of a run that was killed are found here, too.
        progress: function of a short sentence, called at each phase, or None.
        accept_weak_isolation: bool, run student code although this machine hides nothing from it.
        level: str, an isolation level instead of the strongest that holds here.
        parts: tuple out of `"code"`, `"models"`; by default both. Evidence in parts is not cached.
        wants_variants: function of a model's name and its predictions, float32 `(n, 7)`, that says whether the first
            hidden pictures should be predicted under other scalings, too (`"model_1.hidden_0_255"` …); None asks for
            none.

    Returns:
        Evidence.

    Raises:
        DataError: the machine cannot isolate student code and nobody accepted that.
    """
    limits = limits_from(limits)
    say = progress or (lambda sentence: None)
    folder, pieces = None, Pieces()
    if cache is not None and parts is None:
        key = cache_key(submission, hidden, limits)
        folder = Path(cache) / key
        evidence = _cached(folder, submission)
        if evidence is not None:
            say("evidence taken from the cache")
            for path in Path(cache).glob(f"{_PIECES}{key}-*"):
                Pieces(path).remove()  # of a run that was killed between the last two steps
            wanted = _models_wanting(evidence, wants_variants)
            if wanted:
                say("predicting with the models under other scalings")
                _ask_variants(evidence, submission, hidden, limits, wanted)
                evidence.save(folder, replace=True)
            return evidence

    isolation = _isolation(level, accept_weak_isolation)
    if folder is not None:
        sweep(cache, (_DRAFT,))
        sweep(cache, (_PIECES,), MAX_PIECES_AGE)
        # Answers that one level let through are no answers under another.
        pieces = Pieces(Path(cache) / f"{_PIECES}{key}-{isolation['level']}")
    evidence = Evidence(
        submission={**_description(submission), "files": _files_in(Path(submission.folder))},
        isolation=isolation,
        versions={**library_versions(), "worker": worker_version(), "data": hidden.version},
    )
    parts = ("code", "models") if parts is None else parts
    _time(evidence, "audit", say, "reading the model files", _audit, submission, pieces)
    _time(evidence, "findings", say, "reading the scripts", _find, submission, pieces)
    if "code" in parts:
        _time(evidence, "code", say, "calling the functions", _run_code, submission, hidden, limits, say, pieces)
    if "models" in parts:
        sentence = "predicting with the models"
        wants = wants_variants or (lambda name, predictions: False)
        _time(evidence, "models", say, sentence, _run_models, submission, hidden, limits, say, pieces, wants)
    if folder is not None and not evidence.faults:
        evidence.save(folder)
        pieces.remove()
    return evidence


def _cached(folder, submission):
    try:
        evidence = Evidence.load(folder)
    except FileNotFoundError:
        return None
    except (ValueError, OSError):
        _discard(folder)  # half a disk, or an older form: gather it again
        return None
    # The same files under another name are another submission.
    evidence.submission.update(_description(submission))
    return evidence


def _discard(folder):
    """Takes a folder out of the cache at once: somebody may read it at this moment."""
    trash = folder.with_name(f"{_DRAFT}{folder.name}.{secrets.token_hex(4)}")
    try:
        os.rename(folder, trash)
    except OSError:
        return
    remove_folder(trash)


def _models_wanting(evidence, wants_variants):
    """Lists the models whose other predictions are wanted and were never asked for."""
    if wants_variants is None:
        return []
    return [
        name
        for name in IMAGE_MODELS
        if f"{name}.variants" in schema.PROBES
        and evidence.models.get(name, {}).get("status") == "ok"
        and "variants" not in evidence.models[name]
        and wants_variants(name, evidence.arrays[f"{name}.hidden"])
    ]


def _description(submission):
    return {
        "name": submission.name,
        "sha256": submission.sha256,
        "mapped": [_as_dict(entry) for entry in submission.mapped],
        "refused": [_as_dict(entry) for entry in submission.refused],
        "skipped": [_as_dict(entry) for entry in getattr(submission, "skipped", ())],
        "remarks": [_as_dict(entry) for entry in getattr(submission, "remarks", ())],
    }


def _isolation(level, accept_weak):
    found = probe_isolation()
    if any(
        tried["missing"].startswith("it does not start") or (tried["canary"] and not holds(name, tried["canary"]))
        for name, tried in found["tried"].items()
    ):
        # What failed once at this moment, such as a canary that was killed, must not decide for the whole run.
        for probe in (probe_isolation, probe_level):
            getattr(probe, "cache_clear", lambda: None)()
        found = probe_isolation()
    chosen = level or found["level"]
    tried = found["tried"].get(chosen) or probe_level(chosen)
    canary = tried["canary"]
    if not holds(chosen, canary) and not accept_weak:
        open_doors = [door.replace("_", " ") for door, state in canary.items() if state == "allowed"]
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


def _audit(evidence, submission, pieces):
    for name, path in _model_files(submission).items():
        kept = pieces.read(f"{name}.audit")
        if kept is None:
            evidence.audits[name] = _audit_one(path, _architecture_file(submission, name))
            pieces.keep(f"{name}.audit", evidence.audits[name])
        else:
            evidence.audits[name] = kept[0]


def _architecture_file(submission, name):
    """Returns the JSON that describes a network whose weights were saved alone, or None."""
    path = Path(submission.folder) / f"{name}.json"
    return path if path.is_file() else None


def _audit_one(path, architecture=None):
    from expressions.model_file import audit_in_child

    began = time.monotonic()
    audit = audit_in_child(path, timeout=AUDIT_SECONDS, architecture=architecture)
    codes = {reason["code"] for reason in audit["reasons"]}
    if codes & {"child-crashed", "child-memory", "child-timeout"} and time.monotonic() - began < AUDIT_SECONDS / 2:
        # The file may have crashed its reader, and so may the machine; the file does so again.
        audit = audit_in_child(path, timeout=AUDIT_SECONDS, architecture=architecture)
    return audit


def _find(evidence, submission, pieces):
    """Looks for known mistakes in the sources, in a process that may crash on a crafted one."""
    kept = pieces.read("findings")
    if kept is not None:
        evidence.findings.extend(kept[0])
        return
    program = (
        "import json, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))\n"
        f"resource.setrlimit(resource.RLIMIT_CPU, ({FINDINGS_SECONDS}, {FINDINGS_SECONDS}))\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from grader.findings import find_in_sources\n"
        "print(json.dumps(find_in_sources(sys.argv[2])))\n"
    )
    for _ in range(2):
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
        if child.returncode != -signal.SIGKILL:
            break
    if child.returncode > 0 and b"Error" in child.stderr[-4000:] and b"MemoryError" not in child.stderr[-4000:]:
        # Explanations only: grading goes on, and the TA hears of it.
        words = child.stderr.decode("utf-8", "replace").strip().splitlines()
        evidence.faults.append({"where": "findings", "message": words[-1][:500]})
        return
    try:
        findings = clean_json(json.loads(text or b"[]"))
    except (ValueError, UnreadableResult):
        return
    findings = [finding for finding in findings if isinstance(finding, dict)]
    pieces.keep("findings", findings)
    evidence.findings.extend(findings)


# Asking a worker -----------------------------------------------------------------------------------------------------


class _HeldWorker(Worker):
    """A worker whose folder a later run may remove, should this one be killed."""

    def _fill(self):
        self._handle = hold(self.root)
        (self.root / _HELD).touch()
        super()._fill()

    def close(self):
        super().close()
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            os.close(handle)


_HELD = "held"  # stands in the folder of a worker that is never without its lock


def sweep_workers():
    """Removes the folders of workers whose grader was killed; their processes ended with it."""
    return sweep(tempfile.gettempdir(), ("grader-sandbox-",), marker=_HELD)


class _Interview:
    """Asks a worker one question after the other and keeps each answer before the next; a context manager.

    The worker starts with the first question whose answer is not there yet, and anew when it dies.

    Args:
        module: str, such as `"grader.worker.code"`.
        box: function that returns `(job, arrays, files)` for the worker.
        limits: dict as `limits_from` gives it.
        level: str, an isolation level.
        pieces: `grader.durable.Pieces`.
        needs: dict from probe id to the id of the probe it needs; where that one was not ok, its status and message
            are taken over and nothing runs.

    Attributes:
        probes: dict from probe id to `{"status", "message", "facts", "seconds"}`.
        arrays: dict from `"<probe>.<name>"` to array.
        versions: dict, of the libraries inside.
        cpu_seconds: float, of all starts and answers; of answers that were there already, what they took then.
        faults: list of str, what was not the student's doing; the probes concerned are absent.
    """

    def __init__(self, module, box, limits, level, pieces, needs=None):
        self._module, self._box, self._limits, self._level = module, box, limits, level
        self._pieces, self._needs = pieces, needs or {}
        self._worker = self._content = None
        self._broken = False
        self.probes, self.arrays, self.versions, self.faults = {}, {}, {}, []
        self.cpu_seconds = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def _end(self):
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def ask(self, probe_id):
        """Asks one question.

        Args:
            probe_id: str, a key of `schema.PROBES`.

        Returns:
            dict, the answer, or None if this is a fault of ours or the machine's.
        """
        need = self._needs.get(probe_id)
        if self._broken or (need is not None and need not in self.probes):
            return None
        before = self.probes.get(need)
        if before is not None and before["status"] != "ok":
            self.probes[probe_id] = {**before, "facts": {"needs": need}, "seconds": 0.0}
            return self.probes[probe_id]
        kept = self._pieces.read(probe_id)
        if kept is not None:
            facts, arrays = kept
            self.cpu_seconds += facts["cpu_seconds"]
            self.versions = {**facts["versions"], **self.versions}
            answer = facts["answer"]
        else:
            try:
                # An import inside a probe takes as long as it took alone.
                answer, arrays, cpu_seconds = self._ask(probe_id, before["seconds"] if before is not None else 0.0)
            except WorkerFault as error:
                self.faults.append(str(error))
                return None
            facts = {"answer": answer, "cpu_seconds": cpu_seconds, "versions": self.versions}
            self._pieces.keep(probe_id, facts, arrays)
        self.probes[probe_id] = answer
        self.arrays.update({f"{probe_id}.{name}": array for name, array in arrays.items()})
        return answer

    def _ask(self, probe_id, extra_seconds):
        seconds = self._limits[schema.PROBES[probe_id].limit]
        spent, by_machine = 0.0, []
        for attempt in range(2):
            worker = self._start()
            kills = _machine_kills()
            try:
                answer, arrays, usage = worker.run(probe_id, seconds, extra_seconds)
            except WorkerFault:
                # It died before the question was put, while it imported what this question needs.
                self._end()
                self._broken = bool(attempt)
                if attempt:
                    raise
                by_machine.append(_machine_kills() > kills)
                continue
            spent += usage.get("cpu_seconds") or 0.0
            killed = answer["status"] == "died" and (not worker.alive or "SIGKILL" in answer["message"])
            if not killed:
                break
            # Somebody's doing or the script's own: only the script does it again.
            by_machine.append(_machine_kills() > kills)
        self.cpu_seconds += spent
        if len(by_machine) == 2 and all(by_machine):
            raise WorkerFault(f"{probe_id}: the machine ran out of memory and killed the worker, twice")
        if answer["status"] in ("processes", "disk"):
            answer["status"] = "died"
        return answer, arrays, spent

    def _start(self):
        if self._worker is not None and self._worker.alive:
            return self._worker
        self._end()
        self._content = self._content or self._box()
        for attempt in range(2):
            try:
                # A second attempt is for machines short of memory for a moment.
                self._worker = _HeldWorker(self._module, *self._content, self._limits, self._level).__enter__()
                break
            except (WorkerFault, OSError) as error:
                if attempt:
                    self._broken = True
                    raise WorkerFault(str(error)) from error
                time.sleep(1)
        self.cpu_seconds += self._worker.start_cpu_seconds
        self.versions = self.versions or _plain_versions(self._worker.versions)
        return self._worker


def _machine_kills():
    """Counts how many processes the kernel has ended because memory ran out, since it started; 0 where unknown."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def _plain_versions(versions):
    if not isinstance(versions, dict):
        return {}
    return {clean_text(str(key), 40): clean_text(str(value), 40) for key, value in list(versions.items())[:16]}


def _run_code(evidence, submission, hidden, limits, say, pieces):
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
    with scratch_folder("grader-photos-") as scratch:
        photos, other, scripts = scratch / "photos", scratch / "other", scratch / "submission"
        photos.mkdir()
        other.mkdir()
        evidence.arrays["load_photos.expected"] = probe_inputs.write_photos(photos, seed=1)
        evidence.arrays["load_photos_other.expected"] = probe_inputs.write_photos(other, seed=2, capital=True)
        # Models stay outside: a script that loads one when it is imported would have to be told apart from one that
        # a student trained.
        shutil.copytree(
            folder,
            scripts,
            ignore=shutil.ignore_patterns("*.h5", "*.hdf5", "*.keras", "*.pdf"),
            copy_function=_link_or_copy,
        )
        inbox = {name: array for name, array in evidence.arrays.items() if name in _SENT_TO_CODE}
        inbox["voxelize_hidden.input"] = hidden.clouds
        files = {"submission": scripts, "photos": photos, "photos_other": other}
        needs = {probe_id: f"{CODE_PROBES[probe_id].script}.import" for probe_id in asked if ".import" not in probe_id}
        with _Interview(
            "grader.worker.code", lambda: ({}, inbox, files), limits, evidence.isolation["level"], pieces, needs
        ) as worker:
            for probe_id in asked:
                answer = worker.ask(probe_id)
                if answer is not None:
                    say(f"{probe_id}: {answer['status']}")
    evidence.probes.update(worker.probes)
    evidence.arrays.update(worker.arrays)
    _check_voxels(evidence, len(hidden.clouds))
    _note(evidence, "code", worker)


def _link_or_copy(source, target):
    """Puts a file of our own copy to another place; the worker gets its bytes, never the file itself."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


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


def _run_models(evidence, submission, hidden, limits, say, pieces, wants_variants):
    for name in MODELS:
        audit = evidence.audits.get(name)
        if audit is None:
            message = f"{name}.h5 is not in the submission"
            evidence.models[name] = {"status": "missing", "message": message}
        elif not audit["accepted"]:
            evidence.models[name] = _refused_model(audit)
    box = job, inbox, _ = _box_of_models(evidence, submission, hidden)
    if not job["models"]:
        return
    with _Interview("grader.worker.models", lambda: box, limits, evidence.isolation["level"], pieces) as worker:
        for name in job["models"]:
            num_rows = len(inbox["images"]) if name in IMAGE_MODELS else len(inbox.get("voxels", ()))
            entry, arrays = _ask_model(worker, name, num_rows, wants_variants)
            if entry is not None:
                evidence.models[name] = entry
                evidence.arrays.update({f"{name}.{key}": array for key, array in arrays.items()})
                say(f"{name}: {entry['status']}")
    _note(evidence, "models", worker)


def _ask_variants(evidence, submission, hidden, limits, names):
    """Asks for what was not wanted when the evidence was gathered."""
    box = _box_of_models(evidence, submission, hidden)
    with _Interview("grader.worker.models", lambda: box, limits, evidence.isolation["level"], Pieces()) as worker:
        for name in names:
            answer = worker.ask(f"{name}.variants")
            if answer is not None:
                evidence.models[name]["variants"] = answer["status"]
                arrays = _arrays_of(worker, f"{name}.variants")
                evidence.arrays.update({f"{name}.{key}": array for key, array in arrays.items()})


def _box_of_models(evidence, submission, hidden):
    """Returns what the model worker is given: its job, arrays and files, those of the accepted models alone."""
    files, entries, paths = {}, {}, _model_files(submission)
    for name in MODELS:
        audit = evidence.audits.get(name)
        if audit is not None and audit["accepted"]:
            files[f"models/{paths[name].name}"] = paths[name]
            entries[name] = _model_entry(f"models/{paths[name].name}", audit)
            architecture = _architecture_file(submission, name)
            if architecture is not None:
                files[f"models/{architecture.name}"] = architecture
                entries[name]["architecture"] = f"models/{architecture.name}"
    inbox = {"images": np.asarray(hidden.images).reshape(-1, 48, 48)}
    counts = evidence.arrays.get("voxelize_hidden.counts")
    if counts is not None and evidence.probes["voxelize_hidden"]["status"] == "ok":
        inbox["voxels"] = counts.astype(np.float32)
    for name in PHOTO_FOLDERS:
        photos = evidence.arrays.get(f"load_{name}.images")
        if photos is not None and photos.shape[1:] == (48, 48, 1) and 0 < len(photos) <= 64:
            inbox[f"{name}.images"] = photos.astype(np.float32)
    return {"models": entries}, inbox, files


def _refused_model(audit):
    reasons = audit.get("reasons") or [{}]
    return {"status": "refused", "message": str(reasons[0].get("what", audit.get("kind")))}


def _model_entry(file, audit):
    """Returns what the worker is told of a model: where it is, and what the audit read, to compare with what loads."""
    return {
        "file": file,
        "has_cudnn": any("CuDNN" in str(name) for name in audit.get("layers") or ()),
        **{key: audit.get(key) for key in ("input_shape", "output_shape", "num_parameters")},
    }


def _ask_model(worker, name, num_rows, wants_variants):
    """Asks for a model's predictions and, where they are wanted, for those under other scalings.

    Returns:
        (dict, dict): what `Evidence.models` holds, arrays by name; (None, {}) if there was no answer.
    """
    answer = worker.ask(name)
    if answer is None:
        return None, {}
    status = "error" if answer["status"] in ("bad_result", "missing", "todo") else answer["status"]
    entry = {**answer["facts"], "status": status, "message": answer["message"], "seconds": answer["seconds"]}
    arrays = _arrays_of(worker, name)
    predictions = arrays.get("hidden")
    if status == "ok" and predictions is not None and predictions.shape != (num_rows, 7):
        entry.update(status="error", message=f"{name} gave predictions of shape {predictions.shape}.")
    elif status == "ok" and predictions is not None and f"{name}.variants" in schema.PROBES:
        if wants_variants(name, predictions):
            more = worker.ask(f"{name}.variants")
            entry["variants"] = "fault" if more is None else more["status"]
            arrays.update(_arrays_of(worker, f"{name}.variants"))
    return entry, arrays


def _arrays_of(worker, probe_id):
    if probe_id not in worker.probes:
        return {}
    arrays = {key: worker.arrays.get(f"{probe_id}.{key}") for key in schema.PROBES[probe_id].arrays}
    return {key: array for key, array in arrays.items() if array is not None}


def predict_one(path, images, limits=None, variants=True):
    """Audits one model file and predicts with it, in the sandbox that grading uses; no student code runs.

    Args:
        path: path of a .h5, .hdf5 or .keras file, under any name.
        images: uint8 array `(n, 48, 48)` or `(n, 48, 48, 1)` of pictures, or numbers `(n, 24, 24, 24)` of voxels.
        limits: dict, the rubric's `[limits]`, or None.
        variants: bool, also predict the first pictures under other scalings.

    Returns:
        (dict, dict, dict): the audit; `status`, `message` and the facts of the loaded network, which messages call
        "model" (status as in `Evidence.models`, or `fault`: the worker itself failed); float32 arrays `(n, 7)` by
        name, `hidden` and the variants `hidden_0_255` …, none if the file was refused or could not be used.

    Raises:
        OSError: the file cannot be read.
        ValueError: `images` has another shape.
    """
    path, images = Path(path), np.asarray(images)
    if images.shape[1:] == (48, 48, 1):
        images = images[..., 0]
    if images.shape[1:] == (48, 48):
        name, inbox = IMAGE_MODELS[0], {"images": images}
    elif images.shape[1:] == VOXELS_SHAPE:
        name, inbox = schema.VOXEL_MODELS[0], {"voxels": images.astype(np.float32)}
    else:
        raise ValueError(f"images has shape {images.shape}. Wanted (n, 48, 48) pictures or (n, 24, 24, 24) voxels.")
    audit = _audit_one(path)
    if not audit["accepted"]:
        return audit, _refused_model(audit), {}
    file = f"models/{name}{'.keras' if audit['kind'].startswith('keras') else '.h5'}"
    box = {"models": {name: _model_entry(file, audit)}}, inbox, {file: path}
    with _Interview(
        "grader.worker.models", lambda: box, limits_from(limits), probe_isolation()["level"], Pieces()
    ) as worker:
        facts, arrays = _ask_model(worker, name, len(images), lambda *_: variants)
    if facts is None:
        facts = {"status": "fault", "message": "; ".join(worker.faults)}
    facts["message"] = re.sub(rf"\b{name}(\.h5)?\b", "model", facts["message"])
    if facts["status"] != "ok":
        arrays = {}
    return audit, facts, arrays


def _note(evidence, phase, worker):
    evidence.seconds[f"{phase}_cpu"] = round(worker.cpu_seconds, 2)
    evidence.versions.update({key: value for key, value in worker.versions.items() if key not in ("worker", "data")})
    evidence.faults.extend({"where": f"{phase} worker", "message": message} for message in dict.fromkeys(worker.faults))
