"""What a run says about its teacher while it works: one line on standard error."""

import sys
import time

SAID_FROM_S, SAID_EVERY_S = 5.0, 60.0
"""A wait of this length is said, and no more often than this."""


def say(line: str) -> None:
    """Prints one line."""
    print(f"  teacher: {line}", file=sys.stderr, flush=True)


def clock_after(seconds: float) -> str:
    """The local time in so many seconds, with the date when it is another day: `14:03:10`."""
    now, then = time.time(), time.time() + seconds
    same_day = time.strftime("%x", time.localtime(now)) == time.strftime("%x", time.localtime(then))
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M", time.localtime(then))


def span(seconds: float) -> str:
    """A length of time for people to read: `45 s`, `12 min`, `14.9 hours`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
