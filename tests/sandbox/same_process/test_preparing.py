"""Tests that are read and compiled before there is a program: the same code when they arrive."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.sandbox.same_process import collecting, preparing, rewriting
from evoltune.sandbox.trees import bindings, walk

SOURCES = (
    "import unittest, os.path\nfrom json import dumps\nasync def test_a():\n    assert f(1) == 2\n",
    "try:\n    assert f(2)\nexcept AssertionError:\n    raise\nx = 3\n",
)


class Marks(dict):
    """The marks themselves in place of the functions of a run."""

    def __missing__(self, name):
        return rewriting._MARK + name


def known(sources, keep=frozenset()):
    return preparing.restored(preparing.prepared(sources, keep), Marks())


def test_what_is_prepared_comes_back_as_it_was():
    found = known(SOURCES)
    assert found["imports"] == ["unittest", "os.path", "json"] and found["sources"] == SOURCES
    assert found["asynchronous"] and found["catches_failures"] and {"f", "x"} <= found["names"]
    assert found["defined"] == [{"test_a"}, set()]
    first, second = found["parts"]
    assert first.lines == {1: 4} and second.lines == {2: 2}  # numbers go on from part to part
    tree = ast.parse(SOURCES[1])
    own = rewriting.marked(tree, nodes := walk(tree), bindings(nodes), frozenset(), 1)
    assert (second.code, second.straight, second.lines, second.once) == (own.code, own.straight, own.lines, own.once)
    assert second.once == {"x"}


@pytest.mark.parametrize("source", ["assert f(1) ==", "x = \0", "return 1", "(" * 300 + ")" * 300])
def test_tests_that_do_not_compile_say_so(source):
    assert known((source,))["error"].startswith("the tests do not compile: ")


def test_a_name_that_means_the_programs_own_stays_a_name():
    (plain,), (kept,) = (known(("assert sum([1]) == 1",), keep)["parts"] for keep in (frozenset(), frozenset({"sum"})))
    assert "sum" not in plain.code.co_names and "sum" in kept.code.co_names


@pytest.mark.parametrize(
    ("source", "imports"),
    [
        ("import a.b as c, d", ["a.b", "d"]), ("from a.b import c", ["a.b"]), ("from . import a", []), ("from .a import b", []), ("from unittest import mock, TestCase", ["unittest", "unittest.mock"]),
        ("from unittest import TestCase", ["unittest"]), ("import importlib\nimportlib.import_module('a.b')", ["importlib", "a.b"]), ("import_module('.mock', 'unittest')", ["unittest.mock"]),
        ("import_module('.b', package)", [".b"]), ("__import__('a')", ["a"]), ("pytest.importorskip('a', '1.0')", ["a"]), ("import_module(name)", []), ("import_module('.')", []), ("load('a')", []),
        ("sys.modules['unittest.mock']", ["unittest.mock"]), ("x = 'unittest'", []),
    ],
)  # fmt: skip
def test_what_tests_import_is_known_however_they_import_it(source, imports):
    assert known((source,))["imports"] == imports


@pytest.mark.parametrize(
    ("source", "classes"),
    [
        ("class A(B, m.C): pass", {"B", "C", "m"}), ("isinstance(x, A)", {"A"}), ("issubclass(x, (A, m.B))", {"A", "B", "m"}), ("isinstance(A, x)", {"x"}), ("self.assertIsInstance(x, A)", {"self", "x", "A"}),
        ("pytest.raises(A)", {"pytest", "A"}), ("try:\n    f()\nexcept (A, B):\n    pass", {"A", "B"}), ("try:\n    f()\nexcept:\n    pass", set()), ("match x:\n    case A(): pass", {"A"}),
        ("assert type(x) is A", {"A"}), ("assert A == type(x)", {"A"}), ("assert type(x) < A", set()), ("assert x == A", set()), ("A.make()", {"A"}), ("f(A)", set()),
    ],
)  # fmt: skip
def test_names_that_are_used_as_classes_are_known(source, classes):
    assert known((source,))["used_as_classes"] - {""} == classes


@pytest.mark.parametrize(
    ("source", "mentioned"),
    [
        ("assert f(x) == 2", {"f", "x"}), ("x = 1\nassert f(x)", {"f"}), ("import solution\nsolution.f(1)", {"f"}), ("import solution as s\ns.f(1)\nother.g", {"f", "other"}), ("from solution import f as g\ng(1)", {"f", "g"}),
        ("def helper(a): return f(a)", {"f"}), ("for i in range(3): f(i)", {"range", "f"}),
    ],
)  # fmt: skip
def test_names_that_may_be_the_programs_are_known(source, mentioned):
    assert mentioned <= known((source,))["mentioned"]
    assert not {"i", "helper", "solution", "s"} & known((source,))["mentioned"]


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("assert x == 1\nx = 2", set()), ("x = 2\nassert f(1) == x", {"x"}), ("WANTED = 3\ndef test(): assert f(1) == WANTED", {"WANTED", "f"}), ("def test(): assert f(N)\nN = 1", {"f", "N"}),
    ],
)  # fmt: skip
def test_what_tests_read_before_they_bind_it_is_the_programs_state(source, read):
    assert known((source,))["read"] == read


def test_whether_tests_wait_or_catch_is_known():
    for source, waits in (("async def test(): pass", True), ("def test(): pass", False)):
        assert known((source,))["asynchronous"] is waits and known((source,))["catches_failures"] is False
    assert preparing.prepared(SOURCES, frozenset()) == preparing.prepared((*SOURCES,), frozenset())


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        ("assert f(1) == 2", False), ("importlib.reload(solution)", True), ("inspect.getsource(f)", True), ("subprocess.run([sys.executable, 'main.py'])", True), ("assert solution.__file__", True),
        ("reloaded = f(1)", False), ("import copy", False), ("runpy.run_path(path)", True),
    ],
)  # fmt: skip
def test_whether_tests_need_the_program_as_a_file_is_known(source, needs):
    assert known((source,))["needs_file"] is needs and known(("x = 1", source))["needs_file"] is needs


def test_numbers_of_assertions_go_on_over_all_sources():
    sources = ("assert f(1)\nassert f(2)", "x = 1", "assert f(x)", "assert f(4)")
    assert [sorted(part.lines) for part in known(sources)["parts"]] == [[1, 2], [], [3], [4]]


@pytest.mark.parametrize(
    ("source", "codecs"),
    [
        ("x.encode('utf-16', 'strict')", ["utf-16"]), ("x.decode('cp1252')", ["cp1252"]), ("open(p, encoding='koi8-r')", ["koi8-r"]), ("x.encode('utf-8')", []), ("x.encode('UTF_8')", []), ("x.encode(name)", []),
        ("x.encode()", []), ("x.strip('cp1252')", []), ("encode('cp1252')", []), ("open(p, mode='cp1252')", []), ("x.encode('caf\u00e9')", []), ("x.encode(8)", []), ("bytes(x, encoding='latin1')", []),
        ("x.decode('cp1251') + y.encode(encoding='cp1250')", ["cp1250", "cp1251"]),
    ],
)  # fmt: skip
def test_encodings_that_the_interpreter_looks_up_are_known(source, codecs):
    assert known((source,))["codecs"] == codecs == known(("x = 1", source))["codecs"]


@pytest.mark.parametrize(
    ("source", "judges"),
    [
        ("def test(tmp_path): pass", ["pathlib"]), ("raises(E, match='a')", ["re"]), ("self.assertNotRegex(a, b)", ["re"]), ("np.testing.assert_equal(a, b)", ["numpy.testing"]), ("datetime.strptime(a, b)", ["_strptime"]),
        ("assert f(1) == 2", []), ("match = tmp", ["pathlib", "re"]),
    ],
)  # fmt: skip
def test_modules_by_which_tests_judge_without_importing_them_are_known(source, judges):
    assert known((source,))["judges"] == judges == known(("x = 1", source))["judges"]


def test_why_tests_do_not_compile_is_told_in_three_hundred_characters():
    name = "z" * 400
    assert len(known((f"def f({name}, {name}): pass",))["error"]) == 300


CALLED = [
    ("def test_a():\n    assert f(1)\ndef helper(x, y):\n    return x\ndef test_b():\n    return\n", [("test_a", False), ("test_b", False)]),
    ("def check(candidate):\n    assert candidate(1)\nclass Own:\n    pass\n", [("check", True)]),
    ("def test_it(fn):\n    assert fn(1)\n", [("test_it", True)]),
    ("def test(n=3, m=4):\n    assert f(n)\n", [("test", False)]),
    ("import math\nassert f(1) == math.pi\n", []),
]  # fmt: skip
COLLECTED = [
    "import pytest\ndef test_a():\n    pass\n",
    "from unittest import mock\ndef test_a():\n    pass\n",
    "import unittest.mock\ndef test_a():\n    pass\n",
    "def test_a(tmp_path):\n    pass\n",
    "def test_a(*, candidate):\n    pass\n",
    "def test_a(candidate, /):\n    pass\n",
    "def test_a(*rest):\n    pass\n",
    "async def test_a():\n    pass\n",
    "def test_a():\n    yield 1\n",
    "def test_a():\n    return wait()\n",
    "@again\ndef test_a():\n    pass\n",
    "class TestA:\n    def test_a(self):\n        pass\n",
    "class Own(Base):\n    pass\n",
    "@marked\nclass Own:\n    pass\n",
    "class Own(metaclass=Kind):\n    pass\n",
    "test_a = lambda: None\n",
    "if x:\n    def test_a():\n        pass\n",
    "def test_a():\n    pass\ndef test_a():\n    pass\n",
    "def test_a():\n    pass\ndel test_a\n",
    "def test_a():\n    pass\ntest_a.__test__ = False\n",
    "def test_a():\n    pass\nsetattr(test_a, '__test__', False)\n",
    "from helpers import *\ndef test_a():\n    pass\n",
    "from helpers import test_a\n",
    "def setup_module():\n    pass\ndef test_a():\n    pass\n",
    "def pytest_generate_tests(metafunc):\n    pass\n",
    "pytestmark = 1\n",
    "def test_a():\n    pass\nfor name in names:\n    globals()[name] = test_a\n",
]


@pytest.mark.parametrize(("source", "functions"), CALLED)
def test_plain_functions_are_known_before_they_run(source, functions):
    assert known((source,))["functions"] == [functions]


@pytest.mark.parametrize("source", COLLECTED)
def test_what_only_a_runner_knows_is_collected(source):
    assert known((source,))["functions"] == [None]


NAMES = st.sampled_from("test_a test_b test check check_candidate helper Own Test".split())
PARAMETERS = st.sampled_from(["", "candidate", "fn", "x", "n=1", "candidate, n=2", "a, b"])
FUNCTIONS = st.builds("def {}({}):\n    called.append(1)\n".format, NAMES, PARAMETERS)
OTHERS = st.builds(
    "{}\n".format, st.sampled_from(["class Own:\n    x = 1", "helper = 3", "class Test:\n    pass", "x = 1"])
)


@given(st.lists(FUNCTIONS | OTHERS, max_size=5))
def test_the_functions_are_those_that_would_be_collected(parts):
    source = "".join(parts)
    (functions,) = known((source,))["functions"]
    if functions is None:
        return
    space: dict = {"called": (called := [])}
    exec(source, space)
    names = [name for name in space if name not in ("called", "__builtins__")]
    tests = [test for test in collecting.collected(space, names, lambda: called.append("entry")) if test.name]
    assert [test.name for test in tests] == [name for name, _ in functions]
    for test, (_, takes_entry) in zip(tests, functions, strict=True):
        called.clear()
        test.run()
        assert called == ["entry"] * takes_entry + [1]
