"""Notations of one thing in one form, before the text is parsed: combinations, congruences, statistics, fractions of units.

in_one_notation("C_5^2")  ->  "\\operatorname{binom}(5,2)";   with_multiplicity("3 (double root), 1")  ->  ("3, 1", "3, 3, 1")
"""

import re

from evoltune_math.answers.reading.cleanup import closing_brace
from evoltune_math.answers.units import known
from evoltune_math.answers.vocabulary import FUNCTIONS, word_set

_INT = r"(?:\{(\d+)\}|(\d+))"
_COMBINATIONS = (
    (re.compile(rf"(?<![\w\\])([CPA])_{_INT}\^{_INT}"), (2, 1, 4)),
    (re.compile(rf"(?:\{{\s*\}}|\\,)?\s?[_^]{_INT}\s?(?:\\mathrm\{{|\\text\{{)?([CP])\}}?_{_INT}"), (1, 3, 4)),
    (re.compile(rf"(?<![\w\\])(\d+)()([CP])_?{_INT}(?!\w)"), (1, 3, 4)),
    (re.compile(r"(?<![\w\\])([CP])\((\d+)(),\s?(\d+)()\)"), (2, 1, 4)),
)
"""Patterns of `C_5^2`, `{}_5C_2`, `5C2`, `C(5,2)`, and their groups of the top, the letter, the bottom (a number has two)."""
_SET_BUILDER = re.compile(r"^\{\s*\\?[A-Za-z()., ]{1,12}\s*(?:\||:|\\mid|\\in)")
_INNER_SET = re.compile(r"(?:(?<=,)|(?<=^\{))\s*\{([^{}]*)\}(?=\s*[,}])")
"""The `{2}` of `{1, {2}}`."""
_ROWS = re.compile(r"\\begin\{(align\*?|aligned|split|eqnarray\*?|gather\*?|gathered)\}(.*?)\\end\{\1\}", re.S)
_LETTER = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_PARAMETER = re.compile(r"\(\s?([a-z])\s?\\in\s?\\math(?:bb|bf|rm)\s?\{?\s?([ZNR])\}?[^()]{0,6}\)$")
_NAMED_LINE = re.compile(r"l\s?:\s?(?=[^:]*=[^:]*$)(?=[^a-z]*[xy])")
"""The name of `l: x - 2y = 1`."""
_FACTORIAL = re.compile(r"(?<![\w\\{])factorial\(")
_RATIONAL = re.compile(r"(?<![\w\\])(?:Rational|Fraction)\(\s?(-?\d+),\s?(\d+)\s?\)")
_ENDS = r"([^(),]*(?:\([^()]*\)[^(),]*)*)"
_INTERVAL = re.compile(rf"(?<![\w\\])Interval(?:\.(open|Lopen|Ropen))?\({_ENDS},{_ENDS}\)")
"""SymPy's intervals, which are closed unless they say otherwise."""
_ROOT_OF = re.compile(r"\\root\s*\{?\s*([^\s{}\\]{1,9}?)\s*\}?\s*\\of(?![A-Za-z])")
_LISTED = re.compile(
    r"((?:numbers|values|terms|integers|answers|solutions|roots|lengths|digits) are:?\s)(-?\d+(?: -?\d+){1,20})(?=\W*$)"
)
"""Several numbers with blanks between them, which are no thousands: `The numbers are 100 200 300.`"""
_REPEATING = re.compile(r"(-?(?:[a-z]\s?=\s?-?)?\d+),(\d*\(\d+\))")
"""A repeating decimal with a comma: `0,(6)`."""
_SET_IN_BRACES = re.compile(r"(\\in\s*)\{([^{}\\]*,[^{}]*)\}")
"""`k \\in {1, 2, 3}` with plain braces."""
_EXPONENT_MARK = re.compile(r"(?<=\d)\s*\\(?:text|mathrm)\{\s*[eE]\s*\}\s*(?=[+-]?\d)")
_STATISTIC = re.compile(
    r"\s?(?:\\(?:mathbb|mathrm|mathsf|operatorname|text)\s?\{?\s?)?\\?(E|Pr|P|Var|Cov)\}?\s?(?:\\left\s?)?[\[(]([\w, |\\]{1,20}?)(?:\\right\s?)?[\])]\s?="
)
"""An expected value, a probability, a variance at the start: `\\mathbb{E}[X] =`."""
_UNIT_FRACTION = re.compile(
    r"(-?\d[\d.,]*)(?:\s|\\[,;: ]|~)+\\[dt]?frac\s?\{(?:\\(?:text|mathrm|rm)\s?)?\{?\s?([A-Za-z]{1,8})\s?\}{1,2}"
    r"\s?\{(?:\\(?:text|mathrm|rm)\s?)?\{?\s?([A-Za-z]{1,8})\s?\}?(\^\{?[23]\}?)?\s?\}"
)
"""A number, a space and a fraction of units: `5 \\frac{\\text{m}}{\\text{s}^2}`."""
_UNITS_BELOW = re.compile(
    r"((?:\d|\})(?:\s|\\[,; ]|~)*(?:\\(?:text|mathrm|rm)\s?\{\s*)?)([A-Za-z]{1,8})\s?/\s?\(\s?([A-Za-z]{1,8}(?:(?:\s|\\cdot|\\[,; ]|[*·.])+[A-Za-z]{1,8}){1,3})\s?\)"
)
_LONE_FUNCTION = re.compile(
    r"(?<![\w\\{])\\?(?:(?:mathrm|operatorname|text)\s?\{\s?)?(min|max|lcm|gcd|arg|deg|dim|rank)\s?\}?\s?="
)
"""The name of a function that only names a value: `max = 8`."""
_CONGRUENCE = re.compile(r"\(\s*(?:\\(?:text|mathrm)\{)?\s*mod(?:ulo)?\b\s*\}?\s*([^()]{1,20})\)")
_FUNCTION_IN_TEXT = re.compile(r"\\(?:text|textrm|mathrm|mbox)\s?\{\s?([A-Za-z]{2,8})\s?\}(?=\s?(?:\\left\s?)?\()")
_CALL_IN_TEXT = re.compile(
    r"^\\(?:text|textrm|mathrm|mbox)\s?\{\s?([A-Za-z]{2,12})\s?\}(?=\([A-Za-z](?:,\s?[A-Za-z])*\)$)"
)
"""An unknown function of letters, as a whole answer: `\\text{foo}(x)`."""
_MULTIPLE = re.compile(
    r"([^\s,;{}()][^,;()]{0,30}?)\s*\((?:\\text\{)?\s*(?:(?:with |of |has )*multiplicity\s*(?:of )?\$?(\d|[a-z]+)\$?|(?:an? )?(double|triple|repeated|simple|single)(?: root)?)\s*\}?\)",
    re.I,
)
"""`3 (multiplicity 2)`, `3 (double root)`."""
_TIMES = {"one": 1, "two": 2, "three": 3, "four": 4, "double": 2, "repeated": 2, "triple": 3, "simple": 1, "single": 1}
MAX_MULTIPLICITY = 9
_OTHER_FUNCTIONS = word_set("round int trunc nint frac sign")


def in_one_notation(text: str) -> str:
    """The text with these notations as the parser reads them."""
    if text.startswith("\\begin{"):
        text = _last_row(text)
    if text[:1] == "{" and _SET_BUILDER.search(text) and closing_brace(text, 0) == len(text) - 1:
        text = "\\" + text[:-1] + "\\}"
    elif text[:1] == "{" and text[-1:] == "}" and "," in text:
        members, count = _INNER_SET.subn(r"\\{\1\\}", text)
        text = f"\\{members[:-1]}\\}}" if count else text
    if "C" in text or "P" in text or "A_" in text:
        text = _with_combinations(text)
    if "mod" in text:
        text = _CONGRUENCE.sub(r"\\pmod{\1}", text)
    if "=" in text:
        text = _LONE_FUNCTION.sub(r"\\text{the \1} =", _with_statistic(text))
        if "\\\\" in text and "begin" not in text:
            lines = text.split("\\\\")
            text = ", ".join(lines) if all("=" in line for line in lines) else text
    if "\\in" in text:
        text = _SET_IN_BRACES.sub(r"\1\\{\2\\}", text)
    if "{E}" in text or "{e}" in text:
        text = _EXPONENT_MARK.sub("e", text)
    if "frac" in text:
        text = _with_unit_fraction(text)
    if "actorial(" in text or "Rational(" in text or "Fraction(" in text:
        text = _RATIONAL.sub(r"\\frac{\1}{\2}", _FACTORIAL.sub(r"\\operatorname{factorial}(", text))
    if " are" in text:
        text = _LISTED.sub(lambda m: m[1] + m[2].replace(" ", ", "), text)
    if text[-1:] == ")" and "," in text and (found := _REPEATING.fullmatch(text)):
        text = f"{found[1]}.{found[2]}"
    if "Interval" in text:
        text = _INTERVAL.sub(_as_interval, text)
    if "\\root" in text:
        text = _ROOT_OF.sub(r"\\sqrt[\1]", text)
    if "(" in text and "/" in text:
        text = _UNITS_BELOW.sub(_each_below, text)
    if "(" in text and "{" in text:
        text = _CALL_IN_TEXT.sub(r"\\operatorname{\1}", _FUNCTION_IN_TEXT.sub(_as_function, text))
    if text[:1] == "l":
        text = _NAMED_LINE.sub("", text)
    return _PARAMETER.sub(_as_member, text)


def _as_member(found: re.Match[str]) -> str:
    """`, k \\in \\mathbb{Z}` for a letter that stands for whole numbers, or for reals."""
    return f", {found[1]} \\in \\mathbb{{{'R' if found[2] == 'R' else 'Z'}}}"


def with_multiplicity(text: str) -> tuple[str, str] | None:
    """The roots of the text once each, and each as often as it says; None where it says nothing."""
    if "multiplicity" not in text and "root)" not in text:
        return None
    once = _MULTIPLE.sub(r"\1", text)
    return (once, _MULTIPLE.sub(_repeated, text)) if once != text else None


def _with_combinations(text: str) -> str:
    """`{}_5C_2`, `5C2`, `C_5^2` and `C(5,2)` as function calls."""
    for pattern, (top, letter, bottom) in _COMBINATIONS:

        def call(m: re.Match[str], top: int = top, letter: int = letter, bottom: int = bottom) -> str:
            name = "binom" if m[letter] == "C" else "perm"
            of, chosen = m[top] or m[top + 1], m[bottom] or m[bottom + 1]
            if m[0].endswith(")") and int(chosen[:9]) > int(of[:9]):  # the point P(3, 4)
                return m[0]
            return f"\\operatorname{{{name}}}({of},{chosen})"

        text = pattern.sub(call, text)
    return text


def _with_unit_fraction(text: str) -> str:
    """`5 \\frac{m}{s}` as `5 \\text{ m/s}`, where both are units."""
    found = _UNIT_FRACTION.fullmatch(text)
    if found is None or not known(found[2]) or not known(found[3]):
        return text
    return f"{found[1]} \\text{{ {found[2]}/{found[3]}{found[4] or ''}}}"


def _each_below(found: re.Match[str]) -> str:
    """`5 J/(mol K)` as `5 J/mol/K`, where all are units."""
    units = [found[2], *re.findall(r"[A-Za-z]+", found[3].replace("cdot", ""))]
    return f"{found[1]}{'/'.join(units)}" if all(map(known, units)) else found[0]


def _repeated(found: re.Match[str]) -> str:
    times = found[2] or found[3]
    count = int(times) if times.isdigit() else _TIMES.get(times.lower(), 1)
    return ", ".join([found[1]] * min(count, MAX_MULTIPLICITY))


def _as_function(found: re.Match[str]) -> str:
    """`\\text{floor}(x)` as a call; other words before a bracket are words."""
    name = found[1]
    return f"\\operatorname{{{name}}}" if name in FUNCTIONS or name in _OTHER_FUNCTIONS else found[0]


def _last_row(text: str) -> str:
    """What a computation over several rows comes to: its last row, with the name of the first one where it has none."""
    found = _ROWS.fullmatch(text)
    rows = [row.replace("&", " ").strip(" \n,.") for row in re.split(r"\\\\", found[2])] if found else []
    rows = [row for row in rows if row]
    if len(rows) < 2 or "=" not in rows[0]:
        return text
    left, is_equation, right = rows[-1].partition("=")
    if is_equation and not left.strip():
        return f"{rows[0].partition('=')[0]} = {right}"
    letters = {letter for row in rows for letter in _LETTER.findall(row)}
    is_solved = letters == {left.strip()} and rows[0].partition("=")[0].strip() not in letters
    return rows[-1] if is_solved else text


def _as_interval(found: re.Match[str]) -> str:
    """`Interval.Ropen(0, 1)` as `[0, 1)`."""
    left = "(" if found[1] in ("open", "Lopen") else "["
    right = ")" if found[1] in ("open", "Ropen") else "]"
    return f"{left}{found[2]},{found[3]}{right}"


def _with_statistic(text: str) -> str:
    """`\\mathbb{E}[X] = 5` as `E(X) = 5`."""
    found = _STATISTIC.match(text)
    return f"{found[1][0]}({found[2]}) = {text[found.end() :]}" if found else text
