"""The general domain's verifier: it checks the constraints that a program can check, and judges nothing else.

    verify(Task(instruction="...", fields={"constraints": {"max_words": 90}}), answer, context)

Constraints come from `fields["constraints"]` and, unless `policy.read_text` is off, from the instruction itself.
`pass`: every constraint holds. `fail`: one is broken. `unverifiable`: the task has none, so only a judge or a reader can
tell. `error`: the row's constraints cannot be read. Invariant: it reads only the task and the answer.
"""

from collections.abc import Mapping

from evoltune.domain import Context
from evoltune.record import Json, Task, Verdict
from evoltune_general.constraints import ConstraintError, violations
from evoltune_general.stated_constraints import stated_constraints

COLUMNS = ("constraints",)
POLICY: Mapping[str, Json] = {"read_text": True}
"""read_text: also check what the instruction states plainly (`stated_constraints.py`)."""
MAX_CHARACTERS = 1_000_000
"""Longer answers fail unread: they are degenerate, and parsing them would only cost time."""


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    constraints = task.fields.get("constraints") or {}
    if not isinstance(constraints, dict):
        kind = type(constraints).__name__
        return Verdict(status="error", reason=f"constraints must be an object of name: value, not {kind}")
    if context.policy.get("read_text", True):
        constraints = {**stated_constraints(task.instruction), **constraints}
    if not constraints:
        return Verdict(status="unverifiable", reason="the task states no checkable constraint")
    if len(candidate) > MAX_CHARACTERS:
        return Verdict(status="fail", reason=f"{len(candidate)} characters, at most {MAX_CHARACTERS} are read")
    try:
        wrong = violations(constraints, candidate)
    except ConstraintError as error:
        return Verdict(status="error", reason=str(error))
    evidence = {"checked": list(constraints), "broken": wrong, "method": "constraints"}
    if wrong:
        return Verdict(status="fail", reason="; ".join(wrong), evidence=evidence)
    return Verdict(status="pass", evidence=evidence)
