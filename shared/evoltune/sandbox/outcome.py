"""The outcome of a job, as the test runner sends it: status, reason and evidence.

of_exit_status(0)    # Outcome("pass", "", {})
"""

import signal
from typing import Any, NamedTuple

from evoltune.sandbox.limits import EXIT_MEMORY

OUT_OF_CPU = (-signal.SIGPROF, -signal.SIGXCPU)


class Outcome(NamedTuple):
    """`status` is one of `evoltune.record.STATUSES`; `reason` is empty for a pass."""

    status: Any
    reason: str
    evidence: dict[str, Any]


def of_exit_status(code: int) -> Outcome:
    """The outcome of a process that ended with this exit status, or minus the signal."""
    if code == 0:
        return Outcome("pass", "", {})
    if code == EXIT_MEMORY:
        return Outcome("memory", "the program ran out of memory", {})
    if code in OUT_OF_CPU:
        return Outcome("timeout", "out of CPU time", {})
    return Outcome("fail", f"exit status {code}" if code > 0 else f"ended by signal {-code}", {})
