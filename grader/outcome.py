"""What a check says about a submission: passed, failed, cannot grade, or a fault of the grader.

A check is a pytest function. It returns when the item earns all its points, raises `Failed` or `CannotGrade` when it
does not, and gives a share of the points by `award`. Any other exception is our fault, and costs the student nothing.
"""

from dataclasses import asdict, dataclass, field

PASSED, FAILED, CANNOT_GRADE, GRADER_FAULT = "passed", "failed", "cannot_grade", "grader_fault"
STATUSES = (PASSED, FAILED, CANNOT_GRADE, GRADER_FAULT)


class Verdict(Exception):
    """The end of a check that did not earn every point.

    Args:
        what: str, what happened, with the values.
        wanted: str, what would have been right.
        try_: str, what the student can do, and where the handout asks for it.
        fraction: float in [0, 1], the share of the points that is earned all the same.
        blocks: bool; False if the items that wait for this one can be judged all the same, for the thing is there
            and only differs from what was asked.
    """

    status = FAILED

    def __init__(self, what, wanted="", try_="", fraction=0.0, blocks=True):
        super().__init__(what)
        self.what, self.wanted, self.try_, self.fraction, self.blocks = what, wanted, try_, fraction, blocks


class Failed(Verdict):
    """The submission is wrong or incomplete here."""


class CannotGrade(Verdict):
    """We refuse the file or cannot read it; a person must look, and the points stay open."""

    status = CANNOT_GRADE


@dataclass
class Outcome:
    """What one rubric item came to.

    Attributes:
        item: id of the rubric item, such as `"1b"`.
        title: what was checked, in the student's words.
        step: the handout's step.
        status: one of `STATUSES`; partial points are `failed`.
        points: float, or `None` while a person must decide.
        max_points: float.
        extra: whether the item is extra credit.
        visibility: Gradescope's word for who sees it, and when.
        what, wanted, try_: the feedback, empty where everything was right.
        needs: id of the failed item that this one waits for, or `None`.
        blocks: whether the items that wait for this one are not run, if it has failed.
        measured: JSON-able facts behind the verdict, such as `{"accuracy": 0.49, "n": 3589, "interval": […]}`.
        findings: list of findings about this item (see `grader.findings`).
    """

    item: str
    title: str
    step: str
    status: str
    points: float | None
    max_points: float
    extra: bool = False
    visibility: str = "visible"
    what: str = ""
    wanted: str = ""
    try_: str = ""
    needs: str | None = None
    blocks: bool = True
    measured: dict = field(default_factory=dict)
    findings: list = field(default_factory=list)

    def as_dict(self):
        """Returns the outcome as a dict that JSON can hold."""
        return asdict(self)


@dataclass
class Result:
    """Everything that grading one submission came to.

    Attributes:
        name: the submission's name.
        outcomes: list of `Outcome`, in the rubric's order.
        evidence: `grader.evidence.Evidence`, or `None` when nothing could be read.
        data_name: which thresholds were used: `"fer2013"`, `"synthetic"` or `"demo"`.
        data_version: str, identifies the hidden data.
        rubric_version: str, identifies the rubric.
        notices: list of sentences for the student about the submission as a whole.
        staff: facts for the TA alone, such as the accuracy on PrivateTest.
        triage: list of sentences, why a person must look at the submission as a whole.
    """

    name: str
    outcomes: list
    evidence: object
    data_name: str
    data_version: str
    rubric_version: str
    notices: list = field(default_factory=list)
    staff: dict = field(default_factory=dict)
    triage: list = field(default_factory=list)

    @property
    def total(self):
        """Points earned so far; items that need a person count nothing."""
        return sum(outcome.points or 0.0 for outcome in self.outcomes)

    @property
    def extra_points(self):
        """Points of extra credit in the total."""
        return sum(outcome.points or 0.0 for outcome in self.outcomes if outcome.extra)

    @property
    def max_points(self):
        """Points that the automatic items can give, without extra credit."""
        return sum(outcome.max_points for outcome in self.outcomes if not outcome.extra)

    @property
    def provisional(self):
        """Whether a person must look before the total is final."""
        return bool(self.triage) or any(outcome.status in (CANNOT_GRADE, GRADER_FAULT) for outcome in self.outcomes)

    def count(self, status):
        """Returns how many items have a status."""
        return sum(outcome.status == status for outcome in self.outcomes)
