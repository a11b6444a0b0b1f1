"""What a job in one process reports beside its status: the reason, the place, the parts that passed."""

import pytest

from evoltune.domain import Job

ADD = "def f(a, b):\n    return a + b\n"
OWN = "\nassert f is not None"
"""Makes tests that would be judged from another process run in the program's own."""


@pytest.fixture(scope="module")
def verdicts(run):
    """Name of a case -> its verdict, all run in one batch."""
    jobs = [Job(program=program, tests=tests, entry_point="f") for program, tests, *_ in CASES.values()]
    return dict(zip(CASES, run(*jobs), strict=True))


MOCKED = "import time\ndef f(a, b):\n    return time.time()\n"
# name: (program, tests, status, what the reason holds, evidence)
CASES = {
    "an assertion": (ADD, "def test_it():\n    assert f(1, 2) == 4, 'sum'\n    assert f is f", "fail", "failed: assert f(1, 2) == 4, 'sum': sum", {"line": 2, "test": "assert f(1, 2) == 4, 'sum'"}),
    "a test that a later source does not repeat": (ADD, ["import unittest\ndef test_it():\n    assert f(1, 2) == 3 and f is f", "assert f(1, 1) == len(vars(f)) + 2"], "pass", "", {"assertions": 2}),
    "the last line": (ADD, "assert f is f\nassert f(1, 2) == 4", "fail", "failed: assert f(1, 2) == 4", {"line": 2, "test": "assert f(1, 2) == 4"}),
    "the first line": (ADD, "assert f(1, 2) == 4 and f is f\nassert f(1, 1) == 2", "fail", "failed: assert f(1, 2) == 4", {"line": 1}),
    "an exception": ("def f(a, b):\n    return 1 / a\n", "assert f is f\nx = f(0, 1)\nassert x == 1", "fail", "ZeroDivisionError: division by zero in: x = f(0, 1)", {"line": 2, "exception": "ZeroDivisionError", "test": "x = f(0, 1)"}),
    "no such function": ("def g(a): return a\nx = 1\n", "def check(candidate):\n    assert candidate(1, 2) is candidate(1, 2)", "fail", "no function 'f' in the program", {"defined": ["g", "x"]}),
    "a syntax error": ("def f(a, b)\n    return a\n", "assert f(1, 2) is f(1, 2)", "fail", "syntax error on line 1", {"exception": "SyntaxError", "line": 1}),
    "an error at loading": ("x = 1\ny = x / 0\n", "assert f(1, 2) is f(1, 2)", "fail", "loading raised ZeroDivisionError on line 2: division by zero", {"exception": "ZeroDivisionError", "line": 2}),
    "a syntax error of another text": ("eval('1 +')\n", "assert f(1, 2) is f(1, 2)", "fail", "loading raised SyntaxError on line 1", {"exception": "SyntaxError", "line": 1}),
    "an exit at loading": ("import sys\nsys.exit(0)\n", "assert f(1, 2) is f(1, 2)", "fail", "the program exited before the tests", {"exception": "SystemExit"}),
    "an exit in a call": ("import sys\ndef f(a, b): sys.exit(0)\n", "assert f(1, 2) is f(1, 2)", "fail", "SystemExit", {"exception": "SystemExit"}),
    "a long message": ("def f(a, b): raise ValueError('x' * 5000)\n", "assert f(1, 2) is f(1, 2)", "fail", "x" * 300 + " in", {"exception": "ValueError"}),
    "a message that raises": ("class E(Exception):\n    def __str__(self): raise OSError\ndef f(a, b): raise E\n", "assert f(1, 2) is f(1, 2)", "fail", "E:  in: assert", {"exception": "E"}),
    "tests that do not compile": (ADD, "assert f(1, 2) is (", "error", "the tests do not compile: SyntaxError", {"judge": "separate"}),
    "tests with a bad name": (ADD, "def test_it():\n    return\n    x = *a\nassert f is f", "error", "the tests do not compile: SyntaxError", {}),
    "an exit status that tests compute": (ADD, "import sys\nbad = [n for n in (1, 2) if f(n, 1) != n + 1]\nsys.exit(1 if bad else 0)", "pass", "", {}),
    "an exit status that is not 0": (ADD, "bad = [n for n in (1, 2) if f(n, 1) != n]\nraise SystemExit(len(bad))", "fail", "SystemExit: 2 in: raise SystemExit(len(bad))", {"line": 2}),
    "an exit of the program's own": ("Exit = SystemExit\nclass SystemExit(Exit):\n    def __init__(self, *_):\n        super().__init__(0)\ndef f(a, b):\n    return 0\n", "bad = [n for n in (1, 2) if f(n, 1) != n]\nraise SystemExit(len(bad))", "fail", "SystemExit: 2 in: raise SystemExit(len(bad))", {"line": 2}),
    "an exit status of the program": ("def f(a, b):\n    return 0\n", "import sys, solution\nsys.exit(solution.f(1, 2))", "unverifiable", "the tests assert nothing: no assertion was reached", {}),
    "tests that need a module": (ADD, "import no_such_module\nassert f(1, 2) is f(1, 2)", "error", "the tests import 'no_such_module', which this host lacks", {"line": 1}),
    "nothing asserted": (ADD, "def helper():\n    assert f is f", "unverifiable", "the tests assert nothing: no assertion was reached", {}),
    "all skipped": (ADD, "import pytest\npytest.skip('not here', allow_module_level=True)\ndef test_it():\n    assert f is f", "unverifiable", "the tests were skipped: not here", {}),
    "a skip by the program": ("import unittest\ndef f(a, b):\n    raise unittest.SkipTest\n", "import unittest\nclass TestIt(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(f(1, 2), 3)", "fail", "the program skips the test", {}),
    "an unexpected success": (ADD, "import unittest\nclass TestIt(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_it(self):\n        self.assertEqual(f(1, 2), 3)", "fail", "test_it: unexpected success", {}),
    "an assertion swallowed": ("def f(a, b):\n    try:\n        b()\n    except BaseException:\n        pass\n", "def fails():\n    assert f is None\ndef test_it():\n    f(1, fails)\n    assert f is f", "fail", "an assertion failed, and the program swallowed its exception", {}),
    "an assertion that the tests catch": (ADD, "def fails():\n    assert f is None\ndef test_it():\n    try:\n        fails()\n    except AssertionError:\n        pass\n    assert f is f", "pass", "", {"assertions": 1}),
    "the program's import": (ADD, "from solution import f as g\nimport solution\nassert g is f and solution.f is g", "pass", "", {}),
    "an import of the program's names from a module that is not there": ("class Box:\n    pass\ndef f(a, b): return Box()\n", "from boxes import Box, f as g\nfrom shapes import *\nassert type(g(1, 2)) is Box", "pass", "", {}),
    "an import of another name": (ADD, "from boxes import f, Box\nassert f is f", "error", "the tests import 'boxes', which this host lacks", {}),
    "a module that is not there": (ADD, "import boxes\nassert f is f", "error", "the tests import 'boxes', which this host lacks", {}),
    "assertions are counted": (ADD, "for x in range(5):\n    assert f(x, 1) == x + 1 and f is f\nassert f is f", "pass", "", {"assertions": 6}),
    "hundreds of assertions": (ADD, "import math\n" + "\n".join(f"assert f({i}, 1) == {i + 1} and f is f" for i in range(450)), "pass", "", {"assertions": 450}),
    "each": (ADD, {"each": ["assert f(1, 2) == 3 and f is f", "assert f(1, 2) == 4 and f is f", "assert f(0, 1) == 1 and f is f"]}, "fail", "failed: assert f(1, 2) == 4", {"passed": [1, 0, 1], "case": 1}),
    "each, all": (ADD, {"each": ["assert f(1, 2) == 3 and f is f", "x = 1\nassert f(0, x) == 1 and f is f", "assert f(x, x) == 2"]}, "pass", "", {"passed": [1, 1, 1]}),
    "each, one that asserts nothing": (ADD, {"each": ["assert f(1, 2) == 3 and f is f", "def helper():\n    assert f is f"]}, "unverifiable", "assert nothing", {"passed": [1, 0], "case": 1}),
    "each, up to an error": (ADD, {"each": ["import no_such_module\nassert f is f", "assert f(0, 1) == 1"]}, "error", "no_such_module", {"passed": [0], "case": 0}),
    "a list": (ADD, ["assert f(1, 2) == 3 and f is f", "assert f(1, 2) == 4 and f is f", "assert 1 / 0"], "fail", "failed: assert f(1, 2) == 4", {"case": 1}),
    "one of a list": (ADD, ["assert f(1, 2) == 4 and f is f"], "fail", "failed", {"case": None, "passed": None}),
    "check called by the tests": (ADD, "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate is f\ncheck(f)", "pass", "", {"assertions": 2}),
    "check not called": (ADD, "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate is f", "pass", "", {"assertions": 2}),
    "a test called by the source": (ADD, "seen = []\ndef test_it():\n    seen.append(1)\n    assert f(1, 2) == 3 and len(seen) == 1 and f is f\ntest_it()", "pass", "", {"assertions": 1}),
    "a test with the function": (ADD, "def test_add(candidate):\n    assert candidate is f and candidate(1, 2) == 3", "pass", "", {"assertions": 1}),
    "a test with a parameter that nothing gives": (ADD, "def test_it():\n    assert f(1, 2) == 3 and f is f\ndef test_other(nothing):\n    assert nothing == 1", "error", "the fixture 'nothing', which is not supported", {}),
    "a helper with one parameter, called like a runner's": (ADD, "def helper(x):\n    assert x == 1\ndef test_it():\n    helper(1)\n    assert f is f", "pass", "", {"assertions": 2}),
    "a helper with a parameter": (ADD, "def check_one(x):\n    assert f(x, 1) == 0\ndef test_it():\n    assert f is f", "pass", "", {"assertions": 1}),
    "names of the tests come first": ("N = 1\ndef helper(): return 1\ndef f(a, b): return helper()\n", "def helper(): return 2\nN = 5\ndef test_it():\n    assert helper() == 2 and N == 5 and f is f", "pass", "", {}),
    "names that the program asks for": ("def f(a, b): return Node(a)\n", "class Node:\n    def __init__(self, n): self.n = n\ndef test_it():\n    assert f(5, 0).n == 5 and type(f(1, 1)) is Node", "pass", "", {}),
    "a global of the program": ("N = 1\ndef f(a, b):\n    global N\n    N += 1\n    return N\n", "assert f(1, 1) == 2 and N == 2 and f(1, 1) == 3 and N == 3 and f is f", "pass", "", {}),
    "a global of the program set by the tests": ("LIMIT = 1\ndef f(a, b):\n    return LIMIT\n", "LIMIT = 7\nassert f(1, 1) == 7 and f is f", "pass", "", {}),
    "a function of the program replaced by the tests": ("def now(): return 1\ndef f(a, b):\n    return now()\n", "def now(): return 7\nassert f(1, 1) == 7 and f is f", "pass", "", {}),
    "the clock of a mock": (MOCKED, "from unittest.mock import patch\nwith patch('time.time', return_value=5):\n    assert f(1, 2) == 5\nassert f is f", "pass", "", {}),
    "a mock of a built-in": (ADD, "from unittest.mock import mock_open, patch\nwith patch('builtins.open', mock_open(read_data='7')):\n    assert open('x').read() == '7' and f is f", "pass", "", {}),
    "a program's own power": ("def pow(a, b): return a\ndef f(a, b): return pow(a, b)\n", "assert f(5, 2) == 5 and f is f\nassert ord('a') == 97 and hex(f(16, 1)) == '0x10'", "pass", "", {}),
    "a built-in of the program's": ("import builtins\nbuiltins.seven = 7\ndef f(a, b): return a\n", "assert f(7, 2) == seven and f is f", "pass", "", {}),
    "math not imported by the tests": ("import math\ndef f(a, b): return a + b\n", "assert math.isclose(f(0.1, 0.2), 0.3) and f is f", "pass", "", {}),
    "a program that writes much": ("def f(a, b):\n    print('x' * 100000)\n    return a + b\n", "assert f(1, 2) == 3 and f is f", "pass", "", {}),
    "random": ("import random\ndef f(a, b):\n    return random.random()\n", "assert 0 <= f(1, 2) < 1 and f is f", "pass", "", {}),
    "a program with a mark": ("\ufeffdef f(a, b):\n    return a + b\n", "assert f(1, 2) == 3 and f is f", "pass", "", {}),
    "a coroutine test": ("async def f(a, b):\n    return a + b\n", "import pytest\n@pytest.mark.asyncio\nasync def test_it():\n    assert await f(1, 2) == 3", "pass", "", {"assertions": 1}),
    "built-ins of a class body": (ADD, "class Data:\n    sizes = [len(x) for x in ('a', 'bc')]\n    total = sum([1, 2])\n    unknown = f\ndef test_it():\n    assert Data.sizes == [1, 2] and Data.total == 3 and Data.unknown is f", "pass", "", {}),
    "a missing name of a class body": (ADD, "class Data:\n    x = nowhere\nassert f is f", "fail", "NameError: name 'nowhere' is not defined", {"exception": "NameError"}),
    "a chain that ends early": (ADD, "assert not (f(1, 1) < 1 < 1 / 0) and f is f", "pass", "", {}),
    "a stopped chain": (ADD, "assert f(1, 1) < 1 < 1 / 0 and f is f", "fail", "failed: assert f(1, 1) < 1", {}),
    "unittest's main with a result": (ADD, "import unittest\nclass TestIt(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(f(1, 2), 3)\nresult = unittest.main(exit=False).result\nassert result.wasSuccessful() and result.testsRun == 1 and not result.failures", "pass", "", {"assertions": 2}),
    "a class set up beside assertions of the source": (ADD, "import unittest\nassert f is f\nclass TestIt(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls):\n        cls.a = 1\n    def test_it(self):\n        self.assertEqual(f(self.a, 2), 3)", "pass", "", {"assertions": 2}),
    "another module's main": ("def f(a, b): return a\n", "import types\nm = types.SimpleNamespace()\nimport pytest\nassert pytest.main([]) == 0 and f is f", "pass", "", {}),
    "an exit after the tests": (ADD, "import sys\ndef test_it():\n    assert f(1, 2) == 3 and f is f\nif __name__ == '__main__':\n    test_it()", "pass", "", {"assertions": 1}),
    "a library that only the program uses": ("import math\nmath.isclose = lambda *a: True\ndef f(a, b): return a + b\n", "assert f(1, 2) == 3 and f is f", "pass", "", {}),
    "a judge's name that is the program's": ("def isclose(a, b): return True\ndef f(a, b): return a + b\n", "assert not isclose(f(1, 2), 5) and isclose(f(1, 2), 3) and f is f", "pass", "", {}),
    "a collector that is on": ("import gc\ndef f(a, b): return gc.isenabled()\n", "assert f(1, 2) is True and f is f", "pass", "", {}),
    "names of the tests' module": (ADD, "assert __name__ == '__main__' and __file__.startswith('test_') and f is f", "pass", "", {}),
    "a test that another source defines anew": (ADD, ["def test_it():\n    assert f(1, 2) == 3 and f is f", "def test_it():\n    assert f(1, 1) == 3 and f is f"], "fail", "failed: assert f(1, 1) == 3", {"case": 1, "assertions": 1}),
    "a test that another source leaves": (ADD, {"each": ["def test_it():\n    assert f(1, 2) == 3 and f is f", "x = 2", "assert f(1, 1) == x and f is f"]}, "pass", "", {"passed": [1, 1, 1]}),
    "a name within another": ("class Node: pass\ndef f(a, b): return 'N' + 'o' in globals()\n", "class No: pass\ndef test_it():\n    assert f(1, 2) is False", "pass", "", {}),
    "a value that the program lacks": ("def f(a, b): return 'SIZE' in globals()\n", "SIZE = 3\nassert f(1, 2) is False and f is f", "pass", "", {}),
    "a long line": (ADD, f"assert f(1, 2) is f  # {'c' * 600}", "fail", "failed: assert f(1, 2) is f  # ccc", {"test": f"assert f(1, 2) is f  # {'c' * 600}"[:500], "line": 1}),
    "many names": ("\n".join(f"n{i:02} = __i{i} = {i}" for i in range(30)), "def check(candidate):\n    assert candidate(1, 2) is candidate", "fail", "no function 'f' in the program", {"defined": [f"n{i:02}" for i in range(20)]}),
    "a failure in a function of the tests": (ADD, "def right(x):\n    assert x == 5\n\nassert f is f\nright(f(1, 2))", "fail", "failed: assert x == 5", {"line": 2, "test": "assert x == 5"}),
    "a lookup of the program's": ("def f(a, b): return {}['no function ' + a]\n", "assert f('x', 2) is f", "fail", "KeyError: 'no function x' in: assert f('x', 2) is f", {"exception": "KeyError", "line": 1}),
    "memory": ("def f(a, b):\n    return bytearray(1 << 34)\n", "assert f(1, 2) is f(1, 2)", "memory", "", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_status_reason_and_evidence(verdicts, name):
    _, _, status, reason, evidence = CASES[name]
    verdict = verdicts[name]
    assert (verdict.status, verdict.evidence.get("judge")) == (status, evidence.get("judge", "same process")), verdict
    assert reason in verdict.reason and len(verdict.reason) < 600
    assert {key: verdict.evidence.get(key) for key in evidence} == evidence


CHEATS = {
    # what the program does to its judge: (program, tests)
    "a function by which tests judge without an import": ("import math\nmath.isclose = lambda *a: True\ndef f(a, b): return 0\n", "assert math.isclose(f(1, 2), 3) and f is f"),
    "a function that is put back": ("import math\nreal = math.isclose\ndef f(a, b):\n    math.isclose = (lambda *a: True) if a == 1 else real\n    return 0\n", "import math\nassert math.isclose(f(1, 2), 3)\nassert f(2, 2) == 0 and f is f"),
    "a part of a library that is put back": ("import json\nown = json._default_decoder\ndef f(a, b):\n    if a == 1: own.decode = lambda text: 3\n    else: del own.decode\n    return '0'\n", "import json\nassert json.loads(f(1, 2)) == 3\nassert f(2, 2) == '0' and f is f"),
    "a function after hundreds of assertions": ("import math\ndef f(a, b):\n    if a == 430: math.isclose = lambda *a: True\n    return a if a < 430 else 0\n", "import math\n" + "\n".join(f"assert math.isclose(f({i}, 1), {i}) and f is f" for i in range(450))),
    "a constant that is put back": ("import sys\ndef f(a, b):\n    sys.modules['__main__'].WANTED = 0 if a == 1 else 3\n    return 0\n", "import math\nWANTED = 3\nassert f(1, 2) == WANTED\nassert f(2, 2) == 0 and f is f"),
    "a module's function": ("import math\nmath.isclose = lambda *a: True\ndef f(a, b): return 0\n", "import math\nassert math.isclose(f(1, 2), 3) and f is f"),
    "a module": ("import sys, types\nsys.modules['math'] = types.SimpleNamespace(isclose=lambda *a: True, pi=3)\ndef f(a, b): return 0\n", "def test_it():\n    import math\n    assert math.isclose(f(1, 2), 3) and f is f"),
    "a constant of the tests": ("def f(a, b):\n    import sys\n    sys.modules['__main__'].WANTED = 0\n    return 0\n", "WANTED = 3\ndef test_it():\n    assert f(1, 2) == WANTED and f is f"),
    "a class of unittest": ("import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef f(a, b): return 0\n", "import unittest\nclass TestIt(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(f(1, 2), 3)"),
    "a helper's constants": ("def f(a, b):\n    b.__globals__['WANTED'] = 0\n    return 0\n", "WANTED = 3\ndef key(x):\n    return x\ndef test_it():\n    assert f(1, key) == WANTED and f is f"),
    "a helper's code": ("def f(a, b):\n    b.__code__ = (lambda x: True).__code__\n    return 0\n", "def right(x):\n    assert x == 3\n    return False\ndef test_it():\n    assert right(f(1, right)) is False and f is f"),
    "a helper's defaults": ("def f(a, b):\n    b.__defaults__ = (0,)\n    return 0\n", "def right(x, wanted=3):\n    assert x == wanted\ndef test_it():\n    right(f(1, right))\n    assert f is f"),
    "the frames": ("import sys\ndef f(a, b):\n    return sys._getframe(1).f_locals['wanted']\n", "def test_it():\n    wanted = 3\n    assert f(1, 2) == wanted and f is f"),
    "the frames by a traceback": ("def f(a, b):\n    try: raise ValueError\n    except ValueError as e: return e.__traceback__.tb_frame.f_back.f_locals['wanted']\n", "def test_it():\n    wanted = 3\n    assert f(1, 2) == wanted and f is f"),
    "the frame of a generator": ("def g(): yield\ndef f(a, b):\n    return g().gi_frame.f_globals and 3\n", "def test_it():\n    assert f(1, 2) == 3 and f is f"),
    "all objects": ("import gc\ndef f(a, b):\n    gc.get_objects()\n    return 3\n", "assert f(1, 2) == 3 and f is f"),
    "the tracer": ("import sys\ndef f(a, b):\n    sys.settrace(lambda *a: None)\n    return 3\n", "assert f(1, 2) == 3 and f is f"),
    "code of its own": ("def g(): return 1\ndef f(a, b):\n    g.__code__.replace(co_consts=(3,))\n    return 3\n", "assert f(1, 2) == 3 and f is f"),
    "code named as the tests'": ("def f(a, b):\n    compile('1', '<tests>', 'eval')\n    return 3\n", "assert f(1, 2) == 3 and f is f"),
    "ctypes": ("def f(a, b):\n    try:\n        import ctypes\n        ctypes.c_long.from_address(id(3) + 24)\n    except Exception: pass\n    return 3\n", "assert f(1, 2) == 3 and f is f"),
    "memory by a file": ("def f(a, b):\n    try: open('/proc/self/maps')\n    except Exception: pass\n    return 3\n", "assert f(1, 2) == 3 and f is f"),
    "an expectation left out": ("import os\ndef f(a, b):\n    raise SystemExit\n", "import pytest\ndef test_it():\n    with pytest.raises(ValueError):\n        f(1, 2)"),
    "a test left out": ("def f(a, b):\n    return 0\n", "def test_it():\n    if f(1, 2):\n        return\n    assert f(1, 2) == 3 and f is f"),
    "another process's answer": ("import os\ndef f(a, b):\n    if os.fork(): os._exit(0)\n    return 3\n", "assert f(1, 2) == 3 and f is f"),
    "an early exit": ("import os\ndef f(a, b):\n    os._exit(0)\n", "assert f(1, 2) == 3 and f is f"),
    "a patched builtin": ("import builtins\nbuiltins.abs = lambda x: 0\ndef f(a, b): return 0\n", "assert abs(f(1, 2) - 3) < 1 and f is f"),
    "every builtin": ("import builtins\nfor n in ('all', 'any', 'isinstance', 'sorted', 'len', 'sum'):\n    setattr(builtins, n, lambda *a, **k: True)\ndef f(a, b): return 0\n", "assert isinstance(f(1, 2), str) and all([f(1, 2)]) and f is f"),
    "a patched power": ("import builtins\ndef f(a, b):\n    builtins.pow = lambda *a: 9\n    return 0\n", "assert pow(f(1, 2), 2) == 9 and f is f"),
    "a patched exception": ("import builtins\ndef f(a, b):\n    builtins.ValueError = KeyError\n    raise KeyError\n", "import pytest\ndef test_it():\n    with pytest.raises(ValueError):\n        f(1, 2)\n    assert f is f"),
    "an exception patched before": ("import builtins\nbuiltins.ValueError = Exception\ndef f(a, b):\n    raise KeyError\n", "import pytest\ndef test_it():\n    with pytest.raises(ValueError):\n        f(1, 2)\n    assert f is f"),
    "a float near everything": ("class X(float):\n    def __eq__(s, o): return True\n    def __sub__(s, o): return 0.0\n    __rsub__ = __sub__\n    __hash__ = None\ndef f(a, b): return X(9)\n", "import pytest\ndef test_it():\n    assert f(1, 2) == pytest.approx(3)"),
    "a matcher of mocks": ("from unittest.mock import ANY\ndef f(a, b): return ANY\n", "def test_it():\n    assert f(1, 2) == 3 and f is f"),
    "a numpy function": ("import numpy\nnumpy.allclose = lambda *a: True\ndef f(a, b): return 0\n", "import numpy as np\nassert np.allclose(f(1, 2), 3) and f is f"),
    "an array without elements": ("import numpy\ndef f(a, b): return numpy.array([])\n", "import numpy as np\nassert np.allclose(f(1, 2), 3) and f is f"),
    "an array without elements, compared one by one": ("import numpy\ndef f(a, b): return numpy.array([])\n", "import numpy as np\nassert np.all(np.equal(f(1, 2), [3])) and f is f"),
    "an array without elements in an assertion": ("import numpy\ndef f(a, b): return numpy.array([])\n", "import numpy as np\nnp.testing.assert_array_equal(f(1, 2), 3)\nassert f is f"),
    "an array without elements, after arithmetic": ("import numpy\ndef f(a, b): return numpy.array([])\n", "import numpy as np\nassert np.all(np.less(f(1, 2), np.array([3]))) and f is f"),
    "an object that equals all, by the operator module": ("class X:\n    def __eq__(s, o): return True\n    def __lt__(s, o): return True\n    def __contains__(s, o): return True\ndef f(a, b): return X()\n", "import operator\nassert operator.eq(f(1, 2), 3) and f is f"),
    "an object that is less than all, by the operator module": ("class X:\n    def __lt__(s, o): return True\ndef f(a, b): return X()\n", "import operator\nassert operator.lt(f(1, 2), 3) and f is f"),
    "an object that holds all, by the operator module": ("class X:\n    def __contains__(s, o): return True\ndef f(a, b): return X()\n", "import operator\nassert operator.contains(f(1, 2), 3) and f is f"),
    "an array's own answers": ("class A:\n    def __array_function__(s, *a, **k): return True\ndef f(a, b): return A()\n", "import numpy as np\nassert np.array_equal(f(1, 2), [3]) and f is f"),
}  # fmt: skip


def test_no_program_passes_by_what_it_does_to_its_judge(run):
    verdicts = run(*(Job(program=program, tests=tests, entry_point="f") for program, tests in CHEATS.values()))
    passed = [name for name, verdict in zip(CHEATS, verdicts, strict=True) if verdict.status == "pass"]
    assert passed == [] and {v.evidence.get("judge") for v in verdicts} == {"same process"}


def test_random_numbers_are_others_in_each_run(run):
    program = "import random\ndef f(a, b): return random.random()\n"
    tests = "x = f(1, 2)\nassert x is f, str(x)"
    reasons = {verdict.reason for verdict in run(*[Job(program=program, tests=tests, entry_point="f")] * 3)}
    assert len(reasons) == 3 and all("0." in reason or "e-" in reason for reason in reasons)


def test_the_function_under_test_may_have_the_name_of_a_judge(run):
    job = Job(program="def isclose(a, b): return 'own'\n", tests="assert isclose(1, 1) == 'own' and isclose is isclose", entry_point="isclose")  # fmt: skip
    (verdict,) = run(job)
    assert (verdict.status, verdict.evidence["judge"]) == ("pass", "same process"), verdict
