"""The functions that rewritten tests hold as constants: what counts an assertion, and what compares."""

import builtins
import types
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.same_process import captured, comparing, expectations, monitor, rewriting, unittest_assertions


class Judge:
    """What the functions need of the run.

    Args:
        verify: raises where the program has changed something by which the tests judge.
    """

    def __init__(
        self, state: monitor.State, verify: Callable[[], None], lookup: Callable[[str], Any], unittest_main: Callable[[], Any]
    ) -> None:  # fmt: skip
        self.state, self.verify, self.lookup, self.unittest_main = state, verify, lookup, unittest_main
        self.met = 0
        """Expectations of exceptions that were met when an assertion last asked."""


def bound(judge: Judge) -> dict[str, Any]:
    """Mark -> function."""
    state, verify = judge.state, judge.verify

    def check(site: int, value: Any) -> bool:
        if not value:
            state.failed += 1
            return False
        verify()
        monitor.count(state, site)
        return True

    def gate(site: int, value: Any) -> Any:
        verify()
        monitor.count(state, site)
        return value

    def reached(site: int) -> None:
        verify()
        monitor.count(state, site)

    def expected(site: int) -> None:
        if len(expectations.met) == judge.met:
            state.broken = state.broken or "an expected exception to be left out"
            raise PermissionError(state.broken)
        judge.met = len(expectations.met)
        reached(site)

    def function(site: int, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        verify()
        result = called(*args, **kwargs)
        monitor.count(state, site)
        return result

    own = {name: getattr(builtins, name) for name in rewriting.PURE}
    own["isinstance"] = comparing.is_instance
    return {
        **own, "check": check, "gate": gate, "reached": reached, "expected": expected, "chain": _chain, "method": _method(judge),
        "function": function, "lookup": judge.lookup, "compare": comparing.compare, "operate": comparing.operate, "answer": comparing.answer,
        "AssertionError": AssertionError,
    }  # fmt: skip


def _chain(symbols: str, left: Any, *later: Callable[[], Any]) -> Any:
    """`a < b < c`: what is not needed is not evaluated."""
    for symbol, get in zip(symbols.split(), later, strict=True):
        right = get()
        result = comparing.compare(symbol.replace("-", " "), left, right)
        if not result:
            return result
        left = right
    return result


def _method(judge: Judge) -> Callable[..., Any]:
    """Calls of a module's functions, and of a test case's assertions."""

    def call(owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own = unittest_assertions.ASSERTIONS.get(name) if isinstance(owner, captured.of_unittest("TestCase")) else None
        if own and not _overridden(type(owner), name):
            return own(owner, *args, **kwargs)
        if name == "main" and owner is captured.modules.get("unittest"):
            return judge.unittest_main()
        judge.verify()
        if type(owner) is types.ModuleType and owner.__name__.partition(".")[0] == "numpy":
            args = tuple(comparing.real_array(a) for a in args)
        return getattr(owner, name)(*args, **kwargs)

    def method(site: int, owner: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        result = call(owner, name, args, kwargs)
        if (site and name not in rewriting.CONTEXTS) or (name in rewriting.RAISES and len(args) > 1):
            monitor.count(judge.state, site)
        return result

    return method


def _overridden(kind: type, name: str) -> bool:
    """Whether a class of the tests defines the assertion itself."""
    for base in kind.__mro__:
        if base.__module__.startswith("unittest"):
            return False
        if name in base.__dict__:
            return True
    return False
