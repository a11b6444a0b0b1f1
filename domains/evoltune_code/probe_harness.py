"""Calls functions on a suite's inputs: source that is appended to a program and runs inside the sandbox.

The program is a row's definitions (`evoltune_code.overlap`) or a suite's own solution (`evoltune_code.suite_probes`). Names
begin with an underscore so as not to meet the program's, but for the two functions that are called. Invariant: nothing here
is trusted; a pair that it reports still has to pass the problem's tests.

    probe('["marker", [["f", 0]], {"0": [[["...", false, "[1,2", 0.02]], []]}]')    # prints: marker 0:100
"""

import json as _json
import marshal as _marshal
import signal as _signal
import sys as _sys
import time as _time
import typing as _typing


class _TooSlow(BaseException):
    """Ends one call; not an Exception, so that the program's own handlers do not catch it."""


class _NoOutput:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None


def _stop(*_: object) -> None:
    raise _TooSlow


def _canonical(value: object, loose: bool, depth: int = 0) -> str:
    """Text that is equal for results that tests call equal: numbers to 6 digits, sets and dicts in order."""
    if value is None or isinstance(value, str) or depth > 20:
        return repr(value)[:2000]
    if isinstance(value, (bool, int, float)):
        return format(float(value), ".6g")
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_canonical(v, loose, depth + 1) for v in value]
        if loose or isinstance(value, (set, frozenset)):
            return "{" + ",".join(sorted(set(items))) + "}"
        return ("[" if isinstance(value, list) else "(") + ",".join(items)
    if isinstance(value, dict):
        pairs = (_canonical(k, False) + ":" + _canonical(v, loose, depth + 1) for k, v in value.items())
        return "<" + ",".join(sorted(pairs))
    return type(value).__name__


def _outcome(function: _typing.Any, args: str, loose: bool, limit: float) -> "str | None":
    """The canonical result of one call within `limit` CPU seconds; None when it raises or is too slow."""
    _signal.setitimer(_signal.ITIMER_VIRTUAL, limit)
    try:
        return _canonical(function(*_marshal.loads(bytes.fromhex(args))), loose)
    except BaseException:  # noqa: BLE001 - the program may raise anything
        return None
    finally:
        _signal.setitimer(_signal.ITIMER_VIRTUAL, 0)


def probe(question: str) -> None:
    """Prints the marker and, for each pair (function name, problem) that agrees on all probes of the problem,
    "number:percent", the percentage of the problem's variants on which it agrees too (100 where there are none)."""
    marker, pairs, problems = _json.loads(question)
    _signal.signal(_signal.SIGVTALRM, _stop)
    out, _sys.stdout = _sys.stdout, _NoOutput()
    found = []
    for number, (name, problem) in enumerate(pairs):
        function, (probes, variants) = globals().get(name), problems[str(problem)]
        if function is not None and all(_outcome(function, a, loose, s) == r for a, loose, r, s in probes):
            same = [_outcome(function, a, loose, s) == r for a, loose, r, s in variants]
            found.append(f"{number}:{100 * sum(same) // len(same) if same else 100}")
    _sys.stdout = out
    print(marker, *found)


def results(question: str, limit: float = 0.5) -> None:
    """Prints the marker and, for each [args, loose], the function's canonical result (null: none) and its CPU seconds."""
    marker, name, calls = _json.loads(question)
    _signal.signal(_signal.SIGVTALRM, _stop)
    out, _sys.stdout = _sys.stdout, _NoOutput()
    found = []
    for args, loose in calls:
        began = _time.process_time()
        found.append([_outcome(globals()[name], args, loose, limit), _time.process_time() - began])
    _sys.stdout = out
    print(marker, _json.dumps(found))
