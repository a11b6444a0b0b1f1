"""The core's own prompts: are two instructions equal, how hard is one, write new ones.

The slots in braces are filled by `text.slots.fill_slots`.
"""

from __future__ import annotations

import re

EQUAL = """\
Compare two instructions for an AI assistant.

First: {parent}

Second: {instruction}

They are equal when both make the same demands: the same constraints and requirements, and the same depth and breadth of
what is asked. A mere change of wording leaves them equal.
Reply with one of these two and nothing else: Equal, Not equal."""

DIFFICULTY = """\
How hard is the following instruction for a capable human expert to carry out well? Rate it from 1 (a child could) to
10 (only the best experts, with much work).

Instruction: {instruction}

Reply with the number only."""

SELF_INSTRUCT = """\
Below are {shown} example tasks. Write {wanted} new tasks in the same style.
Each must be understandable without the others, differ from the examples and from each other in topic and in what must be
done, and be something that a language model can do with text alone. Number them 1. to {wanted}., one task per number, and
write nothing else.

{examples}

New tasks:"""

SNIPPET = """\
Here is a fragment of source code:

{snippet}

Let it inspire a self-contained programming exercise. State fully what must be written (behaviour, inputs, outputs and
limits) so that nobody needs to see the fragment. Reply with the exercise alone, without a solution."""


def says_equal(reply: str) -> bool:
    """Whether a reply to EQUAL says "equal"; anything unclear counts as not equal, which keeps the child."""
    words = re.findall(r"[a-z]+", reply.casefold().replace("n't", " not"))[:6]
    return "equal" in words and "not" not in words and "unequal" not in words
