"""Turns what a student handed in into a folder of known names: tolerant of honest mistakes, closed to hostile ones.

    submission = open_submission("jane.zip", scratch)
    submission.folder / "cnn.py"          # a private copy under its canonical name
    submission.mapped                     # [{"from": "hw/Model_1 (1).hdf5", "to": "model_1.h5", "why": "…"}]
    submission.refused                    # [{"entry": "../../x", "code": "parent", "what": …, "wanted": …, "try": …}]
    submission.skipped                    # [{"entry": "venv/", "why": "…", "files": 31245}]
    submission.remarks                    # [{"file": "writeup.pdf", "what": …, "wanted": …, "try": …}]

Reads a zip, a tar (plain, .gz or .bz2) or a folder, in two steps. First every entry is listed and judged by its name
and kind: one bad entry is refused with a sentence and the others stay. Then the files that grading needs are copied
out as streams whose bytes are counted as they come, because the sizes that an archive states may be lies. Nothing is
ever written outside a fresh folder under `scratch`, under names that this module made, and the student's own folder is
only read. No content is parsed here beyond the archive itself: first and last bytes say what a file claims to be.

What is kept: the three scripts, the models, the photos, the write-up, and small supporting files at the place where
the scripts import them from. What is skipped, with a line in `skipped`: virtual environments, data sets, caches, and
the kit's own `expressions/`, `grader/` and `tracks/` (the grader uses its own). Photos are looked for before data
folders are skipped, so `data/photos` is found.
"""

import bz2
import dataclasses
import gzip
import hashlib
import os
import re
import shutil
import stat
import tarfile
import tempfile
import unicodedata
import zlib
from pathlib import Path

from expressions import labels
from grader.zip_files import DEFLATED, IS_ENCRYPTED, STORED, TableTooLarge, TooManyEntries, ZipDamage, ZipReader

SCRIPTS = ("cnn.py", "transfer.py", "cnnx.py")
MODELS = ("model_1.h5", "model_2.h5", "model_3.h5", "model_4.h5", "model_ec1.h5")
WRITE_UP = "writeup.pdf"
PHOTO_FOLDERS = ("photos/train", "photos/test")

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Caps on what a submission may cost the grader.

    model_1 with its optimizer has 315 MB, four models without about 200 MB; a virtual environment that slipped into
    the zip has some 40,000 entries.
    """

    max_archive_bytes: int = 4 * 2**30
    max_entries: int = 200_000
    max_directory_bytes: int = 64 * 2**20  # the zip's own table of contents, which Python reads at once
    max_file_bytes: int = 700 * 2**20
    max_total_bytes: int = 3 * 2**30
    max_unpacked_bytes: int = 6 * 2**30  # of a tar, where skipped files must be unpacked too
    max_kept_files: int = 1_000
    max_supporting_bytes: int = 10 * 2**20
    max_depth: int = 20
    max_name_bytes: int = 255
    max_path_bytes: int = 1_000
    max_inner_archives: int = 6
    max_pictures: int = 40


class IntakeError(ValueError):
    """Nothing of the submission can be read.

    Args:
        what: str, what was found.
        wanted: str, what would have been right.
        try_: str, what the student can do now.
    """

    def __init__(self, what, wanted, try_):
        super().__init__(what, wanted, try_)
        self.what, self.wanted, self.try_ = what, wanted, try_

    def __str__(self):
        return f"{self.what}\n  Wanted  {self.wanted}\n  Try     {self.try_}"


@dataclasses.dataclass(frozen=True)
class Submission:
    """A submission under canonical names.

    Attributes:
        name: str, from the archive's or folder's name.
        folder: Path of the private copy.
        sha256: str, of all canonical names and bytes; independent of the archive's format, order and dates.
        files: dict, canonical relative name -> number of bytes.
        mapped: list of `{"from", "to", "why"}`.
        refused: list of `{"entry", "code", "what", "wanted", "try", "file"}`; `file` is the canonical name that the
            entry would have had, or None.
        skipped: list of `{"entry", "why", "files"}`.
        remarks: list of `{"file", "what", "wanted", "try", "staff"}`, about files that are kept and will be looked at
            by a person; `staff` says whether it is for the TA alone.
    """

    name: str
    folder: Path
    sha256: str
    files: dict
    mapped: list
    refused: list
    skipped: list
    remarks: list = dataclasses.field(default_factory=list)


class _Refused(Exception):
    def __init__(self, code, what, try_, wanted="ordinary files with ordinary names, packed without a password"):
        super().__init__(code)
        self.code, self.what, self.wanted, self.try_ = code, what, wanted, try_


@dataclasses.dataclass(eq=False)
class _Entry:
    """One file of the submission before it is copied."""

    shown: str  # as the archive names it, through all archives: "code.zip!/cnn.py"
    parts: tuple
    size: int
    source: object
    handle: object
    start: int = 0  # where its header stands in a zip
    end: int = 0


def open_submission(path, scratch, limits=None):
    """Reads a submission into a private folder.

    Args:
        path: path of a zip, a tar (plain, .gz, .bz2) or a folder. It is only read.
        scratch: path of a folder in which the copy is made.
        limits: Limits.

    Returns:
        Submission.

    Raises:
        IntakeError: nothing can be read: no such file, no archive, a damaged or oversized one.
    """
    path, limits = Path(path), limits or Limits()
    scratch = Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="submission-", dir=scratch))
    folder.chmod(0o755)
    inner = Path(tempfile.mkdtemp(prefix="inner-", dir=scratch))
    job = _Intake(folder, inner, limits)
    try:
        job.read(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        job.close()
        shutil.rmtree(inner, ignore_errors=True)
    name = re.sub(r"(\.tar)?\.(zip|tgz|tar|gz|bz2|tbz2|exe)$", "", path.name, flags=re.IGNORECASE)
    return Submission(
        name=_printable(name) or "submission",
        folder=folder,
        sha256=job.sha256(),
        files={key: job.files[key][0] for key in sorted(job.files)},
        mapped=job.mapped,
        refused=job.refused,
        skipped=list(job.skipped.values()),
        remarks=job.remarks,
    )


def _printable(text, length=200):
    text = str(text)
    if not (text.isascii() and text.isprintable()):
        text = "".join(
            character if character.isprintable() and unicodedata.category(character) not in ("Cf", "Cs") else "?"
            for character in text
        )
    return text if len(text) <= length else text[: length - 1] + "…"


# ---------------------------------------------------------------------------------------------------------------------
# Names
# ---------------------------------------------------------------------------------------------------------------------

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)

# Joiners of emoji and of Persian and Indic words, direction marks, soft hyphens, byte-order marks: invisible, and in
# names by accident. What reverses or hides text on purpose is refused.
HARMLESS_MARKS = re.compile("[\u00ad\u200c-\u200f\ufeff\U000e0020-\U000e007f]")


def check_name(name, limits=None):
    """Splits an entry's name into parts, or says why it is refused.

    Args:
        name: str, as it stands in the archive.
        limits: Limits.

    Returns:
        tuple of str, in NFC; empty for the archive's root.

    Raises:
        _Refused: the name leads out of the folder or cannot exist on every system.
    """
    limits = limits or Limits()
    shown = repr(_printable(name, 80))
    again = 'pack the folder again with the file manager\'s own "compress"'
    if not (name.isascii() and name.isprintable()):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise _Refused(
                "name", f"the name {shown} is no valid text", "use letters and digits in file names"
            ) from None
        name = HARMLESS_MARKS.sub("", name)
        if any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in name):
            raise _Refused(
                "control-character",
                f"the name {shown} holds an invisible character",
                "rename the file with letters and digits",
            )
    if len(name.encode("utf-8")) > limits.max_path_bytes:
        raise _Refused("name-length", f"a name has {len(name.encode('utf-8')):,} bytes: {shown}", "use shorter names")
    if "\\" in name:
        raise _Refused("backslash", f"the name {shown} holds a backslash", again)
    if name.startswith("/"):
        raise _Refused("absolute", f"the name {shown} is an absolute path", again)
    parts = [unicodedata.normalize("NFC", part) for part in name.split("/") if part not in ("", ".")]
    if re.match(r"[A-Za-z]:", name) or (parts and ":" in parts[-1]):
        raise _Refused("drive", f"the name {shown} holds a drive letter or a colon", again)
    if ".." in parts:
        raise _Refused("parent", f"the name {shown} leads out of the folder by '..'", again)
    if len(parts) > limits.max_depth:
        raise _Refused("depth", f"the name {shown} lies {len(parts)} folders deep", "use fewer folders")
    # Folders of macOS and Linux may be called "Jane D." or "6.835:MP4"; nobody imports from them by that name.
    parts[:-1] = [part.rstrip(" .").replace(":", "_") or part for part in parts[:-1]]
    for part in parts:
        if len(part.encode("utf-8")) > limits.max_name_bytes:
            raise _Refused(
                "name-length", f"a name has more than {limits.max_name_bytes} bytes: {shown}", "use shorter names"
            )
        if RESERVED.fullmatch(part) or part != part.rstrip(" ."):
            raise _Refused("reserved", f"the name {shown} cannot exist on Windows", "rename the file")
    return tuple(parts)


COPY_MARK = re.compile(r"([ _-]*\(\d+\)|[ _-]+copy([ _-]*\(?\d+\)?)?|[ _-]+kopie|^copy of )+$|^copy of ", re.IGNORECASE)


# "ec1.h5", "extra_credit.h5", "model_extra_credit_1.h5", "model_4_ec1.h5", "model_bonus.h5"
EXTRA_CREDIT = re.compile(r"(my_)?(model_?)?(4_)?(ec_?1|extra_?credit(_?1)?|bonus)(_(final|best|new|trained|weights))*")


def canonical_name(name):
    """Guesses which file of the assignment a name means.

    Args:
        name: str, the last part of a path, such as `"Model_1 (1).hdf5"`.

    Returns:
        tuple `(canonical, distance)`: `("model_1.h5", 2)`, where 0 is the exact name and larger numbers are further
        away; `(None, 0)` if it means none of them.
    """
    if name in SCRIPTS or name in MODELS or name == WRITE_UP:
        return name, 0
    lower = unicodedata.normalize("NFC", name).casefold().strip()
    match = re.fullmatch(r"(.+?)((?:\.(?:py|h5|hdf5|hdf|keras|pdf|txt))+)", lower)
    if match is None:
        return None, 0
    stem, suffix = match.groups()
    plain = COPY_MARK.sub("", stem).strip()
    distance = 1 + (plain != stem) + (suffix.count(".") > 1)
    word = re.sub(r"[\s_\-.]+", "_", plain).strip("_")
    if suffix in (".py", ".py.txt", ".py.py"):
        squeezed = word.replace("_", "")
        if squeezed in ("cnn", "transfer", "cnnx"):
            return squeezed + ".py", distance
        guesses = {
            "transferlearning": "transfer.py",
            "cnn3d": "cnnx.py",
            "3dcnn": "cnnx.py",
            "cnniphonex": "cnnx.py",
            "cnnsolution": "cnn.py",
        }
        return guesses.get(squeezed), distance + 2
    if re.match(r"\.(h5|hdf5|hdf|keras)", suffix):
        match = re.fullmatch(r"(?:my_)?model_?([1-4]|ec_?1?)(_(?:final|best|new|trained|weights|keras|v?\d))*", word)
        extra = re.fullmatch(EXTRA_CREDIT, word)
        if match is None and extra is None:
            return None, 0
        if match is None:
            return f"model_ec1{'.keras' if '.keras' in suffix else '.h5'}", distance + 2 + (".keras" in suffix)
        number = "ec1" if match[1].startswith("ec") else match[1]
        ending = ".keras" if ".keras" in suffix else ".h5"
        return f"model_{number}{ending}", distance + (2 if match[2] else 0) + (1 if ending == ".keras" else 0)
    if suffix.startswith(".pdf") and re.search(r"write_?up|report|answer|handin|hand_in|abgabe", word):
        return WRITE_UP, distance
    return None, 0


KIT = ("expressions", "grader", "tracks")

# Folders that hold nothing to grade: name -> what the list of skipped folders says.
SKIPPED_FOLDERS = {
    **dict.fromkeys(("__macosx",), "made by macOS"),
    **dict.fromkeys(
        (
            "venv",
            ".venv",
            "env",
            ".env",
            "virtualenv",
            "site-packages",
            "dist-packages",
            "node_modules",
            ".conda",
            "conda",
            "miniconda3",
            "anaconda3",
        ),
        "a virtual environment",
    ),
    **dict.fromkeys((".git", ".svn", ".hg"), "version control"),
    **dict.fromkeys(
        (
            "__pycache__",
            ".ipynb_checkpoints",
            ".pytest_cache",
            ".ruff_cache",
            ".mypy_cache",
            ".idea",
            ".vscode",
            "logs",
            "wandb",
            "mlruns",
        ),
        "made by a tool",
    ),
    **dict.fromkeys(("data", "dataset", "datasets", "kaggle_fer2013", "fer2013", "iphonex"), "data"),
    **dict.fromkeys(KIT, "part of the kit; the grader uses its own"),
}
SKIPPED_FILES = {".ds_store": "made by macOS", "thumbs.db": "made by Windows", "desktop.ini": "made by Windows"}
DATA_FILES = ("fer2013.csv", "icml_face_data.csv", "faces.py", "faces.npz", "fer2013.npz")
SUPPORTING = {
    ".py",
    ".json",
    ".txt",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".cfg",
    ".ini",
    ".npy",
    ".npz",
    ".png",
    ".jpg",
    ".jpeg",
    ".svg",
    ".pdf",
    ".ipynb",
    ".csv",
}
# Photos that Pillow may or may not read are kept, too, so that the loader can say what is wrong with them.
PICTURES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".heic", ".heif", ".avif", ".webp", ".gif", ".bmp", ".tif", ".tiff")
}
# The network's form, saved apart from its weights: "model_2.json", "model2_architecture.json", "model_ec1-config.json"
ARCHITECTURE = re.compile(
    r"model[\s_\-]*([1-4]|ec[_\-]?1?)[\s_\-.]*(architecture|arch|config|model|structure|topology|keras)?(\.h5)?\.json"
)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2")
OTHER_ARCHIVES = (".rar", ".7z", ".xz", ".txz", ".zst", ".lzh", ".arj", ".cab")


# ---------------------------------------------------------------------------------------------------------------------
# The work
# ---------------------------------------------------------------------------------------------------------------------


class _Intake:
    """Lists, chooses and copies. One object for one submission."""

    def __init__(self, folder, inner, limits):
        self.folder, self.inner, self.limits = folder, inner, limits
        self.mapped, self.refused, self.remarks = [], [], []
        self.skipped = {}  # (entry, why) -> row
        self.files = {}  # canonical name -> (bytes, sha256)
        self.taken = {}  # case-folded canonical name -> entry's shown name
        self.total = 0
        self.num_entries = 0
        self.num_inner = 0
        self.sources = []
        self.photo_folders = {}  # kind -> (parts of the folder, number of pictures)
        self.homes = set()  # folders that hold several of the assignment's files

    def close(self):
        for source in self.sources:
            source.close()

    def read(self, path):
        entries = self._list(path, "", 0)
        self._copy(self._choose(entries))
        self._settle_keras_names()
        self._look_at_write_up()

    def refuse(self, shown, refusal, guess=None):
        if len(self.refused) < 1_000:
            guess = guess or canonical_name(re.split(r"[/\\]", shown)[-1])[0]
            self.refused.append(
                {
                    "entry": _printable(shown),
                    "code": refusal.code,
                    "what": refusal.what,
                    "wanted": refusal.wanted,
                    "try": refusal.try_,
                    "file": guess,
                }
            )

    def skip(self, shown, why, files=1):
        shown = _printable(shown)
        row = self.skipped.get((shown, why))
        if row is not None:
            row["files"] += files
        elif len(self.skipped) < 1_000:
            self.skipped[shown, why] = {"entry": shown, "why": why, "files": files}

    def remark(self, file, what, wanted, try_, staff=False):
        self.remarks.append({"file": file, "what": what, "wanted": wanted, "try": try_, "staff": staff})

    # Listing ---------------------------------------------------------------------------------------------------------

    def _list(self, path, prefix, level):
        """Returns the usable entries of an archive or folder, those of archives inside it included."""
        source = _open_source(path, self.limits)
        self.sources.append(source)
        if source.remark:
            self.mapped.append({"from": _printable(prefix or path.name), "to": "", "why": source.remark})
        found = []
        for shown, kind, entry in source.entries():
            self.num_entries += 1
            if self.num_entries > self.limits.max_entries:
                raise _too_many_entries(self.limits)
            try:
                if isinstance(kind, _Refused):
                    raise kind
                parts = check_name(shown, self.limits)
                if kind != "folder" and parts:
                    entry.shown, entry.parts = prefix + shown, parts
                    found.append(entry)
            except _Refused as refusal:
                self.refuse(prefix + shown, refusal)
        seen = {}
        for entry in sorted(found, key=_claim):
            key = "/".join(entry.parts).casefold()
            if key in seen:
                self.refuse(
                    entry.shown,
                    _Refused(
                        "duplicate",
                        f"the name {_printable(entry.shown, 80)!r} stands there twice (the first one "
                        f"was {_printable(seen[key].shown, 80)!r}; only that one is used)",
                        "pack every file once; names that differ only in capitals are the same file on "
                        "Windows and macOS",
                    ),
                )
            else:
                seen[key] = entry
        entries = [entry for entry in found if seen["/".join(entry.parts).casefold()] is entry]
        bad = _overlapping(entries)
        for entry in bad:
            self.refuse(
                entry.shown,
                _Refused(
                    "overlap",
                    f"the entry {_printable(entry.shown, 80)!r} shares its bytes with another entry, as zip bombs do",
                    "pack the folder again",
                ),
            )
        entries = [entry for entry in entries if entry not in bad]
        return [item for entry in entries for item in self._expand(entry, level)]

    def _expand(self, entry, level):
        """Replaces an archive inside the submission by its entries."""
        name = entry.parts[-1].lower()
        if self._reason_to_skip(entry.parts, set()) is not None or name.startswith("._"):
            return [entry]
        if name.endswith(OTHER_ARCHIVES):
            self.refuse(
                entry.shown,
                _Refused(
                    "inner-archive",
                    f"{_printable(entry.shown, 80)!r} is an archive of a kind that is not opened here",
                    "unpack it, and pack its files into one zip",
                    AN_ARCHIVE,
                ),
            )
            return []
        if not name.endswith(ARCHIVES):
            return [entry]
        try:
            if level >= 2 or self.num_inner >= self.limits.max_inner_archives:
                raise _Refused(
                    "nested-archive",
                    f"{_printable(entry.shown, 80)!r} is one archive too many inside others",
                    "pack one zip of files",
                    f"at most {self.limits.max_inner_archives} archives in an archive, not more than two deep",
                )
            self.num_inner += 1
            target = self.inner / f"{self.num_inner}{''.join(Path(name).suffixes[-2:])}"
            for _, stream in entry.source.streams([entry]):
                if isinstance(stream, _Refused):
                    raise stream
                self._write(entry, stream, target)
            stem = re.sub(r"(\.tar)?\.\w+$", "", entry.parts[-1])
            found = self._list(target, entry.shown + "!/", level + 1)
            self.mapped.append(
                {"from": _printable(entry.shown), "to": "", "why": "an archive inside the archive was unpacked"}
            )
            for item in found:
                # An inner archive stands for a folder, unless it holds everything.
                item.parts = (*entry.parts[:-1], stem, *item.parts)
            return found
        except IntakeError as error:
            self.refuse(entry.shown, _Refused("inner-archive", error.what, error.try_, error.wanted))
        except _Refused as refusal:
            self.refuse(entry.shown, refusal)
        return []

    # Choosing --------------------------------------------------------------------------------------------------------

    def _reason_to_skip(self, parts, environments):
        """Returns `(folder, why)` if a file lies in a folder without anything to grade, else None."""
        for depth, part in enumerate(parts[:-1]):
            here = parts[: depth + 1]
            why = SKIPPED_FOLDERS.get(part.casefold())
            if here in self.homes:
                # Somebody called the whole submission "fer2013" or "env".
                why = None
            if why is None and (here in environments or re.fullmatch(r"python\d\.\d+", part)):
                why = "a virtual environment"
            if why is not None:
                return "/".join(here) + "/", why
        return None

    def _choose(self, entries):
        """Decides which entries are copied to which canonical names. Returns `{entry: canonical name}`."""
        self.homes = _homes(entries)
        environments = {entry.parts[:-1] for entry in entries if entry.parts[-1].casefold() == "pyvenv.cfg"}
        environments |= {entry.parts[:-2] for entry in entries if entry.parts[-2:-1] == ("conda-meta",)} - {()}
        chosen = {}
        photos = self._choose_photos(entries, environments)
        usable = []
        for entry in entries:
            if entry in photos:
                continue
            name = entry.parts[-1].casefold()
            place = self._reason_to_skip(entry.parts, environments)
            if place is not None:
                self.skip(*place)
            elif name in SKIPPED_FILES or name.startswith("._"):
                self.skip(entry.shown, SKIPPED_FILES.get(name, "made by macOS"))
            elif name in DATA_FILES and entry.size > 200_000:
                self.skip(entry.shown, "data")
            else:
                usable.append(entry)

        candidates = {}
        for entry in usable:
            role, distance = canonical_name(entry.parts[-1])
            if role is not None:
                candidates.setdefault(role, []).append((distance, entry))
        pdfs = [entry for entry in usable if entry.parts[-1].lower().endswith(".pdf")]
        if WRITE_UP not in candidates and len(pdfs) == 1:
            candidates[WRITE_UP] = [(5, pdfs[0])]
        root = _root(candidates)
        folders = []  # where scripts come from
        for role in sorted(candidates):
            ranked = sorted(
                candidates[role],
                key=lambda item: (item[1].parts[:-1] != root, item[0], len(item[1].parts), item[1].parts),
            )
            distance, best = ranked[0]
            chosen[best] = role
            self.taken[role.casefold()] = best.shown
            if role in SCRIPTS:
                folders.append(best.parts[:-1])
            why = []
            if best.parts[:-1] != root:
                why.append("it stood in another folder")
            if distance:
                why.append(
                    f"the assignment calls it {role}"
                    if not role.endswith(".keras")
                    else f"it is a .keras file; the assignment asks for {role[:-6]}.h5"
                )
            if why:
                self.mapped.append({"from": _printable(best.shown), "to": role, "why": "; ".join(why)})
            if role not in SCRIPTS:
                # A second script of this name may be imported from where it stands; a second model is of no use.
                for _, other in ranked[1:]:
                    self.skip(other.shown, f"{_printable(best.shown, 80)} is used as {role}")
        if root:
            self.mapped.append({"from": "/".join(root) + "/", "to": "./", "why": "the files stood inside this folder"})

        for kind, (folder, number) in sorted(self.photo_folders.items()):
            if folder != (*root, "photos", kind):
                guess = "" if _kind_of_set(folder) else " (which of the two is for training is a guess)"
                self.mapped.append(
                    {
                        "from": _printable("/".join(folder) or ".") + "/",
                        "to": f"photos/{kind}/",
                        "why": f"{number} labelled photos stood there{guess}",
                    }
                )
        for entry, target in photos.items():
            chosen[entry] = target
            self.taken[target.casefold()] = entry.shown
        self._choose_architectures(usable, chosen)
        for entry in usable:
            if entry not in chosen:
                self._choose_supporting(entry, root, folders, chosen)
        self._look_for_notebooks(usable, candidates)
        return chosen

    def _choose_architectures(self, usable, chosen):
        """Keeps the description of a network beside the file that holds its weights alone: `model_2.json`."""
        models = {role: entry for entry, role in chosen.items() if role in MODELS}
        for role, model in sorted(models.items()):
            found = []
            for entry in usable:
                match = ARCHITECTURE.fullmatch(entry.parts[-1].casefold())
                if match and entry not in chosen and entry.size <= self.limits.max_supporting_bytes:
                    number = "ec1" if match[1].startswith("ec") else match[1]
                    if f"model_{number}.h5" == role:
                        near = entry.parts[:-1] == model.parts[:-1]
                        found.append((not near, len(entry.parts[-1]), entry.parts, entry))
            if not found:
                continue
            best = min(found, key=lambda item: item[:3])[3]
            target = role.removesuffix(".h5") + ".json"
            chosen[best] = target
            self.taken[target.casefold()] = best.shown
            if best.parts[-1] != target:
                self.mapped.append(
                    {"from": _printable(best.shown), "to": target, "why": f"it describes the network of {role}"}
                )

    def _look_for_notebooks(self, usable, candidates):
        """Says what to do with a notebook that stands in for a script."""
        for entry in usable:
            stem, suffix = os.path.splitext(entry.parts[-1])
            role = canonical_name(stem + ".py")[0] if suffix.lower() == ".ipynb" else None
            if role is None or role in candidates:
                continue
            candidates[role] = []  # one sentence for each script
            self.refuse(
                entry.shown,
                _Refused(
                    "notebook",
                    f"{_printable(entry.shown, 80)!r} is a notebook, and there is no {role}",
                    f"run `jupyter nbconvert --to script {_printable(entry.parts[-1], 60)}`, or choose File, Save and "
                    f"Export As, Executable Script; keep the functions, put the rest under main(), save it as {role} "
                    "and run it once",
                    f"{role}, a Python script whose functions can be called",
                ),
                role,
            )

    def _choose_supporting(self, entry, root, folders, chosen):
        suffix = os.path.splitext(entry.parts[-1])[1].lower()
        if canonical_name(entry.parts[-1])[0] is not None and suffix not in (".py", ".pdf"):
            return  # another copy of a model: listed already
        if suffix not in SUPPORTING:
            self.skip(entry.shown, "not needed for grading")
            return
        if entry.size > self.limits.max_supporting_bytes:
            self.skip(entry.shown, f"a supporting file of more than {self.limits.max_supporting_bytes // 2**20} MB")
            return
        if len(chosen) >= self.limits.max_kept_files:
            self.skip("…", f"more than {self.limits.max_kept_files:,} files")
            return
        # A module stays where the script that imports it finds it.
        homes = [folder for folder in [*folders, root] if entry.parts[: len(folder)] == folder]
        home = max(homes, key=len, default=())
        target = "/".join(entry.parts[len(home) :])
        first = target.casefold().split("/")[0]
        if first in KIT or first.removesuffix(".py") in KIT:
            self.skip(entry.shown, SKIPPED_FOLDERS[first.removesuffix(".py")])
            return
        if target.casefold() in self.taken or first == "photos":
            if entry.parts[-1].lower().endswith(".py") and target.casefold() in self.taken:
                self.skip(entry.shown, f"{_printable(self.taken[target.casefold()], 80)} is used under this name")
            else:
                self.skip(entry.shown, "not needed for grading")
            return
        chosen[entry] = target
        self.taken[target.casefold()] = entry.shown

    def _choose_photos(self, entries, environments):
        """Finds the two folders of photos. Returns `{entry: canonical name}`."""
        folders = {}
        for entry in entries:
            if os.path.splitext(entry.parts[-1])[1].lower() not in PICTURES or entry.parts[-1].startswith("._"):
                continue
            place = self._reason_to_skip(entry.parts, environments)
            if place is not None and place[1] != "data":
                continue
            folder = entry.parts[:-1]
            folders.setdefault(folder, []).append(entry)
            # `train/happy/1.png`: the folder above holds a set, too.
            if folder and _emotion(folder[-1]) is not None:
                folders.setdefault(folder[:-1], []).append(entry)
        sets = {}
        for folder, pictures in folders.items():
            if folder and _emotion(folder[-1]) is not None and _kind_of_set(folder) is None:
                continue
            if len(pictures) > self.limits.max_pictures:
                continue
            found = {_emotion(entry.parts[-1], *entry.parts[len(folder) : -1]) for entry in pictures} - {None}
            named = len(folder) >= 2 and folder[-2].casefold() == "photos" and _kind_of_set(folder) is not None
            if named or len(found) == labels.NUM_CLASSES:
                # The exact place first, then complete sets, then short paths.
                rank = (not named, len(found) != labels.NUM_CLASSES, len(folder), folder)
                sets[folder] = (rank, pictures)
        ordered = sorted(sets, key=lambda folder: sets[folder][0])
        picked = {}
        for folder in ordered:
            kind = _kind_of_set(folder)
            if kind is not None and kind not in picked:
                picked[kind] = folder
        for folder in ordered:
            free = [kind for kind in ("train", "test") if kind not in picked]
            if free and _kind_of_set(folder) is None and folder not in picked.values():
                picked[free[0]] = folder
        chosen = {}
        for kind, folder in sorted(picked.items()):
            pictures = sets[folder][1]
            for entry in pictures:
                chosen[entry] = "/".join(("photos", kind, *entry.parts[len(folder) :]))
            self.photo_folders[kind] = (folder, len(pictures))
        return chosen

    # Copying ---------------------------------------------------------------------------------------------------------

    def _copy(self, chosen):
        by_source = {}
        for entry in chosen:
            by_source.setdefault(id(entry.source), (entry.source, []))[1].append(entry)
        for source, entries in by_source.values():
            left = set(entries)
            try:
                for entry, stream in source.streams(entries):
                    left.discard(entry)
                    try:
                        if isinstance(stream, _Refused):
                            raise stream
                        target = self.folder.joinpath(*chosen[entry].split("/"))
                        target.parent.mkdir(parents=True, exist_ok=True)
                        size, digest = self._write(entry, stream, target)
                        self.files[chosen[entry]] = (size, digest)
                    except _Refused as refusal:
                        self.refuse(entry.shown, refusal)
            except _Refused as refusal:
                for entry in sorted(left, key=lambda entry: entry.shown):
                    self.refuse(entry.shown, refusal)

    def _write(self, entry, stream, target):
        """Copies a stream to a new file, counting. Returns `(bytes, sha256)`; leaves nothing behind on failure."""
        limits = self.limits
        is_script = target.name in SCRIPTS and target.parent == self.folder
        most = min(limits.max_file_bytes, limits.max_supporting_bytes) if is_script else limits.max_file_bytes
        too_large = _Refused(
            "file-size",
            f"the file {_printable(entry.shown, 80)!r} has more than {most // 2**20} MB",
            "leave data out of the script and load it from a file"
            if is_script
            else "save models without the optimizer (`model.save(path, include_optimizer=False)`) and leave data out",
            f"files of at most {most // 2**20} MB",
        )
        if entry.size > most:
            raise too_large
        digest, size = hashlib.sha256(), 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(target, flags, 0o644), "wb") as file:
                while True:
                    try:
                        block = stream.read(2**20)
                    except _Refused:
                        raise
                    except (
                        OSError,
                        EOFError,
                        ValueError,
                        tarfile.TarError,
                        zlib.error,
                        NotImplementedError,
                        RuntimeError,
                    ) as error:
                        raise _damaged_entry(entry, error) from None
                    if not block:
                        break
                    size += len(block)
                    self.total += len(block)
                    if size > most:
                        raise too_large
                    # Scripts always have room: whatever else is in the archive must not cost them.
                    if self.total > limits.max_total_bytes and not is_script:
                        shown = _printable(entry.shown, 80)
                        raise _Refused(
                            "total-size",
                            f"the submission has more than {limits.max_total_bytes // 2**20} MB; {shown!r} has no room",
                            "leave out what is not needed",
                            f"at most {limits.max_total_bytes // 2**20} MB in all",
                        )
                    digest.update(block)
                    file.write(block)
        except BaseException:
            self.total -= size
            target.unlink(missing_ok=True)
            raise
        return size, digest.hexdigest()

    def _settle_keras_names(self):
        """Gives a file called .keras its canonical name if its bytes are HDF5 after all."""
        for name in [name for name in self.files if re.fullmatch(r"model_\w+\.keras", name)]:
            wanted = name[: -len(".keras")] + ".h5"
            with open(self.folder / name, "rb") as file:
                is_hdf5 = file.read(8) == HDF5_SIGNATURE
            if is_hdf5 and wanted not in self.files:
                (self.folder / name).rename(self.folder / wanted)
                self.files[wanted] = self.files.pop(name)
                for row in self.mapped:
                    if row["to"] == name:
                        row["to"], row["why"] = wanted, "its name says .keras, its content is HDF5"

    def _look_at_write_up(self):
        """Says from its first and last bytes whether the write-up is a PDF; a person opens it, nothing here does."""
        if WRITE_UP not in self.files:
            return
        size = self.files[WRITE_UP][0]
        with open(self.folder / WRITE_UP, "rb") as file:
            head = file.read(2**16)
            file.seek(max(0, size - 2_048))
            tail = file.read()
        wanted = "a PDF that opens in any viewer"
        if b"%PDF-" not in head[:1_024]:
            what, try_ = _other_document(head)
            self.remark(WRITE_UP, f"{WRITE_UP} is no PDF: it {what}", wanted, try_)
            return
        if b"%%EOF" not in tail:
            self.remark(
                WRITE_UP,
                f"{WRITE_UP} seems to be cut off: its end is missing",
                wanted,
                "export it again and open it once",
            )
        found = set()
        with open(self.folder / WRITE_UP, "rb") as file:
            before = b""
            while block := file.read(2**20):
                found |= {word for word in ACTIVE_WORDS if word in before + block}
                before = block[-32:]
        if found:
            words = ", ".join(sorted(word.decode() for word in found))
            self.remark(
                WRITE_UP,
                f"{WRITE_UP} holds active content ({words})",
                "text and pictures",
                "open it in a browser's viewer, not in a desktop program",
                staff=True,
            )

    def sha256(self):
        digest = hashlib.sha256()
        for name in sorted(self.files):
            size, content = self.files[name]
            digest.update(f"{name}\0{size}\0{content}\n".encode())
        return digest.hexdigest()


# What makes a viewer run something, start a program or unpack a file. Where it is packed it is not seen here.
ACTIVE_WORDS = (b"/JavaScript", b"/Launch", b"/EmbeddedFile", b"/RichMedia", b"/XFA")


def _other_document(head):
    """Says what a file that should be a PDF is, and what to do."""
    export = 'open it in its own program and choose "Export as PDF" (renaming a file does not change its format)'
    if not head:
        return "is empty (0 bytes)", "export it again and check its size"
    if head.startswith(b"PK\x03\x04"):
        kind = (
            "a Word document" if b"word/" in head else "a document of LibreOffice" if b"mimetype" in head else "a zip"
        )
        return f"is {kind}", export
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "is an old Word document", export
    if head.startswith(b"{\\rtf"):
        return "is an RTF document", export
    if re.match(rb"\s*<(!doctype|html|svg|\?xml)", head, re.IGNORECASE):
        return "is a web page", 'open it in a browser and print it with "Save as PDF"'
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return "is a picture", 'print it with "Save as PDF"'
    if head.startswith(b"%!PS"):
        return "is PostScript", "convert it with `ps2pdf`"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file", "run `git lfs pull` and submit the file itself"
    return "begins with other bytes", export


def _damaged_entry(entry, error):
    text = _printable(" ".join(str(error).split()), 80)
    return _Refused(
        "damaged",
        f"the entry {_printable(entry.shown, 80)!r} cannot be unpacked ({text})",
        "pack the folder again and try to unpack it yourself",
        "an archive that unpacks without errors",
    )


def _emotion(*names):
    for name in names:
        try:
            label = labels.emotion_in(name)
        except ValueError:
            continue
        if label is not None:
            return label
    return None


def _kind_of_set(folder):
    """Tells from a folder's name whether its photos are for training or for testing."""
    for part in reversed(folder[-2:]):
        words = re.findall(r"[a-z]+", part.casefold())
        for word in words:
            if word in ("train", "training", "trainset", "trainphotos"):
                return "train"
            if word in ("test", "testing", "testset", "testphotos"):
                return "test"
    return None


def _claim(entry):
    """Orders entries that may want one name: the exact name first, one that was cleaned last, else as they come."""
    name = re.split(r"[/\\]", entry.shown)[-1]
    exact = name in SCRIPTS or name in MODELS or name == WRITE_UP
    return not exact, HARMLESS_MARKS.search(entry.shown) is not None


def _too_many_entries(limits):
    return IntakeError(
        f"the submission has more than {limits.max_entries:,} entries",
        "three scripts, up to five models, 14 photos and a write-up",
        "leave virtual environments and data sets out of the zip",
    )


def _root(candidates):
    """Returns the folder that holds most of the assignment's files; the shallowest of equals."""
    counts = {}
    for found in candidates.values():
        for folder in {entry.parts[:-1] for _, entry in found}:
            counts[folder] = counts.get(folder, 0) + 1
    if not counts:
        return ()
    return min(counts, key=lambda folder: (-counts[folder], len(folder), folder))


def _homes(entries):
    """Returns the folders in which several files of the assignment stand, under about their names."""
    roles = {}
    for entry in entries:
        role, distance = canonical_name(entry.parts[-1])
        if role is not None and distance <= 1:
            roles.setdefault(entry.parts[:-1], set()).add(role)
    return {folder for folder, found in roles.items() if len(found) > 1}


def _overlapping(entries):
    """Returns the entries of zips whose bytes another entry claims, too."""
    placed = sorted((entry for entry in entries if entry.end), key=lambda entry: (entry.start, entry.end))
    bad = set()
    furthest = None
    for entry in placed:
        if furthest is not None and entry.start < furthest.end:
            bad |= {entry, furthest}
        if furthest is None or entry.end > furthest.end:
            furthest = entry
    return bad


# ---------------------------------------------------------------------------------------------------------------------
# Where the bytes come from
# ---------------------------------------------------------------------------------------------------------------------

AN_ARCHIVE = "a zip, a .tar.gz or a folder with cnn.py, transfer.py, cnnx.py, the models, photos/ and writeup.pdf"


def _open_source(path, limits):
    path = Path(path)
    try:
        information = path.stat()
    except OSError as error:
        raise IntakeError(
            f"{_printable(path.name)} cannot be read: {error.strerror}", AN_ARCHIVE, "check the path"
        ) from None
    if stat.S_ISDIR(information.st_mode):
        return _Folder(path, limits)
    if not stat.S_ISREG(information.st_mode):
        raise IntakeError(f"{_printable(path.name)} is no ordinary file", AN_ARCHIVE, "check the path")
    if information.st_size > limits.max_archive_bytes:
        raise IntakeError(
            f"{_printable(path.name)} has {information.st_size / 1e9:.1f} GB",
            f"at most {limits.max_archive_bytes / 1e9:.1f} GB",
            "leave virtual environments and data sets out of the zip",
        )
    with open(path, "rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return _Zip(path, limits)
    if head[:2] == b"MZ" or head[:2] == b"#!":
        # A self-extractor is a program with a zip behind it. Nothing starts it; its zip is as good as any.
        try:
            source = _Zip(path, limits)
        except IntakeError:
            pass
        else:
            source.remark = "a program stands before the zip, as in a self-extracting archive; only the zip was read"
            return source
    if head[:2] == b"\x1f\x8b" or head[:3] == b"BZh" or head[257:262] == b"ustar":
        return _Tar(path, limits, head)
    if not head:
        what = "is empty (0 bytes)"
    elif head.startswith(b"Rar!"):
        what = "is a RAR archive"
    elif head.startswith(b"7z\xbc\xaf"):
        what = "is a 7-Zip archive"
    elif head.startswith(b"\xfd7zXZ"):
        what = "is an xz archive"
    elif head.startswith(HDF5_SIGNATURE):
        what = "is a single HDF5 file, not a submission"
    elif re.match(rb"\s*<(!doctype|html)", head, re.IGNORECASE):
        what = "is a web page, not an archive"
    elif head.startswith(b"version https://git-lfs"):
        what = "is a Git LFS pointer, not the file itself"
    elif head.startswith(b"MZ"):
        what = "is a program without a zip inside"
    else:
        what = "is no archive"
    raise IntakeError(
        f"{_printable(path.name)} {what}",
        AN_ARCHIVE,
        "make a zip of the folder: on Windows choose Send to, Compressed folder; on a Mac choose Compress",
    )


class _Zip:
    """A zip; see `grader/zip_files.py`. Names and kinds are judged here."""

    def __init__(self, path, limits):
        self.path, self.limits, self.remark = path, limits, ""
        again = "pack the folder again, and unpack it once yourself before you submit it"
        try:
            self.file = ZipReader(path, limits.max_directory_bytes, limits.max_entries)
        except TooManyEntries:
            raise _too_many_entries(limits) from None
        except TableTooLarge as error:
            what = f"the table of contents at its end is {error.args[0]:,} bytes long"
            raise IntakeError(f"{_printable(path.name)} is damaged: {what}", AN_ARCHIVE, again) from None
        except ZipDamage as error:
            raise IntakeError(f"{_printable(path.name)} is damaged: {error}", AN_ARCHIVE, again) from None
        names = [item.name for item in self.file.entries]
        # Old .NET wrote Windows' own separator. Only where every name does so is a backslash no part of a name.
        self.backslashes = any("\\" in name for name in names) and not any("/" in name for name in names)
        if self.backslashes:
            self.remark = "its names have backslashes between folders, as old Windows programs write them; read as /"

    def close(self):
        self.file.close()

    def entries(self):
        for item in self.file.entries:
            name = item.name.replace("\\", "/") if self.backslashes else item.name
            yield name, self._kind(item, name), _Entry(name, (), item.size, self, item, item.start, item.end)
        if self.file.rest:
            yield (
                "(the rest of the archive)",
                _Refused("damaged", self.file.rest, "pack the folder again", "an archive that unpacks without errors"),
                None,
            )

    def _kind(self, item, name):
        shown = repr(_printable(name, 80))
        if item.problem:
            return _Refused(
                "damaged",
                f"the entry {shown} cannot be read: {item.problem}",
                "pack the folder again, with letters and digits in file names",
                "an archive that unpacks without errors",
            )
        if stat.S_ISLNK(item.mode):
            return _Refused("link", f"the entry {shown} is a link", "pack the file itself")
        if stat.S_IFMT(item.mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            return _Refused("special", f"the entry {shown} is no ordinary file", "pack ordinary files only")
        if name.endswith("/") or stat.S_ISDIR(item.mode):
            return "folder"
        if item.flags & IS_ENCRYPTED:
            return _Refused("encrypted", f"the entry {shown} is locked with a password", "pack without a password")
        if item.method not in (STORED, DEFLATED):
            return _Refused(
                "compression",
                f"the entry {shown} is packed by a rare method (number {item.method})",
                'pack with the file manager\'s own "compress"',
            )
        return "file"

    def streams(self, entries):
        for entry in sorted(entries, key=lambda entry: entry.start):
            try:
                yield entry, self.file.open(entry.handle)
            except (OSError, ValueError) as error:
                yield entry, _damaged_entry(entry, error)


class _Counted:
    """A stream that refuses to give more than its limit, or too much at once."""

    def __init__(self, stream, limit):
        self.stream, self.left = stream, limit

    def read(self, size=-1):
        if size is None or size < 0 or size > 2**27:
            raise tarfile.ReadError("the archive asks for too much memory")
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError("the archive unpacks to more than a submission may have")
        return data

    def close(self):
        self.stream.close()


class _Member(tarfile.TarInfo):
    """An entry of a tar whose long names and other headers stay small; tarfile would read gigabytes of them."""

    @classmethod
    def frombuf(cls, buffer, encoding, errors):
        """Reads a header's fields. A negative size would lead tarfile round in a circle (CVE-2025-8194)."""
        member = super().frombuf(buffer, encoding, errors)
        if member.size < 0:
            raise tarfile.ReadError("a header claims a negative size")
        return member

    @classmethod
    def fromtarfile(cls, file):
        """Reads the next header. tarfile takes a damaged one for the end of the archive, and loses what follows."""
        try:
            return super().fromtarfile(file)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError):
            raise tarfile.ReadError("a header is damaged") from None

    def _proc_member(self, file):
        kinds = (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if self.type in kinds and self.size > 2**20:
            raise tarfile.ReadError("a header claims more than a megabyte")
        return super()._proc_member(file)


class _Tar:
    """A tar, read from its beginning each time, because a packed tar cannot be read in any other order."""

    def __init__(self, path, limits, head):
        self.path, self.limits, self.remark = path, limits, ""
        self.opener = gzip.open if head[:2] == b"\x1f\x8b" else bz2.open if head[:3] == b"BZh" else open

    def close(self):
        pass

    def _members(self):
        stream = _Counted(self.opener(self.path, "rb"), self.limits.max_unpacked_bytes)
        try:
            with tarfile.open(fileobj=stream, mode="r|", errorlevel=1, tarinfo=_Member) as file:
                for index, member in enumerate(file):
                    yield index, file, member
                    file.members = []  # the list would grow with every entry
        finally:
            stream.close()

    def entries(self):
        index = None
        try:
            for index, _, member in self._members():
                yield member.name, self._kind(member), _Entry(member.name, (), member.size, self, index)
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
            if index is None:
                raise IntakeError(
                    f"{_printable(self.path.name)} cannot be opened as a tar archive ({_printable(error, 80)})",
                    AN_ARCHIVE,
                    "pack the folder again",
                ) from None
            yield (
                "(the rest of the archive)",
                _Refused(
                    "damaged",
                    f"after {index + 1:,} entries the archive cannot be read ({_printable(error, 80)})",
                    "pack the folder again",
                    "an archive that unpacks without errors",
                ),
                None,
            )

    def _kind(self, member):
        shown = repr(_printable(member.name, 80))
        if member.issym() or member.islnk():
            return _Refused("link", f"the entry {shown} is a link", "pack the file itself")
        if member.isdir():
            return "folder"
        if not member.isreg() or member.issparse():
            return _Refused("special", f"the entry {shown} is no ordinary file", "pack ordinary files only")
        return "file"

    def streams(self, entries):
        wanted = {entry.handle: entry for entry in entries}
        try:
            for index, file, member in self._members():
                entry = wanted.pop(index, None)
                if entry is not None:
                    yield entry, file.extractfile(member)
                if not wanted:
                    return
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
            for entry in wanted.values():
                yield entry, _damaged_entry(entry, error)


class _Folder:
    """A folder. Its links are followed only to files inside it."""

    def __init__(self, path, limits):
        self.path, self.limits, self.remark = Path(os.path.realpath(path)), limits, ""

    def close(self):
        pass

    def entries(self):
        stack = [("", self.path)]
        while stack:
            prefix, folder = stack.pop()
            try:
                items = sorted(os.scandir(folder), key=lambda item: item.name)
            except OSError as error:
                yield (
                    prefix or ".",
                    _Refused(
                        "unreadable",
                        f"the folder {_printable(prefix or '.', 80)!r} cannot be read ({error.strerror})",
                        "check its permissions",
                    ),
                    None,
                )
                continue
            for item in items:
                name = prefix + item.name
                shown = repr(_printable(name, 80))
                try:
                    information = item.stat(follow_symlinks=False)
                except OSError as error:
                    yield (
                        name,
                        _Refused("unreadable", f"{shown} cannot be read ({error.strerror})", "check its permissions"),
                        None,
                    )
                    continue
                if stat.S_ISLNK(information.st_mode):
                    target = Path(os.path.realpath(item.path))
                    if not (target.is_relative_to(self.path) and target.is_file()):
                        yield (
                            name,
                            _Refused(
                                "link",
                                f"{shown} is a link that leads out of the submission or to no file",
                                "put the file itself there",
                            ),
                            None,
                        )
                        continue
                    yield name, "file", _Entry(name, (), target.stat().st_size, self, target)
                elif stat.S_ISDIR(information.st_mode):
                    if name.count("/") < 2 * self.limits.max_depth:
                        stack.append((name + "/", Path(item.path)))
                    else:
                        yield name, _Refused("depth", f"the folder {shown} lies too deep", "use fewer folders"), None
                elif stat.S_ISREG(information.st_mode):
                    yield name, "file", _Entry(name, (), information.st_size, self, Path(item.path))
                else:
                    yield name, _Refused("special", f"{shown} is no ordinary file", "remove it"), None

    def streams(self, entries):
        for entry in entries:
            try:
                # Not through a link, not waiting at a named pipe that replaced the file since it was listed.
                flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
                handle = os.open(entry.handle, flags | getattr(os, "O_BINARY", 0))
                with os.fdopen(handle, "rb") as stream:
                    if not stat.S_ISREG(os.fstat(handle).st_mode):
                        raise OSError("it is no ordinary file")
                    if not self._is_inside(handle):
                        raise OSError("it was replaced by a link while it was read")
                    yield entry, _Steady(stream)
            except OSError as error:
                yield entry, _damaged_entry(entry, error)

    def _is_inside(self, handle):
        """Looks where an open file really lies: a folder above it may have become a link since it was listed."""
        try:
            return Path(os.readlink(f"/proc/self/fd/{handle}")).is_relative_to(self.path)
        except OSError:
            return True  # no /proc here


class _Steady:
    """A file that must not change while it is copied: half an old model and half a new one is neither."""

    def __init__(self, stream):
        self.stream, self.before = stream, self._state(stream)

    @staticmethod
    def _state(stream):
        status = os.fstat(stream.fileno())
        return status.st_size, status.st_mtime_ns

    def read(self, size):
        block = self.stream.read(size)
        if not block and self._state(self.stream) != self.before:
            raise OSError("it changed while it was copied")
        return block
