"""unittest's assertions, by functions of our own, which compare as `comparing` does.

Invariant: an assertion of a test case is decided here, whatever the program has done to unittest.
"""

import re
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.same_process import comparing
from evoltune.sandbox.same_process.expectations import Expected, expect
from evoltune.sandbox.same_process.plain_values import pictured

equal, compare = comparing.equal, comparing.compare


def _shorten(value: Any) -> str:
    try:
        return repr(value)[:200]
    except Exception:  # noqa: BLE001 - the program's own __repr__
        return f"a {type(value).__name__}"


def _wrong(message: Any, standard: str) -> AssertionError:
    return AssertionError(f"{standard} : {message}" if message is not None else standard)


def _comparison(symbol: str, words: str) -> Callable[..., None]:
    def check(case: Any, first: Any, second: Any, msg: Any = None) -> None:
        if not compare(symbol, first, second):
            raise _wrong(msg, f"{_shorten(first)} {words} {_shorten(second)}")

    return check


def _equal(case: Any, first: Any, second: Any, msg: Any = None, **_: Any) -> None:
    if not equal(first, second):
        function = getattr(case, "_type_equality_funcs", {}).get(type(first)) if type(first) is type(second) else None
        if callable(function):  # one that the tests added
            function(first, second, msg)
            return
        raise _wrong(msg, f"{_shorten(first)} != {_shorten(second)}")


def _typed_equal(*kinds: type) -> Callable[..., None]:
    def check(case: Any, first: Any, second: Any, msg: Any = None) -> None:
        for value in (first, second):
            if not isinstance(value, kinds):
                raise _wrong(msg, f"{_shorten(value)} is not a {kinds[0].__name__}")
        _equal(case, first, second, msg)

    return check


def _sequence_equal(case: Any, first: Any, second: Any, msg: Any = None, seq_type: Any = None) -> None:
    for value in (first, second) if seq_type else ():
        if not isinstance(value, seq_type):
            raise _wrong(msg, f"{_shorten(value)} is not a {seq_type.__name__}")
    if not equal([*pictured(first)], [*pictured(second)]):
        raise _wrong(msg, f"sequences differ: {_shorten(first)} != {_shorten(second)}")


def _almost(case: Any, first: Any, second: Any, places: Any = None, msg: Any = None, delta: Any = None) -> bool:
    if equal(first, second):
        return True
    difference = abs(comparing.operate("-", first, second))
    if delta is not None:
        return bool(compare("<=", difference, delta))
    return bool(equal(round(difference, 7 if places is None else places), 0))


def _almost_equal(case: Any, first: Any, second: Any, places: Any = None, msg: Any = None, delta: Any = None) -> None:
    if not _almost(case, first, second, places, msg, delta):
        raise _wrong(msg, f"{_shorten(first)} != {_shorten(second)} within {delta or places or 7}")


def _not_almost_equal(
    case: Any, first: Any, second: Any, places: Any = None, msg: Any = None, delta: Any = None
) -> None:
    if _almost(case, first, second, places, msg, delta):
        raise _wrong(msg, f"{_shorten(first)} == {_shorten(second)} within {delta or places or 7}")


def _true(case: Any, expr: Any, msg: Any = None) -> None:
    if not expr:
        raise _wrong(msg, f"{_shorten(expr)} is not true")


def _false(case: Any, expr: Any, msg: Any = None) -> None:
    if expr:
        raise _wrong(msg, f"{_shorten(expr)} is not false")


def _is(case: Any, first: Any, second: Any, msg: Any = None) -> None:
    if first is not second:
        raise _wrong(msg, f"{_shorten(first)} is not {_shorten(second)}")


def _is_not(case: Any, first: Any, second: Any, msg: Any = None) -> None:
    if first is second:
        raise _wrong(msg, f"unexpectedly identical: {_shorten(first)}")


def _instance(case: Any, obj: Any, cls: Any, msg: Any = None) -> None:
    if not comparing.is_instance(obj, cls):
        raise _wrong(msg, f"{_shorten(obj)} is not an instance of {cls!r}")


def _not_instance(case: Any, obj: Any, cls: Any, msg: Any = None) -> None:
    if comparing.is_instance(obj, cls):
        raise _wrong(msg, f"{_shorten(obj)} is an instance of {cls!r}")


def _count_equal(case: Any, first: Any, second: Any, msg: Any = None) -> None:
    left = [*pictured(second)]
    for item in pictured(first):
        place = next((i for i, other in enumerate(left) if equal(item, other)), None)
        if place is None:
            raise _wrong(msg, f"element counts differ: {_shorten(item)}")
        del left[place]
    if left:
        raise _wrong(msg, f"element counts differ: {_shorten(left)}")


def _regex(case: Any, text: Any, expected_regex: Any, msg: Any = None) -> None:
    if not re.compile(expected_regex).search(text):
        raise _wrong(msg, f"{_shorten(text)} does not match {_shorten(expected_regex)}")


def _not_regex(case: Any, text: Any, unexpected_regex: Any, msg: Any = None) -> None:
    if re.compile(unexpected_regex).search(text):
        raise _wrong(msg, f"{_shorten(text)} matches {_shorten(unexpected_regex)}")


def _raises(case: Any, expected: Any, /, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("msg", None) if not args else None
    return expect(Expected(expected, None), args, kwargs)


def _raises_regex(case: Any, expected: Any, expected_regex: Any, /, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("msg", None) if not args else None
    return expect(Expected(expected, expected_regex), args, kwargs)


ASSERTIONS: dict[str, Callable[..., Any]] = {
    "assertEqual": _equal, "assertEquals": _equal, "assertNotEqual": _comparison("!=", "=="), "assertTrue": _true, "assertFalse": _false,
    "assertIs": _is, "assertIsNot": _is_not, "assertIsNone": lambda case, obj, msg=None: _is(case, obj, None, msg),
    "assertIsNotNone": lambda case, obj, msg=None: _is_not(case, obj, None, msg),
    "assertIn": _comparison("in", "not found in"), "assertNotIn": _comparison("not in", "unexpectedly found in"),
    "assertIsInstance": _instance, "assertNotIsInstance": _not_instance, "assertAlmostEqual": _almost_equal,
    "assertNotAlmostEqual": _not_almost_equal, "assertGreater": _comparison(">", "not greater than"),
    "assertGreaterEqual": _comparison(">=", "not greater than or equal to"), "assertLess": _comparison("<", "not less than"),
    "assertLessEqual": _comparison("<=", "not less than or equal to"), "assertCountEqual": _count_equal, "assertItemsEqual": _count_equal,
    "assertListEqual": _typed_equal(list), "assertTupleEqual": _typed_equal(tuple), "assertDictEqual": _typed_equal(dict),
    "assertSetEqual": _typed_equal(set, frozenset), "assertMultiLineEqual": _typed_equal(str), "assertSequenceEqual": _sequence_equal,
    "assertRegex": _regex, "assertNotRegex": _not_regex, "assertRaises": _raises, "assertRaisesRegex": _raises_regex,
}  # fmt: skip
