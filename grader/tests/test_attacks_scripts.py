"""Hostile scripts cost their own item, with a sentence, and leave nothing: no marker, no secret, no process."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from grader import sandbox
from grader.sandbox import limits_from, run_worker
from grader.tests.attacks import scripts
from grader.tests.attacks.scripts import ATTACKS, HEAD
from grader.tests.tiny_submission import CNNX
from grader.worker import processes

PROBES = ("cnnx.import", "voxelize", "split_by_subject")
BY_NAME = {attack.name: attack for attack in ATTACKS}
HARMFUL = [attack.name for attack in ATTACKS if attack.unprotected is not None]

# What the student reads, where the status alone does not say it.
SENTENCES = {
    "returns_none": "voxelize returned None. Wanted a numpy array of counts",
    "returns_a_generator": "a generator, which gives its values one by one",
    "returns_a_sparse_matrix": "voxelize returned a value of type scipy.sparse.csr_matrix",
    "lies_about_equality": "a value of type cnnx.Agreeable",
    "exits_with_0": "Python was ended inside voxelize (cnnx.py) with exit code 0; no result came back.",
    "exits_politely": "SystemExit: 0 (cnnx.py, line",
    "reads_from_address_0": "Python crashed inside voxelize (cnnx.py) with signal SIGSEGV",
    "recurses_without_limit": "Python crashed inside voxelize (cnnx.py) with signal SIGSEGV",
    "loops": "Not finished after 1 s inside voxelize (cnnx.py).",
    "exits_when_asked_why": "Sulky",
    "forks_forty_times": "More than 32 processes were running inside voxelize (cnnx.py).",
    "fills_the_disk": "More than 64 MB of files, or endless folders, were written inside voxelize (cnnx.py).",
    "hides_files_below_endless_folders": "endless folders",
    "takes_memory_bit_by_bit": "More than 0.25 GB of memory were in use inside voxelize (cnnx.py).",
    "calls_home": "The grader has no network",
    "forges_points": "could not be read",
    "reads_other_answers": "ValueError: 1 answers",
    "loops_when_it_is_imported": "Importing a script must not train, download or open a window",
}


@pytest.fixture(scope="module")
def place():
    """A folder that every user may write to, with a secret, somebody who listens, and a process to be harmed."""
    with tempfile.TemporaryDirectory(prefix="attacked-") as folder, socket.socket() as listener:
        folder = Path(folder)
        os.chmod(folder, 0o777)
        secret = secrets.token_hex(12)
        (folder / "decoy").write_text(secret)
        os.chmod(folder / "decoy", 0o644)
        listener.bind(("127.0.0.1", 0))
        (folder / "port").write_text(str(listener.getsockname()[1]))
        (folder / "abstract").write_text(f"attacked-{secret}")
        callers = []
        with socket.socket(socket.AF_UNIX) as quiet:
            quiet.bind(f"\0attacked-{secret}")
            for each in (listener, quiet):
                each.listen()
                threading.Thread(target=_count, args=(each, callers), daemon=True).start()
            victim = Victim(folder, secret)
            try:
                yield folder, secret, callers, victim
            finally:
                victim.process.kill()
                victim.process.wait()


class Victim:
    """A process in place of the grader, started anew whenever somebody killed it."""

    def __init__(self, folder, secret):
        self._folder, self._secret, self.process = folder, secret, None
        self.revive()

    def revive(self):
        if self.process is None or self.process.poll() is not None:
            command = [sys.executable, "-S", "-c", "import time; time.sleep(600)", self._secret]
            environment = {**os.environ, "DECOY": self._secret}
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
            (self._folder / "pid").write_text(str(self.process.pid))


def _count(listener, callers):
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        callers.append(1)
        link.close()


def run(folder, level=None, function_seconds=15, names=PROBES):
    """Runs the probes of one submission under a worker without TensorFlow."""
    return run_worker(
        "grader.worker.code",
        job={"preload": ["numpy"]},
        inbox={
            "voxelize.input": np.zeros((1, 5, 3)),
            "split_by_subject.input": np.repeat([f"person {i}" for i in range(10)], 7),
        },
        limits=limits_from(
            {
                "function_seconds": function_seconds,
                "import_seconds": function_seconds,
                "memory_gigabytes": 0.25,
                "disk_megabytes": 64,
            }
        ),
        probes=names,
        files={"submission": folder},
        level=level,
        needs={name: "cnnx.import" for name in names if name != "cnnx.import"},
    )


def assert_split_is_right(result):
    assert result.probes["split_by_subject"]["status"] == "ok", result.probes["split_by_subject"]
    assert len(result.arrays["split_by_subject.train"]) == 56


def assert_nothing_survives(marks, users):
    """No process of these sandboxes is left."""
    assert marks
    table = processes.process_table()
    left = [
        pid
        for pid, process in table.items()
        if process.state != "Z" and (sandbox._user_of(pid) in users or any(sandbox._has_mark(pid, m) for m in marks))
    ]
    assert not left


def attack(name, level, place, tmp_path, monkeypatch):
    """Runs one attack and looks at everything it might have changed."""
    folder, secret, callers, victim = place
    victim.revive()
    monkeypatch.setenv("DECOY_VARIABLE", secret)
    marker = folder / f"marker-{name}"
    built = BY_NAME[name].build(tmp_path, marker)
    marks, users, roots, close = [], [], [], sandbox.Worker.close

    def watching_close(self):
        marks.append(self._mark)
        users.append(self._user)
        roots.append(str(self.root))
        close(self)

    monkeypatch.setattr(sandbox.Worker, "close", watching_close)
    calls = len(callers)
    probe, _, status = BY_NAME[name].expects.partition(":")
    result = run(built, level, function_seconds=1 if status == "timeout" else 15)
    assert not result.fault
    found = result.probes[probe]
    assert found["status"] == status, found
    if status != "ok":
        message = found["message"]
        assert message and len(message) <= 2000
        assert "Traceback" not in message and not any(root in message for root in roots)
        assert all(letter.isprintable() or letter in "\n\t" for letter in message)
        assert SENTENCES.get(name, "") in message
    if result.probes["cnnx.import"]["status"] == "ok":
        assert_split_is_right(result)
    assert not marker.exists()
    assert len(callers) == calls, "somebody was called"
    assert victim.process.poll() is None
    assert (folder / "decoy").stat().st_mode & 0o777 == 0o644
    assert secret not in json.dumps(result.probes)
    assert not any(secret.encode() in array.tobytes() for array in result.arrays.values())
    assert not any(os.path.exists(root) for root in roots)
    assert_nothing_survives(marks, {user for user in users if user is not None})


@pytest.mark.parametrize("name", BY_NAME)
def test_a_hostile_script_costs_its_own_item(name, place, tmp_path, monkeypatch):
    attack(name, sandbox.probe_isolation()["level"], place, tmp_path, monkeypatch)


# Those in which the levels differ; all of them on all levels take minutes.
REACHING = [each.name for each in scripts.REACHING_OUT + scripts.PROCESSES] + [
    "fills_the_disk_unseen",
    "changes_the_next_question",
    "answers_the_next_question_in_advance",
    "leaves_code_behind",
]


@pytest.mark.parametrize("name", REACHING)
def test_landlock_alone_holds_as_well(name, place, tmp_path, monkeypatch):
    if sandbox.level_named("landlock").missing():
        pytest.skip(sandbox.level_named("landlock").missing())
    attack(name, "landlock", place, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in REACHING])
def test_every_attack_fails_under_landlock(name, place, tmp_path, monkeypatch):
    attack(name, "landlock", place, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", HARMFUL)
def test_the_same_script_harms_a_naive_grader(name, place, tmp_path):
    folder, _, _, victim = place
    victim.revive()
    marker = folder / f"naive-{name}"
    built = BY_NAME[name].build(tmp_path, marker)
    os.chmod(folder / "decoy", 0o644)
    try:
        BY_NAME[name].unprotected(built, marker)
        if not marker.exists():
            time_to_show(marker)
        assert marker.exists()
    finally:
        os.chmod(folder / "decoy", 0o644)


def time_to_show(marker):
    """Daemons and threads write their markers half a second later."""
    threading.Event().wait(1.0)


def test_the_next_submission_is_graded_as_ever(tmp_path):
    folder = tmp_path / "honest"
    folder.mkdir()
    (folder / "cnnx.py").write_text(HEAD + CNNX[: CNNX.index("def make_model_4")])
    result = run(folder)
    assert {probe["status"] for probe in result.probes.values()} == {"ok"}
    assert result.arrays["voxelize.counts"].sum() == 5
    assert_split_is_right(result)


def test_a_gigabyte_of_print_is_drained(tmp_path):
    folder = tmp_path / "loud"
    folder.mkdir()
    body = "def voxelize(points, size=24):\n    for _ in range(1000):\n        print('x' * 2**20)\n"
    (folder / "cnnx.py").write_text(f"{HEAD}\n{body}    return np.zeros((size, size, size))\n\n\n{scripts.GOOD_SPLIT}")
    result = run(folder, function_seconds=30)
    assert result.probes["voxelize"]["status"] == "ok", result.probes["voxelize"]
    assert len(result.probes["voxelize"]["facts"]["printed"]) <= 2000
    assert_split_is_right(result)


def test_there_are_at_least_thirty_attacks_and_their_names_differ():
    assert len(ATTACKS) == len(BY_NAME) >= 30
    assert {each.kind for each in ATTACKS} == {"python"}
