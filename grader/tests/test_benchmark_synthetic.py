"""The table of what the synthetic class costs runs, row by row."""

import pytest

from grader import benchmark


@pytest.mark.slow
def test_every_row_of_the_synthetic_table_is_measured(capsys):
    assert benchmark.run(["synthetic"], quick=True, repeats=1) == 0
    printed = capsys.readouterr().out
    assert "1,000 pictures, 68 landmarks" in printed and "csv of 35,887 rows" in printed
    assert "not run" not in printed and "stopped" not in printed
