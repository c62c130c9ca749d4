"""What survives a kill: files that are whole or absent, pieces of evidence, folders that a later run clears away.

A process that is killed can clean up nothing. So nothing here is ever half written under its final name, what is
finished is on the disk before the next thing starts, and a scratch folder is held by a lock that the kernel lets go
with the process: no process id that another one may have by now, no lock file that stays behind.
"""

import contextlib
import glob
import hashlib
import io
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows: folders of dead runs stay there
    fcntl = None

# Between making a folder and locking it a run can be killed, or be looked at by another one.
MIN_AGE_SECONDS = 60


def write_whole(path, data):
    """Writes a file so that a reader, or a kill at any moment, finds the old one or the new one and never a part.

    Args:
        path: path of the file; its folder exists.
        data: bytes.
    """
    path = Path(path)
    _remove_drafts(path)
    for attempt in range(3):
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.draft")
        try:
            with open(draft, "wb") as file:
                _lock(file.fileno())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.replace(draft, path)
            break
        except FileNotFoundError:
            # Another run took the draft for a dead one's before it was locked.
            if attempt == 2 or not path.parent.is_dir():
                raise
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def _remove_drafts(path):
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.draft"):
        with contextlib.suppress(OSError), open(draft, "rb") as file:
            if _lock(file.fileno()):
                draft.unlink()


def _lock(handle):
    """Locks an open file or folder; False if another process has it, or where nothing can be locked."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sync_file(path):
    """Waits until a file's bytes are on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder):
    """Waits until the names in a folder are on the disk, where the system can say so."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# Scratch folders -----------------------------------------------------------------------------------------------------


def hold(folder):
    """Marks a folder as in use for as long as this process lives.

    Args:
        folder: path of a folder.

    Returns:
        int, an open file that `os.close` ends the hold with; None where folders cannot be locked.
    """
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    if not _lock(handle):
        # A run that clears away looks at it at this very moment, and leaves it, for it is too young.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


@contextlib.contextmanager
def scratch_folder(prefix):
    """Makes a folder for temporary files, which is removed at the end of the block or by a later run's `sweep`.

    Args:
        prefix: str, begins its name.

    Yields:
        Path of the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    handle = hold(folder)
    try:
        yield folder
    finally:
        remove_folder(folder)
        if handle is not None:
            os.close(handle)


def sweep(parent, prefixes, min_age=None, marker=None):
    """Removes folders of runs that were killed.

    Args:
        parent: path of the folder they lie in.
        prefixes: tuple of str, beginnings of the names of folders that are always held while they are in use.
        min_age: float, seconds; what is younger is left alone. By default `MIN_AGE_SECONDS`.
        marker: str, the name of a file that a folder must hold to be removed, where not all of that name are held.

    Returns:
        list of str, the names of what was removed.
    """
    removed = []
    min_age = MIN_AGE_SECONDS if min_age is None else min_age
    if fcntl is None:
        return removed
    try:
        names = [name for name in os.listdir(parent) if name.startswith(tuple(prefixes))]
    except OSError:
        return removed
    for name in sorted(names):
        path = Path(parent) / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # a file, a link, somebody else's, or gone
        try:
            status = os.fstat(handle)
            mine = os.geteuid() in (0, status.st_uid)  # root gave the folders of its workers to other users
            if not mine or time.time() - status.st_mtime < min_age:
                continue
            if marker is not None and not os.path.lexists(path / marker):
                continue
            if _lock(handle):  # else its run lives
                remove_folder(path)
                removed.append(name)
        finally:
            os.close(handle)
    return removed


def remove_folder(folder):
    """Removes a folder, those inside that nobody may read included."""
    if os.path.islink(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.isdir(folder):
        for place, names, _ in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)
                if not os.path.islink(path):
                    with contextlib.suppress(OSError):
                        os.chmod(path, stat.S_IRWXU)
        shutil.rmtree(folder, ignore_errors=True)


# Pieces --------------------------------------------------------------------------------------------------------------


class Pieces:
    """Answers that a run has so far, one file each, so that a killed run goes on where it ended.

    Two runs may fill one folder at the same time: both ask the same question, and the later answer replaces the
    earlier one as a whole.

    Args:
        folder: path, made when the first piece is kept; None keeps nothing.
    """

    def __init__(self, folder=None):
        self.folder = None if folder is None else Path(folder)

    def _path(self, name):
        return self.folder / f"{name}.piece"

    def read(self, name):
        """Returns `(facts, arrays)` as `keep` got them, or None if there is no such piece or not all of it."""
        if self.folder is None:
            return None
        try:
            data = self._path(name).read_bytes()
        except OSError:
            return None
        digest, _, content = data.partition(b"\n")
        if digest != hashlib.sha256(content).hexdigest().encode():
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                facts = json.loads(file["facts"].tobytes())
                arrays = {key.removeprefix("array."): file[key] for key in file.files if key != "facts"}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
            return None  # written by another version of this program
        return facts, arrays

    def keep(self, name, facts, arrays=None):
        """Puts a piece on the disk; when this returns, no kill can take it away.

        Args:
            name: str of letters, digits, `.`, `_` and `-`.
            facts: JSON value.
            arrays: dict from name to array, or None.
        """
        if self.folder is None:
            return
        stream = io.BytesIO()
        text = np.frombuffer(json.dumps(facts, ensure_ascii=False).encode("utf-8"), np.uint8)
        np.savez(stream, facts=text, **{f"array.{key}": array for key, array in (arrays or {}).items()})
        content = stream.getvalue()
        data = hashlib.sha256(content).hexdigest().encode() + b"\n" + content
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(name), data)
        except FileNotFoundError:
            # Another run of the same submission was done in this moment and removed the folder.
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(name), data)

    def remove(self):
        """Forgets all pieces, once the whole is kept."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
