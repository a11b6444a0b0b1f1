"""Comparisons by functions of the operator module, under whatever name tests have for them."""

import ast
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.sandbox.same_process.operator_calls import by_module
from evoltune.sandbox.trees import bindings, walk

LIAR = """
class Liar:
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    def __contains__(self, item): return True
    def __iter__(self): return iter([Liar(), Liar()])
def f(a, b): return Liar()
"""
GOOD = "def f(a, b): return [a, b]"
OF_CLASSES = "\nclass Own: pass\nassert isinstance(Own(), Own)\n"


@pytest.mark.parametrize(
    "tests",
    [
        "from operator import eq\nassert eq(f(1, 2), [1, 2])",
        "from operator import eq as same\ndef test_it():\n    assert same(f(1, 2), [1, 2])",
        "def test_it():\n    from operator import __eq__\n    assert __eq__(f(1, 2), [1, 2])",
        "import operator\nassert all(map(operator.eq, f(1, 2), [1, 2]))",
        "import operator as op\nassert all(map(op.eq, f(1, 2), [1, 2]))",
        "from operator import eq\nassert all(map(eq, f(1, 2), [1, 2]))",
        "from operator import contains\nassert contains(f(1, 2), 2)",
        "import operator\nsame = operator.eq\nassert same(f(1, 2), [1, 2])",
        "import operator\nHOW = {'<': operator.lt}\nassert HOW['<'](f(1, 2), [1, 3])",
    ],
)
def test_an_object_that_equals_everything_fails_and_the_value_passes(one, tests):
    good, lie = (one(program, tests + OF_CLASSES) for program in (GOOD, LIAR))
    assert (good.status, lie.status) == ("pass", "fail"), (good, lie)


def rewritten(source):
    tree = ast.parse(source)
    nodes = walk(tree)
    return by_module(tree, nodes, lambda: ast.Name("operator", ast.Load()), bindings(nodes))


@given(st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), st.integers(0, 3), st.integers(0, 3))
def test_what_honest_values_give_stays(name, left, right):
    source = f"import operator as op\nfrom operator import {name} as own\nmine = op.{name}\ntable = {{1: op.{name}}}\nfound = [own(a, b), mine(a, b), table[1](a, b), *map(own, [a], [b])]"
    space = {"a": left, "b": right, "operator": operator}
    exec(compile(ast.fix_missing_locations(rewritten(source)), "<tests>", "exec"), space)
    assert space["found"] == [getattr(operator, name)(left, right)] * 4 and space["mine"] is not getattr(operator, name)


@pytest.mark.parametrize(
    "source",
    [
        "from operator import eq\ndef eq(a, b):\n    return 3\neq(1, 2)",
        "import operator\nf(operator.lt, [operator.eq], (operator.ge, 1))",
        "from operator import add, itemgetter\nadd(1, 2)\nsame = itemgetter",
        "eq = 3\neq",
    ],
)
def test_what_may_mean_something_else_or_is_for_the_program_stays(source):
    assert ast.dump(rewritten(source)) == ast.dump(ast.parse(source))
