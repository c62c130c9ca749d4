"""Makes the student's edition of the kit from the reference: the three starters, and the zip by allow-list.

A solution stands in the reference between two markers:

    # BEGIN SOLUTION 1b: Convert the pixel strings to float32 and divide by 255.
    …
    # END SOLUTION

In the starter the region becomes a TODO comment with the same sentence, and a `NotImplementedError` that says it.
"""

import ast
import re
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "grader" / "reference"
SCRIPTS = ("cnn.py", "transfer.py", "cnnx.py")
COMMAND = "python -m grader release"

# What the zip holds: path in the kit → path in the zip. Anything that no pattern names stays out.
ALLOWED = {
    "cnn.py": None,
    "transfer.py": None,
    "cnnx.py": None,
    "test_cnn.py": None,
    "show_gui.py": None,
    "requirements.txt": None,
    "handout/README.md": "README.md",
    "handout/**/*": None,
    "data/README.md": None,
    "data/*/.gitkeep": None,
    "data/photos/*/.gitkeep": None,
    "expressions/**/*.py": None,
    "expressions/**/*.md": None,
    "expressions/**/*.npz": None,
}
ALLOWED_TRACKS = {"tracks/**/*.py": None, "tracks/**/*.md": None}

# Decoding the pixel strings is step 1b, so the decoder stays with the staff and the tracks.
STAFF_ONLY = ("expressions/fer2013_arrays.py",)

LINE_LENGTH = 120

# 1980 is the earliest year that a zip can state; one date for all files makes the zip the same every time.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)

_BEGIN = re.compile(r"^(?P<indent>\s*)# BEGIN SOLUTION(?P<title>.*)$")
_END = re.compile(r"^\s*# END SOLUTION\s*$")
_TITLE = re.compile(r"^ (?P<step>[0-9A-Z]+[a-z]?): (?P<sentence>\S.*\.)$")
_MARKER_WORDS = re.compile(r"(BEGIN|END) SOLUTION")


class ReleaseError(ValueError):
    """The reference or the starter is not fit to publish; the message says where and what to do."""


def make_starter(source, filename):
    """Turns a reference script into its starter.

    Args:
        source: str, the text of the reference.
        filename: str, for messages.

    Returns:
        str, the text of the starter.

    Raises:
        ReleaseError: a region is nested, unclosed, never opened, or has no title; or an edition is not Python.
    """
    starter = []
    opened_at = None
    for number, line in enumerate(source.splitlines(), start=1):
        begin = _BEGIN.match(line)
        if begin:
            if opened_at is not None:
                raise ReleaseError(f"{filename}, line {number}: a solution inside the solution of line {opened_at}.")
            title = _TITLE.match(begin["title"])
            if title is None:
                raise ReleaseError(
                    f"{filename}, line {number}: a solution without a title."
                    " Wanted `# BEGIN SOLUTION 1b: A sentence that says the result.`"
                )
            opened_at = number
            indent, step, sentence = begin["indent"], title["step"], title["sentence"]
            starter.append(f"{indent}# TODO({step}): {sentence}")
            raising = f'{indent}raise NotImplementedError("{step}: {sentence}")'
            if len(raising) > LINE_LENGTH:
                raising = f'{indent}raise NotImplementedError(\n{indent}    "{step}: {sentence}"\n{indent})'
            starter.append(raising)
        elif _END.match(line):
            if opened_at is None:
                raise ReleaseError(f"{filename}, line {number}: END SOLUTION without a BEGIN.")
            opened_at = None
        elif _MARKER_WORDS.search(line):
            raise ReleaseError(f"{filename}, line {number}: a marker that is not alone on its line: {line.strip()}")
        elif opened_at is None:
            starter.append(line)
    if opened_at is not None:
        raise ReleaseError(f"{filename}, line {opened_at}: the solution that begins here has no END SOLUTION.")

    text = "\n".join(starter) + "\n"
    for edition, content in (("reference", source), ("starter", text)):
        try:
            ast.parse(content)
        except SyntaxError as error:
            raise ReleaseError(f"The {edition} edition of {filename} is not Python: {error}.") from error
    return text


def todo_sentences(source):
    """Returns every promise of a starter or reference, in order: `["1b: Convert …", …]`."""
    marker = re.compile(r"# (?:TODO\((?P<a>\w+)\): |BEGIN SOLUTION (?P<b>\w+): )(?P<sentence>.*)")
    return [f"{found['a'] or found['b']}: {found['sentence']}" for found in marker.finditer(source)]


def make_starters():
    """Returns the text of each starter, by file name."""
    return {name: make_starter((REFERENCE / name).read_text(encoding="utf-8"), name) for name in SCRIPTS}


def write_starters(folder=ROOT):
    """Writes the three starters into a folder and returns their paths."""
    paths = []
    for name, text in make_starters().items():
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def check_starters(folder=ROOT):
    """Compares the starters in a folder with what the reference gives.

    Returns:
        list of sentences, one for each starter that is missing or differs; empty when all is well.
    """
    complaints = []
    for name, text in make_starters().items():
        path = Path(folder) / name
        if not path.exists():
            complaints.append(f"{name} is missing. Run `{COMMAND}`.")
            continue
        found = path.read_text(encoding="utf-8")
        if found != text:
            pairs = zip(found.splitlines() + [""], text.splitlines() + [""])
            line = next((number for number, (a, b) in enumerate(pairs, start=1) if a != b), 1)
            complaints.append(
                f"{name} differs from grader/reference/{name} at line {line}."
                f" Edit the reference, not the starter, then run `{COMMAND}`."
            )
    return complaints


def _solution_lines():
    """Lines long enough to give a solution away, and that stand in no starter."""
    solutions = set()
    for name in SCRIPTS:
        inside = False
        for line in (REFERENCE / name).read_text(encoding="utf-8").splitlines():
            if _BEGIN.match(line) or _END.match(line):
                inside = bool(_BEGIN.match(line))
            elif inside and len(line.strip()) > 30:
                solutions.add(line.strip())
    given = {line.strip() for text in make_starters().values() for line in text.splitlines()}
    return solutions - given


def student_files(with_tracks=False):
    """Returns `(path in the kit, path in the zip)` of everything that students get, sorted by the latter.

    Raises:
        ReleaseError: a file to ship holds a marker or a line of a solution.
    """
    files = {}
    for pattern, renamed in {**ALLOWED, **(ALLOWED_TRACKS if with_tracks else {})}.items():
        for path in ROOT.glob(pattern):
            inside = path.relative_to(ROOT).as_posix()
            hidden = any(part == "__pycache__" for part in path.parts)
            if path.is_file() and not hidden and inside not in STAFF_ONLY:
                files.setdefault(path, renamed or inside)
    secrets = _solution_lines()
    for path, inside in files.items():
        if path.suffix in (".py", ".md", ".toml", ".txt"):
            text = path.read_text(encoding="utf-8")
            leaked = [line.strip() for line in text.splitlines() if line.strip() in secrets]
            if leaked or _MARKER_WORDS.search(text):
                raise ReleaseError(f"{inside} gives a solution away: {(leaked or ['a marker'])[0]!r}. Take it out.")
    return sorted(((path, inside) for path, inside in files.items()), key=lambda pair: pair[1])


def write_zip(path, with_tracks=False):
    """Writes the student zip; the same kit gives the same bytes.

    Args:
        path: where to write it.
        with_tracks: bool, include the extra-credit tracks.

    Returns:
        list of the paths inside the zip.

    Raises:
        ReleaseError: the starters at the root are stale, or a file gives a solution away.
    """
    complaints = check_starters()
    if complaints:
        raise ReleaseError("\n".join(complaints))
    files = student_files(with_tracks)
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for source, inside in files:
            entry = zipfile.ZipInfo(f"expression_recognition/{inside}", ZIP_DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, source.read_bytes())
    temporary.replace(path)
    return [inside for _, inside in files]
