"""A program without what does nothing, and with what can be written in several ways written in one.

    simplified(tree, "f")       # in place

Copies of one solution differ in more than names: a helper that nobody calls, a value that nobody reads, `x = e; return x` for
`return e`, `2 > n` for `n < 2`. They are one way to solve a task, and in a vote they must not count as several.

Invariant: two programs with one form compute the same where values have a total order (`not a < b` is `b <= a`, which NaN and sets
break); the reverse does not hold. So a form may join two votes, and is used for counting ways alone.
"""

import ast
from collections.abc import Sequence

_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_DENIED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


def simplified(tree: ast.Module, entry_point: str = "") -> ast.Module:
    """The tree in its plain form. With an entry point that it defines, only what that needs stays of the top level."""
    tree = _Plain().visit(tree)
    if entry_point in {s.name for s in tree.body if isinstance(s, _DEFINITIONS)}:
        tree.body = _needed(tree.body, entry_point)
    while _drops_unread(tree):
        pass
    return tree


def _needed(body: Sequence[ast.stmt], entry_point: str) -> list[ast.stmt]:
    """The statements that an entry point reaches by name. Other top-level code stays: it may change what the names mean."""
    reached, waiting = set[str](), [entry_point]
    defined = {s.name: s for s in body if isinstance(s, _DEFINITIONS)}
    rest = [s for s in body if not isinstance(s, _DEFINITIONS) and not _is_demonstration(s)]
    waiting += [n for s in rest for n in _read(s)]
    while waiting:
        name = waiting.pop()
        if name in defined and name not in reached:
            reached.add(name)
            waiting += _read(defined[name])
    return [s for s in body if (s.name in reached if isinstance(s, _DEFINITIONS) else s in rest)]


def _is_demonstration(statement: ast.stmt) -> bool:
    """A call of `print` at the top level, or a main block."""
    if isinstance(statement, ast.If):
        return "__name__" in _read(statement.test)
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"


def _read(node: ast.AST) -> list[str]:
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Store)]


def _drops_unread(tree: ast.Module) -> bool:
    """Takes out assignments of plain values to names that nobody reads, and such imports; whether there were any."""
    read = set(_read(tree)) | {
        name for n in ast.walk(tree) if isinstance(n, ast.Global | ast.Nonlocal) for name in n.names
    }
    found = False
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if not isinstance(block, list):
                continue
            left = [s for s in block if not _is_unread(s, read)]
            if len(left) < len(block):
                setattr(node, field, left or [ast.Pass()])
                found = True
    return found


def _is_unread(statement: ast.stmt, read: set[str]) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names = {(a.asname or a.name).partition(".")[0] for a in statement.names}
        return not names & read and "*" not in names and getattr(statement, "module", "") != "__future__"
    if not isinstance(statement, ast.Assign) or not all(isinstance(t, ast.Name) for t in statement.targets):
        return False
    may_act = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Subscript, ast.Attribute, ast.BinOp)
    names = {t.id for t in statement.targets if isinstance(t, ast.Name)}
    return not names & read and not any(isinstance(n, may_act) for n in ast.walk(statement.value))


class _Plain(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                plain = _block(block)
                setattr(node, field, plain if plain or field != "body" else [ast.Pass()])
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) == 1 and (turned := _TURNED.get(type(node.ops[0]))):
            return ast.Compare(left=node.comparators[0], ops=[turned()], comparators=[node.left])
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.Compare) and len(inner.ops) == 1:
            denied = _DENIED[type(inner.ops[0])]()
            return self.visit(ast.Compare(left=inner.left, ops=[denied], comparators=inner.comparators))  # type: ignore[no-any-return]
        return self.generic_visit(node)


def _block(block: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements without what does nothing or is never reached."""
    found: list[ast.stmt] = []
    for statement in _opened(block):
        if isinstance(statement, ast.Pass) or (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        ):
            continue
        if isinstance(statement, ast.Return) and found and _is_just_named(found[-1], statement):
            statement = ast.Return(value=found.pop().value)  # type: ignore[attr-defined]
        found.append(statement)
        if isinstance(statement, _ENDS):
            break
    return found


def _opened(block: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Conditions that are constants decided, and `else` after a branch that leaves taken out of it."""
    found: list[ast.stmt] = []
    for statement in block:
        if isinstance(statement, ast.If) and isinstance(statement.test, ast.Constant):
            found += _opened(statement.body if statement.test.value else statement.orelse)
        elif isinstance(statement, ast.If) and statement.orelse and isinstance(statement.body[-1], _ENDS):
            found += [ast.If(test=statement.test, body=statement.body, orelse=[]), *_opened(statement.orelse)]
        elif not (
            isinstance(statement, ast.While) and isinstance(statement.test, ast.Constant) and not statement.test.value
        ):
            found.append(statement)
    return found


def _is_just_named(before: ast.stmt, statement: ast.Return) -> bool:
    """`x = e` directly before `return x`."""
    if not isinstance(before, ast.Assign) or not isinstance(statement.value, ast.Name):
        return False
    return [t.id for t in before.targets if isinstance(t, ast.Name)] == [statement.value.id] and len(
        before.targets
    ) == 1
