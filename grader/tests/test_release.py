"""The starter is made from the reference, and gives nothing away."""

import subprocess
import sys
import zipfile

import pytest

from grader import release
from grader.__main__ import main

REGION = """def double(x):
    # BEGIN SOLUTION 1b: Return twice x.
    y = x + x
    # END SOLUTION
    return y
"""


def test_region_becomes_a_todo_that_raises_its_own_sentence():
    assert release.make_starter(REGION, "cnn.py") == (
        "def double(x):\n"
        "    # TODO(1b): Return twice x.\n"
        '    raise NotImplementedError("1b: Return twice x.")\n'
        "    return y\n"
    )


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (REGION.replace("    # END SOLUTION\n", ""), "line 2: the solution that begins here has no END"),
        (REGION.replace("    y = x + x\n", "    # BEGIN SOLUTION 1c: More.\n"), "line 3: a solution inside"),
        (REGION.replace(" 1b: Return twice x.", ""), "line 2: a solution without a title"),
        (REGION.replace(" 1b: Return twice x.", " Return twice x."), "line 2: a solution without a title"),
        (REGION.replace("    # BEGIN SOLUTION 1b: Return twice x.\n", ""), "line 3: END SOLUTION without"),
        (REGION.replace("y = x + x", "y = x + x  # END SOLUTION"), "line 3: a marker that is not alone"),
        (REGION.replace("y = x + x", "y = x +"), "is not Python"),
    ],
)
def test_bad_regions_are_errors_with_their_line(source, complaint):
    with pytest.raises(release.ReleaseError, match=complaint):
        release.make_starter(source, "cnn.py")


def test_starters_at_the_root_are_what_the_reference_gives():
    assert release.check_starters() == []


def test_hand_edited_starter_fails_the_check_and_the_command_is_named(tmp_path, monkeypatch, capsys):
    release.write_starters(tmp_path)
    edited = tmp_path / "cnn.py"
    edited.write_text(edited.read_text(encoding="utf-8").replace("MODEL_1_EPOCHS = 5", "MODEL_1_EPOCHS = 6"))
    monkeypatch.setattr(release, "check_starters", lambda check=release.check_starters: check(tmp_path))
    assert main(["release", "--check"]) == 1
    printed = capsys.readouterr().out
    assert "cnn.py differs from grader/reference/cnn.py at line" in printed
    assert "python -m grader release" in printed


def test_missing_starter_fails_the_check(tmp_path):
    assert len(release.check_starters(tmp_path)) == 3


def test_zip_holds_the_kit_and_no_answers(tmp_path):
    names = release.write_zip(tmp_path / "starter.zip")
    for wanted in ("README.md", "cnn.py", "transfer.py", "cnnx.py", "test_cnn.py", "show_gui.py", "requirements.txt"):
        assert wanted in names
    assert not [name for name in names if name.startswith(("grader", "tracks", ".", "data/synthetic"))]
    assert "expressions/fer2013_arrays.py" not in names
    with zipfile.ZipFile(tmp_path / "starter.zip") as archive:
        for entry in archive.namelist():
            content = archive.read(entry)
            assert b"BEGIN SOLUTION" not in content and b"END SOLUTION" not in content, entry


def test_same_kit_gives_the_same_zip(tmp_path):
    release.write_zip(tmp_path / "a.zip")
    release.write_zip(tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_file_with_a_line_of_a_solution_stops_the_zip(tmp_path, monkeypatch):
    leak = release.ROOT / "handout" / "README.md"
    monkeypatch.setattr(release, "_solution_lines", lambda: {leak.read_text(encoding="utf-8").splitlines()[2].strip()})
    with pytest.raises(release.ReleaseError, match="gives a solution away"):
        release.write_zip(tmp_path / "starter.zip")
    assert not (tmp_path / "starter.zip").exists()


@pytest.mark.parametrize("script", ["cnn.py", "transfer.py", "cnnx.py", "test_cnn.py"])
def test_unzipped_scripts_explain_themselves_in_an_empty_folder(tmp_path, script):
    release.write_zip(tmp_path / "starter.zip")
    with zipfile.ZipFile(tmp_path / "starter.zip") as archive:
        archive.extractall(tmp_path)
    kit = tmp_path / "expression_recognition"
    done = subprocess.run([sys.executable, script, "--help"], cwd=kit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--data" in done.stdout


def test_every_todo_names_a_step_of_the_rubric():
    from grader.rubric import load_rubric

    steps = {item.step for item in load_rubric().items} | {"7d"}
    for name, starter in release.make_starters().items():
        for sentence in release.todo_sentences(starter):
            assert sentence.split(":")[0] in steps, (name, sentence)
