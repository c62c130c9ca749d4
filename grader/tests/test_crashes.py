"""Kill −9 at any moment: nothing that was finished is lost, no file is half written, the next run completes.

A run of its own process grades a tiny submission. It, or one of the processes that it started, is killed at a random
moment; then the same command runs again. Seeds are printed: a moment that hurt can be found again.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from grader import durable, probe_inputs
from grader.evidence import Evidence
from grader.grading import judge_evidence
from grader.hidden import HiddenData
from grader.judge import Work
from grader.rubric import load_rubric
from grader.tests.tiny_submission import made_models, write_scripts
from grader.worker import processes
from grader.worker.schema import CODE_PROBES

ROOT = Path(__file__).resolve().parents[2]

# What `python -m grader grade` does, with test data so small that most of the time goes into starting workers. Each
# question that a worker is really asked gets a line in the log.
PROGRAM = """
import signal
import sys

import numpy as np

from grader import durable, evidence
from grader.grading import grade
from grader.hidden import HiddenData
from grader.rubric import load_rubric
from grader.tests.tiny_submission import TinyHidden

# A shell starts what it runs in the background with Ctrl-C switched off, and so would these tests.
signal.signal(signal.SIGINT, signal.default_int_handler)
submission, out, log = sys.argv[1:4]
durable.MIN_AGE_SECONDS = 0
ask = evidence._Interview._ask


def logged(self, probe_id, extra_seconds):
    with open(log, "a") as file:
        file.write(probe_id + "\\n")
    return ask(self, probe_id, extra_seconds)


evidence._Interview._ask = logged
tiny = TinyHidden()
labels = np.arange(20) % 7
hidden = HiddenData("demo", "twenty pictures", tiny.images, labels, 12, tiny.clouds, np.arange(8) % 7, tiny.version)
result = grade(submission, load_rubric(), hidden, out, progress=lambda sentence: print(sentence, flush=True))
print("done", flush=True)
"""


class Grading:
    """One submission, its reports, and the runs that grade it."""

    def __init__(self, folder, submission):
        self.folder, self.submission = folder, submission
        self.out, self.log, self.scratch = folder / "out", folder / "log.txt", folder / "tmp"
        self.scratch.mkdir(parents=True)
        self.environment = {
            **os.environ, "TMPDIR": str(self.scratch), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
        }  # fmt: skip

    def start(self):
        self.log.write_text("")
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.submission), str(self.out), str(self.log)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            text=True,
        )

    def run(self):
        """Grades to the end, undisturbed; returns the seconds that it took."""
        began = time.monotonic()
        words, _ = self.start().communicate(timeout=300)
        assert words.rstrip().endswith("done"), words[-3000:]
        return time.monotonic() - began

    def asked(self):
        return self.log.read_text().split()

    def pieces(self):
        """Reads the pieces that are kept: dict from name to bytes. Each must be whole."""
        found = {}
        for folder in (self.out / "evidence").glob(".pieces-*"):
            for path in folder.glob("*.piece"):
                found[path.stem] = path.read_bytes()
                assert durable.Pieces(folder).read(path.stem) is not None, path
        return found

    def evidence(self):
        """Returns the evidence that is kept as a whole, or None."""
        folders = [path for path in (self.out / "evidence").glob("*") if not path.name.startswith(".")]
        assert len(folders) <= 1
        return Evidence.load(folders[0]) if folders else None

    def verdict(self):
        """Returns what the reports say, or None if there are none yet; half a report is an error."""
        if not (self.out / "results.json").exists():
            return None
        assert (self.out / "report.html").read_text().rstrip().endswith("</html>")
        results = json.loads((self.out / "results.json").read_text())
        assert results["extra_data"]["staff"]["faults"] == []
        return {item["item"]: (item["status"], item["points"]) for item in results["extra_data"]["outcomes"]}

    def check(self):
        """Checks that whatever lies under its final name is whole."""
        self.verdict()
        self.evidence()
        return self.pieces()


def said(words):
    """Lists the probes and models whose answer the run has reported."""
    return re.findall(r"^([\w.]+): \w+$", words, re.MULTILINE)


def family(pid):
    table = processes.process_table()
    return {child: table[child].started for child in processes.descendants(pid, table)}


def await_end(pids, seconds=15):
    """Waits until processes are gone; returns the command lines of those that stay."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        table = processes.process_table()
        alive = [pid for pid, began in pids.items() if pid in table and table[pid].started == began]
        alive = [pid for pid in alive if table[pid].state != "Z"]
        if not alive:
            return []
        time.sleep(0.1)
    return [Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ") for pid in alive]


def kill_the_grader(grading, child):
    """Kills a run, checks what it left behind, and returns the pieces that it has finished."""
    others = family(child.pid)
    child.kill()
    words, _ = child.communicate(timeout=60)
    pieces = grading.check()
    whole = grading.evidence()
    done = set(pieces) | (set() if whole is None else {*whole.probes, *whole.models})
    assert set(said(words)) <= done, "an answer was reported and is not kept"
    assert await_end(others) == [], "processes outlive the grader"
    return pieces, words


@pytest.fixture(scope="module")
def submission(tmp_path_factory):
    folder = write_scripts(tmp_path_factory.mktemp("submission"))
    made = made_models(tmp_path_factory.getbasetemp())
    for name in ("model_1", "model_2", "model_3", "model_4"):
        shutil.copy(made / f"{name}.h5", folder / f"{name}.h5")
    for number, name in enumerate(("train", "test")):
        (folder / "photos" / name).mkdir(parents=True)
        probe_inputs.write_photos(folder / "photos" / name, seed=5 + number)
    return folder


@pytest.fixture(scope="module")
def small_submission(tmp_path_factory, submission):
    """One script and two models: half the time, the same two workers."""
    folder = tmp_path_factory.mktemp("small")
    for name in ("cnnx.py", "model_1.h5", "model_4.h5"):
        shutil.copy(submission / name, folder / name)
    return folder


def wait_for(child, sentence):
    """Reads a run's words until one line is the sentence. Returns the words."""
    words = []
    for line in child.stdout:
        words.append(line)
        if line.strip() == sentence:
            return "".join(words)
    raise AssertionError("the run ended before that:\n" + "".join(words))


def is_server_of(pid, module):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False
    return module in words and "bwrap" not in words[0]


def leftovers(grading):
    """Lists what dead runs left behind, but for the folders of their canaries, which are small and nobody's."""
    drafts = [path.name for path in grading.out.rglob(".*") if path.name.startswith((".draft-", ".pieces-"))]
    drafts += [path.name for path in grading.out.rglob("*.draft")]
    return drafts + [
        path.name
        for path in grading.scratch.iterdir()
        if path.name.startswith(("grading-", "grader-photos-")) or (path / "held").exists()
    ]


def test_a_killed_run_goes_on_where_it_ended(tmp_path, small_submission):
    grading = Grading(tmp_path / "grading", small_submission)
    child = grading.start()
    wait_for(child, "split_by_subject: ok")
    finished, _ = kill_the_grader(grading, child)
    assert {"model_1.audit", "findings", "cnnx.import", "split_by_subject"} <= set(finished)
    assert grading.verdict() is None and grading.evidence() is None
    assert any(path.name.startswith("grading-") for path in grading.scratch.iterdir())

    child = grading.start()
    wait_for(child, "model_1: ok")
    # The server of the models' worker, which has one more question to answer.
    server = [pid for pid in family(child.pid) if is_server_of(pid, "grader.worker.models")][-1]
    os.kill(server, signal.SIGKILL)
    words, _ = child.communicate(timeout=300)
    assert words.rstrip().endswith("done"), words[-3000:]
    assert not set(grading.asked()) & set(finished), "a finished question was asked again"
    found = grading.evidence()
    assert {name for name, model in found.models.items() if model["status"] == "ok"} == {"model_1", "model_4"}
    assert {probe["status"] for name, probe in found.probes.items() if CODE_PROBES[name].script == "cnnx"} == {"ok"}
    assert found.faults == [] and grading.verdict()["10-shape"][0] == "passed"
    assert grading.pieces() == {} and leftovers(grading) == []


def test_ctrl_c_keeps_what_is_finished_and_leaves_nothing_behind(tmp_path, small_submission):
    grading = Grading(tmp_path / "grading", small_submission)
    child = grading.start()
    wait_for(child, "cnnx.import: ok")
    others = family(child.pid)
    child.send_signal(signal.SIGINT)
    words, _ = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in words and child.returncode != 0
    assert await_end(others) == []
    assert {"findings", "model_4.audit", "cnnx.import"} <= set(grading.pieces())
    assert os.listdir(grading.scratch) == []


def test_ctrl_c_during_the_judgement_is_no_fault_of_the_grader(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Work, "facts", interrupt)
    numbers = np.zeros((7, 2))
    hidden = HiddenData("demo", "nothing", numbers, np.arange(7), 7, numbers, np.arange(7), "0")
    with pytest.raises(KeyboardInterrupt):
        judge_evidence("jane", load_rubric(), hidden, Evidence({"refused": []}))


@pytest.mark.slow
def test_two_runs_at_once_do_not_disturb_each_other(tmp_path, submission):
    grading = Grading(tmp_path / "grading", submission)
    both = [grading.start(), grading.start()]
    for child in both:
        words, _ = child.communicate(timeout=600)
        assert words.rstrip().endswith("done"), words[-3000:]
    assert grading.evidence().faults == [] and grading.verdict()["1b"][0] == "passed"
    assert leftovers(grading) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [int(os.environ.get("CRASH_SEED", 6835))])
def test_fifty_kills_at_random_moments_lose_nothing(tmp_path, small_submission, seed):
    num_kills = int(os.environ.get("CRASH_KILLS", 50))
    dice = random.Random(seed)
    undisturbed = Grading(tmp_path / "undisturbed", small_submission)
    seconds = undisturbed.run()
    right = undisturbed.verdict()
    grading = Grading(tmp_path / "grading", small_submission)
    kills, rounds, finished = {"grader": 0, "worker": 0, "other": 0}, 0, {}
    print(f"\nseed {seed}; an undisturbed run takes {seconds:.1f} s")
    while sum(kills.values()) < num_kills:
        child = grading.start()
        moment = dice.uniform(0, seconds)
        whom = dice.choice(["grader", "worker"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(moment)
        if child.poll() is None and whom == "grader":
            before = dict(finished)
            finished, _ = kill_the_grader(grading, child)
            # Whatever the run before had finished is there still, byte for byte, and was not asked again.
            whole = grading.evidence()
            assert whole is not None or before.items() <= finished.items()
            assert not set(grading.asked()) & set(before)
            kills["grader"] += 1
            print(f"{moment:6.1f} s  the grader; {len(finished)} pieces", flush=True)
            continue
        if child.poll() is None:
            victim = kill_one_of(child, dice)
            if victim:
                kills["worker" if "grader.worker" in victim else "other"] += 1
                print(f"{moment:6.1f} s  {victim[:90]}", flush=True)
        words, _ = child.communicate(timeout=600)
        assert words.rstrip().endswith("done"), words[-3000:]
        assert not set(grading.asked()) & set(finished)
        assert grading.verdict() == right
        assert leftovers(grading) == []
        shutil.rmtree(grading.out)
        rounds, finished = rounds + 1, {}
    if finished:
        seconds_left = grading.run()
        assert not set(grading.asked()) & set(finished) and grading.verdict() == right
        rounds += 1
        print(f"the last run took {seconds_left:.1f} s")
    print(f"{kills} kills; {rounds} gradings completed, all with the same outcome")


def kill_one_of(child, dice):
    """Kills one of the processes that a run has started; returns its command, or None if there was none."""
    children = sorted(family(child.pid))
    if not children:
        return None
    victim = dice.choice(children)
    try:
        words = Path(f"/proc/{victim}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        os.kill(victim, signal.SIGKILL)
    except (OSError, ProcessLookupError):
        return None
    return " ".join([Path(words[0]).name, *[word for word in words[1:] if word.startswith(("grader.", "import "))]])
