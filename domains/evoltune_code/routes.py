"""The way that a program takes: its syntax tree without the names that its author chose, its comments and its annotations, and in
its plain form (see plain_form.py).

    route(task, "def f(a):\n    return a + 1") == route(task, "def f(number: int) -> int:\n    return number + 1")

Invariant: equal for programs that differ in layout, docstrings, annotations and the names of variables and functions alone.
"""

import ast

from evoltune.record import Task
from evoltune_code.assembly import assemble, text_field
from evoltune_code.extraction import extract
from evoltune_code.plain_form import simplified
from evoltune_code.syntax import is_docstring, local_names, parse


def route(task: Task, response: str) -> str:
    """`Domain.route`. The text itself for an answer that is no Python program."""
    candidate = extract(task, response)
    if candidate is None:
        return response
    name = text_field(task, "entry_point")
    return shape_of(assemble(text_field(task, "prompt"), name, candidate), name) or candidate


def shape_of(program: str, entry_point: str = "") -> str:
    """A dump of the tree's plain form in which the program's own names are numbered as they come; "" where it has none."""
    tree = parse(program)
    if tree is None:
        return ""
    try:
        tree = simplified(tree, entry_point)
    except RecursionError:
        return ""
    own = local_names(tree)[1]
    own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}
    try:
        return ast.dump(_Renamer(own).visit(tree))
    except RecursionError:
        return ""


class _Renamer(ast.NodeTransformer):
    def __init__(self, own: set[str]) -> None:
        self.own, self.numbers = own, dict[str, str]()

    def _name(self, name: str) -> str:
        return self.numbers.setdefault(name, f"_{len(self.numbers)}") if name in self.own else name

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Renames what the program defined itself, and drops what only readers see."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.name = self._name(node.name)
            node.body = [s for s in node.body if not is_docstring(s)] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.arg, node.annotation = self._name(node.arg), None
        if isinstance(node, ast.Name):
            node.id = self._name(node.id)
        if isinstance(node, ast.ExceptHandler) and node.name:
            node.name = self._name(node.name)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.own:
            for keyword in node.keywords:  # of its own functions; `sorted(key=...)` is not its to name
                keyword.arg = keyword.arg and self._name(keyword.arg)
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            assigned = ast.Assign(targets=[node.target], value=node.value)
            return self.generic_visit(ast.copy_location(assigned, node))
        return super().generic_visit(node)
