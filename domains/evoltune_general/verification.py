"""The general domain's verifier: it checks the constraints that a program can check, and judges nothing else.

    verify(Task(instruction="...", fields={"constraints": {"max_words": 90}}), answer, context)
    stated_constraints("Explain rain in at most 60 words and exactly three sentences.")  # {'max_words': 60, 'sentences': 3}

Constraints come from `fields["constraints"]` and, unless `policy.read_text` is off, from the instruction itself, where only
unmistakable phrasings are read: a limit, a number and a unit of the answer; `JSON only`; a quoted word to use or to avoid.
`pass`: every constraint holds. `fail`: one is broken. `unverifiable`: the task has none, so only a judge or a reader can
tell. `error`: the row's constraints cannot be read. Invariant: it reads only the task and the answer, and an ambiguous phrase
gives nothing, so that a right answer does not fail for a sentence about something else.
"""

import re
from collections.abc import Mapping

from evoltune.domain import Context
from evoltune.record import Json, Task, Verdict
from evoltune_general.constraints import ConstraintError, violations

COLUMNS = ("constraints",)
POLICY: Mapping[str, Json] = {"read_text": True}
"""read_text: also check what the instruction states plainly (`stated_constraints`)."""
MAX_CHARACTERS = 1_000_000
"""Longer answers fail unread: they are degenerate, and parsing them would only cost time."""
NUMBERS = {
    word: number
    for number, word in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), 1)
}
UNITS = {"word": "words", "sentence": "sentences", "paragraph": "paragraphs", "line": "lines", "character": "characters",
         "bullet point": "items", "bullet": "items", "list item": "items"}  # fmt: skip
COUNT = rf"(?P<n>\d{{1,5}}|{'|'.join(NUMBERS)})"
UNIT = rf"(?P<unit>{'|'.join(sorted(UNITS, key=len, reverse=True))})s?\b"
MOST = r"(?:at most|no more than|not more than|a maximum of|max(?:imum)?\.?|up to|within)"
BELOW = r"(?:under|fewer than|less than|below)"
LEAST = r"(?:at least|no fewer than|no less than|not fewer than|a minimum of|min(?:imum)?\.?)"
ABOVE = r"(?:more than|over)"
LIMITS = (  # (pattern, prefix of the constraint's name, what is added to the number)
    (re.compile(rf"\b{MOST} {COUNT} {UNIT}", re.IGNORECASE), "max_", 0),
    (re.compile(rf"(?<!no )(?<!not )\b{BELOW} {COUNT} {UNIT}", re.IGNORECASE), "max_", -1),
    (re.compile(rf"\b{LEAST} {COUNT} {UNIT}", re.IGNORECASE), "min_", 0),
    (re.compile(rf"(?<!no )(?<!not )\b{ABOVE} {COUNT} {UNIT}", re.IGNORECASE), "min_", 1),
    (re.compile(rf"\bexactly {COUNT} {UNIT}", re.IGNORECASE), "", 0),
)
BETWEEN = re.compile(rf"\bbetween (\d{{1,5}}) and (\d{{1,5}}) {UNIT}", re.IGNORECASE)
ONLY = re.compile(
    r"\b(?:answer|respond|reply|output)s?\b[^.]{0,20}\b(?:with|in|as) (?:valid )?(?P<a>json|xml|html|csv) only\b"
    r"|\b(?:answer|respond|reply|output)s?\b[^.]{0,20}\bonly (?:with |in |as )?(?:valid )?(?P<b>json|xml|html|csv)\b"
    r"|\b(?:answer|respond|reply) with the (?P<c>json|xml|html|csv) only\b",
    re.IGNORECASE,
)
USE = re.compile(
    r"\b(?:use|include|contain|mention)s? the (?:exact )?(?:word|phrase|term) [\"“]([^\"“”]{1,60})[\"”]", re.IGNORECASE
)
AVOID = re.compile(
    r"\b(?:without (?:using|mentioning)|(?:do not|don't|never|must not) (?:use|mention|include)|avoid(?:ing)?) the (?:word|phrase|term) "
    r"[\"“]([^\"“”]{1,60})[\"”]",
    re.IGNORECASE,
)
PER_PART = re.compile(r"\A\s*(?:each|per|for each|every)\b|\A\s+(?:long )?(?:each|apiece)\b", re.IGNORECASE)
OF_SOURCE = re.compile(
    r"\b(?:text|article|story|essay|passage|email|message|that|which|has|have|had|is|was|contains?|each|every|per)\s*(?:of )?\Z",
    re.IGNORECASE,
)
"""What stands before a limit that describes the material or a part of the answer, not the whole answer."""


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    constraints = task.fields.get("constraints") or {}
    if not isinstance(constraints, dict):
        kind = type(constraints).__name__
        return Verdict(status="error", reason=f"constraints must be an object of name: value, not {kind}")
    if context.policy.get("read_text", True):
        constraints = {**stated_constraints(task.instruction), **constraints}
    if not constraints:
        return Verdict(status="unverifiable", reason="the task states no checkable constraint")
    if len(candidate) > MAX_CHARACTERS:
        return Verdict(status="fail", reason=f"{len(candidate)} characters, at most {MAX_CHARACTERS} are read")
    try:
        wrong = violations(constraints, candidate)
    except ConstraintError as error:
        return Verdict(status="error", reason=str(error))
    evidence = {"checked": list(constraints), "broken": wrong, "method": "constraints"}
    if wrong:
        return Verdict(status="fail", reason="; ".join(wrong), evidence=evidence)
    return Verdict(status="pass", evidence=evidence)


def stated_constraints(instruction: str) -> dict[str, Json]:
    """Name -> value, as `constraints.CHECKS` reads them. Quotations, code and everything after the first paragraph are material
    of the task and are not read; two different values for one name cancel each other."""
    text = instruction.strip().split("\n\n")[0].split("```")[0]
    found: dict[str, Json] = {}
    conflicting: set[str] = set()
    words = ("must_include", USE.findall(AVOID.sub(" ", text))), ("must_not_include", AVOID.findall(text))
    required: list[tuple[str, Json]] = [(name, value) for name, value in words if value]
    for name, value in (*_limits(re.sub(r"[\"“][^\"“”]*[\"”]", '""', text)), *required):
        if name in found and found[name] != value:
            conflicting.add(name)
        found[name] = value
    return {name: value for name, value in found.items() if name not in conflicting}


def _limits(text: str) -> list[tuple[str, Json]]:
    found: list[tuple[str, Json]] = []
    for pattern, prefix, added in LIMITS:
        for match in pattern.finditer(text):
            if not _is_about_something_else(text, match):
                number = NUMBERS.get(match["n"].lower()) or int(match["n"])
                found.append((prefix + UNITS[match["unit"].lower()], number + added))
    for match in BETWEEN.finditer(text):
        if not _is_about_something_else(text, match):
            unit = UNITS[match["unit"].lower()]
            found += [(f"min_{unit}", int(match[1])), (f"max_{unit}", int(match[2]))]
    for match in ONLY.finditer(text):
        found.append(("format", (match["a"] or match["b"] or match["c"]).lower()))
    return found


def _is_about_something_else(text: str, match: re.Match[str]) -> bool:
    return bool(PER_PART.match(text[match.end() :]) or OF_SOURCE.search(text[: match.start()]))
