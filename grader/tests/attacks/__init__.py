"""Hostile submissions, each with the outcome it must have. The payloads are harmless: a marker file, bounded loops.

    archives.py     zip and tar files, names in them
    model_files.py  .h5 and .keras files
    scripts.py      Python
    pictures.py     images and PDF files

Each module has a list `ATTACKS`. A marker that appears, or a decoy's text that is found anywhere in a result, means
that the attack worked. `unprotected` runs the same payload without protection and must leave its marker: a test that
passes because the payload is broken proves nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """One hostile file.

    Attributes:
        name: str, unique, words with underscores.
        kind: str: `zip`, `h5`, `python`, `image`, `pdf` or `name`.
        build: function of a folder (Path) and a marker (Path that does not exist) that writes the hostile files into
            the folder and returns the Path of the one to hand in.
        expects: str, what must come of it; each kind's test says how it is read.
        unprotected: function of the built Path and the marker that runs the payload with nothing in its way, or None
            where the payload needs none to be seen to work (a refused name).
    """

    name: str
    kind: str
    build: Callable
    expects: str
    unprotected: Callable | None = None
