"""One submission from archive to result: intake, evidence, judgement. No TensorFlow here."""

import tempfile
from pathlib import Path

import numpy as np

from expressions.metrics import classification_metrics
from grader.evidence import collect
from grader.findings import find_behaviour, settle
from grader.hidden import SCORE_SPLIT, STAFF_SPLIT
from grader.intake import IntakeError, Limits, open_submission
from grader.judge import judge
from grader.outcome import CANNOT_GRADE, Outcome, Result
from grader.report.html import write_report
from grader.report.results_json import results_dict, write_json

MODELS = ("model_1", "model_2", "model_3", "model_4", "model_ec1")


def grade(path, rubric, hidden, out=None, cache=None, progress=None, accept_weak_isolation=False):
    """Grades one submission, and writes its reports.

    Args:
        path: zip, tar.gz or folder.
        rubric: `grader.rubric.Rubric`.
        hidden: `grader.hidden.HiddenData`.
        out: folder for `results.json` and `report.html`, or `None` to write nothing.
        cache: folder where evidence is kept between runs, or `None`.
        progress: function that is called with a short sentence at each phase, or `None`.
        accept_weak_isolation: bool, run student code although nothing but limits holds it.

    Returns:
        `grader.outcome.Result`.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix="grading-") as scratch:
        try:
            limits = Limits(max_file_bytes=int(rubric.limits["file_megabytes"] * 1e6))
            submission = open_submission(path, Path(scratch), limits)
        except IntakeError as error:
            result = _unreadable(path, rubric, hidden, error)
        else:
            evidence = collect(
                submission,
                hidden,
                rubric.limits,
                cache,
                progress=progress,
                accept_weak_isolation=accept_weak_isolation,
            )
            result = judge_evidence(submission.name, rubric, hidden, evidence)
    if out is not None:
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_json(results_dict(result), out / "results.json")
        write_report(result, out / "report.html")
    return result


def judge_evidence(name, rubric, hidden, evidence):
    """Judges evidence that is there already; nothing of the submission is run or read again.

    Returns:
        `grader.outcome.Result`.
    """
    (outcomes,), errors = judge(rubric, [(evidence, hidden)])
    _attach(settle([*evidence.findings, *find_behaviour(evidence, hidden.labels)], outcomes), outcomes)
    return Result(
        name=name,
        outcomes=outcomes,
        evidence=evidence,
        data_name=hidden.name,
        data_version=hidden.version,
        rubric_version=rubric.version,
        notices=_notices(rubric, hidden, evidence),
        staff={"faults": errors + _worker_faults(evidence), **_staff_facts(hidden, evidence)},
    )


def _unreadable(path, rubric, hidden, error):
    outcomes = [
        Outcome(
            item=item.id,
            title=item.title,
            step=item.step,
            status=CANNOT_GRADE,
            points=None,
            max_points=item.points,
            extra=item.extra,
            visibility=item.visibility,
            what="" if number else error.what,
            wanted="" if number else error.wanted,
            try_="" if number else error.try_,
        )
        for number, item in enumerate(rubric.automatic())
    ]
    notices = [f"Nothing in {path.name} could be read: {error.what}"]
    return Result(path.stem, outcomes, None, hidden.name, hidden.version, rubric.version, notices)


def _attach(findings, outcomes):
    """Gives each finding to the outcome of its item, or of its step; source and behaviour may say the same thing."""
    for finding in findings:
        homes = [outcome for outcome in outcomes if finding["item"] in (outcome.item, outcome.step)]
        for outcome in homes[:1]:
            if all(
                finding["code"] != other["code"] or finding["basis"] != other["basis"] for other in outcome.findings
            ):
                outcome.findings.append(finding)


def _notices(rubric, hidden, evidence):
    notices = [f"Tested on {hidden.description}."]
    by_hand = [f"{item.title} ({item.points:g} points)" for item in rubric.items if item.manual]
    writeup = "is there" if "writeup.pdf" in evidence.submission.get("files", {}) else "is missing"
    notices.append(f"Graded by a person: {'; '.join(by_hand)}. writeup.pdf {writeup}.")
    for mapping in evidence.submission.get("mapped", []):
        renamed = mapping["to"] not in ("", "./", mapping["from"])
        notices.append(f"{mapping['from']}{' was read as ' + mapping['to'] if renamed else ''}: {mapping['why']}.")
    for refused in evidence.submission.get("refused", []):
        notices.append(f"{refused['entry']} was left out: {refused['what']}.")
    notices.append(f"Isolation: {evidence.isolation['level']}.")
    return notices


def _worker_faults(evidence):
    return [f"{fault['where']}: {fault['message']}" for fault in evidence.faults]


def _staff_facts(hidden, evidence):
    """Accuracies that students do not see."""
    facts = {}
    for name in MODELS[:3]:
        probabilities = evidence.arrays.get(f"{name}.hidden")
        if probabilities is None or evidence.models[name]["status"] != "ok":
            continue
        for split in (SCORE_SPLIT, STAFF_SPLIT):
            rows = hidden.rows(split)
            if len(hidden.labels[rows]):
                metrics = classification_metrics(hidden.labels[rows], np.argmax(probabilities[rows], axis=1))
                facts[f"{name} on {split}"] = {
                    "accuracy": round(float(metrics.accuracy), 4),
                    "n": int(metrics.num_samples),
                }
    for probe in ("photos_train", "photos_test"):
        labels = evidence.arrays.get(f"load_{probe}.labels")
        for name in ("model_2", "model_3"):
            probabilities = evidence.arrays.get(f"{name}.{probe}")
            if probabilities is not None and labels is not None and len(labels) == len(probabilities):
                right = int((np.argmax(probabilities, axis=1) == labels).sum())
                facts[f"{name} on {probe}"] = {"right": right, "n": len(labels)}
    return facts
