"""The general domain's verifier: checkable constraints are checked, everything else is honestly left open.

    verify(Task(instruction="...", fields={"constraints": {"max_words": 90}}), answer, context)

Constraints come from `fields["constraints"]` and, unless `policy.read_text` is off, from the plain words of the task.
`pass`: every constraint holds. `fail`: one is broken. `unverifiable`: the task states none, so only a judge or a
reader can tell. `error`: the row's constraints cannot be read. Invariant: reads only the task and the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from evoltune.domain import Context
from evoltune.record import Json, Task, Verdict
from evoltune_general.constraints import ConstraintError, broken
from evoltune_general.stated import stated

COLUMNS = ("constraints",)
POLICY: Mapping[str, Json] = {"read_text": True}
"""read_text: also check what the task's own words state plainly (`stated.py`)."""
MAX_CHARACTERS = 1_000_000
"""Longer answers are run-ons; counting and parsing them tells nothing."""


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    constraints = task.fields.get("constraints") or {}
    if not isinstance(constraints, dict):
        kind = type(constraints).__name__
        return Verdict(status="error", reason=f"constraints must be an object of name: value, not {kind}")
    if context.policy.get("read_text", True):
        constraints = {**stated(task.instruction), **constraints}
    if not constraints:
        return Verdict(status="unverifiable", reason="the task states no checkable constraint")
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
