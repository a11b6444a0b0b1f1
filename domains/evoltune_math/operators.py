"""WizardMath's operators (arXiv:2308.09583): three upward, two downward, and the fusion of two problems; operators that edit the
solution first; and the prompts.

    [o.name for o in OPERATORS]     # constraints, concretize, deepen, easier, easier_new, fuse, renumber, invert, ...

Each prompt is a file in `prompts/`. Its first line is a comment that gives the reason for it and is not sent.
"""

from evoltune.domain import Kind, Operator, Rewrite, solution_first
from evoltune.record import Task
from evoltune.text.prompts import read_prompt
from evoltune_math.rewrites.operators import (
    aggregate,
    chain,
    combine,
    convert,
    extend,
    faithful,
    invert,
    renumber,
    shorten,
)


def prompt(name: str) -> str:
    """The text of a prompt, ending in a newline."""
    return read_prompt("evoltune_math", name) + "\n"


SOLUTION_FIRST: tuple[tuple[str, Rewrite, Kind], ...] = (
    ("renumber", renumber, "breadth"),
    ("invert", invert, "depth"),
    ("extend", extend, "depth"),
    ("shorten", shorten, "down"),
    ("convert", convert, "depth"),
    ("aggregate", aggregate, "depth"),
    ("chain", chain, "fuse"),
    ("combine", combine, "fuse"),
)
REASONING = {
    "deepen": "multi-step",
    "extend": "multi-step",
    "fuse": "compositional",  # the result of one part is needed in the other
    "chain": "compositional",
    "combine": "compositional",  # a third step joins the two results
    "invert": "backward",  # from the answer to one of its givens
}
"""Operator -> the kind of reasoning that its children ask for; the others ask for none in particular."""
OPERATORS = (
    Operator(name="constraints", template=prompt("constraints")),
    Operator(name="concretize", template=prompt("concretize")),
    Operator(name="deepen", template=prompt("deepen"), reasoning=REASONING["deepen"]),
    # The paper's later version has 2 downward rounds for 3 upward ones: with equal weights 2 of 5 draws go down.
    Operator(name="easier", template=prompt("easier"), kind="down"),
    Operator(name="easier_new", template=prompt("easier_new"), kind="down"),
    Operator(name="fuse", template=prompt("fuse"), kind="fuse", reasoning=REASONING["fuse"]),
    *solution_first(SOLUTION_FIRST, prompt("reword"), faithful, REASONING),
)
ANSWER_PROMPT = prompt("answer")
EVIDENCE = {"program": prompt("program"), "check": prompt("check")}


def stand_in(task: Task, name: str) -> str:
    """What a good teacher would reply to a prompt of EVIDENCE about a task whose reference is known (for rehearsals)."""
    answer = task.reference or ""
    if name == "check":
        program = f"from fractions import Fraction\n\n\ndef check(x):\n    return 2 * x == 2 * Fraction({answer!r})"
    else:
        program = f"print({answer!r} * 1)"
    return f"```python\n{program}\n```"
