"""A negative control for tests that shared a process with the program: the same program with what it is tested for emptied.

Where a program defines comparisons, or reaches for what tests judge by, its tests must fail once the functions under test give
nothing; tests that still pass prove nothing. Invariant: the control is the program itself, so whatever it does to its judge it
does in the control too.

    if may_judge_itself(program): controls = emptied(program, tests, "f")
"""

import re
from collections.abc import Sequence

_SELF_JUDGING = re.compile(
    r"__(?:eq|ne|lt|le|gt|ge|sub|rsub|abs|bool|class|instancecheck|subclasscheck|contains|getattr|getattribute|init_subclass|subclasses|"
    r"globals|code|closure|array_\w+)__|"
    r"\b(?:setattr|globals|builtins|unittest|pytest|importlib|__import__|gc|inspect|ctypes|mock|atexit|exec|eval|modules|threading|fork)\b"
)
_STUB = """

def _emptied(names):
    def nothing(*args, **kwargs):
        return {value}
    def made(self, *args, **kwargs):
        pass
    done = 0
    for name in names:
        found = globals().get(name)
        if not isinstance(found, type):
            globals()[name] = nothing
            done += 1
            continue
        for method, function in list(vars(found).items()):
            if callable(function) and (method == "__init__" or not method.startswith("__")):
                setattr(found, method, made if method == "__init__" else nothing)
                done += 1
    if not done:
        raise LookupError("there is no function to empty")


_emptied({names!r})
"""
"""Raises where it could empty nothing, so that such a control does not pass."""


def may_judge_itself(program: str) -> bool:
    """Whether a program defines what comparisons ask it, or names what tests judge by."""
    return bool(_SELF_JUDGING.search(program))


def emptied(program: str, sources: Sequence[str], entry: str) -> list[str]:
    """The program with its functions under test returning None, and returning an object; [] where none is known."""
    defined = re.findall(r"^(?:async\s+def|def|class)\s+(\w+)", program, re.M)
    used = {word for source in sources for word in re.findall(r"[A-Za-z_]\w*", source)}
    names = [name for name in dict.fromkeys(defined) if name == entry or name in used]
    return [program + _STUB.format(value=value, names=names) for value in ("None", "object()")] if names else []
