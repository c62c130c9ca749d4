"""The disposable process in which files of other people are read."""

import json
import math
import os
import signal
import stat
import subprocess
import sys
import threading

from expressions.model_file.audit import audit, empty_result
from expressions.model_file.messages import A_MODEL_FILE, KINDS, name_file, show

try:
    import resource
except ImportError:  # Windows has no rlimits; the timeout still holds there.
    resource = None

# The folder that holds the package `expressions`. It goes last, so that no file beside it can stand in for a library.
ROOM = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CHILD_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from expressions.model_file.child import child_main; "
    "child_main(sys.argv[2])"
)
CHILD_MEMORY = 3 * 2**30
MAX_REPORT_BYTES = 64 * 2**20


def audit_in_child(path, timeout=20, weights=True, name=None, architecture=None):
    """Audits a file in a disposable process with limits, so that a crafted file can at most kill that process.

    Args:
        path: path of the file.
        timeout: float, seconds of CPU time; of wall time three times as much, since a busy machine is not the file's
            fault.
        weights: bool, as in `audit`.
        name: str, as in `audit`.
        architecture: path, as in `audit`.

    Returns:
        the dict of `audit`. A child that crashes, runs too long or asks for too much memory gives one more reason
        (`child-crashed`, `child-timeout`, `child-memory`), never an exception.

    Raises:
        OSError: a file does not exist or cannot be read.
    """
    path = os.path.abspath(os.fspath(path))
    information = os.stat(path)
    if stat.S_ISREG(information.st_mode):
        with open(path, "rb"):
            pass
    job = {"path": path, "weights": weights, "name": name, "seconds": timeout, "architecture": None}
    if architecture is not None:
        job["architecture"] = os.path.abspath(os.fspath(architecture))
        with open(architecture, "rb"):
            pass
    job = json.dumps(job)
    environment = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    # No filter plug-ins, one thread, and wrong prefixes for anything that HDF5 might look for elsewhere.
    environment |= {
        "HDF5_PLUGIN_PRELOAD": "::",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "HDF5_VDS_PREFIX": os.devnull,
        "HDF5_EXTFILE_PREFIX": os.devnull,
        "HDF5_EXT_PREFIX": os.devnull,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", CHILD_PROGRAM, ROOM, job],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=os.path.abspath(os.sep),
        start_new_session=True,
    )
    parts = {}

    def drain(stream, key, limit):
        data = stream.read(limit)
        parts[key] = data
        while stream.read(65536):
            pass

    readers = [
        threading.Thread(target=drain, args=(child.stdout, "out", MAX_REPORT_BYTES), daemon=True),
        threading.Thread(target=drain, args=(child.stderr, "err", 2**16), daemon=True),
    ]
    for reader in readers:
        reader.start()
    timed_out = False
    try:
        child.wait(timeout if resource is None else 3 * timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        try:
            if hasattr(os, "killpg"):
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
        except (ProcessLookupError, PermissionError):
            pass
        child.wait()
        for reader in readers:
            reader.join(5)
        child.stdout.close()
        child.stderr.close()
    result = _child_report(information, parts, child.returncode, timed_out, timeout)
    name_file(result, name or os.path.basename(path))
    return result


def _child_report(information, parts, code, timed_out, timeout):
    result = None
    if code == 0 and not timed_out:
        try:
            result = json.loads(parts.get("out", b""))
        except (ValueError, RecursionError):
            result = None
        if not (isinstance(result, dict) and set(empty_result()) <= set(result) and result["kind"] in KINDS):
            result = None
    if result is not None:
        return result
    result = empty_result()
    result["num_bytes"] = information.st_size
    error = parts.get("err", b"").decode("utf-8", "replace")
    again = "save the model again with `model.save`; if it still fails, show the file to the teaching staff"
    if timed_out or (hasattr(signal, "SIGXCPU") and code in (-signal.SIGXCPU, -signal.SIGKILL)):
        reason = "child-timeout", f"reading the file took more than {timeout:g} seconds", again
    elif "MemoryError" in error or "bad_alloc" in error:
        reason = "child-memory", "reading the file asked for more memory than a model of this course needs", again
    else:
        last = next((line for line in reversed(error.strip().splitlines()) if line.strip()), "")
        detail = f"signal {-code}" if code and code < 0 else show(last, 120)
        reason = "child-crashed", f"the program that reads HDF5 crashed on this file ({detail})", again
    result["reasons"].append({"code": reason[0], "what": reason[1], "wanted": A_MODEL_FILE, "try": reason[2]})
    return result


def child_main(job):
    """Sets the limits, audits one file, prints the verdict as JSON and ends the process."""
    job = json.loads(job)
    if resource is not None:
        seconds = math.ceil(job["seconds"])
        for limit, value in (
            (resource.RLIMIT_AS, CHILD_MEMORY),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 64),
        ):
            _, hard = resource.getrlimit(limit)
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            try:
                resource.setrlimit(limit, (value, value))
            except (ValueError, OSError):
                # macOS refuses some of them; the others and the timeout still hold.
                pass
    result = audit(job["path"], job["weights"], job["name"], architecture=job["architecture"])
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()
    # Skips HDF5's own clean-up, where a damaged file can still crash.
    os._exit(0)
