import ast
import re
import sys
import time
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

from grader import probe_inputs, wrong_answers
from grader.findings import CODES, find_behaviour, find_in_sources, settle
from grader.outcome import Outcome
from grader.source_reading import MAX_FILE_BYTES

MISTAKES = [name for name in wrong_answers.names() if name not in wrong_answers.WHOLE]
WRONG = [(name, variant) for name in MISTAKES for variant in ("variant_a", "variant_b")]
# Those that a script shows; others only the network's answers do.
IN_SOURCE = [
    (name, variant)
    for name, variant in WRONG
    if any(finding["basis"] == "source" for finding in wrong_answers.expected(name)[variant]["findings"])
]
KEYS = {"code", "certainty", "basis", "item", "step", "file", "line", "evidence", "what", "wanted", "try"}


def wanted_findings(name, variant, basis):
    findings = wrong_answers.expected(name)[variant]["findings"]
    return sorted((f["code"], f["certainty"], f["item"]) for f in findings if f["basis"] == basis)


def brief(findings):
    return sorted((f["code"], f["certainty"], f["item"]) for f in findings)


def write(folder, **scripts):
    for name, text in scripts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def source_cases():
    text = (Path(__file__).parent / "source_cases.txt").read_text(encoding="utf-8")
    parts = re.split(r"^## (wrong|right) (\w+)\n", text, flags=re.MULTILINE)[1:]
    for number, (kind, code, sections) in enumerate(zip(parts[::3], parts[1::3], parts[2::3], strict=True)):
        yield pytest.param(kind, code, sections, id=f"{kind}-{code}-{number}")


# --- Sources ---------------------------------------------------------------------------------------------------------


def test_each_mistake_is_kept_twice_with_a_look_alike():
    kept = {finding["code"] for name, v in WRONG for finding in wrong_answers.expected(name)[v]["findings"]}
    assert kept == set(CODES)
    assert len({name for name, _ in IN_SOURCE}) == 8


@pytest.mark.parametrize(("name", "variant"), WRONG)
def test_a_wrong_answer_is_named_from_its_source_and_nothing_else_is(tmp_path, name, variant):
    folder = wrong_answers.write_scripts(name, variant, tmp_path)
    findings = find_in_sources(folder)
    assert brief(findings) == wanted_findings(name, variant, "source")
    for finding in findings:
        assert set(finding) == KEYS and finding["basis"] == "source"
        lines = (folder / finding["file"]).read_text(encoding="utf-8").splitlines()
        assert finding["evidence"] == lines[finding["line"] - 1].strip() != ""


@pytest.mark.parametrize(("name", "variant"), IN_SOURCE)
def test_the_named_line_is_one_that_the_wrong_answer_changed(tmp_path, name, variant):
    folder = wrong_answers.write_scripts(name, variant, tmp_path)
    (finding,) = find_in_sources(folder)
    assert finding["evidence"] in (wrong_answers.CASES / name / f"{variant}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_correct_look_alike_is_left_alone(tmp_path, name):
    assert find_in_sources(wrong_answers.write_scripts(name, "lookalike", tmp_path)) == []


@pytest.mark.parametrize(("kind", "code", "sections"), list(source_cases()))
def test_other_people_write_it_differently(tmp_path, kind, code, sections):
    scripts = wrong_answers.reference_scripts()
    for filename, changes in wrong_answers.sections(sections).items():
        scripts[filename] = wrong_answers.replace_statements(scripts[filename], changes)
    for filename, text in scripts.items():
        (tmp_path / filename).write_text(text, encoding="utf-8")
    assert [f["code"] for f in find_in_sources(tmp_path)] == ([code] if kind == "wrong" else [])


def test_the_reference_has_no_mistake(tmp_path):
    for filename, text in wrong_answers.reference_scripts().items():
        (tmp_path / filename).write_text(text, encoding="utf-8")
    assert find_in_sources(tmp_path) == []
    assert find_in_sources(wrong_answers.REFERENCE) == []


def test_a_mistake_in_a_helper_file_is_named_there(tmp_path):
    write(
        tmp_path,
        cnn="from pixels import prepare_images\n",
        pixels=(
            "import numpy as np\n\n\ndef prepare_images(pixel_strings):\n"
            "    return np.array([row.split() for row in pixel_strings], 'float32').reshape(-1, 48, 48, 1)\n"
        ),
    )
    (finding,) = find_in_sources(tmp_path)
    assert (finding["code"], finding["file"], finding["line"]) == ("pixels_never_divided", "pixels.py", 5)


def test_three_mistakes_in_one_submission_are_three_findings(tmp_path):
    scripts = wrong_answers.reference_scripts()
    for name in ("sample_level_split", "pixels_never_divided", "test_photos_from_training_folder"):
        text = (wrong_answers.CASES / name / "variant_a.py").read_text(encoding="utf-8")
        for filename, changes in wrong_answers.sections(text).items():
            scripts[filename] = wrong_answers.replace_statements(scripts[filename], changes)
    for filename, text in scripts.items():
        (tmp_path / filename).write_text(text, encoding="utf-8")
    assert [f["code"] for f in find_in_sources(tmp_path)] == [
        "pixels_never_divided",
        "test_photos_from_training_folder",
        "sample_level_split",
    ]


def test_each_script_gets_the_advice_of_its_own_data_for_validation(tmp_path):
    def advice(name, variant):
        (finding,) = find_in_sources(wrong_answers.write_scripts(name, variant, tmp_path / variant))
        assert "line" not in finding["what"], "the report names file and line behind it"
        return finding["file"], finding["try"]

    file, try_ = advice("test_set_used_for_validation", "variant_a")
    assert file == "cnn.py" and "PublicTest" in try_
    file, try_ = advice("test_set_used_for_validation", "variant_b")
    assert file == "cnnx.py" and "keep some training subjects back" in try_ and "Public" not in try_


@pytest.mark.parametrize(("name", "variant"), WRONG)
def test_a_finding_leaves_its_own_line_to_the_report(tmp_path, name, variant):
    for finding in find_in_sources(wrong_answers.write_scripts(name, variant, tmp_path)):
        if name not in ("test_photos_from_training_folder", "scaling_differs"):  # those name two places
            assert f"line {finding['line']}" not in finding["what"]


# --- Settled by behaviour --------------------------------------------------------------------------------------------


def passed(*items, failed=()):
    made = [Outcome(item, "", item, "passed", 1.0, 1.0) for item in items]
    return made + [Outcome(item, "", item, "failed", 0.0, 1.0) for item in failed]


VOXEL_ITEMS = ("10-shape", "10-sum", "10-bounds")


def test_voxel_24_is_dropped_only_if_every_item_about_the_grid_passes(tmp_path):
    for variant in ("variant_a", "variant_b"):
        findings = find_in_sources(wrong_answers.write_scripts("voxel_index_outside_grid", variant, tmp_path / variant))
        assert len(findings) == 1
        assert settle(findings, passed(*VOXEL_ITEMS)) == []
        for item in VOXEL_ITEMS:
            others = [other for other in VOXEL_ITEMS if other != item]
            assert settle(findings, passed(*others, failed=[item])) == findings
            assert settle(findings, passed(*others)) == findings


def test_pixels_never_divided_is_dropped_if_its_own_item_passes(tmp_path):
    (finding,) = find_in_sources(wrong_answers.write_scripts("pixels_never_divided", "variant_a", tmp_path))
    assert settle([finding], passed("1b")) == []
    assert settle([finding], passed("7b", failed=["1b"])) == [finding]
    photos = {**finding, "item": "7b"}
    assert settle([photos], passed("7b", failed=["1b"])) == []


def test_what_behaviour_has_shown_is_never_dropped(tmp_path):
    found = [
        {"code": "pixels_never_divided", "basis": "behaviour", "item": "1b", "certainty": "certain"},
        {"code": "voxel_index_outside_grid", "basis": "behaviour", "item": "10-shape", "certainty": "certain"},
        {"code": "sample_level_split", "basis": "behaviour", "item": "12", "certainty": "certain"},
    ]
    assert settle(found, passed("1b", "12", *VOXEL_ITEMS)) == found


@pytest.mark.parametrize("variant", ["variant_a", "variant_b"])
def test_a_split_inside_split_by_subject_is_settled_by_its_item(tmp_path, variant):
    findings = find_in_sources(wrong_answers.write_scripts("sample_level_split", variant, tmp_path))
    assert settle(findings, passed(failed=["12"])) == findings
    assert settle(findings, passed("12")) == []


def test_a_split_in_main_stays_as_probable_if_split_by_subject_is_right(tmp_path):
    scripts = wrong_answers.reference_scripts()
    changes = """
from sklearn.model_selection import train_test_split
def main():
    clouds = load_point_clouds("faces.py")
    X = np.stack([voxelize(p) for p in clouds.points])[..., None]
    X_train, X_test = train_test_split(X, test_size=0.2)
    make_model_4().fit(X_train)
"""
    scripts["cnnx.py"] = wrong_answers.replace_statements(scripts["cnnx.py"], changes)
    for filename, text in scripts.items():
        (tmp_path / filename).write_text(text, encoding="utf-8")
    (finding,) = find_in_sources(tmp_path)
    assert (finding["code"], finding["certainty"]) == ("sample_level_split", "certain")
    assert settle([finding], passed("12")) == [{**finding, "certainty": "probable"}]
    assert finding["certainty"] == "certain", "the finding that was given is left as it was"
    assert settle([finding], passed(failed=["12"])) == [finding]


@pytest.mark.parametrize(("name", "variant"), WRONG)
def test_settling_keeps_every_finding_that_a_wrong_answer_deserves(tmp_path, name, variant):
    findings = find_in_sources(wrong_answers.write_scripts(name, variant, tmp_path))
    case = wrong_answers.expected(name)[variant]
    items = {"1b", "1c", "3c", "7b", "12", *VOXEL_ITEMS}
    assert settle(findings, passed(*(items - set(case["fail"])), failed=case["fail"])) == findings


# --- Hostile sources -------------------------------------------------------------------------------------------------

HOSTILE = {
    "empty": "",
    "no Python": "def broken(:\n",
    "null bytes": "x = 1\0",
    "deep parentheses": "x = " + "(" * 5000 + ")" * 5000,
    "deep sum": "x = " + "+".join(["1"] * 30_000),
    "deep calls": "x = " + "f(" * 90 + "1" + ")" * 90,
    "deep blocks": "".join("    " * i + "if x:\n" for i in range(90)) + "    " * 90 + "pass\n",
    "doubling tuples": "x = 1\n" + "x = (x, x)\n" * 5000,
    "doubling lists": "x = []\n" + "x = [x, x]\n" * 2000 + "def make_model_1():\n    return x\n",
    "doubling in a graded function": "def prepare_images(s):\n" + "    s = (s, s)\n" * 3000 + "    return s\n",
    "doubling sums in a graded function": "def voxelize(p, size=24):\n"
    + "    p = p + p\n" * 3000
    + "    g[round(p * size) % 24] += 1\n    return g\n",
    "a list in itself": "x = []\nx.append(x)\nx += [x]\n\n\ndef prepare_images(s):\n    return x\n",
    "calls that multiply": "def f0():\n    return 1\n"
    + "".join(f"def f{i + 1}():\n    return (f{i}(), f{i}(), f{i}(), f{i}())\n" for i in range(40)),
    "calls of itself": "def main():\n    main()\n    main()\n\n\nif __name__ == '__main__':\n    main()\n",
    "lambdas": "f = lambda f: f(f)(f)\nf(f)\n",
    "nested loops": "for a in (1, 2, 3, 4, 5, 6, 7, 8):\n"
    + "".join("    " * i + "for b in (1, 2, 3, 4, 5, 6, 7, 8):\n" for i in range(1, 12))
    + "    " * 12
    + "x = 1\n",
    "many names and branches": "".join(f"x{i} = {i}\n" for i in range(6000)) + "if y:\n    z = 1\n" * 3000,
    "large numbers": "x = 9 ** 9 ** 9 ** 9\ny = 'a' * 10 ** 10\nz = [0] * 10 ** 10\n",
    "odd targets": "a.b[c].d, *e = f = g[h:i] = j\n(k := 1)\nl: int\nm: int = 2\na.b += 1\n[x for x.y in z]\ndel a\n",
    "odd arguments": "def f(a, /, b, *c, d=1, **e):\n    return f(*a, *b, **e)\nf(**{1: 2}, **g, *h)\nf(*f, f=f)\n",
    "match and await": "match x:\n    case [a, *b] if a:\n        pass\nasync def f():\n    await c\n",
    "imports itself": "import cnn\nfrom cnn import *\nfrom transfer import *\nfrom . import x\nimport os.path as p\n",
    "too large": "# " + "x" * MAX_FILE_BYTES,
    "odd main": "def prepare_images(*s, **k):\n    return s / 255\nprepare_images = prepare_images(prepare_images)\n"
    "def load_photos():\n    pass\nvoxelize = 3\ndef split_by_subject(): return 1\n"
    "class make_model_1:\n    def load_photos(self): return self.x\n",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_source_is_read_in_seconds_and_gives_nothing(tmp_path, text):
    write(tmp_path, cnn=text, transfer=text, cnnx=text)
    began = time.process_time()
    assert find_in_sources(tmp_path) == []
    assert time.process_time() - began < 10


def test_reading_a_source_runs_nothing_of_it(tmp_path):
    marker = tmp_path / "it_ran"
    bomb = f"open({str(marker)!r}, 'w').close()\n"
    write(
        tmp_path, cnn=f"# coding: utf-8\n{bomb}\n\ndef prepare_images(s, x={bomb.strip()}):\n    {bomb}", transfer=bomb
    )
    find_in_sources(tmp_path)
    assert not marker.exists()


def test_an_absent_script_and_a_link_are_passed_over(tmp_path):
    folder = tmp_path / "submission"
    wrong_answers.write_scripts("sample_level_split", "variant_a", folder)
    outside = tmp_path / "outside.py"
    (folder / "cnnx.py").rename(outside)
    (folder / "cnnx.py").symlink_to(outside)
    assert find_in_sources(folder) == []


# --- Behaviour -------------------------------------------------------------------------------------------------------


def evidence(probes=None, **arrays):
    named = {key.replace("__", "."): np.asarray(value) for key, value in arrays.items()}
    return types.SimpleNamespace(arrays=named, probes=probes or {})


def load_script(monkeypatch, name, variant, filename):
    """Runs one script of a wrong answer with Keras and TensorFlow replaced: its own functions need numpy alone."""
    for module in ("keras", "tensorflow"):
        monkeypatch.setitem(sys.modules, module, MagicMock())
    for module, wanted in (("expressions.datasets", None), ("expressions.training_report", None)):
        monkeypatch.setitem(sys.modules, module, MagicMock(spec=wanted))
    monkeypatch.setitem(sys.modules, "expressions.plotting", MagicMock())
    namespace = {"__name__": "script", "__file__": filename}
    exec(compile(wrong_answers.scripts_of(name, variant)[filename], filename, "exec"), namespace)
    return namespace


def prepared(monkeypatch, name, variant):
    pixels = probe_inputs.make_pictures()
    strings = [" ".join(map(str, picture.ravel())) for picture in pixels]
    with np.errstate(invalid="ignore"):
        images = load_script(monkeypatch, name, variant, "cnn.py")["prepare_images"](strings)
    return {"prepare_images__images": images, "prepare_images__input": pixels}


def loaded_photos(monkeypatch, tmp_path, name, variant):
    script = load_script(monkeypatch, name, variant, "transfer.py")
    arrays = {}
    for probe, seed, capital in (("load_photos", 1, False), ("load_photos_other", 2, True)):
        folder = tmp_path / probe
        folder.mkdir()
        arrays[f"{probe}__expected"] = probe_inputs.write_photos(folder, seed=seed, capital=capital)
        arrays[f"{probe}__images"], arrays[f"{probe}__labels"] = script["load_photos"](str(folder))
    return arrays


def split(monkeypatch, name, variant):
    ids = probe_inputs.make_subject_ids()
    train, test = load_script(monkeypatch, name, variant, "cnnx.py")["split_by_subject"](ids, 0.2, 0)
    return {"split_by_subject__input": ids, "split_by_subject__train": train, "split_by_subject__test": test}


def voxelized(monkeypatch, name, variant):
    voxelize = load_script(monkeypatch, name, variant, "cnnx.py")["voxelize"]
    clouds = probe_inputs.make_axis_clouds()
    border = probe_inputs.make_boundary_cloud(clouds[0])
    arrays, probes = {"voxelize__input": clouds, "voxelize_boundary__input": border}, {}
    for probe, points in (("voxelize", clouds), ("voxelize_boundary", border[np.newaxis])):
        try:
            arrays[f"{probe}__counts"] = np.stack([voxelize(cloud) for cloud in points])
        except IndexError as error:
            probes[probe] = {"status": "error", "message": f"IndexError: {error}"}
    return arrays, probes


@pytest.mark.parametrize("variant", ["variant_a", "variant_b"])
def test_pixels_up_to_255_are_seen_in_what_comes_back(monkeypatch, variant):
    found = find_behaviour(evidence(**prepared(monkeypatch, "pixels_never_divided", variant)), [])
    wanted = wanted_findings("pixels_never_divided", variant, "behaviour")
    assert brief(found) == [finding for finding in wanted if finding[2] == "1b"]


def test_one_photo_above_1_is_not_called_never_divided():
    images = np.random.default_rng(0).random((7, 48, 48, 1))
    images[3] *= 255  # 16 bits a pixel, cut off at 255
    assert find_behaviour(evidence(load_photos__images=images), []) == []
    images[:] = 1.0
    images[3] = 255
    assert find_behaviour(evidence(load_photos__images=images), []) == []
    (finding,) = find_behaviour(evidence(load_photos__images=images * 0 + np.linspace(0, 255, 48)), [])
    assert (finding["code"], finding["item"]) == ("pixels_never_divided", "7b")


def test_scaling_of_each_picture_by_itself_is_seen_in_what_comes_back(monkeypatch, tmp_path):
    arrays = prepared(monkeypatch, "scaling_differs", "variant_a")
    arrays |= loaded_photos(monkeypatch, tmp_path, "scaling_differs", "variant_a")
    (finding,) = find_behaviour(evidence(**arrays), [])
    assert brief([finding]) == wanted_findings("scaling_differs", "variant_a", "behaviour")
    assert "NaN" in finding["what"]


def test_the_same_scaling_of_pictures_and_photos_is_no_difference(monkeypatch):
    arrays = prepared(monkeypatch, "scaling_differs", "variant_a")
    photos = probe_inputs.make_fields(7, seed=5)
    low, high = photos.min(axis=(1, 2), keepdims=True), photos.max(axis=(1, 2), keepdims=True)
    arrays["load_photos__images"] = (photos - low) / (high - low)
    assert find_behaviour(evidence(**arrays), []) == []


@pytest.mark.parametrize("name", ["pixels_never_divided", "scaling_differs"])
def test_pictures_divided_by_255_in_another_way_are_left_alone(monkeypatch, tmp_path, name):
    arrays = prepared(monkeypatch, name, "lookalike") | loaded_photos(monkeypatch, tmp_path, name, "lookalike")
    assert find_behaviour(evidence(**arrays), []) == []


def test_one_folder_for_all_photos_is_seen_in_what_comes_back(monkeypatch, tmp_path):
    images = np.random.default_rng(0).random((7, 48, 48, 1), dtype="float32")
    arrays = {f"{probe}__images": images for probe in ("load_photos", "load_photos_other")}
    (finding,) = find_behaviour(evidence(**arrays), [])
    wanted = wanted_findings("test_photos_from_training_folder", "variant_b", "behaviour")
    assert brief([finding]) == wanted
    arrays["load_photos_other__images"] = images[::-1]
    assert find_behaviour(evidence(**arrays), []) == []


def test_the_reference_reads_two_folders_of_photos_without_a_finding(monkeypatch, tmp_path):
    assert find_behaviour(evidence(**loaded_photos(monkeypatch, tmp_path, "reference", None)), []) == []


def test_labels_of_the_folder_before_are_seen_and_its_own_are_not(monkeypatch, tmp_path):
    arrays = loaded_photos(monkeypatch, tmp_path, "reference", None)
    for probe in ("load_photos", "load_photos_other"):
        arrays[f"{probe}__images"] = arrays[f"{probe}__expected"]
    order = np.array([3, 0, 6, 2, 5, 1, 4])
    arrays["load_photos_other__images"] = arrays["load_photos_other__images"][order]
    stale = arrays["load_photos_other__labels"]
    arrays["load_photos_other__labels"] = stale[order]
    assert find_behaviour(evidence(**arrays), []) == []
    arrays["load_photos_other__labels"] = stale
    (finding,) = find_behaviour(evidence(**arrays), [])
    assert (finding["code"], finding["certainty"]) == ("stale_test_labels", "certain")


def test_seven_photos_with_one_label_are_seen(monkeypatch, tmp_path):
    arrays = loaded_photos(monkeypatch, tmp_path, "reference", None)
    arrays["load_photos__labels"] = np.full(7, 6)
    (finding,) = find_behaviour(evidence(**arrays), [])
    assert finding["code"] == "stale_test_labels" and "6" in finding["evidence"]


@pytest.mark.parametrize("variant", ["variant_a", "variant_b"])
def test_people_in_both_sets_are_counted(monkeypatch, variant):
    found = find_behaviour(evidence(**split(monkeypatch, "sample_level_split", variant)), [])
    assert brief(found) == wanted_findings("sample_level_split", variant, "behaviour")
    assert re.match(r"\d+ of 50 people", found[0]["evidence"])


@pytest.mark.parametrize("name", ["sample_level_split", "reference"])
def test_a_split_of_people_is_left_alone(monkeypatch, name):
    assert find_behaviour(evidence(**split(monkeypatch, name, "lookalike")), []) == []


@pytest.mark.parametrize("variant", ["variant_a", "variant_b"])
def test_voxel_24_is_seen_as_a_crash_or_as_lost_points(monkeypatch, variant):
    arrays, probes = voxelized(monkeypatch, "voxel_index_outside_grid", variant)
    found = find_behaviour(evidence(probes, **arrays), [])
    assert brief(found) == wanted_findings("voxel_index_outside_grid", variant, "behaviour")


@pytest.mark.parametrize("name", ["voxel_index_outside_grid", "reference"])
def test_points_in_the_border_cell_are_left_alone(monkeypatch, name):
    arrays, probes = voxelized(monkeypatch, name, "lookalike")
    assert not probes and find_behaviour(evidence(**arrays), []) == []


def test_a_crash_of_another_kind_is_not_voxel_24():
    probes = {"voxelize": {"status": "error", "message": "IndexError: too many indices for array"}}
    assert find_behaviour(evidence(probes), []) == []


def softmax(scores):
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def test_outputs_behind_a_relu_are_no_probabilities():
    scores = np.random.default_rng(0).normal(size=(50, 7))
    (finding,) = find_behaviour(evidence(model_1__hidden=np.maximum(scores, 0)), np.zeros(50, int))
    assert (finding["code"], finding["certainty"], finding["item"]) == ("last_layer_not_softmax", "certain", "3-file")
    (finding,) = find_behaviour(evidence(model_2__hidden=scores), np.zeros(50, int))
    assert (finding["certainty"], finding["item"]) == ("probable", "4-file")
    probabilities = softmax(scores).astype("float16")
    assert find_behaviour(evidence(model_1__hidden=probabilities), np.zeros(50, int)) == []


def right_for(labels, share, seed):
    """Predictions that are right for a share of the labels, and unsure."""
    random = np.random.default_rng(seed)
    scores = random.random((len(labels), 7))
    scores[np.arange(len(labels)), labels] += np.where(random.random(len(labels)) < share, 1.0, -1.0)
    return softmax(scores)


@pytest.mark.parametrize(
    ("scaling", "code"),
    [
        ("0_255", "pixels_never_divided"),
        ("minmax", "scaling_differs"),
        ("minus1_1", "scaling_differs"),
        ("standardized", "scaling_differs"),
        ("featurewise", "scaling_differs"),
        ("inverted", "scaling_differs"),
        ("transposed", "pictures_turned"),
        ("upside_down", "pictures_turned"),
    ],
)
def test_a_model_that_prefers_other_pictures_was_trained_on_them(scaling, code):
    labels = np.random.default_rng(1).integers(0, 7, 400)
    arrays = {
        "model_2__hidden": right_for(labels, 0.2, 2),
        f"model_2__hidden_{scaling}": right_for(labels, 0.6, 3)[:300],
    }
    (finding,) = find_behaviour(evidence(**arrays), labels)
    assert (finding["code"], finding["certainty"], finding["item"]) == (code, "certain", "4-accuracy")
    assert "of 300 pictures" in finding["what"]


def test_outputs_in_alphabetical_order_are_seen_in_pictures_and_in_clouds():
    labels = np.random.default_rng(1).integers(0, 7, 400)
    alphabetical = np.argsort(np.argsort(["Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"]))
    outputs = right_for(alphabetical[labels], 0.5, 2)
    (finding,) = find_behaviour(evidence(model_1__hidden=outputs), labels)
    assert (finding["code"], finding["certainty"], finding["item"]) == ("label_order_differs", "certain", "3-accuracy")
    assert re.search(
        r"alphabetical order .*: \d\d% of 400 pictures are right in that order, \d\d% in FER", finding["what"]
    )
    (finding,) = find_behaviour(evidence(model_4__hidden=outputs), labels[:3], labels)
    assert (finding["code"], finding["item"]) == ("label_order_differs", "13-accuracy")
    assert "of 400 clouds" in finding["what"]


def test_predictions_beyond_the_labels_are_not_looked_at():
    labels = np.random.default_rng(1).integers(0, 7, 800)
    outputs = right_for(np.where(np.arange(800) < 400, labels, (labels + 1) % 7), 0.6, 2)
    assert find_behaviour(evidence(model_2__hidden=outputs), labels[:400]) == []


def test_a_few_pictures_more_under_another_scaling_are_chance():
    labels = np.random.default_rng(1).integers(0, 7, 300)
    arrays = {"model_2__hidden": right_for(labels, 0.5, 2), "model_2__hidden_minmax": right_for(labels, 0.55, 3)}
    assert find_behaviour(evidence(**arrays), labels) == []


def test_arrays_of_unexpected_form_give_no_finding():
    odd = {
        "prepare_images__images": np.full((3, 5), np.nan),
        "prepare_images__input": np.zeros((3, 48, 48), "uint8"),
        "load_photos__images": np.zeros((0, 48, 48, 1)),
        "load_photos_other__images": np.full((7, 48, 48, 1), np.nan),
        "load_photos__labels": np.array(3),
        "load_photos__expected": np.zeros((7, 48, 48, 1)),
        "load_photos_other__expected": np.zeros((7, 48, 48, 1)),
        "load_photos_other__labels": np.arange(7.0),
        "voxelize__counts": np.zeros((2, 3)),
        "voxelize__input": np.zeros((2, 5, 3)),
        "split_by_subject__input": np.array(["a", "b"]),
        "split_by_subject__train": np.array([0, 99]),
        "split_by_subject__test": np.array([0.5]),
        "model_1__hidden": np.full((4, 7), np.inf),
        "model_1__hidden_0_255": np.zeros((9, 7)),
        "model_2__hidden": np.zeros(3),
    }
    assert find_behaviour(evidence(**odd), np.zeros(4, int)) == []
    assert find_behaviour(evidence(), []) == []


def test_findings_import_no_keras():
    for name in ("findings", "source_findings", "source_reading", "wrong_answers"):
        tree = ast.parse((wrong_answers.HERE / f"{name}.py").read_text(encoding="utf-8"))
        imported = {
            (alias.name if isinstance(node, ast.Import) else node.module).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not imported & {"keras", "tensorflow"}
