"""Compiles tests so that what they find is counted, and their comparisons and built-ins cannot be replaced by the program.

Each assertion becomes a call of `check` with its number; comparisons become calls of `comparing.compare`; a built-in such
as `len` becomes the function itself. These functions are constants of the compiled code: no name leads to them.

Invariant: for an honest program the rewritten tests raise what the tests themselves would raise.

    tree = ast.parse("assert f(1) == 2")
    nodes = walk(tree)
    tests = marked(tree, nodes, bindings(nodes), frozenset(), 0)
    exec(with_constants(tests.code, {"check": ..., "compare": ..., ...}), space)
"""

import ast
import types
import warnings
from collections import Counter
from collections.abc import Mapping
from itertools import repeat
from typing import Any

from evoltune.sandbox.same_process.monitor import TESTS
from evoltune.sandbox.same_process.operator_calls import by_module
from evoltune.sandbox.trees import bound_by, walk

FILE = TESTS
PURE = frozenset(
    "abs all any ascii bin bool bytes callable chr complex dict divmod enumerate filter float format frozenset getattr hasattr hash hex "
    "id int issubclass isinstance iter len list map max min next oct ord pow range repr reversed round set slice sorted str sum tuple "
    "type zip".split()
)
"""Built-ins by which tests judge: in tests they are the interpreter's own, whatever the program has made of the name."""
CALLING = frozenset({"map", "filter"})
"""Built-ins that take a StopIteration of the function that they call for the end of its arguments."""
PREDICATES = frozenset(
    "startswith endswith issubset issuperset isdisjoint equals isclose __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __contains__".split()
)
"""Methods that answer a question about their argument, which may be what a test expects."""
MEASURES = frozenset("count index remove discard difference intersection union symmetric_difference".split())
"""Methods of built-in containers that compare what they are given with what they hold."""
CALLABLE = frozenset({"raises", "assertRaises", "assertRaisesRegex", "warns", "assertWarns", "assertWarnsRegex"})
"""Contexts that may take a function instead, which they call."""
RAISES = frozenset({"raises", "RaisesExc", "RaisesGroup", "assertRaises", "assertRaisesRegex"})
"""Contexts that are decided by `expectations`."""
CONTEXTS = CALLABLE | RAISES | {"deprecated_call", "assertLogs"}
EXITS = frozenset({"exit", "quit"})
_DIRECT = frozenset({"namedtuple", "NamedTuple", "NewType", "TypeVar", "stack", "currentframe"})
"""Functions that look at who calls them."""
_MARK = "\0evoltune:"
_SYMBOLS: dict[type, str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in", ast.NotIn: "not in",
    ast.Sub: "-", ast.Div: "/", ast.Add: "+", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip


_LITERAL = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)


class Tests:
    """Compiled tests, and what they consist of.

    Args:
        straight: function (or `Class.method`; "": the module) -> assertions that are reached whenever it runs to its end.
        lines: assertion -> line.
        once: global names that the tests bind once, and never again from a function.
    """

    def __init__(
        self, code: types.CodeType, straight: dict[str, list[int]], lines: dict[int, int], once: frozenset[str]
    ) -> None:  # fmt: skip
        self.code, self.straight, self.lines, self.once = code, straight, lines, once


def marked(
    tree: ast.Module, nodes: list[ast.AST], times: Counter[str], keep: frozenset[str], first_site: int
) -> Tests:  # fmt: skip
    """Compiles a tree, which it changes, with marks for the functions of a run. `nodes`: all of the tree, `times`: its `bindings`.
    `keep`: names that mean the program's own although they are called like a built-in. Raises SyntaxError and the compiler's other
    errors."""
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    changeable = {n for node in nodes if isinstance(node, ast.Global) for n in node.names}
    modules = {n for node in nodes for n in _modules_of(node)}
    tree = by_module(tree, nodes, lambda: _mark("operator"), times)
    rewriter = _Rewriter(keep | {*times}, modules, functions, first_site)
    once = frozenset(n for node in tree.body for n in _bound_at_top(node) if times[n] == 1 and n not in changeable)
    tree = ast.fix_missing_locations(rewriter.visit(tree))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(tree, FILE, "exec")
    return Tests(code, rewriter.straight, rewriter.lines, once)


def _bound_at_top(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign):
        return [t.id for t in node.targets if isinstance(t, ast.Name)]
    return bound_by(node)


def _modules_of(node: ast.AST) -> list[str]:
    """Names under which a node imports modules, or what may be one."""
    return bound_by(node) if isinstance(node, ast.Import | ast.ImportFrom) else []


def with_constants(code: types.CodeType, bound: Mapping[str, Any]) -> types.CodeType:
    """The code with the functions of a run in place of the marks."""
    return code.replace(co_consts=tuple(map(_unmarked, code.co_consts, repeat(bound))))


def _unmarked(constant: Any, bound: Mapping[str, Any]) -> Any:
    if isinstance(constant, types.CodeType):
        return with_constants(constant, bound)
    if isinstance(constant, str) and constant.startswith(_MARK):
        return bound[constant.removeprefix(_MARK)]
    if isinstance(constant, tuple | frozenset):  # the compiler's: `(int, float)`, or `{int, float}` after `in`
        return type(constant)(_unmarked(part, bound) for part in constant)
    return constant


def _mark(name: str) -> ast.Constant:
    return ast.Constant(value=_MARK + name)


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(func=_mark(name), args=[*args], keywords=[])


def _fails(nodes: list[ast.stmt]) -> bool:
    """Whether these statements end the tests: a raise, a false assertion, an exit, a call of `fail`."""
    for statement in nodes:
        for node in walk(statement):
            if isinstance(node, ast.Raise):
                return True
            if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and not node.test.value:
                return True
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in ("fail", "exit", "_exit", "quit"):
                    return True
    return False


def catches_failures(nodes: list[ast.AST]) -> bool:
    """Whether tests, of which these are all nodes, expect assertions to fail: they catch what a failing one raises."""
    for node in nodes:
        if isinstance(node, ast.ExceptHandler):
            names = {n.id for n in walk(node.type) if isinstance(n, ast.Name)} if node.type else {"BaseException"}
            if names & {"AssertionError", "Exception", "BaseException"}:
                return True
        name = getattr(node, "id", getattr(node, "attr", "")) if isinstance(node, ast.Name | ast.Attribute) else ""
        if name in ("AssertionError", "xfail", "expectedFailure"):
            return True
    return False


class _Rewriter(ast.NodeTransformer):
    def __init__(
        self, names: frozenset[str] | set[str], modules: set[str], functions: set[str], first_site: int
    ) -> None:  # fmt: skip
        self.names, self.modules, self.site = names, modules, first_site
        self.functions = functions
        self.straight: dict[str, list[int]] = {}
        self.lines: dict[int, int] = {}
        self.scope: list[str] = []
        self.nested = 0
        """Depth of statements that may be skipped or repeated."""
        self.in_class_body = False
        self.class_names: set[str] = set()
        self.used_further: set[ast.expr] = set()
        """Comparisons of which a test wants more than whether they hold."""

    # ---- assertions

    def _new_site(self, node: ast.AST, straight: bool = True) -> ast.Constant:
        self.site += 1
        self.lines[self.site] = getattr(node, "lineno", 0)
        if straight and not self.nested:
            self.straight.setdefault(".".join(self.scope), []).append(self.site)
        return ast.Constant(value=self.site)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        site = self._new_site(node)
        test = self.visit(node.test)
        message = [self.visit(node.msg)] if node.msg else []
        failure = ast.Raise(exc=_call("AssertionError", *message), cause=None)
        return ast.copy_location(
            ast.If(test=_call("check", site, test), body=[ast.copy_location(ast.Pass(), node)], orelse=[ast.copy_location(failure, node)]), node
        )  # fmt: skip

    def visit_If(self, node: ast.If) -> ast.AST:
        gate = _fails(node.body) or _fails(node.orelse)
        site = self._new_site(node) if gate else None
        test = self.visit(node.test)
        self.nested += 1
        node.body, node.orelse = self._statements(node.body), self._statements(node.orelse)
        self.nested -= 1
        node.test = _call("gate", site, test) if site else test
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST:
        gate = _fails(node.body) or _fails(node.orelse)
        self.nested += 1
        self.generic_visit(node)
        if gate:
            for handler in node.handlers:
                reached = ast.Expr(value=_call("reached", self._new_site(handler)))
                handler.body.insert(0, ast.copy_location(reached, handler.body[0]))
        self.nested -= 1
        return node

    visit_TryStar = visit_Try  # type: ignore[assignment]

    def visit_With(self, node: ast.With) -> ast.AST:
        calls = [n for item in node.items for n in walk(item.context_expr) if isinstance(n, ast.Call)]
        names = {_name_of(call.func) for call in calls} & CONTEXTS
        site = self._new_site(node) if names else None
        node.items = [self.visit(item) for item in node.items]
        self.nested += 1
        node.body = self._statements(node.body)
        self.nested -= 1
        if site is None:
            return node
        after = ast.copy_location(ast.Expr(value=_call("expected" if names & RAISES else "reached", site)), node)
        return [node, after]  # type: ignore[return-value]

    def _statements(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for node in nodes:
            result = self.visit(node)
            out += result if isinstance(result, list) else [result]
        return out

    def _skippable(self, node: ast.AST) -> ast.AST:
        self.nested += 1
        self.generic_visit(node)
        self.nested -= 1
        return node

    visit_For = visit_AsyncFor = visit_While = visit_AsyncWith = visit_IfExp = visit_BoolOp = _skippable
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _skippable

    # ---- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [self.visit(d) if d else None for d in node.args.kw_defaults]
        saved = self.nested, self.in_class_body
        self.scope.append(node.name)
        outer_nested = self.nested
        self.nested, self.in_class_body = (1 if outer_nested else 0), False
        body: list[ast.stmt] = []
        for statement in node.body:
            result = self.visit(statement)
            body += result if isinstance(result, list) else [result]
            if any(isinstance(n, ast.Return | ast.Yield | ast.YieldFrom) for n in walk(statement)):
                self.nested += 1
        node.body = body
        self.scope.pop()
        self.nested, self.in_class_body = saved
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        saved, self.in_class_body = self.in_class_body, False
        self._skippable(node)
        self.in_class_body = saved
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.bases = [self.visit(b) for b in node.bases]
        node.keywords = [self.visit(k) for k in node.keywords]
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        if any(name == "__eq__" for statement in node.body for name in bound_by(statement)):
            node.decorator_list.append(ast.copy_location(_mark("matching"), node))
        saved = self.in_class_body, self.class_names
        self.class_names = {n for statement in node.body for inner in walk(statement) for n in bound_by(inner)}
        self.in_class_body = True
        self.scope.append(node.name)
        node.body = self._statements(node.body)
        self.scope.pop()
        self.in_class_body, self.class_names = saved
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node  # annotations stay as they are

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = self.visit(node.value) if node.value else None
        return node

    # ---- expressions

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.id in PURE and node.id not in self.names:
            return ast.copy_location(_mark(node.id), node)
        if self.in_class_body and node.id not in self.class_names:
            return ast.copy_location(_call("lookup", ast.Constant(value=node.id)), node)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.AST:
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if any(type(op) not in _SYMBOLS for op in node.ops):
            return node
        symbols = [_SYMBOLS[type(op)] for op in node.ops]
        if len(symbols) == 1:
            function = "compared" if node in self.used_further else "compare"
            changed: ast.expr = _call(function, ast.Constant(value=symbols[0]), node.left, node.comparators[0])
        elif self.in_class_body or any(isinstance(n, ast.Await | ast.Yield | ast.NamedExpr) for n in walk(node)):
            return node
        else:
            empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
            later = [ast.Lambda(args=empty, body=c) for c in node.comparators]
            changed = _call(
                "chain", ast.Constant(value=" ".join(s.replace(" ", "-") for s in symbols)), node.left, *later
            )
        return ast.copy_location(changed, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._using([node.value], node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        changed: Any = self._using([node.slice], node)
        if isinstance(node.ctx, ast.Load) and _name_of(node.value) == "modules":
            return ast.copy_location(_call("module", changed), node)
        return changed  # type: ignore[no-any-return]

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self._using([node.value], node)

    def _using(self, parts: list[ast.expr], node: ast.AST) -> ast.AST:
        self.used_further |= {part for part in parts if isinstance(part, ast.Compare)}
        return self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name) or not isinstance(node.op, ast.Sub | ast.Div):
            return node
        symbol = ast.Constant(value=f"{_SYMBOLS[type(node.op)]}=")
        value = _call("operate", symbol, ast.Name(id=node.target.id, ctx=ast.Load()), node.value)
        return ast.copy_location(ast.Assign(targets=[node.target], value=value), node)

    def visit_Match(self, node: ast.Match) -> ast.AST:
        named = [n for case in node.cases for n in walk(case.pattern)]
        uses = any(isinstance(n, ast.MatchClass) or getattr(n, "name", "") or getattr(n, "rest", "") for n in named)
        self._skippable(node)
        subject = _call("matched", node.subject, ast.Constant(value=not uses))
        node.subject = ast.copy_location(subject, node.subject)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        simple = all(isinstance(n, _LITERAL) for n in walk(node))
        self._using([node.left, node.right], node)
        if simple:
            return node
        return ast.copy_location(
            _call("operate", ast.Constant(value=_SYMBOLS[type(node.op)]), node.left, node.right), node
        )

    def _decides(self, arguments: list[ast.expr]) -> bool:
        """Whether an exit status is what the tests have found: neither a constant, nor what another module's function gives."""
        status = arguments[0] if len(arguments) == 1 else None
        own = (
            isinstance(status, ast.Call)
            and isinstance(status.func, ast.Name)
            and status.func.id in self.functions | PURE
        )
        return status is not None and (own or not isinstance(status, ast.Constant | ast.Call | ast.Starred))

    def _as_status(self, call: ast.Call) -> ast.Call:
        """An exit whose status is an assertion: it must be 0."""
        status = self._new_site(call)
        self._using(call.args, call)
        call.args = [ast.copy_location(_call("status", status, *call.args), call)]
        return call

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        call = node.exc
        if isinstance(call, ast.Call) and _name_of(call.func) == "SystemExit" and self._decides(call.args):
            node.exc = self._as_status(call)
            return node
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name, original = _name_of(node.func), node.func
        if name in EXITS and self._decides(node.args):
            return self._as_status(node)
        if name == "_exit":  # at once: what the tests have found would be lost with the process
            left = self._as_status(node) if self._decides(node.args) else self.generic_visit(node)
            return ast.copy_location(_call("leave", *left.args), node)  # type: ignore[attr-defined]
        function = original
        asserts = name.startswith("assert") and name not in CONTEXTS
        site = self._new_site(node, straight=isinstance(function, ast.Attribute)) if asserts else None
        if name == "super" and not node.args:
            return node
        further = not asserts and name not in ("bool", "all", "any", "int")
        self._using([*node.args, *(k.value for k in node.keywords)] if further else [], node)
        function = node.func
        if name == "get" and isinstance(function, ast.Attribute) and _name_of(function.value) == "modules":
            changed = _call("module", node)
        elif isinstance(function, ast.Attribute) and (asserts or name in CONTEXTS or self._of_module(function)):
            start: list[ast.expr] = [site or ast.Constant(value=0), function.value, ast.Constant(value=function.attr)]
            changed = ast.Call(func=_mark("method"), args=[*start, *node.args], keywords=node.keywords)
        elif isinstance(function, ast.Attribute) and name in PREDICATES | MEASURES:
            method = [function.value, ast.Constant(value=function.attr)]
            changed = ast.Call(func=_mark("answer"), args=[*method, *node.args], keywords=node.keywords)
        elif isinstance(original, ast.Name) and name in CALLING and name not in self.names:
            changed = ast.Call(func=_mark(f"{name}()"), args=node.args, keywords=node.keywords)
        elif site is not None:
            changed = ast.Call(func=_mark("function"), args=[site, function, *node.args], keywords=node.keywords)
        else:
            return node
        return ast.copy_location(changed, node)

    def _of_module(self, function: ast.Attribute) -> bool:
        root: ast.expr = function
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Constant):
            return root.value == _MARK + "operator"
        return isinstance(root, ast.Name) and root.id in self.modules and function.attr not in _DIRECT


def _name_of(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))
