"""A synthetic class of faces, so that every part of the kit runs before any data set is downloaded.

One parametric face, moved by action units, gives 48×48 images with landmarks, point clouds of 1220 vertices and colour
portraits. Nothing here is a photograph or a scan of a person. See README.md in this folder.

Everything is imported on first use: `import expressions.synthetic` costs nothing.
"""

import importlib

_MODULE_OF = {
    "ensure_fer2013": "files",
    "ensure_faces": "files",
    "ensure_photos": "files",
    "make_images": "images",
    "make_clouds": "clouds",
    "cloud_triangles": "clouds",
    "make_portraits": "portraits",
    "PRESETS": "presets",
    "Preset": "presets",
    "ImageKnobs": "presets",
    "CloudKnobs": "presets",
}

__all__ = list(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__():
    return sorted(__all__)
