"""Reads and checks `rubric.toml`: items, points, thresholds, limits and the hidden split's seeds."""

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from expressions.errors import DataError

RUBRIC = Path(__file__).resolve().parent / "rubric.toml"
DATA_NAMES = ("fer2013", "synthetic", "demo")
VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")

_LIMITS = {"function_seconds", "training_seconds", "model_seconds", "memory_gigabytes", "file_megabytes"}
_HIDDEN = {
    "synthetic": {"image_seed", "num_public_images", "num_private_images", "cloud_seed", "num_subjects"},
    "demo": {"image_seed", "num_public_images", "num_private_images", "cloud_seed", "num_subjects"},
    "fer2013": {"cloud_seed", "num_subjects"},
}
_THRESHOLDS = {"model_1", "model_2_gain", "voxels"}


@dataclass(frozen=True)
class Item:
    """One line of the rubric."""

    id: str
    title: str
    points: float
    step: str = ""
    needs: tuple = ()
    extra: bool = False
    manual: bool = False
    visibility: str = "visible"


@dataclass(frozen=True)
class Ramp:
    """Points for a measured share: none up to `zero`, all from `full` on, in proportion between."""

    zero: float
    full: float

    def fraction(self, value):
        """Returns the share of the points that a value earns, 0.0 to 1.0."""
        return min(max((value - self.zero) / (self.full - self.zero), 0.0), 1.0)


@dataclass(frozen=True)
class Rubric:
    """The whole rubric.

    Attributes:
        title: name of the assignment.
        items: tuple of `Item`, in the order of the report.
        limits: dict of numbers, see the file.
        hidden: dict from data name to the numbers that make its hidden split.
        thresholds: dict from data name to dict of `Ramp`.
        version: str, changes with every change of the file.
    """

    title: str
    items: tuple
    limits: dict
    hidden: dict
    thresholds: dict
    version: str
    by_id: dict = field(compare=False)

    def automatic(self):
        """Returns the items that a check judges."""
        return [item for item in self.items if not item.manual]


def load_rubric(path=RUBRIC):
    """Reads a rubric.

    Args:
        path: a toml file.

    Returns:
        `Rubric`.

    Raises:
        DataError: a key is unknown or missing, a number out of range, an item's `needs` names no earlier item, or
            the points do not add up to what the file promises.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path.name} is not TOML: {error}.", "key = value lines", "look at that line") from error

    _only(data, {"title", "points", "limits", "hidden", "thresholds", "items"}, path.name, all_required=True)
    _only(data["limits"], _LIMITS, "[limits]", all_required=True)
    _only(data["hidden"], set(_HIDDEN), "[hidden]", all_required=True)
    for name, keys in _HIDDEN.items():
        _only(data["hidden"][name], keys, f"[hidden.{name}]", all_required=True)
    for place in (data["limits"], *data["hidden"].values()):
        for key, value in place.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise _wrong(f"{key} is {value!r}", "a number above 0")

    items = _read_items(data["items"])
    total = sum(item.points for item in items if not item.extra)
    if total != data["points"]:
        raise _wrong(f"the items give {total:g} points together", f"points = {data['points']}")
    return Rubric(
        title=data["title"],
        items=tuple(items),
        limits=data["limits"],
        hidden=data["hidden"],
        thresholds=_read_thresholds(data["thresholds"]),
        version=hashlib.sha256(text.encode()).hexdigest()[:12],
        by_id={item.id: item for item in items},
    )


def _read_items(tables):
    items = []
    for table in tables:
        name = f"item {table.get('id', '?')}"
        _only(table, set(Item.__dataclass_fields__), name)
        for key in ("id", "title", "points"):
            if key not in table:
                raise _wrong(f"{name} has no {key}", "every item with id, title and points")
        item = Item(**{"step": table["id"], **table, "needs": tuple(table.get("needs", ()))})
        earlier = {other.id for other in items}
        if item.id in earlier:
            raise _wrong(f"{name} is there twice", "one item per id")
        if not set(item.needs) <= earlier:
            raise _wrong(f"{name} needs {', '.join(item.needs)}", "ids of items above it")
        if not item.points > 0:
            raise _wrong(f"{name} has {item.points} points", "points above 0")
        if item.visibility not in VISIBILITIES:
            raise _wrong(f"{name} has visibility {item.visibility!r}", f"one of {', '.join(VISIBILITIES)}")
        items.append(item)
    return items


def _read_thresholds(tables):
    _only(tables, set(DATA_NAMES), "[thresholds]", all_required=True)
    thresholds = {}
    for data_name, table in tables.items():
        _only(table, _THRESHOLDS, f"[thresholds.{data_name}]", all_required=True)
        thresholds[data_name] = {}
        for key, ramp in table.items():
            _only(ramp, {"zero", "full"}, f"{key} in [thresholds.{data_name}]", all_required=True)
            if not 0 <= ramp["zero"] < ramp["full"] <= 1:
                raise _wrong(f"{key} in [thresholds.{data_name}] is {ramp}", "0 <= zero < full <= 1")
            thresholds[data_name][key] = Ramp(**ramp)
    return thresholds


def _only(table, keys, place, all_required=False):
    unknown = sorted(set(table) - keys)
    missing = sorted(keys - set(table)) if all_required else []
    if unknown or missing:
        what = [f"unknown key {key!r}" for key in unknown] + [f"no {key!r}" for key in missing]
        raise _wrong(f"{place}: {', '.join(what)}", f"the keys {', '.join(sorted(keys))}")


def _wrong(what, wanted):
    return DataError(f"The rubric is wrong: {what}.", wanted, "edit grader/rubric.toml")
