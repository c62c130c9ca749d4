"""Files that are whole or absent, pieces that survive, folders that a later run clears away."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from grader import durable
from grader.durable import Pieces, hold, scratch_folder, sweep, write_whole

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_replaced_as_a_whole_and_drafts_of_the_dead_go(tmp_path):
    write_whole(tmp_path / "results.json", b"first")
    (tmp_path / ".results.json.0a1b2c3d.draft").write_bytes(b"half of a")
    write_whole(tmp_path / "results.json", b"second")
    assert os.listdir(tmp_path) == ["results.json"] and (tmp_path / "results.json").read_bytes() == b"second"


def test_a_draft_that_somebody_still_writes_stays(tmp_path):
    draft = tmp_path / ".results.json.0a1b2c3d.draft"
    draft.write_bytes(b"half of a")
    program = f"import fcntl, sys; f = open({str(draft)!r}); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        write_whole(tmp_path / "results.json", b"mine")
        assert draft.exists()
    finally:
        other.communicate(b"\n")
    write_whole(tmp_path / "results.json", b"mine")
    assert not draft.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_a_piece_comes_back_as_it_was_kept(tmp_path):
    pieces = Pieces(tmp_path / "some" / "pieces")
    arrays = {"train": np.arange(5), "counts.x": np.zeros((0, 7), np.float32)}
    pieces.keep("split_by_subject", {"status": "ok", "message": "Grüße"}, arrays)
    facts, found = pieces.read("split_by_subject")
    assert facts == {"status": "ok", "message": "Grüße"} and set(found) == set(arrays)
    assert all(found[name].dtype == arrays[name].dtype and found[name].shape == arrays[name].shape for name in arrays)
    assert pieces.read("another") is None
    pieces.remove()
    assert not pieces.folder.exists()


@pytest.mark.parametrize("kept", [0, 40, 70, -1])
def test_half_a_piece_is_no_piece(tmp_path, kept):
    pieces = Pieces(tmp_path)
    pieces.keep("a", {"status": "ok"}, {"x": np.ones(3)})
    path = tmp_path / "a.piece"
    path.write_bytes(path.read_bytes()[:kept])
    assert pieces.read("a") is None


def test_a_piece_with_a_changed_byte_is_no_piece(tmp_path):
    pieces = Pieces(tmp_path)
    pieces.keep("a", {"status": "ok"}, {"x": np.ones(3)})
    data = bytearray((tmp_path / "a.piece").read_bytes())
    data[-9] ^= 1
    (tmp_path / "a.piece").write_bytes(data)
    assert pieces.read("a") is None


def test_pieces_without_a_folder_keep_nothing():
    pieces = Pieces()
    pieces.keep("a", {})
    assert pieces.read("a") is None and pieces.remove() is None


def test_the_folder_of_pieces_may_vanish_under_a_run(tmp_path, monkeypatch):
    pieces, write, failed = Pieces(tmp_path / "p"), durable.write_whole, []

    def vanishing(path, data):
        if not failed:
            failed.append(path)
            path.parent.rmdir()
        return write(path, data)

    monkeypatch.setattr(durable, "write_whole", vanishing)
    pieces.keep("a", {"status": "ok"})
    assert failed and pieces.read("a") is not None


def make_old(path):
    before = time.time() - 3600
    os.utime(path, (before, before))


def test_folders_of_dead_runs_are_swept_and_those_of_living_ones_are_not(tmp_path):
    for name in ("grading-dead", "grading-young", "grading-alive", "else-dead", "grading-unmarked"):
        (tmp_path / name / "inside").mkdir(parents=True)
        (tmp_path / name / "mark").touch()
        if name != "grading-young":
            make_old(tmp_path / name)
    (tmp_path / "grading-unmarked" / "mark").unlink()
    make_old(tmp_path / "grading-unmarked")
    (tmp_path / "grading-link").symlink_to(tmp_path / "else-dead")
    (tmp_path / "grading-file").touch()
    program = (
        "from grader.durable import hold; import sys; hold(sys.argv[1]); print(flush=True); input()"
    )  # fmt: skip
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "grading-alive")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        other.stdout.readline()
        assert sweep(tmp_path, ("grading-",), marker="mark") == ["grading-dead"]
        assert sweep(tmp_path, ("grading-",)) == ["grading-unmarked"]
    finally:
        other.kill()
        other.wait()
    assert sweep(tmp_path, ("grading-",)) == ["grading-alive"], "the lock went with its process"
    assert sorted(os.listdir(tmp_path)) == ["else-dead", "grading-file", "grading-link", "grading-young"]
    assert (tmp_path / "else-dead" / "mark").exists()


def test_a_scratch_folder_is_held_and_then_gone():
    with scratch_folder("grading-test-") as folder:
        make_old(folder)
        assert sweep(folder.parent, (folder.name,)) == []
        (folder / "closed").mkdir(mode=0o000)
    assert not folder.exists()


def test_a_folder_that_is_no_folder_cannot_be_held(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError):
        hold(tmp_path / "link")
