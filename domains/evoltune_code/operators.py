"""The operators by which the code domain rewrites an exercise, and its other prompts for the teacher.

Prompts are files under prompts/; the first line of each is a comment that gives its reason and is never sent.

    {operator.name for operator in operators()} >= {"constraints", "rarer", "reasoning", "misdirection", "complexity"}
"""

import re
from collections.abc import Mapping
from importlib.resources import files

from evoltune.domain import Operator
from evoltune.record import Task
from evoltune.text.prompts import fill_slots

DEPTH = ("constraints", "rarer", "reasoning", "misdirection", "complexity")
"""WizardCoder's five (2306.08568, section 3.2), drawn with equal probability."""
BREADTH_WEIGHT = 0.5
"""WizardCoder has no in-breadth operator; its recipe sets `evolve.operators` to the five alone."""


def prompt(name: str) -> str:
    """The text of a prompt file, without the comment in its first line."""
    text = (files("evoltune_code") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    return re.sub(r"\A<!--.*?-->\s*", "", text, flags=re.S).strip()


def operators() -> tuple[Operator, ...]:
    frame = prompt("frame")
    depth = (Operator(name=name, template=fill_slots(frame, method=prompt(name))) for name in DEPTH)
    return (
        *depth,
        Operator(name="breadth", template=prompt("breadth"), kind="breadth", weight=BREADTH_WEIGHT),
        Operator(name="fuse", template=prompt("fuse"), kind="fuse"),
        # Reads code instead of an exercise: drawn only where a recipe gives it a weight, with snippets as seeds.
        Operator(name="snippet", template=prompt("snippet"), kind="breadth", weight=0.0),
    )


def evidence() -> Mapping[str, str]:
    return {"tests": prompt("tests")}


def no_fusion(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """Eliminator: the teacher found no way to join two exercises (prompts/fuse.md lets it say so)."""
    return "no fusion" if re.fullmatch(r"\W*no fusion\W*", child.instruction, re.I) else None


def solution_given(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """Eliminator: the text is nothing but a fenced program, so there is no exercise."""
    lines = child.instruction.strip().splitlines()
    if len(lines) < 2 or not lines[0].startswith("```") or not lines[-1].startswith("```"):
        return None
    return "only code, no exercise"
