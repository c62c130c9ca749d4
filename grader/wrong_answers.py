"""Builds the wrong answers that we keep in `grader/submissions/` into complete submission folders.

    python -m grader.wrong_answers                                         lists them
    python -m grader.wrong_answers stale_test_labels variant_a OUT MODELS  builds one; MODELS: the reference's h5 files

A case is a folder with `expected.toml`. A mistake in the code has `variant_a.py`, `variant_b.py` and `lookalike.py`
beside it: only the statements that differ from the reference, each section under a line `# in cnn.py`. A mistake with
files (a model is missing, cut off, renamed …) has `expected.toml` alone, and its steps are in `WHOLE` below.
"""

import ast
import base64
import itertools
import json
import marshal
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from grader.findings import CODES

HERE = Path(__file__).resolve().parent
CASES = HERE / "submissions"
REFERENCE = HERE / "reference"
SCRIPTS = ("cnn.py", "transfer.py", "cnnx.py")
MODELS = ("model_1.h5", "model_2.h5", "model_3.h5", "model_4.h5", "model_ec1.h5")
VARIANTS = ("variant_a", "variant_b", "lookalike")
CERTAINTIES = ("certain", "probable")
BASES = ("source", "behaviour")
TRAINING_SECONDS = 300

WRITEUP = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


def names():
    """Returns the names of all cases, sorted."""
    return sorted(path.parent.name for path in CASES.glob("*/expected.toml"))


def variants(name):
    """Returns the variants of a case: `("variant_a", "variant_b", "lookalike")`, or `("whole",)`."""
    return ("whole",) if name in WHOLE else VARIANTS


def expected(name):
    """Reads what a case deserves.

    Args:
        name: a folder of `grader/submissions/`.

    Returns:
        dict with `lesson` (str) and one dict per variant: `fail`, `cannot_grade`, `open` (lists of rubric items; every
        other automatic item passes, and an open one may do either), `findings` (list of `code`, `certainty`, `basis`,
        `item`), `models` (dict from file name to how it is trained; the others are the reference's).

    Raises:
        ValueError: a key, a code or a word that the file cannot contain.
    """
    path = CASES / name / "expected.toml"
    with path.open("rb") as file:
        case = tomllib.load(file)
    _only(path, "the file", case, {"lesson", *variants(name)}, {"lesson", *variants(name)})
    for variant in variants(name):
        part = case[variant]
        _only(path, variant, part, {"fail", "cannot_grade", "open", "findings", "models"}, {"fail"})
        for key in ("cannot_grade", "open", "findings"):
            part.setdefault(key, [])
        part.setdefault("models", {})
        for finding in part["findings"]:
            keys = {"code", "certainty", "basis", "item"}
            _only(path, f"a finding of {variant}", finding, keys, keys)
            for key, allowed in (("code", CODES), ("certainty", CERTAINTIES), ("basis", BASES)):
                if finding[key] not in allowed:
                    raise ValueError(f"{path}: {key} is {finding[key]!r}. Wanted one of {', '.join(allowed)}.")
        for model, recipe in part["models"].items():
            if model not in MODELS:
                raise ValueError(f"{path}: {model!r} is no model of a submission. Wanted one of {', '.join(MODELS)}.")
            keys = {"make", "num_images", "epochs", "through", "labels_through"}
            _only(path, f"models.{model} of {variant}", recipe, keys, {"make", "num_images", "epochs"})
    return case


def _only(path, where, table, allowed, required):
    unknown, missing = set(table) - allowed, required - set(table)
    if unknown or missing:
        raise ValueError(
            f"{path}: {where} has"
            + (f" unknown keys {sorted(unknown)}" if unknown else "")
            + (f" no {sorted(missing)}" if missing else "")
            + f". Wanted: {', '.join(sorted(allowed))}."
        )


# --- Scripts ---------------------------------------------------------------------------------------------------------


def reference_scripts():
    """Returns the reference's scripts as a student would hand them in: `{file name: text}`, without markers."""
    scripts = {}
    for filename in SCRIPTS:
        lines = (REFERENCE / filename).read_text(encoding="utf-8").splitlines(keepends=True)
        scripts[filename] = "".join(line for line in lines if not re.match(r"\s*# (BEGIN|END) SOLUTION", line))
    return scripts


def sections(text):
    """Splits the text of a variant at its lines `# in cnn.py`: `{file name: statements}`.

    Raises:
        ValueError: statements before the first such line, or a file that is no script.
    """
    parts = re.split(r"^# in (\S+)[ \t]*\n", text, flags=re.MULTILINE)
    if parts[0].strip() or len(parts) < 3:
        raise ValueError("a variant begins with a line such as `# in cnn.py`")
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    unknown = set(found) - set(SCRIPTS)
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no scripts. Wanted {', '.join(SCRIPTS)}.")
    return found


def replace_statements(source, changes):
    """Puts the statements of a wrong answer in the place of the reference's.

    A function or constant that the source defines is replaced where it stands; everything else of the source stays
    as it is, byte for byte. New imports follow the source's imports; other new statements stand before the first
    function that is replaced.

    Args:
        source: str, a script.
        changes: str, top-level statements.

    Returns:
        str, the changed script.
    """
    source_lines = source.splitlines(keepends=True)
    change_lines = changes.splitlines(keepends=True)
    statements = ast.parse(source).body
    places = {name: node for node in statements for name in _defines(node)}
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    edits = []  # (first line, last line, text), counted from 0, the last line excluded
    new = []
    first_replaced = None
    for node in ast.parse(changes).body:
        text = "".join(change_lines[_start(node) : node.end_lineno])
        known = next((places[name] for name in _defines(node) if name in places), None)
        if isinstance(node, ast.Import | ast.ImportFrom):
            edits.append((imports[-1].end_lineno, imports[-1].end_lineno, text))
        elif known is not None:
            edits.append((_start(known), known.end_lineno, text))
            if isinstance(node, ast.FunctionDef):
                first_replaced = min(first_replaced or _start(known), _start(known))
        else:
            gap = "\n\n" if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
            new.append(gap + text if new or not gap else text)
    if new:
        place = first_replaced if first_replaced is not None else _start(places["main"])
        edits.append((place, place, "".join(new) + "\n\n"))
    for first, last, text in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        source_lines[first:last] = [text]
    return "".join(source_lines)


def _defines(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _start(node):
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1


def scripts_of(name, variant):
    """Returns the scripts of a wrong answer: `{file name: text}`."""
    scripts = reference_scripts()
    if name in WHOLE or name == "reference":
        return scripts
    text = (CASES / name / f"{variant}.py").read_text(encoding="utf-8")
    for filename, changes in sections(text).items():
        scripts[filename] = replace_statements(scripts[filename], changes)
    return scripts


def write_scripts(name, variant, folder):
    """Writes the scripts of a wrong answer alone, without models and photos, and returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for filename, text in scripts_of(name, variant).items():
        (folder / filename).write_text(text, encoding="utf-8")
    return folder


# --- Whole submissions -----------------------------------------------------------------------------------------------


def build(name, variant, folder, reference_models, photos=None, fer2013=None):
    """Lays out a wrong answer as a student would submit it: scripts, models, photos and write-up.

    Args:
        name: a case, one of `names()`, or `"reference"` for the right answer.
        variant: one of `variants(name)`; `None` for a case that has only one.
        folder: path of the submission to make; it must not exist.
        reference_models: folder with the reference's `model_*.h5`.
        photos: folder with `train` and `test`; the synthetic class's by default.
        fer2013: csv to train on where `expected.toml` says that a model is made anew; the synthetic demo class's by
            default. Training takes 10 to 40 seconds and happens in a child process.

    Returns:
        `Path` of the folder.

    Raises:
        ValueError: no such case or variant, or the folder exists.
    """
    if variant is None and name in WHOLE:
        variant = "whole"
    if name != "reference" and (name not in names() or variant not in variants(name)):
        raise ValueError(f"There is no wrong answer {name}/{variant}. Wanted one of {', '.join(names())}.")
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists already. Wanted the path of a folder to make.")
    recipes = {} if name == "reference" else expected(name)[variant]["models"]
    write_scripts(name, variant, folder)
    for filename in MODELS:
        source = Path(reference_models) / filename
        if filename not in recipes and source.exists():
            _link(source, folder / filename)
    if photos is None:
        from expressions.synthetic import ensure_photos

        photos = ensure_photos("demo")
    for part in ("train", "test"):
        shutil.copytree(Path(photos) / part, folder / "photos" / part)
    (folder / "writeup.pdf").write_bytes(WRITEUP)
    if recipes:
        _train(folder, recipes, fer2013)
    if name in WHOLE:
        WHOLE[name](folder)
    return folder


def _link(source, target):
    """Links a file that stays as it is (model_1.h5 has 105 MB), or copies it to another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _train(folder, recipes, fer2013):
    """Trains models by the wrong answer's own functions, in a child process, since the grader imports no Keras."""
    if fer2013 is None:
        from expressions.synthetic import ensure_fer2013

        fer2013 = ensure_fer2013("demo")
    job = json.dumps({"folder": str(folder), "fer2013": str(fer2013), "models": recipes})
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(CASES / "train_models.py")],
        input=job, text=True, capture_output=True, timeout=TRAINING_SECONDS, env=environment, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"the models of {folder.name} could not be trained:\n{done.stderr[-2000:]}")


def _untouched_starter(folder):
    from grader.release import make_starters

    for path in folder.glob("model_*.h5"):
        path.unlink()
    shutil.rmtree(folder / "photos")
    (folder / "writeup.pdf").unlink()
    for filename, text in make_starters().items():
        (folder / Path(filename).name).write_text(text, encoding="utf-8")


def _missing_model(folder):
    (folder / "model_4.h5").unlink()


def _renamed_files(folder):
    inside = folder / "MiniProject4 final"
    inside.mkdir()
    for path in [path for path in folder.iterdir() if path != inside]:
        path.rename(inside / path.name)
    for before, after in (
        ("cnn.py", "CNN.py"),
        ("transfer.py", "transfer (1).py"),
        ("model_1.h5", "Model_1.h5"),
        ("model_2.h5", "model2.h5"),
        ("model_3.h5", "model-3.h5"),
        ("photos/train", "photos/Train"),
        ("writeup.pdf", "Write-Up.pdf"),
    ):
        (inside / before).rename(inside / after)


def _truncated_model(folder):
    path = folder / "model_2.h5"
    data = path.read_bytes()
    path.unlink()  # it may be a link to the reference's own file
    path.write_bytes(data[: len(data) // 2])


def _lambda_model(folder):
    import h5py

    path = folder / "model_4.h5"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    # If anybody ever runs it, this code leaves an empty file behind and does nothing else.
    code = compile("lambda x: open('the_lambda_has_run', 'w').close() or x", "model", "eval").co_consts[0]
    function = {
        "class_name": "__lambda__",
        "config": {"code": base64.b64encode(marshal.dumps(code)).decode(), "defaults": None, "closure": None},
    }
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layer = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Rescaling")
        layer["class_name"] = "Lambda"
        layer["config"] = {"name": layer["config"]["name"], "trainable": True, "dtype": "float32", "function": function}
        file.attrs["model_config"] = json.dumps(config)


def _crashes_on_import(folder):
    path = folder / "cnn.py"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    last_import = [i for i, line in enumerate(lines) if line.startswith(("import ", "from "))][-1]
    lines.insert(last_import + 1, '\nrows = open("C:/Users/me/Desktop/fer2013.csv").readlines()\n')
    path.write_text("".join(lines), encoding="utf-8")


WHOLE = {
    "untouched_starter": _untouched_starter,
    "missing_model": _missing_model,
    "renamed_files": _renamed_files,
    "truncated_model": _truncated_model,
    "lambda_model": _lambda_model,
    "crashes_on_import": _crashes_on_import,
}


# --- The list of them ------------------------------------------------------------------------------------------------


def readme():
    """Returns the text of `grader/submissions/README.md`, made from the cases' lessons."""
    lines = [
        "# Wrong answers that we keep",
        "",
        "Each folder is a mistake that public solutions of this assignment really contain, or a way in which a",
        "submission arrives broken. A mistake in the code is written twice, as two people would write it",
        "(`variant_a.py`, `variant_b.py`), next to something that looks like it and is right (`lookalike.py`): the",
        "grader must name the first two and stay silent about the third. The files hold only what differs from the",
        "reference; `expected.toml` says which rubric items fail and which finding the student reads.",
        "`python -m grader.wrong_answers` lists them and builds one into a complete submission folder.",
        "",
        "This page is made from the lessons in the `expected.toml` files: `python -m grader.wrong_answers --readme`.",
        "",
        "| case | lesson |",
        "|---|---|",
    ]
    mistakes = [name for name in names() if name not in WHOLE]
    lines += [f"| `{name}` | {expected(name)['lesson']} |" for name in itertools.chain(mistakes, WHOLE)]
    return "\n".join(lines) + "\n"


def main(arguments=None):
    """Lists the wrong answers, or builds one."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--readme"]:
        (CASES / "README.md").write_text(readme(), encoding="utf-8")
    elif not arguments:
        for name in names():
            print(f"{name:34} {expected(name)['lesson']}")
    elif len(arguments) == 4:
        print(build(*arguments))
    else:
        print(
            "usage: python -m grader.wrong_answers [NAME VARIANT FOLDER REFERENCE_MODELS | --readme]", file=sys.stderr
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
