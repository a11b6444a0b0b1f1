"""Tests that compare by functions of the operator module, under whatever name: each becomes a call of an attribute of the module,
which the rewriting of comparisons finds.

Invariant: for an honest program the tests find what they found before.

    by_module(ast.parse("from operator import eq; same = eq"))   # ...; same = lambda *items: <operator>.eq(*items)
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

COMPARISONS = frozenset("eq ne lt le gt ge contains".split())
"""Also with two underscores on either side."""
_MODULES = ("operator", "_operator")
_CALLERS = frozenset({"map", "filter", "starmap", "reduce", "partial"})
"""Functions that call their first argument."""


def by_module(
    tree: ast.Module, nodes: list[ast.AST], module: Callable[[], ast.expr], times: Counter[str]
) -> ast.Module:
    """The tree with such functions as attributes of the module, and as functions of the tests where they are only mentioned.

    Args:
        nodes: all of the tree.
        module: makes an expression that means the operator module.
        times: how often names are bound; one that is bound more than once may mean something else.
    """
    imports = [n for n in nodes if isinstance(n, ast.Import)]
    modules = {a.asname or a.name for n in imports for a in n.names if a.name in _MODULES}
    names = {name: own for node in nodes for name, own in _imported(node)}
    if not modules and not names:
        return tree
    found: ast.Module = _ByModule(modules, {n: own for n, own in names.items() if times[n] == 1}, module).visit(tree)
    return found


def _imported(node: ast.AST) -> list[tuple[str, str]]:
    if not isinstance(node, ast.ImportFrom) or node.module not in _MODULES:
        return []
    return [(a.asname or a.name, a.name) for a in node.names if a.name.strip("_") in COMPARISONS]


class _ByModule(ast.NodeTransformer):
    def __init__(self, modules: set[str], names: dict[str, str], module: Callable[[], ast.expr]) -> None:
        self.modules, self.names, self.module = modules, names, module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.names or not isinstance(node.ctx, ast.Load):
            return node
        return ast.copy_location(ast.Attribute(self.module(), self.names[node.id], node.ctx), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if str(getattr(node.func, "attr", getattr(node.func, "id", ""))) in _CALLERS:
            node.args[:1] = self._called(node.args[:1])
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        self.generic_visit(node)
        node.values = self._called(node.values)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        (node.value,) = self._called([node.value])
        return node

    def _called(self, mentioned: Iterable[Any]) -> list[Any]:
        """Functions that are only mentioned, as functions that call them. Not those in lists and arguments: these are for the program,
        which may ask for their names."""
        return [self._function(node) if self._is_comparison(node) else node for node in mentioned]

    def _is_comparison(self, node: Any) -> bool:
        if not isinstance(node, ast.Attribute) or node.attr.strip("_") not in COMPARISONS:
            return False
        return isinstance(node.value, ast.Constant) or getattr(node.value, "id", "") in self.modules

    def _function(self, node: ast.expr) -> ast.expr:
        items = ast.arguments([], [], ast.arg("items"), [], [], None, [])
        given = ast.Starred(ast.Name("items", ast.Load()), ast.Load())
        return ast.copy_location(ast.Lambda(items, ast.Call(node, [given], [])), node)
