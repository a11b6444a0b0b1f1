"""What travels between the driver and its worker processes: their configuration, verdicts, and items that were lost.

Invariant: a worker answers every item with a JSON list (verdict rows, or names of tasks) or not at all; whatever kept it
from answering reaches the caller as a `WorkerLost`.

    verdict_from_row(verdict_to_row(verdict))    # the same verdict, its evidence cut to a bounded size
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evoltune.record import Json, Verdict

Level = Literal["L0", "L1", "L2", "L3"]
MAX_REASON = 2000
OUR_FAULT = 70
"""Exit status of a verifier process in which something else than the domain's code raised."""
MAX_RAISED = 300
"""Characters of an exception's text."""
WHOSE = "the code of the domain"
"""Begins the reason of an `error` that an author's function made."""
MAX_EVIDENCE = 256 << 10
MAX_EVIDENCE_VALUE = 4096
TURN_OVER = {"turn": "over"}
"""A worker's message in place of the results that are missing: this batch took long, and others wait."""


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """What a worker process needs to know before it receives an item."""

    domain: str
    """As `load_domain` takes it; empty: no domain, only programs."""
    check_s: float = 2.0
    """CPU seconds that the domain's own code may take for one answer."""
    program_s: float = 5.0
    """CPU seconds of an untrusted program."""
    memory_mb: int = 1024
    require: Level = "L1"
    policy: Mapping[str, Json] = field(default_factory=dict)
    profile: str = ""
    confirm: bool = False
    preload: tuple[str, ...] = ()
    """Modules that the zygote imports, beside the standard library's."""
    wait_s: float = 60.0
    """Seconds that the domain's own code may take by the clock, jobs in the sandbox aside: for code that sleeps."""
    ground_truth: str = ""
    """Folder that keeps what oracles returned; empty: nothing is kept beyond the worker's life."""
    at_most: Level = "L3"
    """A ceiling for isolation, to test the lower levels."""


@dataclass(frozen=True, kw_only=True)
class WorkerLost:
    """The result of an item that got no answer: its verifier process died, ran out of time or memory, or raised."""

    status: Literal["memory", "error"]
    reason: str
    raised: bool = False
    """The domain's own code raised."""


_encode = json.JSONEncoder(default=str).encode


def verdict_to_row(verdict: Verdict) -> list[Any]:
    """A verdict as a JSON row [status, reason, seconds, evidence] of bounded size."""
    text = _encode({**verdict.evidence})
    if len(text) > MAX_EVIDENCE:
        text = _encode(
            {
                k: (v if len(_encode(v)) < MAX_EVIDENCE_VALUE else str(v)[:MAX_EVIDENCE_VALUE])
                for k, v in verdict.evidence.items()
            }
        )
    return [verdict.status, verdict.reason[:MAX_REASON], verdict.seconds, json.loads(text)]


def verdict_from_row(row: Sequence[Any]) -> Verdict:
    """The verdict behind `verdict_to_row`'s row."""
    status, reason, seconds, evidence = row
    return Verdict(status=status, reason=reason, seconds=seconds, evidence=evidence)
