"""Hostile archives: refused one by one, nothing outside the scratch folder, honest files byte for byte."""

import os
import stat

import pytest

from grader.intake import IntakeError, Limits, open_submission
from grader.tests.attacks.archives import ATTACKS, HONEST, SECRET

LIMITS = Limits(max_file_bytes=2**24, max_total_bytes=2**25, max_unpacked_bytes=2**26)


def by_name(attack):
    return attack.name


def all_below(folder):
    """Returns every path below a folder with what would show that it was touched; links are not followed."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            status = os.lstat(path)
            found[path] = (status.st_mode, status.st_size, status.st_mtime_ns if name in files else None)
    return found


def sha256_of_honest_files(folder):
    (folder / "plain").mkdir()
    for name, content in HONEST.items():
        (folder / "plain" / name).write_bytes(content)
    return open_submission(folder / "plain", folder / "plain-scratch").sha256


@pytest.fixture
def places(tmp_path):
    for name in ("student", "grader", "elsewhere"):
        (tmp_path / name).mkdir()
    return tmp_path / "student", tmp_path / "grader", tmp_path / "elsewhere" / "marker"


@pytest.mark.parametrize("attack", ATTACKS, ids=by_name)
def test_a_hostile_archive_costs_only_its_own_entries(places, attack):
    student, scratch, marker = places
    path = attack.build(student, marker)
    before = all_below(student.parent)
    if attack.expects == "unreadable":
        with pytest.raises(IntakeError) as caught:
            open_submission(path, scratch, LIMITS)
        assert caught.value.what and caught.value.wanted and caught.value.try_
        assert str(caught.value).replace("\n", "").isprintable()
        assert all_below(student.parent) == before
        return
    submission = open_submission(path, scratch, LIMITS)

    assert not marker.exists()
    after = all_below(student.parent)
    assert {path: state for path, state in after.items() if path in before} == before
    assert all(path.startswith(f"{scratch}{os.sep}") for path in set(after) - set(before))
    files = [path for path in submission.folder.rglob("*") if not path.is_dir()]
    for name, content in HONEST.items():
        assert (submission.folder / name).read_bytes() == content
    assert all(stat.S_ISREG(path.lstat().st_mode) and stat.S_IMODE(path.lstat().st_mode) == 0o644 for path in files)
    assert all(SECRET.encode() not in path.read_bytes() for path in files)
    assert sum(path.stat().st_size for path in files if path.name not in HONEST) <= LIMITS.max_total_bytes

    if set(submission.files) == set(HONEST):
        # The same hash is the same evidence, and so the same score for every item.
        assert submission.sha256 == sha256_of_honest_files(student.parent)

    codes = [row["code"] for row in submission.refused]
    if attack.expects == "kept":
        assert codes == []
    for code in set(attack.expects.split()) - {"kept"}:
        assert codes.count(code) >= attack.expects.split().count(code), codes
    assert set(codes) == set(attack.expects.split()) - {"kept"}
    for row in submission.refused:
        assert all(row[key] for key in ("entry", "what", "wanted", "try"))
        assert all(row[key].isprintable() for key in ("entry", "what", "wanted", "try"))


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.unprotected], ids=by_name)
def test_the_same_archive_unprotected_leaves_its_marker(places, attack):
    student, _, marker = places
    path = attack.build(student, marker)
    attack.unprotected(path, marker)
    assert marker.exists()


def test_the_corpus_is_large_and_its_names_differ():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 50
    assert sum(attack.unprotected is not None for attack in ATTACKS) >= 20
