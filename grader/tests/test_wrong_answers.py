import ast
import json
import tomllib

import pytest

from grader import wrong_answers

RUBRIC = wrong_answers.HERE / "rubric.toml"
VARIANTS = [(name, variant) for name in wrong_answers.names() for variant in wrong_answers.variants(name)]
MISTAKES = [name for name in wrong_answers.names() if name not in wrong_answers.WHOLE]


@pytest.fixture
def models(tmp_path):
    """Small files in the place of the reference's models, which tests have no time to train."""
    folder = tmp_path / "reference_models"
    folder.mkdir()
    for name in wrong_answers.MODELS:
        (folder / name).write_bytes(name.encode() * 10)
    return folder


@pytest.fixture
def photos(tmp_path):
    for part in ("train", "test"):
        folder = tmp_path / "my_photos" / part
        folder.mkdir(parents=True)
        (folder / "happy.png").write_bytes(part.encode())
    return tmp_path / "my_photos"


# --- What is kept ----------------------------------------------------------------------------------------------------


def test_every_folder_of_submissions_is_a_case():
    folders = {path.name for path in wrong_answers.CASES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(wrong_answers.names())
    assert set(wrong_answers.WHOLE) < folders


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_expected_outcomes_speak_of_items_of_the_rubric(name, variant):
    items = {
        item["id"] for item in tomllib.loads(RUBRIC.read_text(encoding="utf-8"))["items"] if not item.get("manual")
    }
    case = wrong_answers.expected(name)[variant]
    named = case["fail"] + case["cannot_grade"] + case["open"]
    assert set(named) <= items and len(set(named)) == len(named)
    assert {finding["item"] for finding in case["findings"]} <= items


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_a_finding_in_each_variant_and_none_in_its_look_alike(name):
    case = wrong_answers.expected(name)
    assert case["variant_a"]["findings"] and case["variant_b"]["findings"]
    assert not any(case["lookalike"][key] for key in ("findings", "fail", "cannot_grade"))


@pytest.mark.parametrize("name", MISTAKES)
def test_two_variants_share_hardly_a_line(name):
    """Two people wrote them; what a function has to look like (its signature, Keras' spelling) does not count."""
    lines = []
    for variant in ("variant_a", "variant_b"):
        text = (wrong_answers.CASES / name / f"{variant}.py").read_text(encoding="utf-8")
        lines.append({line.strip() for line in text.splitlines() if len(line.strip()) > 20})
    alike = lines[0] & lines[1]
    assert len(alike) <= 0.4 * min(map(len, lines)), alike


GOOD_CASE = """
lesson = 'x'
[whole]
fail = ['1b']
findings = [{ code = 'scaling_differs', certainty = 'certain', basis = 'source', item = '1b' }]
[whole.models.'model_1.h5']
make = 'make_model_1'
num_images = 10
epochs = 1
"""


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("lesson = 'x'", "lesson = 'x'\nlessons = 'y'", "unknown keys"),
        ("lesson = 'x'", "", "lesson"),
        ("fail = ['1b']", "fails = ['1b']", "unknown keys"),
        ("scaling_differs", "scaling_difers", "scaling_difers"),
        ("'certain'", "'sure'", "sure"),
        ("'source'", "'sauce'", "sauce"),
        (", item = '1b'", "", "item"),
        ("model_1.h5", "model_9.h5", "model_9"),
        ("epochs", "epoch", "epoch"),
        ("whole", "variant_a", "variant_a"),
    ],
)
def test_unknown_keys_and_words_are_errors(tmp_path, monkeypatch, before, after, complaint):
    path = tmp_path / "missing_model" / "expected.toml"
    path.parent.mkdir()
    monkeypatch.setattr(wrong_answers, "CASES", tmp_path)
    path.write_text(GOOD_CASE, encoding="utf-8")
    assert wrong_answers.expected("missing_model")["whole"]["fail"] == ["1b"]
    path.write_text(GOOD_CASE.replace(before, after), encoding="utf-8")
    with pytest.raises(ValueError, match=complaint):
        wrong_answers.expected("missing_model")


def test_the_readme_lists_every_case_with_its_lesson():
    text = (wrong_answers.CASES / "README.md").read_text(encoding="utf-8")
    assert text == wrong_answers.readme(), "run python -m grader.wrong_answers --readme"
    assert all(f"`{name}`" in text for name in wrong_answers.names())


# --- Scripts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "variant"), [pair for pair in VARIANTS if pair[0] in MISTAKES])
def test_scripts_compile_and_keep_every_function_that_is_graded(name, variant):
    reference = wrong_answers.reference_scripts()
    for filename, text in wrong_answers.scripts_of(name, variant).items():
        functions = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        assert {
            node.name for node in ast.parse(reference[filename]).body if isinstance(node, ast.FunctionDef)
        } <= functions
        compile(text, filename, "exec")


def test_the_reference_is_handed_in_without_markers():
    text = "".join(wrong_answers.reference_scripts().values())
    assert "SOLUTION" not in text and "# TODO(" not in text and "raise NotImplementedError" not in text


SOURCE = '''"""Doc."""

import os

import numpy as np

SIZE = 24  # cells


def first(x):
    # a comment of the first
    return x


@np.vectorize
def second(x):
    return first(x)


def main():
    second(1)
'''


def test_only_what_is_replaced_changes():
    changed = wrong_answers.replace_statements(SOURCE, "def second(y):\n    return y  # mine\n")
    before, after = SOURCE.split("@np.vectorize\ndef second(x):\n    return first(x)\n")
    assert changed == before + "def second(y):\n    return y  # mine\n" + after


def test_new_imports_constants_and_helpers_find_their_place():
    changed = wrong_answers.replace_statements(
        SOURCE, "import random\n\nLOW = 1\nSIZE = 12\n\n\ndef helper():\n    pass\n\n\ndef main():\n    helper()\n"
    )
    tree = ast.parse(changed)
    names = [getattr(node, "name", None) or ast.unparse(node) for node in tree.body[1:]]
    assert names[:6] == ["import os", "import numpy as np", "import random", "SIZE = 12", "first", "second"]
    assert names[6:] == ["LOW = 1", "helper", "main"]
    assert "# a comment of the first" in changed


def test_a_section_for_no_script_is_an_error():
    with pytest.raises(ValueError, match=r"model\.py"):
        wrong_answers.sections("# in model.py\nx = 1\n")
    with pytest.raises(ValueError, match="begins with"):
        wrong_answers.sections("x = 1\n# in cnn.py\ny = 1\n")


# --- Whole submissions -----------------------------------------------------------------------------------------------


def test_a_submission_is_complete_and_its_models_are_those_of_the_reference(tmp_path, models, photos):
    folder = wrong_answers.build("sample_level_split", "variant_a", tmp_path / "out", models, photos)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        *wrong_answers.SCRIPTS, *wrong_answers.MODELS, "writeup.pdf", "photos/train/happy.png", "photos/test/happy.png",
    }  # fmt: skip
    assert (folder / "model_1.h5").read_bytes() == (models / "model_1.h5").read_bytes()
    assert (folder / "writeup.pdf").read_bytes().startswith(b"%PDF")


def test_the_reference_itself_can_be_built(tmp_path, models, photos):
    folder = wrong_answers.build("reference", None, tmp_path / "out", models, photos)
    assert {name: (folder / name).read_text() for name in wrong_answers.SCRIPTS} == wrong_answers.reference_scripts()


def test_a_broken_file_leaves_the_reference_whole(tmp_path, models, photos):
    before = (models / "model_2.h5").read_bytes()
    folder = wrong_answers.build("truncated_model", None, tmp_path / "out", models, photos)
    assert (folder / "model_2.h5").read_bytes() == before[: len(before) // 2]
    assert (models / "model_2.h5").read_bytes() == before


def test_a_missing_model_is_missing_and_renamed_files_are_all_there(tmp_path, models, photos):
    folder = wrong_answers.build("missing_model", None, tmp_path / "a", models, photos)
    assert {path.name for path in folder.glob("*.h5")} == set(wrong_answers.MODELS) - {"model_4.h5"}
    renamed = wrong_answers.build("renamed_files", None, tmp_path / "b", models, photos)
    assert len(list(renamed.iterdir())) == 1
    contents = sorted(path.read_bytes() for path in renamed.rglob("*") if path.is_file())
    good = wrong_answers.build("reference", None, tmp_path / "c", models, photos)
    assert contents == sorted(path.read_bytes() for path in good.rglob("*") if path.is_file())


def test_a_script_that_crashes_on_import_crashes_there_and_nowhere_else(tmp_path, models, photos):
    folder = wrong_answers.build("crashes_on_import", None, tmp_path / "out", models, photos)
    text = (folder / "cnn.py").read_text(encoding="utf-8")
    opened = [node for node in ast.parse(text).body if isinstance(node, ast.Assign) and "open(" in ast.unparse(node)]
    assert len(opened) == 1
    assert ast.parse(text.replace(ast.get_source_segment(text, opened[0]), "pass"))


def test_the_untouched_starter_has_todos_and_nothing_else(tmp_path, models, photos):
    folder = wrong_answers.build("untouched_starter", None, tmp_path / "out", models, photos)
    assert {path.name for path in folder.iterdir()} == set(wrong_answers.SCRIPTS)
    assert all("raise NotImplementedError" in path.read_text(encoding="utf-8") for path in folder.iterdir())


def test_the_lambda_layer_holds_code_that_would_leave_a_mark(tmp_path, models, photos):
    h5py = pytest.importorskip("h5py")
    (models / "model_4.h5").unlink()
    layers = [
        {"class_name": "Rescaling", "config": {"name": "scale"}},
        {"class_name": "Dense", "config": {"name": "d"}},
    ]
    with h5py.File(models / "model_4.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": layers}})
    folder = wrong_answers.build("lambda_model", None, tmp_path / "out", models, photos)
    with h5py.File(folder / "model_4.h5") as file:
        layer = json.loads(file.attrs["model_config"])["config"]["layers"][0]
    assert layer["class_name"] == "Lambda" and layer["config"]["name"] == "scale"
    assert layer["config"]["function"]["config"]["code"]
    with h5py.File(models / "model_4.h5") as file:
        assert "Lambda" not in file.attrs["model_config"]


@pytest.mark.parametrize(
    ("name", "variant"), [("no_such_case", "variant_a"), ("scaling_differs", None), ("lambda_model", "variant_a")]
)
def test_a_case_that_does_not_exist_is_an_error(tmp_path, name, variant):
    with pytest.raises(ValueError, match="no wrong answer"):
        wrong_answers.build(name, variant, tmp_path / "out", tmp_path)


def test_an_existing_folder_is_never_written_to(tmp_path, models):
    with pytest.raises(ValueError, match="exists already"):
        wrong_answers.build("sample_level_split", "variant_a", tmp_path, models)


@pytest.mark.slow
def test_a_model_that_a_mistake_has_spoilt_is_trained_by_the_mistake_itself(tmp_path, models, photos):
    folder = wrong_answers.build("pixels_never_divided", "variant_a", tmp_path / "out", models, photos)
    assert (folder / "model_2.h5").read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
    assert (folder / "model_3.h5").read_bytes() == (models / "model_3.h5").read_bytes()
