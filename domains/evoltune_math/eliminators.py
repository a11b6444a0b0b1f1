"""Elimination rules for maths, in addition to the core's: rewrites that are no problem, or that contain their solution.

Each is `(parent, child, answer) -> reason or None` and reads the instructions only.
"""

import re

from evoltune.record import Task

REFUSED = re.compile(r"\W*cannot join\W*", re.IGNORECASE)
SOLVED = re.compile(r"####|\\boxed|^\W*(?:answer|solution|the answer is)\b\W*\S", re.IGNORECASE | re.MULTILINE)
ASKS = re.compile(
    r"\?|\b(?:find|determine|calculate|compute|evaluate|solve|simplify|prove|show|express|factor|what|how|which|work out)\b",
    re.IGNORECASE,
)
QUANTITY = re.compile(
    r"\d|[$\\]|\b[a-z]\b\s*[=+*/^<>-]|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|"
    r"fifty|sixty|seventy|eighty|ninety|hundred|thousand|dozen|half|twice|double|triple|third|quarter|percent)\b",
    re.IGNORECASE,
)


def no_fusion(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The teacher declined to join two problems, in the words that prompts/fuse.txt asks for."""
    return "no fusion" if REFUSED.fullmatch(child.instruction) else None


def comes_solved(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite contains its solution, so the model would learn to copy it."""
    if parent is not None and SOLVED.search(parent.instruction):
        return None
    return "comes solved" if SOLVED.search(child.instruction) else None


def asks_nothing(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """A statement or a remark about the rewriting, not a problem."""
    return None if ASKS.search(child.instruction) else "asks nothing"


def no_quantity(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """Nothing to compute with: neither a number nor a formula."""
    return None if QUANTITY.search(child.instruction) else "no quantity"


ELIMINATORS = (no_fusion, comes_solved, asks_nothing, no_quantity)
