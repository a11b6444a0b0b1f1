"""Matchers: only what a line of the tests has made matches, and what leads a program to one is known."""

import abc
import copy
import operator
import types

import pytest

from evoltune.sandbox.same_process import private

BEGIN = """
class Like:
    def __init__(self, kind=int):
        self.kind = kind
    def __eq__(self, other):
        return isinstance(other, self.kind)
class Bare:
    def __eq__(self, other):
        return True
class Given:
    def __new__(cls, *args):
        return object.__new__(cls)
    def __eq__(self, other):
        return True
"""


@pytest.fixture
def matchers():
    return private.load("evoltune.sandbox.same_process.matchers")


def run(source, file="<tests>", **names):
    space = {"__name__": "tests", **names}
    exec(compile(BEGIN + source, file, "exec"), space)
    return space


@pytest.mark.parametrize("kind", ["Like", "Bare", "Given"])
def test_an_instance_is_a_matcher_where_a_line_of_the_tests_made_it(matchers, kind):
    space = run("")
    assert matchers.matching(space[kind]) is space[kind]
    mine = eval(compile(f"{kind}()", "<tests>", "eval"), space)
    other = eval(compile(f"{kind}()", "<program>", "eval"), space)
    assert matchers.is_matcher(mine) and not matchers.is_stray(mine)
    for stray in (other, copy.copy(mine), object.__new__(type(mine))):
        assert not matchers.is_matcher(stray) and matchers.is_stray(stray)
    assert not matchers.is_stray(5) and not matchers.is_matcher(5) and type(mine).__name__ == kind


def test_arguments_reach_the_class_of_a_matcher(matchers):
    space = run("")
    for kind, args in (("Like", "str"), ("Given", "1, 2")):
        matchers.matching(space[kind])
        made = eval(compile(f"{kind}({args})", "<tests>", "eval"), space)
        assert getattr(made, "kind", str) is str
    with pytest.raises(TypeError):
        eval(compile("Like(1, 2, 3)", "<tests>", "eval"), space)


def test_a_class_with_a_metaclass_of_its_own_stays_as_it_is(matchers):
    class Meta(type): ...

    own, abstract = Meta("Own", (), {}), abc.ABCMeta("Abstract", (), {})
    assert matchers.matching(own) is own and "__new__" not in vars(own) and own not in matchers.kinds
    assert matchers.matching(abstract) is abstract and "__new__" in vars(abstract)


LEADS = {
    "the matcher": "found = HELD",
    "a function that reads it": "def found(): return HELD",
    "a function within a function": "def found():\n    def inner(): return HELD\n    return inner",
    "a default": "def found(x=HELD): pass",
    "a keyword's default": "def found(*, x=HELD): pass",
    "a closure": "def outer(x):\n    def inner(): return x\n    return inner\nfound = outer(HELD)",
    "a function by another": "def one(): return HELD\ndef found(): return one()",
    "a method": "class found:\n    def method(self): return HELD",
    "a static method": "class found:\n    @staticmethod\n    def method(): return HELD",
    "a member": "class found:\n    member = HELD",
    "a class of matchers": "def found(): return Like()",
    "the name of a library's": "def found(mock): return mock.ANY",
    "a text that names it": "def found(mock): return getattr(mock, 'approx')",
    "a module of the tests": "found = MODULE",
    "a function of ours": "found = OURS",
}
LEADS_NOT = {
    "a number": "found = 3",
    "a function": "def found(x, y=1, *, z=2): return x + y",
    "functions that call each other": "def found(): return other()\ndef other(): return found()",
    "a cell that is not bound yet": "def outer():\n    def inner(): return later\n    return inner\n    later = HELD\nfound = outer()",
    "a class": "class found:\n    size = 3\n    def method(self): return self.size",
    "an instance": "class Kind: pass\nfound = Kind()",
    "a module": "import math as found",
    "a built-in": "found = len",
}


@pytest.mark.parametrize("name", LEADS | LEADS_NOT)
def test_what_leads_to_a_matcher_is_known(matchers, name):
    held = matchers.taken(object())
    module = matchers.own_module(types.ModuleType("mock"))
    code = compile("def ours(): return 1", matchers.is_own.__code__.co_filename, "exec")
    exec(code, own := {})
    space = run("MATCHING(Like)\n" + (LEADS | LEADS_NOT)[name], HELD=held, MODULE=module, OURS=own["ours"], MATCHING=matchers.matching)  # fmt: skip
    assert matchers.leads_to_matcher(space["found"]) is (name in LEADS)


def test_a_function_of_the_programs_leads_nowhere(matchers):
    held = matchers.taken(object())
    space = run("def found(): return HELD", "<program>", HELD=held)
    assert not matchers.leads_to_matcher(space["found"])


def test_any_equals_all_and_differs_from_nothing(matchers):
    for other in (None, 5, object(), [matchers.ANY]):
        for pair in ((matchers.ANY, other), (other, matchers.ANY)):
            assert operator.eq(*pair) and not operator.ne(*pair)
    assert repr(matchers.ANY) == "<ANY>" and matchers.is_matcher(matchers.ANY)
    assert matchers.is_stray(matchers.Any_())
    with pytest.raises(TypeError):
        hash(matchers.ANY)


def test_only_so_many_matchers_are_remembered(matchers, monkeypatch):
    monkeypatch.setattr(matchers, "_MAX", len(matchers._matchers) + 2)
    made = [matchers.taken([n]) for n in range(4)]
    assert made == [[0], [1], [2], [3]] and [matchers.is_matcher(m) for m in made] == [True, True, False, False]
