"""`doctest.testmod()` in tests runs the examples of both, and shows the program nothing of the tests."""

import pytest

RIGHT = "def f(x):\n    '''\n    >>> f(1)\n    2\n    '''\n    return x * 2\n"
TESTS = '''import doctest
EXPECTED = 6

class Examples:
    """
    >>> f(start()) == EXPECTED
    True
    """

    def more(self):
        """
        >>> f('a')
        'aa'
        """

def start():
    return 3

found = doctest.testmod()
assert found.failed == 0 and found.attempted == 3, found
'''
WRONG = {
    "caught by the tests' examples": RIGHT.replace("x * 2", "x + 1"),
    "caught by its own": RIGHT.replace("    2\n", "    3\n"),
    "without its own": RIGHT.replace("    >>> f(1)\n    2\n", ""),
    "reads a name of the tests": RIGHT.replace("f(1)\n    2", "EXPECTED\n    6"),
}


def test_examples_of_program_and_tests_are_run(one):
    assert one(RIGHT, TESTS).status == "pass"


@pytest.mark.parametrize("name", WRONG)
def test_a_program_that_fails_an_example_fails(one, name):
    assert one(WRONG[name], TESTS).status == "fail"


def test_the_program_is_another_module_where_the_tests_import_it_as_one(one):
    tests = TESTS.replace("import doctest", "import doctest\nimport solution\nf = solution.f")
    assert one(RIGHT, tests.replace("== 3", "== 2")).status == "pass"
    assert one(RIGHT, tests).status == "fail"
    assert one(RIGHT, "import doctest, solution\nassert doctest.testmod(solution) == (0, 1)").status == "pass"
