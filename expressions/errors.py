"""One form for every error of the kit: what happened, what was wanted, what to try."""


class DataError(ValueError):
    """A file or a value that cannot be used.

    Args:
        what: str, what was found, with the values.
        wanted: str, what would have been right.
        try_: str, what the reader can do now.
    """

    def __init__(self, what, wanted, try_):
        super().__init__(what, wanted, try_)
        self.what = what
        self.wanted = wanted
        self.try_ = try_

    def __str__(self):
        return f"{self.what}\n  Wanted  {self.wanted}\n  Try     {self.try_}"
