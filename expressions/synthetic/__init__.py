"""A synthetic class of faces, so that every part of the kit runs before any data set is downloaded.

One parametric face, moved by action units, gives every view of it, and all of them agree with each other. Nothing here
is a photograph or a scan of a person. See README.md in this folder.

    make_images(500, seed=1)          48×48 pictures, labels, 68 landmarks in pixels
    make_face_images(500, seed=1, images_per_person=5, num_landmarks=468)
                                      the same, and action units, who it is, felt or posed, what the face really shows
    make_clouds(10, seed=1)           1220 points in metres, seven emotions a person; `cloud_triangles()` joins them
    make_portraits(1, take_seed=0)    seven colour portraits of person 1
    make_landmarks(85, seed=1)        468 or 68 landmarks of people showing CK+'s emotions; `facemesh_triangles()`
    make_sequences(2, seed=1)         films from neutral to apex, as in CK+, posed or genuine
    make_action_units(1200, seed=1)   17 intensities as OpenFace measures them, left and right, posed or genuine

The same seed gives the same faces. `preset` (`"default"`, `"full"`, `"demo"`) sets how hard they are to read, `knobs`
any of it by itself. `ensure_fer2013()`, `ensure_faces()` and `ensure_photos()` give files in the real formats, made on
first use; `python -m expressions.synthetic --help` writes any.

Everything is imported on first use: `import expressions.synthetic` costs nothing.
"""

import importlib

_MODULE_OF = {
    "ensure_fer2013": "files",
    "ensure_faces": "files",
    "ensure_photos": "files",
    "make_images": "images",
    "make_face_images": "images",
    "FaceImages": "images",
    "make_clouds": "clouds",
    "cloud_triangles": "clouds",
    "make_portraits": "portraits",
    "make_landmarks": "landmarks",
    "LandmarkSet": "landmarks",
    "facemesh_triangles": "facemesh",
    "make_sequences": "sequences",
    "Sequence": "sequences",
    "make_action_units": "action_units",
    "ActionUnits": "action_units",
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
