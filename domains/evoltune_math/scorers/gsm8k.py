"""GSM8K: the two filters of lm-evaluation-harness, and the `A: n` form of grade-school-math."""

import re

from evoltune_math.prose import last_match

_STRICT = re.compile(r"#### (-?[0-9.,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_OPENAI = re.compile(r"^A: (-?[0-9.,]+)", re.M)


def strict_match(response: str) -> str | None:
    """lm-evaluation-harness, gsm8k, filter strict-match: the first `#### n`."""
    found = _STRICT.search(response)
    return found[1] if found else None


def flexible_extract(response: str) -> str | None:
    """lm-evaluation-harness, gsm8k, filter flexible-extract: the last run of digits, `$`, points and commas."""
    last = last_match(_FLEXIBLE, response)
    return (last[1] or last[2]) if last else None


def exact_match(answer: str, reference: str) -> bool:
    """lm-evaluation-harness: equal without `,`, `$`, everything up to `#### ` and a final point; case is ignored."""
    return _exact(answer) == _exact(reference)


def _exact(text: str) -> str:
    text = text.replace(",", "").replace("$", "")
    return re.sub(r"\.$", "", text.rpartition("#### ")[2]).lower()


def openai_answer(response: str) -> str | None:
    """grade-school-math, the `A: n` form of the GPT-3 solutions: the first such line, commas removed."""
    found = _OPENAI.search(response)
    return found[1].strip().replace(",", "") if found else None


def openai_reference(reference: str) -> str:
    found = openai_answer(reference) or strict_match(reference)
    return (found or reference).replace(",", "").strip()
