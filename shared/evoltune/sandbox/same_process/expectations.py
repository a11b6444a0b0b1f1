"""How tests expect exceptions, fail and skip: what unittest's and pytest's forms have in common."""

import re
from typing import Any

met: list[None] = []
"""One entry for each expectation that was met."""


class Skipped(BaseException):
    """A test that is skipped: it neither passes nor fails."""


class Unsupported(BaseException):
    """The tests need what we do not offer: they are in error, and not the program."""


class Failed(AssertionError):
    """pytest.fail, or an expectation that was not met."""


class Expected:
    """The context of `raises`: the exception that came."""

    def __init__(self, kinds: Any, match: Any) -> None:
        self.kinds, self.pattern = kinds, match
        self.exception: Any = None

    @property
    def value(self) -> Any:
        return self.exception

    @property
    def type(self) -> Any:
        return type(self.exception)

    @property
    def typename(self) -> str:
        return type(self.exception).__name__

    def match(self, pattern: Any) -> bool:
        if not re.search(pattern, str(self.exception)):
            raise Failed(f"{str(self.exception)[:200]!r} does not match {str(pattern)[:200]!r}")
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise Unsupported(f"an attribute {name!r} of what `raises` gives")

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if kind is None:
            raise Failed(f"DID NOT RAISE {self.kinds!r}")
        if not issubclass(kind, self.kinds):
            return False
        self.exception = error.with_traceback(None)
        if self.pattern is not None:
            self.match(self.pattern)
        met.append(None)
        return True


def expect(kinds: Any, match: Any, args: Any, kwargs: Any) -> Any:
    context = Expected(kinds, match)
    if not args:
        return context
    function, *rest = args
    try:
        function(*rest, **kwargs)
    except BaseException as error:
        if not context.__exit__(type(error), error, None):
            raise
        return context
    context.__exit__(None, None, None)
    return context


def without_stop(function: Any) -> Any:
    """The function, with a StopIteration that it raises as the RuntimeError that a generator makes of one."""
    if not callable(function):
        return function

    def called(*args: Any) -> Any:
        try:
            return function(*args)
        except StopIteration as error:
            raise RuntimeError("the function raised StopIteration") from error

    return called
