"""One submission from archive to result: intake, evidence, judgement. No TensorFlow here.

A run that is killed leaves no half-written report, and loses no answer that it had: the same command goes on from
there, and clears away what the killed run could not.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from expressions.metrics import classification_metrics
from grader.durable import scratch_folder, sweep, write_whole
from grader.evidence import collect, sweep_workers
from grader.findings import find_behaviour, settle
from grader.flags import submission_flags, triage_notes
from grader.hidden import SCORE_SPLIT, STAFF_SPLIT
from grader.intake import IntakeError, Limits, open_submission
from grader.judge import judge
from grader.outcome import CANNOT_GRADE, Outcome, Result
from grader.report.html import write_report
from grader.report.results_json import results_dict, write_json
from grader.report.text import isolation_words

MODELS = ("model_1", "model_2", "model_3", "model_4", "model_ec1")


def grade(path, rubric, hidden, out=None, cache=None, progress=None, accept_weak_isolation=False):
    """Grades one submission, and writes its reports.

    Args:
        path: zip, tar.gz or folder.
        rubric: `grader.rubric.Rubric`.
        hidden: `grader.hidden.HiddenData`.
        out: folder for `results.json` and `report.html`, or `None` to write nothing.
        cache: folder where evidence is kept between runs; by default `evidence` in `out`.
        progress: function that is called with a short sentence at each phase, or `None`.
        accept_weak_isolation: bool, run student code although nothing but limits holds it.

    Returns:
        `grader.outcome.Result`.
    """
    path = Path(path)
    if cache is None and out is not None:
        cache = Path(out) / "evidence"
    sweep(tempfile.gettempdir(), SCRATCH_PREFIXES)
    sweep_workers()
    with scratch_folder(SCRATCH_PREFIXES[0]) as scratch:
        try:
            limits = Limits(max_file_bytes=int(rubric.limits["file_megabytes"] * 1e6))
            submission = open_submission(path, scratch, limits)
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
                wants_variants=variants_wanted(rubric, hidden),
            )
            result = judge_evidence(submission.name, rubric, hidden, evidence)
        if out is not None:
            _write_reports(result, Path(out), scratch)
    return result


# Of folders that hold nothing once their run has ended.
SCRATCH_PREFIXES = ("grading-", "grader-photos-")

# Below this a network has probably been given something else than it was trained on.
SUSPICIOUS_ACCURACY = 0.40


def variants_wanted(rubric, hidden):
    """Makes the function that tells `collect` which models to ask again, with pictures under other scalings.

    The labels stay here: a worker learns from it at most that its network is not good.

    Args:
        rubric: `grader.rubric.Rubric`.
        hidden: `grader.hidden.HiddenData`.

    Returns:
        function of a model's name and its predictions, float32 `(n, 7)`, that returns bool.
    """
    enough = max(SUSPICIOUS_ACCURACY, rubric.thresholds[hidden.name]["model_1"].full)
    rows = hidden.rows(SCORE_SPLIT)

    def wants_variants(name, predictions):
        return bool(np.mean(np.argmax(predictions[rows], axis=1) == hidden.labels[rows]) < enough)

    return wants_variants


def _write_reports(result, out, scratch):
    """Writes both reports whole: a kill leaves the old one or the new one, and two runs never mix theirs."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(results_dict(result), scratch / "results.json")
    write_report(result, scratch / "report.html")
    write_report(result, scratch / "staff.html", staff=True)
    for name in ("report.html", "staff.html", "results.json"):
        write_whole(out / name, (scratch / name).read_bytes())


def judge_evidence(name, rubric, hidden, evidence):
    """Judges evidence that is there already; nothing of the submission is run or read again.

    Returns:
        `grader.outcome.Result`.
    """
    (outcomes,), errors = judge(rubric, [(evidence, hidden)])
    if any(repr(pytest.ExitCode.INTERRUPTED) in error for error in errors):
        raise KeyboardInterrupt  # pytest takes Ctrl-C for the end of its own run, and half a judgement is none
    # What students read is about the pictures that count; the others are the staff's.
    found = find_behaviour(evidence, hidden.labels[hidden.rows(SCORE_SPLIT)], hidden.cloud_labels)
    _attach(settle([*evidence.findings, *found], outcomes), outcomes)
    return Result(
        name=name,
        outcomes=outcomes,
        evidence=evidence,
        data_name=hidden.name,
        data_version=hidden.version,
        rubric_version=rubric.version,
        notices=_notices(rubric, hidden, evidence),
        staff={
            "faults": errors + _worker_faults(evidence),
            "flags": submission_flags(evidence, hidden),
            **_staff_facts(hidden, evidence),
        },
        triage=triage_notes(evidence),
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
    for remark in evidence.submission.get("remarks", []):
        if not remark["staff"]:
            notices.append(f"{remark['what']}. Wanted: {remark['wanted']}. Try: {remark['try']}.")
    told = []
    for mapping in evidence.submission.get("mapped", []):
        renamed = mapping["to"] not in ("", "./", mapping["from"])
        told.append(f"{mapping['from']}{' was read as ' + mapping['to'] if renamed else ''}: {mapping['why']}.")
    notices += _first(told)
    notices += _first(
        [
            f"{refused['entry']} was left out: {refused['what']}. Try: {refused['try']}."
            for refused in evidence.submission.get("refused", [])
        ]
    )
    told = []
    for skipped in evidence.submission.get("skipped", []):
        number = f" ({skipped['files']:,} files)" if skipped.get("files", 0) > 1 else ""
        told.append(f"{skipped['entry']}{number} was not read: {skipped['why']}.")
    notices += _first(told)
    notices.append(f"Isolation: {isolation_words(evidence.isolation)}.")
    return notices


MAX_NOTICES = 12  # of one kind: an archive with a thousand odd names must not bury what matters


def _first(sentences):
    more = len(sentences) - MAX_NOTICES
    return sentences if more <= 1 else [*sentences[:MAX_NOTICES], f"… and {more:,} more like these; see results.json."]


def _worker_faults(evidence):
    return [f"{fault['where']}: {fault['message']}" for fault in evidence.faults]


def _staff_facts(hidden, evidence):
    """Accuracies that students do not see, and what to know before opening a file of theirs."""
    facts = {}
    warnings = [f"{row['what']}; {row['try']}" for row in evidence.submission.get("remarks", []) if row["staff"]]
    if warnings:
        facts["warnings"] = warnings
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
