"""The core's own questions to a teacher: is it equal, how hard is it, answer it, think of new ones.

Templates are filled in one pass: `fill("{a} {b}", a="{b}", b="x")` is "{b} x"; braces of LaTeX and JSON are text.
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


def fill(template: str, **values: str) -> str:
    """Replaces each `{name}` that is given, all at once."""
    pattern = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({pattern})\}}", lambda m: values[m[1]], template)


def says_equal(reply: str) -> bool:
    """Reads the judgement; anything but a clear "equal" lets the child live."""
    words = re.findall(r"[a-z]+", reply.casefold().replace("n't", " not"))[:6]
    return "equal" in words and "not" not in words and "unequal" not in words


def difficulty_of(reply: str) -> int | None:
    """The first whole number from 1 to 10 in a difficulty reply (`7`, `7/10`, `Score: 7`), else None."""
    found = re.search(r"(?<![\d.])(10|[1-9])(?!\d|\.\d)", reply)
    return int(found[1]) if found else None
