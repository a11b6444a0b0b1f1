"""Reads tests that are Python source: whether they can be judged from another process, and what their names mean.

*Separate*: calls with plain values, comparisons of plain values. The program never sees an expected value. *Same process*:
tests that touch identity, aliasing after a call, classes, exceptions' attributes, captured output, globals, frameworks: what
does not survive a copy. The rule reads the tests alone, and errs on the side of the same process, where the verdict is the
plain interpreter's by construction.

    judge_of(("assert f(1) == 2",))           # "separate"
    judge_of(("assert f(1) is f(1)",))        # "same process"
"""

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache

from evoltune.sandbox.trees import parse, walk

SEPARATE, SAME_PROCESS = "separate", "same process"
NEEDS_SAME_PROCESS = "needs_same_process"
"""Key in the evidence of a test runner whose tests met a value that is not plain."""
MAX_STEPS = 10_000
"""Assertions with each of which the secret of a job in one process moves on."""
PROGRAM_MODULES = frozenset(
    "solution candidate program submission answer main_solution your_module my_module your_solution".split()
)
"""Module names under which tests import from the program."""
_PROGRAM_IMPORT = re.compile(
    rf"^[ \t]*from (?:{'|'.join(sorted(PROGRAM_MODULES))}) import (?:\*|\w+(?: *, *\w+)*)[ \t]*$", re.M
)
_VALUE_MODULES = frozenset(
    "math cmath typing itertools collections fractions decimal string datetime functools operator re copy".split()
)
"""Modules whose functions and values are the same on both sides."""
_READERS = frozenset(
    "index count keys values items get union intersection difference split rsplit splitlines join strip lstrip rstrip lower upper title "
    "capitalize replace find isdigit isalpha isupper islower isalnum startswith endswith copy tolist format zfill".split()
)
"""Methods that change nothing, of plain values."""
_BUILTINS = frozenset(
    "abs all any bool bytes complex dict divmod enumerate filter float frozenset int len list map max min pow print range reversed round "
    "set sorted str sum tuple zip".split()
)
_MUTATORS = frozenset(
    "append extend insert remove pop clear sort reverse update add discard setdefault popitem appendleft popleft extendleft rotate "
    "move_to_end subtract write close send throw".split()
)
_EXCEPTIONS = frozenset(n for n, v in vars(builtins).items() if isinstance(v, type) and issubclass(v, Exception))
_ENTRY_NAMES = frozenset({"candidate"})


@lru_cache(maxsize=256)
def judge_of(sources: tuple[str, ...]) -> str:
    """SEPARATE or SAME_PROCESS."""
    if all(map(_are_plain_asserts, sources)):
        return SEPARATE
    tree = _parsed("\n".join(sources))
    if tree is None or not _Values(tree).allow():
        return SAME_PROCESS
    return SEPARATE


_TEXT = re.compile(r"""'[^'\n\\]*'|"[^"\n\\]*"|\#[^\n]*""")
_HEAD = re.compile(
    rf"^METADATA = \{{[^{{}}]*\}}|^from (?:{'|'.join(sorted(_VALUE_MODULES))}) import \w+(?:, *\w+)*$|^import (?:{'|'.join(sorted(_VALUE_MODULES))})$",
    re.M,
)
_FLOAT = re.compile(r"(?<![\w.])\d*\.\d+|\b\d+\.(?!\w)")
_OTHER = re.compile(r"[^\w\s()\[\]{},:+*/%<>=!-]|(?<![=!<>])=(?!=)|\bdef (?!check\(candidate\):)")
"""What plain asserts do not hold: other signs, assignments, other functions."""
_WORD = re.compile(r"\b[^\W\d]\w*\b(?: *\()?")
_PLAIN_WORDS = frozenset({"assert", "def", "True", "False", "None", "not", "in", "and", "or", "candidate"})


def _constant(found: re.Match[str]) -> str:
    return "" if found[0][0] == "#" else "0"


def _are_plain_asserts(source: str) -> bool:
    """Whether tests are asserts of calls with literals, at most inside `def check(candidate)`. Told by the text:
    a syntax tree takes a fifth as long as a program runs, and most tests are such."""
    if "\\" in source or '"""' in source or "'''" in source:
        return False
    text = _FLOAT.sub("0", _HEAD.sub("", _TEXT.sub(_constant, source)))
    if _OTHER.search(text):
        return False
    for word in _WORD.findall(text):
        name = word.rstrip("( ")
        if word[-1] != "(":
            if name not in _PLAIN_WORDS:
                return False
        elif name not in _PLAIN_WORDS and name not in _BUILTINS and hasattr(builtins, name):
            return False
    return True


def without_program_imports(source: str) -> str:
    """The tests without their imports from the program, whose names they are given anyway."""
    return (
        _PROGRAM_IMPORT.sub(lambda found: re.sub(r"\S.*", "pass", found[0]), source) if "import" in source else source
    )


_parsed = lru_cache(maxsize=256)(parse)
"""For trees that nobody changes."""


@lru_cache(maxsize=256)
def asserts_nothing(sources: tuple[str, ...]) -> bool:
    """Whether no statement of the tests could fail for what the program does."""
    if all(map(_are_plain_asserts, sources)) and "assert" in sources[0]:
        return False
    tree = _parsed("\n".join(sources))
    return tree is not None and not any(isinstance(n, ast.Assert | ast.Raise) or _asserting_call(n) for n in walk(tree))


def _asserting_call(node: ast.AST) -> bool:
    name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    return str(name).startswith(
        ("assert", "raises", "Raises", "warns", "deprecated_call", "fail", "exit", "_exit", "quit")
    )


def own_meanings(sources: Sequence[str], program: str, entry: str) -> set[str]:
    """Names of built-ins that the program defines and that tests mean as the program's: the function under test; one that is
    called with plain arguments only; any, where the tests call nothing else of the program. Elsewhere (`abs(f(1) - 2)`) tests
    judge by a built-in, which stays the interpreter's."""
    defined = {*re.findall(r"^(?:async\s+def|def|class)\s+(\w+)", program, re.M)} | {
        *re.findall(r"^(\w+)\s*(?::[^=\n]+)?=[^=]", program, re.M)
    }
    taken = {name for name in defined if hasattr(builtins, name)}
    if not taken:
        return set()
    trees = [tree for tree in map(_parsed, sources) if tree is not None]
    calls = [n for tree in trees for n in walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    called = {n.func.id for n in calls if isinstance(n.func, ast.Name)}
    others = (called & defined) - taken | (called & _ENTRY_NAMES)
    plain = {
        name
        for name in taken
        if (own := [n for n in calls if isinstance(n.func, ast.Name) and n.func.id == name])
        and all(map(_plain_call, own))
    }
    return (taken & {entry}) | plain | (taken if not others else set())


def _plain_call(call: ast.Call) -> bool:
    return not any(isinstance(n, ast.Call | ast.Name) for a in (*call.args, *call.keywords) for n in walk(a))


class _Values:
    """Whether tests are calls with plain values and comparisons of plain values."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree, self.nodes = tree, walk(tree)
        self.bound = {name for node in self.nodes for name in _bound(node)}
        self.modules = {a.asname or a.name for n in self.nodes if isinstance(n, ast.Import) for a in n.names}
        self.imported = {a.asname or a.name for n in self.nodes if isinstance(n, ast.ImportFrom) for a in n.names}
        self.functions = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        self.pure = self._pure_functions()
        self.judged = {id(n) for node in self.nodes for n in self._judged(node)}
        """Names of built-ins where they are called, passed to another built-in, or caught."""
        self.called = self._only_called()

    def _judged(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func
            if hasattr(builtins, node.func.id):
                for argument in (*node.args, *(k.value for k in node.keywords)):
                    yield from argument.elts if isinstance(argument, ast.Tuple) else [argument]
        elif isinstance(node, ast.ExceptHandler) and node.type:
            yield from walk(node.type)
        elif isinstance(node, ast.Raise) and node.exc:
            yield from walk(node.exc)

    def _pure_functions(self) -> set[str]:
        """Functions of the tests that call nothing of the program."""
        pure: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and all(
                self._is_own(c, pure) for c in walk(node) if isinstance(c, ast.Call)
            ):
                pure.add(node.name)
        return pure

    def _is_own(self, call: ast.Call, pure: set[str]) -> bool:
        function = call.func
        if isinstance(function, ast.Name):
            return function.id in _BUILTINS or function.id in pure or function.id in self.imported
        if isinstance(function, ast.Attribute):
            return self._of_module(function) or function.attr in _READERS | _MUTATORS
        return False

    def _of_module(self, function: ast.Attribute) -> bool:
        return isinstance(function.value, ast.Name) and function.value.id in self.modules | {"math"}

    def allow(self) -> bool:
        return all(map(self._allowed, self.nodes)) and all(self._straight(block) for block in self._blocks())

    # ---- single nodes

    def _allowed(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Import):
            return all(a.name in _VALUE_MODULES for a in node.names)
        if isinstance(node, ast.ImportFrom):
            return node.module in _VALUE_MODULES and not node.level
        if isinstance(node, ast.FunctionDef):
            return self._allowed_function(node)
        if isinstance(node, ast.Call):
            return self._allowed_call(node)
        if isinstance(node, ast.Attribute):
            return isinstance(node.ctx, ast.Load) and not node.attr.startswith("_") and node.attr not in _MUTATORS
        if isinstance(node, ast.Compare):
            return self._allowed_comparison(node)
        if isinstance(node, ast.Name):
            return self._allowed_name(node)
        if isinstance(node, ast.ExceptHandler):
            return node.name is None and self._builtin_exceptions(node.type)
        if isinstance(node, ast.Subscript):
            return isinstance(node.ctx, ast.Load)
        return isinstance(node, _HARMLESS)

    def _allowed_function(self, node: ast.FunctionDef) -> bool:
        arguments = node.args
        simple = not (node.decorator_list or arguments.vararg or arguments.kwarg or arguments.kwonlyargs)
        if not simple or node not in self.tree.body:
            return False
        if node.name == "check":
            return len(arguments.args) == 1 and not arguments.defaults
        if node.name.startswith("test") or node.name == "check_solution":
            return not arguments.args
        return node.name in self.pure

    def _allowed_call(self, call: ast.Call) -> bool:
        if any(isinstance(a, ast.Starred) for a in call.args) and not isinstance(call.func, ast.Name):
            return False
        function = call.func
        if isinstance(function, ast.Name):
            name = function.id
            if hasattr(builtins, name) and name not in self.bound:
                return name in _BUILTINS or (name == "isinstance" and self._plain_types(call)) or name in _EXCEPTIONS
            return True
        if isinstance(function, ast.Attribute):
            return True
        return isinstance(function, ast.Call)

    def _plain_types(self, call: ast.Call) -> bool:
        kinds = call.args[1] if len(call.args) == 2 else None
        names = kinds.elts if isinstance(kinds, ast.Tuple) else [kinds]
        return all(isinstance(n, ast.Name) and n.id in _BUILTINS for n in names)

    def _allowed_comparison(self, node: ast.Compare) -> bool:
        pairs = zip(node.ops, node.comparators, strict=True)
        return all(not isinstance(op, ast.Is | ast.IsNot) or isinstance(other, ast.Constant) for op, other in pairs)

    def _allowed_name(self, node: ast.Name) -> bool:
        """Names of the program may be called, not read: their values could change."""
        if not isinstance(node.ctx, ast.Load) or node.id in self.bound:
            return True
        if hasattr(builtins, node.id):
            return id(node) in self.judged
        return node.id in self.called or node.id == "math"

    def _only_called(self) -> set[str]:
        """Names that are called and never read otherwise, and the one that the tests pass to their own `check`."""
        loads = Counter(n.id for n in self.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
        calls = [n for n in self.nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        called = Counter(n.func.id for n in calls if isinstance(n.func, ast.Name))
        checked = {
            getattr(n.args[0], "id", "")
            for n in calls
            if getattr(n.func, "id", "") == "check" and len(n.args) == 1 and not n.keywords
        }
        return {n for n in loads if loads[n] == called[n] or (n in checked and loads[n] == called[n] + 1)}

    @staticmethod
    def _builtin_exceptions(kind: ast.expr | None) -> bool:
        names = kind.elts if isinstance(kind, ast.Tuple) else [kind]
        return all(isinstance(n, ast.Name) and n.id in _EXCEPTIONS for n in names)

    # ---- values that live on after a call

    def _blocks(self) -> Iterator[list[ast.stmt]]:
        yield self.tree.body
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name not in self.pure:
                yield node.body

    def _straight(self, block: list[ast.stmt]) -> bool:
        """Whether no value outlives a call by which the program could change it: a result is not read after a later call, an
        argument not after its own."""
        steps = [*_steps(block)]
        fresh: dict[str, int] = {}
        """Variable -> the step whose call gave it, or to whose call it was passed; a constant never gets in."""
        for number, (step, in_loop) in enumerate(steps):
            calls = [c for c in walk(step) if isinstance(c, ast.Call) and not self._is_own(c, self.pure)]
            loads = [n.id for n in walk(step) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
            for name in loads:
                if name in fresh and fresh[name] < number:
                    return False
            passed = [n for c in calls for n in self._passed(c)]
            if any(loads.count(name) > 1 for name in passed):
                return False
            if calls:
                for name in [n for n in fresh if fresh[n] >= 0]:
                    fresh[name] = min(fresh[name], number)
            stored = [n.id for n in walk(step) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            for name in stored:
                fresh.pop(name, None)
            if calls and stored:
                for name in stored:
                    fresh[name] = len(steps) + 1
            for name in passed:
                fresh[name] = number
            if in_loop and any(name not in stored and self._outside(name, in_loop) for name in passed):
                return False
        return True

    @staticmethod
    def _outside(name: str, loop: ast.stmt) -> bool:
        """Whether a variable is not made anew by each turn of the loop."""
        return not any(isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.id == name for n in walk(loop))

    def _passed(self, call: ast.Call) -> Iterator[str]:
        """Variables that a call hands to the program as they are."""
        for argument in (*call.args, *(k.value for k in call.keywords)):
            for node in _unwrapped(argument):
                if isinstance(node, ast.Name) and node.id not in _EXCEPTIONS and node.id in self._containers:
                    yield node.id

    @cached_property
    def _containers(self) -> set[str]:
        """Variables that may hold what a call can change: all but those that only ever get numbers and texts."""
        return {name for node in self.nodes for name in _mutable_targets(node)}


def _steps(block: Iterable[ast.stmt], loop: ast.stmt | None = None) -> Iterator[tuple[ast.AST, ast.stmt | None]]:
    """Simple statements in order, each with the outermost loop round it; of compound ones first the head."""
    for node in block:
        if isinstance(node, ast.FunctionDef):
            continue
        if isinstance(node, ast.For):
            yield node.iter, loop
            yield node.target, loop or node
            yield from _steps([*node.body, *node.orelse], loop or node)
        elif isinstance(node, ast.If | ast.While):
            yield node.test, loop or (node if isinstance(node, ast.While) else None)
            yield from _steps([*node.body, *node.orelse], loop)
        elif isinstance(node, ast.Try):
            handlers = [s for h in node.handlers for s in h.body]
            yield from _steps([*node.body, *handlers, *node.orelse, *node.finalbody], loop)
        else:
            yield node, loop


def _unwrapped(argument: ast.expr) -> Iterator[ast.expr]:
    """The parts of an argument that go to the program as they are: not what a call inside it makes."""
    if isinstance(argument, ast.Call):
        return
    yield argument
    for child in ast.iter_child_nodes(argument):
        if isinstance(child, ast.expr):
            yield from _unwrapped(child)


def _mutable_targets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign):
        if not (
            isinstance(node.value, ast.Constant | ast.JoinedStr)
            or (isinstance(node.value, ast.UnaryOp | ast.BinOp) and _scalar(node.value))
        ):
            for target in node.targets:
                yield from (n.id for n in walk(target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.For | ast.comprehension):
        if not _scalars(node.iter):
            yield from (n.id for n in walk(node.target) if isinstance(n, ast.Name))
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and isinstance(node.target, ast.Name):
        yield node.target.id


def _scalar(node: ast.AST) -> bool:
    return all(isinstance(n, ast.Constant | ast.operator | ast.unaryop | ast.UnaryOp | ast.BinOp) for n in walk(node))


def _scalars(node: ast.AST) -> bool:
    """Whether iterating gives numbers and texts, or tuples of them."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        return True
    if not isinstance(node, ast.List | ast.Tuple):
        return isinstance(node, ast.Constant)
    return all(_scalar(e) or (isinstance(e, ast.Tuple) and all(map(_scalar, e.elts))) for e in node.elts)


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (a.asname or a.name for a in node.names)


_HARMLESS = (
    ast.Module, ast.Assert, ast.Expr, ast.Assign, ast.For, ast.If, ast.Return, ast.Pass, ast.Try, ast.Raise, ast.Break, ast.Continue,
    ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.IfExp, ast.JoinedStr, ast.FormattedValue,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Slice, ast.Starred, ast.keyword, ast.alias, ast.arguments,
    ast.arg, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.AugAssign,
)  # fmt: skip
