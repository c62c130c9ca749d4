"""The tables of speed and memory run, and their cases agree with each other."""

import numpy as np
import pytest

from expressions.errors import DataError
from expressions.fer2013_arrays import load_fer2013_arrays
from grader import benchmark
from grader.benchmarks import fer2013 as fer2013_table


def test_fer2013_is_the_first_table():
    assert benchmark.table_names()[0] == "fer2013" and "point_clouds" in benchmark.table_names()


def test_an_unknown_table_is_refused_with_the_names_of_the_others():
    with pytest.raises(DataError, match="fer2013"):
        benchmark.run(["speed"], quick=True)


def test_the_quick_tables_are_printed_and_all_cases_give_the_same_arrays(capsys):
    assert benchmark.run(["point_clouds"], quick=True, repeats=1) == 0
    printed = capsys.readouterr().out
    assert "ast.literal_eval" in printed and "CPU s" in printed
    assert "DISAGREE" not in printed and "not run" not in printed


def test_cases_that_disagree_are_shouted_about(capsys):
    cases = [benchmark.Measurement(benchmark.Case(str(n), ""), [1.0], [1.0], 0, n, "") for n in (1, 2)]
    fake = type("Table", (), {"TITLE": "t", "ALTERNATIVE": "1"})
    benchmark.print_table("fake", fake, "note", cases)
    printed = capsys.readouterr().out
    assert "DISAGREE" in printed and "1 ×" in printed


def test_a_case_that_cannot_run_says_why():
    assert "needs no_such_module" in benchmark._run_in_child(benchmark.Case("a", "os:getcwd", [], "no_such_module"))
    assert "FileNotFoundError" in benchmark._run_in_child(benchmark.Case("a", "os:listdir", ["/no/such/folder"]))


def test_cpu_time_of_processes_that_nobody_waits_for_is_added():
    spent = benchmark._run_in_child(benchmark.Case("a", "builtins:dict", [[["cpu_elsewhere", 5]]]))
    assert 5 <= spent["cpu"] < 6 and spent["answer"] is None


def test_the_peak_memory_of_a_case_is_its_own():
    ballast = np.ones(40_000_000)
    small = benchmark._run_in_child(benchmark.Case("a", "builtins:len", [[1, 2]]))
    assert small["answer"] == 2 and 0 < small["peak"] < ballast.nbytes


@pytest.mark.parametrize("read", ["read_with_pandas", "read_with_split", "read_lines"])
def test_every_way_to_read_a_csv_gives_the_same_images(tmp_path, read):
    if "pandas" in read:
        pytest.importorskip("pandas")
    path = fer2013_table.write_csv(tmp_path / "fer2013.csv", (5, 2, 2))
    fer = load_fer2013_arrays(path, cache=False)
    assert getattr(fer2013_table, read)(str(path)) == fer2013_table._summary(fer.images, fer.labels)
