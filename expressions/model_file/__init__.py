"""Says what a model file is and whether it is safe to load, without TensorFlow and without running anything from it.

    python -m expressions.model_file model_1.h5            # about a second; exit 0 accepted, 1 refused, 2 no such file
    python -m expressions.model_file model_1.h5 --json

A file named `.h5` may be a web page, a Git LFS pointer, a text-mangled download or a model that runs somebody's code
when it is loaded. So this package reads bytes, never names. In the order in which a file meets them:

    sniffing.py       the first bytes: what kind of file is it?
    hdf5.py           walks the HDF5 file link by link. It opens no other file, and refuses what Keras never writes
    keras_zip.py      the same for a .keras file, a zip around an HDF5 file
    known.py          lists of the layers, keys and values of Keras 1.2 to 3.15
    configuration.py  reads the JSON of the architecture against these lists
    shapes.py         the shape of every layer's output and of every weight, and the cost of a prediction
    comparison.py     what the configuration promises must be what the file stores: a layer of a million units that
                      stores forty numbers is refused
    weights.py        the stored weights, read once: NaN, infinity, all zero, constant, untrained
    audit.py          calls all of these and returns the verdict
    child.py          does so in a disposable process with limits on memory, CPU and written bytes, because HDF5 itself
                      may crash on a crafted file
    limits.py, messages.py   what a model may cost; words for the student

Use `audit_in_child` for files of other people and `audit` for your own.

What each refusal guards against: code in Lambda layers (CVE-2025-9905), external HDF5 storage that reads other files
(CVE-2026-1669), vocabulary files (CVE-2025-12058), and files of some kilobytes that ask for gigabytes.
"""

from expressions.model_file.audit import audit
from expressions.model_file.child import audit_in_child
from expressions.model_file.limits import Limits
from expressions.model_file.messages import KINDS
from expressions.model_file.sniffing import HDF5_SIGNATURE, sniff

__all__ = ["HDF5_SIGNATURE", "KINDS", "Limits", "audit", "audit_in_child", "sniff"]
