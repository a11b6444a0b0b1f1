"""Where an exception came from and what it says.

Invariant: no function of a module that the program can change sees the traceback, which leads to the frames of the tests.

    line_of(error, "<tests>")
"""

from evoltune.sandbox.same_process import monitor


def raised_by_tests(end: SystemExit) -> bool:
    """Whether the tests themselves called `sys.exit`: no frame of the program was on the way."""
    return all(monitor.is_own(file) for file, _ in _places(end))


def line_of(error: BaseException, file: str) -> int:
    """The innermost line of a file on the way of an exception; 0: none."""
    return next((line for place, line in reversed(_places(error)) if place == file), 0)


def text_of(error: BaseException) -> str:
    """Its text, which the program may write; empty where writing it fails."""
    try:
        return str(error)[:1000]
    except Exception:  # noqa: BLE001 - the program's own __str__
        return ""


def _places(error: BaseException) -> list[tuple[str, int]]:
    found, trace = list[tuple[str, int]](), error.__traceback__
    while trace:
        found.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return found
