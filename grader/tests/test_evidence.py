"""Evidence: gathered once, complete, kept, and free of what must not be in it."""

import json
import os
import shutil

import numpy as np
import pytest

from expressions.errors import DataError
from grader import evidence as evidence_module
from grader import probe_inputs, sandbox
from grader.evidence import Evidence, cache_key, collect
from grader.sandbox import limits_from
from grader.tests.tiny_submission import TinyHidden, TinySubmission, made_models, write_scripts
from grader.worker.schema import CODE_PROBES, MODELS


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    """Evidence of a good submission, and what it took."""
    folder = write_scripts(tmp_path_factory.mktemp("submission"))
    made = made_models(tmp_path_factory.getbasetemp())
    for name in ("model_1", "model_2", "model_3", "model_4"):
        shutil.copy(made / f"{name}.h5", folder / f"{name}.h5")
    (folder / "model_ec1.h5").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    for number, name in enumerate(("train", "test")):
        (folder / "photos" / name).mkdir(parents=True)
        probe_inputs.write_photos(folder / "photos" / name, seed=5 + number)
    cache = tmp_path_factory.mktemp("cache")
    sentences = []
    submission = TinySubmission(folder)
    found = collect(submission, TinyHidden(), None, cache, progress=sentences.append, accept_weak_isolation=True)
    return found, submission, cache, sentences


def test_every_probe_of_a_good_submission_is_ok(gathered):
    found = gathered[0]
    assert not found.faults
    assert set(found.probes) == set(CODE_PROBES)
    assert {name: probe for name, probe in found.probes.items() if probe["status"] != "ok"} == {}


def test_every_array_has_its_shape(gathered):
    arrays = gathered[0].arrays
    shapes = {
        "prepare_images.input": (12, 48, 48),
        "prepare_images.images": (12, 48, 48, 1),
        "prepare_images_alone.images": (1, 48, 48, 1),
        "load_photos.expected": (7, 48, 48, 1),
        "load_photos_train.labels": (7,),
        "personalize.after": (7, 7),
        "voxelize.counts": (6, 24, 24, 24),
        "voxelize_size.counts": (12, 12, 12),
        "voxelize_axes.counts": (3, 24, 24, 24),
        "voxelize_hidden.counts": (8, 24, 24, 24),
        "model_1.hidden": (20, 7),
        "model_2.hidden_minmax": (20, 7),
        "model_3.photos_test": (7, 7),
        "model_4.hidden": (8, 7),
    }
    assert {name: arrays[name].shape for name in shapes} == shapes
    assert len(np.intersect1d(arrays["split_by_subject.train"], arrays["split_by_subject.test"])) == 0


def test_the_questions_are_answered_rightly_by_a_right_submission(gathered):
    arrays = gathered[0].arrays
    assert np.allclose(arrays["prepare_images.images"][..., 0], arrays["prepare_images.input"] / 255)
    for name in ("load_photos", "load_photos_other"):
        expected = arrays[f"{name}.expected"][arrays[f"{name}.labels"]]
        assert np.abs(arrays[f"{name}.images"] - expected).mean(axis=(1, 2, 3)).max() < 0.02
    assert arrays["voxelize_boundary.counts"].sum() == len(arrays["voxelize_boundary.input"])
    cells = np.arange(24)
    for axis, grid in enumerate(arrays["voxelize_axes.counts"]):
        centres = [grid.sum(axis=tuple({0, 1, 2} - {other})) @ cells / grid.sum() for other in range(3)]
        assert np.argmax(centres) == axis
    labels = arrays["personalize.labels"]
    before, after = (arrays[f"personalize.{name}"][np.arange(7), labels].mean() for name in ("before", "after"))
    assert after > before


def test_models_are_ok_refused_or_missing(gathered):
    models = gathered[0].models
    assert {name: models[name]["status"] for name in MODELS} == {
        "model_1": "ok",
        "model_2": "ok",
        "model_3": "ok",
        "model_4": "ok",
        "model_ec1": "refused",
    }
    assert models["model_1"]["route"] == "keras" and models["model_1"]["input_shape"] == [None, 48, 48, 1]
    assert models["model_1"]["num_parameters"] == 48 * 48 * 3 + 3 + 28
    assert not models["model_2"]["same_as_model_1"]["identical"]
    assert models["model_3"]["descends_from_model_2"]["correlation"] > 0.9


def test_the_second_time_nothing_runs(gathered, monkeypatch):
    found, submission, cache, sentences = gathered
    assert "reading the model files" in sentences and "cnn.import: ok" in sentences

    def refuse(*_, **__):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(evidence_module, "run_worker", refuse)
    monkeypatch.setattr(evidence_module, "probe_isolation", refuse)
    again = collect(submission, TinyHidden(), None, cache)
    assert again.probes == found.probes and again.models == found.models and again.audits == found.audits
    assert set(again.arrays) == set(found.arrays)
    assert all(np.array_equal(again.arrays[name], array) for name, array in found.arrays.items())
    assert [path.name for path in cache.iterdir()] == [cache_key(submission, TinyHidden(), limits_from())]
    with pytest.raises(AssertionError, match="worker"):
        collect(submission, TinyHidden(version="other data"), None, cache, accept_weak_isolation=True)


def test_evidence_is_plain_data(gathered):
    cache = gathered[2]
    (folder,) = cache.iterdir()
    text = (folder / "evidence.json").read_text()
    json.loads(text)
    assert "grader-sandbox" not in text and str(cache.parent) not in text
    for path in (folder / "arrays").iterdir():
        assert np.load(path, allow_pickle=False).dtype.kind in "biufU"


def test_labels_are_not_even_looked_at(gathered):
    assert not hasattr(TinyHidden(), "labels") and not hasattr(TinyHidden(), "cloud_labels")


def test_half_written_evidence_is_gathered_again(tmp_path, monkeypatch):
    submission = empty_submission(tmp_path)
    folder = tmp_path / "cache" / cache_key(submission, TinyHidden(), limits_from())
    folder.mkdir(parents=True)
    (folder / "evidence.json").write_text('{"submission": ')
    found = collect(submission, TinyHidden(), None, tmp_path / "cache", accept_weak_isolation=True)
    assert found.probes["cnn.import"]["status"] == "missing"
    assert Evidence.load(folder).probes == found.probes


def empty_submission(tmp_path):
    (tmp_path / "empty").mkdir()
    return TinySubmission(tmp_path / "empty", name="empty")


def test_an_empty_submission_misses_everything_without_a_worker(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence_module, "run_worker", lambda *_, **__: pytest.fail("a worker was started"))
    found = collect(empty_submission(tmp_path), TinyHidden(), None, None, accept_weak_isolation=True)
    assert {probe["status"] for probe in found.probes.values()} == {"missing"}
    assert {model["status"] for model in found.models.values()} == {"missing"}


def test_a_fault_of_ours_is_told_and_never_cached(tmp_path, monkeypatch):
    submission = TinySubmission(write_scripts(tmp_path / "fault" if (tmp_path / "fault").mkdir() is None else tmp_path))
    monkeypatch.setattr(sandbox.Worker, "_start", lambda self: fail())

    def fail():
        raise sandbox.WorkerFault("no TensorFlow here")

    found = collect(submission, TinyHidden(), None, tmp_path / "cache", accept_weak_isolation=True)
    assert found.faults == [{"where": "code worker", "message": "no TensorFlow here"}]
    assert "prepare_images" not in found.probes
    assert not (tmp_path / "cache").exists() or not os.listdir(tmp_path / "cache")


def test_weak_isolation_is_refused_unless_somebody_accepts_it(tmp_path, monkeypatch):
    open_door = {"read_file": "allowed", "network": "blocked", "uid": 0}
    tried = {"bubblewrap": {"missing": "not installed", "canary": {}}, "rlimits": {"missing": "", "canary": open_door}}
    found = {"level": "rlimits", "canary": open_door, "tried": tried}
    monkeypatch.setattr(evidence_module, "probe_isolation", lambda: found)
    submission = empty_submission(tmp_path)
    with pytest.raises(DataError, match="read file") as caught:
        collect(submission, TinyHidden())
    assert "bubblewrap" in caught.value.try_
    assert collect(submission, TinyHidden(), accept_weak_isolation=True).isolation["level"] == "rlimits"


def test_voxels_of_another_size_are_a_wrong_result_of_voxelize():
    found = Evidence({}, probes={"voxelize_hidden": {"status": "ok", "message": "", "facts": {}, "seconds": 0}})
    found.arrays["voxelize_hidden.counts"] = np.zeros((8, 12, 12, 12))
    evidence_module._check_voxels(found, 8)
    assert found.probes["voxelize_hidden"]["status"] == "bad_result"
    assert "(12, 12, 12)" in found.probes["voxelize_hidden"]["message"] and not found.arrays


def test_pictures_and_photos_are_what_they_claim(tmp_path):
    pictures = probe_inputs.make_pictures()
    assert pictures.dtype == np.uint8 and (pictures[-1] == pictures[-1, 0, 0]).all()
    assert pictures[-2].min() <= 1 and pictures[-2].max() >= 254
    assert len({(int(image.min()), int(image.max())) for image in pictures}) == len(pictures)
    first = probe_inputs.write_photos(tmp_path, seed=1)
    assert len(list(tmp_path.iterdir())) == 7
    differences = np.abs(first[:, np.newaxis] - first[np.newaxis]).mean(axis=(2, 3, 4))
    assert differences[~np.eye(7, dtype=bool)].min() > 0.1, "two photos that look alike would hide swapped labels"
    turned = np.abs(first - np.rot90(first, axes=(1, 2))).mean(axis=(1, 2, 3))
    assert turned.min() > 0.1
