"""What tests see of a program from another process: values with their types, and proxies that cannot lie."""

import pytest

from evoltune.sandbox.values import encode


def test_values_cross_with_their_types(one):
    program = (
        "from collections import *\nimport datetime, decimal, fractions\nP = namedtuple('P', 'x y')\n"
        "def f(k):\n    return {'t': (1, [2]), 's': {1, 2}, 'c': 1 + 2j, 'b': b'\\xff', 'n': None, 'big': 10**5000, 'd': {1: 'a', (1, 2): 'b'},"
        "'counter': Counter('aab'), 'deque': deque([1]), 'range': range(3), 'p': P(1, 2), 'inf': float('inf'), 'u': '\\ud800',"
        "'day': datetime.date(2020, 1, 2), 'dec': decimal.Decimal('1.50'), 'frac': fractions.Fraction(1, 3), 'keys': {1: 2}.keys()}[k]"
    )
    tests = (
        "import datetime, decimal, fractions, collections\n"
        "assert f('t') == (1, [2]) and type(f('t')) is tuple\nassert f('s') == {1, 2}\nassert f('c') == 1 + 2j\nassert f('b') == b'\\xff'\n"
        "assert f('n') is None\nassert f('big') == 10**5000\nassert f('d') == {1: 'a', (1, 2): 'b'}\nassert f('counter') == {'a': 2, 'b': 1}\n"
        "assert f('deque') == collections.deque([1])\nassert f('range') == range(3)\nassert f('p') == (1, 2) and f('p').x == 1\n"
        "assert f('inf') == float('inf')\nassert f('u') == '\\ud800'\nassert f('day') == datetime.date(2020, 1, 2)\n"
        "assert f('dec') == decimal.Decimal('1.5')\nassert f('frac') == fractions.Fraction(1, 3)\nassert f('keys') == {1}\n"
    )
    verdict = one(program, tests)
    assert verdict.status == "pass", verdict


@pytest.mark.parametrize(
    "program, tests",
    [
        ("def f(x):\n    x.append(3)", "x = [1]\nf(x)\nassert x == [1, 3]"),
        ("def f(m):\n    m[0][0] = 9", "m = [[1], [2]]\nrow = m[0]\nf(m)\nassert m == [[9], [2]] and row == [9]"),
        ("def f(d):\n    d['b'] = 2\n    del d['a']", "d = {'a': 1}\nf(d)\nassert d == {'b': 2}"),
        ("def f(g, x):\n    return g(g(x))", "assert f(lambda v: v + 1, 3) == 5"),
        ("def f(x):\n    raise ValueError('bad')", "try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert 'bad' in str(e)"),
        ("class Odd(Exception): pass\ndef f(x):\n    raise Odd('x')", "try:\n    f(1)\n    assert False\nexcept Odd:\n    pass"),
        ("def f(n):\n    for i in range(n): yield i", "assert list(f(3)) == [0, 1, 2]"),
        ("async def f(x):\n    return x", "import asyncio\nassert asyncio.run(f(3)) == 3"),
        ("import math\ndef f(x):\n    return math.sqrt(x)", "assert math.isclose(f(4), 2)"),
        ("def f(n):\n    return [f] * n", "assert len(f(2)) == 2"),
        (
            "class V:\n    def __init__(s, x): s.x = x\n    def __add__(s, o): return V(s.x + o.x)\n    def __eq__(s, o): return s.x == o.x\n"
            "    def __mul__(s, k): return V(s.x * k)\n    def __repr__(s): return f'V({s.x})'\n    def __len__(s): return s.x",
            "v = V(1) + V(2)\nassert v.x == 3\nassert v == V(3)\nassert (v * 2).x == 6\nassert isinstance(v, V)\nassert repr(v) == 'V(3)'\nassert len(v) == 3",
        ),
        (
            "class Stack:\n    def __init__(s): s.items = []\n    def push(s, x): s.items.append(x)\n    def pop(s): return s.items.pop()",
            "s = Stack()\ns.push(1)\ns.push(2)\nassert s.pop() == 2\nassert s.items == [1]",
        ),
    ],
)  # fmt: skip
def test_tests_see_what_they_would_see_in_one_process(one, program, tests):
    verdict = one(program, tests)
    assert verdict.status == "pass", verdict


LIAR = (
    "class A:\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    def __hash__(s): return 0\n    def __sub__(s, o): return 0\n"
    "    __rsub__ = __sub__\n    def __add__(s, o): return s\n    def __abs__(s): return 0\n    def __float__(s): return 0.0\n    def __lt__(s, o): return True\n"
    "    __le__ = __gt__ = __ge__ = __lt__\n    def __contains__(s, o): return True\n    def __getattr__(s, n): return lambda *a, **k: True\n"
    "    def __bool__(s): return True\n    def __round__(s, *a): return s\n"
)


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1, 2) == 3",
        "assert 3 == f(1, 2)",
        "assert abs(f(1, 2) - 3) < 1e-6",
        "assert abs(3 - f(1, 2)) < 1e-6",
        "assert f(1, 2) in [3]",
        "assert 3 in f(1, 2)",
        "assert f(1, 2).startswith('abc')",
        "assert {3: 1}[f(1, 2)]",
        "assert f(1, 2) + 0 == f(0, 3)",
        "assert f(1, 2) >= 3",
        "assert round(f(1, 2), 2) == 3",
        "import math\nassert math.isclose(f(1, 2), 3)",
        "assert not f(1, 2) != 3",
        "assert [f(1, 2)] == [3]",
        "assert sorted([f(1, 2), 3])[0] == 3 and f(1, 2) == 3",
        "import unittest\nunittest.TestCase().assertEqual(f(1, 2), 3)",
        {"cases": [[encode([1, 2]), encode(3)]]},
    ],
)
@pytest.mark.parametrize("form", ["def f(a, b):\n    return A()", "class f(A):\n    def __init__(s, *a): pass"])
def test_an_object_that_equals_everything_wins_nothing(one, tests, form):
    assert one(LIAR + form, tests).status == "fail"


def test_a_comparison_that_the_program_defines_is_not_asked(one):
    program = "def isclose(a, b): return True\nclass math:\n    isclose = staticmethod(isclose)\ndef f(a, b): return 0"
    assert one(program, "assert math.isclose(f(1, 2), 3)").status == "fail"
    assert one(program, "assert isclose(f(1, 2), 3)").status == "fail"
    assert one("def abs(x): return 0\ndef f(a, b): return 9.0", "assert abs(f(1, 2) - 3) < 1e-6").status == "fail"
