"""The files of the synthetic class: real formats, the kit's own loaders, and a manifest that tells the truth."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from expressions.fer2013_arrays import load_fer2013_arrays
from expressions.labels import EMOTIONS
from expressions.synthetic import files, make_face_images
from expressions.synthetic.__main__ import main
from expressions.synthetic.emotions import FER2013_COUNTS
from expressions.synthetic.manifest import read_manifest, write_manifest
from expressions.synthetic.presets import FULL_SIZE, PRESETS, ImageKnobs
from grader.tests.fer2013_statistics import check_statistics


@pytest.fixture(scope="module")
def small_csv(tmp_path_factory):
    """A csv of 420 images and what its manifest says."""
    path = tmp_path_factory.mktemp("small") / "fer2013.csv"
    files.write_fer2013(path, {"Training": 300, "PublicTest": 60, "PrivateTest": 60}, seed=11, preset="full", jobs=None)
    return path, read_manifest(path.parent)["fer2013.csv"]


def counts_of(facts):
    return {usage: part["counts"] for usage, part in facts["usages"].items()}


def test_a_small_csv_passes_the_statistics_of_the_real_one(small_csv):
    path, facts = small_csv
    check_statistics(path, counts_of(facts))


def test_the_real_csv_passes_the_same_statistics(real_data, tmp_path):
    with np.load(real_data / "fer2013.npz") as fer:
        images, labels, usage = fer["images"], fer["labels"], fer["usage"]
    rows = np.concatenate([np.flatnonzero(usage == code)[:1500] for code in range(3)])
    path, texts = tmp_path / "fer2013.csv", [str(value) for value in range(256)]
    with open(path, "w") as csv:
        csv.write("emotion,pixels,Usage\n")
        for row in rows:
            pixels = " ".join(map(texts.__getitem__, images[row].tobytes()))
            csv.write(f"{labels[row]},{pixels},{files.USAGES[usage[row]]}\n")
    counts = {
        name: dict(zip(EMOTIONS, np.bincount(labels[rows][usage[rows] == code], minlength=7).tolist()))
        for code, name in enumerate(files.USAGES)
    }
    check_statistics(path, counts)


@pytest.mark.slow
def test_the_csv_at_full_size_passes_the_same_statistics_and_takes_a_minute_on_two_cores(tmp_path):
    path, began = tmp_path / "fer2013.csv", time.monotonic()
    main(["fer2013", "--out", str(path), "--preset", "full"])
    seconds = time.monotonic() - began
    print(f"{seconds:.0f} s for 35,887 images")
    facts = read_manifest(tmp_path)["fer2013.csv"]
    assert {usage: tuple(part["counts"].values()) for usage, part in facts["usages"].items()} == FER2013_COUNTS
    check_statistics(path, counts_of(facts))


def test_the_full_preset_has_fer2013_s_sizes():
    assert PRESETS["full"].num_images == FULL_SIZE == {usage: sum(counts) for usage, counts in FER2013_COUNTS.items()}


def test_the_manifest_says_what_the_csv_holds(small_csv):
    path, facts = small_csv
    arrays = load_fer2013_arrays(path, cache=False)
    assert facts["kind"] == "fer2013" and facts["seed"] == 11 and facts["generator"] == files.GENERATOR_VERSION
    assert facts["sha256"] == files.digest(path)
    assert facts["knobs"]["label_noise"] == PRESETS["full"].images.label_noise
    for usage in files.USAGES:
        counts = np.bincount(arrays.split(usage)[1], minlength=7).tolist()
        assert list(facts["usages"][usage]["counts"].values()) == counts
        assert facts["usages"][usage]["rows"] == sum(counts)


def test_a_reader_of_what_the_faces_show_scores_the_ceiling_of_the_manifest(small_csv):
    _, facts = small_csv
    for number, usage in enumerate(files.USAGES):
        part = facts["usages"][usage]
        plan = make_face_images(part["rows"], [11, number], "full", usage=usage)
        assert (plan.shown == plan.labels).mean() == pytest.approx(part["ceiling"], abs=1e-6)
        assert sum(np.diag(list(part["confusion"].values()))) == part["rows"] - part["wrong_labels"]
    assert facts["ceiling"] == pytest.approx(1 - facts["knobs"]["label_noise"])


def test_the_same_seed_gives_the_same_file_in_parallel_and_one_after_the_other(tmp_path):
    sizes = {"Training": 130, "PublicTest": 10, "PrivateTest": 10}
    facts = [files.write_fer2013(tmp_path / f"{jobs}.csv", sizes, seed=3, jobs=jobs) for jobs in (1, 2)]
    assert facts[0]["sha256"] == facts[1]["sha256"]
    assert set(read_manifest(tmp_path)) == {"1.csv", "2.csv"}


def test_a_manifest_keeps_what_was_said_of_other_files(tmp_path):
    write_manifest(tmp_path / "a.csv", {"kind": "a"})
    write_manifest(tmp_path / "b.csv", {"kind": "b"})
    write_manifest(tmp_path / "a.csv", {"kind": "new"})
    assert read_manifest(tmp_path) == {"a.csv": {"kind": "new"}, "b.csv": {"kind": "b"}}
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_a_person_s_pictures_share_the_person_and_not_the_emotion():
    faces = make_face_images(60, seed=5, images_per_person=6)
    people, counts = np.unique(faces.subjects, return_counts=True)
    assert len(people) == 10 and set(counts) == {6}
    # Seen by the camera in another pose, a person's landmarks still differ less than those of strangers.
    assert len(set(map(tuple, faces.images.reshape(60, -1).tolist()))) == 60
    assert max(len(set(faces.labels[faces.subjects == person])) for person in people) > 2


def test_everybody_is_seen_once_unless_asked_otherwise():
    assert len(set(make_face_images(20, seed=5).subjects)) == 20


def test_action_units_come_with_the_images():
    faces = make_face_images(40, seed=6, knobs=ImageKnobs(spurious_units=0, missing_units=0, label_noise=0))
    assert faces.sides.shape == (40, 34) and faces.action_units.shape == (40, 17)
    assert faces.action_units[faces.shown == EMOTIONS.index("Neutral")].max() == 0
    assert faces.action_units[faces.shown == EMOTIONS.index("Happy")].max(1).min() > 1


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["fer2013", "--size", "20", "--jobs", "1", "--images-per-person", "2", "--out", "fer.csv"], "fer.csv"),
        (["faces", "--size", "2", "--out", "faces.py"], "faces.py"),
        (["action-units", "--size", "30", "--out", "aus.csv"], "aus.csv"),
        (["openface", "--size", "30", "--out", "openface"], "openface/posed.csv"),
        (["landmarks", "--size", "2", "--points", "68", "--out", "landmarks.csv"], "landmarks.csv"),
        (["landmarks", "--size", "2", "--out", "landmarks.npz"], "landmarks.npz"),
        (
            ["sequences", "--size", "1", "--frame", "96x74", "--jobs", "1", "--out", "ck"],
            "ck/cohn-kanade-images/S001/001/S001_001_00000001.png",
        ),
    ],
)
def test_the_command_line_writes_each_kind_and_its_manifest(tmp_path, monkeypatch, arguments, made):
    monkeypatch.chdir(tmp_path)
    main(arguments)
    assert (tmp_path / made).exists()
    facts = read_manifest(tmp_path)[arguments[-1]]
    assert facts["kind"] == arguments[0] and facts["seed"] == PRESETS["default"].seed
    json.dumps(facts)


def test_the_command_line_refuses_what_makes_no_sense(tmp_path, capsys):
    for arguments in (
        ["faces", "--out", "f.npz", "--size", "0"],
        ["faces", "--out", "f.npz", "--cache", "cache"],
        ["faces", "--cache", str(tmp_path), "--size", "3"],
        ["sequences", "--out", "ck", "--frame", "96"],
        ["no-such-kind", "--out", "x"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    capsys.readouterr()


def test_help_names_every_kind():
    done = subprocess.run(
        [sys.executable, "-m", "expressions.synthetic", "--help"],
        cwd=files.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for kind in ("fer2013", "faces", "photos", "action-units", "openface", "landmarks", "sequences", "sheet", "study"):
        assert f"\n    {kind}" in done.stdout
