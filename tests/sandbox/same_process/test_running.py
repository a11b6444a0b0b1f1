"""Programs and tests in one interpreter: honest programs get pytest's verdict on the same text, and cheats pass nothing."""

import re
import subprocess
import sys
import types
import unittest
import xml.etree.ElementTree as ElementTree

import pytest

from evoltune.domain import Job
from evoltune.sandbox.same_process import private

ADD = "def f(a, b):\n    return a + b\n"
BOX = "class Box:\n    def __init__(self, n): self.n = n\n    def __eq__(self, o): return isinstance(o, Box) and self.n == o.n\n    def __hash__(self): return hash(self.n)\n    def half(self): return self.n / 2\n"
LOUD = "import sys\ndef f(a, b):\n    print(a)\n    print(b, file=sys.stderr)\n    return a\n"
STRICT = "def f(a, b):\n    if a < 0: raise ValueError(f'bad {a}')\n    return a + b\n"
STATE = "seen = []\ndef f(a, b):\n    seen.append(a)\n    return len(seen)\n"

# name: (program, tests that hold, what to replace in them, by what, so that they fail)
PYTEST = {
    "a function": (ADD, "def test_it():\n    assert f(1, 2) == 3 and f is f", "3", "4"),
    "an inner assert": (ADD, "def test_it():\n    def inner(x):\n        assert f(x, 1) == x + 1\n    inner(2)\n    assert f is f", "x + 1", "x + 2"),
    "a lambda": (ADD, "def test_it():\n    same = lambda x: f(x, 0) == x\n    assert same(2) and f is f", "== x", "!= x"),
    "a loop": (ADD, "def test_it():\n    for x in range(3):\n        assert f(x, 1) == x + 1\n    assert f is not None", "range(3)", "[0, 1, 'a']"),
    "a branch": (ADD, "def test_it():\n    if f(1, 1) != 2:\n        raise ValueError\n    assert f is f", "!= 2", "== 2"),
    "a try": (STRICT, "def test_it():\n    try:\n        f(-1, 1)\n        assert False\n    except ValueError as e:\n        assert str(e) == 'bad -1'", "bad -1", "bad"),
    "a chain": (ADD, "def test_it():\n    assert 1 < f(1, 1) <= 2 < 5 and f is f", "<= 2", "< 2"),
    "a chain of more": (ADD, "def test_it():\n    assert 1 in [1] != [2] and f(1, 1) not in (1, 3) and f is f", "(1, 3)", "(1, 2)"),
    "a message": (ADD, "def test_it():\n    assert f(1, 2) == 3, f'got {f(1, 2)}'\n    assert f is f", "== 3", "== 5"),
    "a tolerance": (ADD, "def test_it():\n    assert abs(f(0.1, 0.2) - 0.3) < 1e-9 and f is f", "0.3)", "0.4)"),
    "a quotient": (ADD, "def test_it():\n    assert f(1, 2) / 2 == 1.5 and f is f", "1.5", "2"),
    "an early return": (ADD, "def test_it():\n    assert f(1, 1) == 2 and f is f\n    if f(1, 1):\n        return\n    assert False", "== 2", "== 3"),
    "an early return before": (ADD, "def test_it():\n    for x in (1, 2):\n        if x == 2:\n            return\n        assert f(x, 1) is not None and f is f\n    assert f(1, 1) == 3", "not None", "None"),
    "a generator of answers": (ADD, "def test_it():\n    def pairs():\n        yield 1, 2\n        yield 3, 4\n    assert f is f and all(f(a, b) == a + b for a, b in pairs())", "== a + b", "== a * b"),
    "a class": (BOX, "class TestBox:\n    def setup_method(self):\n        self.box = Box(4)\n    def test_half(self):\n        assert self.box.half() == 2\n    def test_equal(self):\n        assert self.box == Box(4) and self.box != Box(5)\n        assert self.box in [Box(4)]", "half() == 2", "half() == 3"),
    "set-up with the method": (BOX, "class TestBox:\n    def setup_method(self, method):\n        self.box = Box(4)\n    def teardown_method(self, method):\n        assert self.box.n == 4\n    def test_half(self):\n        assert self.box.half() == 2", "n == 4", "n == 5"),
    "a class set up once": (BOX, "class TestBox:\n    @classmethod\n    def setup_class(cls):\n        cls.box = Box(4)\n    def test_half(self):\n        assert self.box.half() == 2\n    helper = 5", "half() == 2", "half() == 3"),
    "names of a class body": (BOX, "N = 4\nclass TestBox:\n    n = N\n    boxes = [Box(4), Box(5)]\n    size = len(boxes)\n    def test_it(self):\n        assert self.boxes[0] == Box(self.n) and self.size == 2", "== 2", "== 3"),
    "parameters": (ADD, "import pytest\n@pytest.mark.parametrize('a, b, c', [(1, 2, 3), pytest.param(0, 0, 0), pytest.param(1, 1, 5, marks=pytest.mark.skip)])\ndef test_it(a, b, c):\n    assert f(a, b) == c", "0, 0, 0", "0, 0, 1"),
    "parameters twice": (ADD, "import pytest\n@pytest.mark.parametrize('a', [1, 2])\n@pytest.mark.parametrize('b', [3, 4])\ndef test_it(a, b):\n    assert f(a, b) == a + b and a + b < 7", "< 7", "< 6"),
    "approximately": (ADD, "import pytest\ndef test_it():\n    assert f(0.1, 0.2) == pytest.approx(0.3)", "0.3", "0.31"),
    "raises": (STRICT, "import pytest\ndef test_it():\n    with pytest.raises(ValueError, match='bad') as info:\n        f(-1, 1)\n    assert str(info.value) == 'bad -1' and info.type is ValueError", "match='bad'", "match='good'"),
    "raises nothing": (STRICT, "import pytest\ndef test_it():\n    with pytest.raises(ValueError):\n        f(-1, 1)\n    assert f(1, 1) == 2", "f(-1, 1)", "f(1, 1)"),
    "raises something else": (STRICT, "import pytest\ndef test_it():\n    pytest.raises(ValueError, f, -1, 1)\n    assert f is f", "ValueError", "TypeError"),
    "fail": (ADD, "import pytest\ndef test_it():\n    if f(1, 1) == 2:\n        return\n    pytest.fail('wrong')\ndef test_more():\n    assert f(1, 2) == 3", "== 2", "== 3"),
    "a fixture": (BOX, "import pytest\n@pytest.fixture\ndef box():\n    return Box(4)\ndef test_it(box):\n    assert box == Box(4)", "== Box(4)", "== Box(5)"),
    "a fixture of a fixture": (BOX, "import pytest\n@pytest.fixture\ndef n():\n    return 4\n@pytest.fixture(name='box')\ndef made(n):\n    made_box = Box(n)\n    yield made_box\n    assert made_box.n == 5\ndef test_it(box):\n    assert box == Box(4)\n    box.n = 5", "n == 5", "n == 6"),
    "a fixture with parameters": (BOX, "import pytest\n@pytest.fixture(params=[1, 2])\ndef box(request):\n    return Box(request.param)\ndef test_it(box):\n    assert box in (Box(1), Box(2))", "Box(2))", "Box(3))"),
    "a fixture everywhere": (STATE, "import pytest\n@pytest.fixture(autouse=True)\ndef clean():\n    seen.clear()\ndef test_it():\n    assert f(5, 0) == 1\ndef test_again():\n    assert f(5, 0) == 1", "autouse=True", "autouse=False"),
    "a fixture in a class": (BOX, "import pytest\nclass TestBox:\n    @pytest.fixture\n    def box(self):\n        return Box(4)\n    @pytest.mark.parametrize('n', [4, 4.0])\n    def test_it(self, box, n):\n        assert box == Box(n)", "4.0", "5"),
    "captured output": (LOUD, "def test_it(capsys):\n    f(1, 2)\n    out = capsys.readouterr()\n    assert out.out == '1\\n' and out.err == '2\\n'", "'2", "'3"),
    "a patched name": ("import os\ndef f(a, b):\n    return os.environ.get('WHO', a)\n", "def test_it(monkeypatch):\n    monkeypatch.setenv('WHO', 'me')\n    assert f(1, 2) == 'me'\ndef test_after():\n    assert f(1, 2) == 1", "'me'\ndef", "'you'\ndef"),
    "a folder": ("def f(a, b):\n    open(a, 'w').write(b)\n", "def test_it(tmp_path):\n    f(tmp_path / 'x', 'text')\n    assert (tmp_path / 'x').read_text() == 'text'", "== 'text'", "== 'texts'"),
    "skipped beside others": (ADD, "import pytest\n@pytest.mark.skip(reason='x')\ndef test_skipped():\n    assert f(1, 1) == 5\n@pytest.mark.skipif(True, reason='x')\ndef test_too():\n    assert False\ndef test_it():\n    assert f(1, 1) == 2", "== 2", "== 3"),
    "a skip inside": (ADD, "import pytest\ndef test_skipped():\n    pytest.skip('no')\ndef test_it():\n    assert f(1, 1) == 2", "== 2", "== 3"),
    "state": (STATE, "def test_it():\n    assert f(1, 1) == 1 and seen == [1]\n    seen.clear()\n    assert f(2, 1) == 1", "seen == [1]", "seen == [2]"),
    "a warning": ("import warnings\ndef f(a, b):\n    warnings.warn('old', DeprecationWarning)\n    return a\n", "import pytest\ndef test_it():\n    with pytest.warns(DeprecationWarning, match='old'):\n        assert f(1, 2) == 1", "'old'", "'new'"),
    "a match statement": (ADD, "def test_it():\n    match f(1, 2):\n        case 3:\n            assert f is f\n        case _:\n            raise ValueError", "case 3", "case 4"),
    "an annotated name": (ADD, "def test_it():\n    x: int = f(1, 2)\n    y: list[int]\n    assert x == 3 and f is f", "== 3", "== 4"),
    "predicates": ("def f(a, b):\n    return a + b\n", "def test_it():\n    assert f('ab', 'c').startswith('abc') and f is f\n    assert not f('a', 'b').endswith('a')", "'abc')", "'b')"),
    "isinstance": (BOX, "def test_it():\n    assert isinstance(Box(1), Box) and not isinstance(1, Box) and isinstance(Box(1).half(), (int, float))", "(int, float)", "(int, str)"),
    "types in a container": (ADD, "def test_it():\n    assert type(f(1, 1)) in {int, float} and type(f(1, 1)) in [int, str] and f is f", "[int, str]", "[bool, str]"),
    "names of arguments": (BOX, "import functools\nclass TestBox:\n    def assert_box(self, name, owner, site, called):\n        assert name == owner == Box(site)\n    def test_it(self):\n        self.assert_box(name=Box(1), owner=Box(1), site=1, called=2)\n        assert functools.partial(dict, name=1)(owner=2) == {'name': 1, 'owner': 2}", "site=1", "site=2"),
    "a module's function": (ADD, "import math\ndef test_it():\n    assert math.isclose(f(0.1, 0.2), 0.3) and f is f", "0.3)", "0.4)"),
    "a mock": ("import time\ndef f(a, b):\n    time.sleep(a)\n    return b\n", "from unittest.mock import patch\ndef test_it():\n    with patch('time.sleep') as sleep:\n        assert f(5, 3) == 3\n        sleep.assert_called_once_with(5)", "with(5)", "with(6)"),
    "a coroutine": ("async def f(a, b):\n    return a + b\n", "import asyncio\ndef test_it():\n    assert asyncio.run(f(1, 2)) == 3", "== 3", "== 4"),
    "a method overridden": (BOX, "class Twice(Box):\n    def half(self):\n        return super().half() * 2\ndef test_it():\n    assert Twice(4).half() == 4", "== 4", "== 2"),
    "a global changed": (ADD, "count = 0\ndef bump():\n    global count\n    count += 1\n    return count\ndef test_it():\n    assert f(bump(), bump()) == 3 and count == 2", "count == 2", "count == 1"),
    "functions of the operator module": ("def f(a, b):\n    return [a, b]\n", "import operator\nfrom operator import itemgetter\ndef test_it():\n    assert operator.contains(f(1, 2), 2) and operator.eq(f(1, 2), [1, 2]) and operator.__eq__(f(1, 1), [1, 1])\n    assert all(map(operator.lt, f(1, 2), [2, 3])) and itemgetter(1)(f(1, 2)) == 2 and f is f", "contains(f(1, 2), 2)", "contains(f(1, 2), 3)"),
    "a comprehension": (ADD, "def test_it():\n    assert [f(x, 1) for x in range(3)] == [1, 2, 3] and {f(x, 0): x for x in (1,)} == {1: 1} and f is f", "[1, 2, 3]", "[1, 2, 4]"),
}  # fmt: skip
UNITTEST = {
    "a case": (ADD, "import unittest\nclass TestAdd(unittest.TestCase):\n    def setUp(self):\n        self.a = 1\n    def tearDown(self):\n        self.assertEqual(self.a, 1)\n    def test_it(self):\n        self.assertEqual(f(self.a, 2), 3)\n        self.assertTrue(f(0, 1))", "(self.a, 1)", "(self.a, 2)"),
    "a case run by main": (ADD, "import unittest\nclass TestAdd(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(f(1, 2), 3)\nif __name__ == '__main__':\n    unittest.main()", "3)", "4)"),
    "class-wide": (ADD, "import unittest\nclass TestAdd(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls):\n        cls.a = 1\n    @classmethod\n    def tearDownClass(cls):\n        assert cls.a == 1\n    def test_it(self):\n        self.assertAlmostEqual(f(self.a, 0.1), 1.1)", "cls.a == 1", "cls.a == 2"),
    "errors": (STRICT, "import unittest\nclass TestAdd(unittest.TestCase):\n    def test_it(self):\n        with self.assertRaises(ValueError) as context:\n            f(-1, 0)\n        self.assertIn('bad', str(context.exception))\n    def test_call(self):\n        self.assertRaises(ValueError, f, -1, 0)\n        self.assertRaisesRegex(ValueError, 'bad', f, -2, 0)", "'bad', f", "'good', f"),
    "an own assertion": (BOX, "import unittest\nclass TestBox(unittest.TestCase):\n    def assertBox(self, box, n):\n        self.assertEqual(box.n, n)\n    def assertTrue(self, value, msg=None):\n        self.assertEqual(value, 'true')\n    def test_it(self):\n        self.assertBox(Box(3), 3)\n        self.assertTrue('true')", "assertTrue('true')", "assertTrue(True)"),
    "an equality of its own": (BOX, "import unittest\nclass Loose:\n    def __init__(self, n): self.n = n\nclass TestBox(unittest.TestCase):\n    def setUp(self):\n        self.addTypeEqualityFunc(Loose, lambda a, b, msg=None: self.assertEqual(Box(a.n), Box(b.n)))\n    def test_it(self):\n        self.assertEqual(Loose(1), Loose(1))", "Loose(1))", "Loose(2))"),
    "expected failures": (ADD, "import unittest\nclass TestAdd(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_wrong(self):\n        self.assertEqual(f(1, 1), 3)\n    @unittest.skip('x')\n    def test_skipped(self):\n        self.fail()\n    def test_it(self):\n        self.assertEqual(f(1, 1), 2)", "1), 3)", "1), 2)"),
    "subtests": (ADD, "import unittest\nclass TestAdd(unittest.TestCase):\n    def test_it(self):\n        for x in (1, 2):\n            with self.subTest(x=x):\n                self.assertEqual(f(x, 1), x + 1)", "x + 1)", "x + 2)"),
    "clean-ups": (STATE, "import unittest\nclass TestIt(unittest.TestCase):\n    def setUp(self):\n        self.addCleanup(seen.clear)\n    def test_a(self):\n        self.assertEqual(f(1, 1), 1)\n    def test_b(self):\n        self.assertEqual(f(1, 1), 1)", "self.addCleanup(seen.clear)", "pass"),
    "coroutines": ("async def f(a, b):\n    return a + b\n", "import unittest\nclass TestIt(unittest.IsolatedAsyncioTestCase):\n    async def asyncSetUp(self):\n        self.a = 1\n    async def test_it(self):\n        self.assertEqual(await f(self.a, 2), 3)", "3)", "4)"),
    "skipped at run time": (ADD, "import unittest\nclass TestAdd(unittest.TestCase):\n    def test_skipped(self):\n        raise unittest.SkipTest('x')\n    def test_it(self):\n        self.assertEqual(f(1, 1), 2)", "1), 2)", "1), 3)"),
}  # fmt: skip
CASES = [
    (name, program, text)
    for name, (program, tests, old, new) in (PYTEST | UNITTEST).items()
    for text in (tests, tests.replace(old, new))
]


def test_each_case_has_a_form_that_holds_and_one_that_does_not():
    assert all(tests.count(old) >= 1 for _, tests, old, _ in (PYTEST | UNITTEST).values())


@pytest.fixture(scope="module")
def pytests_verdicts(tmp_path_factory):
    """ "pass" or "fail" for each case, by pytest itself: each program with its tests in one file."""
    folder = tmp_path_factory.mktemp("cases")
    for i, (_, program, tests) in enumerate(CASES):
        (folder / f"test_{i}.py").write_text(f"{program}\n{tests}\n")
    report = folder / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"--rootdir={folder}",
        f"--junitxml={report}",
        str(folder),
    ]
    subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
    verdicts = ["none"] * len(CASES)
    for case in ElementTree.parse(report).iter("testcase"):
        i = int((case.get("classname") or case.get("name")).partition("test_")[2].partition(".")[0])
        failed = case.find("failure") is not None or case.find("error") is not None
        verdicts[i] = "fail" if failed or verdicts[i] == "fail" else "pass"
    return verdicts


def test_honest_programs_get_pytests_verdict(run, pytests_verdicts):
    assert pytests_verdicts == ["pass", "fail"] * (len(CASES) // 2), [
        case
        for case, (verdict, wanted) in zip(
            CASES, zip(pytests_verdicts, ["pass", "fail"] * len(CASES), strict=False), strict=True
        )
        if verdict != wanted
    ]
    verdicts = run(*(Job(program=program, tests=tests, entry_point="f") for _, program, tests in CASES))
    wrong = [
        (name, tests, verdict.status, verdict.reason)
        for (name, _, tests), verdict, wanted in zip(CASES, verdicts, pytests_verdicts, strict=True)
        if verdict.status != wanted or verdict.evidence["judge"] != "same process"
    ]
    assert not wrong, "\n".join(map(repr, wrong))


@pytest.fixture
def job():
    """A job that is not run, with tests that mention `size`, set `level` and define what is in their names."""
    running = private.load("evoltune.sandbox.same_process.running")
    made = running.Run()
    made.sources = ("assert m.size(f(1)) == 2 and m.LIMIT and m.pattern", "m.level = 3\nm.pattern2 = None")
    made.space = {"__name__": "__main__"}
    return made


def defined(space, code="def own(): return [len]"):
    space = {} if space is None else space
    exec(code, space)
    return space["own"]


def test_a_changed_name_is_the_tests_own_where_they_mention_it_and_it_leads_to_them(job):
    own, other = defined(job.space), defined(None)
    for name, value, before, tests_own in (
        ("size", own, len, True), ("size", other, len, False), ("size", len, abs, False), ("size", 3, len, True), ("size", 3, 4, False), ("level", 3, 4, True), ("level", own, 4, True), ("level", other, 4, False),
        ("LIMIT", 3, 4, False), ("size", None, [], True), ("pattern", "x", re.compile("y"), False), ("size", types.ModuleType("m"), len, False), ("size", property(len), len, False), ("size", "text", (1,), False),
    ):  # fmt: skip
        assert job._changed_by_tests({name: value}, name, before) is tests_own, (name, value, before)


def test_a_changed_name_that_tests_do_not_mention_is_the_programs_state_or_a_fault(job):
    own = defined(job.space)
    for name, value, before, harmless in (
        ("count", 3, 2, True), ("count", None, [], True), ("count", own, len, False), ("count", len, len, False), ("COUNT", 3, 2, False), ("count", "x", re.compile("x"), False), ("count", types.ModuleType("m"), None, False),
    ):  # fmt: skip
        assert job._changed_by_tests({name: value}, name, before) is harmless, (name, value)
        assert job._is_tests_own(name, value) is False


def test_a_mock_in_place_of_what_tests_mention_is_theirs(job, monkeypatch):
    from unittest import mock

    captured = job.imports.take.__globals__["captured"]
    assert job._changed_by_tests({"size": mock.Mock()}, "size", len) is False, "they import no mock"
    monkeypatch.setitem(captured.modules, "unittest.mock", mock)
    for value in (mock.Mock(), mock.MagicMock(), mock.NonCallableMock()):
        assert job._changed_by_tests({"size": value}, "size", len) is True
        assert job._is_tests_own("count", value) is False
    assert job._is_tests_own("size", 3) is True is job._is_tests_own("level", 3, constant=True)
    assert job._is_tests_own("size", 3, constant=True) is False


def test_code_of_the_tests_is_kept_where_it_holds_what_judges(job):
    held = job.space | {"judge": len}
    job.space = held

    def with_constants(*constants, space=held):
        code = (lambda: 0).__code__
        return types.FunctionType(code.replace(co_consts=constants), space)

    assert job._is_tests(with_constants(None, len)) is True
    assert job._is_tests(with_constants(None, 1, 2.5, 1j, "a", b"a", (1,), frozenset({1}), ..., True)) is False
    assert job._is_tests(with_constants(len, space={})) is False and job._is_tests(len) is False
    assert all(map(job._is_tests, job.hidden)), "and what stands for the interpreter's own"


def test_what_tests_would_call_a_thing(job):
    running = private.load("evoltune.sandbox.same_process.running")
    importing = private.load("evoltune.sandbox.same_process.importing")
    assert running._called(len) == "len" and running._called("key") == "key" and running._called(3) == "3"
    assert all(
        map(importing.is_at_hand, ("json", "json.no_part", "this", "this.part"))
    )  # loaded, or the interpreter's own
    assert not importing.is_at_hand("no_such_module") and not importing.is_at_hand("no_such.json")
    found = importing.judges_of_program({"math", "isclose", "unittest"}, [])
    assert found == [sys.modules["math"], unittest]
    assert importing.judges_of_program({"math"}, [sys.modules["math"]]) == []
    assert importing.judges_of_program({"np"}, []) == [m for m in [sys.modules.get("numpy")] if m]


def test_a_name_in_the_body_of_a_class_is_the_tests_then_the_programs_then_the_interpreters(job):
    job.space, job.program = {"a": 1}, {"a": 2, "b": 2, "len": 3}
    assert (job._lookup("a"), job._lookup("b"), job._lookup("len"), job._lookup("abs")) == (1, 2, 3, abs)
    with pytest.raises(NameError, match="name 'nowhere' is not defined"):
        job._lookup("nowhere")
