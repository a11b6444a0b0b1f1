"""The time that a process was awake: it does not count while a job is suspended, a laptop asleep or a machine paused.

    silent = AwakeTime(1.0)
    while silent.seconds() < 60:      # asked about once a second
        time.sleep(1.0)

The monotonic clock alone goes on where a process is stopped by a signal: what is healthy would be ended as soon as it goes on.
"""

import time


class AwakeTime:
    """Seconds since it was made. Between two questions at most twice the tick counts: a process that is asked later stood still."""

    def __init__(self, tick_s: float) -> None:
        self._most_s, self._seconds, self._asked = 2 * tick_s, 0.0, time.monotonic()

    def seconds(self) -> float:
        now = time.monotonic()
        self._seconds += min(now - self._asked, self._most_s)
        self._asked = now
        return self._seconds
