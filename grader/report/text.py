"""Feedback on the screen, one block per rubric item, in the form of the house: what, wanted, try."""

import textwrap

from grader.outcome import CANNOT_GRADE, GRADER_FAULT, PASSED

WIDTH = 100
_SECTIONS = {"1": 3, "2": 3, "3": 3, "4": 3, "5": 4, "6": 4, "7": 4, "9": 5, "10": 5, "11": 5, "12": 5, "13": 5, "E": 5}


def handout_place(step):
    """Where the handout asks for a step: `"3c"` is in section 3, step 3(c)."""
    number = "E" if step.startswith("EC") else "".join(character for character in step if character.isdigit())
    if number == "E":
        return f"Handout section 5, extra credit {step[2:]}."
    letter = step[len(number) :]
    return f"Handout section {_SECTIONS[number]}, step {number}{f'({letter})' if letter else ''}."


def status_words(outcome):
    """The right-hand column: points, or why there are none."""
    if outcome.needs is not None:
        return f"not run: it needs {outcome.needs}"
    if outcome.status == CANNOT_GRADE:
        return "cannot grade yet: a person will look"
    if outcome.status == GRADER_FAULT:
        return "fault of the grader: a person will look"
    return f"{outcome.points:g} / {outcome.max_points:g}"


def feedback_lines(outcome):
    """Returns `(label, text)` pairs that explain an outcome; none where there is nothing to say.

    An item that waits for another says only which one, and the sentence that stopped it.
    """
    if outcome.status == PASSED:
        pairs = [("Measured", accuracy_words(outcome.measured))] if "accuracy" in outcome.measured else []
    elif outcome.needs is not None:
        pairs = [("Because", outcome.what)]
    else:
        try_ = (
            f"{_sentence(outcome.try_)} {handout_place(outcome.step)}" if outcome.try_ else handout_place(outcome.step)
        )
        pairs = [("What", outcome.what), ("Wanted", outcome.wanted), ("Try", try_)] if outcome.what else []
    advised = {outcome.try_}
    for finding in outcome.findings:
        where = f" ({finding['file']}, line {finding['line']})" if finding.get("line") else ""
        pairs.append(("Found", f"{finding['certainty']}: {finding['what']}{where}"))
        if finding["code"] not in advised and finding.get("try") not in advised:
            pairs.append(("Try", finding.get("try", "")))
        advised |= {finding["code"], finding.get("try")}
    return [(label, text) for label, text in pairs if text]


def accuracy_words(measured):
    """An accuracy with what it is worth: `"64.2% of 3,589 right (95 % interval 62.6% to 65.7%)"`."""
    low, high = measured["interval"]
    return f"{measured['accuracy']:.1%} of {measured['n']:,} right (95 % interval {low:.1%} to {high:.1%})"


def isolation_words(isolation):
    """How student code was held: `"bubblewrap; the canary found 11 of 11 doors shut"`.

    Args:
        isolation: dict with `level` and `canary`, from door to `"blocked"`, `"allowed"` or `"unknown"`.
    """
    doors = {door: state for door, state in (isolation.get("canary") or {}).items() if door != "uid"}
    if not doors:
        return isolation["level"]
    shut = [door for door, state in doors.items() if state == "blocked"]
    words = f"{isolation['level']}; the canary found {len(shut)} of {len(doors)} doors shut"
    others = [door.replace("_", " ") for door in doors if door not in shut]
    return f"{words}, open or unknown: {', '.join(others)}" if others else words


def route_words(model):
    """How a network was loaded, and what its pictures were made into.

    Args:
        model: dict, an entry of `Evidence.models`.
    """
    return "; ".join(part for part in (str(model.get("route") or ""), model.get("adapted") or "") if part)


def points_words(result):
    """The total in words: `"80 of 80 automatic points, and 5 of extra credit"`."""
    words = f"{result.total - result.extra_points:g} of {result.max_points:g} automatic points"
    return f"{words}, and {result.extra_points:g} of extra credit" if result.extra_points else words


def render(result):
    """Returns the whole feedback as text of at most `WIDTH` columns.

    Args:
        result: `grader.outcome.Result`.
    """
    id_width = max(len(outcome.item) for outcome in result.outcomes) + 2
    lines = [f"{result.name}: {points_words(result)}{_provisional(result)}"]
    lines += [f"Thresholds: {result.data_name}. {sentence}" for sentence in result.notices[:1]]
    lines += result.notices[1:]
    lines += [f"For a person: {note}." for note in result.triage]
    for name, model in (result.evidence.models if result.evidence else {}).items():
        # An ordinary file of today's Keras needs no line; the page and results.json tell it of every network.
        if model.get("status") == "ok" and (model.get("adapted") or ": " in str(model.get("route"))):
            lines.append(f"{name}.h5: {route_words(model)}.")
    lines = [line for text in lines for line in textwrap.wrap(text, WIDTH, break_long_words=False) or [""]]
    lines.append("")
    for outcome in result.outcomes:
        right = status_words(outcome)
        title = textwrap.shorten(outcome.title, WIDTH - id_width - len(right) - 2, placeholder=" …")
        lines.append(f"{outcome.item:{id_width}}{title:{WIDTH - id_width - len(right)}}{right}")
        for label, text in feedback_lines(outcome):
            wrapped = textwrap.wrap(text, WIDTH - id_width - 9, break_long_words=False) or [""]
            lines.append(f"{'':{id_width}}{label:9}{wrapped[0]}")
            lines += [f"{'':{id_width + 9}}{more}" for more in wrapped[1:]]
    return "\n".join(lines) + "\n"


def _provisional(result):
    if not result.provisional:
        return ""
    return f" (provisional: a person must look at {'the whole' if result.triage else 'some items'})"


def _sentence(text):
    return text if text.endswith((".", "!", "?")) else text + "."
