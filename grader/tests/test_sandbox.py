"""The sandbox: what a hostile function costs is its own item, and nothing of it is left afterwards.

Each payload also runs unprotected, where it does its harm: a test of a payload that harms nobody shows nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from grader import sandbox
from grader.sandbox import UnreadableResult, limits_from, read_result, run_worker
from grader.tests.tiny_submission import CNNX
from grader.worker import processes, schema
from grader.worker.schema import Probe

# Whoever is not root has no other user to become; the other levels must be on every machine that runs all tests.
LEVELS = [level.name for level in sandbox.LEVELS if level.name != "separate-user" or not level.missing()]
QUICK = {"function_seconds": 1, "import_seconds": 1, "memory_gigabytes": 0.5, "disk_megabytes": 64}
GOOD_SPLIT = CNNX[CNNX.index("def split_by_subject") : CNNX.index("def make_model_4")]


@pytest.fixture(params=LEVELS)
def level(request):
    """Each isolation level that this machine has."""
    found = sandbox.probe_level(request.param)
    if found["missing"]:
        pytest.skip(f"{request.param}: {found['missing']}")
    return request.param


def run_payload(tmp_path, level, body, probes=("cnnx.import", "voxelize", "split_by_subject"), **limits):
    """Runs `voxelize` with a hostile body under a worker without TensorFlow, then a well-behaved function."""
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "cnnx.py").write_text(f"import os, sys, time\nimport numpy as np\n\n{body}\n\n{GOOD_SPLIT}")
    roots, make = [], tempfile.mkdtemp
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "mkdtemp", lambda **options: roots.append(make(**options)) or roots[-1])
        result = run_worker(
            "grader.worker.code",
            job={"preload": ["numpy"]},
            inbox={
                "voxelize.input": np.zeros((1, 5, 3)),
                "split_by_subject.input": np.repeat([f"person {i}" for i in range(10)], 7),
            },
            limits=limits_from({**QUICK, **limits}),
            probes=probes,
            files={"submission": folder},
            level=level,
            needs={name: "cnnx.import" for name in probes if name != "cnnx.import"},
        )
    assert not result.fault
    assert roots and not any(os.path.exists(root) for root in roots), "the sandbox's folders are removed"
    return result


def assert_only_voxelize_failed(result, status):
    assert result.probes["voxelize"]["status"] == status, result.probes["voxelize"]
    assert result.probes["split_by_subject"]["status"] == "ok", result.probes["split_by_subject"]
    assert len(result.arrays["split_by_subject.train"]) == 56


def run_unprotected(body, call="voxelize(np.zeros((5, 3)))", **options):
    """Runs a payload without any protection."""
    program = f"import os, sys, time\nimport numpy as np\n\n{body}\n\nresult = {call}\nprint('went on')\nprint(result)"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False, **options
    )


# Canary --------------------------------------------------------------------------------------------------------------


def test_doctor_learns_what_each_level_really_blocks():
    found = sandbox.probe_isolation()
    assert found["level"] in LEVELS
    assert set(found["canary"]) == {*schema.DOORS, "uid"}
    if found["level"] == "bubblewrap":
        assert all(value == "blocked" for key, value in found["canary"].items() if key != "uid")


def test_canary_is_alive_where_nothing_is_hidden():
    canary = sandbox._run_canary(sandbox.level_named("rlimits"))
    assert canary["network"] == "allowed"
    assert canary["big_file"] == canary["processes"] == "blocked"
    if os.geteuid() != 0:
        assert canary["read_file"] == canary["signal"] == "allowed"


# Payloads ------------------------------------------------------------------------------------------------------------

DAEMON = """
def voxelize(points, size=24):
    for number in range(20):
        if os.fork() == 0:
            os.setsid()
            time.sleep(0.8)
            open({marker!r} + str(number), "w").close()
            os._exit(0)
    return np.zeros((size, size, size))
"""


@pytest.fixture
def anyones(tmp_path):
    """A folder that every user may write to: no marker in it is missing for want of rights."""
    with tempfile.TemporaryDirectory(prefix="anyones-") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_twenty_daemons_do_not_outlive_the_call(tmp_path, level, anyones):
    marker = str(anyones / "marker")
    result = run_payload(tmp_path, level, DAEMON.format(marker=marker))
    assert_only_voxelize_failed(result, "ok")
    assert result.usage["voxelize"]["left_behind"] >= 1
    time.sleep(1.0)
    assert not list(anyones.glob("marker*"))


def test_twenty_daemons_outlive_an_unprotected_call(tmp_path):
    run_unprotected(DAEMON.format(marker=str(tmp_path / "marker")))
    time.sleep(1.2)
    assert list(tmp_path.glob("marker*"))


EXIT = """
def voxelize(points, size=24):
    os._exit(0)
"""


def test_exit_0_is_no_success(tmp_path):
    result = run_payload(tmp_path, "rlimits", EXIT)
    assert_only_voxelize_failed(result, "died")
    assert "exit code 0" in result.probes["voxelize"]["message"]
    unprotected = run_unprotected(EXIT)
    assert unprotected.returncode == 0 and "went on" not in unprotected.stdout


def test_sys_exit_names_its_line(tmp_path):
    result = run_payload(tmp_path, "rlimits", "def voxelize(points, size=24):\n    sys.exit()")
    assert_only_voxelize_failed(result, "error")
    assert "cnnx.py, line 5: `sys.exit()`" in result.probes["voxelize"]["message"]


LOOP = """
def voxelize(points, size=24):
    while True:
        pass
"""


def test_an_endless_loop_is_stopped(tmp_path):
    result = run_payload(tmp_path, "rlimits", LOOP)
    assert_only_voxelize_failed(result, "timeout")
    assert "after 1 s" in result.probes["voxelize"]["message"]


def test_a_script_that_works_when_it_is_imported_is_asked_once(tmp_path):
    result = run_payload(tmp_path, "rlimits", "while True:\n    pass")
    assert [result.probes[name]["status"] for name in ("cnnx.import", "voxelize", "split_by_subject")] == [
        "timeout"
    ] * 3
    assert "main()" in result.probes["voxelize"]["message"]
    assert result.probes["voxelize"]["seconds"] == 0


PRINT = """
def voxelize(points, size=24):
    line = "x" * 2**20
    for _ in range(100):
        print(line)
    return np.zeros((size, size, size))
"""


def test_printing_100_mb_costs_nothing(tmp_path):
    result = run_payload(tmp_path, "rlimits", PRINT, function_seconds=15)
    assert_only_voxelize_failed(result, "ok")
    assert 100 < len(result.probes["voxelize"]["facts"]["printed"]) <= 2000


MEMORY = """
def voxelize(points, size=24):
    parts = []
    for _ in range(200):
        parts.append(np.ones(50 * 2**20 // 8))
        time.sleep(0.01)
    return parts[0]
"""


def test_ten_gigabytes_are_not_given(tmp_path):
    result = run_payload(tmp_path, "rlimits", MEMORY, function_seconds=15)
    assert_only_voxelize_failed(result, "memory")
    request = "def voxelize(points, size=24):\n    return np.ones(10 * 2**30)"
    (tmp_path / "second").mkdir()
    result = run_payload(tmp_path / "second", "rlimits", request, function_seconds=15)
    assert_only_voxelize_failed(result, "memory")


# Not a bomb that doubles: should the limit ever fail, this one still ends by itself.
MANY = """
def voxelize(points, size=24):
    for number in range(60):
        if os.fork() == 0:
            time.sleep(8)
            os._exit(0)
        time.sleep(0.01)
    time.sleep(8)
"""


def test_sixty_processes_are_too_many(tmp_path, level):
    before = len(processes.process_table())
    result = run_payload(tmp_path, level, MANY, function_seconds=6)
    assert_only_voxelize_failed(result, "died")
    assert "32 processes" in result.probes["voxelize"]["message"]
    assert len(processes.process_table()) < before + 40


def test_the_kernel_itself_bounds_processes(tmp_path, level):
    body = """
def voxelize(points, size=24):
    import resource

    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    os.fork()
"""
    result = run_payload(tmp_path, level, body)
    assert_only_voxelize_failed(result, "error")
    assert "BlockingIOError" in result.probes["voxelize"]["message"]


KILL = """
import signal

def voxelize(points, size=24):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)
"""


def test_who_kills_the_worker_dies_alone(tmp_path, level):
    result = run_payload(tmp_path, level, KILL)
    assert_only_voxelize_failed(result, "died")
    assert result.num_starts == 2


def test_an_orphan_of_a_killed_worker_is_found(tmp_path, anyones):
    marker = anyones / "marker"
    body = f"""
import signal

def voxelize(points, size=24):
    if os.fork() == 0:
        os.setsid()
        time.sleep(0.8)
        open({str(marker)!r}, "w").close()
        os._exit(0)
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(0)
"""
    assert_only_voxelize_failed(run_payload(tmp_path, "rlimits", body), "died")
    time.sleep(1.0)
    assert not marker.exists()


PATCH = """
def voxelize(points, size=24):
    np.asarray = np.concatenate = np.unique = lambda *a, **k: "everything is fine"
    np.ndarray.__doc__ = None
    return np.zeros((size, size, size))
"""


def test_patched_numpy_stays_with_who_patched_it(tmp_path):
    result = run_payload(tmp_path, "rlimits", PATCH)
    assert result.probes["split_by_subject"]["status"] == "ok"
    call = "voxelize(np.zeros((5, 3))), np.unique([1, 2])"
    assert "everything is fine" in run_unprotected(PATCH.replace("np.ndarray.__doc__ = None", "pass"), call).stdout


FRAMES = """
def voxelize(points, size=24):
    frame, seen = sys._getframe(), []
    while frame is not None:
        seen += [name for name in frame.f_locals if "label" in name or "expected" in name]
        if "facts" in frame.f_locals:
            frame.f_locals["facts"]["points"] = 100
        frame = frame.f_back
    if seen:
        raise ValueError(f"found {seen}")
    return np.zeros((size, size, size))
"""


def test_walking_frames_finds_no_answer_and_forges_no_fact(tmp_path):
    result = run_payload(tmp_path, "rlimits", FRAMES)
    assert_only_voxelize_failed(result, "bad_result")
    assert "nobody asked for: points" in result.probes["voxelize"]["message"]


ENVIRONMENT = """
def voxelize(points, size=24):
    raise ValueError(" ".join(sorted(os.environ)) + os.environ.get("EXPRESSIONS_SECRET", ""))
"""


def test_the_graders_environment_is_not_inherited(tmp_path, level, monkeypatch):
    monkeypatch.setenv("EXPRESSIONS_SECRET", "token-of-the-grader")
    message = run_payload(tmp_path, level, ENVIRONMENT).probes["voxelize"]["message"]
    assert "token-of-the-grader" not in message
    assert "PYTHONHASHSEED" in message
    assert "token-of-the-grader" in run_unprotected(ENVIRONMENT).stderr


READ = """
def voxelize(points, size=24):
    raise ValueError(open({path!r}).read())
"""


def test_bubblewrap_hides_the_graders_files(tmp_path):
    if sandbox.probe_isolation()["level"] != "bubblewrap":
        pytest.skip("bubblewrap does not hold on this machine")
    labels = tmp_path / "labels.txt"
    labels.write_text("3 1 4 1 5")
    body = READ.format(path=str(labels))
    assert "3 1 4 1 5" not in run_payload(tmp_path, "bubblewrap", body).probes["voxelize"]["message"]
    (tmp_path / "again").mkdir()
    assert "3 1 4 1 5" in run_payload(tmp_path / "again", "rlimits", body).probes["voxelize"]["message"]


DISK = """
def voxelize(points, size=24):
    for number in range(1000):
        with open(f"file{number}", "wb") as file:
            file.write(bytes(2**20))
        time.sleep(0.01)
"""


def test_disk_is_bounded_and_cleaned(tmp_path):
    result = run_payload(tmp_path, "rlimits", DISK, function_seconds=10)
    assert_only_voxelize_failed(result, "died")
    assert "64 MB of files" in result.probes["voxelize"]["message"]


def test_without_forking_a_probe_is_a_process_of_its_own(tmp_path):
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "cnnx.py").write_text(f"import os, sys, time\nimport numpy as np\n{EXIT}\n\n{GOOD_SPLIT}")
    result = run_worker(
        "grader.worker.code",
        job={"preload": ["numpy"], "fork": False},
        inbox={
            "voxelize.input": np.zeros((1, 5, 3)),
            "split_by_subject.input": np.repeat([f"person {i}" for i in range(10)], 7),
        },
        limits=limits_from({**QUICK, "function_seconds": 10}),
        probes=["cnnx.import", "voxelize", "split_by_subject"],
        files={"submission": folder},
        level="rlimits",
    )
    assert_only_voxelize_failed(result, "died")


SPOIL = """
def voxelize(points, size=24):
    from pathlib import Path

    root = Path(__file__).parents[2]
    for place in ("outbox", "work", "tmp", "home"):
        for entry in (root / place).iterdir():
            (entry / "result.json").write_text('{"status": "ok"}') if entry.is_dir() else None
        (root / place / "split_by_subject").mkdir()
        (root / place).chmod(0)
    return np.zeros((size, size, size))
"""


def test_spoiled_folders_do_not_reach_the_next_probe(tmp_path, level):
    result = run_payload(tmp_path, level, SPOIL)
    assert result.probes["split_by_subject"]["status"] == "ok"


# What comes back -----------------------------------------------------------------------------------------------------

PROBE = Probe("cnnx", "voxelize", arrays=("counts",), facts=("dtype",), max_mb=1.0)


def write_outbox(folder, array=None, **changed):
    folder.mkdir(exist_ok=True)
    content = {"status": "ok", "message": "", "facts": {}, "arrays": ["counts"], **changed}
    (folder / "result.json").write_text(json.dumps(content))
    np.save(folder / "counts.npy", np.zeros((2, 3), "float32") if array is None else array, allow_pickle=True)
    return folder


def test_an_honest_result_is_read(tmp_path):
    status, message, facts, arrays = read_result(
        write_outbox(tmp_path / "a", message="a\x1b[31mb\x00c", facts={"dtype": "float32"}), PROBE, 10
    )
    assert (status, message, facts) == ("ok", "abc", {"dtype": "float32"})
    assert arrays["counts"].shape == (2, 3) and arrays["counts"].flags.writeable


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{"points": 100}], dtype=object), "not plain numbers"),
        (np.array(["text"]), "not plain numbers"),
        (np.zeros(3, "complex64"), "not plain numbers"),
        (np.zeros((1,) * 9), "not plain numbers"),
        (np.zeros(2**18 + 2000, "float32"), "larger than"),
    ],
)
def test_arrays_that_are_no_numbers_are_refused(tmp_path, array, words):
    with pytest.raises(UnreadableResult, match=words):
        read_result(write_outbox(tmp_path / "a", array), PROBE, 10)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"status": "passed"}, "another form"),
        ({"points": 100}, "other keys"),
        ({"facts": {"score": 1}}, "nobody asked for"),
        ({"facts": {"dtype": 1e400}}, "Infinity"),
        ({"facts": {"dtype": 10**30}}, "64 bits"),
        ({"facts": {"dtype": [[[[[[[[[[1]]]]]]]]]]}}, "deeply"),
        ({"facts": {"dtype": [0] * 30_000}}, "too many"),
        ({"arrays": ["../../labels"]}, "nobody asked for"),
        ({"arrays": []}, "missing"),
        ({"message": ["text"]}, "another form"),
    ],
)
def test_results_of_another_form_are_refused(tmp_path, changed, words):
    with pytest.raises(UnreadableResult, match=words):
        read_result(write_outbox(tmp_path / "a", **changed), PROBE, 10)


def test_links_pipes_and_bombs_are_not_followed(tmp_path):
    folder = write_outbox(tmp_path / "a")
    (folder / "counts.npy").unlink()
    (folder / "counts.npy").symlink_to("/etc/passwd")
    with pytest.raises(UnreadableResult, match="not a plain file"):
        read_result(folder, PROBE, 10)
    (folder / "counts.npy").unlink()
    os.mkfifo(folder / "counts.npy")
    with pytest.raises(UnreadableResult, match="not a plain file"):
        read_result(folder, PROBE, 10)
    (folder / "result.json").write_text("[" * 900_000)
    with pytest.raises(UnreadableResult):
        read_result(folder, PROBE, 10)
    with pytest.raises(UnreadableResult, match="is gone"):
        (tmp_path / "link").symlink_to(folder)
        read_result(tmp_path / "link", PROBE, 10)


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path):
    folder = write_outbox(tmp_path / "a")
    data = (folder / "counts.npy").read_bytes()
    (folder / "counts.npy").write_bytes(data.replace(b"(2, 3)", b"(9, 9)"))
    with pytest.raises(UnreadableResult, match="header"):
        read_result(folder, PROBE, 10)


# Limits and processes ------------------------------------------------------------------------------------------------


def test_limits_know_their_names():
    assert limits_from({"function_seconds": 3})["function_seconds"] == 3
    with pytest.raises(ValueError, match="function_second'"):
        limits_from({"function_second": 3})
    with pytest.raises(ValueError, match="positive"):
        limits_from({"function_seconds": 0})


def test_a_busy_machine_gets_twice_the_time():
    overdue = sandbox.Worker._overdue
    assert overdue(elapsed=21, seconds=20, cpu_seconds=20)
    assert not overdue(elapsed=21, seconds=20, cpu_seconds=4)
    assert overdue(elapsed=41, seconds=20, cpu_seconds=4)


def test_the_tree_of_a_process_is_killed_whole():
    program = "import os, time\nfor _ in range(3): os.fork()\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True) as root:
        until = time.monotonic() + 10
        while len(processes.descendants(root.pid)) < 7 and time.monotonic() < until:
            time.sleep(0.02)
        tree = processes.descendants(root.pid)
        assert len(tree) == 7
        processes.kill_descendants(root.pid)
        table = processes.process_table()
        assert all(table[pid].state == "Z" for pid in tree if pid in table)
        root.kill()


def zombies():
    table = processes.process_table()
    return {pid for pid in processes.descendants(os.getpid(), table) if table[pid].state == "Z"}


def test_a_closed_worker_leaves_no_zombie(level):
    before = zombies()
    sandbox._try_level(sandbox.level_named(level))
    assert zombies() <= before


def test_not_even_a_worker_that_was_killed_leaves_a_zombie(tmp_path, level):
    before = zombies()
    run_payload(
        tmp_path,
        level,
        DAEMON.format(marker="/nowhere/marker").replace("    return", "    os.kill(os.getppid(), 9)\n    return"),
    )
    assert zombies() <= before


SLEEPERS = """
def voxelize(points, size=24):
    for number in range(4):
        if os.fork() == 0:
            os.setsid()
            time.sleep(20)
            os._exit(0)
    print("sleeping")
    time.sleep(20)
"""
GRADER = """
import sys
from pathlib import Path
import numpy as np
from grader import sandbox

worker = sandbox.Worker(
    "grader.worker.code",
    {"preload": ["numpy"]},
    {"voxelize.input": np.zeros((1, 5, 3))},
    {"submission": Path(sys.argv[1])},
    level=sys.argv[2],
)
with worker:
    print(worker._mark, worker.root, flush=True)
    worker.run("voxelize", 60)
"""


def test_a_killed_grader_takes_its_sandbox_along(tmp_path, level):
    (tmp_path / "cnnx.py").write_text(f"import os, sys, time\n\n{SLEEPERS}")
    command = [sys.executable, "-c", GRADER, str(tmp_path), level]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=sandbox.ROOT) as killed:
        mark, root = killed.stdout.readline().split()
        assert wait_for(lambda: len(marked(mark)) >= 5), "the probe and its four children, and perhaps the server"
        killed.kill()
    assert wait_for(lambda: not marked(mark))
    sandbox._remove(root)


def marked(mark):
    return [
        pid for pid, each in processes.process_table().items() if each.state != "Z" and sandbox._has_mark(pid, mark)
    ]


def wait_for(condition, seconds=15):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()
