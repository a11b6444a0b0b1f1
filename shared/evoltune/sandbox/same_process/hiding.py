"""Keeps this package's classes out of `object.__subclasses__()`, the one list that leads a program to them, and by their methods
to everything that judges it.

Invariant: the function that takes the place of `type.__subclasses__` leads to nothing of ours. It has no global names, and its
code, which holds what it calls, is refused by the audit hook.
"""

import gc
import itertools
import sys
import types
import warnings
from typing import Any

_SOURCE = """
def __subclasses__(self, /):
    "Return a list of immediate subclasses."
    return [*"\0filter"("\0own", "\0real"(self))]
"""
_module_of: Any = type.__dict__["__module__"].__get__


def _is_own(kind: type) -> bool:
    module = _module_of(kind)
    return isinstance(module, str) and module.startswith("evoltune.")


def hide() -> None:
    """Changes `type` for this process and those that it forks. A second call does nothing."""
    real: Any = type.__dict__["__subclasses__"]
    if type(real) is types.FunctionType:
        return
    calls: dict[Any, Any] = {"\0filter": itertools.filterfalse, "\0own": _is_own, "\0real": real}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(_SOURCE.replace("\0", "\\0"), "<string>", "exec", dont_inherit=True).co_consts[0]
    code = code.replace(co_consts=tuple(calls.get(constant, constant) for constant in code.co_consts))
    (names,) = [found for found in gc.get_referents(type.__dict__) if type(found) is dict]
    names["__subclasses__"] = types.FunctionType(code, {"__builtins__": {}})
    sys._clear_type_cache()


def is_hidden(function: Any) -> bool:
    """Whether a function's code leads to what is hidden."""
    return function is type.__dict__["__subclasses__"]
