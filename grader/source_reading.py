"""Reads Python source without running it: what would each expression be made of?

Every function is followed statement by statement, but with descriptions in place of values: `images / 255` becomes the
term `("op", "/", images, 255)`. Names are resolved through assignments, loops, comprehensions, imports between the
submission's own files, path joins, f-strings and calls of the submission's own functions, so that two differently
written programs that do the same thing come out as the same terms. `grader/findings.py` then asks questions of them.

The source may be hostile. Nothing of it runs, files and trees are limited in size, and a reading that takes more than
`MAX_STEPS` steps stops with `ReadingLimit`.
"""

import ast
import contextlib
import itertools
import posixpath
import warnings
from dataclasses import dataclass, field
from pathlib import Path

MAX_FILE_BYTES = 400_000
MAX_NODES = 40_000
MAX_DEPTH = 120  # of nested expressions and blocks; the reference has 14
MAX_STEPS = 150_000  # expressions and statements followed; the reference's three scripts take about 3,000
MAX_VISITS = 5_000_000  # terms looked at by all questions together, about three seconds
MAX_CALL_DEPTH = 8
MAX_UNROLLED = 16  # iterations of a loop over known values that are followed one by one
MAX_MODULES = 12

# Constructors whose result is filled in afterwards: two calls are two different things.
FRESH = {
    "zeros",
    "empty",
    "ones",
    "full",
    "zeros_like",
    "empty_like",
    "Sequential",
    "list",
    "dict",
    "set",
    "defaultdict",
}

OPERATORS = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.MatMult: "@",
}


class ReadingLimit(Exception):
    """The source is too large, too deep or too tangled to be read."""


class Term:
    """A description of a value. Equal descriptions are one object, so that `is` compares them.

    Kinds and their parts:
        const (type name, value) · name (dotted name of something imported or built in) · param (function, name) ·
        op (symbol, left, right) · unary (symbol, operand) · attr (base, name) · item (base, key) ·
        slice (start, stop, step) · seq (elements…) · list (number) · dict (number) · join (path, component) ·
        call (function, arguments, keywords, number) · comp (element, loop, conditions) · each (iterable, loop) ·
        index (loop) · carried (name, loop, value before) · phi (alternatives…) · function (number) · module (name) ·
        compare (symbols, operands) · unknown (number)
    """

    __slots__ = ("kind", "parts")

    def __init__(self, kind, parts):
        self.kind = kind
        self.parts = parts

    def __repr__(self):
        shown = [part.kind if isinstance(part, Term) else repr(part)[:40] for part in self.parts]  # one level only
        return f"{self.kind}({', '.join(shown)})"


@dataclass(frozen=True, eq=False)
class Event:
    """Something that the source does, where, and in which loops and branches.

    Attributes:
        kind: "call", "append", "store", "discard", "test" or "bind".
        run: `(module, name)`: the function that was followed from its start, "main" or "import".
        module: name of the file that holds the line, without `.py`.
        line: int, from 1.
        function: tuple of the names of functions around it, the innermost last.
        loops: tuple of loop numbers around it, the innermost last.
        branches: tuple of `(number of the if, which branch, its condition)`.
        terms: dict of what takes part, by role.
    """

    kind: str
    run: tuple
    module: str
    line: int
    function: tuple
    loops: tuple
    branches: tuple
    terms: dict


@dataclass
class Function:
    """A function of the submission, or a lambda."""

    number: int
    name: str
    node: ast.AST
    module: "Module"
    scope: dict | None  # of the function around it
    defaults: dict


@dataclass
class Module:
    """One file of the submission."""

    name: str
    path: Path
    tree: ast.Module | None
    lines: list
    scope: dict = field(default_factory=dict)


@dataclass
class Frame:
    """Where the reading stands inside one function."""

    module: Module
    scope: dict
    outer: dict | None = None
    function: tuple = ()
    loops: tuple = ()
    branches: tuple = ()
    returns: list = field(default_factory=list)
    stopped: bool = False
    global_names: set = field(default_factory=set)


def parse_source(data):
    """Parses source within the limits.

    Args:
        data: bytes of a Python file.

    Returns:
        `ast.Module`, or `None` if it is no Python that this version understands.

    Raises:
        ReadingLimit: more bytes, nodes or depth than a student's script can need.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ReadingLimit(f"{len(data):,} bytes, more than {MAX_FILE_BYTES:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes are the student's business
            tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return None
    except (RecursionError, MemoryError):
        raise ReadingLimit("nested too deeply to parse") from None
    num_nodes = 0
    pending = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        num_nodes += 1
        if num_nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ReadingLimit(f"more than {MAX_NODES:,} syntax nodes, or nested deeper than {MAX_DEPTH}")
        # A chain of elif is written flat but stored nested: it counts as one level.
        flat = isinstance(node, ast.If) and len(node.orelse) == 1
        for child in ast.iter_child_nodes(node):
            pending.append((child, depth + (not (flat and child is node.orelse[0]))))
    return tree


class Reader:
    """Follows the scripts of one folder.

    Args:
        folder: path of a folder with Python files.
        unroll: bool, whether loops over known values are followed one value at a time. Without, a loop's body is
            followed once with an unknown element, which keeps apart what one loop and the next have bound.

    Attributes:
        events: list of `Event`, in the order in which they would happen.
        results: dict from run to the `Term` that it returns.
        problems: list of str, files that could not be read.
    """

    def __init__(self, folder, unroll=True):
        self.folder = Path(folder)
        self.unroll = unroll
        self.events = []
        self.results = {}
        self.problems = []
        self.functions = []
        self.modules = {}
        self.loop_iterables = {}
        self.contents = {}  # list or dict term -> its elements
        self.open = set()  # lists that a loop of unknown length has filled
        self.stored = {}  # term -> terms stored into it or appended to it
        self.where = {}  # (run, term) -> (module, line) of the expression that made it first in that run
        self.guarded = {}  # phi after an if without else -> (its condition, what it is if that holds)
        self._terms = {}
        self._attributes = {}
        self._numbers = itertools.count(1)
        self._steps = 0
        self._visits = 0
        self._stack = []
        self._run = ("", "")

    # --- terms -----------------------------------------------------------------------------------------------------

    def term(self, kind, *parts):
        """Returns the one term with these parts."""
        key = (kind, *parts)
        found = self._terms.get(key)
        if found is None:
            found = self._terms[key] = Term(kind, parts)
        return found

    def const(self, value):
        """Returns the term of a known value."""
        return self.term("const", type(value).__name__, value)

    def unknown(self):
        """Returns a term that equals nothing else."""
        return self.term("unknown", next(self._numbers))

    def phi(self, *alternatives):
        """Returns what may be any of several terms."""
        flat = {}
        for alternative in alternatives:
            for term in alternative.parts if alternative.kind == "phi" else (alternative,):
                flat[term] = None
        if len(flat) == 1:
            return next(iter(flat))
        return self.term("phi", *flat) if len(flat) <= 40 else self.unknown()

    def new_list(self, elements, is_open=False):
        """Returns the term of a new list."""
        made = self.term("list", next(self._numbers))
        self.contents[made] = list(elements)
        if is_open:
            self.open.add(made)
        return made

    def elements(self, term):
        """Returns the elements of a tuple or of a list of known length, else `None`."""
        if term.kind == "seq":
            return list(term.parts)
        if term.kind == "list" and term not in self.open:
            return list(self.contents[term])
        return None

    def walk(self, term, skip=None, contents=True):
        """Yields a term and everything it is made of, each once.

        Args:
            term: `Term` to start at.
            skip: function of a term; where it returns true, the term is yielded but its parts are not.
            contents: bool, whether what was put into lists and arrays belongs to them.
        """
        seen = {term}
        pending = [term]
        while pending:
            current = pending.pop()
            self._visits += 1
            if self._visits > MAX_VISITS:
                raise ReadingLimit(f"more than {MAX_VISITS:,} terms to look at")
            yield current
            if skip is not None and skip(current):
                continue
            parts = _flat_parts(current.parts)
            if contents:
                inside = self.contents.get(current, ())
                parts += inside.values() if isinstance(inside, dict) else inside
                parts += self.stored.get(current, ())
            for part in parts:
                if part not in seen:
                    seen.add(part)
                    pending.append(part)

    # --- files -----------------------------------------------------------------------------------------------------

    def read(self, names):
        """Follows each of the named scripts: its top level, its `main`, and each function on its own.

        Args:
            names: module names, such as `["cnn", "transfer"]`; files that are absent are passed over.

        Raises:
            ReadingLimit: the whole takes too many steps.
        """
        for name in names:
            module = self.load(name)
            if module is None or module.tree is None:
                continue
            self._follow_main(module)
            for bound, term in list(module.scope.items()):
                if term.kind == "function" and bound != "main":
                    self._run = (name, bound)
                    self.results[self._run] = self.call_function(self.functions[term.parts[0]], None, None)

    def function_of(self, run):
        """Returns the `Function` that a run has followed, wherever it is written; `None` for "main" and "import"."""
        term = self.modules[run[0]].scope.get(run[1])
        return self.functions[term.parts[0]] if term is not None and term.kind == "function" else None

    def load(self, name):
        """Returns the module of one file of the folder, following its top level once; `None` if there is none."""
        if name in self.modules:
            return self.modules[name]
        path = self.folder / f"{name}.py"
        if not path.is_file() or path.is_symlink() or len(self.modules) >= MAX_MODULES:
            return None
        try:
            # One byte more than allowed tells a large file without reading all of it.
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            tree = parse_source(data)
        except (OSError, ReadingLimit) as problem:
            self.problems.append(f"{path.name}: {problem}")
            data, tree = b"", None
        module = Module(name, path, tree, data.decode("utf-8", "replace").splitlines())
        self.modules[name] = module
        if tree is not None:
            before, self._run = self._run, (name, "import")
            module.scope["__name__"] = self.const(name)
            module.scope["__file__"] = self.const(f"{name}.py")
            self._block(tree.body, Frame(module, module.scope))
            self._run = before
        return module

    def source_line(self, module, line):
        """Returns one line of source, stripped, `""` if there is none."""
        lines = self.modules[module].lines if module in self.modules else []
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def _follow_main(self, module):
        self._run = (module.name, "main")
        guards = [node for node in module.tree.body if isinstance(node, ast.If) and _is_main_guard(node.test)]
        frame = Frame(module, module.scope)
        for guard in guards:
            self._block(guard.body, frame)
        if not guards and "main" in module.scope and module.scope["main"].kind == "function":
            self.call_function(self.functions[module.scope["main"].parts[0]], [], {})

    # --- calls -----------------------------------------------------------------------------------------------------

    def call_function(self, function, arguments, keywords):
        """Follows a function of the submission.

        Args:
            function: `Function`.
            arguments: list of `Term`, or `None` to call it with its own parameters as unknowns.
            keywords: dict of `Term`.

        Returns:
            `Term` of what it returns.
        """
        node = function.node
        if function.number in self._stack or len(self._stack) >= MAX_CALL_DEPTH:
            return self.unknown()
        scope = self._bind_arguments(function, arguments, keywords)
        frame = Frame(function.module, scope, function.scope, tuple(self.functions[n].name for n in self._stack))
        frame.function += (function.name,)
        self._stack.append(function.number)
        try:
            if isinstance(node, ast.Lambda):
                return self._value(node.body, frame)
            self._block(node.body, frame)
        finally:
            self._stack.pop()
        return self.phi(*frame.returns) if frame.returns else self.const(None)

    def _bind_arguments(self, function, arguments, keywords):
        parameters = function.node.args
        names = [argument.arg for argument in (*parameters.posonlyargs, *parameters.args)]
        keyword_only = [argument.arg for argument in parameters.kwonlyargs]
        others = [argument.arg for argument in (parameters.vararg, parameters.kwarg) if argument is not None]
        scope = {}
        if arguments is None:
            for name in (*names, *keyword_only, *others):
                scope[name] = self.term("param", function.name, name)
            return scope
        starred = any(argument.kind == "unary" and argument.parts[0] == "*" for argument in arguments)
        if starred:
            spread = []
            for argument in arguments:
                inside = None
                if argument.kind == "unary" and argument.parts[0] == "*":
                    inside = self.elements(argument.parts[1])
                    if inside is None:
                        spread += [self.term("item", argument.parts[1], self.const(i)) for i in range(len(names))]
                        break
                spread += inside if inside is not None else [argument]
            arguments = spread
        scope.update(zip(names, arguments, strict=False))
        scope.update({name: term for name, term in keywords.items() if name in names or name in keyword_only})
        for name in (*names, *keyword_only):
            if name not in scope:
                scope[name] = function.defaults.get(name) or self.unknown()
        for name in others:
            scope[name] = self.unknown()
        if parameters.vararg is not None:
            scope[parameters.vararg.arg] = self.term("seq", *arguments[len(names) :])
        return scope

    def _apply(self, function, arguments, keywords, frame, line):
        """Returns the term of a call, following the submission's own functions."""
        if function.kind == "function":
            result = self.call_function(self.functions[function.parts[0]], arguments, keywords)
        elif function.kind == "call" and dotted_name(function.parts[0]).endswith("partial") and function.parts[1]:
            first, *given = function.parts[1]
            return self._apply(first, given + arguments, {**dict(function.parts[2]), **keywords}, frame, line)
        else:
            result = self._known_call(function, arguments, keywords, frame, line)
        self._event("call", frame, line, function=function, arguments=arguments, keywords=keywords, result=result)
        return result

    def _known_call(self, function, arguments, keywords, frame, line):
        name = dotted_name(function)
        last = name.rpartition(".")[2]
        if function.kind == "attr":
            base, method = function.parts
            if method in ("append", "add", "insert", "extend") and (arguments or keywords):
                value = arguments[-1] if arguments else next(iter(keywords.values()))
                self._append(base, value, frame, line, many=method == "extend")
                return self.const(None)
            if method in ("items", "values", "keys") and base in self.contents and base.kind == "dict":
                known = self.contents[base]
                made = {
                    "items": [self.term("seq", key, value) for key, value in known.items()],
                    "values": list(known.values()),
                    "keys": list(known),
                }
                return self.new_list(made[method])
            if method == "setdefault" and base.kind == "dict" and arguments:
                return self._set_default(base, *arguments[:2])
            if method == "get" and base.kind == "dict" and arguments:
                return self._item(base, arguments[0])
        if name in ("list", "tuple") and len(arguments) == 1:
            known = self.elements(arguments[0])
            if known is not None:
                return self.new_list(known)
            if arguments[0].kind in ("comp", "list"):
                return arguments[0]
        if name == "list" and not arguments:
            return self.new_list([])
        if name == "dict" and not arguments:
            made = self.term("dict", next(self._numbers))
            self.contents[made] = {self.const(key): value for key, value in keywords.items()}
            return made
        if name == "map" and len(arguments) >= 2:
            loop = next(self._numbers)
            self.loop_iterables[loop] = arguments[1]
            inner = Frame(frame.module, frame.scope, frame.outer, frame.function, (*frame.loops, loop), frame.branches)
            each = [self.term("each", iterable, loop) for iterable in arguments[1:]]
            return self.term("comp", self._apply(arguments[0], each, {}, inner, line), loop, ())
        number = next(self._numbers) if last in FRESH else 0
        made = self.term("call", function, tuple(arguments), tuple(sorted(keywords.items())), number)
        if last == "Sequential":
            layers = arguments[0] if arguments else keywords.get("layers")
            known = self.elements(layers) if layers is not None else []
            self.stored[made] = known if known is not None else [self.unknown()]
        for given in (*arguments, *keywords.values()):
            if given.kind == "function":  # np.apply_along_axis(scale, 1, images), dataset.map(lambda x, y: …)
                others = [base] if function.kind == "attr" and (base := function.parts[0]) else []
                others += [other for other in arguments if other.kind not in ("function", "const")]
                inner = self.functions[given.parts[0]]
                loop = next(self._numbers)
                self.loop_iterables[loop] = others[0] if others else None
                each = [self.term("each", other, loop) for other in others[:1]] * len(inner.node.args.args)
                self.stored.setdefault(made, []).append(self.call_function(inner, each or None, {}))
        if "out" in keywords:
            self.stored.setdefault(keywords["out"], []).append(made)
        return made

    def _set_default(self, base, key, default=None):
        """Returns what `base.setdefault(key, default)` does, after which the dict has that key."""
        known = self.contents[base]
        if key not in known:
            known[key] = default if default is not None else self.const(None)
            if key.kind != "const":
                self.open.add(base)
                self.stored.setdefault(base, []).append(key)
        return known[key]

    def _append(self, base, value, frame, line, many=False):
        if many:
            known = self.elements(value)
            for element in known if known is not None else [self.term("item", value, self.unknown())]:
                self._append(base, element, frame, line)
            return
        if base.kind == "list":
            self.contents[base].append(value)
            if frame.loops or frame.branches:
                self.open.add(base)
        else:
            self.stored.setdefault(base, []).append(value)
        # Whether it is put there depends on the conditions around it.
        self.stored.setdefault(base, []).extend(condition for _, _, condition in frame.branches)
        self._event("append", frame, line, list=base, value=value)

    # --- statements ------------------------------------------------------------------------------------------------

    def _event(self, kind, frame, line, **terms):
        self.events.append(
            Event(kind, self._run, frame.module.name, line, frame.function, frame.loops, frame.branches, terms)
        )

    def _step(self, cost=1):
        self._steps += cost
        if self._steps > MAX_STEPS:
            raise ReadingLimit(f"more than {MAX_STEPS:,} steps")

    def _block(self, statements, frame):
        for statement in statements:
            if frame.stopped:
                return
            self._step()
            handler = getattr(self, f"_do_{type(statement).__name__}", None)
            if handler is not None:
                handler(statement, frame)

    def _do_Expr(self, node, frame):
        value = self._value(node.value, frame)
        self._event("discard", frame, node.lineno, value=value)

    def _do_Assign(self, node, frame):
        value = self._value(node.value, frame)
        for target in node.targets:
            self._bind(target, value, frame)

    def _do_AnnAssign(self, node, frame):
        if node.value is not None:
            self._bind(node.target, self._value(node.value, frame), frame)

    def _do_AugAssign(self, node, frame):
        symbol = OPERATORS.get(type(node.op), "?")
        current = self._value(_as_load(node.target), frame)
        value = self._value(node.value, frame)
        known = self.elements(value)
        base = current
        while base.kind == "carried":
            base = base.parts[2]
        if symbol == "+" and base.kind == "list" and known is not None:
            for element in known:
                self._append(base, element, frame, node.lineno)
            self._bind(node.target, base, frame)
            return
        made = self._operation(symbol, current, value)
        self.where.setdefault((self._run, made), (frame.module.name, node.lineno))
        self._bind(node.target, made, frame)

    def _do_Return(self, node, frame):
        frame.returns.append(self._value(node.value, frame) if node.value is not None else self.const(None))
        frame.stopped = True

    def _do_Raise(self, node, frame):
        frame.stopped = True

    _do_Continue = _do_Break = _do_Raise

    def _do_Global(self, node, frame):
        frame.global_names.update(node.names)

    def _do_FunctionDef(self, node, frame):
        self._define(node.name, self._function(node, node.name, frame), frame)

    _do_AsyncFunctionDef = _do_FunctionDef

    def _do_ClassDef(self, node, frame):
        inner = Frame(frame.module, {}, frame.scope if frame.function else None, frame.function)
        self._block([statement for statement in node.body if isinstance(statement, ast.FunctionDef)], inner)
        self._define(node.name, self.term("name", f"{frame.module.name}.{node.name}"), frame)

    def _do_Import(self, node, frame):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            if self.load(alias.name) is not None:
                self._define(alias.asname or first, self.term("module", alias.name), frame)
            else:
                self._define(alias.asname or first, self.term("name", alias.name if alias.asname else first), frame)

    def _do_ImportFrom(self, node, frame):
        source = node.module or ""
        module = self.load(source) if "." not in source else None
        for alias in node.names:
            if module is not None:
                if alias.name == "*":
                    frame.scope.update({k: v for k, v in module.scope.items() if not k.startswith("_")})
                else:
                    self._define(alias.asname or alias.name, module.scope.get(alias.name) or self.unknown(), frame)
            else:
                self._define(alias.asname or alias.name, self.term("name", f"{source}.{alias.name}"), frame)

    def _do_If(self, node, frame):
        if frame.module.tree is not None and _is_main_guard(node.test):
            return
        test = self._value(node.test, frame)
        self._event("test", frame, node.lineno, condition=test)
        truth = _truth(test)
        if truth is not None:
            self._block(node.body if truth else node.orelse, frame)
            return
        number = next(self._numbers)
        self._step(len(frame.scope) // 20)  # copying names is work too
        before, branches = frame.scope, frame.branches
        before_terms = dict(before)
        ends = []
        for which, statements in enumerate((node.body, node.orelse)):
            frame.scope = dict(before)
            frame.branches = (*branches, (number, which, test))
            frame.stopped = False
            self._block(statements, frame)
            ends.append((frame.scope, frame.stopped))
        frame.branches = branches
        frame.stopped = all(stopped for _, stopped in ends)
        frame.scope = before
        going_on = [scope for scope, stopped in ends if not stopped] or [scope for scope, _ in ends]
        self._merge(frame.scope, going_on)
        if not node.orelse and not ends[0][1]:
            for name, inside in ends[0][0].items():
                if frame.scope.get(name) is not before_terms.get(name) and inside is not before_terms.get(name):
                    self.guarded[frame.scope[name]] = (test, inside)

    def _merge(self, scope, ends):
        """Updates `scope` in place (functions keep a reference to it) with what several paths have left."""
        for name in {name for end in ends for name in end}:
            terms = [end[name] for end in ends if name in end]
            if len(terms) < len(ends) and name in scope:
                terms.append(scope[name])
            scope[name] = self.phi(*terms)

    def _do_For(self, node, frame):
        iterable = self._value(node.iter, frame)
        values = self._known_iteration(iterable)
        if values is not None:
            for value in values:
                self._bind(node.target, value, frame)
                self._block(node.body, frame)
                frame.stopped = False
        else:
            self._loop(node, iterable, frame)
        self._block(node.orelse, frame)

    _do_AsyncFor = _do_For

    def _do_While(self, node, frame):
        self._loop(node, None, frame)

    def _loop(self, node, iterable, frame):
        loop = next(self._numbers)
        self._step(len(frame.scope) // 20)
        self.loop_iterables[loop] = iterable
        before = dict(frame.scope)
        for name in _assigned_names(node.body):
            frame.scope[name] = self.term("carried", name, loop, before.get(name) or self.const(None), name in before)
        loops = frame.loops
        frame.loops = (*loops, loop)
        if iterable is None:
            self._event("test", frame, node.lineno, condition=self._value(node.test, frame))
        else:
            self._bind(node.target, self._element(iterable, loop), frame)
        self._block(node.body, frame)
        frame.loops, frame.stopped = loops, False
        after = dict(frame.scope)
        self._merge(frame.scope, [{k: v for k, v in before.items() if k in after}, after])

    def _do_With(self, node, frame):
        for item in node.items:
            value = self._value(item.context_expr, frame)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, value, frame)
        self._block(node.body, frame)

    _do_AsyncWith = _do_With

    def _do_Try(self, node, frame):
        self._step(len(frame.scope) // 20)
        before = dict(frame.scope)
        branches = frame.branches
        number = next(self._numbers)
        frame.branches = (*branches, (number, 0, self.term("name", "try")))
        self._block(node.body, frame)
        self._block(node.orelse, frame)
        frame.branches = branches
        ends = [(dict(frame.scope), frame.stopped)]
        for handler in node.handlers:
            frame.scope.update(before)
            frame.stopped = False
            self._block(handler.body, frame)
            ends.append((dict(frame.scope), frame.stopped))
        frame.stopped = all(stopped for _, stopped in ends)
        self._merge(frame.scope, [scope for scope, stopped in ends if not stopped] or [scope for scope, _ in ends])
        self._block(node.finalbody, frame)

    _do_TryStar = _do_Try

    def _define(self, name, term, frame):
        if name in frame.global_names:
            frame.module.scope[name] = term
        else:
            frame.scope[name] = term

    def _bind(self, target, value, frame):
        if isinstance(target, ast.Name):
            self._define(target.id, value, frame)
            self._event("bind", frame, target.lineno, name=target.id, value=value)
        elif isinstance(target, ast.Tuple | ast.List):
            known = self.elements(value)
            starred = any(isinstance(part, ast.Starred) for part in target.elts)
            for index, part in enumerate(target.elts):
                if known is not None and len(known) == len(target.elts) and not starred:
                    element = known[index]
                elif value.kind == "comp" or starred:
                    element = self.term("item", value, self.const(index))
                else:
                    element = self._item(value, self.const(index))
                self._bind(part.value if isinstance(part, ast.Starred) else part, element, frame)
        elif isinstance(target, ast.Subscript):
            base, key = self._value(target.value, frame), self._value(target.slice, frame)
            if base.kind == "dict":
                self.contents[base][key] = value
                if frame.loops:
                    self.open.add(base)
            else:
                root = base
                conditions = [condition for _, _, condition in frame.branches]
                while True:
                    self.stored.setdefault(root, []).extend([value, *conditions])
                    if root.kind not in ("each", "item", "carried"):
                        break
                    root = root.parts[2] if root.kind == "carried" else root.parts[0]
            self._event("store", frame, target.lineno, base=base, key=key, value=value)
        elif isinstance(target, ast.Attribute):
            self._attributes[self._value(target.value, frame), target.attr] = value

    # --- expressions -----------------------------------------------------------------------------------------------

    def _value(self, node, frame):
        self._step()
        handler = getattr(self, f"_of_{type(node).__name__}", None)
        if handler is None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._value(child, frame)
            return self.unknown()
        made = handler(node, frame)
        if made.kind in ("op", "call", "compare", "item"):
            self.where.setdefault((self._run, made), (frame.module.name, node.lineno))
        return made

    def _of_Constant(self, node, frame):
        return self.const(node.value)

    def _of_Name(self, node, frame):
        for scope in (frame.scope, frame.outer, frame.module.scope):
            if scope is not None and node.id in scope:
                return scope[node.id]
        return self.term("name", node.id)

    def _of_Attribute(self, node, frame):
        base = self._value(node.value, frame)
        if (base, node.attr) in self._attributes:
            return self._attributes[base, node.attr]
        if base.kind == "name":
            return self.term("name", f"{base.parts[0]}.{node.attr}")
        if base.kind == "module":
            return self.modules[base.parts[0]].scope.get(node.attr) or self.unknown()
        return self.term("attr", base, node.attr)

    def _of_Call(self, node, frame):
        function = self._value(node.func, frame)
        arguments = [self._value(argument, frame) for argument in node.args]
        keywords = {}
        for keyword in node.keywords:
            value = self._value(keyword.value, frame)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif value.kind == "dict":
                keywords |= {k.parts[1]: v for k, v in self.contents[value].items() if k.kind == "const"}
        keywords = {name: value for name, value in keywords.items() if isinstance(name, str)}
        result = self._apply(function, arguments, keywords, frame, node.lineno)
        out = next((keyword.value for keyword in node.keywords if keyword.arg == "out"), None)
        if isinstance(out, ast.Name):
            self._define(out.id, result, frame)
        return result

    def _of_Starred(self, node, frame):
        return self.term("unary", "*", self._value(node.value, frame))

    def _of_BinOp(self, node, frame):
        left, right = self._value(node.left, frame), self._value(node.right, frame)
        return self._operation(OPERATORS.get(type(node.op), "?"), left, right)

    def _operation(self, symbol, left, right):
        if left.kind == right.kind == "const":
            folded = _fold(symbol, left.parts[1], right.parts[1])
            if folded is not None:
                return self.const(folded)
        return self.term("op", symbol, left, right)

    def _of_UnaryOp(self, node, frame):
        operand = self._value(node.operand, frame)
        symbol = type(node.op).__name__
        if symbol == "USub" and operand.kind == "const" and isinstance(operand.parts[1], int | float):
            return self.const(-operand.parts[1])
        return self.term("unary", symbol, operand)

    def _of_BoolOp(self, node, frame):
        operands = [self._value(value, frame) for value in node.values]
        return self.phi(*operands) if isinstance(node.op, ast.Or) else self.term("compare", ("and",), tuple(operands))

    def _of_Compare(self, node, frame):
        operands = [self._value(value, frame) for value in (node.left, *node.comparators)]
        symbols = tuple(type(op).__name__ for op in node.ops)
        if len(operands) == 2 and operands[0].kind == operands[1].kind == "const" and symbols[0] in ("Eq", "NotEq"):
            return self.const((operands[0] is operands[1]) == (symbols[0] == "Eq"))
        return self.term("compare", symbols, tuple(operands))

    def _of_IfExp(self, node, frame):
        test = self._value(node.test, frame)
        self._event("test", frame, node.lineno, condition=test)
        truth = _truth(test)
        if truth is not None:
            return self._value(node.body if truth else node.orelse, frame)
        return self.phi(self._value(node.body, frame), self._value(node.orelse, frame))

    def _of_NamedExpr(self, node, frame):
        value = self._value(node.value, frame)
        self._bind(node.target, value, frame)
        return value

    def _of_Tuple(self, node, frame):
        elements = []
        for part in node.elts:
            value = self._value(part, frame)
            inside = self.elements(value.parts[1]) if isinstance(part, ast.Starred) else None
            elements += inside if inside is not None else [value]
        return self.term("seq", *elements)

    def _of_List(self, node, frame):
        return self.new_list(self._of_Tuple(node, frame).parts)

    def _of_Set(self, node, frame):
        return self.term("call", self.term("name", "set"), (self._of_List(node, frame),), (), 0)

    def _of_Dict(self, node, frame):
        made = self.term("dict", next(self._numbers))
        self.contents[made] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            value = self._value(value, frame)
            self.contents[made][self._value(key, frame) if key is not None else self.unknown()] = value
        return made

    def _of_JoinedStr(self, node, frame):
        parts = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                parts.append(self._value(part.value, frame))
            else:
                parts.append(self._value(part, frame))
        made = self.const("")
        for part in parts:
            if part.kind == "const" and not isinstance(part.parts[1], str):
                part = self.const(str(part.parts[1])[:1000])
            made = part if made is self.const("") else self._operation("+", made, part)
        return made

    def _of_Lambda(self, node, frame):
        return self._function(node, "<lambda>", frame)

    def _of_Subscript(self, node, frame):
        return self._item(self._value(node.value, frame), self._value(node.slice, frame))

    def _of_Slice(self, node, frame):
        ends = [
            self._value(end, frame) if end is not None else self.const(None)
            for end in (node.lower, node.upper, node.step)
        ]
        return self.term("slice", *ends)

    def _item(self, base, key):
        if base.kind == "dict" and base in self.contents and key in self.contents[base]:
            return self.contents[base][key]
        known = self.elements(base)
        if known is not None and key.kind == "const" and isinstance(key.parts[1], int):
            if -len(known) <= key.parts[1] < len(known):
                return known[key.parts[1]]
        if base.kind == "phi" and all(part.kind == "seq" for part in base.parts):
            return self.phi(*(self._item(part, key) for part in base.parts))
        return self.term("item", base, key)

    def _of_ListComp(self, node, frame):
        return self._comprehension(node, [node.elt], frame)

    _of_GeneratorExp = _of_ListComp

    def _of_SetComp(self, node, frame):
        return self.term("call", self.term("name", "set"), (self._of_ListComp(node, frame),), (), 0)

    def _of_DictComp(self, node, frame):
        made = self._comprehension(node, [node.key, node.value], frame)
        known = self.elements(made)
        if known is None:
            return made
        result = self.term("dict", next(self._numbers))
        self.contents[result] = {pair.parts[0]: pair.parts[1] for pair in known if pair.kind == "seq"}
        return result

    def _comprehension(self, node, elements, frame):
        inner = Frame(
            frame.module,
            dict(frame.scope),
            frame.outer,
            frame.function,
            frame.loops,
            frame.branches,
            global_names=frame.global_names,
        )

        def element():
            terms = [self._value(part, inner) for part in elements]
            return terms[0] if len(terms) == 1 else self.term("seq", *terms)

        self._step(len(frame.scope) // 20)
        first = node.generators[0]
        iterable = self._value(first.iter, inner)
        values = self._known_iteration(iterable)
        if values is not None and len(node.generators) == 1 and not first.ifs:
            made = []
            for value in values:
                self._bind(first.target, value, inner)
                made.append(element())
            return self.new_list(made)
        conditions = []
        loop = None
        for generator in node.generators:
            if generator is not first:
                iterable = self._value(generator.iter, inner)
            loop = next(self._numbers)
            self.loop_iterables[loop] = iterable
            inner.loops = (*inner.loops, loop)
            self._bind(generator.target, self._element(iterable, loop), inner)
            for condition in generator.ifs:
                conditions.append(self._value(condition, inner))
                self._event("test", inner, node.lineno, condition=conditions[-1])
        value = element()
        made = self.term("comp", value, loop, tuple(conditions))
        self._event("append", inner, node.lineno, list=made, value=value)
        return made

    def _function(self, node, name, frame):
        parameters = node.args
        defaults = {}
        positional = [*parameters.posonlyargs, *parameters.args]
        for argument, default in zip(positional[::-1], parameters.defaults[::-1], strict=False):
            defaults[argument.arg] = self._value(default, frame)
        for argument, default in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True):
            if default is not None:
                defaults[argument.arg] = self._value(default, frame)
        number = len(self.functions)
        self.functions.append(
            Function(number, name, node, frame.module, frame.scope if frame.function else None, defaults)
        )
        return self.term("function", number)

    # --- loops -----------------------------------------------------------------------------------------------------

    def _known_iteration(self, iterable):
        """Returns the list of values that a loop takes, or `None` if they are unknown or too many."""
        if not self.unroll:
            return None
        values = self.elements(iterable)
        if values is None and iterable.kind == "dict" and iterable not in self.open:
            values = list(self.contents[iterable])
        if values is None and iterable.kind == "call":
            name, arguments = dotted_name(iterable.parts[0]), iterable.parts[1]
            inside = [self.elements(argument) for argument in arguments]
            if name == "enumerate" and inside and inside[0] is not None:
                values = [self.term("seq", self.const(i), value) for i, value in enumerate(inside[0])]
            elif name == "zip" and inside and all(part is not None for part in inside):
                values = [self.term("seq", *row) for row in zip(*inside, strict=False)]
            elif name in ("sorted", "reversed") and inside and inside[0] is not None:
                values = inside[0]
        return values if values is not None and len(values) <= MAX_UNROLLED else None

    def _element(self, iterable, loop):
        """Returns what a loop over an unknown iterable binds in one iteration."""
        if iterable.kind == "call":
            name, arguments = dotted_name(iterable.parts[0]), iterable.parts[1]
            if name == "enumerate" and arguments:
                return self.term("seq", self.term("index", loop), self._element(arguments[0], loop))
            if name == "zip":
                return self.term("seq", *(self._element(argument, loop) for argument in arguments))
            if name == "range":
                return self.term("index", loop, iterable)
            if name.endswith("tqdm") and arguments:
                return self._element(arguments[0], loop)
        return self.term("each", iterable, loop)


# --- helpers ---------------------------------------------------------------------------------------------------------


def dotted_name(term):
    """Returns the dotted name of a function's term; a method is `".method"`; `""` if it has none.

    TensorFlow's copy of Keras counts as Keras.
    """
    if term.kind == "name":
        name = term.parts[0]
        for prefix in ("tensorflow.keras", "tensorflow.python.keras", "tf_keras", "tf.keras"):
            if name == prefix or name.startswith(prefix + "."):
                return "keras" + name[len(prefix) :]
        return name
    if term.kind == "attr":
        return f".{term.parts[1]}"
    return ""


def constant(term):
    """Returns the value of a constant term, else `None`."""
    return term.parts[1] if term is not None and term.kind == "const" else None


def call_name(term):
    """Returns the last component of the name of the function that a call term calls, else `""`."""
    return dotted_name(term.parts[0]).rpartition(".")[2] if term.kind == "call" else ""


def call_arguments(term):
    """Returns all arguments of a call, with the object of a method call first."""
    function, arguments, keywords, _ = term.parts
    values = [*arguments, *(value for _, value in keywords)]
    return [function.parts[0], *values] if function.kind == "attr" else values


def canonical_path(reader, term):
    """Returns the term of a path with all ways of joining written as one.

    `Path("photos") / "test"`, `os.path.join("./photos", "test/")` and `f"photos/{name}"` come out the same.
    """
    value = constant(term)
    if isinstance(value, str):
        return reader.const(posixpath.normpath(value.replace("\\", "/")) if value else ".")
    if term.kind == "call":
        name, arguments = call_name(term), call_arguments(term)
        if name in ("Path", "PurePath", "PosixPath", "join", "joinpath") and arguments:
            made = canonical_path(reader, arguments[0])
            for part in arguments[1:]:
                made = _join(reader, made, canonical_path(reader, part))
            return made
        simple = {"str", "fspath", "resolve", "absolute", "expanduser", "abspath", "normpath", "realpath", "as_posix"}
        if name in simple and len(arguments) == 1:
            return canonical_path(reader, arguments[0])
        if name == "dirname" and len(arguments) == 1:
            return _parent(reader, canonical_path(reader, arguments[0]))
    if term.kind == "op" and term.parts[0] == "/":
        return _join(reader, canonical_path(reader, term.parts[1]), canonical_path(reader, term.parts[2]))
    if term.kind == "op" and term.parts[0] == "+":
        left, right = term.parts[1:]
        ending, start = constant(left), constant(right)
        if left.kind == "op" and left.parts[0] == "+":
            ending = constant(left.parts[2])
        if isinstance(start, str) and start.startswith(("/", "\\")):
            return _join(reader, canonical_path(reader, left), canonical_path(reader, reader.const(start[1:])))
        if isinstance(ending, str) and ending.endswith(("/", "\\")):
            if left.kind == "op":
                rest = ending[:-1]
                left = reader.term("op", "+", left.parts[1], reader.const(rest)) if rest else left.parts[1]
            return _join(reader, canonical_path(reader, left), canonical_path(reader, right))
    if term.kind == "attr" and term.parts[1] == "parent":
        return _parent(reader, canonical_path(reader, term.parts[0]))
    return term


def _join(reader, base, part):
    head, tail = constant(base), constant(part)
    if isinstance(tail, str):
        if tail == ".":
            return base
        if isinstance(head, str):
            return reader.const(posixpath.normpath(posixpath.join(head, tail)))
        first, _, rest = tail.partition("/")
        base = _parent(reader, base) if first == ".." else reader.term("join", base, reader.const(first))
        return _join(reader, base, reader.const(rest)) if rest else base
    return reader.term("join", base, part)


def _parent(reader, path):
    value = constant(path)
    if isinstance(value, str):
        return reader.const(posixpath.dirname(value) or ".")
    return path.parts[0] if path.kind == "join" else reader.term("attr", path, "parent")


def _flat_parts(parts):
    flat = []
    for part in parts:
        if isinstance(part, Term):
            flat.append(part)
        elif isinstance(part, tuple):
            flat += _flat_parts(part)
    return flat


def _assigned_names(statements):
    names = {}
    pending = list(statements)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = None
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef | ast.ListComp | ast.GeneratorExp):
            pending.extend(ast.iter_child_nodes(node))
    return names


def _as_load(target):
    made = ast.parse(ast.unparse(target), mode="eval").body
    for node in ast.walk(made):
        if hasattr(node, "lineno"):
            node.lineno = target.lineno
    return made


def _is_main_guard(test):
    if not (isinstance(test, ast.Compare) and len(test.comparators) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)


def _truth(term):
    if term.kind == "const" and isinstance(term.parts[1], bool | int | type(None)):
        return bool(term.parts[1])
    return None


def _fold(symbol, left, right):
    """Computes with two known values where the result is small; `None` where it cannot."""
    if isinstance(left, str) and isinstance(right, str):
        return left + right if symbol == "+" and len(left) + len(right) < 2000 else None
    numbers = (int, float)
    if not isinstance(left, numbers) or not isinstance(right, numbers) or max(abs(left), abs(right)) > 1e12:
        return None
    with contextlib.suppress(ArithmeticError):
        if symbol == "+":
            return left + right
        if symbol == "-":
            return left - right
        if symbol == "*":
            return left * right
        if symbol == "/":
            return left / right
        if symbol == "//":
            return left // right
    return None
