"""Signal handlers that get no frame: the interpreter hands each the frame that it interrupted, and from there all others are in reach,
which no audit event reports.

Invariant: what a program registers with the signal module is called with None in place of the frame.
"""

from __future__ import annotations  # these functions have no names by which to evaluate any

import _signal  # type: ignore[import-not-found]
import functools
import types
from collections.abc import Callable
from typing import Any


def _register(number: Any, handler: Any) -> Any:
    """`signal.signal`. Its strings in capitals are constants that `_with_constants` replaces: no name leads to them."""
    real: Any
    is_callable: Any
    missing: Any
    is_busy: Any
    later: Any
    real, is_callable, missing, is_busy, later = ("REAL", "CALLABLE", "ATTRIBUTE", "BUSY", "LATER")
    if is_callable(handler):

        def without_frame(signalled: Any, frame: Any) -> Any:
            return later((handler, signalled)) if is_busy() else handler(signalled, None)

        without_frame.registered = handler  # type: ignore[attr-defined]
        previous = real(number, without_frame)
    else:
        previous = real(number, handler)
    try:
        return previous.registered
    except missing:
        return previous


def _registered(number: Any) -> Any:
    """`signal.getsignal`."""
    real: Any
    missing: Any
    real, _, missing, _, _ = ("REAL", "CALLABLE", "ATTRIBUTE", "BUSY", "LATER")
    found = real(number)
    try:
        return found.registered
    except missing:
        return found


def _with_constants(function: Callable[..., Any], real: Any, state: Any) -> types.FunctionType:
    """The function over the interpreter's own, without a way to our modules' globals."""
    code = function.__code__
    own = (real, callable, AttributeError, functools.partial(getattr, state, "busy"), state.later.append)
    constants = tuple(own if c == ("REAL", "CALLABLE", "ATTRIBUTE", "BUSY", "LATER") else c for c in code.co_consts)
    return types.FunctionType(code.replace(co_consts=constants), {"__builtins__": {}}, real.__name__)


def made(state: Any) -> tuple[types.FunctionType, types.FunctionType]:
    """What takes the place of `signal.signal` and `signal.getsignal`. Their code is not for programs. `state`: of the run; while it is
    `busy`, handlers are called `later`."""
    return _with_constants(_register, _signal.signal, state), _with_constants(_registered, _signal.getsignal, state)


def hide_frames(functions: tuple[types.FunctionType, types.FunctionType]) -> None:
    """Puts what `made` gave into the signal module, for the rest of this process."""
    _signal.signal, _signal.getsignal = functions
