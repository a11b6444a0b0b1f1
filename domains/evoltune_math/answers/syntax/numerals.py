"""Numbers as people write them: `1,234`, `1{,}234`, `1\\,234`, `1 234`, `1.234,5`, `0.1\\overline{6}`, `0.333...`, `2.8e4`.

NumeralReader("1,234 apples").read(0, "") -> Numeral(literal="1234", value=1234, decimal=False, end=5)
"""

import re
from fractions import Fraction
from typing import NamedTuple

from evoltune_math.answers.syntax.grammar import Unreadable
from evoltune_math.answers.units import known

MAX_DIGITS = 4_000
_SEPARATOR = r"\ ?\{,\ ?\}\ ?|,\\!\ ?|,|\\[,;:! ]|~|'|_|\ "
_RUN = re.compile(rf"\d+(?P<sep>{_SEPARATOR})\d+(?:(?P=sep)\d+)*")
_DIGITS = re.compile(r"\d+")
_PLAIN = re.compile(r"\d{1,15}(?![\d.,'_~\\ {eE])")
"""An integer with nothing after it that could belong to it: most numbers, read in half the time."""
_DOTTED = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+(?![\d,])|\d{1,3}(?:\.\d{3}){2,}(?![\d.])")
_DECIMALS = re.compile(r"\.(\d*)")
_DOT = r"\\dot\s*(?:\{\d\}|\d)"
_REPEAT = re.compile(
    rf"(?P<dotted>{_DOT}\d*{_DOT})|\\(?:overline|bar|overbar|dot)\s*(?:\{{(\d+)\}}|(\d))|\((\d+)\)(?![\d(])"
)
"""What repeats behind a decimal point: `\\overline{12}`, `(12)`, or from a dot to the next one, `\\dot{1}4\\dot{2}`."""
_EXPONENT = re.compile(r"[eE]([+-]?\d+)(?![A-Za-z_^])")
_ELLIPSIS = re.compile(r"\s*(?:\.\.\.|\\[lc]?dots)")
_COMMA_TAIL = re.compile(r",(\d+)(?![\d,])")
_UNIT_AFTER = re.compile(r"[\s~]*(?:\\,|\\ )?\s*(?:\\(?:text|mathrm)\{\s*~?)?([A-Za-z]{1,12}\b)|[\s~]*\\?%")
_CURRENCY = re.compile(r"\s*(?:\\?\$|\\(?:euro|pounds|yen|rupee))")
_MORE_ITEMS = re.compile(r"[^()\[\]]{0,120}?,\s")


class Numeral(NamedTuple):
    literal: str
    value: Fraction
    decimal: bool  # written with a decimal point, and neither repeating nor a whole number
    end: int  # position after the number


class NumeralReader:
    """Reads the numbers of one text. It keeps what it has ruled out, so that long runs of digits take linear time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.dollars_are_paired = text.count("$") % 2 == 0 and "\\$" not in text
        self.refused = (0, "")

    def read(self, start: int, bracket: str) -> Numeral:
        """The number at `start`. `bracket`: the innermost open bracket, or "". Raises `Unreadable` for huge numbers."""
        text = self.text
        plain = _PLAIN.match(text, start)
        if plain:
            return Numeral(plain[0], Fraction(int(plain[0])), False, plain.end())
        whole, decimals, at = self._integer(start, bracket)
        exact = decimals is None
        if decimals is None:
            point = _DECIMALS.match(text, at)
            if point and not (point[1] == "" and text[at : at + 3] == "..."):
                decimals, at, exact = point[1], point.end(), point[1] == ""
        tail = decimals or ""
        if len(whole) + len(tail) > MAX_DIGITS:
            raise Unreadable(f"a number of {len(whole) + len(tail)} digits, the limit is {MAX_DIGITS}")
        value = Fraction(int(whole or "0") * 10 ** len(tail) + int(tail or "0"), 10 ** len(tail))
        repeat = _REPEAT.match(text, at) if decimals is not None else None
        if repeat:
            digits = "".join(filter(str.isdigit, repeat[0]))
            value += Fraction(int(digits), (10 ** len(digits) - 1) * 10 ** len(tail))
            at, exact = repeat.end(), True
        elif not exact and (ellipsis := _ELLIPSIS.match(text, at)):
            value, exact = _continued(whole, tail, value)
            at = ellipsis.end()
        exponent = _EXPONENT.match(text, at)
        if exponent:
            value, at = value * _power_of_ten(exponent[1]), exponent.end()
        literal = text[start:at] if repeat or exponent else whole + ("" if exact else "." + tail)
        return Numeral(literal, value, not exact, at)

    def _integer(self, start: int, bracket: str) -> tuple[str, str | None, int]:
        """(digits before the decimal mark without separators, digits after a decimal comma, position after them)."""
        text = self.text
        dotted = _DOTTED.match(text, start)
        if dotted:
            whole, comma, tail = dotted[0].partition(",")
            return whole.replace(".", ""), tail if comma else None, dotted.end()
        plain = _DIGITS.match(text, start)
        whole = plain[0] if plain else ""
        known = start < self.refused[0] and text.startswith(self.refused[1], start + len(whole))
        run = None if known else _RUN.match(text, start)
        if run:
            mark, end = run["sep"], run.end()
            groups = run[0].split(mark)
            if self._is_grouped(mark, groups, end, bracket):
                behind = _COMMA_TAIL.match(text, end) if "," not in mark and not bracket else None
                return "".join(groups), behind[1] if behind else None, behind.end() if behind else end
            before_slash = mark.isspace() and text[end : end + 1] == "/"
            if before_slash and len(groups) > 2 and self._is_grouped(mark, groups[:-1], start, bracket):
                # `1 000 4/9` is a mixed number
                return "".join(groups[:-1]), None, end - len(groups[-1]) - len(mark)
            if self._is_decimal_comma(mark, groups, end, bracket):
                return groups[0], groups[1], end
            self.refused = end, mark  # the rest of this run is no number either
        return whole, None, start + len(whole)

    def _is_grouped(self, mark: str, groups: list[str], end: int, bracket: str) -> bool:
        """Whether `groups` are the thousands of one number."""
        if len(groups[0]) > 3 or any(len(g) != 3 for g in groups[1:]) or groups[0][0] == "0":
            return False
        if mark in (" ", "~", "\\ ", "\\;", "\\:") and self.text[end : end + 1] == "/":
            return False  # `11 125/126` is a mixed number
        if mark != "," or not bracket:
            return True
        if any(g[0] == "0" for g in groups[1:]) and "000" in groups[1:]:
            return True
        return bracket != "{" and bool(_MORE_ITEMS.match(self.text[end : end + 130]))

    def _is_decimal_comma(self, mark: str, groups: list[str], end: int, bracket: str) -> bool:
        """`1000,99`, `0,111`, `2,74 $` and `2{,}5`; never `1,2`, which is a list."""
        if len(groups) != 2:
            return False
        if "{" in mark:
            return True
        if mark != "," or bracket:
            return False
        if (len(groups[0]) > 3 and len(groups[1]) <= 2) or (groups[0] == "0" and len(groups[1]) > 1):
            return True
        if (groups[1][0] == "0" and groups[1].strip("0")) or len(groups[1]) > 4:  # `2,00625`
            return True
        if len(groups[1]) != 3 and (unit := _UNIT_AFTER.match(self.text, end)) and (not unit[1] or known(unit[1])):
            return True
        return len(groups[1]) == 2 and not self.dollars_are_paired and bool(_CURRENCY.match(self.text, end))


def _power_of_ten(digits: str) -> Fraction:
    power = int(digits[:9])
    if abs(power) > MAX_DIGITS:
        raise Unreadable(f"a power of ten of {power}, the limit is {MAX_DIGITS}")
    return Fraction(10) ** power


def _continued(whole: str, tail: str, value: Fraction) -> tuple[Fraction, bool]:
    """(value, whether it repeats): `0.333...` is one third. A block fills the tail three times, or twice if long."""
    for start in range(min(4, len(tail))):
        for size in range(1, 7):
            block, rest = tail[start : start + size], tail[start:]
            if len(rest) < max(3, 2 * size) or not block.strip("0"):
                continue
            if (block * (len(rest) // size + 1)).startswith(rest):
                shift = 10**start
                head = Fraction(int(whole or "0") * shift + int(tail[:start] or "0"), shift)
                return head + Fraction(int(block), (10**size - 1) * shift), True
    return value, False
