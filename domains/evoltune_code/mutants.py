"""Mutants: programs with one small fault put in on purpose. Tests that notice none of them verify nothing.

    [m.kind for m in mutants("def f(a, b):\\n    return a + b\\n", limit=3)]    # ['arithmetic', 'return', ...]

Each mutant differs from the original in one place. Invariant: the same source, limit and seed give the same mutants,
each compiles, and none is equal in text to the original or to another.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass

from evoltune_code.syntax import is_docstring, parse, syntax_error

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_USELESS_BODIES = (
    "return None",
    "return args[0] if args else None",
    "return True",
    "return 0",
    "return []",
    "return ''",
)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A program with one fault: what kind, and in which line of the original."""

    kind: str
    line: int
    source: str


def mutants(source: str, limit: int = 24, seed: int = 0) -> list[Mutant]:
    """At most `limit` mutants, drawn evenly over the kinds. [] for a source that does not compile."""
    tree = parse(source)
    if tree is None:
        return []
    by_kind: dict[str, list[_Edit]] = {}
    for edit in (edit for node in _walk(tree) for edit in _edits(node)):
        by_kind.setdefault(edit.kind, []).append(edit)
    rng = random.Random(seed)
    for edits in by_kind.values():
        rng.shuffle(edits)
    seen, chosen = {ast.unparse(tree)}, list[Mutant]()
    while len(chosen) < limit and any(by_kind.values()):
        for edits in by_kind.values():
            chosen.extend(_next(edits, tree, seen))
    return chosen[:limit]


def _next(edits: list[_Edit], tree: ast.Module, seen: set[str]) -> Iterator[Mutant]:
    """The mutant of the next edit of one kind that gives a new program that compiles, if any is left."""
    while edits:
        edit = edits.pop()
        text = edit.applied(tree)
        if text not in seen and syntax_error(text) is None:
            seen.add(text)
            yield Mutant(kind=edit.kind, line=edit.line, source=text)
            return


def stubs(source: str, entry_point: str) -> list[Mutant]:
    """The program with an entry point that does nothing of use: tests that all of these pass would pass for any function."""
    return [
        Mutant(kind="stub", line=0, source=f"{source}\n\ndef {entry_point}(*args, **kwargs):\n    {body}\n")
        for body in _USELESS_BODIES
    ]


@dataclass(frozen=True, kw_only=True)
class _Edit:
    """One place of a tree and what to put there: an attribute of a node, or an item of a list of statements."""

    kind: str
    line: int
    place: ast.AST | list[ast.stmt]
    key: str | int
    new: object

    def applied(self, tree: ast.Module) -> str:
        """The source with this edit. The tree is edited and restored: a copy for each edit takes 10 times as long."""
        old = self._swap(self.new)
        try:
            return ast.unparse(ast.fix_missing_locations(tree))
        finally:
            self._swap(old)

    def _swap(self, value: object) -> object:
        if isinstance(self.place, list):
            old: object = self.place[int(self.key)]
            self.place[int(self.key)] = value  # type: ignore[call-overload]
        else:
            old = getattr(self.place, str(self.key))
            setattr(self.place, str(self.key), value)
        return old


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes whose change can be seen from outside: no docstrings, annotations, or texts of exceptions."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "exc", "cause", "msg"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not is_docstring(child):
                yield from _walk(child)


def _edits(node: ast.AST) -> Iterator[_Edit]:
    line = getattr(node, "lineno", 0)
    for kind, key, new in _expression_edits(node):
        yield _Edit(kind=kind, line=line, place=node, key=key, new=new)
    if isinstance(node, ast.Module | ast.ClassDef):
        return  # their own statements are mostly definitions
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return
    for index, statement in enumerate(body):
        for kind, new in _statement_edits(statement):
            yield _Edit(kind=kind, line=statement.lineno, place=body, key=index, new=new)


def _expression_edits(node: ast.AST) -> Iterator[tuple[str, str, object]]:
    match node:
        case ast.Compare(ops=[op]):
            yield from (("comparison", "ops", [new()]) for new in _COMPARE.get(type(op), ()))
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield "arithmetic", "op", _ARITHMETIC[type(op)]()
        case ast.BoolOp(op=op):
            yield "logic", "op", ast.Or() if isinstance(op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.USub()):
            yield "arithmetic", "op", ast.UAdd()
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "logic", "operand", ast.UnaryOp(op=ast.Not(), operand=operand)
        case ast.Constant(value=value):
            yield from (("constant", "value", new) for new in _constants(value))
        case ast.If(test=ast.Constant()) | ast.While(test=ast.Constant()) | ast.IfExp(test=ast.Constant()):
            return
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield "condition", "test", ast.UnaryOp(op=ast.Not(), operand=test)
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield "return", "value", ast.Constant(value=None)


def _statement_edits(node: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    if isinstance(node, ast.Break):
        yield "loop", ast.Continue()
    elif isinstance(node, ast.Continue):
        yield "loop", ast.Break()
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Delete | ast.Raise) and not is_docstring(node):
        yield "omission", ast.Pass()


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _constants(value: object) -> tuple[object, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (value + 1, value - 1)
    if isinstance(value, float):
        return (value + 1.0,)
    if isinstance(value, str):
        return ("",) if value else ("x",)
    return ()
