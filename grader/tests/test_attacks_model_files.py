"""Hostile model files are refused with the right reason, and none of them gets to do what it wants."""

import json
import os
import time

import pytest

from expressions.model_file import audit_in_child
from expressions.model_file.__main__ import describe
from grader.tests.attacks.model_files import ATTACKS, DECOY

PAYLOADS = [attack for attack in ATTACKS if attack.unprotected is not None]


@pytest.fixture
def place(tmp_path):
    """A folder for the hostile file, and a marker that does not exist."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    return folder, tmp_path / "marker"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_audit_refuses_it_and_nothing_happens(attack, place):
    folder, marker = place
    path = attack.build(folder, marker)
    names = sorted(os.listdir(folder))
    for other in folder.iterdir():
        # An access time before the time of change is renewed by the first read.
        if other != path:
            os.utime(other, (1, 1))

    started = time.perf_counter()
    result = audit_in_child(path, timeout=15)
    seconds = time.perf_counter() - started

    assert not result["accepted"]
    assert attack.expects in [reason["code"] for reason in result["reasons"]], result["reasons"]
    for reason in result["reasons"]:
        assert all(reason[key].strip() and reason[key].isprintable() for key in ("what", "wanted", "try"))
    assert seconds < 46
    assert not marker.exists()
    assert sorted(os.listdir(folder)) == names
    assert [other.name for other in folder.iterdir() if other != path and other.stat().st_atime != 1] == []
    report = json.dumps(result, allow_nan=False)
    assert DECOY not in report and len(report) < 2**20
    assert all(line.isprintable() for line in describe(result, path.name).splitlines())
    assert result["configuration"] is None
    assert _processes_about(path) == []


def _processes_about(path):
    """Processes whose command names the file."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if str(path).encode() in file.read():
                        found.append(int(entry))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("attack", PAYLOADS, ids=lambda attack: attack.name)
def test_the_same_payload_unprotected_leaves_its_marker(attack, place):
    folder, marker = place
    path = attack.build(folder, marker)
    assert not marker.exists()
    attack.unprotected(path, marker)
    assert marker.exists()


def test_every_attack_has_its_own_name():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
