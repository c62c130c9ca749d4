"""Evidence: gathered once, complete, kept, and free of what must not be in it."""

import functools
import json
import os
import shutil

import numpy as np
import pytest

from expressions.errors import DataError
from grader import evidence as evidence_module
from grader import probe_inputs, sandbox
from grader.durable import Pieces
from grader.evidence import Evidence, cache_key, collect, predict_one
from grader.sandbox import limits_from
from grader.tests.tiny_submission import TinyHidden, TinySubmission, made_models, write_scripts
from grader.worker.schema import CODE_PROBES, MODELS, PROBES


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
    found = collect(
        submission,
        TinyHidden(),
        None,
        cache,
        progress=sentences.append,
        accept_weak_isolation=True,
        wants_variants=lambda name, predictions: name == "model_2" and predictions.shape == (20, 7),
    )
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


def test_other_scalings_are_predicted_only_where_somebody_wants_them(gathered):
    found = gathered[0]
    assert [name for name, model in found.models.items() if "variants" in model] == ["model_2"]
    assert found.models["model_2"]["variants"] == "ok"
    assert {name.split(".")[0] for name in found.arrays if ".hidden_" in name} == {"model_2"}
    assert not np.array_equal(found.arrays["model_2.hidden"], found.arrays["model_2.hidden_0_255"])


def test_predictions_that_are_wanted_later_are_asked_for_alone(gathered, tmp_path, monkeypatch):
    found, submission, cache, _ = gathered
    shutil.copytree(cache, tmp_path / "cache")
    asked = []

    class Interview(evidence_module._Interview):
        def _ask(self, probe_id, extra_seconds):
            asked.append(probe_id)
            return super()._ask(probe_id, extra_seconds)

    monkeypatch.setattr(evidence_module, "_Interview", Interview)
    again = collect(
        submission, TinyHidden(), None, tmp_path / "cache", accept_weak_isolation=True,
        wants_variants=lambda name, predictions: name in ("model_1", "model_2"),
    )  # fmt: skip
    assert asked == ["model_1.variants"]
    assert {"model_1.hidden_0_255", "model_2.hidden_0_255"} <= set(again.arrays) and again.probes == found.probes
    assert set(Evidence.load(next((tmp_path / "cache").iterdir())).arrays) == set(again.arrays)


def test_one_model_is_predicted_without_a_submission(tmp_path_factory, tmp_path):
    made = made_models(tmp_path_factory.getbasetemp())
    images = TinyHidden().images
    shutil.copy(made / "model_1.h5", tmp_path / "my net (3).h5")
    audit, facts, arrays = predict_one(tmp_path / "my net (3).h5", images)
    assert audit["accepted"] and facts["status"] == "ok" and facts["input_shape"] == [None, 48, 48, 1]
    assert {"hidden", "hidden_0_255", "hidden_minus1_1", "hidden_standardized", "hidden_minmax"} <= set(arrays)
    assert {array.shape for array in arrays.values()} == {(20, 7)}
    audit, facts, arrays = predict_one(made / "six.h5", images[..., 0], variants=False)
    assert facts["status"] == "error" and arrays == {}
    assert facts["message"].startswith("model has output shape") and "model_1" not in facts["message"]
    (tmp_path / "page.h5").write_text("<!DOCTYPE html>")
    audit, facts, arrays = predict_one(tmp_path / "page.h5", images)
    assert audit["kind"] == "html" and facts["status"] == "refused" and arrays == {}
    with pytest.raises(ValueError, match=r"\(3, 5\)"):
        predict_one(made / "model_1.h5", np.zeros((3, 5)))


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
    assert models["model_1"]["route"].startswith("built anew from its configuration (Keras 3")
    assert models["model_1"]["input_shape"] == [None, 48, 48, 1]
    assert models["model_1"]["num_parameters"] == 48 * 48 * 3 + 3 + 28
    assert not models["model_2"]["same_as_model_1"]["identical"]
    assert models["model_3"]["descends_from_model_2"]["correlation"] > 0.9


def copy_of_pieces(found, cache, submission, but=()):
    """Turns evidence back into the pieces that it was gathered from, as a killed run leaves them."""
    key = cache_key(submission, TinyHidden(), limits_from())
    pieces = Pieces(cache / f".pieces-{key}-{found.isolation['level']}")
    for name, audit in found.audits.items():
        pieces.keep(f"{name}.audit", audit)
    pieces.keep("findings", found.findings)
    for name, answer in {**found.probes, **found.models}.items():
        if name not in but and answer["status"] == "ok":
            arrays = {key: found.arrays.get(f"{name}.{key}") for key in PROBES[name].arrays}
            facts = answer.get("facts") or {key: answer[key] for key in answer if key in PROBES[name].facts}
            answer = {key: answer[key] for key in ("status", "message", "seconds")} | {"facts": facts}
            pieces.keep(
                name,
                {"answer": answer, "cpu_seconds": 1.0, "versions": {}},
                {key: array for key, array in arrays.items() if array is not None},
            )
    return pieces


def test_what_a_killed_run_had_is_not_asked_again(gathered, tmp_path, monkeypatch):
    found, submission, _, _ = gathered
    pieces = copy_of_pieces(found, tmp_path, submission, but=("split_by_subject",))
    damaged = pieces.folder / "voxelize_size.piece"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    asked = []

    class Interview(evidence_module._Interview):
        def _ask(self, probe_id, extra_seconds):
            asked.append(probe_id)
            return super()._ask(probe_id, extra_seconds)

    monkeypatch.setattr(evidence_module, "_Interview", Interview)
    monkeypatch.setattr(evidence_module, "_audit_one", lambda *_: pytest.fail("a file was audited again"))
    again = collect(submission, TinyHidden(), None, tmp_path, accept_weak_isolation=True)
    assert asked == ["voxelize_size", "split_by_subject"]
    assert {name: probe["status"] for name, probe in again.probes.items()} == {
        name: probe["status"] for name, probe in found.probes.items()
    }
    assert np.array_equal(again.arrays["model_1.hidden"], found.arrays["model_1.hidden"])
    assert not pieces.folder.exists()


@pytest.mark.parametrize(("num_kills", "status"), [(1, "ok"), (2, "died")])
def test_a_worker_that_was_killed_is_asked_once_more(num_kills, status, monkeypatch):
    interview = with_killed_workers(monkeypatch, num_kills)
    with interview:
        assert interview.ask("split_by_subject")["status"] == status
    assert interview.faults == []


def test_a_worker_that_dies_before_the_question_is_started_once_more(monkeypatch):
    interview = with_killed_workers(monkeypatch, 0)
    faults = iter([True])
    run = evidence_module._HeldWorker.run

    def dying(self, *arguments):
        if next(faults, False):
            raise sandbox.WorkerFault("could not import what train needs")
        return run(self, *arguments)

    monkeypatch.setattr(evidence_module._HeldWorker, "run", dying)
    with interview:
        assert interview.ask("split_by_subject")["status"] == "ok" and interview.faults == []
        faults = iter([True, True])
        assert interview.ask("voxelize") is None
    assert interview.faults == ["could not import what train needs"]


def test_two_kills_by_a_machine_without_memory_are_the_machines_fault(monkeypatch):
    counter = iter(range(100))
    monkeypatch.setattr(evidence_module, "_machine_kills", lambda: next(counter))
    interview = with_killed_workers(monkeypatch, 2)
    with interview:
        assert interview.ask("split_by_subject") is None
        assert interview.ask("voxelize")["status"] == "ok", "the others are asked all the same"
    assert "ran out of memory" in interview.faults[0] and "split_by_subject" not in interview.probes


def with_killed_workers(monkeypatch, num_kills):
    kills = iter([True] * num_kills)

    class Killed:
        alive, start_cpu_seconds, versions = True, 1.0, {"python": "3"}

        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def run(self, probe_id, seconds, extra_seconds):
            self.alive = not next(kills, False)
            answer = {"status": "ok" if self.alive else "died", "message": "", "facts": {}, "seconds": 0.1}
            return answer, {}, {"cpu_seconds": 0.1}

        def close(self):
            pass

    monkeypatch.setattr(evidence_module, "_HeldWorker", Killed)
    return evidence_module._Interview("grader.worker.code", lambda: ({}, {}, {}), limits_from(), "rlimits", Pieces())


def test_the_second_time_nothing_runs(gathered, monkeypatch):
    found, submission, cache, sentences = gathered
    assert "reading the model files" in sentences and "cnn.import: ok" in sentences

    def refuse(*_, **__):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(evidence_module, "_HeldWorker", refuse)
    monkeypatch.setattr(evidence_module, "probe_isolation", refuse)
    (cache / f".pieces-{cache_key(submission, TinyHidden(), limits_from())}-bubblewrap").mkdir()
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
    monkeypatch.setattr(evidence_module, "_HeldWorker", lambda *_, **__: pytest.fail("a worker was started"))
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
    # What was finished before the fault is kept for the next run; the whole is not, nor anything about the fault.
    (pieces,) = (tmp_path / "cache").iterdir()
    assert pieces.name.startswith(".pieces-") and os.listdir(pieces) == ["findings.piece"]


def test_weak_isolation_is_refused_unless_somebody_accepts_it(tmp_path, monkeypatch):
    open_door = {"read_file": "allowed", "network": "blocked", "uid": 0}
    tried = {"bubblewrap": {"missing": "not installed", "canary": {}}, "rlimits": {"missing": "", "canary": open_door}}
    found = {"level": "rlimits", "canary": open_door, "tried": tried}
    monkeypatch.setattr(evidence_module, "probe_isolation", functools.cache(lambda: found))
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
