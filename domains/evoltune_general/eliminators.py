"""Elimination rules that the general domain adds to the core's: rewrites that cannot be answered or answer themselves.

Each rule is `(parent, child, answer) -> reason or None`.
"""

import re

from evoltune.record import Task

DECLINED = re.compile(r"\W*cannot join\W*", re.IGNORECASE)
HAS_ANSWER = re.compile(r"^\W*(?:answer|solution|response|model answer)\W*:\s*\S", re.IGNORECASE | re.MULTILINE)
ANNOUNCES_DATA = re.compile(
    r"\b(?:following|below|given|this)\b[^.?!\n]{0,60}\b"
    r"(?:text|paragraph|passage|table|data|list|code|program|query|json|xml|html|csv|log|email|article|document)s?\b[^.?!\n]*:\s*\Z",
    re.IGNORECASE,
)


def no_fusion(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The teacher declined to join two tasks, in the words that prompts/fuse.txt gives it."""
    return "no fusion" if DECLINED.fullmatch(child.instruction) else None


def answers_itself(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite came with its own answer, which the model would learn to copy."""
    if parent is not None and HAS_ANSWER.search(parent.instruction):
        return None
    return "answers itself" if HAS_ANSWER.search(child.instruction) else None


def data_missing(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite ends where it announces data, so nobody can answer it."""
    return "announced data are missing" if ANNOUNCES_DATA.search(child.instruction.rstrip()) else None


ELIMINATORS = (no_fusion, answers_itself, data_missing)
