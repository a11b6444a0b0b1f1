"""Rules about answers that do not answer: apologies, refusals, questions back."""

import re

from evoltune.record import Task
from evoltune.text.words import SENTENCE_END, prose_words

_APOLOGY = re.compile(r"\b(sorry|apolog|excuse|regret|forgive|condolence|decline|reject)", re.IGNORECASE)
_REFUSAL = re.compile(
    r"^\W*(as an? (ai|large|artificial|language|machine)\b|i('m| am) (unable|not able)|i (cannot|can't|can not|won't) "
    r"(assist|help|fulfil|provide|comply|complete|answer)|unfortunately,? (i|as an)\b)",
    re.IGNORECASE,
)
_ASKS_BACK = re.compile(
    r"please (provide|share|specify|clarify|give me|supply|send|paste|upload|attach|enter|tell me)|(could|can|would) you "
    r"(please )?(provide|share|specify|clarify|give me|tell me|send|paste|elaborate)|(need|require) (some )?(more|further|"
    r"additional) (information|details?|context)|(no|any) (input|text|code|context|information|details?|image|file|table)"
    r" (was|were|has been|have been|is|are) (provided|given|attached|included)|(was|were|is|are)(n't| not) (provided|given|included|attached)|what (would|do) you (like|want)",
    re.IGNORECASE,
)
_ASKS_BACK_SIGNS = ("please ", " you ", "need ", "require ", "provided", "given", "attached", "included")
"""Each alternative of _ASKS_BACK contains one of these; looking for them first is ten times cheaper."""
_ACKNOWLEDGES = re.compile(
    r"^\W*(understood|thank you|thanks|sure|certainly|of course|okay|ok|great|got it)\b", re.IGNORECASE
)
_LETTER = re.compile(r"^\s*(dear|subject|hi|hello)\b", re.IGNORECASE | re.MULTILINE)
_WANTS_A_QUESTION = re.compile(
    r"\b(e-?mail|letter|message|reply|respond|form|survey|notice|post|question)", re.IGNORECASE
)


def says_sorry(parent: Task | None, child: Task, text: str) -> bool:
    """Says "sorry" in fewer than 80 words (2304.12244 section 3.3, rule 2), and the task is not about an apology."""
    found = prose_words(text)
    return "sorry" in found and len(found) < 80 and not _APOLOGY.search(child.instruction)


def refuses(parent: Task | None, child: Task, text: str) -> bool:
    """Opens as a refusal, under 80 words."""
    return bool(_REFUSAL.match(text)) and len(prose_words(text)) < 80


def asks_back(parent: Task | None, child: Task, text: str) -> bool:
    """Asks for what the instruction lacks (a failure sign of 2406.00770)."""
    stripped = text.strip()
    count = len(prose_words(text))
    if count >= 80:
        return False
    if _ACKNOWLEDGES.match(stripped) and stripped.endswith("?"):
        return True
    folded = stripped.casefold()
    if count >= 60 or not any(sign in folded for sign in _ASKS_BACK_SIGNS) or _LETTER.search(stripped):
        return False
    sentences = [s for s in SENTENCE_END.split(stripped) if s]
    edges = [*sentences[:2], sentences[-1]] if sentences else []
    return any(_ASKS_BACK.search(s) for s in edges) and not _WANTS_A_QUESTION.search(child.instruction)
