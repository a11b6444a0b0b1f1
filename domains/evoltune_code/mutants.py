"""Mutants: programs with one small fault put in on purpose. Tests that notice none of them verify nothing.

    [m.kind for m in mutants("def f(a, b):\\n    return a + b\\n", limit=3)]    # ['arithmetic', 'return', ...]

Each mutant differs from the original in one place. Invariant: the same source, limit and seed give the same mutants,
each compiles, and none is equal in text to the original or to another.
"""

import ast
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from evoltune_code.syntax import is_docstring, parse, syntax_error

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_CONSTANTS: dict[type, Callable[[Any], tuple[object, ...]]] = {
    bool: lambda value: (not value,),
    int: lambda value: (value + 1, value - 1),
    float: lambda value: (value + 1.0,),
    str: lambda value: ("",) if value else ("x",),
}
_USELESS_BODIES = ("None", "args[0] if args else None", "True", "0", "[]", "''")


class Mutant(NamedTuple):
    """A program with one fault, and what kind of fault it is."""

    kind: str
    source: str


class _Edit(NamedTuple):
    """One attribute of one node of a tree, and what to put there."""

    kind: str
    node: ast.AST
    name: str
    new: object

    def applied(self, tree: ast.Module) -> str:
        """The source with this edit. The tree is edited and restored: a copy for each edit takes 10 times as long."""
        old = getattr(self.node, self.name)
        setattr(self.node, self.name, self.new)
        try:
            return ast.unparse(ast.fix_missing_locations(tree))
        finally:
            setattr(self.node, self.name, old)


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
            yield Mutant(edit.kind, text)
            return


def stubs(entry_point: str) -> list[str]:
    """Programs whose entry point does nothing of use: tests that all of these pass would pass for any function."""
    return [f"def {entry_point}(*args, **kwargs):\n    return {value}\n" for value in _USELESS_BODIES]


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
    yield from (_Edit(kind, node, name, new) for kind, name, new in _expression_edits(node))
    body = getattr(node, "body", None)
    if isinstance(node, ast.Module | ast.ClassDef) or not isinstance(body, list):
        return  # their own statements are mostly definitions
    for i, statement in enumerate(body):
        for kind, new in _statement_edits(statement):
            yield _Edit(kind, node, "body", [*body[:i], new, *body[i + 1 :]])


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
            yield from (("constant", "value", new) for new in _CONSTANTS.get(type(value), lambda _: ())(value))
        case ast.If(test=ast.Constant()) | ast.While(test=ast.Constant()) | ast.IfExp(test=ast.Constant()):
            return
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield "condition", "test", ast.UnaryOp(op=ast.Not(), operand=test)
        case ast.Return(value=None | ast.Constant(value=None)):
            return
        case ast.Return():
            yield "return", "value", ast.Constant(value=None)


def _statement_edits(node: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    if isinstance(node, ast.Break):
        yield "loop", ast.Continue()
    elif isinstance(node, ast.Continue):
        yield "loop", ast.Break()
    elif isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Delete | ast.Raise) and not is_docstring(node):
        yield "omission", ast.Pass()
