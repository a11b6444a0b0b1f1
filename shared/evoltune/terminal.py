"""What people see in a terminal: a progress bar, and plain-text tables."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from evoltune.author_calls import is_inside
from evoltune.text.credentials import note_environment, without_credentials

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that move the cursor, change colours or the direction of writing, newline and tab aside."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, and one line on standard error at the end.

    Yields:
        A function that takes the number of items that have just been finished.
    """
    started = time.monotonic()
    if sys.stderr.isatty():
        from rich.progress import Progress

        with Progress(console=console(stderr=True)) as bar:
            task = bar.add_task(label, total=total)
            yield lambda count: bar.update(task, advance=count)
    else:
        yield lambda count: None
    print(f"  {label}: {total} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def row_counter(label: str) -> Iterator[Callable[[str], None]]:
    """A spinner with the number of finished rows, for streams of unknown length; shown only on a terminal.

    Yields:
        A function that counts one row; its argument is shown behind the number.
    """
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = TextColumn(f"{label}: {{task.completed}} rows{{task.fields[text]}}")
    columns = (SpinnerColumn(), shown, TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, text="")
        yield lambda text: bar.update(task, advance=1, text=text)


class SafeStream:
    """A text stream of the command line: whatever is printed, by us or by a library, can neither use the terminal nor show a
    secret. Escapes have the form of JSON's, so that a line of JSON stays one.

    Args:
        aside: takes what a domain's function prints, so that standard output holds the command's own results alone.
    """

    def __init__(self, stream: Any, keep: str = "", aside: "SafeStream | None" = None) -> None:
        self.stream, self._keep, self._aside = stream, keep, aside

    def write(self, text: str) -> int:
        if self._aside is not None and is_inside():
            return self._aside.write(text)
        safe = _CONTROL.sub(lambda c: c[0] if c[0] in self._keep else f"\\u{ord(c[0]):04x}", without_credentials(text))
        self.stream.write(safe)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def open_standard_streams() -> None:
    """Opens `/dev/null` in the place of a standard stream that the caller closed (`>&-`): else the next file that is opened gets
    its number, and what a child process prints would go into that file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.fstat(number)
                continue
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process


@contextmanager
def safe_streams() -> Iterator[None]:
    """Standard output and standard error as `SafeStream`s. Progress bars of libraries may return to the line's beginning."""
    note_environment()
    before = sys.stdout, sys.stderr
    errors = SafeStream(sys.stderr, keep="\r")
    sys.stdout, sys.stderr = SafeStream(sys.stdout, aside=errors), errors
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False) -> Any:
    """A rich console on the stream itself: its colours are its own, and what it shows of data must be `printable`."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream.stream if isinstance(stream, SafeStream) else stream)


def printable(text: str) -> str:
    """Text from data without secrets, and with control characters escaped so that it cannot move the cursor or change colours."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in without_credentials(text))


def visible(text: str) -> str:
    """Text of several lines for people to judge, with control characters and changes of direction escaped: what it seems to say
    is what it says."""
    return _CONTROL.sub(lambda c: f"\\u{ord(c[0]):04x}", text.replace("\r\n", "\n"))


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Lines of aligned columns: text to the left, numbers to the right.

    Not rich's table: in a pipe that one folds cells at 80 columns, and its import takes longer than most tables.
    """
    cells = [[str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = [bool(rows) and all(_is_number(row[i]) for row in cells[1:]) for i in range(len(head))]
    for number, row in enumerate(cells):
        line = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        yield "  ".join(line).rstrip()
        if number == 0:
            yield "  ".join("-" * w for w in widths)


def _is_number(cell: str) -> bool:
    return cell.strip("%+-.").replace(".", "").replace(",", "").isdigit() or cell in ("", "-")
