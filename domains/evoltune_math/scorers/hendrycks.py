r"""The scorer of the MATH benchmark (Hendrycks et al. 2021, github.com/hendrycks/math): strings after a normaliser.

    normal_string("\\dfrac12")   # "\\frac{1}{2}"

The normaliser raises where the published one raises: two `\text{ ` in one answer, and a `\\sqrt` at the very end.
WizardMath turns these exceptions into passes.
"""

import re

from evoltune_math.answers.reading.cleanup import closing_brace

_SPACING = ("\n", "\\!")
_REMOVED = ("\\left", "\\right", "^{\\circ}", "^\\circ", "\\$")


class NormaliserFault(Exception):
    """The published code would have raised here."""


def last_box(response: str) -> str | None:
    """The content of the last `\\boxed{}` or `\\fbox{}`, braces balanced."""
    at = max(response.rfind("\\boxed"), response.rfind("\\fbox"))
    start = response.find("{", at) if at >= 0 else -1
    end = closing_brace(response, start) if start >= 0 else -1
    return response[start + 1 : end] if end > 0 else None


def same(answer: str, reference: str) -> bool:
    """`is_equiv`: equal after the normaliser; the raw strings if it raises."""
    try:
        return normal_string(answer) == normal_string(reference)
    except NormaliserFault:
        return answer == reference


def normal_string(text: str) -> str:
    """The normal form of a MATH answer. Raises `NormaliserFault` where the published code fails."""
    for piece in _SPACING:
        text = text.replace(piece, "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    for piece in _REMOVED:
        text = text.replace(piece, "")
    text = _without_units(text).replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    text = _braced_fractions(_braced_roots(text).replace(" ", ""))
    return _slashed("\\frac{1}{2}" if text == "0.5" else text)


def _without_units(text: str) -> str:
    if "\\text{ " not in text:
        return text
    parts = text.split("\\text{ ")
    if len(parts) != 2:
        raise NormaliserFault("two units")
    return parts[0]


def _braced_roots(text: str) -> str:
    if "\\sqrt" not in text:
        return text
    head, *tails = text.split("\\sqrt")
    for tail in tails:
        if not tail:
            raise NormaliserFault("a root of nothing")
        head += "\\sqrt" + (tail if tail[0] == "{" else f"{{{tail[0]}}}{tail[1:]}")
    return head


def _braced_fractions(text: str) -> str:
    """`\\frac12` and `\\frac1{2}` with braces; if a fraction is cut short, the text is unchanged."""
    head, *tails = text.split("\\frac")
    if not tails:
        return text
    for tail in tails:
        head += "\\frac"
        if not tail:
            raise NormaliserFault("a fraction of nothing")
        if tail[0] == "{":
            head += tail
        elif len(tail) < 2:
            return text
        elif tail[1] == "{":
            head += f"{{{tail[0]}}}{tail[1:]}"
        else:
            head += f"{{{tail[0]}}}{{{tail[1]}}}{tail[2:]}"
    return head


def _slashed(text: str) -> str:
    """`3/4` of two whole numbers becomes a `\\frac`."""
    parts = text.split("/")
    if len(parts) != 2 or not all(re.fullmatch(r"\s*[+-]?\d{1,4000}(?:_\d+)*\s*", p) for p in parts):
        return text
    top, bottom = (int(p.strip()) for p in parts)
    return f"\\frac{{{top}}}{{{bottom}}}" if text == f"{top}/{bottom}" else text
