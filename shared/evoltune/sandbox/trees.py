"""Syntax trees of tests: reading and walking them. Most programs run for less time than it takes to read their tests, so a tree is
walked once and its nodes are looked through as often as needed.

    walk(parse("assert f(1) == 2"))     # [<Module>, <Assert>, <Compare>, ...], as `ast.walk` orders them
"""

import ast
import warnings
from collections import Counter


def parse(source: str) -> ast.Module | None:
    """The syntax tree of Python source, or None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def walk(tree: ast.AST) -> list[ast.AST]:
    """A node and all below it, level by level: `ast.walk` as a list, in half the time."""
    nodes = [tree]
    for node in nodes:  # it grows meanwhile
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                nodes.append(value)
            elif type(value) is list:
                nodes += [part for part in value if isinstance(part, ast.AST)]
    return nodes


def bindings(nodes: list[ast.AST]) -> Counter[str]:
    """How often these nodes bind each name."""
    return Counter(n for node in nodes for n in bound_by(node))


def bound_by(node: ast.AST) -> list[str]:
    """Names that a node binds, in whatever scope."""
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return [node.name] if node.name else []
    return []
