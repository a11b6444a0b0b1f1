"""Rewritten tests: what they raise is what the tests themselves raise, and each assertion on the way has its number."""

import ast
import builtins
import sys

import pytest

from evoltune.sandbox.same_process import rewriting
from evoltune.sandbox.trees import bindings, walk


def rewritten(source, keep=frozenset(), first=0, **more):
    """(compiled tests, the functions behind their marks, what was asked of them)."""
    asked = []

    def noted(name, result):
        def function(*args, **kwargs):
            asked.append((name, *args))
            return result(*args, **kwargs)

        return function

    plain = {name: getattr(builtins, name) for name in rewriting.PURE}
    bound = {
        **plain, "module": noted("module", lambda found: found), "status": noted("status", lambda site, value: value), "check": noted("check", lambda site, value: bool(value)), "gate": noted("gate", lambda site, value: value), "reached": noted("reached", lambda site: None),
        "expected": noted("expected", lambda site: None), "compare": noted("compare", lambda symbol, a, b: eval(f"a {symbol} b", {}, {"a": a, "b": b})),
        "operate": noted("operate", lambda symbol, a, b: eval(f"a {symbol.rstrip('=')} b", {}, {"a": a, "b": b})), "chain": noted("chain", lambda symbols, left, *later: all(f() for f in later)),
        "method": noted("method", lambda site, owner, name, *a, **k: getattr(owner, name)(*a, **k)), "function": noted("function", lambda site, f, *a, **k: f(*a, **k)),
        "answer": noted("answer", lambda owner, name, *a, **k: getattr(owner, name)(*a, **k)), "matched": noted("matched", lambda value, only_compares: value), "compared": noted("compared", lambda symbol, a, b: eval(f"a {symbol} b", {}, {"a": a, "b": b})), "lookup": noted("lookup", lambda name: 7), "AssertionError": AssertionError, **more,
    }  # fmt: skip
    tree = ast.parse(source)
    tests = rewriting.marked(tree, nodes := walk(tree), bindings(nodes), keep, first)
    tests.code = rewriting.with_constants(tests.code, bound)
    return tests, bound, asked


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("assert x", [("check", 1, 5)]),
        ("assert x == 5 and x", [("compare", "==", 5, 5), ("check", 1, 5)]),
        ("assert x not in (1, 2)", [("compare", "not in", 5, (1, 2)), ("check", 1, True)]),
        ("assert x - 1 and x / 5", [("operate", "-", 5, 1), ("operate", "/", 5, 5), ("check", 1, 1.0)]),
        ("y = 5 - 3 + 2 / 4", []),
        ("y = x * 2 + 1", [("operate", "*", 5, 2), ("operate", "+", 10, 1)]),
        ("y = (x == 5).real", [("compared", "==", 5, 5)]),
        ("x -= 2", [("operate", "-=", 5, 2)]),
        ("match x:\n    case 5: pass", [("matched", 5, True)]),
        ("assert x is x", [("check", 1, True)]),
        ("if x != 5: raise ValueError", [("compare", "!=", 5, 5), ("gate", 1, False)]),
        ("if x:\n    y = 1\nelse:\n    raise ValueError", [("gate", 1, 5)]),
        ("if x: y = 1", []),
        ("if not x: assert False", [("gate", 1, False)]),
        ("if not x: assert x", []),
        ("if not x: fail()", [("gate", 1, False)]),
        ("if not x: sys.exit(1)", [("gate", 1, False)]),
        ("if not x: print(1)", []),
        ("try:\n    int('a')\n    raise KeyError\nexcept ValueError:\n    y = 1", [("reached", 1)]),
        ("try:\n    int('a')\nexcept ValueError:\n    y = 1", []),
        ("try:\n    int('a')\nexcept ValueError:\n    y = 1\nelse:\n    assert 0", [("reached", 2)]),
        ("'abc'.startswith('a')", [("answer", "abc", "startswith", "a")]),
        ("'abc'.find('a')", []),
        ("import math\nmath.floor(1.5)", [("method", 0, __import__("math"), "floor", 1.5)]),
        ("from os import path\npath.sep.join(['a'])", [("method", 0, "/", "join", ["a"])]),
        ("import collections\ncollections.namedtuple('T', 'a')", []),
        ("import inspect\ninspect.currentframe()", []),
        ("import sys\nsys.modules.get('math')", [("module", __import__("math"))]),
        ("import sys\nsys.modules.copy", []),
        ("{}.get('modules')", []),
        ("x += 2", []),
        ("y = [5]\ny[0] -= 1", []),
        ("x /= 2", [("operate", "/=", 5, 2)]),
        ("y = -3 - 2", []),
        ("import sys\nsys.modules['math']", [("module", __import__("math"))]),
        ("import sys\nsys.modules['no_such'] = 3\ndel sys.modules['no_such']", []),
        ("{}.get\n{'a': 1}['a']", []),
        *(
            (f"f = print\n{used}", [("compared", "==", 5, 5)])
            for used in ("f(x == 5)", "y = x == 5", "y = [1, 2][x == 5]", "(x == 5).real", "f(1, x == 5)", "dict(y=x == 5)")
        ),
        *(
            (used, [("compare", "==", 5, 5)])
            for used in ("bool(x == 5)", "all([x == 5])", "int(x == 5)", "y = not x == 5", "y = [x == 5]", "y = x if x == 5 else 2", "y = x == 5 and x", "y = f'{x == 5}'", "y = [a for a in [x] if a == x]")
        ),
        ("y = 1 - (x == 5)", [("compared", "==", 5, 5), ("operate", "-", 1, True)]),
        ("y = x is x == 5", []),
        ("y = [1].count(1)", [("answer", [1], "count", 1)]),
        ("y = x.__eq__(5)", [("answer", 5, "__eq__", 5)]),
        ("import math\ny = math.pi", []),
        ("y = (lambda: 3)()", []),
        ("if 0: exit()", [("gate", 1, 0)]),
        ("if 0: assert 1", []),
        ("if 0: assert ''", [("gate", 1, 0)]),
        ("if 0: quit\nelse: y = fail = exit = 1", []),
        ("match x:\n    case 5 if x == 5: y = 1", [("matched", 5, True), ("compare", "==", 5, 5)]),
        ("y: int = 5 - x", [("operate", "-", 5, 5)]),
        ("y: int\nclass A:\n    y: int = 1", []),
        ("assert x, x - 1", [("check", 1, 5)]),
        ("for y in (1, 2): assert y", [("check", 1, 1), ("check", 1, 2)]),
        ("class A:\n    y = x", [("lookup", "x")]),
        ("class A:\n    y = 1\n    z = y\n    def f(self): return x", []),
        ("class A:\n    y = lambda self: x\n    z = len('a')", []),
        ("def assert_it(y): pass\nassert_it(x)", [("function", 1, "assert_it", 5)]),
    ],
)  # fmt: skip
def test_what_is_asked_on_the_way(source, asked):
    tests, _, got = rewritten(source)
    space = {"x": 5}
    exec(tests.code, space)
    assert [
        tuple(getattr(a, "__name__", a) if callable(a) and not isinstance(a, type) else a for a in entry)
        for entry in got
    ] == asked


def test_a_failing_assertion_raises_with_its_message_and_line():
    for source, line, text in (
        ("x = 1\nassert x == 2", 2, ""),
        ("assert 0, 'why'", 1, "why"),
        ("def f():\n\n    assert [], 5\nf()", 3, "5"),
    ):
        tests, *_ = rewritten(source)
        with pytest.raises(AssertionError) as info:
            exec(tests.code, {})
        trace = info.value.__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        assert (str(info.value), trace.tb_lineno, trace.tb_frame.f_code.co_filename) == (text, line, rewriting.FILE)


@pytest.mark.parametrize(
    ("arguments", "statuses"),
    [
        ("x", [5]), ("x - 5", [0]), ("int(x)", [5]), ("own()", [3]), ("1 if x else 0", [1]), ("x == 5", [True]), ("1", []), ("", []), ("'text'", []), ("x, 1", []), ("*[x]", []), ("strange()", []), ("math.floor(x)", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["exit({})", "quit({})", "sys.exit({})", "raise SystemExit({})"])
def test_an_exit_whose_status_is_what_the_tests_found_is_an_assertion(end, arguments, statuses):
    tests, _, asked = rewritten(f"import math, sys\ndef own(): return 3\n{end.format(arguments)}")
    with pytest.raises((SystemExit, TypeError)):
        exec(tests.code, {"x": 5, "strange": lambda: 4, "exit": sys.exit, "quit": sys.exit})
    assert [value for name, *_, value in asked if name == "status"] == statuses
    assert len(tests.lines) == len(statuses)


STRAIGHT = """
assert 1
def test_plain():
    assert 2
    if 3:
        assert 4
    for x in []:
        assert 5
    while 0:
        assert 6
    assert [y for y in (7,) if check(y)] and (lambda: assertion())
    with raises(ValueError):
        assert 8
    with open('x') as f:
        assert 9
    try:
        assert 10
    finally:
        pass
    y = 1 if 0 else assert_all(11)
    z = 0 or assert_any(12)
    match y:
        case 1:
            assert 13
    assert 14
def test_early():
    assert 15
    if 16:
        return
    assert 17
def test_inner():
    def helper():
        assert 18
    assert 19
async def test_async():
    assert 20
    async with a:
        assert 21
    async for b in c:
        assert 22
class TestIt:
    assert 23
    def test_method(self):
        self.assertEqual(24, 24)
        assertEqual(25, 25)
        assert 26
def test_yield():
    assert 27
    yield
    assert 28
if 1:
    def test_conditional():
        assert 29
"""


def test_assertions_that_lie_on_the_way_of_a_test_are_known():
    tests, *_ = rewritten(STRAIGHT, first=100)
    lines = {
        scope: [STRAIGHT.splitlines()[tests.lines[site] - 1].strip() for site in sites]
        for scope, sites in tests.straight.items()
    }
    assert lines == {
        "": ["assert 1"],
        "test_plain": ["assert 2", "assert [y for y in (7,) if check(y)] and (lambda: assertion())", "with raises(ValueError):", "assert 14"],
        "test_early": ["assert 15"], "test_inner": ["assert 19"], "test_inner.helper": ["assert 18"], "test_async": ["assert 20"], "TestIt": ["assert 23"],
        "TestIt.test_method": ["self.assertEqual(24, 24)", "assert 26"], "test_yield": ["assert 27"],
    }  # fmt: skip
    assert min(tests.lines) == 101 and sorted(tests.lines) == [*range(101, 101 + len(tests.lines))]


@pytest.mark.parametrize(
    ("source", "marked"),
    [
        ("y = len(x)", True), ("len = 5\ny = len", False), ("def f(len): return len", False), ("import os as len\nlen", False), ("from os import path as len\nlen", False), ("import len.x\nlen", False),
        ("try:\n    pass\nexcept E as len:\n    len", False), ("class len: pass\nlen", False), ("def len(): pass\nlen", False), ("async def len(): pass\nlen", False), ("for len in x: len", False),
        ("with x as len: len", False), ("(len := 5)", False), ("match x:\n    case [*len]: len", False), ("match x:\n    case 1 as len: len", False), ("lambda len: len", False), ("print(len)", True),
        ("def f(x=len): pass", True), ("@len\ndef f(): pass", True), ("class A(B, x=len): pass", True), ("@len\nclass A: pass", True), ("def f(*, x=len): pass", True), ("y: len = 5", False), ("y: int = len", True), ("def f(x: len): pass", False),
        ("match x:\n    case len.x: pass", False), ("match x:\n    case int(): pass", False),
    ],
)  # fmt: skip
def test_builtins_are_the_interpreters_unless_the_tests_bind_the_name(source, marked):
    tests, *_ = rewritten(source, len=MARKER)
    assert (MARKER in constants(tests.code)) is marked
    kept, *_ = rewritten(source, keep=frozenset({"len"}), len=MARKER)
    assert MARKER not in constants(kept.code)


MARKER = object()


def constants(code):
    found = []
    for constant in code.co_consts:
        found += constants(constant) if hasattr(constant, "co_consts") else [constant]
    return found


def test_types_in_a_container_of_constants_are_the_interpreters():
    tests, *_ = rewritten("y = (int, float)\nw = (1, (int, 2))\nclass A:\n    y = 0 < 1 in {int, str}")
    assert (
        (int, float) in constants(tests.code)
        and frozenset({int, str}) in constants(tests.code)
        and (1, (int, 2)) in constants(tests.code)
    )


def test_names_bound_once_are_known():
    source = "A = 1\nB = C = 2\nD = 1\nD = 2\nE = 1\ndef f():\n    global E\n    E = 2\nclass G: pass\nimport h\nfor i in (): pass\nj, k = 1, 2\ndef m(n): pass\nif 1:\n    o = 1\nx.p = 1\n"
    tests, *_ = rewritten(source)
    assert tests.once == {"A", "B", "C", "f", "G", "h", "m"}


@pytest.mark.parametrize(
    ("source", "catches"),
    [
        ("try: pass\nexcept AssertionError: pass", True), ("try: pass\nexcept Exception: pass", True), ("try: pass\nexcept BaseException: pass", True), ("try: pass\nexcept: pass", True),
        ("try: pass\nexcept (ValueError, AssertionError): pass", True), ("try: pass\nexcept ValueError: pass", False), ("raises(AssertionError)", True), ("b.AssertionError", True), ("raises(ValueError)", False), ("x = 1", False),
    ],
)  # fmt: skip
def test_tests_that_catch_failures_are_known(source, catches):
    assert rewriting.catches_failures(walk(ast.parse(source))) is catches


def test_chains_evaluate_what_they_need_where_names_are_bound_in_them():
    for source in (
        "class A:\n    y = 1\n    z = 0 < y < 2",
        "def f(): return 0 < (y := 1) < 2\nf()",
        "def g(): return 0 < (yield 1) < 2",
        "async def h(): return 0 < (await x) < 2",
    ):
        tests, _, asked = rewritten(source)
        exec(tests.code, {})
        assert "chain" not in [name for name, *_ in asked]
    tests, _, asked = rewritten("y = 1 < 2 not in [3]")
    exec(tests.code, {})
    assert asked[0][:3] == ("chain", "< not-in", 1)


def test_a_context_is_expected_or_reached_after_it():
    import unittest

    space = {"self": unittest.TestCase()}
    for name, kind in (
        ("assertRaises(ValueError)", "expected"),
        ("assertRaisesRegex(ValueError, 'inv')", "expected"),
        ("assertWarns(UserWarning)", "reached"),
        ("assertLogs()", "reached"),
    ):
        body = {"expected": "int('a')", "assertWarns(UserWarning)": "import warnings; warnings.warn('x')"}.get(
            kind if kind == "expected" else name, "import logging; logging.warning('x')"
        )
        tests, _, asked = rewritten(f"with self.{name}:\n    {body}\n")
        exec(tests.code, space)
        assert [entry[0] for entry in asked if entry[0] in ("expected", "reached")] == [kind], name
        assert asked[0][:2] == ("method", 0)
    tests, _, asked = rewritten("self.assertEqual(1, 1)\nself.assertTrue(True, msg='x')")
    exec(tests.code, space)
    assert [entry[:2] + entry[3:] for entry in asked] == [
        ("method", 1, "assertEqual", 1, 1),
        ("method", 2, "assertTrue", True),
    ]
    tests, *_ = rewritten("class A:\n    def f(self): return super().f()")
    exec(tests.code, {})
