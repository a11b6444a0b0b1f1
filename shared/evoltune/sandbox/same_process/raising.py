"""`pytest.raises`, `RaisesExc` and `RaisesGroup`: exceptions alone, and in a group in any order.

Invariant: a group fits where each expected exception in turn fits one of its own that is left, the first such, and none is left
over: as in pytest, an expectation that others need is better written first.

    with raises(OSError, check=lambda e: e.errno == 2): f()
    with RaisesGroup(ValueError, RaisesExc(TypeError, match="int")): f()
"""

import re
import traceback
from typing import Any

from evoltune.sandbox.same_process.expectations import Expected, Failed, expect


class RaisesExc(Expected):
    """One exception."""

    def __init__(self, expected: Any = BaseException, *, match: Any = None, check: Any = None) -> None:
        super().__init__(expected, match, check)

    def text_of(self, error: Any) -> str:
        return _text_of(error)

    def matches(self, error: Any) -> bool:
        return isinstance(error, self.kinds) and self.fits(error)

    def errisinstance(self, kinds: Any) -> bool:
        return isinstance(self.exception, kinds)

    def exconly(self, tryshort: bool = False) -> str:
        return "".join(traceback.format_exception_only(self.exception)).rstrip()

    def group_contains(self, expected: Any, *, match: Any = None, depth: Any = None) -> bool:
        return _contains(self.exception, expected, match, depth, 1)


class RaisesGroup(RaisesExc):
    """A group of exceptions."""

    def __init__(
        self, *expected: Any, allow_unwrapped: bool = False, flatten_subgroups: bool = False, match: Any = None, check: Any = None
    ) -> None:  # fmt: skip
        super().__init__(BaseExceptionGroup, match=match, check=check)
        self.unwrapped, self.flattened = allow_unwrapped, flatten_subgroups
        self.expected = [e if isinstance(e, RaisesExc) else RaisesExc(e) for e in expected]

    def matches(self, error: Any) -> bool:
        if not isinstance(error, BaseExceptionGroup):
            return self.unwrapped and self.expected[0].matches(error)
        parts = [*_leaves(error)] if self.flattened else [*error.exceptions]
        return _pairs(self.expected, parts) and self.fits(error)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if kind is None:
            raise Failed(f"DID NOT RAISE any exception, expected a group of {len(self.expected)}")
        if not self.matches(error):
            raise Failed(f"the raised {kind.__name__} does not fit the expected group")
        self.take(error)
        return True


def raises(expected: Any = BaseException, *args: Any, match: Any = None, check: Any = None, **kwargs: Any) -> Any:
    """`pytest.raises`: a context, or with a function what its call raised."""
    return expect(RaisesExc(expected, match=match, check=check), args, kwargs)


def _text_of(error: Any) -> str:
    return "\n".join([str(error), *map(str, getattr(error, "__notes__", ()))])


def _pairs(wanted: list[RaisesExc], got: list[Any]) -> bool:
    """Whether each wanted exception fits another one, and none is left. Each takes the first that fits, as pytest's do."""
    left = [*got]
    for one in wanted:
        place = next((i for i, part in enumerate(left) if one.matches(part)), None)
        if place is None:
            return False
        del left[place]
    return not left


def _leaves(group: Any) -> Any:
    for part in group.exceptions:
        yield from _leaves(part) if isinstance(part, BaseExceptionGroup) else (part,)


def _contains(group: Any, expected: Any, match: Any, depth: Any, level: int) -> bool:
    """Whether a group holds such an exception, at this depth or at any."""
    for part in group.exceptions:
        here = depth in (None, level) and isinstance(part, expected)
        if here and (match is None or re.search(match, _text_of(part))):
            return True
        if isinstance(part, BaseExceptionGroup) and _contains(part, expected, match, depth, level + 1):
            return True
    return False
