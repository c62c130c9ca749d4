"""`results.json`: Gradescope's schema, with our own facts under `extra_data`.

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

import json
from pathlib import Path

from grader.outcome import PASSED, STATUSES
from grader.report.text import feedback_lines, status_words


def results_dict(result):
    """Returns the dict that `results.json` holds.

    Args:
        result: `grader.outcome.Result`.

    Returns:
        dict; `score` is the sum of the decided items, and `extra_data.provisional` says whether some are open.
    """
    evidence = result.evidence
    return {
        "score": round(result.total, 2),
        "output": "\n".join(result.notices),
        "output_format": "text",
        "test_output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [_test(outcome) for outcome in result.outcomes],
        "extra_data": {
            "name": result.name,
            "max_points": result.max_points,
            "provisional": result.provisional,
            "triage": result.triage,
            **{status: result.count(status) for status in STATUSES},
            "outcomes": [outcome.as_dict() for outcome in result.outcomes],
            "thresholds": result.data_name,
            "data_version": result.data_version,
            "rubric_version": result.rubric_version,
            "isolation": evidence.isolation if evidence else None,
            "versions": evidence.versions if evidence else None,
            "submission": evidence.submission if evidence else None,
            "models": {name: _model(model) for name, model in evidence.models.items()} if evidence else None,
            "seconds": evidence.seconds if evidence else None,
            "staff": result.staff,
        },
    }


# What is told about a saved network; its layers and arrays stay in the evidence.
_MODEL_KEYS = (
    *("status", "message", "route", "adapted", "input_shape", "output_shape", "num_parameters"),
    *("same_as_model_1", "descends_from_model_2"),
)


def _model(model):
    return {key: model[key] for key in _MODEL_KEYS if model.get(key) not in (None, "")}


def _test(outcome):
    test = {
        "number": outcome.item,
        "name": outcome.title,
        "max_score": outcome.max_points,
        "status": "passed" if outcome.status == PASSED else "failed",
        "output": "\n".join([status_words(outcome), *(f"{label}: {text}" for label, text in feedback_lines(outcome))]),
        "tags": [f"step {outcome.step}"],
        "visibility": outcome.visibility,
        "extra_data": {"status": outcome.status, "needs": outcome.needs},
    }
    if outcome.points is not None:
        test["score"] = outcome.points
    return test


def write_json(data, path):
    """Writes a dict as JSON: whole or not at all, for a reader never sees half a file."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)
