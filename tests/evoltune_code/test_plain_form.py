"""The plain form of a program: copies in disguise have one, other ways to solve a task another."""

import pytest

from evoltune_code.routes import shape_of

SECOND = """def middle(xs):
    s = sorted(xs)
    if len(s) < 2:
        return None
    return s[-2]
"""
EDITS = {
    "a helper that nobody calls": lambda s: s + "\ndef helper():\n    return 3\n",
    "an import that nobody reads": lambda s: "import math\n" + s,
    "an example call": lambda s: s + "\nprint(middle([1, 2]))\n",
    "a main block": lambda s: s + "\nif __name__ == '__main__':\n    middle([1])\n",
    "a value that nobody reads": lambda s: s.replace("    s =", "    unused = [1]\n    s ="),
    "a name for the result": lambda s: s.replace("return s[-2]", "found = s[-2]\n    return found"),
    "a comparison turned round": lambda s: s.replace("len(s) < 2", "2 > len(s)"),
    "a comparison denied": lambda s: s.replace("len(s) < 2", "not len(s) >= 2"),
    "a branch that is never taken": lambda s: s.replace(
        "    return s[-2]", "    if False:\n        return 7\n    return s[-2]"
    ),
    "an else after a return": lambda s: s.replace("    return s[-2]", "    else:\n        return s[-2]"),
    "what is never reached": lambda s: s + "    return 3\n",
    "pass": lambda s: s.replace("    s =", "    pass\n    s ="),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_copy_in_disguise_is_the_same_way(edit):
    copy = EDITS[edit](SECOND)
    assert copy != SECOND and shape_of(copy, "middle") == shape_of(SECOND, "middle")


@pytest.mark.parametrize(
    "other",
    [
        SECOND.replace("sorted(xs)", "sorted(set(xs))"),
        SECOND.replace("< 2", "<= 2"),
        SECOND.replace("[-2]", "[1]"),
        SECOND.replace("    s =", "    xs.sort()\n    s ="),
        "XS = load()\n" + SECOND.replace("(xs)\n", "(XS)\n"),
        SECOND.replace("    if len(s) < 2:\n        return None\n", ""),
    ],
)
def test_another_way_stays_another(other):
    assert shape_of(other, "middle") != shape_of(SECOND, "middle")
