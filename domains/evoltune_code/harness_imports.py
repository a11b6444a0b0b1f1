"""What the harnesses of APPS, TACO and LiveCodeBench import before a program whose function they call.

    with_harness_imports("class Solution:\\n    def f(self, xs: List[int]): ...")  ->  "from typing import List\\nclass Solution: ..."

LeetCode's starter code writes `List[int]` and imports nothing: without these names every answer that keeps to it would fail.
Only names that a program reads and never binds are added, so that nothing else that it does can change.
"""

import ast
import builtins
import importlib
import re
from functools import lru_cache

from evoltune_code.syntax import bound_names, parse

_MODULES = (
    "typing string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
).split()
"""LiveCodeBench's list: of a name that two modules offer, the later one counts, and a module's own name above all."""
_FUTURE = re.compile(r"^from __future__ import [^\n]*\n", re.M)


def with_harness_imports(program: str) -> str:
    """The program behind imports of what it needs of the harness's names; as it is where it does not parse or needs none."""
    tree = parse(program)
    if tree is None:
        return program
    lines = [_offered()[name] for name in sorted(_unbound(tree)) if name in _offered()]
    if not lines:
        return program
    future = list(_FUTURE.finditer(program))
    at = future[-1].end() if future else 0
    return program[:at] + "\n".join(dict.fromkeys(lines)) + "\n" + program[at:]


def _unbound(tree: ast.Module) -> set[str]:
    """Names that a program reads and nowhere binds."""
    read, bound = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.stmt):
            bound.update(bound_names(node))
    return read - bound


@lru_cache(maxsize=1)
def _offered() -> dict[str, str]:
    """name -> the import that gives it; built-in names need none."""
    offered = dict[str, str]()
    for module in _MODULES:
        found = importlib.import_module(module)
        names = getattr(found, "__all__", [name for name in vars(found) if not name.startswith("_")])
        offered |= {name: f"from {module} import {name}" for name in names}
    offered |= {module: f"import {module}" for module in _MODULES}
    return {name: line for name, line in offered.items() if not hasattr(builtins, name)}
