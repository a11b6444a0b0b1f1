"""What people see in a terminal: a progress bar, and plain-text tables."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, and one line on standard error at the end.

    Yields:
        A function that takes the number of items that have just been finished.
    """
    started = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
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
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    shown = TextColumn(f"{label}: {{task.completed}} rows{{task.fields[text]}}")
    columns = (SpinnerColumn(), shown, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, text="")
        yield lambda text: bar.update(task, advance=1, text=text)


def printable(text: str) -> str:
    """Text from data, with control characters escaped so that it cannot move the cursor or change colours."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


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
