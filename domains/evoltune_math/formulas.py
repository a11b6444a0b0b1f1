"""The formula that a box stands in: where the box is only a part of a larger expression, the whole expression is the answer.

    part_of("$\\\\frac{\\\\boxed{9}}{2}$", 7, 16)  ->  ("\\\\frac{", "}{2}")
    part_of("$x = \\\\boxed{9}$", 5, 14)          ->  ("", "")        the value of x

A statement of a formula ends at `=`, `,`, `\\\\`, `&`, an arrow or a `\\text{...}`; what stands beyond says nothing about the box.
Outside of delimiters only what touches the box by a sign of arithmetic, a bracket or a relation belongs to it.
"""

import re

from evoltune_math.answers.reading.cleanup import closing_brace

MAX_BEFORE, MAX_AFTER = 300, 200
_NOTHING_BEFORE = re.compile(r"(?:(?<![<>!:])=|\$|\\\[|\\\(|\n|:)\s*$|(?<![\\A-Za-z])[A-Za-z]{2,}\s+$")
_NOTHING_AFTER = re.compile(r"\s*(?:\$|\\\]|\\\)|[.,;](?:\s|$|\$|\\[\])])|$|\n|\s[a-z]{2,}\s)")
_START = re.compile(r"\\begin\{[A-Za-z]+\*?\}(?:\{[^{}]*\}|\[[^\[\]]*\])*|\\[(\[]|\$\$?|\n\s*\n")
_END = re.compile(r"\\end\{|\\[)\]]|\$\$?|\n\s*\n")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mbox|mathrm|operatorname)\*?\s*\{[^{}]*\}")
_WORD = re.compile(
    r"(?<![\\A-Za-z])(?:[A-Z]?[a-z]{3,}|[A-Z][a-z]{2}|[IAa](?= [a-z]{2,})|(?:so|is|we|of|to|it|by|as|be|in|if|at|he|an|or|do|go|my|no|on|up|us|So|Is|We|It|By|As|If|At|He|An|In|Or))"
    r"(?![A-Za-z])(?!\*?\})|[^\W\d_A-Za-z]{2,}"
)
"""A word of prose; `xy` and `ABC` may be products."""
_SIGNS = r"approx|simeq|doteq|equiv|implies|Rightarrow|Longrightarrow|iff|Leftrightarrow|to|rightarrow|longrightarrow|therefore|because|coloneqq|leadsto"
_TOKEN = re.compile(
    rf"(?P<open>\\[{{(\[]?(?<=\\){{|[({{\[])|(?P<close>\\}}|[)}}\]])|(?P<end>\\q?quad|\\\\|&|,(?!\d{{3}}(?!\d))|;|(?<![<>!:])=|\\(?:{_SIGNS})(?![A-Za-z])|≈|⇒|⟹|→|∴"
    r"|:(?![\s\\]*\d)|\\(?:text(?:bf|rm|it)?|mbox)\s*\{[^{}]*\})"
)
_STYLE = re.compile(
    r"(?:^|[\s$=&,;:]|\\(?:text|textbf|textit|textrm|mathbf|mathrm|boldsymbol|bm|underline|large|Large|LARGE|huge|Huge|displaystyle|bf|ensuremath|mbox|underbrace|color\{\w+\}|textcolor\{\w+\}))\s*$"
)
"""What stands before a brace that groups for the eye only."""
_CLEAR = re.compile(
    r"(?:\\(?:left|right|displaystyle|large|Large|LARGE|huge|Huge|bf|quad|qquad|square|blacksquare|Box|qed|checkmark|nonumber|notag|hfill|limits|color\{\w+\})(?![A-Za-z])\.?"
    r"|\\(?:tag\*?|hspace\*?|label|pmod|text(?:bf|rm|it)?|mathrm|mbox)\s*\{[^{}]*\}|\\bmod\s*\d+|\(\s*(?:\\?mod|\\bmod)[^()]*\)|\^\s*\{?\s*\\circ\s*\}?|°|\\(?:degree|%)|%"
    r"|\\[ ,;:!$]|[\s.~:\"`?€£]|\*\*|(?<![\w)}\]])\$)*"
)
"""What may stand beside a box and leaves its meaning as it is, or is read elsewhere (percent)."""
_OPERATOR_END = re.compile(
    r"(?:[+*/^_<>|({\[≤≥√·×÷±≠-]|\\(?!text|boxed|therefore|implies)[A-Za-z]+|\d)\s*$|[A-Za-z.)}]$"
)
_OPERATOR_START = re.compile(
    r"\s*(?:[+*/^_<>|)\]}≤≥·×÷±≠-]|\\[A-Za-z]+|\s:\s\d|\sx\s\d|=\s*-?\d[\d.,]*\s*(?:$|[.,;$&]))|[A-Za-z\d!'(]|\.\d|:\d|\{?,\}?\d{3}(?!\d)"
)
_LIST_MARK = re.compile(r"(?:^|\n)\s*(?:[-*•>#|+]+|\(?\w{1,2}[.)]|\([a-z]{1,4}\))\s+$")
_DANGLING = re.compile(r"(?:\s|[+*/<>=-]|\\(?:times|cdot|pm))*$")
_ENDS_IN_NUMBER = re.compile(r"=\s*-?\d[\d.,]*\s*(?=$|[.,;$&]|\\\\)")
_MATRIX = re.compile(r"\\begin\{(\w*matrix|cases)\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


_RELATED = re.compile(r"\s*(?:[<>≤≥≠]|\\(?:le|ge|leq|geq|leqslant|geqslant|neq?|lt|gt)(?![A-Za-z]))")
"""A bound behind a value: `x = \\boxed{8} > 7`."""


def part_of(text: str, start: int, end: int) -> tuple[str, str]:
    """What belongs to the box at text[start:end] in its formula: the parts before and after it, both "" if it stands alone."""
    before, after = text[max(0, start - MAX_BEFORE) : start], text[end : end + MAX_AFTER]
    if _NOTHING_BEFORE.search(before[-20:]) and _NOTHING_AFTER.match(after):
        return "", ""
    opening = max(_START.finditer(before), key=lambda start: start.end(), default=None)
    closing = _END.search(after)
    if opening and closing and (matrix := _MATRIX.match(opening[0])) and closing[0] == "\\end{":
        return before[opening.start() :], f"{after[: closing.start()]}\\end{{{matrix[1]}}}"
    inside = before[opening.end() :] if opening else before
    rest = after[: closing.start()] if closing else after
    is_formula = opening is not None and opening[0].strip() and not _has_words(inside) and not _has_words(rest)
    if not is_formula:
        inside, rest = _touching(text, before, after)
    lead, tail = _statement(inside, rest)
    if _CLEAR.fullmatch(lead) and _CLEAR.fullmatch(tail):
        return "", ""
    return lead.lstrip(), tail.rstrip(" .")


def _has_words(formula: str) -> bool:
    return _WORD.search(_TEXT.sub(" ", formula)) is not None


def _touching(text: str, before: str, after: str) -> tuple[str, str]:
    """The parts of a box in prose that touch it, up to the nearest words."""
    line = before[before.rfind("\n") + 1 :]
    words = list(_WORD.finditer(_TEXT.sub(lambda m: " " * len(m[0]), line)))
    is_first = len(line) == len(before) or not words
    inside = line[words[-1].end() :] if words else line
    inside = inside[inside.rfind("$") + 1 :]
    rest = after.partition("\n")[0].partition("$")[0]
    words_in_formula = _TEXT.search(rest)
    rest = rest[: words_in_formula.start()] if words_in_formula else rest
    word = _WORD.search(rest)
    rest = rest[: word.start()] if word else rest
    rest = re.split(r"(?:[.?,]|(?<!\d)!)(?:\s|$)", rest)[0] if not rest.startswith("!") else rest
    has_prose = bool(words or word or _WORD.search(text[:200]))
    if rest.startswith("!") and has_prose:
        rest = ""
    rest = _DANGLING.sub("", rest)
    is_mark = (is_first and _LIST_MARK.fullmatch(inside)) or re.fullmatch(r"\s*[-–—>*_|]+\s+|\s*\*+|\s*_+", inside)
    if is_mark or not _OPERATOR_END.search(inside) or re.fullmatch(r"\s*[.)\]}]*\s*[<>+*/^|=(\[{]{1,2}\s*", inside):
        inside = inside if inside.strip() in ("|", "(") and rest[:1] in "|)" and rest else ""
    if not _OPERATOR_START.match(rest) or re.fullmatch(r"[\s*_)\]}|]*", rest):
        rest = rest if inside.strip() else ""
    return inside, rest


def _statement(before: str, after: str) -> tuple[str, str]:
    """The statement around the box, without it: brackets that are open at the box are closed in it."""
    opened: list[tuple[int, bool]] = []
    cut, is_value = 0, False
    for token in _TOKEN.finditer(before):
        if token["open"]:
            opened.append((token.start(), token[0] == "{" and _STYLE.search(before, 0, token.start()) is not None))
        elif token["close"]:
            if opened:
                opened.pop()
        elif all(is_style for _, is_style in opened):
            cut, is_value = token.end(), token[0] == "="
    inner = sum(at >= cut for at, _ in opened)
    for token in _TOKEN.finditer(after):
        if token["open"]:
            inner += 1
        elif token["close"]:
            inner -= 1
            if inner < 0:
                return before[cut:], after[: token.start()]
        elif inner == 0:
            tail = "" if is_value and not before[cut:].strip() and _RELATED.match(after) else after[: token.start()]
            value = _ENDS_IN_NUMBER.match(after, token.start())
            return before[cut:], tail + (value[0].rstrip(".,;$& ") if value else "")
    return before[cut:], "" if is_value and not before[cut:].strip() and _RELATED.match(after) else after


def without_boxes(formula: str) -> str:
    """The formula with the contents of its boxes in their places."""
    while (box := _BOX.search(formula)) is not None:
        end = closing_brace(formula, box.end() - 1)
        inside = formula[box.end() : end] if end >= 0 else formula[box.end() :]
        formula = formula[: box.start()] + inside + (formula[end + 1 :] if end >= 0 else "")
    return formula
