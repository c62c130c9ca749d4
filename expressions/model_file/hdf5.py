"""Walks an HDF5 file link by link, opens no other file, and refuses what Keras never writes."""

import dataclasses
import re

from expressions.model_file.messages import A_MODEL_FILE, Refused, byte_size, product, shape_text, show


@dataclasses.dataclass
class Dataset:
    """One stored array, as its header declares it."""

    path: str
    shape: tuple
    dtype: str
    kind: str  # NumPy's letter: f, i, u, b, or ? for what is no number
    num_bytes: int
    handle: object


class Hdf5File:
    """Walks an HDF5 file by its hard links and checks how every array is stored.

    Args:
        source: path, or a file object of a model inside a zip.
        size: int, bytes of the file.
        limits: Limits.

    After construction: `datasets` and `groups` map absolute paths to handles, `reasons` says what is refused.
    """

    def __init__(self, source, size, limits):
        import h5py

        self.h5py = h5py
        self.limits = limits
        self.size = size
        self.reasons = []
        self.datasets = {}
        self.groups = {}
        try:
            self.file = h5py.File(source, "r", **({"locking": False} if isinstance(source, str) else {}))
        except Exception as error:
            raise damaged(error) from None
        try:
            self._walk()
        except Refused:
            raise
        except Exception as error:
            raise damaged(error) from None

    def close(self):
        """Closes the file and everything that was opened in it."""
        for dataset in self.datasets.values():
            dataset.handle = None
        self.groups.clear()
        self.file.close()

    def _refuse(self, code, what, try_="save the model again with `model.save`, in one file"):
        if len(self.reasons) < 20:
            self.reasons.append(
                {
                    "code": code,
                    "what": what,
                    "wanted": "a file that holds all of its numbers itself, as `model.save` writes it",
                    "try": try_,
                }
            )

    def _walk(self):
        h5py = self.h5py
        links = h5py.h5l
        root = h5py.h5g.open(self.file.id, b"/")
        first = h5py.h5o.get_info(root)
        seen = {(first.fileno, first.addr)}
        stack = [(root, "", 0)]
        count = 0
        while stack:
            group, path, depth = stack.pop()
            self.groups[path or "/"] = group
            if depth > self.limits.max_depth:
                raise Refused(
                    "too-deep",
                    f"groups are nested more than {self.limits.max_depth} deep in the file",
                    "a file as `model.save` writes it",
                    "save the model again with `model.save`",
                )
            for name in group:
                count += 1
                if count > self.limits.max_objects:
                    raise Refused(
                        "too-many-objects",
                        f"the file has more than {self.limits.max_objects:,} entries",
                        "a file as `model.save` writes it",
                        "save the model again with `model.save`",
                    )
                text = path + "/" + name.decode("utf-8", "backslashreplace")
                kind = group.links.get_info(name).type
                if kind == links.TYPE_EXTERNAL:
                    self._refuse("external-link", f"the entry {show(text)} points into another file")
                    continue
                if kind == links.TYPE_SOFT:
                    self._refuse("soft-link", f"the entry {show(text)} only points to another place by its name")
                    continue
                if kind != links.TYPE_HARD:
                    self._refuse("user-link", f"the entry {show(text)} is a link of an unknown kind")
                    continue
                item = h5py.h5o.open(group, name)
                info = h5py.h5o.get_info(item)
                address = (info.fileno, info.addr)
                if address in seen:
                    self._refuse("aliased", f"the entry {show(text)} stands in the file under two names")
                    continue
                seen.add(address)
                if isinstance(item, h5py.h5g.GroupID):
                    stack.append((item, text, depth + 1))
                elif isinstance(item, h5py.h5d.DatasetID):
                    self._dataset(item, text)
        stored = sum(dataset.num_bytes for dataset in self.datasets.values() if dataset.kind != "compressed")
        if stored > max(self.size, 1) * 64 + 2**20 or stored > self.limits.max_file_bytes:
            self._refuse("declared-size", f"the arrays claim {byte_size(stored)} in a file of {byte_size(self.size)}")

    def _dataset(self, item, text):
        h5py = self.h5py
        plist = item.get_create_plist()
        layout = plist.get_layout()
        if layout == h5py.h5d.VIRTUAL:
            self._refuse("virtual-dataset", f"the array {show(text)} is virtual: its numbers stand in other places")
            return
        if layout == h5py.h5d.CONTIGUOUS and plist.get_external_count():
            self._refuse("external-storage", f"the numbers of {show(text)} stand in another file of the computer")
            return
        filters = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
        known = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
        if set(filters) - known:
            self._refuse(
                "filter",
                f"the array {show(text)} is packed by the HDF5 filter {sorted(set(filters) - known)}, "
                "which Keras never uses",
            )
            return
        stored_type = item.get_type()
        class_names = {h5py.h5t.FLOAT: "f", h5py.h5t.INTEGER: "i", h5py.h5t.ENUM: "b"}
        kind = class_names.get(stored_type.get_class())
        if kind is None:
            # Keras itself stores words only as attributes; foreign arrays of words are left unread.
            self.datasets[text] = Dataset(text, (), "not a number", "?", 0, item)
            return
        itemsize = stored_type.get_size()
        if itemsize > 16:
            self._refuse("datatype", f"one number of {show(text)} takes {itemsize:,} bytes")
            return
        shape = tuple(item.shape)
        declared = product(shape) * itemsize
        stored = item.get_storage_size()
        packed = h5py.h5z.FILTER_DEFLATE in filters
        # Deflate packs weights by a few per cent; only constant arrays shrink more, and they are small.
        if declared > (64 * stored + 2**16 if packed and stored else stored):
            self._refuse(
                "declared-size",
                f"the array {show(text)} claims the shape {shape_text(shape)}, which is {byte_size(declared)}, but the "
                f"file stores {byte_size(stored)} of it",
            )
            return
        if layout == h5py.h5d.CHUNKED:
            chunk = product(plist.get_chunk()) * itemsize
            if chunk > max(2 * declared, 2**20) or chunk > self.limits.max_chunk_bytes:
                self._refuse("chunk-size", f"the array {show(text)} is stored in chunks of {byte_size(chunk)}")
                return
        dtype = stored_type.dtype
        self.datasets[text] = Dataset(text, shape, dtype.name, dtype.kind, declared, item)

    def text(self, path, name):
        """Reads an attribute that holds text. Returns str, or None where there is none.

        Raises:
            Refused: it is too large or no text.
        """
        value = self._attribute(path, name)
        if value is None:
            return None
        if hasattr(value, "reshape"):
            value = value.reshape(-1)[0] if value.size == 1 else None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if not isinstance(value, str):
            raise Refused(
                "damaged",
                f"the attribute {name} is no text",
                "a file as `model.save` writes it",
                "save the model again with `model.save`",
            )
        return value.rstrip("\x00")

    def names(self, path, name):
        """Reads an attribute that holds a list of names, which Keras splits into `name0`, `name1`, … above 64 kB."""
        value = self._attribute(path, name)
        if value is None:
            parts = []
            while (part := self._attribute(path, f"{name}{len(parts)}")) is not None:
                parts.append(part)
                if len(parts) > 10_000:
                    break
            if not parts:
                return None
            items = [item for part in parts for item in part.reshape(-1).tolist()]
        else:
            items = value.reshape(-1).tolist() if hasattr(value, "reshape") else [value]
        return [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item) for item in items]

    def _attribute(self, path, name):
        h5py = self.h5py
        group = self.groups.get(path or "/")
        if group is None or not h5py.h5a.exists(group, name.encode()):
            return None
        attribute = h5py.h5a.open(group, name.encode())
        kind = attribute.get_type().get_class()
        # A null shape has no elements; `get_storage_size` fails on an empty attribute, which Keras writes often.
        size = product(attribute.shape or ()) * attribute.get_type().get_size()
        if size > self.limits.max_config_bytes:
            raise Refused(
                "config-too-large",
                f"the attribute {name} claims {byte_size(size)}",
                f"at most {byte_size(self.limits.max_config_bytes)}",
                "save the model again with `model.save`",
            )
        # NumPy makes an empty list of names an array of float64.
        if kind != h5py.h5t.STRING and not (kind == h5py.h5t.FLOAT and size == 0):
            raise Refused(
                "damaged",
                f"the attribute {name} is no text",
                "a file as `model.save` writes it",
                "save the model again with `model.save`",
            )
        try:
            return h5py.Group(group).attrs[name]
        except Exception as error:
            raise damaged(error) from None


def weights_by_class(store, model):
    """Finds each layer's arrays in the layout of Keras 3, which counts layers by class and does not use their names.

    Args:
        store: Hdf5File of a `model.weights.h5`.
        model: Layer of a model.

    Returns:
        dict from the id of a `Layer`, nested ones included, to a list of `(name, Dataset)`.
    """
    below = {}
    for path, dataset in store.datasets.items():
        end = path.rfind("/")
        while end > 0:
            below.setdefault(path[:end], []).append((path[end + 1 :], dataset))
            end = path.rfind("/", 0, end)
    by_layer = {}
    stack = [(model, "")]
    while stack:
        parent, prefix = stack.pop()
        counts = {}
        old = prefix + "/_layer_checkpoint_dependencies"
        room = old if old in store.groups else prefix + "/layers"
        for child in parent.children:
            snake = re.sub(r"\W+", "", child.class_name)
            snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", snake)
            snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
            count = counts.get(snake, 0)
            counts[snake] = count + 1
            group = f"{room}/{snake}" + (f"_{count}" if count else "")
            by_layer[id(child)] = below.get(group, [])
            if child.kind in ("sequential", "functional"):
                stack.append((child, group))
    return by_layer


def damaged(error):
    """Turns an error of the HDF5 library into a refusal."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return Refused(
            "memory",
            "reading the file asked for more memory than a model of this course needs",
            A_MODEL_FILE,
            "save the model again with `model.save`",
        )
    return Refused(
        "damaged",
        f"the file begins like HDF5, but cannot be read: {show(text, 160)}",
        A_MODEL_FILE,
        "it was damaged on the way or saving was interrupted: copy it again, or run the training script again",
    )
