"""Elimination as named rules: what evolution must not let through (2304.12244 section 3.3, and what its successors met).

    for rule in RULES: print(rule.name, rule.about, rule.doc)
    struck(domain, parent_task, child_task, answer=None)  ->  a reason, or "" to keep

A rule is `(parent if known, child, answer once paid) -> reason or None`. Rules about instructions run before any answer is
paid for. The teacher's "equal?" judgement, the paper's first rule, stands between them: see evoltune.evolve.chain.
Invariant: a rule reads only its arguments, so that a decision is the same whenever and wherever it is made.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from evoltune.domain import Domain, Eliminator
from evoltune.errors import DomainError
from evoltune.record import Task
from evoltune.text.language import ABOUT_LANGUAGE, language_of, script_of, words
from evoltune.text.residue import is_residue

Text = Callable[["Task | None", Task, str], bool]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One reason to let a row go. `fires(parent, child, text)`; text is the child's instruction or the answer."""

    name: str
    """The reason that is written down and counted."""
    about: Literal["instruction", "answer"]
    doc: str
    fires: Text


SENTENCE_END = re.compile(r"[.!?。！？]['\"”’)\]]*(?:\s+|$)|\n+")

STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "and",
        "or",
        "but",
        "if",
        "then",
        "so",
        "of",
        "in",
        "on",
        "at",
        "to",
        "from",
        "by",
        "for",
        "with",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "am",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "i",
        "you",
        "he",
        "she",
        "it",
        "we",
        "they",
        "me",
        "him",
        "her",
        "us",
        "them",
        "my",
        "your",
        "his",
        "its",
        "our",
        "their",
        "what",
        "which",
        "who",
        "whom",
        "not",
        "no",
        "nor",
        "yes",
        "just",
        "very",
        "too",
        "also",
        "there",
        "here",
        "when",
        "where",
        "why",
        "how",
        "all",
        "any",
        "each",
        "some",
        "such",
        "only",
        "own",
        "same",
        "than",
        "can",
        "will",
        "would",
        "should",
        "could",
        "may",
        "might",
        "must",
        "shall",
        "ok",
        "okay",
        "well",
    ]
)


# ---- no information gain, growth, emptiness


def copies_parent(parent: Task | None, child: Task, text: str) -> bool:
    """The same words in the same order, or a longer parent repeated with less than one new content word in fifty."""
    if parent is None:
        return False
    mine, theirs = words(text), words(parent.instruction)
    if mine == theirs:
        return bool(mine)
    if len(mine) < 8 or len(theirs) < 8 or abs(len(mine) - len(theirs)) > 2:
        return False
    if not (set(mine) ^ set(theirs)) <= STOP_WORDS:  # the usual rewrite: no counting
        return False
    new = Counter(mine) - Counter(theirs)
    gone = Counter(theirs) - Counter(mine)
    changed = [w for w in (new | gone) if w not in STOP_WORDS]
    return not changed and sum(new.values()) <= 2 and sum(gone.values()) <= 2


def overgrown(parent: Task | None, child: Task, text: str) -> bool:
    """The paper's prompts allow 10 to 20 more words a round; fusion was seen to grow 14 tokens to 325."""
    if parent is None:
        return False
    grown, before = len(words(text)), len(words(parent.instruction))
    return grown > max(4 * before, before + 150)


def no_words(parent: Task | None, child: Task, text: str) -> bool:
    """Only punctuation and stop words. A number, a symbol of mathematics or one letter can be a whole answer."""
    found = words(text)
    if not found:
        return not re.search(r"[=+<>√π∞∅]|[^\x00-\u2000\u2010-\u205f\u3000-\u303f\uff00-\uffef]", text)
    bare = all(w in STOP_WORDS and not w.isdigit() for w in found)
    return bare and not _answerable_with_stop_words(child.instruction, found)


def _answerable_with_stop_words(instruction: str, found: tuple[str, ...]) -> bool:
    """ "Yes." answers a yes-or-no question, "a" a multiple choice; "the of and" answers nothing."""
    return len(found) <= 3 and bool({"yes", "no", "not", "a", "i", "all", "same", "ok", "okay"} & set(found))


# ---- answers that refuse, ask back, copy


APOLOGY = re.compile(r"\b(sorry|apolog|excuse|regret|forgive|condolence|decline|reject)", re.IGNORECASE)


def says_sorry(parent: Task | None, child: Task, text: str) -> bool:
    """ "sorry" in fewer than 80 words, unless the task itself is about an apology."""
    found = words(text)
    return "sorry" in found and len(found) < 80 and not APOLOGY.search(child.instruction)


REFUSAL = re.compile(
    r"^\W*(as an? (ai|large|artificial|language|machine)\b|i('m| am) (unable|not able)|i (cannot|can't|can not|won't) "
    r"(assist|help|fulfil|provide|comply|complete|answer)|unfortunately,? (i|as an)\b)",
    re.IGNORECASE,
)


def refuses(parent: Task | None, child: Task, text: str) -> bool:
    """Opens as a refusal and stays short."""
    return bool(REFUSAL.match(text)) and len(words(text)) < 80


ASKS_BACK = re.compile(
    r"please (provide|share|specify|clarify|give me|supply|send|paste|upload|attach|enter|tell me)|(could|can|would) you "
    r"(please )?(provide|share|specify|clarify|give me|tell me|send|paste|elaborate)|(need|require) (some )?(more|further|"
    r"additional) (information|details?|context)|(no|any) (input|text|code|context|information|details?|image|file|table)"
    r" (was|were|has been|have been|is|are) (provided|given|attached|included)|(was|were|is|are)(n't| not) (provided|given|included|attached)|what (would|do) you (like|want)",
    re.IGNORECASE,
)
ASKING = ("please ", " you ", "need ", "require ", "provided", "given", "attached", "included")
"""Each alternative of ASKS_BACK holds one of these; looking for them first is ten times cheaper."""
ACKNOWLEDGES = re.compile(
    r"^\W*(understood|thank you|thanks|sure|certainly|of course|okay|ok|great|got it)\b", re.IGNORECASE
)


LETTER = re.compile(r"^\s*(dear|subject|hi|hello)\b", re.IGNORECASE | re.MULTILINE)
WANTS_TO_ASK = re.compile(
    r"\b(e-?mail|letter|message|reply|respond|form|survey|notice|post|question)", re.IGNORECASE
)


def asks_back(parent: Task | None, child: Task, text: str) -> bool:
    """Unanswerable: the answer is a request for what the instruction lacks (2406.00770's failure signs)."""
    stripped = text.strip()
    count = len(words(text))
    if count >= 80:
        return False
    if ACKNOWLEDGES.match(stripped) and stripped.endswith("?"):
        return True
    folded = stripped.casefold()
    if count >= 60 or not any(sign in folded for sign in ASKING) or LETTER.search(stripped):
        return False
    sentences = [s for s in SENTENCE_END.split(stripped) if s]
    edge = [*sentences[:2], sentences[-1]] if sentences else []
    return any(ASKS_BACK.search(s) for s in edge) and not WANTS_TO_ASK.search(child.instruction)


def copies_instruction(parent: Task | None, child: Task, text: str) -> bool:
    """The answer is the instruction again (whole, or as its opening with little after it)."""
    mine, asked = words(text), words(child.instruction)
    if len(asked) < 5:
        return False
    return mine == asked or (mine[: len(asked)] == asked and len(mine) < 1.3 * len(asked))


# ---- loops, run-ons, cuts


DIGITS = re.compile(r"\d+")
LETTERS = re.compile(r"[^\W\d_]{3}")


def loops(parent: Task | None, child: Task, text: str) -> bool:
    """The text goes round in circles: a periodic end, the same lines or sentences over and over, or hardly any entropy."""
    return ends_in_a_loop(text) or repeats_lines(text) or repeats_phrases(text)


def ends_in_a_loop(text: str) -> bool:
    """The end repeats with one period, digits apart ("codice_7\\ncodice_8"): at least 3 times and 90 characters."""
    tail = re.sub(r"\d+", "0", text.rstrip()[-4000:])
    if len(tail) < 120:
        return False
    for probe in (24, 60):
        at = tail.rfind(tail[-probe:], 0, len(tail) - 1)
        if at < 0:
            continue
        period = len(tail) - probe - at
        run = 0
        while run + period < len(tail) and tail[-1 - run] == tail[-1 - run - period]:
            run += 1
        letters = re.search(r"[^\W\d_]{2}", tail[-period:])
        if letters and run >= max(90, 2 * period):
            return True
    return False


def repeats_lines(text: str) -> bool:
    """Most lines (or sentences) were there before, digits apart. Short lines, brackets and table rules do not count."""
    same = DIGITS.sub("0", text)
    for parts in (same.splitlines(), SENTENCE_END.split(same)):
        units = [p.strip() for p in parts if len(p) >= 12]
        if len(units) < 6 or len(units) - len(set(units)) < 4:
            continue
        units = [u for u in units if LETTERS.search(u)]
        again = len(units) - len(set(units))
        if again >= 4 and again >= 0.45 * len(units):
            return True
    return False


def repeats_phrases(text: str) -> bool:
    """Few distinct word 4-grams, or a text that deflates to under a sixth (prose needs a half, code a quarter)."""
    found = words(text)
    if len(found) >= 60:
        grams = list(zip(found, found[1:], found[2:], found[3:], strict=False))
        if len(set(grams)) < 0.4 * len(grams):
            return True
    raw = text.encode()
    return len(raw) >= 500 and len(zlib.compress(raw, 6)) < 0.16 * len(raw)


TURN = re.compile(
    r"^[ \t#*>\[]*(input|output|instructions?|question|answer|response|human|assistant|user|student|q|a|example|task)"
    r"[ \t]*\d*[\]*]*[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
TEMPLATE_TURN = re.compile(
    r"<\|im_(start|end)\||<\|(user|assistant|system|endoftext|end|eot_id)\|>|\[/?INST\]|^\s*#{2,4}\s*(instruction|response|input)\s*:",
    re.IGNORECASE | re.MULTILINE,
)


def runs_on(parent: Task | None, child: Task, text: str) -> bool:
    """After the answer comes another task: template turns, Input/Output pairs, the instruction itself once more."""
    asked = child.instruction
    if TEMPLATE_TURN.search(text) and not TEMPLATE_TURN.search(asked):
        return True
    labels = [m[1].casefold().rstrip("s") for m in TURN.finditer(text)]
    known = {m[1].casefold().rstrip("s") for m in TURN.finditer(asked)}
    new = [label for label in labels if label not in known or labels.count(label) > 2]
    if _opens_tasks(text, new, asked):
        return True
    return _restates(asked, text)


PAIRS = {("input", "output"), ("question", "answer"), ("q", "a"), ("human", "assistant"), ("user", "assistant"),
         ("instruction", "response"), ("instruction", "output"), ("task", "output"), ("output", "input"), ("instruction", "input")}  # fmt: skip
WANTS_TURNS = re.compile(
    r"\b(questions?|quiz|faq|interview|dialog(ue)?|conversation|chat|q&a|q/a|examples?|test cases?|inputs?|outputs?|exercises?|"
    r"flash ?cards?|role-?play|script|trivia|riddles?|survey)\b",
    re.IGNORECASE,
)


def _opens_tasks(text: str, labels: list[str], asked: str) -> bool:
    pairs = sum((a, b) in PAIRS for a, b in pairwise(labels))
    if not pairs:
        return False
    return (
        pairs >= 3 or not WANTS_TURNS.search(asked) or bool(re.search(r"^\s*input:\s*$", text, re.I | re.M))
    )


def _restates(asked: str, text: str) -> bool:
    """The first sentence of the instruction stands again inside the answer, as a line of its own, after some text."""
    squeezed = " ".join(asked.split())
    first = SENTENCE_END.split(squeezed)[0].strip()
    if len(words(first)) < 6:
        first = squeezed
    if len(words(first)) < 6:
        return False
    body = " ".join(text.split()).casefold()
    return body.count(first.casefold()) >= 2 or (
        body.find(first.casefold()) > 0 and len(body) > 4 * len(first) + 200
    )


FENCE = re.compile(r"^\s*(```|~~~)", re.MULTILINE)


HANGING = re.compile(
    r"(\b(and|or|but|the|a|an|of|to|with|in|for|is|are|that|which|by|from|as|because)|[,(\[{:])$",
    re.IGNORECASE,
)


def truncated(parent: Task | None, child: Task, text: str) -> bool:
    """Breaks off: an open code fence, or a long text whose last line ends in the middle of a sentence."""
    stripped = text.rstrip()
    if len(FENCE.findall(stripped)) % 2:
        return True
    if len(stripped) > 400 and HANGING.search(stripped[-20:]):
        return True
    return len(stripped) > TRUNCATED_CHARS and not _finished(stripped)


TRUNCATED_CHARS = 2400


def _finished(text: str) -> bool:
    """Ends like a sentence, a list item, a heading, code or a signature; not like prose that was cut."""
    last = text.splitlines()[-1].strip()
    if re.search(r"""[.!?:;。！？…)\]}>"'”’`*|$%=-]$""", last):
        return True
    return len(words(last)) <= 6


# ---- drift


def drifts(parent: Task | None, child: Task, text: str) -> bool:
    """Another script or language than what it follows (the parent, or the instruction), which did not ask for one."""
    before = parent.instruction if text is child.instruction and parent else child.instruction
    if before is text:
        return False
    scripts = script_of(before), script_of(text)
    drifted = all(scripts) and scripts[0] != scripts[1]
    if not drifted:
        languages = language_of(before), language_of(text)
        drifted = all(languages) and languages[0] != languages[1]
    return drifted and not ABOUT_LANGUAGE.search(before)


def residue(parent: Task | None, child: Task, text: str) -> bool:
    """Words of the evolving prompt, in any dress: see evoltune.text.residue. What the parent says itself may stay."""
    return is_residue(text) and not (parent and is_residue(parent.instruction))


def empty(parent: Task | None, child: Task, text: str) -> bool:
    """Nothing but white space."""
    return not text.strip()


RULES: tuple[Rule, ...] = (
    Rule(name="empty instruction", about="instruction", doc="nothing but white space", fires=empty),
    Rule(name="only stop words", about="instruction", doc="only punctuation and stop words", fires=no_words),
    Rule(
        name="prompt residue",
        about="instruction",
        doc="words of the evolving prompt leaked, in any dress",
        fires=residue,
    ),
    Rule(
        name="copy of the parent",
        about="instruction",
        doc="no information gain, seen without asking",
        fires=copies_parent,
    ),
    Rule(
        name="over-long growth",
        about="instruction",
        doc="over 4 times the parent and 150 words more",
        fires=overgrown,
    ),
    Rule(name="loop", about="instruction", doc="goes round in circles", fires=loops),
    Rule(
        name="run-on",
        about="instruction",
        doc="template turns inside",
        fires=lambda p, c, t: bool(TEMPLATE_TURN.search(t)),
    ),
    Rule(name="language drift", about="instruction", doc="another language than the parent", fires=drifts),
    Rule(name="empty answer", about="answer", doc="nothing but white space", fires=empty),
    Rule(name="only stop words", about="answer", doc="only punctuation and stop words", fires=no_words),
    Rule(name="sorry", about="answer", doc='says "sorry" in fewer than 80 words', fires=says_sorry),
    Rule(name="refusal", about="answer", doc="opens as a refusal, under 80 words", fires=refuses),
    Rule(
        name="unanswerable", about="answer", doc="asks back for what the instruction lacks", fires=asks_back
    ),
    Rule(
        name="copy of the instruction",
        about="answer",
        doc="says the instruction again",
        fires=copies_instruction,
    ),
    Rule(name="prompt residue", about="answer", doc="words of the evolving prompt leaked", fires=residue),
    Rule(name="loop", about="answer", doc="goes round in circles", fires=loops),
    Rule(name="run-on", about="answer", doc="goes on with another task", fires=runs_on),
    Rule(name="truncated", about="answer", doc="breaks off in the middle", fires=truncated),
    Rule(name="language drift", about="answer", doc="another language than the instruction", fires=drifts),
)

_RULES_ABOUT = {about: tuple(r for r in RULES if r.about == about) for about in ("instruction", "answer")}


def struck(domain: Domain, parent: Task | None, child: Task, answer: str | None) -> str:
    """The first reason to let the child (answer None) or this answer go, core rules first; "" to keep it.

    Raises DomainError when a domain's own eliminator fails.
    """
    return core_reason(parent, child, answer) or _domain_reason(domain, parent, child, answer)


def core_reason(parent: Task | None, child: Task, answer: str | None) -> str:
    """The first core rule that fires; "" when none does."""
    about, text = ("instruction", child.instruction) if answer is None else ("answer", answer)
    return next((r.name for r in _RULES_ABOUT[about] if r.fires(parent, child, text)), "")


def all_reasons(parent: Task | None, child: Task, answer: str | None) -> list[str]:
    """Every core rule that fires, for `--explain`."""
    about, text = ("instruction", child.instruction) if answer is None else ("answer", answer)
    return [r.name for r in RULES if r.about == about and r.fires(parent, child, text)]


def _domain_reason(domain: Domain, parent: Task | None, child: Task, answer: str | None) -> str:
    for rule in domain.eliminators:
        try:
            reason = rule(parent, child, answer)
        except Exception as error:
            raise DomainError(
                f"domain {domain.name!r}: eliminator {_name(rule)} failed: {type(error).__name__}: {error}"
            ) from error
        if reason:
            return reason
    return ""


def _name(rule: Eliminator) -> str:
    return getattr(rule, "__name__", type(rule).__name__)


ECHO_WORDS = 8


def echoes(template: str, parent: Task, child: Task) -> bool:
    """The child repeats eight words in a row of the operator's own prompt, which the parent does not have."""
    both = _grams(template) & _grams(child.instruction)
    return bool(both and both - _grams(parent.instruction))


@lru_cache(maxsize=64)
def _grams(text: str) -> frozenset[tuple[str, ...]]:
    found = words(text)
    return frozenset(zip(*(found[i:] for i in range(ECHO_WORDS)), strict=False))
