"""The operators of the code domain (prompts, and functions that edit a reference first), its other prompts for the teacher, and its
elimination rules.

Each prompt is a file of `prompts/`, whose first line is a comment that gives its reason and is not sent.

    {operator.name for operator in OPERATORS} >= {"constraints", "rarer", "reasoning", "misdirection", "complexity"}
"""

import ast
from functools import partial

from evoltune.domain import Kind, Operator, Rewrite, solution_first
from evoltune.record import Task
from evoltune.text.labels import declines, solution_label
from evoltune.text.prompts import fill_slots, read_prompt
from evoltune_code.rewrites.operators import as_script, batch, faithful, find_input, from_json, generalise, guard, pair

DEPTH = ("constraints", "rarer", "reasoning", "misdirection", "complexity")
"""WizardCoder's five (2306.08568, section 3.2), drawn with equal probability."""
prompt = partial(read_prompt, "evoltune_code")
SOLUTION_FIRST: tuple[tuple[str, Rewrite, Kind], ...] = (
    ("batch", batch, "depth"),
    ("from_json", from_json, "breadth"),
    ("as_script", as_script, "breadth"),
    ("find_input", find_input, "depth"),
    ("guard", guard, "depth"),
    ("generalise", generalise, "depth"),
    ("pair", pair, "fuse"),
)
REASONING = {
    "reasoning": "multi-step",
    "misdirection": "critical",  # the code in the exercise has to be distrusted
    "complexity": "lateral",  # the obvious way is too slow
    "fuse": "compositional",  # one part works on what the other gives; the parts of `pair` do not
    "find_input": "backward",  # from a result to what gave it
}
"""Operator -> the kind of reasoning that its children ask for; the others ask for none in particular."""
OPERATORS = (
    *(
        Operator(
            name=name, template=fill_slots(prompt("frame"), method=prompt(name)), reasoning=REASONING.get(name, "")
        )
        for name in DEPTH
    ),
    # WizardCoder has no in-breadth operator; its recipe sets `evolve.operators` to the five alone.
    Operator(name="breadth", template=prompt("breadth"), kind="breadth", weight=0.5),
    Operator(name="fuse", template=prompt("fuse"), kind="fuse", reasoning=REASONING["fuse"]),
    # Reads code instead of an exercise: drawn only where a recipe gives it a weight, with snippets as seeds.
    Operator(name="snippet", template=prompt("snippet"), kind="breadth", weight=0.0),
    *solution_first(SOLUTION_FIRST, prompt("reword"), faithful, REASONING),
)


def no_fusion(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """Eliminator: the teacher found no way to join two exercises (prompts/fuse.txt lets it say so)."""
    return "no fusion" if declines(child.instruction, "no fusion") else None


def solution_given(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """Eliminator: the text is nothing but a fenced program, so there is no exercise; or it comes with its solution."""
    lines = child.instruction.strip().splitlines()
    fenced = len(lines) >= 2 and lines[0].startswith("```") and lines[-1].startswith("```")
    if fenced:
        return "only code, no exercise"
    is_new = solution_label(child.instruction) and not (parent and solution_label(parent.instruction))
    return "comes with its solution" if is_new else None


def stand_in(task: Task, name: str) -> str:
    """What a good teacher would reply to the prompt for tests about a task that has tests (for rehearsals): its asserts."""
    source = task.tests if isinstance(task.tests, str) else ""
    asserts = [ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.Assert)]
    return "```python\n" + "\n".join(asserts) + "\n```"
