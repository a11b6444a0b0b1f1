"""The law: for an honest program the verdict is what the plain interpreter says when program and tests run together.

Pairs are made by mutation: each program below, and its mutants, right and wrong ones, with its tests. The short form takes a few
mutants of each; the marker `slow` takes all.
"""

import json
import subprocess
import sys

import pytest

from evoltune.verification.checker import open_checker
from evoltune.verification.rows import verify_rows
from evoltune_code.mutants import mutants

PLAIN = """
import json, os, resource, sys, threading
for program, tests in json.load(sys.stdin):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))  # endless mutants; an honest program takes a tenth
        threading.Timer(60, os._exit, (9,)).start()
        space = {"__name__": "candidate"}
        try:
            exec(program, space)
            space["__name__"] = "__main__"
            exec(tests, space)
            for name, value in list(space.items()):
                if name.startswith("test"):
                    value()
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

PAIRS = {
    "values": (
        "def f(xs, k):\n    total = 0\n    for i, x in enumerate(xs):\n        if i % k == 0 and x > 1:\n            total += x * 2\n    return total\n",
        "assert f([1, 2, 3, 4], 2) == 6\nassert f([], 1) == 0\nassert f([5], 1) >= 10 and f([5], 1) is not None\nassert f([0, 9], 3) in (0, 18)\n",
    ),
    "copies": (
        "def f(rows):\n    out = []\n    for row in rows:\n        out.append(list(row))\n    return out\n",
        "a = [[1, 2], [3]]\nb = f(a)\nb[0].append(9)\nassert a == [[1, 2], [3]]\nassert b[1] == [3] and b[1] is not a[1]\nassert len(b) == 2\n",
    ),
    "arguments": (
        "def f(xs):\n    out = sorted(xs)\n    if len(out) > 2:\n        out.pop(0)\n    return out\n",
        "a = [3, 1, 2]\nassert f(a) == [2, 3]\nassert a == [3, 1, 2]\nassert f([2, 1]) == [1, 2]\n",
    ),
    "stack": (
        "class Stack:\n    def __init__(self, limit=3):\n        self.items, self.limit = [], limit\n    def push(self, x):\n"
        "        if len(self.items) >= self.limit:\n            raise OverflowError('full')\n        self.items.append(x)\n        return self\n"
        "    def pop(self):\n        return self.items.pop() if self.items else None\n    def __len__(self):\n        return len(self.items)\n",
        "s = Stack(2)\nassert s.push(1).push(2) is s\nassert len(s) == 2\ntry:\n    s.push(3)\n    assert False, 'no error'\n"
        "except OverflowError as e:\n    assert e.args == ('full',)\nassert s.pop() == 2 and s.pop() == 1 and s.pop() is None\nassert not s\n",
    ),
    "vectors": (
        "class V:\n    def __init__(self, x, y):\n        self.x, self.y = x, y\n    def __add__(self, o):\n        return V(self.x + o.x, self.y + o.y)\n"
        "    def __mul__(self, k):\n        return V(self.x * k, self.y * k)\n    def __eq__(self, o):\n        return isinstance(o, V) and (self.x, self.y) == (o.x, o.y)\n"
        "    def __hash__(self):\n        return hash((self.x, self.y))\n    def __lt__(self, o):\n        return self.x < o.x\n    def __repr__(self):\n        return f'V({self.x}, {self.y})'\n",
        "assert V(1, 2) + V(2, 1) == V(3, 3)\nassert V(1, 2) * 3 == V(3, 6) and V(1, 2) != V(2, 1)\nassert repr(V(1, 0)) == 'V(1, 0)'\n"
        "assert len({V(1, 2), V(1, 2), V(2, 1)}) == 2\nassert sorted([V(2, 0), V(1, 0)])[0].x == 1 and V(0, 9) < V(1, 0)\n",
    ),
    "generators": (
        "def f(n):\n    i = 0\n    while i < n:\n        if i % 3 != 1:\n            yield i\n        i += 1\n",
        "import types\ng = f(5)\nassert isinstance(g, types.GeneratorType)\nassert next(g) == 0\nassert list(g) == [2, 3]\nassert [*f(2)] == [0]\n",
    ),
    "state": (
        "count = 0\nlog = []\ndef f(x):\n    global count\n    count += 1\n    if x > 2:\n        log.append(x)\n    return count\n",
        "assert f(1) == 1\nassert f(5) == 2 and count == 2\nassert log == [5]\ncount = 10\nassert f(0) == 11\n",
    ),
    "callbacks": (
        "def f(g, xs, default=0):\n    out = []\n    for x in xs:\n        try:\n            out.append(g(x))\n        except ValueError:\n            out.append(default)\n    return out\n",
        "seen = []\ndef g(x):\n    seen.append(x)\n    if x < 0:\n        raise ValueError(x)\n    return x + 1\n"
        "assert f(g, [1, -1, 2], default=7) == [2, 7, 3]\nassert seen == [1, -1, 2]\nassert f(int, ['4', 'x']) == [4, 0]\n",
    ),
    "subclasses": (
        "from abc import ABC, abstractmethod\nclass Shape(ABC):\n    sides = 0\n    @abstractmethod\n    def area(self): ...\n"
        "    def describe(self, unit='m'):\n        return f'{self.area() * 2} {unit}' if self.sides > 3 else 'round'\n",
        "class Square(Shape):\n    sides = 4\n    def area(self):\n        return 8\nassert Square().describe() == '16 m'\n"
        "assert Square().describe(unit='cm') == '16 cm'\nclass Disc(Square):\n    sides = 0\nassert Disc().describe() == 'round'\n"
        "try:\n    Shape()\nexcept TypeError:\n    pass\nelse:\n    assert False\n",
    ),
    "unittest": (
        "def f(a, b):\n    if b == 0:\n        raise ZeroDivisionError('no')\n    return a / b + 1\n",
        "import unittest\nclass TestF(unittest.TestCase):\n    def setUp(self):\n        self.base = 4\n    def test_value(self):\n"
        "        self.assertEqual(f(self.base, 2), 3)\n        self.assertAlmostEqual(f(1, 3), 1.3333333)\n    def test_error(self):\n"
        "        with self.assertRaisesRegex(ZeroDivisionError, 'no'):\n            f(1, 0)\n"
        "def test_all():\n    result = unittest.TextTestRunner().run(unittest.TestLoader().loadTestsFromTestCase(TestF))\n    assert result.wasSuccessful()\n",
    ),
    "printing": (
        "def f(names):\n    for i, name in enumerate(names):\n        print(i + 1, name, sep=': ')\n    return len(names) - 1\n",
        "import io\nfrom contextlib import redirect_stdout\nout = io.StringIO()\nwith redirect_stdout(out):\n    assert f(['a', 'b']) == 1\nassert out.getvalue() == '1: a\\n2: b\\n'\n",
    ),
    "coroutines": (
        "import asyncio\nasync def f(n, step=2):\n    total = 0\n    for i in range(n):\n        await asyncio.sleep(0)\n        total += i * step\n    return total\n",
        "import asyncio\nasync def main():\n    return await asyncio.gather(f(3), f(2, step=5))\nassert asyncio.run(main()) == [6, 5]\n",
    ),
}  # fmt: skip


def pairs(limit):
    for name, (program, tests) in PAIRS.items():
        for number, source in enumerate([program, *(m.source for m in mutants(program, limit=limit))]):
            yield f"{name} {number}", source, tests


def plain_statuses(found):
    given = json.dumps([[program, tests] for _, program, tests in found])
    run = subprocess.run([sys.executable, "-c", PLAIN], input=given, capture_output=True, text=True, check=True)
    return ["pass" if code == "0" else "fail" for code in run.stdout.split()]


@pytest.mark.parametrize("limit", [3, pytest.param(400, marks=pytest.mark.slow)])
def test_verdicts_are_the_plain_interpreters(limit):
    found = list(pairs(limit))
    expected = plain_statuses(found)
    with open_checker("code", workers=1, require="L0", program_s=1.0, cache=False) as checker:
        rows = list(verify_rows(checker, ({"answer": program, "tests": tests} for _, program, tests in found)))
    wrong = {}
    for (name, program, _), plain, row in zip(found, expected, rows, strict=True):
        status = "fail" if row["status"] in ("timeout", "memory") else row["status"]
        if status != plain:
            wrong[name] = (plain, row["status"], row["reason"], program)
    assert wrong == {}
    assert {row["evidence"].get("judge") for row in rows} == {"separate", "same process"}
    assert expected.count("pass") >= len(PAIRS) and expected.count("fail") >= len(PAIRS)
