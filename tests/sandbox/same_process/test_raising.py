"""`raises`, `RaisesExc` and `RaisesGroup` end as pytest's own do, on every group here against every expectation."""

import itertools

import pytest

from evoltune.sandbox.same_process import expectations, pytest_api

OURS = pytest_api.pytest_module(lambda: 0, lambda module: module)
FAILED = (expectations.Failed, pytest.fail.Exception)


def noted(error, *notes):
    for note in notes:
        error.add_note(note)
    return error


ERRORS = {
    "one": lambda: ExceptionGroup("some", [ValueError("a")]),
    "two": lambda: ExceptionGroup("some", [KeyError("a"), ValueError("b")]),
    "two of a kind": lambda: ExceptionGroup("others", [ValueError("a"), ValueError("b")]),
    "nested": lambda: ExceptionGroup("some", [ExceptionGroup("in", [ValueError("a"), KeyError("k")])]),
    "nested twice": lambda: ExceptionGroup("some", [ExceptionGroup("in", [ExceptionGroup("deep", [ValueError("b")])]), KeyError("a")]),
    "with a note": lambda: ExceptionGroup("some", [noted(ValueError("a"), "row 3")]),
    "of the interpreter's own": lambda: BaseExceptionGroup("some", [KeyboardInterrupt("a")]),
    "no group": lambda: ValueError("a"),
    "another alone": lambda: KeyError("a"),
}  # fmt: skip
GROUPS = {
    "a value error": lambda m: m.RaisesGroup(ValueError),
    "two in any order": lambda m: m.RaisesGroup(ValueError, KeyError),
    "twice the same": lambda m: m.RaisesGroup(ValueError, ValueError),
    "by texts": lambda m: m.RaisesGroup(m.RaisesExc(ValueError, match="b"), m.RaisesExc(ValueError, match="a")),
    "the first fits both": lambda m: m.RaisesGroup(m.RaisesExc(ValueError), m.RaisesExc(ValueError, match="^a$")),
    "a base class": lambda m: m.RaisesGroup(Exception, LookupError),
    "a group in it": lambda m: m.RaisesGroup(m.RaisesGroup(KeyError, ValueError)),
    "flattened": lambda m: m.RaisesGroup(ValueError, KeyError, flatten_subgroups=True),
    "unwrapped": lambda m: m.RaisesGroup(ValueError, allow_unwrapped=True),
    "its own text": lambda m: m.RaisesGroup(ValueError, match="^some"),
    "its check": lambda m: m.RaisesGroup(ValueError, check=lambda group: group.message == "some"),
    "a check of a part": lambda m: m.RaisesGroup(m.RaisesExc(ValueError, check=lambda e: e.args == ("a",))),
    "a note": lambda m: m.RaisesGroup(m.RaisesExc(ValueError, match="row 3$")),
    "of the interpreter's own": lambda m: m.RaisesGroup(KeyboardInterrupt),
}  # fmt: skip


def ended(module, expected, error):
    """ "met", "failed", or the type of the exception that goes on."""
    try:
        with expected(module) as info:
            if error is not None:
                raise error()
    except FAILED:
        return "failed"
    except BaseException as other:
        return type(other)
    return "met", type(info.value), str(info.value)


@pytest.mark.parametrize(("name", "error"), itertools.product(GROUPS, [*ERRORS, None]))
def test_a_group_fits_where_pytest_says_so(name, error):
    met = len(expectations.met)
    raised = ERRORS[error] if error else None
    ours = ended(OURS, GROUPS[name], raised)
    assert ours == ended(pytest, GROUPS[name], raised)
    assert len(expectations.met) - met == (ours[0] == "met"), "only what was met counts"


@pytest.mark.parametrize(("error", "kind", "match", "depth"), itertools.product(list(ERRORS)[:7], [ValueError, LookupError, ExceptionGroup], [None, "a", "row 3", "in"], [None, 1, 2, 3]))  # fmt: skip
def test_a_group_contains_what_pytest_finds_in_it(error, kind, match, depth):
    found = []
    for module in (OURS, pytest):
        with module.raises(BaseExceptionGroup) as info:
            raise ERRORS[error]()
        found.append(info.group_contains(kind, match=match, depth=depth))
    assert found[0] is found[1]


@pytest.mark.parametrize("error", ERRORS)
def test_what_raises_gives_tells_what_pytests_tells(error):
    told = []
    for module in (OURS, pytest):
        with module.raises(BaseException) as info:
            raise noted(ERRORS[error](), "seen")
        told.append((info.type, info.typename, str(info.value), info.exconly(), info.errisinstance(LookupError), info.errisinstance((ValueError, KeyError))))  # fmt: skip
        assert info.match("seen$")
        with pytest.raises((*FAILED, AssertionError)):
            info.match("never said")
    assert told[0] == told[1]


def test_raises_with_a_function_gives_its_arguments_on():
    for module in (OURS, pytest):
        info = module.raises(ValueError, int, "x", base=10)
        assert "invalid literal" in str(info.value)
        with pytest.raises(FAILED):
            module.raises(ValueError, int, "7", base=10)
        with pytest.raises(TypeError):
            module.raises(ValueError, int, [])
