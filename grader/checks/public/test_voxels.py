"""Checks of steps 10 and 12: voxels, and a split that keeps people apart."""

import numpy as np
import pytest

from grader.outcome import Failed

# Points crowded towards the upper end have a skewness of -1.7 to -2.3 along that axis, under any linear bounds.
MAX_SKEWNESS = -0.5


def skewness(marginal):
    """Third standardised moment of a count per cell: negative when the points crowd towards the high cells."""
    cells = np.arange(len(marginal))
    total = max(float(marginal.sum()), 1.0)
    deviations = cells - float(marginal @ cells) / total
    variance = max(float(marginal @ deviations**2) / total, 1e-9)
    return float(marginal @ deviations**3) / total / variance**1.5


@pytest.mark.item("10-shape")
def test_voxelize_gives_a_grid(work):
    """Voxelize gives a grid of whole, non-negative counts, 24 cells along each axis unless told otherwise."""
    counts = work.array("voxelize", "counts")
    if counts.shape[1:] != (24, 24, 24):
        raise Failed(f"a grid of shape {counts.shape[1:]}", "(24, 24, 24)", "np.zeros((size, size, size))")
    if (counts < 0).any() or not np.array_equal(counts, np.round(counts)):
        wanted = "how many points fall into each cell"
        raise Failed("cells that are negative or not whole", wanted, "add 1 per point", blocks=False)
    small = work.array("voxelize_size", "counts")
    if small.shape[-3:] != (12, 12, 12):
        raise Failed(f"size=12 gives shape {small.shape}", "(12, 12, 12)", "use the argument `size`", blocks=False)


@pytest.mark.item("10-sum")
def test_every_point_is_counted_once(work):
    """The counts of a grid add up to the number of points."""
    counts = work.array("voxelize", "counts")
    num_points = work.evidence.arrays["voxelize.input"].shape[1]
    sums = counts.sum(axis=(1, 2, 3))
    if np.all(sums == num_points):
        return
    if np.all(counts.max(axis=(1, 2, 3)) <= 1):
        why = "grid[x, y, z] += 1 with arrays of indices counts two points in one cell once: use np.add.at, or a loop"
    elif sums.min() < num_points:
        why = "count points on the upper border too, and points that share a cell"
    else:
        why = "start with a grid of zeros for each cloud, and add 1 per point"
    raise Failed(f"{num_points} points give sums of {int(sums.min())} to {int(sums.max())}", f"{num_points}", why)


@pytest.mark.item("10-order")
def test_order_of_points_does_not_matter(work):
    """The same points in another order give the same grid."""
    counts, permuted = (
        work.array("voxelize", "counts")[0],
        work.array("voxelize_permuted", "counts").reshape(24, 24, 24),
    )
    if not np.array_equal(counts, permuted):
        raise Failed(
            f"{int((counts != permuted).sum())} cells change when the points come in another order",
            "the same grid",
            "let each point choose its cell by its own coordinates",
        )


@pytest.mark.item("10-bounds")
def test_points_fall_into_the_right_cells(work):
    """Cells follow x, y and z in this order; both fixed and per-cloud bounds are right; the border is inside."""
    crowded = work.array("voxelize_axes", "counts")  # (3, 24, 24, 24); cloud k has most points at the end of axis k
    for axis, name in enumerate("xyz"):
        grid = crowded[axis]
        marginals = [grid.sum(axis=tuple({0, 1, 2} - {along})) for along in range(3)]
        skews = [skewness(marginal) for marginal in marginals]
        work.measured[f"skewness_of_{name}_cloud"] = [round(skew, 2) for skew in skews]
        if int(np.argmin(skews)) != axis or skews[axis] > MAX_SKEWNESS:
            raise Failed(
                f"points crowded at the high end of {name} are crowded elsewhere in the grid",
                f"most of them in the high cells along axis {axis}: a grid indexed [x, y, z], counted upwards",
                "use columns 0, 1 and 2 of the points for the three axes, in this order",
            )
    border = work.array("voxelize_boundary", "counts")
    num_points = int(work.evidence.arrays["voxelize_boundary.input"].shape[0])
    if int(border.sum()) != num_points:
        raise Failed(
            f"of {num_points} points, some on or beyond the bounds, {int(border.sum())} are counted",
            f"all {num_points}: those at or beyond a bound go to the border cell",
            "np.clip(cells, 0, size - 1) after rounding down",
        )


@pytest.mark.item("10-input")
def test_points_stay_as_they_are(work):
    """Voxelize does not change the array that it gets."""
    if not work.facts("voxelize")["input_unchanged"]:
        raise Failed(
            "the points were changed", "the same points as before the call", "write `points = points - lower`, not `-=`"
        )


@pytest.mark.item("12")
def test_nobody_is_in_both_sets(work):
    """split_by_subject puts each subject on one side, every row once, in the share and by the seed asked for."""
    train, test = work.array("split_by_subject", "train"), work.array("split_by_subject", "test")
    subjects = work.evidence.arrays["split_by_subject.input"]
    num_rows = len(subjects)
    rows = np.sort(np.concatenate([train, test]))
    both = np.intersect1d(subjects[train], subjects[test])
    wanted = "every row once, and every subject on one side only"
    if len(both):
        raise Failed(
            f"{len(both)} of {len(np.unique(subjects))} subjects are in both sets, so the network may know them",
            wanted,
            "draw subjects, not rows: np.unique(subject_ids), then np.isin",
        )
    if train.dtype == bool or (len(train) == len(test) == num_rows):
        raise Failed("masks, not row numbers", "two arrays of row numbers", "np.flatnonzero(mask)")
    if not np.array_equal(rows, np.arange(num_rows)):
        raise Failed(f"{len(train)} + {len(test)} rows of {num_rows}", wanted, "return row indices, each once")
    share = len(np.unique(subjects[test])) / len(np.unique(subjects))
    if not 0.15 <= share <= 0.25:
        raise Failed(f"test_fraction=0.2 tests on {share:.0%} of the subjects", "a fifth", "use test_fraction")
    again = work.array("split_by_subject", "test_again")
    other = work.array("split_by_subject", "test_other")
    if not np.array_equal(np.sort(test), np.sort(again)):
        raise Failed("the same seed gives another split", "the same", "np.random.default_rng(seed)")
    if not 0.22 <= len(np.unique(subjects[other])) / len(np.unique(subjects)) <= 0.38:
        raise Failed("test_fraction=0.3 does not give three tenths", "0.3 of the subjects", "use test_fraction")
