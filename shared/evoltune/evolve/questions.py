"""The core's own questions to a teacher (the files in `prompts/`), and how its judgement is read."""

import re

from evoltune.text.prompts import read_prompt

EQUAL, DIFFICULTY, SELF_INSTRUCT, SNIPPET = (
    read_prompt("evoltune.evolve", name) for name in ("equal", "difficulty", "self_instruct", "snippet")
)


def says_equal(reply: str) -> bool:
    """Whether a reply to EQUAL says "equal"; anything unclear counts as not equal, which keeps the child."""
    words = re.findall(r"[a-z]+", reply.casefold().replace("n't", " not"))[:6]
    return "equal" in words and "not" not in words and "unequal" not in words
