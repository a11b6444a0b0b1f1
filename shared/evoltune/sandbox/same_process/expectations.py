"""How tests expect exceptions, fail and skip: what unittest's and pytest's forms have in common."""

import re
from typing import Any

from evoltune.sandbox.same_process.monitor import TESTS, is_own

met: list[None] = []
"""One entry for each expectation that was met."""


class Skipped(BaseException):
    """A test that is skipped: it neither passes nor fails."""


class Unsupported(BaseException):
    """The tests need what we do not offer: they are in error, and not the program."""


class Failed(AssertionError):
    """pytest.fail, or an expectation that was not met."""


class Place:
    """An entry of a traceback as pytest shows it: its lines count from 0."""

    def __init__(self, name: str, path: str, line: int) -> None:
        self.name, self.path, self.lineno = name, path, line - 1

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"an attribute {name!r} of a traceback's entry")


def _places(error: BaseException) -> list[tuple[str, str, int]]:
    """Function, file and line of each frame on an exception's way, without ours."""
    found, trace = [], error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        if code.co_filename == TESTS or not is_own(code.co_filename):
            found.append((code.co_name, code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return found


class Expected:
    """The context of `raises`: the exception that came."""

    def __init__(self, kinds: Any, match: Any, check: Any = None) -> None:
        self.kinds, self.pattern, self.check = kinds, match, check
        self.exception: Any = None
        self.places: list[tuple[str, str, int]] = []

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
        text = self.text_of(self.exception)
        if not re.search(pattern, text):
            raise Failed(f"{text[:200]!r} does not match {str(pattern)[:200]!r}")
        return True

    def text_of(self, error: Any) -> str:
        """What a pattern is searched in."""
        return str(error)

    def fits(self, error: Any) -> bool:
        """Whether an exception of the right kind has the right text, and passes the tests' own check."""
        return (self.pattern is None or bool(re.search(self.pattern, self.text_of(error)))) and (
            self.check is None or bool(self.check(error))
        )

    def take(self, error: Any) -> None:
        """Keeps the exception, and counts the expectation as met."""
        self.places = _places(error)
        self.exception = error.with_traceback(None)
        met.append(None)

    @property
    def traceback(self) -> list[Any]:
        """Where the exception went through, the innermost last."""
        return [Place(name, file, line) for name, file, line in self.places]

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
        self.places = _places(error)
        self.exception = error.with_traceback(None)
        if self.pattern is not None:
            self.match(self.pattern)
        if not self.fits(error):
            raise Failed(f"{kind.__name__} does not pass the check of the tests")
        met.append(None)
        return True


def expect(context: Expected, args: Any, kwargs: Any) -> Any:
    """The context, or with a function what it gave when that was called."""
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
