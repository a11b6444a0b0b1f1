"""Expected exceptions: the context and the call of `raises`, against pytest's own."""

import pytest

from evoltune.sandbox.same_process import expectations, pytest_api

KINDS = (ValueError, TypeError, (ValueError, KeyError), Exception, LookupError, KeyboardInterrupt)
RAISED = (
    None,
    ValueError("bad value"),
    KeyError("k"),
    TypeError(""),
    KeyboardInterrupt("bad"),
    UnicodeError("a bad text"),
)
MATCHES = (None, "bad", "^bad", "value$", "k", "")


def raiser(error):
    def function(*args, **kwargs):
        if error is not None:
            raise error

    return function


def ending(raises, kinds, match, error, called):
    """How an expectation ends: what its context remembers, or the type of the exception that leaves it."""
    failed = pytest.fail.Exception
    try:
        if called and match is None:
            info = raises(kinds, raiser(error), 1, key=2)
        else:
            with raises(kinds, match=match) as info:
                raiser(error)()
    except (expectations.Failed, failed, AssertionError):
        return "failed"
    except BaseException as left:
        return type(left)
    return info.value, info.type


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("match", MATCHES)
def test_raises_ends_as_pytests_does(kinds, match, called):
    ours = pytest_api.pytest_module(lambda: 0, lambda module: module).raises
    for error in RAISED:
        assert ending(ours, kinds, match, error, called) == ending(pytest.raises, kinds, match, error, called)


@pytest.mark.parametrize(
    ("error", "counted"), [(None, 0), (KeyError("x"), 0), (ValueError("no"), 0), (ValueError("yes"), 1)]
)
def test_only_what_was_expected_is_counted_as_met(error, counted):
    before = len(expectations.met)
    left = None
    try:
        with expectations.Expected(ValueError, "yes"):
            raiser(error)()
    except Exception as raised:
        left = raised
    assert len(expectations.met) == before + counted and (left is None) == bool(counted)


def test_messages_say_what_was_expected_and_are_cut():
    with pytest.raises(expectations.Failed, match="DID NOT RAISE <class 'ValueError'>"):
        expectations.expect(expectations.Expected(ValueError, None), (len, "abc"), {})
    with pytest.raises(expectations.Failed) as info, expectations.Expected(ValueError, "b" * 300):
        raise ValueError("a" * 300)
    assert str(info.value) == f"{'a' * 200!r} does not match {'b' * 200!r}"


def test_the_exception_is_given_without_frames_and_arguments_are_passed_on():
    given = []
    context = expectations.expect(
        expectations.Expected(ValueError, "text"),
        (lambda *a, **k: given.append((a, k)) or int("text"), 1, 2),
        {"key": 3},
    )
    assert given == [((1, 2), {"key": 3})] and context.value.__traceback__ is None
    assert isinstance(context.exception, ValueError) and context.type is ValueError
