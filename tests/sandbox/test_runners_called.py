"""Tests that start their own runner (`main()`, `pytest.main()`) and end with `sys.exit`: the verdict of the plain interpreter."""

import subprocess
import sys

import pytest

UNITTEST = "class T({case}):\n    def test_it(self):\n        self.assertEqual(f(), 1)\n"
ENDS = {
    "an exit after an assertion": "import sys\nassert f() == 1\nsys.exit(0)\n",
    "from unittest import main": "from unittest import TestCase, main\n" + UNITTEST.format(case="TestCase") + "if __name__ == '__main__':\n    main()\n",
    "unittest.main without exit": "import sys, unittest\n" + UNITTEST.format(case="unittest.TestCase")
    + "found = unittest.main(exit=False)\nsys.exit(not found.result.wasSuccessful())\n",
    "os._exit": "import os\nok = f() == 1\nprint(ok, flush=True)\nos._exit(0 if ok else 1)\n",
    "os._exit in a branch": "import os\nif f() != 1:\n    os._exit(1)\nos._exit(0)\n",
    "doctest.testmod": "def examples():\n    \"\"\"\n    >>> f()\n    1\n    \"\"\"\nif __name__ == '__main__':\n    import doctest, sys\n    sys.exit(doctest.testmod().failed)\n",
    "pytest.main": "import pytest, sys\ndef test_it():\n    assert f() == 1\nif __name__ == '__main__':\n    sys.exit(pytest.main([__file__]))\n",
}  # fmt: skip
PROGRAMS = {
    "def f():\n    return 1\n": "pass",
    "def f():\n    return 2\n": "fail",
    "import sys\ndef f():\n    sys.exit(0)\n": "fail",
    "import unittest\nunittest.main = lambda *a, **k: None\ndef f():\n    return 2\n": "fail",
}


@pytest.mark.parametrize("end", ENDS)
def test_the_tests_own_runner_decides_and_the_programs_exit_does_not(one, end):
    found = {program: one(program, ENDS[end]).status for program in PROGRAMS}
    assert {p: s == "pass" for p, s in found.items()} == {p: s == "pass" for p, s in PROGRAMS.items()}, found


@pytest.mark.parametrize("end", ENDS)
def test_python_says_the_same_of_the_right_and_the_wrong_program(tmp_path, end):
    for program, status in list(PROGRAMS.items())[:2]:
        (tmp_path / "test_it.py").write_text(program + ENDS[end])
        done = subprocess.run([sys.executable, "test_it.py"], cwd=tmp_path, capture_output=True)
        assert (done.returncode == 0) == (status == "pass")


def test_a_borrowed_traceback_does_not_make_an_exit_the_tests_own(one):
    program = (
        "def f(call):\n    try:\n        call()\n    except ZeroDivisionError as error:\n        tail = error.__traceback__\n"
        "        while tail.tb_next:\n            tail = tail.tb_next\n        raise SystemExit(0).with_traceback(tail)\n"
    )
    tests = "def call():\n    return 1 / 0\nassert True is True\nassert f(call) == 5\n"
    assert one(program, tests).status == "fail"


def test_captured_output_unpacks_into_two_texts(one):
    tests = "def test_it(capsys):\n    f()\n    out, err = capsys.readouterr()\n    assert (out, err) == ('a\\n', '')\n"
    assert one("def f():\n    print('a')\n", tests).status == "pass"
    assert one("def f():\n    print('b')\n", tests).status == "fail"


LOADERS = {
    "a module without cases": "unittest.defaultTestLoader.loadTestsFromModule(sys)",
    "its own module": "unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])",
    "its own class": "unittest.defaultTestLoader.loadTestsFromTestCase(T)",
}


@pytest.mark.parametrize("loader", LOADERS)
def test_a_loader_that_finds_nothing_proves_nothing(one, loader):
    tests = "import sys, unittest\nran = []\n" + UNITTEST.format(case="unittest.TestCase").replace(
        "self.assert", "ran.append(1)\n        self.assertEqual(ran, [1])\n        self.assert"
    )
    tests += f"found = unittest.TextTestRunner().run({LOADERS[loader]})\nsys.exit(0 if found.wasSuccessful() else 1)\n"
    statuses = [one(program, tests).status for program in list(PROGRAMS)[:2]]
    assert statuses == ["pass", "fail"], statuses
