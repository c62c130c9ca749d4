"""The main job, as a stranger runs it: the demo trains, grades and reports, and every submission gets what it deserves.

These tests share one run of `python -m grader demo`, which takes most of the suite's time.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader import wrong_answers
from grader.demo import SUBMISSIONS
from grader.release import make_starters, todo_sentences
from grader.rubric import load_rubric

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = {name: (answer, variant) for name, answer, variant in SUBMISSIONS}
BAD = [name for name in ANSWERS if name != "good"]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The folder that a demo leaves."""
    out = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "grader", "demo", "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1500, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (out / "screen.txt").write_text(done.stdout, encoding="utf-8")
    yield out
    shutil.rmtree(out)  # half a gigabyte of models


def results_of(demo, name):
    return json.loads((demo / "reports" / name / "results.json").read_text(encoding="utf-8"))


def outcomes_of(demo, name):
    return {outcome["item"]: outcome for outcome in results_of(demo, name)["extra_data"]["outcomes"]}


def test_reference_earns_every_automatic_point(demo):
    lost = {
        item: outcome["what"] for item, outcome in outcomes_of(demo, "good").items() if outcome["status"] != "passed"
    }
    assert lost == {}
    assert results_of(demo, "good")["score"] == 80 + 5


def test_reference_gets_no_finding(demo):
    assert [outcome["findings"] for outcome in outcomes_of(demo, "good").values() if outcome["findings"]] == []


def test_untouched_starter_earns_nothing_and_every_cause_is_a_todo(demo):
    promises = {sentence for text in make_starters().values() for sentence in todo_sentences(text)}
    outcomes = outcomes_of(demo, "untouched")
    assert results_of(demo, "untouched")["score"] == 0
    assert {outcome["status"] for outcome in outcomes.values()} == {"failed"}
    causes = {outcome["what"].removeprefix("Still to do: ") for outcome in outcomes.values()}
    assert causes <= promises


@pytest.mark.parametrize("name", BAD)
def test_bad_submission_loses_what_it_should_and_nothing_else(demo, name):
    answer, variant = ANSWERS[name]
    case = wrong_answers.expected(answer)[variant or "whole"]
    for item, outcome in outcomes_of(demo, name).items():
        if item in case["open"]:
            continue
        wanted = "failed" if item in case["fail"] else "cannot_grade" if item in case["cannot_grade"] else "passed"
        assert outcome["status"] == wanted, (item, outcome["what"])


@pytest.mark.parametrize("name", BAD)
def test_bad_submission_is_told_which_mistake_it_made(demo, name):
    answer, variant = ANSWERS[name]
    found = {
        (finding["code"], finding["certainty"], finding["basis"])
        for outcome in outcomes_of(demo, name).values()
        for finding in outcome["findings"]
    }
    for finding in wrong_answers.expected(answer)[variant or "whole"]["findings"]:
        assert (finding["code"], finding["certainty"], finding["basis"]) in found


@pytest.mark.parametrize("name", BAD)
def test_every_failure_says_what_wanted_and_try(demo, name):
    for item, outcome in outcomes_of(demo, name).items():
        if outcome["status"] == "failed" and outcome["needs"] is None:
            assert outcome["what"] and outcome["wanted"] and outcome["try_"], item


def test_open_items_leave_the_score_blank_and_the_result_provisional(demo):
    results = results_of(demo, "lambda_layer")
    blank = {test["number"] for test in results["tests"] if "score" not in test}
    assert blank == {"13-file", "13-accuracy"}
    assert results["extra_data"]["provisional"] is True


def test_feedback_shows_no_path_of_ours_and_no_traceback(demo):
    for name in ANSWERS:
        feedback = "\n".join(test["output"] for test in results_of(demo, name)["tests"])
        assert "Traceback" not in feedback
        assert str(ROOT) not in feedback and "/tmp/" not in feedback and "/sandbox" not in feedback


def test_results_say_how_student_code_was_held_and_on_which_data(demo):
    extra = results_of(demo, "good")["extra_data"]
    assert extra["isolation"]["level"]
    assert extra["thresholds"] == "demo"
    assert extra["versions"]["keras"] and extra["data_version"] and extra["rubric_version"]


def test_reports_are_whole_pages_that_need_no_network(demo):
    for page in [demo / "index.html", *demo.glob("reports/*/report.html")]:
        text = page.read_text(encoding="utf-8")
        assert text.rstrip().endswith("</html>")
        assert not re.search(r'(src|href)="(https?:)?//', text)
    assert all(f">{name}</a>" in (demo / "index.html").read_text(encoding="utf-8") for name in ANSWERS)


def test_screen_names_every_submission_with_its_points(demo):
    screen = (demo / "screen.txt").read_text(encoding="utf-8")
    assert "good: 80 of 80 automatic points, and 5 of extra credit" in screen
    assert "untouched: 0 of 80 automatic points" in screen


def test_regrading_from_kept_evidence_gives_the_same_result_and_runs_nothing(demo, tmp_path):
    command = [sys.executable, "-m", "grader", "grade", str(demo / "submissions" / "good"), "--demo-data"]
    command += ["--cache", str(tmp_path / "cache"), "--accept-weak-isolation", "--out", str(tmp_path)]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (first.returncode, again.returncode) == (0, 0), first.stderr[-2000:]
    assert first.stdout == again.stdout
    assert "calling the functions" in first.stderr
    assert "calling the functions" not in again.stderr


JAFFE_EMOTIONS = ("AN", "DI", "FE", "HA", "NE", "SA", "SU")


def test_real_photos_are_learned_by_a_network_that_knew_only_synthetic_faces(demo, real_data, tmp_path):
    """JAFFE, one woman: the first take of each emotion to learn, the second to test."""
    for position, part in enumerate(("train", "test")):
        (tmp_path / "photos" / part).mkdir(parents=True)
        for emotion in JAFFE_EMOTIONS:
            take = sorted((real_data / "jaffe").glob(f"KA.{emotion}*.jpg"))[position]
            shutil.copy(take, tmp_path / "photos" / part)
    shutil.copy(demo / "reference" / "model_2.h5", tmp_path)
    script = ROOT / "grader" / "reference" / "transfer.py"
    done = subprocess.run(
        [sys.executable, str(script), "--data", "photos", "--seed", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    after, before = map(int, re.search(r"(\d) of 7 test photos right, (\d) before", done.stdout).groups())
    assert after > before
    assert after >= 4  # chance is 1


def test_real_clouds_are_graded_too(demo, real_data, tmp_path):
    """The faces that the depth camera saw, judged by networks that learned from synthetic ones."""
    command = [sys.executable, "-m", "grader", "grade", str(demo / "submissions" / "good"), "--demo-data"]
    command += ["--faces", str(real_data / "iPhoneX" / "faces.py"), "--out", str(tmp_path), "--accept-weak-isolation"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    outcomes = {outcome["item"]: outcome for outcome in results["extra_data"]["outcomes"]}
    assert "faces.py" in results["output"]
    assert outcomes["EC1"]["measured"]["n"] == 21
    assert outcomes["10-sum"]["status"] == "passed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "variant"),
    [(answer, variant) for answer in wrong_answers.names() for variant in wrong_answers.variants(answer)],
)
def test_every_wrong_answer_gets_what_it_deserves(demo, tmp_path, answer, variant):
    from grader.grading import grade
    from grader.hidden import load_hidden

    folder = wrong_answers.build(answer, variant, tmp_path / "submission", demo / "reference")
    rubric = load_rubric()
    result = grade(folder, rubric, load_hidden(rubric, demo=True), accept_weak_isolation=True)
    case = wrong_answers.expected(answer)[variant]
    found = set()
    for outcome in result.outcomes:
        found |= {(f["code"], f["certainty"], f["basis"], outcome.item) for f in outcome.findings}
        wanted = "failed" if outcome.item in case["fail"] else "passed"
        wanted = "cannot_grade" if outcome.item in case["cannot_grade"] else wanted
        assert outcome.item in case["open"] or outcome.status == wanted, (outcome.item, outcome.what)
    for finding in case["findings"]:
        assert tuple(finding[key] for key in ("code", "certainty", "basis", "item")) in found
    if variant == "lookalike":
        assert found == set()
