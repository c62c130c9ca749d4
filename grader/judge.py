"""Judges evidence: runs the pytest checks under `checks/` over any number of submissions, and gathers outcomes.

Nothing that a student wrote runs here. A check reads evidence and hidden labels through the fixture `work`; the
rubric says which items wait for which others.
"""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

from expressions.metrics import classification_metrics
from grader.outcome import CANNOT_GRADE, FAILED, GRADER_FAULT, PASSED, CannotGrade, Failed, Outcome, Verdict

CHECKS = Path(__file__).resolve().parent / "checks"


class Work:
    """What a check may look at: one submission's evidence, the hidden labels, the thresholds.

    Attributes:
        evidence: `grader.evidence.Evidence`.
        hidden: `grader.hidden.HiddenData`.
        thresholds: dict of `grader.rubric.Ramp`.
        measured: dict; what a check puts here is reported with its outcome.
    """

    def __init__(self, evidence, hidden, thresholds):
        self.evidence = evidence
        self.hidden = hidden
        self.thresholds = thresholds
        self.measured = {}

    def facts(self, probe_name):
        """Returns the facts of a call of a student's function, or ends the check if the call did not work."""
        probe = self.evidence.probes[probe_name]
        status, message = probe["status"], probe.get("message", "")
        for refused in self.evidence.submission["refused"]:
            if status == "missing" and str(refused.get("file")) in message:
                raise CannotGrade(f"{refused['entry']}: {refused['what']}", refused["wanted"], refused["try"])
        if status != "ok":
            raise Failed(*_PROBE_SENTENCES[status](message))
        return probe["facts"]

    def array(self, probe_name, name):
        """Returns an array that a student's function gave back, or ends the check if the call did not work."""
        self.facts(probe_name)
        return self.evidence.arrays[f"{probe_name}.{name}"]

    def model(self, name):
        """Returns the facts of a loaded model, or ends the check.

        Missing and useless files have failed; those that we refuse or cannot load are for a person to look at.
        """
        audit = self.evidence.audits.get(name)
        for refused in self.evidence.submission["refused"]:
            if audit is None and refused.get("file") == f"{name}.h5":
                raise CannotGrade(f"{refused['entry']}: {refused['what']}", refused["wanted"], refused["try"])
        if audit is None:
            for probe_name in _MADE_BY.get(name, ()):
                probe = self.evidence.probes.get(probe_name, {})
                if probe.get("status") == "todo":  # no wonder that the file is missing
                    raise Failed(*_PROBE_SENTENCES["todo"](probe["message"]))
            raise Failed(
                f"There is no {name}.h5 in the submission",
                f"the trained network, saved as {name}.h5",
                "run the script that saves it, and submit the file with the scripts",
            )
        if not audit["accepted"]:
            reason = audit["reasons"][0]
            verdict = Failed if audit["kind"] in _FAILED_KINDS else CannotGrade
            raise verdict(f"{name}.h5: {reason['what']}", reason["wanted"], reason["try"])
        model = self.evidence.models[name]
        if model["status"] != "ok":
            verdict = Failed if model["status"] in ("timeout", "memory") else CannotGrade
            raise verdict(
                f"{name}.h5: {model.get('message') or model['status']}",
                "a network that Keras can load and run",
                "load it with keras.models.load_model on your machine; save it again with model.save",
            )
        return model

    def predictions(self, name, rows=None):
        """Returns the class, 0 to 6, that a model gives to each hidden picture or cloud: int array `(n,)`."""
        self.model(name)
        probabilities = self.evidence.arrays[f"{name}.hidden"]
        return np.argmax(probabilities if rows is None else probabilities[rows], axis=1)

    def measure(self, labels, predictions):
        """Returns `ClassificationMetrics`, and reports accuracy, n, interval and confusion with the outcome."""
        metrics = classification_metrics(labels, predictions)
        self.measured.update(
            accuracy=round(float(metrics.accuracy), 4),
            n=int(metrics.num_samples),
            interval=[round(float(bound), 4) for bound in metrics.interval],
            confusion=np.asarray(metrics.confusion).tolist(),
        )
        return metrics


# The functions without which there is no such file.
_MADE_BY = {
    "model_1": ("make_model_1", "train"),
    "model_2": ("make_model_2",),
    "model_3": ("personalize",),
    "model_4": ("make_model_4",),
}

# What a student gets wrong when a file is not a model at all; other refused files are for a person.
_FAILED_KINDS = {
    *("empty", "lfs-pointer", "html", "python-source"),
    *("utf8-mangled", "truncated", "hdf5-weights", "hdf5-architecture"),
}

_PROBE_SENTENCES = {
    "todo": lambda message: (f"Still to do: {message}", "the step done", "write it where the TODO stands"),
    "error": lambda message: (
        message,
        "a call that works",
        "run the script, or call the function yourself on a few samples",
    ),
    "missing": lambda message: (message, "the file, the function and its name as in the starter", "restore it"),
    "timeout": lambda message: (
        message or "It took too long and was stopped",
        "an answer within the time limit",
        "look for an endless loop, or work that belongs into main()",
    ),
    "memory": lambda message: (
        message or "It asked for more memory than there is",
        "an answer within the memory limit",
        "look for an array that is larger than you meant",
    ),
    "died": lambda message: (
        message or "The program ended in the middle of the call",
        "a function that returns",
        "take out exit() and anything else that ends Python",
    ),
    "bad_result": lambda message: (message, "the result that the function's docstring describes", "return that"),
}


class _Judge:
    """A pytest plugin: gives each check its `work`, keeps the order of the rubric, turns reports into outcomes."""

    def __init__(self, rubric, works):
        self.rubric = rubric
        self.works = works
        self.order = {item.id: index for index, item in enumerate(rubric.items)}
        self.outcomes = [{} for _ in works]
        self.errors = []

    def pytest_generate_tests(self, metafunc):
        if "submission_index" in metafunc.fixturenames:
            metafunc.parametrize("submission_index", range(len(self.works)))

    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda check: (_index(check), self.order.get(_item_id(check), -1)))

    @pytest.fixture
    def work(self, submission_index):
        """The evidence of one submission, and what is needed to judge it."""
        work = self.works[submission_index]
        work.measured = {}
        return work

    def pytest_runtest_setup(self, item):
        rubric_item = self.rubric.by_id[_item_id(item)]
        outcomes = self.outcomes[_index(item)]
        unmet = [need for need in rubric_item.needs if _blocks(outcomes[need])]
        if unmet:
            before = outcomes[unmet[0]]
            outcomes[rubric_item.id] = _outcome(
                rubric_item,
                CANNOT_GRADE if before.status in (CANNOT_GRADE, GRADER_FAULT) else FAILED,
                what=before.what,
                needs=before.needs or before.item,
            )
            pytest.skip("its prerequisite failed")

    def pytest_runtest_makereport(self, item, call):
        rubric_item = self.rubric.by_id[_item_id(item)]
        outcomes = self.outcomes[_index(item)]
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, pytest.skip.Exception) or (call.when != "call" and error is None):
            return
        measured = dict(self.works[_index(item)].measured)
        if error is None:
            outcome = _outcome(rubric_item, PASSED, fraction=1.0, measured=measured)
        elif isinstance(error, Verdict):
            outcome = _outcome(
                rubric_item,
                error.status,
                fraction=error.fraction,
                what=error.what,
                wanted=error.wanted,
                try_=error.try_,
                blocks=error.blocks,
                measured=measured,
            )
        else:
            self.errors.append(f"{rubric_item.id}: {call.excinfo.getrepr(style='short')}")
            outcome = _outcome(rubric_item, GRADER_FAULT, what=_FAULT)
        outcomes[rubric_item.id] = outcome

    def pytest_collectreport(self, report):
        if report.failed:
            self.errors.append(str(report.longrepr))


_FAULT = "The grader itself failed here; this costs you nothing, and a person will look at it"


def judge(rubric, cases):
    """Judges submissions in one pytest run.

    Args:
        rubric: `grader.rubric.Rubric`.
        cases: list of `(evidence, hidden)`.

    Returns:
        `(outcomes, errors)`: for each case a list of `Outcome` in the order of the rubric, manual items left out;
        and the list of texts that explain every grader fault, for the staff.
    """
    works = [Work(evidence, hidden, rubric.thresholds[hidden.name]) for evidence, hidden in cases]
    plugin = _Judge(rubric, works)
    options = ["--strict-markers", "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:terminal"]
    options += ["-c", str(CHECKS / "pytest.ini"), f"--rootdir={CHECKS}", str(CHECKS)]
    with contextlib.redirect_stdout(io.StringIO()):
        status = pytest.main(options, plugins=[plugin])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        plugin.errors.append(f"pytest ended with {status!r}")
    results = []
    for found in plugin.outcomes:
        for item in rubric.automatic():
            if item.id not in found:
                plugin.errors.append(f"{item.id}: no check judged it")
                found[item.id] = _outcome(item, GRADER_FAULT, what=_FAULT)
        results.append([found[item.id] for item in rubric.automatic()])
    return results, plugin.errors


def _outcome(item, status, fraction=0.0, **feedback):
    open_points = status in (CANNOT_GRADE, GRADER_FAULT)
    return Outcome(
        item=item.id,
        title=item.title,
        step=item.step,
        status=status,
        points=None if open_points else round(item.points * fraction, 2),
        max_points=item.points,
        extra=item.extra,
        visibility=item.visibility,
        **feedback,
    )


def _blocks(outcome):
    """Whether what an item found keeps others from being judged; part of the points means that the thing is there."""
    return outcome.status != PASSED and not outcome.points and outcome.blocks


def _item_id(check):
    return check.get_closest_marker("item").args[0]


def _index(check):
    return check.callspec.params["submission_index"]
