"""Rules about answers that do not answer: apologies, refusals, questions back, in nine languages.

The phrases are in `text/phrases/refusals.txt`. Invariant: what an answer says for somebody else (a letter that regrets, a
waiter's question, a translation) is no refusal when the instruction asks for such words.
"""

import re
import unicodedata
from collections import defaultdict
from functools import cache, lru_cache
from importlib.resources import files

from evoltune.record import Task
from evoltune.text.words import SENTENCE_END, prose_words, word_count

SHORT = 80  # words; a refusal explains itself in fewer, and a longer text answers something
SHORT_QUESTION = 60
WITH_MATERIAL = 3
"""A shorter instruction ("Translate.") comes without what it is about, so that a question back is one."""
_OPENING = 400
"""Characters in which a refusal shows."""
_MATERIAL = r"(?:text|questions?|list|image|table|files?|code|attachment|data|problem|passage|article|sentences?|paragraph|input|context|details?)\b"
_ASKS_BACK = re.compile(
    r"please (provide|share|specify|clarify|give me|supply|send|paste|upload|attach|enter|tell me)|(could|can|would) you "
    r"(please )?(provide|share|specify|clarify|give me|tell me|send|paste|elaborate)|(need|require) (some )?(more|further|"
    r"additional) (information|details?|context)|(no|any) (input|text|code|context|information|details?|image|file|table)"
    r" (was|were|has been|have been|is|are) (provided|given|attached|included)|(was|were|is|are)(n't| not) (provided|given|included|attached)"
    r"|what (would|do) you (like|want) (me to|to (know|ask|learn|discuss|do|talk|see|write|translate))"
    r"|no (?:\w+ )?(?:question|problem|statement|prompt|instructions?|task|list|data) (?:was|were|has been|have been|is|are) "
    r"(?:provided|given|attached|included|stated|specified)|you (?:haven't|have not|didn't|did not|forgot to|(?:have |may have |might have )?"
    r"forgotten to) (?:provide|give|include|specif|state|share|paste|attach|add|ask)\w* (?:me |us )?(?:with )?(?:the |an? |any |your |enough )?"
    rf"{_MATERIAL}|\b(?:question|problem|prompt|message|instruction|task) (?:is|seems(?: to be)?|appears(?: to be)?|looks) (?:missing|incomplete|"
    rf"cut off|truncated)(?=[.,;!]|$)|i (?:don't|do not|can't|cannot) see (?:any|the|an?) {_MATERIAL}|there(?:'s| is| was) no "
    r"(?:text|question|input|problem|prompt|list|code|image|table|data) (?:given|provided|here|in (?:the (?:instruction|prompt|message)|your)\b)",
    re.IGNORECASE,
)
_ASKS_BACK_SIGNS = (
    "please ", "you ", "need ", "require ", "provided", "given", "attached", "included", "bitte ", "favor", "veuillez ", "merci ",
    "vous ", "puede", "podr", "missing", "incomplete", "cut off", "truncated", " see ", "there's no ", "there is no ", "there was no ",
    "stated", "specified",
)  # fmt: skip
"""Each question in ASCII contains one of these; looking for them first is ten times cheaper."""
_ACKNOWLEDGES = re.compile(
    r"^\W*(understood|thank you|thanks|sure|certainly|of course|okay|ok|great|got it)\b", re.IGNORECASE
)
_LETTER = re.compile(r"^\s*(dear|subject|hi|hello)\b", re.IGNORECASE | re.MULTILINE)
_PLAYS_AN_AI = re.compile(
    r"\b(pretend|act as|role-?play|imagine you|you are an?|from the (perspective|point of view)|monologue|persona)\b",
    re.IGNORECASE,
)
_ABOUT_REFUSALS = re.compile(
    r"\b(?:refusals?|apolog\w+|declining|rejections?|absagen?|rechazo|refus)\b|拒绝|婉拒|断り|거절|отказ|رفض|अस्वीकृति",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"no|n't|unable|declin|refus|nich|kein|ne ")
_NEGATIONS = frozenset(
    """no not non cannot can't couldn't won't don't wouldn't isn't unable impossible decline refuse lack only ablehnen nicht
    kein keine keinen keiner keinem keines keinerlei keineswegs keins weder nunca carezco ne pas aucun aucune""".split()
)
"""A refusal in ASCII has one of these words, or a French "n'"."""
_SORRY_SIGNS = (
    "sorry", "apolog", "leid", "entschuld", "verzeih", "bedauer", "siento", "lament", "disculp", "desculp", "dispiace",
    "scusa", "navr", "excus", "regret",
)  # fmt: skip
"""One of these is in each apology in ASCII."""


def says_sorry(parent: Task | None, child: Task, text: str) -> bool:
    """Says "sorry" at the start or the end of fewer than 80 words (2304.12244 section 3.3, rule 2), and the task is not about an
    apology, a letter or a conversation."""
    folded = _folded(text)
    if text.isascii() and not any(sign in folded for sign in _SORRY_SIGNS):
        return False
    if word_count(text) >= SHORT:
        return False
    edges = _edges(folded)
    apologises = any(_phrases("apology").match(edge) for edge in edges)
    if not apologises or _phrases("about_apology").search(_folded(child.instruction)):
        return False
    if _is_unable(edges):
        return True
    return not _speaks_for_another(child.instruction)


def refuses(parent: Task | None, child: Task, text: str) -> bool:
    """Opens as a refusal, or as an AI that cannot or does not, under 80 words."""
    if word_count(text) >= SHORT:
        return False
    opening = _folded(text[:_OPENING])
    if opening.isascii() and _NEGATIONS.isdisjoint(prose_words(text)) and "n'" not in opening:
        return False
    speaks_as_ai = bool(_as_ai().match(opening)) or any(
        _phrases("as_ai").search(s) for s in _edges(opening)[:2] if not s.isascii()
    )
    if not speaks_as_ai and not _is_unable(_edges(opening)[:2]):
        return False
    if _ABOUT_REFUSALS.search(child.instruction):
        return False
    if speaks_as_ai:
        return not _PLAYS_AN_AI.search(child.instruction)
    return not _wants(child.instruction, "wants_words")


def asks_back(parent: Task | None, child: Task, text: str) -> bool:
    """Asks for what the instruction lacks (a failure sign of 2406.00770)."""
    stripped = text.strip()
    count = word_count(text)
    if count >= SHORT:
        return False
    folded = _folded(stripped)
    acknowledges = bool(_ACKNOWLEDGES.match(stripped)) and stripped.endswith("?")
    may_ask = count < SHORT_QUESTION and not _LETTER.search(stripped)
    signs = not folded.isascii() or any(sign in folded for sign in _ASKS_BACK_SIGNS)
    if not acknowledges and not (may_ask and signs):
        return False
    edges = _edges(folded)
    asks = acknowledges or any(_ASKS_BACK.search(s) or _phrases("asks").search(s) for s in edges)
    return asks and (word_count(child.instruction) < WITH_MATERIAL or not _speaks_for_another(child.instruction))


def _speaks_for_another(asked: str) -> bool:
    """Whether the instruction wants words to a person, or fiction: an apology or a question may be the answer itself."""
    return _wants(asked, "wants_words") or _wants(asked, "wants_fiction")


def _wants(asked: str, kind: str) -> bool:
    """Whether an instruction is of this kind, apart from what asks to answer a question: that wants nothing said to a person."""
    return bool(_phrases(kind).search(_phrases("answers_question").sub(" ", _folded(asked))))


def _is_unable(edges: list[str]) -> bool:
    """Whether one of these sentences says, in the first person, that it cannot help or do what was asked: at its start or
    behind an apology, regret or a conjunction; in languages that put the subject elsewhere, anywhere in it."""
    at_start, anywhere = _inability()
    return any(
        at_start.match(edge) if edge.isascii() else at_start.match(edge) or anywhere.search(edge)
        for edge in edges
        if not edge.isascii() or _NEGATION.search(edge)
    )


@cache
def _as_ai() -> re.Pattern[str]:
    patterns = _patterns()
    before = "|".join(
        [*patterns["apology"], *patterns["softener"], "but|however|well|it(?:'s| is) not possible for me"]
    )
    return re.compile(rf"\W*(?:(?:{before})[,;:.! —–-]*)*\W*(?:{'|'.join(patterns['as_ai'])})")


@cache
def _inability() -> tuple[re.Pattern[str], re.Pattern[str]]:
    patterns = _patterns()
    before = "|".join(
        [*patterns["apology"], *patterns["softener"], "but|however|and|that|because|so|as such|therefore|no|yes"]
    )
    anywhere = "|".join(p for p in patterns["inability"] if not p.isascii())
    behind = r"(?:[^.!?\n]{0,80}?[,;—–] ?(?:but|and|so|however|aber|pero|mais|mas|ma) )?"
    at_start = rf"\W*{behind}(?:(?:{before})[,;:. —–-]*)*\W*(?:{'|'.join(patterns['inability'])})"
    return re.compile(at_start), re.compile(anywhere)


def _edges(text: str) -> list[str]:
    """The first two sentences and the last."""
    sentences = [s.strip() for s in SENTENCE_END.split(text.strip()) if s and s.strip()]
    return [*sentences[:2], sentences[-1]] if sentences else []


@lru_cache(maxsize=256)
def _folded(text: str) -> str:
    """NFKC without upper case, with straight apostrophes."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("ʼ", "'").replace("‘", "'")
    return text.casefold()


@cache
def _phrases(kind: str) -> re.Pattern[str]:
    start = r"\W*" if kind in ("apology", "as_ai") else ""
    return re.compile(start + "(?:" + "|".join(_patterns()[kind]) + ")")


@cache
def _patterns() -> dict[str, list[str]]:
    """Kind -> its regular expressions."""
    found = defaultdict(list)
    for line in (files("evoltune.text") / "phrases" / "refusals.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, pattern = line.split(" ", 1)
            found[kind].append(unicodedata.normalize("NFKC", pattern))
    return dict(found)
