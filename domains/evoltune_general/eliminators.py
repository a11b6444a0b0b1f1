"""Elimination rules of the general domain, beside the core's: rewrites that cannot be answered or answer themselves.

Each is `(parent, child, answer) -> reason or None` and reads the child's instruction only.
"""

from __future__ import annotations

import re

from evoltune.record import Task

REFUSED = re.compile(r"\W*cannot join\W*", re.IGNORECASE)
ANSWERED = re.compile(r"^\W*(?:answer|solution|response|model answer)\W*:\s*\S", re.IGNORECASE | re.MULTILINE)
POINTS_AHEAD = re.compile(
    r"\b(?:following|below|given|this)\b[^.?!\n]{0,60}\b"
    r"(?:text|paragraph|passage|table|data|list|code|program|query|json|xml|html|csv|log|email|article|document)s?\b[^.?!\n]*:\s*\Z",
    re.IGNORECASE,
)


def no_fusion(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The teacher declined to join two tasks (prompts/fuse.txt gives it the words)."""
    return "no fusion" if REFUSED.fullmatch(child.instruction) else None


def answers_itself(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite came with its own answer, which the model would learn to copy."""
    if parent is not None and ANSWERED.search(parent.instruction):
        return None
    return "answers itself" if ANSWERED.search(child.instruction) else None


def data_missing(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """The rewrite announces data at its very end and then stops: nobody can answer it."""
    return "announced data are missing" if POINTS_AHEAD.search(child.instruction.rstrip()) else None


ELIMINATORS = (no_fusion, answers_itself, data_missing)
