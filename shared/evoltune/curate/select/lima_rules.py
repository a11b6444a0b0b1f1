"""LIMA's rules for answers (2305.11206, section 2.1): which of them read like a helpful assistant's.

    objection("As mentioned in the other answer, I would ...")  ->  "first person"

To train as the paper does, set `train: {template: lima}` (an end-of-turn token after each turn), 15 epochs, residual
dropout 0.3.
"""

import re

from evoltune.rows.dumps import LONGEST, SHORTEST

LIMA_SIZE = 1000
_CODE = re.compile(r"```.*?```|`[^`\n]*`|\"[^\"\n]*\"", re.S)
_FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve|d|ll)|[Mm]y|[Mm]ine|[Mm]yself)\b")
_OTHERS = re.compile(
    r"\b(?:as (?:mentioned|stated|noted|said|pointed out)(?: \w+)? (?:above|below|before|earlier|by|in)|"
    r"as (?:mentioned|others)\b|(?:other|previous|accepted|above|earlier) (?:answers?|posts?|comments?|repl(?:y|ies))|"
    r"@\w+[,:'’]|stack ?(?:exchange|overflow)|edit:|update:|(?:this|your|the) question (?:was|is) (?:closed|a duplicate))",
    re.I,
)
_MARKUP = re.compile(r"<(?:a|img|p|div|span|br|table|h[1-6]|blockquote|ul|li)\b|!?\[[^\]\n]+\]\(|https?://\S+", re.I)


def objection(answer: str, *, shortest: int = SHORTEST, longest: int = LONGEST) -> str:
    """Why the paper's rules refuse the answer, or empty. Code and quotations are not looked at."""
    if len(answer) <= shortest:
        return "too short"
    if len(answer) >= longest:
        return "too long"
    prose = _CODE.sub(" ", answer)
    if _FIRST_PERSON.search(prose):
        return "first person"
    if _OTHERS.search(prose):
        return "refers to other answers"
    return "markup left" if _MARKUP.search(prose) else ""
