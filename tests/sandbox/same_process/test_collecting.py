"""Which tests are run, in which order, and what is done before and after each: as pytest and unittest do it."""

import inspect
import subprocess
import sys

import pytest

from evoltune.sandbox.same_process import captured, collecting, expectations, pytest_api

# Each source says with `log` what is run. What it has logged at the end is what the runner itself makes it log.
PYTEST = {
    "functions and classes": """
def setup_module(module): log("+module")
def teardown_module(): log("-module")
def setup_function(function): log(f"+{function.__name__}")
def teardown_function(): log("-function")
def test_b(): log("b")
def helper(): log("never")
class TestOne:
    def test_z(self): log("z")
    def test_a(self): log("a")
    def helper(self): log("never")
def test_a(): log("a")
class Other:
    def test_it(self): log("never")
class TestMade:
    def __init__(self): log("never")
    def test_it(self): log("never")
not_a_test = test_value = 3
""",
    "set-up of classes and methods": """
class TestOuter:
    @classmethod
    def setup_class(cls): log(f"+{cls.__name__}")
    @classmethod
    def teardown_class(cls): log(f"-{cls.__name__}")
    def setup_method(self): log("+method")
    def teardown_method(self, method): log(f"-{method.__name__}")
    def test_one(self): log("one")
    def test_two(self): log("two")
class TestAround:
    def setup_class(cls): log("+around")
    def teardown_class(cls): log("-around")
    def test_it(self): log("around")
    class TestInner:
        def setup_method(self, method): log(f"+inner {method.__name__}")
        def test_in(self): log("in")
        class TestMade:
            def __init__(self): log("never")
            def test_it(self): log("never")
    class Helper:
        def test_it(self): log("never")
""",
    "classes that inherit": """
class Base:
    def test_base(self): log(f"base {type(self).__name__}")
    def what(self): return "never"
class TestSub(Base):
    def test_own(self): log(self.what())
    def what(self): return "own"
    test_value = 3
class TestSubSub(TestSub):
    def test_last(self): log("last")
""",
    "an instance for each test": """
class TestIt:
    seen = []
    def test_one(self): self.x = 1; self.seen.append(1)
    def test_two(self): log(hasattr(self, "x")); log(self.seen)
""",
    "marks that skip": """
import sys
import pytest
@pytest.mark.skip
def test_never(): log("never")
@pytest.mark.skipif(True, reason="x")
def test_not_now(): log("never")
@pytest.mark.skipif(False, reason="x")
def test_now(): log("now")
@pytest.mark.skipif("sys.version_info < (3,)", reason="x")
def test_text(): log("text")
@pytest.mark.skipif("sys.version_info > (3,)", reason="x")
def test_other_text(): log("never")
@pytest.mark.skip(reason="x")
class TestNever:
    def setup_class(cls): log("never")
    def test_it(self): log("never")
class TestIt:
    @pytest.mark.skip
    def test_never(self): log("never")
    def test_it(self): log("it")
@pytest.mark.xfail(run=False)
def test_not_run(): log("never")
@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.skip), 3])
def test_each(n): log(n)
""",
    "a module that is skipped": """
import pytest
pytestmark = [pytest.mark.skipif(False, reason="x"), pytest.mark.skip(reason="x")]
def test_it(): log("never")
class TestIt:
    def test_it(self): log("never")
""",
    "failures that are expected": """
import pytest
@pytest.mark.xfail
def test_fails(): log("fails"); assert 0
@pytest.mark.xfail
def test_passes(): log("passes")
@pytest.mark.xfail(raises=ValueError)
def test_raises(): log("raises"); raise ValueError
@pytest.mark.xfail(raises=(KeyError, ValueError), strict=True)
def test_raises_one(): log("one"); raise ValueError
@pytest.mark.xfail(False, reason="x", strict=True)
def test_condition(): log("condition")
@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.xfail(strict=True))])
def test_each(n): log(n); assert n == 1
def test_after(): log("after")
""",
    "fixtures that are used without being asked for": """
import pytest
@pytest.fixture
def first(): log("+first"); yield; log("-first")
@pytest.fixture
def second(): log("+second"); yield 2; log("-second")
@pytest.mark.usefixtures("first", "second")
def test_it(): log("it")
@pytest.mark.usefixtures("second")
class TestIt:
    def test_it(self, first): log("in a class")
    @pytest.mark.usefixtures("first")
    def test_both(self, second): log(second)
def test_none(): log("none")
""",
    "tests that share a wide value": """
import pytest
@pytest.fixture(scope="module", params=["x", "y"])
def wide(request): log(f"+{request.param}"); yield request.param; log("-wide")
def test_one(wide): log(f"one {wide}")
def test_alone(): log("alone")
def test_two(wide): log(f"two {wide}")
""",
    "values of a class": """
import pytest
@pytest.fixture(scope="class")
def kept(): log("+kept"); yield 1; log("-kept")
class TestOne:
    def test_a(self, kept): log("a")
    def test_b(self, kept): log("b")
class TestTwo:
    def test_a(self, kept): log("two")
    def teardown_class(cls): log("class ended")
""",
    "rows and defaults": """
import pytest
@pytest.mark.parametrize("a, b", [(1, 2), (3, 4)])
@pytest.mark.parametrize("c", ["x"])
def test_rows(a, b, c, d=5): log((a, b, c, d))
@pytest.mark.parametrize("n", [])
def test_no_rows(n): log("never")
""",
    "hidden fixtures, coroutines and unittest beside them": """
import asyncio
import unittest
import pytest
@pytest.fixture(autouse=True)
def everywhere(): log("+everywhere"); yield; log("-everywhere")
class TestCase(unittest.TestCase):
    def setUp(self): log("+case")
    def tearDown(self): log("-case")
    def test_b(self): log("b")
    def test_a(self): log("a")
def test_it(): log("it")
""",
}  # fmt: skip
UNITTEST = {
    "cases": """
import unittest
def setUpModule():
    unittest.addModuleCleanup(log, "module cleaned")
    log("+module")
def tearDownModule(): log("-module")
class TestB(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        log("+class")
        cls.addClassCleanup(log, "class cleaned")
    @classmethod
    def tearDownClass(cls): log("-class")
    def setUp(self):
        log("+setup")
        self.addCleanup(log, "cleaned")
    def tearDown(self): log("-setup")
    def test_z(self): log("z")
    def test_a(self): log("a")
    def helper(self): log("never")
    test_value = 3
class TestNothing(unittest.TestCase):
    @classmethod
    def setUpClass(cls): log("never")
""",
    "skipped and expected to fail": """
import unittest
class TestIt(unittest.TestCase):
    @unittest.skip("x")
    def test_a(self): log("never")
    @unittest.skipIf(False, "x")
    def test_b(self): log("b")
    @unittest.expectedFailure
    def test_c(self): log("c"); self.fail()
    def test_d(self): log("d")
@unittest.skip("x")
class TestNever(unittest.TestCase):
    @classmethod
    def setUpClass(cls): log("never")
    def test_a(self): log("never")
@unittest.expectedFailure
class TestZ(unittest.TestCase):
    def test_a(self): log("fails"); self.fail()
""",
    "coroutines": """
import unittest
class TestIt(unittest.IsolatedAsyncioTestCase):
    def setUp(self): log("+setup")
    async def asyncSetUp(self):
        log("+later")
        self.addAsyncCleanup(self.clean, 3)
        self.addCleanup(log, "plain")
    async def asyncTearDown(self): log("-later")
    def tearDown(self): log("-setup")
    async def clean(self, n): log(f"cleaned {n}")
    async def test_a(self): log("a")
    def test_b(self): log("b")
""",
    "a suite of the tests' own": """
import unittest
class TestA(unittest.TestCase):
    @classmethod
    def setUpClass(cls): log("+A"); cls.addClassCleanup(log, "A cleaned")
    @classmethod
    def tearDownClass(cls): log("-A")
    def test_a(self): log("a")
    def test_b(self): log("b")
class TestB(unittest.TestCase):
    @classmethod
    def setUpClass(cls): log("+B")
    def test_c(self): log("c")
    @unittest.skip("x")
    def test_d(self): log("never")
@unittest.skip("x")
class TestNever(unittest.TestCase):
    def test_a(self): log("never")
class TestLeft(unittest.TestCase):
    def test_a(self): log("never")
def load_tests(loader, tests, pattern):
    inner = unittest.TestSuite([TestA("test_b"), TestA("test_a")])
    return unittest.TestSuite([TestNever("test_a"), inner, TestB("test_c"), TestB("test_d"), TestA("test_a"), unittest.FunctionTestCase(lambda: log("function"))])
""",
    "the suite that the loader found": """
import unittest
class TestA(unittest.TestCase):
    def test_b(self): log("b")
    def test_a(self): log("a")
class Helper: pass
class TestB(unittest.TestCase):
    def test_c(self): log("c")
def load_tests(loader, tests, pattern):
    return tests
""",
}  # fmt: skip
RUNNERS = {
    "pytest": ("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly"),
    "unittest": ("unittest", "-q"),
}
SOURCES = PYTEST | UNITTEST


@pytest.fixture(scope="module")
def runners_logs(tmp_path_factory):
    """What the runner itself makes each source log."""
    folder, logs = tmp_path_factory.mktemp("collected"), {}
    names = {name: f"test_case_{i}" for i, name in enumerate(SOURCES)}
    for name, stem in names.items():
        log = f"def log(text):\n    with open({str(folder / stem)!r} + '.log', 'a') as file: print(text, file=file)\n"
        (folder / f"{stem}.py").write_text(log + SOURCES[name])
    for kind, files in (("pytest", PYTEST), ("unittest", UNITTEST)):
        command = [sys.executable, "-m", *RUNNERS[kind], *(f"{names[n]}.py" for n in files)]
        subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    for name, stem in names.items():
        file = folder / f"{stem}.log"
        logs[name] = file.read_text().splitlines() if file.exists() else []
    return logs


@pytest.fixture
def collect(monkeypatch):
    """collect(source): (the tests of it, what they log when they are run)."""
    monkeypatch.setattr(captured, "modules", {})
    monkeypatch.setattr(captured, "run_coroutine", [])
    captured.take("unittest")

    def found(source, entry="the entry"):
        logged = []
        space = {"__name__": "tests", "log": lambda text: logged.append(str(text))}
        known = {*space, "__builtins__"}
        module = pytest_api.pytest_module(lambda: 0, lambda module: module)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pytest", module)
            exec(source, space)
        own = [name for name in space if name not in known]
        return [*collecting.collected(space, own, lambda: entry)], logged

    return found


def run_all(tests):
    for test in tests:
        try:
            test.run()
        except (expectations.Skipped, captured.of_unittest("SkipTest")):
            continue


@pytest.mark.parametrize("name", SOURCES)
def test_tests_are_run_as_their_runner_runs_them(collect, runners_logs, name):
    tests, logged = collect(SOURCES[name])
    run_all(tests)
    assert logged == runners_logs[name] and "never" not in logged
    assert bool(logged) is (name != "a module that is skipped")


def test_tests_have_the_names_by_which_their_assertions_are_known(collect):
    for source, wanted in (
        ("functions and classes", ["test_b", "TestOne.test_z", "TestOne.test_a", "test_a"]),
        ("set-up of classes and methods", ["TestOuter.test_one", "TestOuter.test_two", "TestAround.test_it", "TestAround.TestInner.test_in"]),
        ("cases", ["TestB.test_a", "TestB.test_z"]),
        ("skipped and expected to fail", ["TestIt.test_b", "TestIt.test_d"]),
        ("failures that are expected", ["test_condition", "test_each", "test_after"]),
        ("a suite of the tests' own", ["TestA.test_b", "TestA.test_a", "TestB.test_c", "TestA.test_a", "FunctionTestCase.runTest"]),
    ):  # fmt: skip
        assert [test.name for test in collect(SOURCES[source])[0] if test.name] == wanted


@pytest.mark.parametrize(
    ("source", "error", "logged"),
    [
        ("import pytest\n@pytest.mark.xfail(raises=ValueError)\ndef test_it(): log(1); raise KeyError", KeyError, ["1"]),
        ("import pytest\n@pytest.mark.xfail(strict=True)\ndef test_it(): log(1)", expectations.Failed, ["1"]),
        ("import unittest\nclass T(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_it(self): log(1)", expectations.Failed, ["1"]),
        ("def setup_function(): log('+')\ndef teardown_function(f): log('-')\ndef test_it(): raise KeyError", KeyError, ["+", "-"]),
        ("def setup_function(): raise KeyError\ndef teardown_function(): log('-')\ndef test_it(): log('it')", KeyError, []),
        ("import unittest\nclass T(unittest.TestCase):\n    def tearDown(self): log('-')\n    def test_it(self): self.addCleanup(log, 'c'); raise KeyError", KeyError, ["-", "c"]),
        ("import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.addCleanup(log, 'c'); raise KeyError\n    def tearDown(self): log('-')\n    def test_it(self): pass", KeyError, ["c"]),
        ("import unittest\nclass T(unittest.IsolatedAsyncioTestCase):\n    async def asyncTearDown(self): log('-')\n    def tearDown(self): log('--')\n    async def test_it(self): self.addCleanup(log, 'c'); raise KeyError", KeyError, ["-", "--", "c"]),
        ("import pytest\n@pytest.fixture\ndef a(): yield; log('-a')\ndef test_it(a): raise KeyError", KeyError, ["-a"]),
        ("def test_it(nothing): pass", expectations.Unsupported, []),
        ("import unittest\nclass T(unittest.TestCase):\n    def run(self, result=None): log('run'); super().run(result)\n    def tearDown(self): log('-')\n    def test_it(self): raise KeyError", KeyError, ["run", "-"]),
        ("import pytest\n@pytest.mark.filterwarnings('error')\ndef test_it():\n    import warnings\n    warnings.warn('x')", UserWarning, []),
        ("import pytest, unittest\n@pytest.mark.filterwarnings('error')\nclass T(unittest.TestCase):\n    def test_it(self):\n        import warnings\n        warnings.warn('x')", UserWarning, []),
    ],
)  # fmt: skip
def test_what_a_test_raises_leaves_it_after_what_it_has_set_up_is_undone(collect, source, error, logged):
    tests, got = collect(source)
    with pytest.raises(error):
        run_all(tests)
    assert got == logged


@pytest.mark.parametrize(
    "source",
    [
        "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): log(1)\ndef load_tests(*a):\n    from unittest import case\n    return unittest.TestSuite([unittest.TestLoader().loadTestsFromName('nowhere.at_all')])",
    ],
)  # fmt: skip
def test_what_the_runner_would_run_by_code_of_its_own_is_not_supported(collect, source):
    with pytest.raises(expectations.Unsupported):
        collect(source)


def test_functions_of_known_names_are_called_with_the_function_under_test(collect):
    source = "def check(whatever): log(whatever)\ndef test_candidate(it): log(it)\ndef test_by(candidate): log(candidate)\ndef check_all(x): log('never')\ndef test_none(): log(0)\n"
    tests, logged = collect(source, entry="f")
    run_all(tests)
    assert logged == ["f", "f", "f", "0"] and [t.name for t in tests][:4] == ["check", "test_candidate", "test_by", "test_none"]  # fmt: skip
    tests, logged = collect(
        "def check(a, b): log('never')\ndef solve(x): log('never')\ndef test(f, solution): log((f, solution))"
    )
    run_all(tests)
    assert logged == ["('the entry', 'the entry')"]


def test_nothing_is_set_up_where_there_is_no_test(collect):
    for source in ("x = 1", "def setup_module(): log('never')\ndef helper(): pass", "import pytest\n@pytest.fixture\ndef test_data(): log('never')"):  # fmt: skip
        tests, logged = collect(source)
        run_all(tests)
        assert logged == [] == tests


@pytest.mark.parametrize(
    ("function", "given"), [(lambda: "none", "none"), (lambda x: x, 5), (lambda x=7: x, 7), (lambda *a: a, ())]
)
def test_a_call_gets_an_argument_where_it_takes_one(function, given):
    taken = []

    def noted(*args):
        taken.append(function(*args))

    noted.__signature__ = inspect.signature(function)
    call = collecting._with_optional(noted, 5)
    assert taken == [], "it is made, and nothing is called"
    call()
    assert taken == [given]
