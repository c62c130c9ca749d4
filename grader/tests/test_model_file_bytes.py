"""What students bring in place of a model, each recognised by its bytes and answered in a sentence."""

import bz2
import gzip
import io
import pickle
import re
import tarfile
import zipfile
import zlib

import h5py
import numpy
import pytest

from expressions.model_file import audit, audit_in_child
from expressions.model_file.messages import THIS_NAME
from grader.tests.model_builders import codes, small_config, small_weights, write, write_keras


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 50)
    return buffer.getvalue()


def tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model_1.h5"))
    return buffer.getvalue()


def saved(function):
    buffer = io.BytesIO()
    function(buffer)
    return buffer.getvalue()


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(range(256))
PAGE = "<!DOCTYPE html><html><head><title>{}</title></head><body></body></html>"

# name: (bytes, kind, code, what the sentences must say)
BROUGHT = {
    "tensorflow lite": (b"\x1c\0\0\0TFL3" + b"\0" * 90, "unknown", "not-a-model", "TensorFlow Lite"),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:" + b"\0\x80" * 90, "unknown", "not-a-model", "ONNX"),
    "frozen graph": (b"\nK\n\x07input_1\x12\x0bPlaceholder*\x0b\x90\xff", "unknown", "not-a-model", r"graph \(\.pb\)"),
    "saved_model.pb": (b"\x08\x01\x12\x90\xf7\x12\xffserving_default", "unknown", "not-a-model", r"graph \(\.pb\)"),
    "script about graphs": (
        b"\nimport tensorflow as tf\nx = tf.Placeholder(tf.float32)\nprint(x)\n",
        "python-source",
        "python-source",
        "Python source",
    ),
    "safetensors": (
        (200).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' + b"\xff\0" * 99,
        "unknown",
        "not-a-model",
        "safetensors",
    ),
    "checkpoint index": (
        b"\0\0\x01\xff" * 40 + bytes.fromhex("57fb808b247547db"),
        "unknown",
        "not-a-model",
        "index of a TensorFlow checkpoint",
    ),
    "zipped saved model": (
        zipped("m/saved_model.pb", "m/variables/variables.index"),
        "unknown",
        "not-a-model",
        "SavedModel",
    ),
    "zipped checkpoint": (
        zipped("model.index", "model.data-00000-of-00001"),
        "unknown",
        "not-a-model",
        "zipped checkpoint",
    ),
    "zipped model": (zipped("final/model_1.h5"), "unknown", "not-a-model", "holds 'final/model_1.h5'.*unpack"),
    "word": (zipped("[Content_Types].xml", "word/document.xml"), "unknown", "not-a-model", "Word"),
    "libreoffice": (zipped("mimetype", "content.xml"), "unknown", "not-a-model", "LibreOffice"),
    "rtf": (b"{\\rtf1\\ansi My model", "unknown", "not-a-model", "RTF"),
    "old word": (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "unknown", "not-a-model", "Office"),
    "pytorch": (zipped("archive/data.pkl", "archive/data/0"), "pickle", "not-a-model", "PyTorch"),
    "old pytorch": (
        pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2),
        "pickle",
        "pickle",
        "torch.save",
    ),
    "joblib": (pickle.dumps([1.5] * 50, protocol=4), "pickle", "pickle", "joblib"),
    "compressed joblib": (zlib.compress(pickle.dumps([1.5] * 50)), "pickle", "pickle", "compressed Python pickle"),
    "npz": (saved(lambda file: numpy.savez(file, a=numpy.ones(3))), "unknown", "not-a-model", r"\.npz"),
    "npy": (saved(lambda file: numpy.save(file, numpy.ones(3))), "unknown", "not-a-model", r"\.npy"),
    "gzip of a model": (gzip.compress(HDF5), "unknown", "not-a-model", "gzip archive around an HDF5 file.*unpack"),
    "tar.gz": (tarred(), "unknown", "not-a-model", r"tar\.gz"),
    "gzip of something": (gzip.compress(b"hello " * 99), "unknown", "not-a-model", "gzip"),
    "bzip2": (bz2.compress(HDF5), "unknown", "not-a-model", "bzip2"),
    "matlab 7.3": (
        b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(512, b"\0") + HDF5,
        "other-hdf5",
        "other-hdf5",
        "MATLAB",
    ),
    "matlab 5": (b"MATLAB 5.0 MAT-file".ljust(128) + b"\0" * 99, "unknown", "not-a-model", "MATLAB"),
    "shortcut": (bytes.fromhex("4c0000000114020000000000c000") + b"\0" * 99, "unknown", "not-a-model", "shortcut"),
    "macos alias": (b"book\0\0\0\0mark\0\0\0\0" + b"\0" * 99, "unknown", "not-a-model", "alias"),
    "appledouble": (b"\0\x05\x16\x07\0\x02\0\0Mac OS X" + b"\0" * 99, "unknown", "not-a-model", "macOS"),
    "internet shortcut": (
        b"[InternetShortcut]\r\nURL=https://drive.example/x\r\n",
        "unknown",
        "not-a-model",
        "web address",
    ),
    "drive page": (PAGE.format("Google Drive - Virus scan warning").encode(), "html", "html-page", "Download anyway"),
    "onedrive page": (PAGE.format("Sign in to your account").encode(), "html", "html-page", "behind a login"),
    "github page": (
        b"\n\n\n" + PAGE.format("repo/model_1.h5 at main &middot; someone/repo").encode(),
        "html",
        "html-page",
        "titled 'repo/model_1.h5 at main · someone/repo'",
    ),
    "opencv": (b'<?xml version="1.0"?>\n<opencv_storage>\n<cascade>', "unknown", "text", "OpenCV"),
    "access denied": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "unknown", "text", "error message"),
    "404": (b"404: Not Found", "unknown", "text", "server's message '404: Not Found'"),
    "dvc": (b"outs:\n- md5: 0123\n  size: 104915640\n  path: model_1.h5\n", "unknown", "dvc-pointer", "104,915,640"),
    "yaml": (b"backend: tensorflow\nclass_name: Sequential\nconfig:\n", "unknown", "yaml-text", "to_yaml"),
    "json": (b'{"class_name": "Functional", "config": {}}', "unknown", "json-text", "without the trained weights"),
    "tensorflow.js": (b'{"modelTopology": {"class_name": "x"}}', "unknown", "json-text", "TensorFlow.js"),
    "base64": (b"iUhERg0KGgoAAAAAAAgIAAQAEAAAAA==", "unknown", "not-a-model", "base64"),
    "utf-16": ("model".encode("utf-16"), "unknown", "not-a-model", "UTF-16"),
    "question mark": (b"?HDF\r\n\x1a\n" + b"\0" * 99, "unknown", "newline-mangled", "converted"),
    "zeros": (b"\0" * 100_000, "unknown", "zeros", "zero"),
    "crlf pointer": (
        b"version https://git-lfs.github.com/spec/v1\r\noid sha256:" + b"a" * 64 + b"\r\nsize 104915640\r\n",
        "lfs-pointer",
        "lfs-pointer",
        "104,915,640 bytes.*git lfs pull",
    ),
}


@pytest.mark.parametrize("case", BROUGHT)
def test_what_students_bring_is_named(tmp_path, case):
    content, kind, code, says = BROUGHT[case]
    path = tmp_path / "model_3.h5"
    path.write_bytes(content)
    result = audit(path)
    assert (result["kind"], codes(result), result["accepted"]) == (kind, [code], False)
    sentence = " ".join(result["reasons"][0].values())
    assert re.search(says, sentence, re.DOTALL), sentence


def test_a_download_that_stopped_says_how_much_is_missing(tmp_path):
    whole = write(tmp_path / "whole.h5", small_config(), small_weights()).read_bytes()
    part = tmp_path / "model_1.h5.crdownload"
    part.write_bytes(whole[: len(whole) // 3])
    result = audit(part)
    assert result["kind"] == "truncated" and f"{len(whole):,}" in result["reasons"][0]["what"]
    zip_part = tmp_path / "model_1.keras"
    zip_part.write_bytes(write_keras(tmp_path / "good.keras").read_bytes()[:5000])
    assert codes(audit(zip_part)) == ["truncated"]


def test_a_download_padded_with_zeros_is_damaged(tmp_path):
    whole = write(tmp_path / "model_1.h5", small_config(), small_weights()).read_bytes()
    (tmp_path / "model_1.h5").write_bytes(whole[:700].ljust(len(whole), b"\0"))
    result = audit_in_child(tmp_path / "model_1.h5")
    assert codes(result)[0] in ("damaged", "child-crashed")


def test_a_table_of_pandas_is_no_model(tmp_path):
    with h5py.File(tmp_path / "model_1.h5", "w") as file:
        file.attrs["PYTABLES_FORMAT_VERSION"] = "2.1"
        file["df/block0_values"] = numpy.ones((3, 2))
    result = audit(tmp_path / "model_1.h5")
    assert result["kind"] == "other-hdf5" and "pandas" in result["reasons"][0]["what"]


# The name of the file at hand -----------------------------------------------------------------------------------------

OTHER_NAMES = re.compile(r"model_[12]\b")


@pytest.mark.parametrize("case", [*BROUGHT, "weights-only", "architecture-only", "keras-zip", "too-large", "no-hdf5"])
def test_a_message_about_model_3_does_not_speak_of_another_model(tmp_path, case):
    path = tmp_path / "model_3.h5"
    if case == "weights-only":
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [b"dense"]
            file.create_group("dense").attrs["weight_names"] = [b"dense/kernel:0"]
            file["dense/dense/kernel:0"] = numpy.ones((5, 7), "f4")
    elif case == "architecture-only":
        write(path, small_config())
    elif case == "keras-zip":
        write_keras(path)
    elif case == "no-hdf5":
        with h5py.File(path, "w") as file:
            file["x_train"] = numpy.ones(3)
    else:
        path.write_bytes(BROUGHT[case][0] if case in BROUGHT else b"x" * 100)
    result = audit(path)
    text = " ".join(text for reason in result["reasons"] + result["notes"] for text in reason.values())
    assert not result["accepted"] and THIS_NAME not in text
    if "model_1" not in str(BROUGHT.get(case, "")):
        assert not OTHER_NAMES.search(text), text
    if "model.save(" in text:
        assert "model_3.h5" in text


def test_the_name_under_which_it_was_handed_in_counts(tmp_path):
    path = write_keras(tmp_path / "f00d.bin")
    result = audit_in_child(path, name="model_2.h5")
    assert 'load_model("model_2.keras").save("model_2.h5")' in result["reasons"][0]["try"]
    result = audit_in_child(path, name="my `model` \x1b[31m (1).hdf5")
    assert 'save("my ?model? ??31m (1).h5")' in result["reasons"][0]["try"]


def test_a_child_that_runs_too_long_names_the_file_too(tmp_path):
    path = write(tmp_path / "model_4.h5", small_config(), small_weights())
    result = audit_in_child(path, timeout=0.001)
    assert codes(result) == ["child-timeout"] and "model_4.h5" in result["reasons"][0]["wanted"]
