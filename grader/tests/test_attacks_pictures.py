"""Hostile pictures and write-ups: a sentence for each, no program started, the rest of the submission as it was."""

import shutil
import tracemalloc

import numpy as np
import pytest

from expressions.errors import DataError
from expressions.labels import EMOTIONS
from expressions.photos import find_photos, open_photo
from grader.intake import open_submission
from grader.sandbox import limits_from, run_worker
from grader.tests.attacks.pictures import ATTACKS, picture
from grader.tests.tiny_submission import TRANSFER

PICTURES = [attack for attack in ATTACKS if attack.kind == "image"]
WRITE_UPS = [attack for attack in ATTACKS if attack.kind == "pdf"]
HONEST = b"# the student's own work\n"


def by_name(attack):
    return attack.name


@pytest.fixture
def places(tmp_path):
    for name in ("student", "elsewhere"):
        (tmp_path / name).mkdir()
    return tmp_path / "student", tmp_path / "elsewhere" / "marker"


def photo_folder(folder, hostile):
    """Seven photos of which the happy one is the hostile file."""
    folder.mkdir(parents=True)
    for number, emotion in enumerate(EMOTIONS):
        if emotion != "Happy":
            (folder / f"{emotion.lower()}.png").write_bytes(picture(size=(60 + number, 60)))
    shutil.copy(hostile, folder / hostile.name)
    return folder


@pytest.mark.parametrize("attack", PICTURES, ids=by_name)
def test_a_hostile_picture_gets_a_sentence_and_little_memory(places, attack, monkeypatch):
    student, marker = places
    path = attack.build(student, marker)
    monkeypatch.setenv("PATH", f"{student / 'bin'}:/usr/bin:/bin")
    folder = photo_folder(student.parent / "photos", path)
    tracemalloc.start()
    try:
        if attack.expects == "opens":
            assert len(find_photos(folder)) == 7
            image = open_photo(folder / path.name).convert("L").resize((48, 48))
            assert np.asarray(image).shape == (48, 48)
        else:
            with pytest.raises(DataError, match=attack.expects) as caught:
                find_photos(folder)
            assert caught.value.wanted and caught.value.try_
            with pytest.raises(DataError):
                open_photo(folder / path.name)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
    assert not marker.exists()


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.unprotected], ids=by_name)
def test_the_same_file_unprotected_leaves_its_marker(places, attack):
    student, marker = places
    attack.unprotected(attack.build(student, marker), marker)
    assert marker.exists()


@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
def test_intake_keeps_the_file_for_the_loader_and_opens_none(places, attack):
    student, marker = places
    path = attack.build(student, marker)
    root = student.parent / "jane"
    photo_folder(root / "photos" / "train", path)
    (root / "cnn.py").write_bytes(HONEST)
    if attack.kind == "pdf":
        shutil.move(root / "photos" / "train" / path.name, root / path.name)
    submission = open_submission(root, student.parent / "scratch")
    assert (submission.folder / "cnn.py").read_bytes() == HONEST
    assert submission.refused == [] and not marker.exists()
    kept = submission.folder / (path.name if attack.kind == "pdf" else f"photos/train/{path.name}")
    assert kept.read_bytes() == path.read_bytes()
    remarks = [row for row in submission.remarks if row["file"] == "writeup.pdf"]
    if attack.kind == "image" or attack.expects == "no remark":
        assert remarks == []
    else:
        (remark,) = remarks
        assert attack.expects in remark["what"] and remark["wanted"] and remark["try"]
        assert remark["staff"] == attack.expects.startswith("/")


# A student who opens photos without the kit's help, and without saying which formats.
CARELESS = TRANSFER.replace("image = open_photo(photo.path)", "image = Image.open(photo.path)").replace(
    "for photo in find_photos(folder):", "for photo in careless(folder):"
) + '''

def careless(folder):
    from pathlib import Path
    from types import SimpleNamespace

    for number, path in enumerate(sorted(Path(folder).iterdir())):
        yield SimpleNamespace(path=path, label=number)
'''  # fmt: skip


@pytest.mark.parametrize("script", [TRANSFER, CARELESS], ids=["with_the_kit", "careless"])
def test_hostile_photos_cost_their_own_probe_and_start_nothing(places, script):
    student, marker = places
    (student / "scripts").mkdir()
    (student / "scripts" / "transfer.py").write_text(script)
    files = {"submission": student / "scripts"}
    for attack, name in (("postscript_named_png", "photos"), ("pixels_of_10000_by_12500", "photos_other")):
        (attack,) = (found for found in PICTURES if found.name == attack)
        place = student / name
        place.mkdir()
        files[name] = photo_folder(student / f"{name}_7", attack.build(place, marker))
    good = files["submission"] / "photos" / "train"
    photo_folder(good, student / "photos" / "happy.png")
    (good / "happy.png").write_bytes(picture())
    probes = ["transfer.import", "load_photos", "load_photos_other", "load_photos_train"]
    needs = dict.fromkeys(probes[1:], probes[0])
    result = run_worker("grader.worker.code", {}, {}, limits_from(), probes, files, needs=needs)
    assert result.fault == ""
    assert result.probes["transfer.import"]["status"] == result.probes["load_photos_train"]["status"] == "ok"
    assert result.probes["load_photos"]["status"] == "error", result.probes["load_photos"]
    assert not marker.exists()
    if script is TRANSFER:
        assert "PostScript" in result.probes["load_photos"]["message"]
        assert "megapixels" in result.probes["load_photos_other"]["message"]
