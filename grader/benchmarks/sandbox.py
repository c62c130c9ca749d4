"""What isolation costs: from nothing to the first answer of a worker without TensorFlow, and one more question.

The levels differ in how the kernel is asked; the rest is Python's own start. What each level blocks is printed by
`python -m grader doctor`.
"""

import contextlib

from grader import sandbox
from grader.benchmark import Case

TITLE = "start of a worker, a question each"
ALTERNATIVE = "rlimits"


@contextlib.contextmanager
def cases(quick):
    """Yields the rows: each level that this machine can start."""
    rounds = 1 if quick else 5
    usable, missing = [], []
    for level in sandbox.LEVELS:
        reason = sandbox.probe_level(level.name)["missing"]
        (missing.append(f"{level.name}: {reason}") if reason else usable.append(level.name))
    note = f"{rounds} workers each; CPU seconds of their own processes are part of it."
    yield (
        " ".join([note, *(f"Not here: {text}." for text in missing)]),
        [Case(name, "grader.benchmarks.sandbox:start_workers", [name, rounds]) for name in usable],
    )


def start_workers(level, rounds):
    """Starts workers one after the other and asks each the canary's question.

    Returns:
        int, the answers that came back.
    """
    answers = 0
    for _ in range(rounds):
        answers += bool(sandbox._try_level(sandbox.level_named(level))["canary"])
    return answers
