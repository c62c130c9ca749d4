"""Hostile scripts: nonsense, exits, loops, forks, forgeries, and ways out of the sandbox.

Each is a `cnnx.py` whose `voxelize` (or whose import) attacks, followed by a `split_by_subject` that is right: the next
probe, which must not notice. `expects` is `"<probe id>:<status>"`.

In a payload, `MARKER` is the path to write to if the attack succeeds, `DECOY` a file with a secret, `PID` a process to
be harmed in place of the grader, `PORT` and `ABSTRACT` where somebody listens. The test writes these beside the marker.
Unprotected, a payload meets a naive grader: one process that imports the script, calls it and compares. The marker
appears if the payload wrote it, if the naive grader believed a wrong answer, or, for payloads without a mark of their
own, if it did not live to give a verdict.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from grader.tests.attacks import Attack
from grader.tests.tiny_submission import CNNX

ROOT = Path(__file__).resolve().parents[3]
GOOD_SPLIT = CNNX[CNNX.index("def split_by_subject") : CNNX.index("def make_model_4")]
HEAD = "import os, sys, time\nimport numpy as np\n"
UNPROTECTED_SECONDS = 2.5

# The comparison that the lies are made for: the right answer lies about, in frames and on the heap.
NAIVE_GRADER = """
import json, sys
import numpy as np

sys.path[:0] = [sys.argv[1], sys.argv[3]]
sys.dont_write_bytecode = True
expected_counts = np.arange(24**3).reshape(24, 24, 24)
import cnnx

result = cnnx.voxelize(np.zeros((5, 3)))
believed = result.shape == expected_counts.shape and bool(np.all(result == expected_counts))
train, test = cnnx.split_by_subject(np.repeat(["a", "b", "c", "d", "e"], 7))
believed = believed or np.array_equal([1], [2]) or json.dumps({}) != "{}" or len(train) != 28
if believed:
    open(sys.argv[2], "w").close()
print("verdict")
"""


def run_naively(built, marker):
    """Runs a payload in the process of a naive grader, for a moment."""
    command = [sys.executable, "-c", NAIVE_GRADER, str(built), str(marker), str(ROOT)]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=built,
        start_new_session=True,
        env={**os.environ, "DECOY_VARIABLE": _beside(marker, "decoy")},
    )
    try:
        output, _ = child.communicate(timeout=UNPROTECTED_SECONDS)
    except subprocess.TimeoutExpired:
        output = b""
    finally:
        try:
            os.killpg(child.pid, 9)
        except ProcessLookupError:
            pass
        child.communicate()
    # A payload with a mark of its own has to leave that one: it might just be broken.
    if b"verdict" not in output and "MARKER" not in (built / "cnnx.py").read_text().split("\n\n\n", 1)[1]:
        marker.touch()


def _beside(marker, name):
    path = marker.with_name(name)
    return path.read_text() if path.is_file() else ""


def script(name, expects, body, harmful=True, at_import=False):
    """Makes an attack of a Python body.

    Args:
        name: str.
        expects: str.
        body: str, defines `voxelize`, or only its indented body.
        harmful: bool, whether it does visible harm to a naive grader.
        at_import: bool, the body runs when the script is imported.
    """
    if not at_import and "def voxelize" not in body:
        body = "def voxelize(points, size=24):" + body.rstrip().replace("\n", "\n    ").replace("    \n", "\n")
    if at_import:
        body += "\n\ndef voxelize(points, size=24):\n    return np.zeros((size, size, size))\n"

    def build(folder, marker):
        submission = Path(folder) / name
        submission.mkdir(parents=True)
        places = {
            "MARKER": str(marker),
            "DECOY": str(marker.with_name("decoy")),
            "PID": int(_beside(marker, "pid") or 0),
            "PORT": int(_beside(marker, "port") or 0),
            "ABSTRACT": _beside(marker, "abstract"),
        }
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in places.items())
        (submission / "cnnx.py").write_text(f"{HEAD}{lines}\n\n\n{body}\n\n\n{GOOD_SPLIT}", encoding="utf-8")
        return submission

    return Attack(name, "python", build, expects, run_naively if harmful else None)


ZEROS = "return np.zeros((size, size, size))"

NONSENSE = [
    script("returns_none", "voxelize:bad_result", "\n pass"),
    script("returns_the_wrong_shape", "voxelize:ok", "\n return np.zeros((2, 3))", harmful=False),
    script(
        "returns_objects", "voxelize:bad_result", "\n return np.array([None, {}, 'text'], dtype=object)", harmful=False
    ),
    script("returns_nan", "voxelize:ok", "\n return np.full((size, size, size), np.nan)", harmful=False),
    script("returns_a_generator", "voxelize:bad_result", "\n return (x for x in iter(int, 1))"),
    script(
        "lies_about_equality",
        "voxelize:bad_result",
        """
class Agreeable(np.ndarray):
    def __eq__(self, other):
        return True

def voxelize(points, size=24):
    return np.zeros((size, size, size)).view(Agreeable)
""",
    ),
    script(
        "lies_about_shape_and_type",
        "voxelize:bad_result",
        """
class Liar:
    shape, dtype, ndim, nbytes, size = (24, 24, 24), np.dtype("float32"), 3, 8, 2

    def __eq__(self, other):
        return True

    def __array__(self, *args, **options):
        open(MARKER, "w").close()
        return np.zeros((24, 24, 24))

def voxelize(points, size=24):
    return Liar()
""",
    ),
    script(
        "dresses_up_as_a_tensor",
        "voxelize:bad_result",
        """
class EagerTensor:
    shape = (24, 24, 24)

    def numpy(self):
        open(MARKER, "w").close()
        raise SystemExit(0)

    __eq__ = lambda self, other: True

EagerTensor.__module__ = "tensorflow.python.framework.ops"

def voxelize(points, size=24):
    return EagerTensor()
""",
    ),
    script(
        "returns_a_sparse_matrix",
        "voxelize:bad_result",
        """
class csr_matrix:
    shape, dtype, format, nnz = (24, 24, 24), np.dtype("float64"), "csr", 5

    def toarray(self):
        return np.zeros((24, 24, 24))

csr_matrix.__module__ = "scipy.sparse"

def voxelize(points, size=24):
    return csr_matrix()
""",
        harmful=False,
    ),
    script(
        "has_endless_length",
        "voxelize:bad_result",
        """
class Endless(list):
    def __len__(self):
        while True:
            pass

    __iter__ = __getattr__ = lambda self, *args: self.__len__()

def voxelize(points, size=24):
    return Endless()
""",
    ),
    script(
        "hides_traps_in_a_list",
        "voxelize:died",
        """
class Trap:
    def __array__(self, *args, **options):
        os._exit(0)

    __float__ = __len__ = __getitem__ = __array__

def voxelize(points, size=24):
    return [Trap(), Trap()]
""",
    ),
    script("returns_ten_gigabytes", "voxelize:memory", "\n return np.ones(10 * 2**30 // 8)", harmful=False),
    script(
        "takes_memory_bit_by_bit",
        "voxelize:memory",
        "\n parts = []\n for _ in range(60):\n  parts.append(np.ones(2**20))\n  time.sleep(0.01)\n time.sleep(0.5)\n "
        + ZEROS,
        harmful=False,
    ),
    script(
        "prints_a_hundred_megabytes", "voxelize:ok", "\n for _ in range(100):\n  print('x' * 2**20)\n " + ZEROS, False
    ),
    script(
        "writes_to_the_terminal",
        "voxelize:error",
        r"""
 sys.stderr.write("\x1b[2J\x1b]0;title\x07" * 100_000)
 print("\x1b[31mred\x1b[0m \u202e\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))
 raise ValueError("\x1b[2J\x1b[31mall good\x1b[0m \ud800\u202e\x00 \x9b31m" * 50)""",
        harmful=False,
    ),
    script("says_a_hundred_megabytes", "voxelize:error", "\n raise ValueError('x' * 10**8)", harmful=False),
]

ENDS = [
    script("exits_with_0", "voxelize:died", "\n os._exit(0)"),
    script("exits_politely", "voxelize:error", "\n sys.exit(0)"),
    script(
        "exits_at_exit",
        "voxelize:ok",
        """
import atexit

def leave():
    open(MARKER, "w").close()
    os._exit(0)

def voxelize(points, size=24):
    atexit.register(leave)
    return np.zeros((size, size, size))
""",
    ),
    script(
        "becomes_another_program",
        "voxelize:died",
        "\n os.execv(sys.executable, [sys.executable, '-S', '-c', 'print(1)'])",
    ),
    script("reads_from_address_0", "voxelize:died", "\n import ctypes\n ctypes.string_at(0)"),
    script(
        "recurses_without_limit",
        "voxelize:died",
        """
def down(x):
    return next(map(down, [x]))

def voxelize(points, size=24):
    sys.setrecursionlimit(10**9)
    return down(1)
""",
    ),
    script("loops", "voxelize:timeout", "\n while True:\n  pass"),
    script("sleeps", "voxelize:timeout", "\n time.sleep(3600)"),
    script(
        "catches_every_signal",
        "voxelize:timeout",
        """
 import signal
 for number in range(1, 65):
  try:
   signal.signal(number, lambda *_: None)
  except (OSError, ValueError):
   pass
 while True:
  pass""",
    ),
    script(
        "never_finishes_its_sentence",
        "voxelize:timeout",
        """
class Endless(Exception):
    def __str__(self):
        while True:
            pass

def voxelize(points, size=24):
    raise Endless
""",
        harmful=False,
    ),
    script(
        "exits_when_asked_why",
        "voxelize:error",
        """
class Sulky(Exception):
    def __str__(self):
        sys.exit(0)

def voxelize(points, size=24):
    raise Sulky
""",
    ),
    script(
        "lies_about_its_own_name",
        "voxelize:error",
        """
class Meta(type):
    @property
    def __name__(cls):
        os._exit(0)

    __module__ = __qualname__ = __name__

class Nameless(Exception, metaclass=Meta):
    __class__ = property(lambda self: os._exit(0))

def voxelize(points, size=24):
    raise Nameless("what am I?")
""",
    ),
    script(
        "keeps_a_thread",
        "voxelize:ok",
        """
import threading

def later():
    time.sleep(0.5)
    open(MARKER, "w").close()

def voxelize(points, size=24):
    threading.Thread(target=later).start()
    return np.zeros((size, size, size))
""",
    ),
]

PROCESSES = [
    script(
        "leaves_daemons",
        "voxelize:ok",
        """
 for number in range(8):
  if os.fork() == 0:
   os.setsid()
   if os.fork():
    os._exit(0)
   time.sleep(0.4)
   open(MARKER, "w").close()
   os._exit(0)
 """
        + ZEROS,
    ),
    script(
        "forks_forty_times",
        "voxelize:died",
        """
 for number in range(40):
  if os.fork() == 0:
   time.sleep(6)
   os._exit(0)
 time.sleep(6)""",
    ),
    script("kills_its_parent", "voxelize:died", "\n os.kill(os.getppid(), 9)\n time.sleep(5)", harmful=False),
    script("stops_its_parent", "voxelize:timeout", "\n os.kill(os.getppid(), 19)\n time.sleep(5)", harmful=False),
    script("kills_the_grader", "voxelize:error", "\n os.kill(PID, 9)\n open(MARKER, 'w').close()"),
    script(
        "debugs_the_grader",
        "voxelize:error",
        """
 import ctypes
 libc = ctypes.CDLL(None, use_errno=True)
 if libc.ptrace(16, PID, None, None) == 0:
  os.waitpid(PID, 0x40000000)
  libc.ptrace(17, PID, None, None)
  open(MARKER, "w").close()
 raise PermissionError(ctypes.get_errno())""",
    ),
    script(
        "limits_the_grader",
        "voxelize:error",
        """
 import resource
 soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
 resource.prlimit(PID, resource.RLIMIT_CORE, (0, 0))
 open(MARKER, "w").close()""",
    ),
    script(
        "becomes_root_in_a_namespace",
        "voxelize:error",
        """
 import ctypes
 libc = ctypes.CDLL(None, use_errno=True)
 if os.fork() == 0:
  if libc.unshare(0x10000000 | 0x00020000) == 0:
   open(MARKER, "w").close()
  os._exit(0)
 os.wait()
 if not os.path.exists(MARKER):
  raise PermissionError("no namespace")""",
    ),
]

REACHING_OUT = [
    script(
        "reads_a_file_of_the_grader",
        "voxelize:error",
        "\n text = open(DECOY).read()\n open(MARKER, 'w').close()\n raise ValueError(text)",
    ),
    script(
        "sends_a_file_home_as_counts",
        "voxelize:error",
        "\n text = open(DECOY, 'rb').read()\n open(MARKER, 'w').close()\n return np.frombuffer(text, np.uint8)",
    ),
    script(
        "lists_other_students",
        "voxelize:error",
        "\n names = os.listdir(os.path.dirname(DECOY))\n open(MARKER, 'w').close()\n raise ValueError(str(names))",
    ),
    script(
        "reads_the_graders_environment",
        "voxelize:error",
        """
 text = open(f"/proc/{PID}/environ").read() + open(f"/proc/{os.getppid()}/environ").read()
 open(MARKER, "w").close()
 raise ValueError(text)""",
    ),
    script(
        "prints_its_own_environment",
        "voxelize:error",
        """
 if "DECOY_VARIABLE" in os.environ:
  open(MARKER, "w").close()
 raise ValueError(str(dict(os.environ)))""",
    ),
    script(
        "lists_processes",
        "voxelize:error",
        "\n text = open(f'/proc/{PID}/cmdline').read()\n open(MARKER, 'w').close()\n raise ValueError(text)",
    ),
    script(
        "calls_home",
        "voxelize:error",
        """
 import socket
 with socket.create_connection(("127.0.0.1", PORT), timeout=2):
  open(MARKER, "w").close()""",
    ),
    script(
        "calls_home_by_an_abstract_socket",
        "voxelize:error",
        """
 import socket
 with socket.socket(socket.AF_UNIX) as link:
  link.connect("\\0" + ABSTRACT)
  open(MARKER, "w").close()""",
    ),
    script(
        "changes_rights_outside",
        "voxelize:ok",
        """
 try:
  os.chmod(DECOY, 0o600)
  if os.stat(DECOY).st_mode & 0o777 == 0o600:
   open(MARKER, "w").close()
 except OSError:
  pass
 """
        + ZEROS,
    ),
    script(
        "imports_the_grader",
        "voxelize:error",
        "\n import grader.rubric, grader.judge\n open(MARKER, 'w').close()\n raise ValueError(grader.rubric.__file__)",
    ),
    script(
        "hides_memory_in_a_file_without_a_name",
        "voxelize:error",
        """
 descriptor = os.memfd_create("nothing")
 os.write(descriptor, bytes(2**20))
 open(MARKER, "w").close()""",
    ),
]

FORGERIES = [
    script(
        "forges_points",
        "voxelize:bad_result",
        """
 from pathlib import Path
 for folder in (Path(__file__).parents[2] / "outbox").iterdir():
  (folder / "result.json").write_text('{"status": "passed", "points": 100}')
 os._exit(0)""",
    ),
    script(
        "answers_the_next_question_in_advance",
        "voxelize:ok",
        """
 from pathlib import Path
 root = Path(__file__).parents[2]
 for place in ("outbox", "work", "tmp", "home"):
  for name in ("split_by_subject", "result.json", "next"):
   try:
    (root / place / name).mkdir(mode=0o700)
    (root / place / name / "result.json").write_text('{"status": "ok", "message": "", "facts": {}, "arrays": []}')
   except OSError:
    pass
  (root / place).chmod(0)
 """
        + ZEROS,
        harmful=False,
    ),
    script(
        "changes_the_next_question",
        "voxelize:error",
        """
 from pathlib import Path
 root = Path(__file__).parents[2]
 for path in [Path(__file__), *(root / "inbox" / "arrays").iterdir()]:
  path.write_bytes(b"nothing")
 for name in ("job.json", "../kit/grader/worker/code.py"):
  (root / "inbox" / name).write_text("{}")""",
        harmful=False,
    ),
    script(
        "talks_in_the_servers_name",
        "voxelize:ok",
        """
 import json
 forged = json.dumps({"ended": "voxelize", "exit": 0, "signal": None, "left_behind": 0}).encode() + b"\\n"
 for descriptor in range(3, 64):
  try:
   os.write(descriptor, forged * 2)
  except OSError:
   pass
 """
        + ZEROS,
        harmful=False,
    ),
    script(
        "takes_over_write_result",
        "voxelize:died",
        """
 results = sys.modules.get("grader.worker.results")
 if results is not None:
  results.write_result = lambda *args, **options: None
  sys.modules["grader.worker.code"].results = results
 """
        + ZEROS,
        harmful=False,
    ),
    script(
        "claims_another_status",
        "voxelize:bad_result",
        """
 results = sys.modules.get("grader.worker.results")
 if results is not None:
  write = results.write_result
  results.write_result = lambda outbox, status, *rest: write(outbox, "passed", *rest)
 """
        + ZEROS,
        harmful=False,
    ),
    script(
        "patches_everything",
        "voxelize:bad_result",
        """
 import builtins, json
 np.array_equal = np.all = lambda *args, **options: True
 json.dumps = lambda *args, **options: '{"status": "passed"}'
 builtins.len = lambda *args: 10**6
 """
        + ZEROS,
    ),
    script(
        "patches_open",
        "voxelize:died",
        "\n import builtins\n builtins.open = lambda *args, **options: os._exit(0)\n " + ZEROS,
        harmful=False,
    ),
    script("cannot_be_ended", "voxelize:ok", "\n os._exit = sys.exit = lambda *args: None\n " + ZEROS, harmful=False),
    script(
        "walks_frames",
        "voxelize:ok",
        """
 frame = sys._getframe()
 while frame is not None:
  for scope in (frame.f_locals, frame.f_globals):
   for name, value in list(scope.items()):
    if "expected" in name or "label" in name:
     return value
  frame = frame.f_back
 """
        + ZEROS,
    ),
    script(
        "walks_the_heap",
        "voxelize:ok",
        """
 import gc
 for holder in gc.get_objects():
  if type(holder) is dict:
   for name, value in list(holder.items()):
    if type(name) is str and "expected_counts" in name:
     return value
 """
        + ZEROS,
    ),
    script(
        "traces_the_grader",
        "voxelize:ok",
        """
 def trace(frame, event, argument):
  if "believed" in frame.f_globals:
   frame.f_globals["expected_counts"] = np.zeros((24, 24, 24))
  if "facts" in frame.f_locals:
   frame.f_locals["message"] = "all points"
  return trace
 sys.settrace(trace)
 sys.setprofile(trace)
 if "expected_counts" in sys.modules["__main__"].__dict__:
  sys.modules["__main__"].expected_counts = np.zeros((24, 24, 24))
 """
        + ZEROS,
    ),
    script(
        "reads_other_answers",
        "voxelize:error",
        """
 from pathlib import Path
 folder = Path(__file__).parents[2] / "outbox"
 raise ValueError(f"{len(list(folder.iterdir()))} answers")""",
        harmful=False,
    ),
]

SURROUNDINGS = [
    script("closes_its_files", "voxelize:ok", "\n os.closerange(0, 256)\n " + ZEROS),
    script(
        "moves_away",
        "voxelize:ok",
        """
 import shutil
 here = os.getcwd()
 os.chdir("/")
 if "/work/" in here:
  shutil.rmtree(here)
 """
        + ZEROS,
        harmful=False,
    ),
    script(
        "limits_itself",
        "voxelize:died",
        """
 import resource
 resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
 resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
 """
        + ZEROS,
    ),
    script(
        "fills_the_disk",
        "voxelize:died",
        """
 for number in range(150):
  with open(f"file{number}", "wb") as file:
   file.write(bytes(2**20))
 time.sleep(8)""",
        harmful=False,
    ),
    script(
        "fills_the_disk_unseen",
        "voxelize:error",
        """
 os.umask(0o777)
 os.mkdir("unseen", 0o300)
 open(MARKER, "w").close()""",
        harmful=True,
    ),
    script(
        "nests_folders_endlessly",
        "voxelize:ok",
        """
 for _ in range(1200):
  os.mkdir("d")
  os.chdir("d")
 open("at the bottom", "w").close()
 """
        + ZEROS,
        harmful=False,
    ),
    script(
        "hides_files_below_endless_folders",
        "voxelize:died",
        """
 for _ in range(3000):
  os.mkdir("d")
  os.chdir("d")
 for number in range(40):
  with open(f"file{number}", "wb") as file:
   file.write(bytes(2**20))
 time.sleep(8)""",
        harmful=False,
    ),
    script(
        "writes_one_huge_file",
        "voxelize:error",
        """
 with open("huge", "wb") as file:
  file.seek(600 * 2**20)
  file.write(b"x")""",
        harmful=False,
    ),
    script(
        "leaves_code_behind",
        "voxelize:ok",
        """
 import site
 from pathlib import Path
 code = f"open({MARKER!r}, 'w').close()"
 home, here = Path(os.path.expanduser("~")), Path(__file__).parent
 places = [home, Path(os.environ.get("TMPDIR", "/tmp")), Path.cwd(), here, here / "__pycache__"]
 places += [home / ".local" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"]
 if "sandbox" in str(here):
  for place in places:
   for name in ("sitecustomize.py", "usercustomize.py", "numpy.py", "cnnx.cpython-311.pyc", ".pythonrc.py", "evil.pth"):
    try:
     place.mkdir(parents=True, exist_ok=True)
     (place / name).write_text(code)
    except OSError:
     pass
 """
        + ZEROS,
        harmful=False,
    ),
]

IMPORTS = [
    script("exits_when_it_is_imported", "cnnx.import:died", "os._exit(0)", at_import=True),
    script("loops_when_it_is_imported", "cnnx.import:timeout", "while True:\n    pass", at_import=True),
    script(
        "patches_when_it_is_imported",
        "cnnx.import:ok",
        "import json\n\nnp.array_equal = lambda *args: True\njson.dumps = lambda *args, **options: 'nothing'\n",
        at_import=True,
    ),
]

ATTACKS = [*NONSENSE, *ENDS, *PROCESSES, *REACHING_OUT, *FORGERIES, *SURROUNDINGS, *IMPORTS]
