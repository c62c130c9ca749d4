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
    return " (provisional: a person must look at some items)" if result.provisional else ""


def _sentence(text):
    return text if text.endswith((".", "!", "?")) else text + "."
