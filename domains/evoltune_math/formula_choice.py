"""Which formulas of a text are its answer: the last ones that only `and` separates, and no reason, place or letter that is explained.

last_formulas(formulas of "The least is $2$, attained when $x = 1$.", text)  ->  "2"
"""

import re

from evoltune_math.boxes import Found
from evoltune_math.claims import claim, stated
from evoltune_math.prose import NUMBER, WORD, formula_content

_BETWEEN_FORMULAS = re.compile(r"\s*(?:,|and|or|,\s*and|,\s*or|;|,?\s*for (?:all|every|each|any))\s*")
_REASON = re.compile(
    r"[^.!?\n]*\b(?:since|because|(?:attained|achieved|reached|occurring|which occurs|which happens)\s+(?:only\s+)?(?:at|when|for|if|by)|where)\b[^.!?\n]*",
    re.I,
)
"""What stands between a formula and one that only gives a reason for it, says where it is reached, or explains its letters."""
_DECLARES = re.compile(
    r",?\s+(?:where|with|for)\s+(?:(?:any|some|all|every|each|an?|arbitrary|real|positive|non-?negative|(integers?|constants?|parameters?|numbers?))\s+)*"
)
_DECLARED = re.compile(
    r"\s+(?:is|are|can be|may be)\s+(?:an?\s+|any\s+)?(?:arbitrary|any|constant|real|parameter|integer|positive|nonnegative)[^.!?\n]*"
)
_ALL_OF = re.compile(r"\b(?:all|every|any|each)\s+(?:[a-z-]+\s+){1,4}$", re.I)


def last_formulas(formulas: list[re.Match[str]], text: str) -> str:
    """The last formula, with those before it that only `and`, `or` or a comma separates from it."""
    if len(formulas) > 1 and (declared := _with_declaration(formulas, text)):
        return declared
    while len(formulas) > 1 and (_is_reason(text, *formulas[-2:]) or claim(text, *formulas[-1].span()).denied):
        formulas = formulas[:-1]
    first = len(formulas) - 1
    while first and _BETWEEN_FORMULAS.fullmatch(text[formulas[first - 1].end() : formulas[first].start()]):
        first -= 1
    if first < len(formulas) - 1:
        return text[formulas[first].start() : formulas[-1].end()]
    return stated(text, *formulas[-1].span(), formula_content(formulas[-1]))


def _with_declaration(formulas: list[re.Match[str]], text: str) -> str:
    """The formula with what says that its letter is arbitrary: `$f(x) = kx$ where $k$ is any real constant`; "" where nothing does."""
    formula, letter = formulas[-2:]
    said = _DECLARED.match(text, letter.end())
    declares = _DECLARES.fullmatch(text, formula.end(), letter.start()) if len(formula_content(letter)) == 1 else None
    end = said.end() if said else letter.end() if declares and declares[1] else 0
    return text[formula.start() : end] if declares and end else ""


def _is_reason(text: str, formula: re.Match[str], following: re.Match[str]) -> bool:
    """Whether the second formula only gives a reason for the first: `only $n=7$ works since $5$ is too small`."""
    return _REASON.fullmatch(text, formula.end(), following.start()) is not None


def first_formulas(formulas: list[re.Match[str]], sentence: str) -> str:
    """The first formula, with those after it that no word but `and` and `or` separates from it."""
    end = formulas[0].end()
    for formula in formulas[1:]:
        if WORD.search(sentence[end : formula.start()].replace("and", "").replace("or", "")):
            break
        end = formula.end()
    return sentence[formulas[0].start() : end]


def about_letter(text: str, formulas: list[re.Match[str]]) -> Found | None:
    """`It is true for all odd $n$.`: a sentence whose one formula is a letter is about the words before it."""
    last = formulas[-1]
    if len(formulas) > 1 or len(formula_content(last)) > 1 or NUMBER.search(text) or text[last.end() :].strip(" ."):
        return None
    said = _ALL_OF.search(text, 0, last.start())
    return Found(f"{said[0].strip()} {formula_content(last)}", "phrase") if said else None
