"""Tables of speed and memory: `python -m grader benchmark [NAME…] [--quick]`.

Each table is a module in `grader/benchmarks/` with

    TITLE = "what is compared"
    ALTERNATIVE = "label of the case that the others are measured against"
    def cases(quick): ...       # a context manager that yields a list of `Case`; it makes and removes the data

Every run of a case is a process of its own, so that its peak memory is its own and nothing is warm but the file cache.
CPU seconds come first, since wall time depends on who else is at work.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import pkgutil
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from expressions.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
TIME_LIMIT = 900


@dataclass(frozen=True)
class Case:
    """One row of a table.

    Attributes:
        label: str, what the row is called.
        function: str, `"module:function"`; what is measured. Its modules are imported before the clock starts. The
            function may have an attribute `prepare`, called without arguments before that; what it returns, if not
            `None`, is compared between the cases. A dict `{"cpu_elsewhere": seconds}` is not compared: it states the
            CPU time of processes that nobody waits for, as in a sandbox, and is added.
        arguments: list that JSON can hold.
        needs: name of a module without which the row is not run, or `None`.
    """

    label: str
    function: str
    arguments: list = field(default_factory=list)
    needs: str | None = None


@dataclass(frozen=True)
class Measurement:
    """What the runs of a case took.

    Attributes:
        case: the `Case`.
        cpu: list of float, CPU seconds of each run.
        wall: list of float, seconds of each run.
        peak: int, largest peak memory of a run in bytes, interpreter and imports included; 0 if unknown.
        answer: what the function returned.
        problem: str, why there is no measurement, or `""`.
    """

    case: Case
    cpu: list
    wall: list
    peak: int
    answer: object
    problem: str


def table_names():
    """Returns the names of all tables, `fer2013` first."""
    import grader.benchmarks

    names = sorted(module.name for module in pkgutil.iter_modules(grader.benchmarks.__path__))
    return sorted(names, key=lambda name: name != "fer2013")


def run(names=(), quick=False, repeats=None):
    """Measures and prints tables.

    Args:
        names: list of table names; none for all.
        quick: bool, small data and few repeats, to see that everything runs.
        repeats: int or `None` for 2 when quick and 5 otherwise.

    Returns:
        0, the exit code.

    Raises:
        DataError: there is no such table.
    """
    known = table_names()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"There is no table {', '.join(unknown)}.", f"some of {', '.join(known)}", "grader benchmark")
    print(_machine())
    for name in names or known:
        print()
        print_table(name, *measure_table(name, quick, repeats or (2 if quick else 5)))
    return 0


def measure_table(name, quick, repeats):
    """Runs the cases of a table in turns, so that a busy minute of the machine does not fall on one of them.

    Args:
        name: str, the table.
        quick: bool.
        repeats: int, runs of each case.

    Returns:
        `(module, note, measurements)`: the table's module, a sentence about its data, and a list of `Measurement`.
    """
    module = importlib.import_module(f"grader.benchmarks.{name}")
    with module.cases(quick) as (note, cases):
        runs = {case.label: [] for case in cases}
        problems = {}
        for repeat in range(repeats):
            for case in cases:
                if case.label in problems:
                    continue
                _progress(f"{name}: {case.label}, run {repeat + 1} of {repeats}")
                result = _run_in_child(case)
                if isinstance(result, str):
                    problems[case.label] = result
                else:
                    runs[case.label].append(result)
        _progress("")
    measurements = []
    for case in cases:
        done = runs[case.label]
        measurements.append(
            Measurement(
                case,
                [result["cpu"] for result in done],
                [result["wall"] for result in done],
                max((result["peak"] for result in done), default=0),
                done[0]["answer"] if done else None,
                problems.get(case.label, ""),
            )
        )
    return module, note, measurements


def print_table(name, module, note, measurements):
    """Prints a table: median and range of CPU seconds, median of seconds, ratio to the alternative, peak memory."""
    print(f"{name}: {module.TITLE}")
    print(f"  {note}")
    base = [m for m in measurements if m.case.label == module.ALTERNATIVE and m.cpu]
    width = max(len(m.case.label) for m in measurements)
    print(f"  {'':{width}}  {'CPU s':>8}  {'range':>15}  {'wall s':>8}  {'CPU ratio':>9}  {'peak MB':>8}  runs")
    for m in measurements:
        if not m.cpu:
            print(f"  {m.case.label:{width}}  not run: {m.problem}")
            continue
        cpu = statistics.median(m.cpu)
        spread = f"{_seconds(min(m.cpu))} … {_seconds(max(m.cpu))}"
        ratio = f"{cpu / statistics.median(base[0].cpu):.3g} ×" if base else "?"
        peak = f"{m.peak / 1e6:,.0f}" if m.peak else "?"
        wall = _seconds(statistics.median(m.wall))
        columns = (f"{_seconds(cpu):>8}", f"{spread:>15}", f"{wall:>8}", f"{ratio:>9}", f"{peak:>8}", str(len(m.cpu)))
        print(f"  {m.case.label:{width}}", *columns, sep="  ")
        if m.problem:
            print(f"  {'':{width}}  stopped: {m.problem}")
    print(f"  CPU ratio: to {module.ALTERNATIVE}; peak: of a process that does only this, imports included.")
    answers = {json.dumps(m.answer) for m in measurements if m.answer is not None}
    if len(answers) > 1:
        print(f"  THE CASES DISAGREE: {', '.join(f'{m.case.label} {m.answer}' for m in measurements)}")


def _run_in_child(case):
    """Returns what one run took as a dict, or a str that says why there is none."""
    if case.needs:
        missing = importlib.util.find_spec(case.needs) is None
        if missing:
            return f"needs {case.needs} (pip install {case.needs})"
    command = [sys.executable, "-m", "grader.benchmark", case.function, json.dumps(case.arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"longer than {TIME_LIMIT} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def _measure_here(name, arguments):
    module, function = name.split(":")
    function = getattr(importlib.import_module(module), function)
    prepare = getattr(function, "prepare", None)
    if prepare is not None:
        prepare()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    answer = function(*arguments)
    cpu, wall = _cpu_seconds() - cpu, time.perf_counter() - wall
    if isinstance(answer, dict) and set(answer) == {"cpu_elsewhere"}:
        cpu, answer = cpu + answer["cpu_elsewhere"], None
    return {"cpu": cpu, "wall": wall, "peak": _peak_memory(), "answer": answer}


def _cpu_seconds():
    """Returns the CPU seconds of this process and of the children that it waited for."""
    try:
        import resource
    except ImportError:
        return time.process_time()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak_memory():
    """Returns this process's peak memory in bytes, or 0."""
    # getrusage hands a child its parent's peak across exec on Linux; VmHWM belongs to this program alone.
    with contextlib.suppress(OSError, StopIteration, ValueError):
        with open("/proc/self/status") as status:
            return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _machine():
    import numpy

    versions = f"Python {platform.python_version()}, numpy {numpy.__version__}"
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        with open("/proc/cpuinfo") as info:
            processor = next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    return f"{os.cpu_count()} cores ({processor}), {platform.system()}, {versions}"


def _progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _seconds(value):
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}" if value < 1 else f"{value:.2f}"


if __name__ == "__main__":
    print(json.dumps(_measure_here(sys.argv[1], json.loads(sys.argv[2]))))
