"""Imports a student's scripts as their own machine would, and says in a sentence what works only there.

Their own machine differs from this one in three ways that honest scripts meet: their folder comes first on the path
(`random.py` next to the script is theirs), more packages are installed, and there is a screen.
"""

import builtins
import errno
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import types

# Given code: the kit's own copy counts, whatever was handed in.
_GIVEN = ("expressions", "grader")
# Python itself has imported these before a script starts, so not even there does a file of that name win.
_ALREADY_THERE = frozenset(
    "abc codecs encodings genericpath io os posixpath site stat zipimport _collections_abc _sitebuiltins".split()
) | frozenset(sys.builtin_module_names)
_MAX_SOURCE_BYTES = 400_000
_MAX_MODULES = 12

# Names of packages that stood in for something absent when a script was imported.
absent_packages = set()


# Which scripts need Keras ---------------------------------------------------------------------------------------------

_IMPORT = re.compile(r"\s*(?:from\s+([A-Za-z_][\w.]*)\s+import\b|import\s+(.+))")
_HEAVY = frozenset(("keras", "tensorflow", "tf_keras", "tensorflow_addons", "tensorflow_hub"))


def needs_keras(folder, name):
    """Says whether importing a script imports Keras, without parsing it: a crafted source could crash a parser.

    Imports inside functions do not count, those of the submission's own modules do. A wrong answer costs seconds.

    Args:
        folder: Path of the submission.
        name: str, a script without `.py`.

    Returns:
        bool.
    """
    waiting, seen = [name], set()
    while waiting and len(seen) < _MAX_MODULES:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for imported in _top_level_imports(folder / f"{module}.py"):
            if imported in _HEAVY:
                return True
            if imported.isidentifier() and (folder / f"{imported}.py").is_file():
                waiting.append(imported)
    return False


def _top_level_imports(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MAX_SOURCE_BYTES)
    except OSError:
        return set()
    found, inside = set(), False
    for line in text.split("\n"):
        if line[:1].strip():
            inside = re.match(r"(?:async\s+)?(?:def|class)\b|@", line) is not None
        if inside or (match := _IMPORT.match(line)) is None:
            continue
        names = [match[1]] if match[1] else match[2].split(",")
        found.update(name.split()[0].split(".")[0] for name in names if name.strip())
    return found


# Importing -----------------------------------------------------------------------------------------------------------


def prepare_import(folder):
    """Makes this process import like a script's own folder, once, before any student code runs.

    Args:
        folder: Path of the submission.
    """
    # Last on the path: a student's own random.py is for the student, never for TensorFlow.
    sys.path.append(str(folder))
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, _BackendKeeper())


class _BackendKeeper(importlib.abc.MetaPathFinder):
    """Makes `matplotlib.use("TkAgg")` and `plt.switch_backend` keep Agg: nothing is graded on a screen.

    matplotlib itself, a quarter of a second, is left to those who import it.
    """

    def find_spec(self, name, path=None, target=None):
        if name not in ("matplotlib", "matplotlib.backends.registry"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None:
            spec.loader = _BackendLoader(spec.loader)
        return spec


class _BackendLoader(importlib.abc.Loader):
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        if module.__name__ == "matplotlib":
            module.use = lambda *args, **kwargs: None
        else:
            load = module.backend_registry.load_backend_module
            module.backend_registry.load_backend_module = lambda name: load("agg")


def import_script(folder, name):
    """Imports a script afresh, under the name that its siblings would import it by.

    Args:
        folder: Path of the submission.
        name: str, a script without `.py`; the file is there.

    Returns:
        module.
    """
    if not isinstance(builtins.__import__, _Importer):
        builtins.__import__ = _Importer(builtins.__import__, folder)
    sys.argv = [f"{name}.py"]
    return _load(name, folder / f"{name}.py", sys.modules)


def _load(name, path, cache):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    cache[name] = module
    try:
        with _importing():
            spec.loader.exec_module(module)
    except BaseException:
        cache.pop(name, None)
        raise
    return module


class _Importer:
    """Python's own import, but a submission's files come first for the submission's files, and for nobody else."""

    def __init__(self, original, folder):
        self._original, self._folder, self._cache = original, folder, {}
        self._prefix = f"{folder}/"
        self._shadowed = {
            path.stem
            for path in folder.glob("*.py")
            if path.stem.isidentifier()
            and path.stem not in _GIVEN
            and path.stem not in _ALREADY_THERE
            and _comes_from_elsewhere(path, folder)
        }

    def __call__(self, name, globals=None, locals=None, fromlist=(), level=0):
        importer = globals.get("__file__") if level == 0 and type(globals) is dict else None
        if type(importer) is not str or not importer.startswith(self._prefix):
            return self._original(name, globals, locals, fromlist, level)
        if name in self._shadowed:
            found = self._cache.get(name)
            return found if found is not None else _load(name, self._folder / f"{name}.py", self._cache)
        try:
            return self._original(name, globals, locals, fromlist, level)
        except ModuleNotFoundError as error:
            package = name.split(".")[0]
            if package == "google" and type(error.name) is str and error.name.startswith("google."):
                package = error.name
            if error.name != package or not _depth or self._is_caught():
                raise
        absent_packages.add(package)
        return _AbsentModule(package)

    def _is_caught(self):
        """Says whether some `try` or `with` of the submission's own is around the import that runs now."""
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename.startswith(self._prefix) and _is_guarded(frame):
                return True
            frame = frame.f_back
        return False


def _comes_from_elsewhere(path, folder):
    """Says whether `import name` would find another module than this file, outside the packages everybody needs."""
    name = path.stem
    if name in sys.stdlib_module_names:
        return True
    if name in sys.modules:
        return False  # numpy.py: whoever calls a file so has no numpy at home either
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None and (spec.origin is None or not spec.origin.startswith(f"{folder}/"))


# Packages that are not here ------------------------------------------------------------------------------------------

_depth = 0


class _importing:
    """While a script is being imported, calling something absent gives another absent thing; later it fails."""

    def __enter__(self):
        global _depth
        _depth += 1

    def __exit__(self, *_):
        global _depth
        _depth -= 1


def absent_sentence(package, folder):
    """Says that a package is not here, and what to do."""
    if package in ("google.colab", "google", "IPython", "ipywidgets"):
        return f"{package} exists only in notebooks; remove it from the script."
    return (
        f"{package} is not in requirements.txt, and no file {package}.py was handed in: the grader has only those "
        "packages. Hand the file in if it is yours, otherwise use numpy, Pillow or Keras for what is graded."
    )


def _is_guarded(frame):
    """Says whether an exception raised where a frame stands would be looked at in that frame: try, with.

    Source: the format of co_exceptiontable, Objects/exception_handling_notes.txt of CPython 3.11.
    """
    table, at = frame.f_code.co_exceptiontable, 0

    def number():
        nonlocal at
        value = table[at] & 63
        while table[at] & 64:
            at += 1
            value = value << 6 | table[at] & 63
        at += 1
        return value

    while at < len(table):
        start, length = number() * 2, number() * 2
        number()
        number()
        if start <= frame.f_lasti < start + length:
            return True
    return False


class _AbsentModule(types.ModuleType):
    """Stands in for a package that is not here, so that the functions that do without it are graded.

    Only for an import statement of the submission's own that nothing around it catches: whoever wrote
    `try: import cv2` / `except ImportError` has something better in mind. It is never in `sys.modules`, where a library
    would find it: matplotlib looks there for IPython.
    """

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(self.__name__, name)


class _Absent:
    """Stands in for something out of a package that is not here; whoever uses it hears so."""

    def __init__(self, package, name):
        self.__dict__.update(_package=package, _name=name)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(self._package, name)

    def __call__(self, *args, **options):
        if self._package == "tqdm" and args:
            return range(*args) if self._name == "trange" else args[0]  # it only draws a bar
        if not _depth:
            self._refuse()
        # @numba.njit: the plain function does the same more slowly.
        if len(args) == 1 and not options and isinstance(args[0], types.FunctionType):
            return args[0]
        return _Absent(self._package, self._name)

    def _refuse(self, *_, **__):
        raise ModuleNotFoundError(f"No module named {self._package!r}", name=self._package)

    def __mro_entries__(self, bases):
        return (type(self._name, (), {"__init__": self._refuse}),)

    __len__ = __iter__ = __getitem__ = __bool__ = __enter__ = __array__ = __float__ = __int__ = __index__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __abs__ = __fspath__ = __next__ = __contains__ = _refuse


# Sentences -----------------------------------------------------------------------------------------------------------


def advice(error, path, folder):
    """Says what to do about an error that honest scripts meet here and not at home.

    Args:
        error: BaseException, as the script raised it.
        path: Path of the script.
        folder: Path of the submission.

    Returns:
        str, a sentence or two, or `""`.
    """
    if isinstance(error, ModuleNotFoundError) and type(error.name) is str and error.name:
        return _about_module(error.name, folder)
    if isinstance(error, SyntaxError):
        return _about_syntax(error, path)
    if isinstance(error, NameError):
        return _about_name(error, path)
    if isinstance(error, EOFError):
        return "Nobody is at the keyboard when the script is graded: input() belongs under main()."
    if _is_network(error):
        return "The grader has no network: hand in what the script needs, or build it in the script."
    if isinstance(error, OSError) and _raised_in(error, "multiprocessing"):
        return "The grader shares no memory between processes: do the work in one process."
    if isinstance(error, RecursionError):
        return "A function calls itself without an end."
    return ""


def _about_module(name, folder):
    top = name.split(".")[0]
    if top in _GIVEN:
        return f"The module {name} is not there when a script is graded."
    if (folder / f"{top}.py").is_file() or (folder / top).is_dir():
        return ""
    if top in ("keras", "tensorflow") and top in sys.modules:
        return f"The module {name} is not part of Keras 3: see requirements.txt for the versions used here."
    return absent_sentence("google.colab" if name.startswith("google.") else top, folder)


def _source(path):
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_SOURCE_BYTES)
    except OSError:
        return b""


def _about_syntax(error, path):
    text = error.msg if type(error.msg) is str else ""
    line = error.text if type(error.text) is str else ""
    source = _source(path)
    if source[:2] in (b"\xff\xfe", b"\xfe\xff") or "null bytes" in text:
        return "The file is not saved as UTF-8 but perhaps as UTF-16: save it as UTF-8 in your editor."
    if "codec can't decode" in text or "Non-UTF-8" in text:
        return "The file is not saved as UTF-8 (Latin-1, perhaps): save it as UTF-8, or write letters such as ä as ae."
    if line.lstrip().startswith(("%", "!")) or (line.strip().startswith("?") or line.rstrip().endswith("?")):
        return "Lines that begin with % or ! work in a notebook only: remove them from the script."
    if source.startswith((b"<!DOCTYPE", b"<html", b"<HTML")):
        return "The file is a web page: download the script itself."
    if re.match(rb"(<<<<<<<|=======|>>>>>>>)", line.lstrip().encode("utf-8", "replace")):
        return "git left both versions of these lines in the file: keep one of them and remove the marks."
    if "call to 'print'" in text or "call to 'exec'" in text or "multiple exception types" in text:
        return "This is Python 2: in Python 3 print is a function, print(x)."
    if isinstance(error, TabError):
        return "Some lines are indented by tabs and some by spaces: let your editor convert tabs to spaces."
    if isinstance(error, IndentationError):
        return "Compare how far this line is indented with the lines around it."
    if "invalid character" in text or "invalid non-printable" in text:
        return "Such characters come from a word processor or a web page: type the quotes and dashes again."
    return ""


def _about_name(error, path):
    name = error.name if type(error.name) is str else ""
    if name in ("null", "true", "false") and b'"cells"' in _source(path)[:4000]:
        return "The file is a notebook (.ipynb) with another name: export it as a Python script."
    if name in ("get_ipython", "display"):
        return f"{name} exists in notebooks only: remove the line from the script."
    if name in ("unicode", "xrange", "raw_input", "basestring", "reduce", "unichr"):
        return f"{name} is Python 2: see requirements.txt for the version used here."
    return ""


def _is_network(error):
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return True
    kind = type(error)
    return kind in (ConnectionRefusedError,) or (
        kind.__module__ in ("socket", "urllib.error", "http.client", "requests.exceptions", "urllib3.exceptions")
        and kind.__name__ != "HTTPError"
    )


def _raised_in(error, package):
    step = error.__traceback__
    while step is not None:
        if f"/{package}/" in step.tb_frame.f_code.co_filename:
            return True
        step = step.tb_next
    return False
