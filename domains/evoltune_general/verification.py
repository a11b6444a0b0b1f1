"""The general domain's verifier: checkable constraints are checked, everything else is honestly left open.

    verify(Task(instruction="...", fields={"constraints": {"max_words": 90}}), answer, context)

`pass`: every stated constraint holds. `fail`: one is broken. `unverifiable`: the task states none, so only a judge or a
reader can tell. `error`: the row's constraints cannot be read. Invariant: reads only the task and the answer.
"""

from __future__ import annotations

from evoltune.domain import Context
from evoltune.record import Task, Verdict
from evoltune_general.constraints import ConstraintError, broken

COLUMNS = ("constraints",)
MAX_CHARACTERS = 1_000_000
"""Longer answers are run-ons; counting and parsing them tells nothing."""


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    constraints = task.fields.get("constraints")
    if constraints is None or constraints == {}:
        return Verdict(status="unverifiable", reason="the task states no checkable constraint")
    if not isinstance(constraints, dict):
        kind = type(constraints).__name__
        return Verdict(status="error", reason=f"constraints must be an object of name: value, not {kind}")
    if len(candidate) > MAX_CHARACTERS:
        return Verdict(
            status="fail", reason=f"{len(candidate)} characters, at most {MAX_CHARACTERS} are read"
        )
    try:
        wrong = broken(constraints, candidate)
    except ConstraintError as error:
        return Verdict(status="error", reason=str(error))
    evidence = {"checked": list(constraints), "broken": wrong, "method": "constraints"}
    if wrong:
        return Verdict(status="fail", reason="; ".join(wrong), evidence=evidence)
    return Verdict(status="pass", evidence=evidence)
