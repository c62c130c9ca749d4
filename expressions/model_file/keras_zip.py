""".keras files: a zip that holds config.json, metadata.json and model.weights.h5."""

import io
import json
import struct
import zipfile

from expressions.model_file.comparison import compare
from expressions.model_file.configuration import parse_text
from expressions.model_file.hdf5 import Hdf5File, weights_by_class
from expressions.model_file.messages import A_MODEL_FILE, THIS_FILE, THIS_NAME, Refused, byte_size, printable, show
from expressions.model_file.weights import weight_facts


class _Slice(io.RawIOBase):
    """A stretch of a file as a file, so that the weights inside a zip are read in place."""

    def __init__(self, file, start, size):
        self.source, self.start, self.size, self.position = file, start, size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self):
        return self.position

    def readinto(self, buffer):
        count = max(0, min(len(buffer), self.size - self.position))
        self.source.seek(self.start + self.position)
        view = memoryview(buffer)[:count]
        done = self.source.readinto(view) or 0
        self.position += done
        return done


def audit_zip(path, size, result, weights, limits, name):
    """Audits a file that begins like a zip and fills `result`."""
    result["kind"] = "unknown"
    try:
        _audit_zip_inside(path, size, result, weights, limits, name)
    except Refused as refusal:
        result["reasons"].append(refusal.reason)
    except Exception as error:
        result["reasons"].append(
            {
                "code": "damaged",
                "what": f"the file begins like a zip (.keras), but cannot be read: {show(error, 120)}",
                "wanted": A_MODEL_FILE,
                "try": "it was damaged on the way: copy it again, or run the training script again",
            }
        )


def _audit_zip_inside(path, size, result, weights, limits, name):
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = {entry.filename: entry for entry in entries}
        if "config.json" not in names:
            _not_a_keras_zip(result, list(names))
            return
        result["kind"] = "keras-zip"
        if len(entries) > 1000 or len(names) != len(entries):
            raise Refused(
                "zip-entries",
                f"the zip has {len(entries):,} entries, or one twice",
                "the three files that `model.save` writes",
                "save the model again with `model.save`",
            )
        if not name.lower().endswith(".keras"):
            result["reasons"].append(
                {
                    "code": "keras-zip-name",
                    "what": f"the file is called {show(name)}, but its content is the .keras format; Keras looks at "
                    "the name and will not load it",
                    "wanted": "HDF5 in a file that ends in .h5",
                    "try": "load it under a name that ends in .keras and save it again: "
                    f'`keras.models.load_model("{THIS_NAME}.keras").save("{THIS_FILE}")`',
                }
            )
        for extra in names:
            if extra.startswith("assets/") and not extra.endswith("/"):
                result["reasons"].append(
                    {
                        "code": "vocabulary",
                        "what": f"the file carries an asset {show(extra)}, as text layers do",
                        "wanted": "a network of ordinary layers",
                        "try": "remove layers that need files: pictures and voxels need none",
                    }
                )
                break
        config = _zip_bytes(archive, names["config.json"], limits.max_config_bytes)
        if "metadata.json" in names:
            try:
                metadata = json.loads(_zip_bytes(archive, names["metadata.json"], 2**20))
                result["keras_version"] = printable(metadata.get("keras_version"))[:40]
            except (ValueError, AttributeError, RecursionError):
                result["notes"].append({"code": "metadata", "what": "the file's metadata cannot be read"})
        model, parser = parse_text(config.decode("utf-8", "replace"), result, limits)
        if model is None:
            return
        entry = names.get("model.weights.h5")
        if entry is None:
            raise Refused(
                "architecture-only",
                "the file describes a network, but holds none of its weights",
                "architecture and trained weights in one file",
                "save the trained model with `model.save`",
            )
        if entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1:
            file.seek(entry.header_offset)
            header = file.read(30)
            start = entry.header_offset + 30 + sum(struct.unpack_from("<HH", header, 26))
            if header[:4] != b"PK\x03\x04" or start + entry.file_size > size:
                raise ValueError("the weights lie outside the file")
            source = io.BufferedReader(_Slice(file, start, entry.file_size), 2**20)
        else:
            source = io.BytesIO(_zip_bytes(archive, entry, min(2**28, 100 * size)))
        store = Hdf5File(source, entry.file_size, limits)
        try:
            result["reasons"] += store.reasons
            result["optimizer_state"] = any(path.startswith("/optimizer/vars") for path in store.datasets)
            compare(model, weights_by_class(store, model), parser, result, limits)
            if weights and not result["reasons"]:
                weight_facts(model, result, store)
            result["notes"] = parser.notes + result["notes"]
        finally:
            store.close()


def _zip_bytes(archive, entry, limit):
    if entry.flag_bits & 1 or entry.file_size > limit:
        raise Refused(
            "config-too-large",
            f"the entry {show(entry.filename)} is encrypted or claims {byte_size(entry.file_size)}",
            f"at most {byte_size(limit)}",
            "save the model again with `model.save`",
        )
    with archive.open(entry) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Refused(
            "config-too-large",
            f"the entry {show(entry.filename)} is larger than {byte_size(limit)}",
            f"at most {byte_size(limit)}",
            "save the model again with `model.save`",
        )
    return data


def _not_a_keras_zip(result, names):
    """Names a zip that is no .keras file."""
    if any(name.endswith("data.pkl") for name in names):
        result["kind"] = "pickle"
        what, try_ = (
            "this is a PyTorch file, a zip around a Python pickle",
            "this course grades networks trained and saved with Keras",
        )
    elif any(name.endswith("saved_model.pb") for name in names):
        what, try_ = "this is a zipped SavedModel folder of TensorFlow", f'save with `model.save("{THIS_FILE}")`'
    elif any(name.lower().endswith((".h5", ".hdf5", ".keras")) for name in names):
        inner = next(name for name in names if name.lower().endswith((".h5", ".hdf5", ".keras")))
        what, try_ = f"this is a zip that holds {show(inner)}", "unpack it and submit the file inside"
    elif any(name.endswith(".npy") for name in names):
        what, try_ = "this is a NumPy archive (.npz)", "submit the file that `model.save` wrote"
    elif any(name.startswith(("word/", "xl/", "ppt/")) for name in names):
        what, try_ = "this is an Office document (Word, Excel or PowerPoint)", "submit the file that `model.save` wrote"
    elif "mimetype" in names:
        what, try_ = "this is a document of LibreOffice", "submit the file that `model.save` wrote"
    elif any(".data-00000-of-" in name for name in names):
        what = "this is a zipped checkpoint of TensorFlow, which holds weights and no architecture"
        try_ = f'load it in the script that trained it and save with `model.save("{THIS_FILE}")`'
    else:
        what, try_ = "this is a zip, but not a model in the .keras format", "submit the file that `model.save` wrote"
    result["reasons"].append({"code": "not-a-model", "what": what, "wanted": A_MODEL_FILE, "try": try_})
