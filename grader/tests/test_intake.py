"""Intake: honest mistakes are mapped and reported, hostile entries are refused one by one, nothing else is lost."""

import bz2
import gzip
import io
import os
import random
import stat
import struct
import tarfile
import zipfile

import pytest

from grader import intake
from grader.intake import IntakeError, Limits, canonical_name, open_submission

H5 = intake.HDF5_SIGNATURE + b"a model" * 20
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def good_files():
    """The files of a submission as the assignment asks for them."""
    files = {
        "cnn.py": b"# cnn",
        "transfer.py": b"# transfer",
        "cnnx.py": b"# cnnx",
        "writeup.pdf": b"%PDF-1.4 write-up",
        "helpers.py": b"# imported by cnn.py",
    }
    for name in intake.MODELS:
        files[name] = H5 + name.encode()
    for kind in ("train", "test"):
        for emotion in EMOTIONS:
            files[f"photos/{kind}/{emotion}.png"] = f"{kind} {emotion}".encode()
    return files


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def in_folder(path, files):
    for name, content in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return path


def contents(submission):
    return {
        path.relative_to(submission.folder).as_posix(): path.read_bytes()
        for path in sorted(submission.folder.rglob("*"))
        if path.is_file()
    }


def codes(submission):
    return [row["code"] for row in submission.refused]


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def opened(tmp_path, scratch, files, **limits):
    return open_submission(zipped(tmp_path / "jane.zip", files), scratch, Limits(**limits))


def renamed(files, **names):
    """The same files, some under other names: `renamed(files, cnn_py="CNN.py")`."""
    new = dict(files)
    for old, name in names.items():
        old = {
            "cnn_py": "cnn.py",
            "cnnx_py": "cnnx.py",
            "transfer_py": "transfer.py",
            "model_1": "model_1.h5",
            "model_2": "model_2.h5",
            "model_ec1": "model_ec1.h5",
            "writeup": "writeup.pdf",
        }[old]
        new[name] = new.pop(old)
    return new


# What a good submission becomes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar", "folder"])
def test_a_good_submission_arrives_whole_in_every_form(tmp_path, scratch, form):
    files = good_files()
    if form == "zip":
        path = zipped(tmp_path / "jane.zip", files)
    elif form == "folder":
        path = in_folder(tmp_path / "jane", files)
    else:
        path = tarred(tmp_path / f"jane.{form}", files, "w" + form[3:].replace(".", ":"))
    submission = open_submission(path, scratch)
    assert contents(submission) == files
    assert (submission.name, submission.mapped, submission.refused, submission.skipped) == ("jane", [], [], [])
    assert submission.files == {name: len(content) for name, content in sorted(files.items())}
    assert submission.folder.is_relative_to(scratch)
    assert [path.name for path in scratch.iterdir()] == [submission.folder.name]


def test_the_hash_depends_on_names_and_bytes_alone(tmp_path, scratch):
    files = good_files()
    one = opened(tmp_path, scratch, files)
    two = open_submission(tarred(tmp_path / "other.tar.gz", dict(reversed(files.items()))), scratch)
    deep = {f"deep/{name}": content for name, content in files.items()}
    three = open_submission(in_folder(tmp_path / "folder", deep), scratch)
    assert one.sha256 == two.sha256 == three.sha256
    assert opened(tmp_path, scratch, files | {"cnn.py": b"# other"}).sha256 != one.sha256
    assert opened(tmp_path, scratch, renamed(files, cnn_py="x.py")).sha256 != one.sha256


def test_the_students_folder_is_only_read(tmp_path, scratch):
    folder = in_folder(tmp_path / "jane", {f"hw/{name}": data for name, data in good_files().items()})
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}
    for path in folder.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    submission = open_submission(folder, scratch)
    (submission.folder / "cnn.py").write_bytes(b"changed by a worker")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")} == before
    assert (folder / "hw/cnn.py").read_bytes() == b"# cnn"


# Honest mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("model_1 (1).h5", "model_1.h5"), ("Model_1.hdf5", "model_1.h5"), ("model_1 copy.h5", "model_1.h5"),
        ("model1.h5", "model_1.h5"), ("MODEL-2.H5", "model_2.h5"), ("model_3_final.h5", "model_3.h5"),
        ("model_1 - Copy (2).h5", "model_1.h5"), ("model_1.h5.h5", "model_1.h5"), ("model ec1.h5", "model_ec1.h5"),
        ("model_EC_1.h5", "model_ec1.h5"), ("Copy of model_4.h5", "model_4.h5"), ("model_2.keras", "model_2.keras"),
        ("model_1.h5.txt", "model_1.h5"), ("cnnX.py", "cnnx.py"), ("CNN.py", "cnn.py"), ("cnn (3).py", "cnn.py"),
        ("cnn_x.py", "cnnx.py"), ("cnn.py.txt", "cnn.py"), ("transfer_learning.py", "transfer.py"),
        ("Write-Up.pdf", "writeup.pdf"), ("report.pdf", "writeup.pdf"),
        ("model_5.h5", None), ("best.h5", None), ("model_1.py", None), ("test_cnn.py", None), ("cnn.ipynb", None),
        ("model_12.h5", None), ("paper.pdf", None), ("cnn", None),
    ],
)  # fmt: skip
def test_names_that_people_write_are_understood(name, canonical):
    assert canonical_name(name)[0] == canonical


def test_renamed_files_are_mapped_and_the_mapping_is_reported(tmp_path, scratch):
    files = renamed(
        good_files(), cnnx_py="cnnX.py", model_1="model_1 (1).h5", model_2="Model_2.hdf5", writeup="My Write-Up.pdf"
    )
    submission = opened(tmp_path, scratch, files)
    assert contents(submission) == good_files()
    assert {(row["from"], row["to"]) for row in submission.mapped} == {
        ("cnnX.py", "cnnx.py"),
        ("model_1 (1).h5", "model_1.h5"),
        ("Model_2.hdf5", "model_2.h5"),
        ("My Write-Up.pdf", "writeup.pdf"),
    }
    assert all(row["why"] for row in submission.mapped)


def test_the_exact_name_wins_over_a_copy(tmp_path, scratch):
    submission = opened(
        tmp_path,
        scratch,
        {"model_1 (1).h5": H5 + b"old", "model_1.h5": H5 + b"new", "backup/model_1.h5": H5 + b"older"},
    )
    assert contents(submission) == {"model_1.h5": H5 + b"new"}
    assert {row["entry"] for row in submission.skipped} == {"model_1 (1).h5", "backup/model_1.h5"}


def test_nested_folders_are_unwrapped_with_one_line(tmp_path, scratch):
    files = {f"MP4 Jane/mp4/{name}": content for name, content in good_files().items()}
    submission = opened(tmp_path, scratch, files)
    assert contents(submission) == good_files()
    assert {"from": "MP4 Jane/mp4/", "to": "./", "why": "the files stood inside this folder"} in submission.mapped


def test_files_of_one_submission_may_stand_in_several_folders(tmp_path, scratch):
    files = {
        "hw/code/cnn.py": b"1", "hw/code/cnnx.py": b"2", "hw/code/transfer.py": b"3", "hw/code/utils/net.py": b"4",
        "hw/models/model_1.h5": H5, "hw/part7/helper.py": b"5", "hw/README.md": b"6",
    }  # fmt: skip
    assert contents(opened(tmp_path, scratch, files)) == {
        "cnn.py": b"1", "cnnx.py": b"2", "transfer.py": b"3", "utils/net.py": b"4", "model_1.h5": H5,
        "hw/part7/helper.py": b"5", "hw/README.md": b"6",
    }  # fmt: skip


def test_a_helper_follows_the_script_that_imports_it(tmp_path, scratch):
    files = {"a/cnn.py": b"1", "a/net.py": b"2", "b/cnnx.py": b"3", "b/grid.py": b"4", "a/transfer.py": b"5"}
    assert set(contents(opened(tmp_path, scratch, files))) == {"cnn.py", "net.py", "cnnx.py", "grid.py", "transfer.py"}


def test_rubbish_environments_and_data_are_skipped_with_a_count(tmp_path, scratch):
    rubbish = {
        "__MACOSX/._cnn.py": b"x", ".DS_Store": b"x", "photos/.DS_Store": b"x", "._cnn.py": b"x", "Thumbs.db": b"x",
        "venv/lib/python3.11/site-packages/keras/models.py": b"x", "venv/bin/activate": b"x", "venv/cnn.py": b"x",
        "my_environment/pyvenv.cfg": b"x", "my_environment/lib/x.py": b"x", "__pycache__/cnn.cpython-311.pyc": b"x",
        ".git/config": b"x", "data/kaggle_fer2013/fer2013.csv": b"x" * 300_000, "faces.py": b"#" * 300_000,
        "expressions/labels.py": b"x", "grader/rubric.toml": b"x", "tracks/common.py": b"x", "weights.bin": b"x",
    }  # fmt: skip
    submission = opened(tmp_path, scratch, good_files() | rubbish)
    assert contents(submission) == good_files()
    reasons = {row["entry"]: (row["why"], row["files"]) for row in submission.skipped}
    assert reasons["venv/"] == ("a virtual environment", 3)
    assert reasons["my_environment/"] == ("a virtual environment", 2)
    assert reasons["faces.py"][0] == "data" and reasons["grader/"][0].startswith("part of the kit")
    assert submission.refused == []


def test_the_kit_cannot_be_replaced_by_a_submission(tmp_path, scratch):
    files = {"cnn.py": b"1", "expressions.py": b"evil", "Grader.py": b"evil", "x/expressions/labels.py": b"evil",
             "EXPRESSIONS/labels.py": b"evil", "grader/worker/code.py": b"evil"}  # fmt: skip
    assert contents(opened(tmp_path, scratch, files)) == {"cnn.py": b"1"}


def test_a_submission_whose_own_folder_is_called_data_is_read(tmp_path, scratch):
    files = {f"fer2013/{name}": content for name, content in good_files().items()}
    assert contents(opened(tmp_path, scratch, files)) == good_files()


def photos(*folders):
    return {f"{folder}/{emotion}.jpg": f"{folder} {emotion}".encode() for folder in folders for emotion in EMOTIONS}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/photos/train", "data/photos/test"), ("photos/Train", "photos/Test"), ("train", "test"),
        ("my photos/training", "my photos/testing"), ("train_photos", "test_photos"), ("pics/a", "pics/b"),
        ("hw/data/faces1/train", "hw/data/faces1/x"),
    ],
)  # fmt: skip
def test_photos_are_found_in_odd_places(tmp_path, scratch, train, test):
    submission = opened(tmp_path, scratch, {"cnn.py": b"1"} | photos(train, test))
    found = contents(submission)
    for emotion in EMOTIONS:
        assert found[f"photos/train/{emotion}.jpg"] == f"{train} {emotion}".encode()
        assert found[f"photos/test/{emotion}.jpg"] == f"{test} {emotion}".encode()
    assert {row["to"] for row in submission.mapped} == {"photos/train/", "photos/test/"}
    assert all("guess" in row["why"] for row in submission.mapped) == (train == "pics/a")


def test_photos_may_stand_in_a_folder_for_each_emotion(tmp_path, scratch):
    files = {f"{kind}/{emotion}/IMG_{kind}.png": b"x" for kind in ("train", "test") for emotion in EMOTIONS}
    found = contents(opened(tmp_path, scratch, files))
    assert set(found) == {f"photos/{name}" for name in files}


def test_an_incomplete_photo_folder_in_the_right_place_is_kept(tmp_path, scratch):
    files = photos("photos/train", "photos/test")
    del files["photos/train/sad.jpg"]
    files["photos/train/sad.heic"] = b"x"
    assert set(contents(opened(tmp_path, scratch, files))) == set(files)


def test_an_image_data_set_is_not_taken_for_photos(tmp_path, scratch):
    files = {f"data/train/{emotion}/{index}.png": b"x" for emotion in EMOTIONS for index in range(20)}
    submission = opened(tmp_path, scratch, {"cnn.py": b"1"} | files)
    assert set(contents(submission)) == {"cnn.py"} and submission.skipped[0]["files"] == 140


def test_two_zips_in_one_are_unpacked(tmp_path, scratch):
    files = good_files()
    code = {name: content for name, content in files.items() if name.endswith((".py", ".pdf"))}
    rest = {name: content for name, content in files.items() if name not in code}
    inner = [zipped(tmp_path / "code.zip", code).read_bytes(), tarred(tmp_path / "m.tar.gz", rest).read_bytes()]
    submission = opened(tmp_path, scratch, {"hw/code.zip": inner[0], "hw/models.tar.gz": inner[1]})
    assert contents(submission) == files
    assert {row["from"] for row in submission.mapped} >= {"hw/code.zip", "hw/models.tar.gz"}


def test_a_zip_around_the_zip_is_unpacked(tmp_path, scratch):
    inner = zipped(tmp_path / "submission.zip", good_files()).read_bytes()
    assert contents(opened(tmp_path, scratch, {"submission.zip": inner})) == good_files()


def test_archives_without_end_are_refused(tmp_path, scratch):
    content = zipped(tmp_path / "a.zip", {"cnn.py": b"1"}).read_bytes()
    for _ in range(5):
        content = zipped(tmp_path / "a.zip", {"a.zip": content, "transfer.py": b"2"}).read_bytes()
    submission = open_submission(tmp_path / "a.zip", scratch)
    assert codes(submission) == ["nested-archive"]
    assert set(contents(submission)) == {"transfer.py", "a/transfer.py", "a/a/transfer.py"}


def test_a_damaged_zip_inside_costs_only_itself(tmp_path, scratch):
    submission = opened(tmp_path, scratch, good_files() | {"old.zip": b"PK\x03\x04 damaged"})
    assert codes(submission) == ["inner-archive"] and contents(submission) == good_files()


def test_a_keras_file_keeps_its_ending_unless_its_bytes_are_hdf5(tmp_path, scratch):
    submission = opened(tmp_path, scratch, {"model_1.keras": b"PK\x03\x04 zip", "model_2.keras": H5})
    assert set(contents(submission)) == {"model_1.keras", "model_2.h5"}
    assert {row["to"] for row in submission.mapped} == {"model_1.keras", "model_2.h5"}


# Hostile entries: each is refused, the rest arrives -------------------------------------------------------------------

HOSTILE_NAMES = {
    "../../marker.py": "parent", "a/../../marker.py": "parent", "/marker.py": "absolute", "..\\marker.py": "backslash",
    "photos\\train\\happy.png": "backslash", "C:marker.py": "drive", "C:/marker.py": "drive",
    "a\nb.py": "control-character", "a\x1b[2J.py": "control-character", "a\u202eyp.py": "control-character",
    "x" * 256 + ".py": "name-length",
    "/".join(["d" * 90] * 12): "name-length", "/".join("d" * 25) + "/x.py": "depth", "con.py": "reserved",
    "evil.py.": "reserved", "file.py:stream": "drive",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_names_that_lead_astray_are_refused_one_by_one(tmp_path, scratch, form, name):
    files = {name: b"marker"} | good_files()
    path = zipped(tmp_path / "a.zip", files) if form == "zip" else tarred(tmp_path / "a.tar.gz", files)
    submission = open_submission(path, scratch)
    assert codes(submission) == [HOSTILE_NAMES[name]]
    assert contents(submission) == good_files()
    row = submission.refused[0]
    assert all(row[key] for key in ("entry", "what", "wanted", "try")) and row["entry"].isprintable()
    assert not list(tmp_path.rglob("marker*"))


def test_a_refused_entry_says_which_file_it_would_have_been(tmp_path, scratch):
    submission = opened(tmp_path, scratch, {"../model_1.h5": H5, "..\\cnn.py": b"1", "../x": b"1"})
    assert [row["file"] for row in submission.refused] == ["model_1.h5", "cnn.py", None]


def test_the_payload_unprotected_leaves_its_marker(tmp_path):
    # Not vacuous: Python's own tar extraction, asked to trust the archive, writes outside.
    tarred(tmp_path / "a.tar.gz", {"../marker.py": b"marker"})
    (tmp_path / "inside").mkdir()
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        archive.extractall(tmp_path / "inside", filter="fully_trusted")
    assert (tmp_path / "marker.py").exists()


def test_a_name_with_a_nul_is_judged_whole(tmp_path, scratch):
    path = zipped(tmp_path / "a.zip", {"cnnX.py_evil.py": b"1", "model_1.h5": H5})
    path.write_bytes(path.read_bytes().replace(b"cnnX.py_evil.py", b"cnnX.py\0evil.py"))
    submission = open_submission(path, scratch)
    assert codes(submission) == ["control-character"] and set(contents(submission)) == {"model_1.h5"}


@pytest.mark.parametrize(
    ("first", "second"), [("cnn.py", "cnn.py"), ("cnn.py", "CNN.py"), ("é.py", "é.py"), ("a/b.py", "a//./b.py")]
)
def test_one_name_twice_keeps_the_first(tmp_path, scratch, first, second):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.MonkeyPatch.context():
        archive.writestr(first, b"first")
        if first == second:
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr(second, b"second")
        else:
            archive.writestr(second, b"second")
    submission = open_submission(tmp_path / "a.zip", scratch)
    assert codes(submission) == ["duplicate"] and list(contents(submission).values()) == [b"first"]


def special(name, kind, target="", size=0):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, size
    return member


@pytest.mark.parametrize(
    ("kind", "code"),
    [(tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "link"), (tarfile.CHRTYPE, "special"), (tarfile.BLKTYPE, "special"),
     (tarfile.FIFOTYPE, "special")],
)  # fmt: skip
def test_links_and_devices_in_a_tar_are_refused(tmp_path, scratch, kind, code):
    secret = tmp_path / "secret.py"
    secret.write_text("secret")
    files = {"link": special("helpers2.py", kind, str(secret))} | good_files()
    submission = open_submission(tarred(tmp_path / "a.tar.gz", files), scratch)
    assert codes(submission) == [code] and contents(submission) == good_files()


def test_a_file_written_through_a_link_stays_inside(tmp_path, scratch):
    (tmp_path / "outside").mkdir()
    files = {"link": special("dir", tarfile.SYMTYPE, str(tmp_path / "outside")), "dir/marker.py": b"marker"}
    submission = open_submission(tarred(tmp_path / "a.tar.gz", files | {"cnn.py": b"1"}), scratch)
    assert codes(submission) == ["link"] and not list((tmp_path / "outside").iterdir())


def test_links_in_a_zip_are_refused(tmp_path, scratch):
    path = zipped(tmp_path / "a.zip", good_files())
    with zipfile.ZipFile(path, "a") as archive:
        for name, mode in (("link.py", stat.S_IFLNK), ("pipe.py", stat.S_IFIFO)):
            item = zipfile.ZipInfo(name)
            item.external_attr = (mode | 0o777) << 16
            archive.writestr(item, "/etc/hostname")
    submission = open_submission(path, scratch)
    assert codes(submission) == ["link", "special"] and contents(submission) == good_files()


def test_links_in_a_folder_are_not_followed_out(tmp_path, scratch):
    (tmp_path / "secret.py").write_text("secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/x.py").write_text("secret")
    folder = in_folder(tmp_path / "jane", good_files())
    (folder / "out.py").symlink_to(tmp_path / "secret.py")
    (folder / "outdir").symlink_to(tmp_path / "secrets")
    (folder / "loop").symlink_to(folder)
    (folder / "broken.py").symlink_to("nowhere")
    (folder / "inside.py").symlink_to("helpers.py")
    os.mkfifo(folder / "pipe.py")
    submission = open_submission(folder, scratch)
    assert sorted(codes(submission)) == ["link", "link", "link", "link", "special"]
    assert contents(submission) == good_files() | {"inside.py": good_files()["helpers.py"]}


def test_a_submission_that_is_a_link_to_its_folder_is_read(tmp_path, scratch):
    in_folder(tmp_path / "real", good_files())
    (tmp_path / "jane").symlink_to(tmp_path / "real")
    assert contents(open_submission(tmp_path / "jane", scratch)) == good_files()


def patched(path, name, change):
    """Changes the headers of one entry of a zip: `change(bytearray, local header, central header)`."""
    data = bytearray(path.read_bytes())
    local, central = data.index(b"PK\x03\x04"), None
    while True:
        length = struct.unpack_from("<H", data, local + 26)[0]
        if data[local + 30 : local + 30 + length] == name.encode():
            break
        local = data.index(b"PK\x03\x04", local + 4)
    central = data.index(b"PK\x01\x02")
    while data[central + 46 : central + 46 + len(name)] != name.encode():
        central = data.index(b"PK\x01\x02", central + 4)
    change(data, local, central)
    path.write_bytes(data)
    return path


def test_an_encrypted_entry_costs_only_itself(tmp_path, scratch):
    def lock(data, local, central):
        data[local + 6] |= 1
        data[central + 8] |= 1

    path = patched(zipped(tmp_path / "a.zip", good_files()), "model_2.h5", lock)
    submission = open_submission(path, scratch)
    assert codes(submission) == ["encrypted"] and submission.refused[0]["file"] == "model_2.h5"
    assert set(contents(submission)) == set(good_files()) - {"model_2.h5"}


def test_a_rare_packing_method_costs_only_itself(tmp_path, scratch):
    def lzma(data, local, central):
        data[local + 8] = data[central + 10] = 9

    path = patched(zipped(tmp_path / "a.zip", good_files()), "cnn.py", lzma)
    submission = open_submission(path, scratch)
    assert codes(submission) == ["compression"] and len(contents(submission)) == len(good_files()) - 1


def test_a_wrong_checksum_costs_only_itself_and_leaves_no_half_file(tmp_path, scratch):
    def spoil(data, local, central):
        data[local + 14] ^= 0xFF
        data[central + 16] ^= 0xFF

    path = patched(zipped(tmp_path / "a.zip", good_files()), "model_1.h5", spoil)
    submission = open_submission(path, scratch)
    assert codes(submission) == ["damaged"] and set(contents(submission)) == set(good_files()) - {"model_1.h5"}
    assert "model_1.h5" not in submission.files


def test_entries_that_share_their_bytes_are_refused(tmp_path, scratch):
    # The kernel of an overlap bomb: two table entries point at one local file.
    files = good_files() | {"a1.py": b"x" * 5000, "a2.py": b"y" * 5000}
    path = zipped(tmp_path / "a.zip", files)
    with zipfile.ZipFile(path) as archive:
        first = archive.getinfo("a1.py").header_offset

    def share(data, local, central):
        struct.pack_into("<L", data, central + 42, first)

    submission = open_submission(patched(path, "a2.py", share), scratch)
    assert codes(submission) == ["overlap", "overlap"] and contents(submission) == good_files()


# Bombs ----------------------------------------------------------------------------------------------------------------


def test_a_file_is_counted_as_it_comes_whatever_its_header_says(tmp_path, scratch):
    path = zipped(tmp_path / "a.zip", {"cnn.py": b"1", "model_1.h5": b"\0" * 10_000_000, "model_2.h5": H5})
    submission = open_submission(path, scratch, Limits(max_file_bytes=2**20))
    assert codes(submission) == ["file-size"] and set(contents(submission)) == {"cnn.py", "model_2.h5"}

    def lie(data, local, central):
        struct.pack_into("<L", data, central + 24, 100)
        struct.pack_into("<L", data, local + 22, 100)

    submission = open_submission(patched(path, "model_1.h5", lie), scratch, Limits(max_file_bytes=2**20))
    assert codes(submission)[0] in ("damaged", "file-size")
    assert set(contents(submission)) == {"cnn.py", "model_2.h5"}


def test_all_files_together_have_a_limit(tmp_path, scratch):
    files = {f"model_{index}.h5": os.urandom(10_000) for index in (1, 2, 3, 4)}
    submission = opened(tmp_path, scratch, files, max_total_bytes=25_000)
    assert codes(submission) == ["total-size"] * 2 and len(contents(submission)) == 2


def test_too_many_entries_are_no_submission(tmp_path, scratch):
    with pytest.raises(IntakeError, match="more than 50 entries"):
        opened(tmp_path, scratch, {f"{index}.txt": b"" for index in range(60)}, max_entries=50)
    assert list(scratch.iterdir()) == []


def test_a_huge_table_of_contents_is_not_read(tmp_path, scratch):
    with pytest.raises(IntakeError, match="table of contents"):
        opened(tmp_path, scratch, good_files(), max_directory_bytes=100)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_tar_that_never_ends_is_stopped(tmp_path, scratch, pack):
    (tmp_path / "a.tar.gz").write_bytes(
        pack(tarred(tmp_path / "a.tar", {"zeros.bin": bytes(30_000_000), "cnn.py": b"1"}, "w").read_bytes())
    )
    submission = open_submission(tmp_path / "a.tar.gz", scratch, Limits(max_unpacked_bytes=10**7))
    assert codes(submission) == ["damaged"] and contents(submission) == {}


def test_a_tar_header_that_claims_gigabytes_is_not_read(tmp_path, scratch):
    member = special("././@PaxHeader", tarfile.XHDTYPE, size=8 * 2**30)
    raw = special("cnn.py", tarfile.REGTYPE).tobuf() + member.tobuf(format=tarfile.GNU_FORMAT) + bytes(4 * 2**20)
    (tmp_path / "a.tar").write_bytes(raw)
    submission = open_submission(tmp_path / "a.tar", scratch)
    assert codes(submission) == ["damaged"] and contents(submission) == {"cnn.py": b""}


# Nothing can be read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"), (b"Rar!\x1a\x07\x00", "RAR"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (H5, "HDF5"),
        (b"<!DOCTYPE html><html>", "web page"), (b"hello", "no archive"), (b"PK\x03\x04" + b"\0" * 100, "damaged"),
        (b"\x1f\x8b\x08\0 not really", "cannot be opened as a tar"),
    ],
)  # fmt: skip
def test_what_is_no_archive_is_named(tmp_path, scratch, content, says):
    (tmp_path / "jane.zip").write_bytes(content)
    with pytest.raises(IntakeError, match=says) as caught:
        open_submission(tmp_path / "jane.zip", scratch)
    assert caught.value.what and caught.value.wanted and caught.value.try_
    assert list(scratch.iterdir()) == []


def test_a_missing_file_is_named(tmp_path, scratch):
    with pytest.raises(IntakeError, match=r"none\.zip"):
        open_submission(tmp_path / "none.zip", scratch)


def test_half_a_zip_is_damaged_and_half_a_tar_keeps_its_beginning(tmp_path, scratch):
    path = zipped(tmp_path / "a.zip", {"cnn.py": os.urandom(5000), "model_1.h5": H5})
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(IntakeError, match="upload that stopped early"):
        open_submission(path, scratch)
    path = tarred(tmp_path / "a.tar", {"cnn.py": b"1", "model_1.h5": os.urandom(50_000)}, "w")
    path.write_bytes(path.read_bytes()[:20_000])
    submission = open_submission(path, scratch)
    assert contents(submission) == {"cnn.py": b"1"} and "damaged" in codes(submission)


def test_a_damaged_header_inside_a_tar_is_said_and_what_stands_before_it_kept(tmp_path, scratch):
    path = tarred(tmp_path / "a.tar", {"cnn.py": b"1", "transfer.py": b"2", "cnnx.py": b"3"}, "w")
    data = bytearray(path.read_bytes())
    data[1024 + 148] ^= 0xFF  # the checksum of the second header
    path.write_bytes(data)
    submission = open_submission(path, scratch)
    assert contents(submission) == {"cnn.py": b"1"} and codes(submission) == ["damaged"]


def test_an_empty_zip_is_a_submission_without_files(tmp_path, scratch):
    submission = opened(tmp_path, scratch, {})
    assert submission.files == {} and len(submission.sha256) == 64


# More honest mistakes -------------------------------------------------------------------------------------------------


def test_a_zip_of_old_windows_with_backslashes_throughout_is_read(tmp_path, scratch):
    files = {f"MP4\\{name}".replace("/", "\\"): content for name, content in good_files().items()}
    submission = opened(tmp_path, scratch, files)
    assert contents(submission) == good_files() and submission.refused == []
    assert any("backslashes" in row["why"] for row in submission.mapped)


def test_backslashes_beside_slashes_are_no_separators(tmp_path, scratch):
    submission = opened(tmp_path, scratch, good_files() | {"hw\\model_1.h5": H5})
    assert codes(submission) == ["backslash"] and contents(submission) == good_files()


def raw_named(path, files):
    """A zip whose names are the bytes given, eight for each, as its author's program wrote them."""
    with zipfile.ZipFile(path, "w") as archive:
        for index, content in enumerate(files.values()):
            archive.writestr(f"{index:08d}", content)
    data = path.read_bytes()
    for index, name in enumerate(files):
        data = data.replace(f"{index:08d}".encode(), name)
    path.write_bytes(data)
    return path


def test_names_in_utf8_without_its_flag_are_read_as_their_author_saw_them(tmp_path, scratch):
    # macOS packs this way, and decomposes letters.
    names = {"\u00fc/ab.py".encode(): b"1", "u\u0308/y.py".encode(): b"2"}
    submission = open_submission(raw_named(tmp_path / "a.zip", names), scratch)
    assert submission.refused == [] and contents(submission) == {"\u00fc/ab.py": b"1", "\u00fc/y.py": b"2"}


def test_names_in_a_windows_code_page_do_not_make_entries_overlap(tmp_path, scratch):
    names = {b"gr\x94\xe1e.py": b"1", b"gr\x94\x81e.py": b"2"}
    submission = open_submission(raw_named(tmp_path / "a.zip", names), scratch)
    assert submission.refused == [] and sorted(contents(submission).values()) == [b"1", b"2"]


@pytest.mark.parametrize(
    "folder", ["👩\u200d💻 Abgabe", "Jane D.", "6.835:MP4", "MP4 ", "\ufeffhw", "عربی\u200cها", "😀"]
)
def test_a_folder_may_have_any_name_that_a_file_manager_allows(tmp_path, scratch, folder):
    files = {f"{folder}/{name}": content for name, content in good_files().items()}
    submission = opened(tmp_path, scratch, files)
    assert contents(submission) == good_files() and submission.refused == []
    assert all(row["from"].isprintable() for row in submission.mapped)


def test_the_exact_name_wins_over_its_twin_that_comes_first(tmp_path, scratch):
    files = {"CNN.py": b"old", "tran\u200dsfer.py": b"old", "cnn.py": b"new", "transfer.py": b"new"}
    submission = opened(tmp_path, scratch, files)
    assert codes(submission) == ["duplicate", "duplicate"]
    assert contents(submission) == {"cnn.py": b"new", "transfer.py": b"new"}


@pytest.mark.parametrize(
    "name",
    ["ec1.h5", "extra_credit.h5", "Extra Credit 1.h5", "model_extra_credit.hdf5", "model_4_ec1.h5", "model_bonus.h5",
     "model_ec.h5", "my_model_EC1_final.h5"],
)  # fmt: skip
def test_extra_credit_has_many_names(name):
    assert canonical_name(name)[0] == "model_ec1.h5"
    assert canonical_name("model_4_final.h5")[0] == "model_4.h5"


def test_a_notebook_in_place_of_a_script_is_told_what_to_do(tmp_path, scratch):
    files = good_files()
    del files["cnn.py"]
    submission = opened(tmp_path, scratch, files | {"hw/CNN (1).ipynb": b"{}", "cnnx.ipynb": b"{}"})
    (row,) = submission.refused
    assert row["file"] == "cnn.py" and row["code"] == "notebook"
    assert "nbconvert" in row["try"] and "there is no cnn.py" in row["what"]


@pytest.mark.parametrize(
    "name", ["model_2.json", "model2_architecture.json", "Model_2-config.json", "old/model_2.json", "model_2.h5.json"]
)
def test_the_description_of_a_network_follows_its_weights(tmp_path, scratch, name):
    files = {"models/model_2.h5": H5, f"models/{name}": b"{}", "cnn.py": b"1", "settings.json": b"[]"}
    found = contents(opened(tmp_path, scratch, files))
    assert found["model_2.json"] == b"{}" and found["model_2.h5"] == H5 and "settings.json" in found


def test_the_nearest_description_is_taken_and_a_lone_one_stays_a_supporting_file(tmp_path, scratch):
    files = {"m/model_2.h5": H5, "m/model_2_architecture.json": b"near", "model_2.json": b"far", "model_3.json": b"x"}
    found = contents(opened(tmp_path, scratch, files))
    assert found["model_2.json"] == b"near" and found["model_3.json"] == b"x"


def test_a_self_extracting_archive_is_read_and_never_run(tmp_path, scratch):
    path = zipped(tmp_path / "jane.zip", good_files())
    (tmp_path / "jane.exe").write_bytes(b"MZ" + bytes(4000) + path.read_bytes())
    submission = open_submission(tmp_path / "jane.exe", scratch)
    assert contents(submission) == good_files() and submission.name == "jane"
    assert "program" in submission.mapped[0]["why"]
    (tmp_path / "virus.exe").write_bytes(b"MZ" + bytes(4000))
    with pytest.raises(IntakeError, match="program without a zip"):
        open_submission(tmp_path / "virus.exe", scratch)


@pytest.mark.parametrize("name", ["code.rar", "models.7z", "all.tar.xz"])
def test_an_archive_of_another_kind_inside_is_named(tmp_path, scratch, name):
    submission = opened(tmp_path, scratch, good_files() | {name: b"Rar!"})
    assert codes(submission) == ["inner-archive"] and contents(submission) == good_files()
    assert "one zip" in submission.refused[0]["try"]


def test_a_zip_named_tar_gz_and_a_tar_named_zip_are_read(tmp_path, scratch):
    zipped(tmp_path / "a.tar.gz", good_files())
    tarred(tmp_path / "b.zip", good_files())
    for name in ("a.tar.gz", "b.zip"):
        assert contents(open_submission(tmp_path / name, scratch)) == good_files()
    inner = tarred(tmp_path / "c", good_files()).read_bytes()
    assert contents(opened(tmp_path, scratch, {"hw.zip": inner})) == good_files()


def test_two_zips_in_a_folder_are_one_submission(tmp_path, scratch):
    files = good_files()
    half = dict(list(files.items())[:5])
    (tmp_path / "jane").mkdir()
    zipped(tmp_path / "jane" / "part1.zip", half)
    zipped(tmp_path / "jane" / "part2.zip", {name: files[name] for name in files if name not in half})
    assert contents(open_submission(tmp_path / "jane", scratch)) == files


def test_a_conda_environment_is_known_by_what_is_in_it(tmp_path, scratch):
    files = {f"mp4env/{name}": b"x" for name in ("conda-meta/history", "lib/thing.py", "model_1.h5")}
    submission = opened(tmp_path, scratch, good_files() | files)
    assert contents(submission) == good_files()
    assert [(row["entry"], row["files"]) for row in submission.skipped] == [("mp4env/", 3)]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"PK\x03\x04....word/document.xml", "Word"), (b"<html>", "web page"), (b"", "empty"), (b"%PDF-1.4 half", "cut"),
     (b"\x89PNG\r\n", "picture"), (b"{\\rtf1", "RTF"), (b"Dear grader", "other bytes")],
)  # fmt: skip
def test_a_write_up_that_is_no_pdf_is_kept_and_remarked(tmp_path, scratch, content, says):
    submission = opened(tmp_path, scratch, good_files() | {"writeup.pdf": content})
    (row,) = submission.remarks
    assert says in row["what"] and row["wanted"] and row["try"] and not row["staff"]
    assert contents(submission)["writeup.pdf"] == content and submission.refused == []


def test_a_script_always_has_room_and_is_never_huge(tmp_path, scratch):
    files = {f"model_{index}.h5": os.urandom(10_000) for index in (1, 2, 3, 4)} | {"transfer.py": b"2" * 9_000}
    submission = opened(tmp_path, scratch, files, max_total_bytes=20_000)
    assert codes(submission) == ["total-size"] * 2 and "transfer.py" in contents(submission)
    submission = opened(tmp_path, scratch, {"cnn.py": b"#" * 5_000, "cnnx.py": b"3"}, max_supporting_bytes=4_000)
    assert codes(submission) == ["file-size"] and set(contents(submission)) == {"cnnx.py"}
    assert "script" in submission.refused[0]["try"]


def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path, scratch, monkeypatch):
    folder = in_folder(tmp_path / "jane", good_files() | {"model_1.h5": H5 * 10_000})
    read = intake._Steady.read

    def growing(self, size):
        block = read(self, 2**16)
        if self.stream.name and os.readlink(f"/proc/self/fd/{self.stream.fileno()}").endswith("model_1.h5"):
            with open(folder / "model_1.h5", "ab") as file:
                file.write(b"x" if block and os.path.getsize(folder / "model_1.h5") < 2 * len(H5) * 10_000 else b"")
        return block

    monkeypatch.setattr(intake._Steady, "read", growing)
    submission = open_submission(folder, scratch)
    assert codes(submission) == ["damaged"] and "changed" in submission.refused[0]["what"]
    assert set(contents(submission)) == set(good_files()) - {"model_1.h5"}


def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(tmp_path, scratch, monkeypatch):
    folder = in_folder(tmp_path / "jane", {"cnn.py": b"1", "utils/net.py": b"2"})
    in_folder(tmp_path / "private", {"net.py": b"secret"})
    choose = intake._Intake._choose

    def swapping(self, entries):
        (folder / "utils").rename(folder / "before")
        (folder / "utils").symlink_to(tmp_path / "private")
        return choose(self, entries)

    monkeypatch.setattr(intake._Intake, "_choose", swapping)
    submission = open_submission(folder, scratch)
    assert contents(submission) == {"cnn.py": b"1"} and codes(submission) == ["damaged"]


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_whatever_is_damaged_gets_a_sentence_and_never_a_traceback(tmp_path, scratch, form):
    # Random bytes changed, cut out or doubled, anywhere in an archive.
    files = {"cnn.py": b"# cnn" * 20, "model_1.h5": H5, "photos/train/happy.png": b"x" * 300, "ü/a.txt": b"y"}
    path = tmp_path / f"a.{form}"
    whole = (
        zipped(path, files) if form == "zip" else tarred(path, files, "w" + form[3:].replace(".", ":"))
    ).read_bytes()
    dice = random.Random(5)
    read = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(dice.choice([1, 1, 2, 5])):
            at, length = dice.randrange(len(data)), dice.choice([1, 1, 1, 4, 30])
            change = dice.choice(["flip", "cut", "double", "fill"])
            if change == "flip":
                data[at] ^= 1 << dice.randrange(8)
            elif change == "cut":
                del data[at : at + length]
            elif change == "double":
                data[at:at] = data[at : at + length]
            else:
                data[at : at + length] = bytes([dice.choice([0, 255])]) * length
        path.write_bytes(data)
        try:
            submission = open_submission(path, scratch)
        except IntakeError as error:
            assert error.what and error.wanted and error.try_
        else:
            read += 1
            assert all(row[key] for row in submission.refused for key in ("entry", "what", "wanted", "try"))
            if form == "zip":  # its checksums find every changed byte
                content = contents(submission)
                assert content.get("cnn.py") in (None, files["cnn.py"])
                assert content.get("model_1.h5") in (None, files["model_1.h5"])
    assert read > 10
