"""Minerva (Lewkowycz et al. 2022, appendix D.1): strings after its normaliser, then expressions."""

import re

from evoltune_math.scorers.expressions import MAX_CHARS, same_expression
from evoltune_math.scorers.hendrycks import last_box

_FINAL = re.compile(r"Final Answer: The final answer is(.*?). I hope it is correct.", re.S)
_SUBSTITUTED = (
    ("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text"), (",\\text{and}", ","),
    ("\\text{and}", ","), ("\\text{m}", "\\text{}"),
)  # fmt: skip
_REMOVED = (
    "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units", "\\ldots", "sue", "points", "feet", "minutes",
    "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals", "edges", "students", "childrentickets", "multiples",
    "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}", "\\mathrm{th}", "^\\circ", "^{\\circ}",
    "\\;", ",\\!", "{,}", '"', "\\dots",
)  # fmt: skip


def final_answer(response: str) -> str | None:
    """Between `Final Answer: The final answer is` and `. I hope it is correct.`; otherwise the last box."""
    found = _FINAL.search(response)
    return found[1].strip() if found else last_box(response)


def normal_string(text: str) -> str:
    text = text.split("=")[-1][:MAX_CHARS]
    for old, new in _SUBSTITUTED:
        text = text.replace(old, new)
    for piece in _REMOVED:
        text = text.replace(piece, "")
    start, end = text.find("$"), text.rfind("$")
    if 0 <= start < end:
        text = text[start + 1 : end]
    for command in ("text", "textbf", "overline", "boxed"):
        text = re.sub(rf"\\{command}\{{([^{{}}]*)\}}", r"\1", text)
    text = re.sub(r"frac([^{])(.)", r"frac{\1}{\2}", text)
    text = re.sub(r"sqrt([^{])", r"sqrt{\1}", text).replace("$", "")
    return text.replace(",", "") if text.replace(",", "").isdigit() else text


def same(answer: str, reference: str) -> bool:
    a, b = normal_string(answer), normal_string(reference)
    return a == b or same_expression(a, b)
