"""What kind of file is it? Read from its first and last bytes, never from its name."""

import dataclasses
import html
import os
import re
import struct
import zlib

from expressions.model_file.messages import A_MODEL_FILE, THIS_FILE, byte_size, plural, show

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

# First bytes of files that arrive under a model's name now and then.
OTHER_MAGIC = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"GIF8", "a GIF picture"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an old Office program"),
    (b"Rar!", "a RAR archive; submit the model itself, not packed"),
    (b"7z\xbc\xaf", "a 7-Zip archive; submit the model itself, not packed"),
    (b"\xfd7zXZ", "an xz archive; submit the model itself, not packed"),
    (b"BZh", "a bzip2 archive; submit the model itself, not packed"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; submit the model itself, not packed"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x0e\x03\x13\x01", "an HDF4 file"),
    (b"\x7fELF", "a Linux program"),
    (b"MZ", "a Windows program"),
    (b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut: it says where the file lies, but does not hold it"),
    (b"book\0\0\0\0mark", "a macOS alias: it says where the file lies, but does not hold it"),
    (b"\0\x05\x16\x07", "a note of macOS about a file (AppleDouble, named `._…`): the file itself lies beside it"),
    (b"\xfe\xff", "UTF-16 text, as PowerShell's `>` writes it"),
    (b"\xff\xfe", "UTF-16 text, as PowerShell's `>` writes it"),
    (b"SQLite format 3", "a database"),
    (b"iUhERg0K", "an HDF5 file written as base64 text: decode it first (`base64 -d`)"),
    (b"ZF0x", "a compressed joblib file"),
)
SEND_THE_SAVED_FILE = "look for the file that `model.save` wrote and submit that"
COPY_AGAIN = "copy the file again (as binary), or run the training script again and save with `model.save`"


@dataclasses.dataclass(frozen=True)
class _Sample:
    """What is looked at: the size, the first 64 kB and the last."""

    path: str
    size: int
    head: bytes
    tail: bytes


def sniff(path):
    """Tells the kind of a file from its bytes.

    Args:
        path: path of a regular file.

    Returns:
        tuple `(kind, reason)`: a key of `KINDS`, where `"hdf5"` and `"zip"` stand for files that need a closer look,
        and a dict `{code, what, wanted, try}` or `None`.

    Raises:
        OSError: the file cannot be read.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(65536)
        file.seek(max(0, size - 66000))
        sample = _Sample(path, size, head, file.read(66000))
    for recognise in RECOGNISERS:
        answer = recognise(sample)
        if answer is not None:
            return answer
    first = " ".join(f"{byte:02X}" for byte in head[:8])
    return _no("unknown", "unknown", f"the first bytes ({first}) belong to no model format that we know", COPY_AGAIN)


def _no(kind, code, what, try_, wanted=A_MODEL_FILE):
    return kind, {"code": code, "what": what, "wanted": wanted, "try": try_}


def _empty(sample):
    if sample.size == 0:
        return _no("empty", "empty", "the file has 0 bytes", COPY_AGAIN)


def _hdf5(sample):
    head, size = sample.head, sample.size
    cut = f"the file ends after {plural(size, 'byte')} of an HDF5 header"
    if len(head) < 8 and HDF5_SIGNATURE.startswith(head):
        return _no("truncated", "truncated", cut, COPY_AGAIN)
    if not head.startswith(HDF5_SIGNATURE):
        return None
    if size < 96:
        return _no("truncated", "truncated", cut, COPY_AGAIN)
    end = _hdf5_end(head)
    if end is not None and end > size:
        return _no(
            "truncated",
            "truncated",
            f"the file has {size:,} bytes, but its header says {end:,}: {byte_size(end - size)} are missing",
            "the copy, upload or download stopped early, or the disk was full: copy the file again and compare the "
            "sizes",
        )
    return "hdf5", None


def _mangled_hdf5(sample):
    """HDF5 that a program read as text and wrote back."""
    head = sample.head
    if (b"HDF" in head[:8] and head[:3] == b"\xef\xbf\xbd") or head.startswith(b"\xc2\x89HDF"):
        now = " ".join(f"{byte:02X}" for byte in head[: head.index(b"HDF")])
        return _no(
            "utf8-mangled",
            "utf8-mangled",
            "this was an HDF5 file, but a program read it as text and wrote it back: the byte 89 at its start is now "
            f"{now}. Every byte above 127 is lost, so it cannot be repaired",
            "take the original file and send it in binary (a zip is safest); do not open it in an editor, do not "
            "upload it through a text box",
        )
    if head[1:4] == b"HDF" and head[0] in (0x89, 0x09, ord("?")):
        return _no(
            "unknown",
            "newline-mangled",
            "this was an HDF5 file, but its line ends or letters were converted on the way (text mode of FTP or Git), "
            "which damages the numbers inside",
            "copy it again in binary mode; for Git add `*.h5 binary` to .gitattributes",
        )


def _behind_something(sample):
    head = sample.head
    if head.startswith(b"MATLAB 7.3"):
        return _no(
            "other-hdf5",
            "other-hdf5",
            "this is a MATLAB file (version 7.3, which is HDF5 inside), not a Keras model",
            SEND_THE_SAVED_FILE,
        )
    for offset in (512, 1024, 2048, 4096, 8192, 16384, 32768):
        if head[offset : offset + 8] == HDF5_SIGNATURE:
            return _no(
                "unknown",
                "user-block",
                f"{offset} bytes of something else stand before the HDF5 data, which Keras never writes",
                "save the model again with `model.save`",
            )


def _pointer(sample):
    """Small texts that name a file which lies elsewhere."""
    head = sample.head
    if head.startswith(b"version https://git-lfs") or (
        sample.size < 1024 and b"git-lfs" in head and b"oid sha256:" in head
    ):
        match = re.search(rb"^size (\d{1,15})\s*$", head, re.MULTILINE)
        real = f"; the real file has {int(match[1]):,} bytes" if match else ""
        return _no(
            "lfs-pointer",
            "lfs-pointer",
            f"this is a Git LFS pointer of {plural(sample.size, 'byte')}, not the model{real}",
            "run `git lfs pull` in the repository (or download the file itself, not the page's raw text) and submit "
            "the real file",
        )
    if sample.size < 4096 and re.match(rb"(md5: \w+\s)?outs:\s*\n- (md5|path|hash|etag):", head):
        match = re.search(rb"^\s*size: (\d{1,15})\s*$", head, re.MULTILINE)
        real = f"; the real file has {int(match[1]):,} bytes" if match else ""
        return _no(
            "unknown",
            "dvc-pointer",
            f"this is a DVC pointer of {plural(sample.size, 'byte')}, not the model{real}",
            "run `dvc pull` and submit the real file",
        )
    if head.startswith(b"[InternetShortcut]"):
        return _no(
            "unknown",
            "not-a-model",
            "this is a link to a web address (.url), not the file behind it",
            "open the link, download the file and submit that",
        )


def _zip(sample):
    if not sample.head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return None
    if b"PK\x05\x06" not in sample.tail:
        return _no(
            "truncated",
            "truncated",
            f"the file begins like a .keras file (a zip) but its end is missing after {sample.size:,} bytes",
            "the copy, upload or download stopped early: copy the file again and compare the sizes",
        )
    return "zip", None


def _gzip(sample):
    if not sample.head.startswith((b"\x1f\x8b", b"\x78\x9c", b"\x78\x01", b"\x78\xda")):
        return None
    name, window = ("a gzip archive", 31) if sample.head[0] == 0x1F else ("zlib-compressed data, as joblib writes", 15)
    try:
        # A bounded look: 512 bytes of what is inside.
        inside = zlib.decompressobj(window).decompress(sample.head, 512)
    except zlib.error:
        return None if window == 15 else _no("unknown", "not-a-model", f"this is {name}", SEND_THE_SAVED_FILE)
    if inside.startswith(HDF5_SIGNATURE):
        return _no(
            "unknown",
            "not-a-model",
            f"this is {name} around an HDF5 file",
            "unpack it (`gunzip`, or 7-Zip) and submit the file inside",
        )
    if inside[257:262] == b"ustar":
        return _no("unknown", "not-a-model", "this is a tar.gz archive", "unpack it and submit the model inside")
    if re.match(rb"\x80[\x01-\x05]", inside):
        return _no(*_PICKLE[:2], "this is a compressed Python pickle, which can run any code when opened", _PICKLE[3])
    return _no("unknown", "not-a-model", f"this is {name}, not a model", SEND_THE_SAVED_FILE)


_PICKLE = (
    "pickle",
    "pickle",
    "this is a Python pickle, which can run any code when it is opened, so nobody should open one from elsewhere",
    f'save the model itself, with `model.save("{THIS_FILE}")`, instead of `pickle.dump`, `joblib.dump` or `torch.save`',
)


def _pickle(sample):
    if re.match(rb"\x80[\x01-\x05]", sample.head) or re.match(rb"(\(dp?\d|\(lp\d|c[\w.]+\n[\w.]+\n)", sample.head):
        return _no(*_PICKLE)


def _html(sample):
    stripped = sample.head.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x0c")
    lower = stripped[:4096].lower()
    page_start = re.match(
        rb"(<!doctype\s+html|<html|<head|<\?xml[^>]*>\s*<!doctype\s+html|<!--.{0,2000}?-->\s*<(!doctype|html))",
        lower,
        re.DOTALL,
    )
    if not page_start and not (lower.startswith(b"<") and b"<title" in lower and b"<html" in sample.head.lower()):
        return None
    with open(sample.path, "rb") as file:
        page = file.read(2**20).decode("utf-8", "replace")
    match = re.search(r"<title[^>]*>(.{0,400}?)</title", page, re.IGNORECASE | re.DOTALL)
    title = " ".join(html.unescape(match[1]).split()) if match else ""
    titled = f" titled {show(title, 120)}" if title else ""
    try_ = (
        'open the page and use its download button (on GitHub: "Download raw file"), then check that the file has '
        "megabytes, not kilobytes"
    )
    known = title.lower()
    if "drive" in known and ("virus" in known or "google" in known):
        try_ = (
            'Google Drive asks before it hands out large files: open the link in a browser, press "Download anyway", '
            "and check that the file has megabytes, not kilobytes"
        )
    elif any(word in known for word in ("sign in", "log in", "login", "anmelden", "onedrive", "sharepoint")):
        try_ = (
            "the file lies behind a login: sign in with the browser, download the file there, and check that it has "
            "megabytes, not kilobytes"
        )
    return _no(
        "html",
        "html-page",
        f"this is a web page{titled}, not the model: a browser or `wget` saved the page around the download link",
        try_,
    )


def _other_magic(sample):
    for magic, name in OTHER_MAGIC:
        if sample.head.startswith(magic):
            return _no("unknown", "not-a-model", f"this is {name}, not a model", SEND_THE_SAVED_FILE)


def _other_models(sample):
    """Models of other programs, which Keras cannot read back."""
    head = sample.head
    name = None
    if head[4:8] == b"TFL3":
        name = "a TensorFlow Lite model"
    elif head[:1] == b"\x08" and re.search(rb"\x12.(pytorch|tf2onnx|keras2onnx|onnx|skl2onnx)", head[:64], re.DOTALL):
        name = "an ONNX model"
    elif head[8:9] == b"{" and b'"dtype"' in head[:4096] and b'"data_offsets"' in head:
        name = "a safetensors file"
    elif sample.tail.endswith(b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"):
        name = "the index of a TensorFlow checkpoint, which holds no weights,"
    elif (
        head[:1] in (b"\x08", b"\x0a")
        and re.search(rb"saved_model_main_op|serving_default|Placeholder|StatefulPartitionedCall|VarHandleOp", head)
        # A script, too, may begin with an empty line and speak of placeholders.
        and _as_text(head, whole=sample.size <= len(head)) is None
    ):
        name = "a TensorFlow graph (.pb)"
    if name:
        return _no(
            "unknown",
            "not-a-model",
            f"this is {name}, which Keras cannot read back",
            f'submit the file that `model.save("{THIS_FILE}")` wrote before the conversion',
        )


def _text(sample):
    text = _as_text(sample.head, whole=sample.size <= len(sample.head))
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("{", "[")):
        if '"nbformat"' in text or '"cells"' in text:
            what, try_ = "this is a Jupyter notebook", "run it, and submit the .h5 file that `model.save` wrote"
        elif '"modelTopology"' in text:
            what = "this is a model of TensorFlow.js, which Keras cannot read back"
            try_ = f'submit the file that `model.save("{THIS_FILE}")` wrote before the conversion'
        elif '"class_name"' in text:
            what = "this is the JSON text of an architecture (`model.to_json()`), without the trained weights"
            try_ = f'save both together with `model.save("{THIS_FILE}")`'
        else:
            what, try_ = "this is JSON text", "submit the file that `model.save` wrote"
        return _no("unknown", "json-text", what, try_)
    if re.search(r"^(class_name: (Sequential|Model|Functional)|backend: \w+)$", text[:4096], re.MULTILINE):
        return _no(
            "unknown",
            "yaml-text",
            "this is the YAML text of an architecture (`model.to_yaml()`), without the trained weights",
            f'save both together with `model.save("{THIS_FILE}")`',
        )
    if start.startswith("<"):
        what = "this is XML text"
        if "<opencv_storage>" in text:
            what = "this is a file of OpenCV (a face detector, or other trained data), not a Keras model"
        elif "<Error>" in text[:500]:
            what = "this is an error message of a web server, which was saved in place of the model"
        return _no("unknown", "text", what, "download the model again, or submit the file that `model.save` wrote")
    if _is_python(text):
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        return _no(
            "python-source",
            "python-source",
            f"this is Python source code (it begins {show(first)}), not what the code saved",
            "run the script and submit the .h5 file that `model.save` writes",
        )
    if re.match(r"(404|403|401|500)\b|not found|access denied|error\b", start, re.IGNORECASE):
        return _no(
            "unknown",
            "text",
            f"this is a server's message {show(start[:60].strip())}, saved in place of the model",
            "check the link, download the file again, and look at its size",
        )
    return _no(
        "unknown",
        "text",
        f"this is text (it begins {show(start[:60].strip())}), not a model",
        "submit the file that `model.save` wrote",
    )


def _zeros(sample):
    if not any(sample.head):
        what = f"the first {len(sample.head):,} bytes are all zero: the disk or the network lost them"
        return _no("unknown", "zeros", what, COPY_AGAIN)


RECOGNISERS = (
    _empty,
    _hdf5,
    _mangled_hdf5,
    _behind_something,
    _pointer,
    _zip,
    _gzip,
    _pickle,
    _html,
    _other_magic,
    _other_models,
    _text,
    _zeros,
)


def _hdf5_end(head):
    """Reads from the superblock where the file should end, in bytes; None if it does not say."""
    version = head[8] if len(head) > 8 else None
    if version in (0, 1) and len(head) >= 64:
        offset = 24 + (4 if version == 1 else 0) + 16
        size_of_offsets = head[13]
    elif version in (2, 3) and len(head) >= 48:
        offset, size_of_offsets = 28, head[9]
    else:
        return None
    if size_of_offsets != 8:
        return None
    return struct.unpack_from("<Q", head, offset)[0]


def _as_text(head, whole):
    if b"\x00" in head:
        return None
    try:
        return head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The block may end inside a character.
        return head[: error.start].decode("utf-8") if not whole and error.start > len(head) - 4 else None


def _is_python(text):
    lines = [line for line in text.splitlines() if line.strip()]
    pattern = re.compile(
        r"\s*(import [\w., ]+|from [\w.]+ import .+|def \w+\(.*|class \w+.*:|if __name__.*|#!.*python|@\w+|"
        r"[\w.]+(\[[^\]]*\])?\s*=\s*\S+.*|[\w.]+\(.*\)?)\s*(#.*)?$"
    )
    strong = re.compile(r"\s*(import \w+|from [\w.]+ import |def \w+\(|class \w+[(:]|model\.\w+\(|print\()")
    return any(strong.match(line) for line in lines) and sum(bool(pattern.match(line)) for line in lines) * 3 >= len(
        lines
    )
