"""Joins the blocks of a response into one program: to the block that holds the answer come the imports, definitions, constants and
settings of the others that it needs.

    joined("def area(r):\\n    return pi * r", ["from math import *\\nprint(pi)"])    # the import, then the function

Invariant: what the other blocks print, ask for or assert stays out; a name that the answer itself defines keeps that meaning.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from evoltune_code.syntax import bound_names, local_names, parse, statements

_FUTURE = re.compile(r"^from __future__ import [^\n]+\n?", re.M)
_SETTINGS = re.compile(
    r"set|seed|stack_size|filterwarnings|simplefilter|basicConfig|disable|enable|install|freeze|register"
)
"""Beginnings of the names of functions that change how a program runs: `sys.setrecursionlimit`, `random.seed` ..."""
_DEMO_CALLS = frozenset({"print", "input", "open", "exit", "quit"})
_DEFINITIONS = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.If, ast.Try,
)  # fmt: skip


@dataclass
class _Other:
    """Another block: its statements, and which of them are taken."""

    body: list[ast.stmt]
    before: bool
    taken: set[int] = field(default_factory=set)


def joined(code: str, before: Sequence[str], after: Sequence[str] = (), wanted: Set[str] = frozenset()) -> str:
    """The code, preceded by what it needs of the blocks before and after it; `wanted` are names that the tests use as well."""
    others = [_Other(statements(other), True) for other in before] + [
        _Other(statements(other), False) for other in after
    ]
    tree = parse(code)
    if tree is None or not any(other.body for other in others):
        return code
    own = _bound(tree)
    needed = (_unbound(tree) | wanted) - own
    while _take_definitions(others, needed, own) or _take_effects(others, needed, own, code):
        pass
    parts = [ast.unparse(other.body[i]) for other in others for i in sorted(other.taken)]
    helpers = "\n".join(dict.fromkeys(parts))
    if not helpers:
        return code
    futures = "".join(_FUTURE.findall(f"{helpers}\n{code}"))
    return futures + _FUTURE.sub("", f"{helpers}\n") + _FUTURE.sub("", code)


def _take_definitions(others: list[_Other], needed: set[str], own: Set[str]) -> bool:
    """Takes statements that bind a needed name. Returns whether there were any; adds what they need in turn."""
    found = False
    for other in others:
        for i, node in enumerate(other.body):
            if i in other.taken or not isinstance(node, _DEFINITIONS) or _is_demo(node):
                continue
            star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
            binds = _bound(node) - own
            if not (binds & needed or (star and needed)):
                continue
            other.taken.add(i)
            needed |= (_unbound(node) - own) | binds
            found = True
    return found


def _take_effects(others: list[_Other], needed: set[str], own: Set[str], code: str) -> bool:
    """Takes statements that change what was taken (`table[0] = 1`, a loop that fills it) and settings of the run."""
    found = False
    for other in others:
        taken = {name for i in other.taken for name in _bound(other.body[i])}
        imported = {
            n for node in other.body if isinstance(node, ast.Import | ast.ImportFrom) for n in bound_names(node)
        }
        for i, node in enumerate(other.body):
            if i in other.taken or isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import) or _is_demo(node):
                continue
            setting = _setting(node) if other.before else None
            applies = setting is not None and setting[0] in imported and setting[1] not in code
            if applies or (
                (not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call)) and _changed(node) & taken - own
            ):
                other.taken.add(i)
                needed |= _unbound(node) - own
                found = True
    return found


def _setting(node: ast.stmt) -> tuple[str, str] | None:
    """(module, function or attribute) of `sys.setrecursionlimit(...)` or `getcontext().prec = 50`; else None."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function = node.value.func
        name = (
            function.attr
            if isinstance(function, ast.Attribute)
            else function.id
            if isinstance(function, ast.Name)
            else ""
        )
        return (_root(function), name) if _SETTINGS.match(name) else None
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
        return _root(node.targets[0]), node.targets[0].attr
    return None


def _root(node: ast.expr) -> str:
    """The name at the beginning of `a.b(...)[c].d`."""
    while not isinstance(node, ast.Name):
        inner = (
            node.value
            if isinstance(node, ast.Attribute | ast.Subscript)
            else node.func
            if isinstance(node, ast.Call)
            else None
        )
        if inner is None:
            return ""
        node = inner
    return node.id


def _changed(node: ast.stmt) -> set[str]:
    """Names whose objects a statement changes in place, or that it binds anew."""
    found = set(bound_names(node))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Subscript | ast.Attribute) and isinstance(inner.ctx, ast.Store):
            found.add(_root(inner))
        elif isinstance(inner, ast.AugAssign):
            found.add(_root(inner.target))
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            found.add(_root(inner.func))
    return found - {""}


def _is_demo(node: ast.stmt) -> bool:
    """Whether a top-level statement only shows something: an assert, a main part, what prints or asks the user."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return False
    if isinstance(node, ast.Assert):
        return True
    if isinstance(node, ast.If) and "__name__" in local_names(node.test)[0]:
        return True
    return any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in _DEMO_CALLS for n in ast.walk(node)
    )


def _bound(tree: ast.AST) -> set[str]:
    """Names that a module or a top-level statement binds at its top level, also inside `if` and `try`."""
    found: set[str] = set()
    for node in _reached(tree):
        found |= set(bound_names(node))
        if isinstance(node, ast.For | ast.AsyncFor):
            found |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.With):
            found |= {
                n.id
                for i in node.items
                if i.optional_vars
                for n in ast.walk(i.optional_vars)
                if isinstance(n, ast.Name)
            }
    return found


def _reached(tree: ast.AST) -> Iterator[ast.stmt]:
    if isinstance(tree, ast.stmt):
        yield tree
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _reached(child)


def _unbound(tree: ast.AST) -> set[str]:
    """Names that are read somewhere and bound nowhere: an over-cautious guess is good enough here."""
    names, bound = local_names(tree)
    bound |= {name for node in ast.walk(tree) if isinstance(node, ast.stmt) for name in bound_names(node)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    shared = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    return (names - bound | shared - _bound(tree)) - set(dir(builtins))
