"""Trees are walked as the standard library walks them."""

import ast
from pathlib import Path

import pytest

from evoltune.sandbox import trees

SOURCES = [path.read_text(encoding="utf-8") for path in sorted(Path(trees.__file__).parent.glob("*.py"))]
SYNTAX = """
match x:
    case {"a": [1, *rest], **more} | C(b=2) if rest:
        async def f(a, /, b: int = 1, *c, d=None, **e) -> str:
            return f"{a!r:>{b}}" if (n := await c) else [*d, {**e}, lambda: (yield)]
try:
    del x[1:2, ...], y.z
except* (A, B) as error:
    raise error from None
"""


@pytest.mark.parametrize("source", [*SOURCES, SYNTAX, ""])
def test_the_nodes_are_those_of_the_standard_library_in_its_order(source):
    tree = ast.parse(source)
    assert [*map(id, trees.walk(tree))] == [*map(id, ast.walk(tree))]


@pytest.mark.parametrize("source", ["def", "\0", "(" * 5000, "x = '\\d'"])
def test_what_is_no_python_has_no_tree_and_no_warning(source, recwarn):
    assert (trees.parse(source) is None) == (source != "x = '\\d'")
    assert not recwarn.list
