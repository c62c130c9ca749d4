"""Things about a submission that a person should look at. A flag is never a penalty, and students do not see it.

A flag is a dict: `code`, `model` (which network, or empty), `what` (with numbers), `look` (what the person can do).
"""

import functools
import tomllib
from pathlib import Path

from expressions.metrics import wilson_interval

KNOWN_MODELS = Path(__file__).with_name("known_models.toml")

# The best that was published without dispute on FER-2013's PrivateTest: an ensemble of seven networks, 76.82 %.
# Source: ResidualMaskingNetwork, https://github.com/phamquiluan/ResidualMaskingNetwork
BEST_PUBLISHED = {"fer2013": 0.7682}
# A network this good knows its training pictures better than others, unless it has seen the others too.
GOOD_ENOUGH_TO_OVERFIT = 0.60
Z = 3.29  # two-sided 0.1 %


@functools.cache
def known_models():
    """Reads the list of public model files.

    Returns:
        dict from sha256 to dict with `repository`, `path`, `sha256` and, for most, `weights_sha256`.
    """
    with KNOWN_MODELS.open("rb") as file:
        entries = tomllib.load(file)["models"]
    return {entry["sha256"]: entry for entry in entries}


@functools.cache
def known_weights():
    """The same by the sum of the weights alone: dict from `weights_sha256` to the dicts of `known_models`."""
    return {entry["weights_sha256"]: entry for entry in known_models().values() if "weights_sha256" in entry}


def _flag(code, model, what, look):
    return {"code": code, "model": model, "what": what, "look": look}


def file_flags(audit, model):
    """Returns the flags of one model file.

    Args:
        audit: dict of `expressions.model_file.audit`.
        model: str, its name, for sentences.

    Returns:
        list of flags.
    """
    found = []
    known = known_models().get(audit.get("sha256"))
    copied = known_weights().get((audit.get("weight_facts") or {}).get("sha256"))
    if known or copied:
        entry = known or copied
        how = "is byte for byte" if known else "has the same weights as"
        found.append(
            _flag(
                "known_model", model,
                f"{model} {how} {entry['path']} of the public repository {entry['repository']}",
                "ask where it comes from: the assignment is to train one's own",
            )
        )  # fmt: skip
    untrained = untrained_words(audit)
    if untrained:
        found.append(
            _flag(
                "untrained_weights", model, f"{model}: {untrained}",
                "see whether the script saves the network before it trains it, or another one",
            )
        )  # fmt: skip
    return found


def untrained_words(audit):
    """Says why weights look as if they had never been trained; empty if they do not."""
    return next((str(note["what"]) for note in audit.get("notes") or () if note.get("code") == "untrained"), "")


def split_flags(data_name, counted, model="the network"):
    """Returns the flags that follow from accuracies on several parts of a data set.

    Args:
        data_name: `"fer2013"`, `"synthetic"` or `"demo"`.
        counted: dict from split (`"PublicTest"`, `"PrivateTest"`, `"Training"`) to (right, n).
        model: str, for sentences.

    Returns:
        list of flags.
    """
    found = []
    share = {name: right / n for name, (right, n) in counted.items() if n}
    words = {name: f"{share[name]:.1%} of {counted[name][1]:,} ({name})" for name in share}
    if {"PublicTest", "PrivateTest"} <= set(share):
        gap, error = _difference(counted["PublicTest"], counted["PrivateTest"])
        if gap > max(0.05, Z * error):
            found.append(
                _flag(
                    "trained_on_public_test", model,
                    f"{model} is right for {words['PublicTest']}, but for {words['PrivateTest']}",
                    "see whether PublicTest was among the training pictures, or chose the epoch among very many",
                )
            )  # fmt: skip
    test = "PrivateTest" if "PrivateTest" in share else "PublicTest"
    if {"Training", test} <= set(share) and share[test] >= GOOD_ENOUGH_TO_OVERFIT:
        gap, error = _difference(counted["Training"], counted[test])
        # A network that never saw the test pictures has a gap; here even its upper bound (95 %) is small.
        if gap + 1.645 * error < 0.035:
            found.append(
                _flag(
                    "trained_on_everything", model,
                    f"{model} is right for {words[test]} and for {words['Training']}: no better where it was trained",
                    "see whether the test pictures were among the training pictures",
                )
            )  # fmt: skip
    best = BEST_PUBLISHED.get(data_name)
    for name in ("PublicTest", "PrivateTest"):
        if best and name in counted and wilson_interval(*counted[name])[0] > best:
            found.append(
                _flag(
                    "better_than_published", model,
                    f"{model} is right for {words[name]}; the best published is {best:.1%}",
                    "see whether the test pictures were among the training pictures",
                )
            )  # fmt: skip
            break
    return found


def _difference(first, second):
    """Returns the difference of two shares (right, n), and its standard error."""
    shares = [right / n for right, n in (first, second)]
    variance = sum(share * (1 - share) / n for share, (_, n) in zip(shares, (first, second)))
    return shares[0] - shares[1], max(variance, 1e-12) ** 0.5


def submission_flags(evidence, hidden):
    """Returns all flags of a submission.

    Args:
        evidence: `grader.evidence.Evidence`.
        hidden: `grader.hidden.HiddenData`.

    Returns:
        list of flags, those of model_1 first.
    """
    from grader.hidden import SCORE_SPLIT, STAFF_SPLIT

    found = []
    for name, audit in evidence.audits.items():
        found += file_flags(audit, name)
        outputs = evidence.arrays.get(f"{name}.hidden")
        if hidden.name == "fer2013" and outputs is not None and len(outputs) == len(hidden.labels):
            right = outputs.argmax(axis=1) == hidden.labels
            counted = {
                split: (int(right[hidden.rows(split)].sum()), len(right[hidden.rows(split)]))
                for split in (SCORE_SPLIT, STAFF_SPLIT)
                if len(right[hidden.rows(split)])
            }
            found += split_flags(hidden.name, counted, name)
    found += _kinship_flags(evidence.models, evidence.audits)
    return found


# Script that makes a network, by the handout.
_MAKERS = {"model_1": "cnn", "model_2": "cnn", "model_3": "transfer", "model_4": "cnnx", "model_ec1": "cnnx"}


def triage_notes(evidence):
    """Says why a person must look at a submission as a whole, beyond single items.

    Saved networks are judged by their files alone. Where the script that should have made them is not there, somebody
    has to ask how they were made.

    Args:
        evidence: `grader.evidence.Evidence`.

    Returns:
        list of sentences.
    """
    orphans = {}
    for model, script in _MAKERS.items():
        is_there = evidence.models.get(model, {}).get("status", "missing") != "missing"
        if is_there and evidence.probes.get(f"{script}.import", {}).get("status") == "missing":
            orphans.setdefault(f"{script}.py", []).append(f"{model}.h5")
    return [
        f"{' and '.join(models)} {'are' if len(models) > 1 else 'is'} in the submission, but {script} is not: nothing "
        f"shows how {'they were' if len(models) > 1 else 'it was'} made"
        for script, models in orphans.items()
    ]


def _kinship_flags(models, audits):
    second, third = models.get("model_2", {}), models.get("model_3", {})
    same = second.get("same_as_model_1") or {}
    if same.get("identical") or _same_bytes(audits, "model_1", "model_2"):
        yield _flag(
            "model_2_is_model_1", "model_2", "model_2 is model_1: the same layers with the same weights",
            "see whether the script saved the wrong network",
        )  # fmt: skip
    lineage = third.get("descends_from_model_2")
    if _same_bytes(audits, "model_2", "model_3") or (lineage or {}).get("identical"):
        yield _flag(
            "model_3_is_model_2", "model_3", "model_3 is model_2, unchanged",
            "see whether transfer.py saves what personalize returns",
        )  # fmt: skip
    elif third.get("status") == "ok" and second.get("status") == "ok" and lineage is not None:
        shared, total = lineage.get("shared_layers") or 0, max(lineage.get("num_layers") or 0, 1)
        correlation = lineage.get("correlation")
        if shared < 0.5 * total or correlation is None or correlation <= 0.5:
            said = "no weights to compare" if correlation is None else f"a correlation of {correlation:.2f}"
            yield _flag(
                "model_3_not_from_model_2", "model_3",
                f"model_3 shares {shared} of its {total} layers with model_2, with {said}: it was not made from it",
                "see where model_3 comes from",
            )  # fmt: skip


def _same_bytes(audits, first, second):
    sums = [audits.get(name, {}).get("sha256") for name in (first, second)]
    return sums[0] is not None and sums[0] == sums[1]
