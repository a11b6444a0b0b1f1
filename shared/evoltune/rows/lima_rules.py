"""LIMA's rules for answers (2305.11206, section 2.1): which of them read like those of a helpful assistant.

    objection("Heat moves because I say so ...", "stackexchange")  ->  "first person"
    objection("The cat sat.", NATURAL_INSTRUCTIONS)                 ->  "fewer than 5 words"

Answers of communities have 1,200 to 4,096 characters. Those of Super-NaturalInstructions are short by nature: the authors edited
some of them into the style of their own answers; here those that are no sentences are refused instead. A story may have a narrator
who says "I".
"""

import re

from evoltune.text.words import prose_words

SHORTEST, LONGEST = 1200, 4096  # characters of an answer, both excluded
NATURAL_INSTRUCTIONS = "natural-instructions"
STORIES = "reddit/WritingPrompts"
LEAST_WORDS = 5  # of an answer to a task of Super-NaturalInstructions: below, it is a label or a title
_CODE = re.compile(r"```.*?```|`[^`\n]*`|\"[^\"\n]*\"", re.S)
_FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve|d|ll)|[Mm]y|[Mm]ine|[Mm]yself)\b")
_OTHERS = re.compile(
    r"\b(?:as (?:mentioned|stated|noted|said|pointed out)(?: \w+)? (?:above|below|before|earlier|by|in)|"
    r"as (?:mentioned|others)\b|(?:other|previous|accepted|above|earlier) (?:answers?|posts?|comments?|repl(?:y|ies))|"
    r"@\w+[,:'’]|stack ?(?:exchange|overflow)|edit:|update:|(?:this|your|the) question (?:was|is) (?:closed|a duplicate))",
    re.I,
)
_MARKUP = re.compile(r"<(?:a|img|p|div|span|br|table|h[1-6]|blockquote|ul|li)\b|!?\[[^\]\n]+\]\(|https?://\S+", re.I)
_SENTENCES = re.compile(r"[\"'“‘(\[]?[A-Z0-9].*[.!?:][\"'”’)\]]*", re.S)
_TOKENISED = re.compile(r"\w (?:[.,;!?](?:\s|$)|n't\b|'s\b)|``|''|-lrb-", re.I)


def objection(answer: str, source: str = "") -> str:
    """Why LIMA's rules refuse the answer, e.g. "first person", or empty. Code and quotations are not looked at."""
    if source == NATURAL_INSTRUCTIONS:
        if reason := _style(answer.strip()):
            return reason
    elif len(answer) <= SHORTEST:
        return "too short"
    if len(answer) >= LONGEST:
        return "too long"
    prose = _CODE.sub(" ", answer)
    if source != STORIES and _FIRST_PERSON.search(prose):
        return "first person"
    if _OTHERS.search(prose):
        return "refers to other answers"
    return "markup left" if _MARKUP.search(prose) else ""


def _style(answer: str) -> str:
    """What keeps a task's reference output from reading like an answer."""
    if len(prose_words(answer)) < LEAST_WORDS:
        return f"fewer than {LEAST_WORDS} words"
    if _TOKENISED.search(answer):
        return "spaces before punctuation"
    return "" if _SENTENCES.fullmatch(answer) else "no whole sentence"
