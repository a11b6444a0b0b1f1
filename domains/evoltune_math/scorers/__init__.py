"""Published scorers, bug for bug, as profiles: for comparisons with published numbers, never for data or rewards.

    profiles["wizardmath"].verify(task, "\\\\text{ a}\\\\text{ b}", context).status == "pass"   # the published defect

Each rule is stated where it is applied. Where the originals hand model text to SymPy (`parse_latex`, `sympify`), ours
reads it with our own parser: nothing is executed, and a difference can only come from a form that the two read differently.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

from evoltune.domain import Context, Extract, Profile, Verify
from evoltune.record import Task, Verdict
from evoltune_math.answers.equality.expressions import Expressions
from evoltune_math.answers.kinds import Value
from evoltune_math.answers.policy import Policy
from evoltune_math.answers.reading.cleanup import closing_brace as balanced
from evoltune_math.answers.reading.reader import read
from evoltune_math.extraction import last_match
from evoltune_math.scorers.hendrycks import NormaliserFault, normal_string

MAX_CHARS = 20_000
"""Longer answers are compared as strings; the originals would take seconds or hang."""
_STRICT = re.compile(r"#### (-?[0-9.,]+)")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_OPENAI = re.compile(r"^A: (-?[0-9.,]+)", re.M)
_WIZARD_NUMBER = re.compile(r"[-+]?\d*[.,/]?\d+")
_MINERVA_ANSWER = re.compile(r"Final Answer: The final answer is(.*?). I hope it is correct.", re.S)
_EXACT_ONLY = Policy(decimal_digits=0)

Same = Callable[[str, str], bool]


def _profile(
    extract: Callable[[str], str | None], same: Same, gold: Callable[[str], str] = lambda text: text
) -> Profile:
    def found(task: Task, response: str) -> str | None:
        return extract(response)

    def verify(task: Task, candidate: str, context: Context) -> Verdict:
        evidence = {"extracted": candidate[:2000]}
        if task.reference is None:
            return Verdict(status="unverifiable", reason="no reference", evidence=evidence)
        equal = same(candidate, gold(task.reference))
        return Verdict(
            status="pass" if equal else "fail", reason="" if equal else "not equal", evidence=evidence
        )

    chosen: tuple[Extract, Verify] = found, verify
    return Profile(version=1, extract=chosen[0], verify=chosen[1])


# ---- GSM8K -----------------------------------------------------------------------------------------------------------


def _strict(response: str) -> str | None:
    """lm-evaluation-harness, gsm8k, filter strict-match: the first `#### n`."""
    found = _STRICT.search(response)
    return found[1] if found else None


def _flexible(response: str) -> str | None:
    """lm-evaluation-harness, gsm8k, filter flexible-extract: the last run of digits, `$`, points and commas."""
    last = last_match(_FLEXIBLE, response)
    return (last[1] or last[2]) if last else None


def _harness_same(answer: str, reference: str) -> bool:
    """exact_match after removing `,`, `$`, everything up to `#### ` and a final point; case ignored."""
    return _harness(answer) == _harness(reference)


def _harness(text: str) -> str:
    text = text.replace(",", "").replace("$", "")
    return re.sub(r"\.$", "", text.rpartition("#### ")[2]).lower()


def _openai(response: str) -> str | None:
    """grade-school-math, the `A: n` form of the GPT-3 solutions: the first such line, commas removed."""
    found = _OPENAI.search(response)
    return found[1].strip().replace(",", "") if found else None


def _openai_gold(reference: str) -> str:
    found = _openai(reference) or _strict(reference)
    return (found or reference).replace(",", "").strip()


def _wizard_gsm8k(response: str) -> str | None:
    """WizardMath's GSM8K scorer: behind the last `The answer is: `, the first number, rounded to a whole one."""
    parts = response.split("The answer is: ")
    if len(parts) < 2:
        return None
    found = _WIZARD_NUMBER.search(parts[-1].strip())
    if found is None:
        return None
    top, slash, bottom = found[0].replace(",", "").partition("/")
    try:
        if not slash:
            value = float(top)
        elif not bottom.isdigit() or not top.lstrip("+-").isdigit():
            return None
        else:
            value = float(top) if int(bottom) == 0 else int(top) / int(bottom)
        return str(round(value))
    except (ValueError, OverflowError):
        return None


def _same_number(answer: str, reference: str) -> bool:
    value = _number(answer)
    return value is not None and value == _number(reference.rpartition("#### ")[2])


# ---- MATH ------------------------------------------------------------------------------------------------------------


def _last_box(response: str) -> str | None:
    """The content of the last `\\\\boxed{}` or `\\\\fbox{}`, braces balanced."""
    at = max(response.rfind("\\boxed"), response.rfind("\\fbox"))
    start = response.find("{", at) if at >= 0 else -1
    end = balanced(response, start) if start >= 0 else -1
    return response[start + 1 : end] if end > 0 else None


def _hendrycks_same(answer: str, reference: str) -> bool:
    """hendrycks/math is_equiv: equal after the normaliser; the raw strings when it raises."""
    try:
        return normal_string(answer) == normal_string(reference)
    except NormaliserFault:
        return answer == reference


def _wizard_math(response: str) -> str | None:
    """WizardMath's MATH scorer: behind the last `The answer is: `, up to a point at the end of a line."""
    parts = response.split("The answer is: ")
    if len(parts) < 2:
        return None
    answer = parts[-1].strip().partition(".\n")[0]
    return answer.removesuffix(".").strip()


def _wizard_same(answer: str, reference: str) -> bool:
    """Normalised, then `math_equal`. After an exception the original compares the prediction with itself: a pass."""
    try:
        a, b = normal_string(answer), normal_string(reference)
    except NormaliserFault:
        return True
    return a == b or math_equal(a, b)


def math_equal(answer: str, reference: str) -> bool:
    """Relative tolerance 1e-4 against the reference, a hundredth and a hundred times it; brackets off; then symbolic."""
    x, y = _number(answer), _number(reference)
    if x is not None and y is not None:
        return any(math.isclose(float(item), float(x), rel_tol=1e-4) for item in (y / 100, y, y * 100))
    if not answer:
        return False
    a, b = answer.strip(), reference.strip()
    if (_in(a, "[]") and _in(b, "()")) or (_in(a, "()") and _in(b, "[]")):
        a, b = a.strip("[]()"), b.strip("[]()")
    if re.sub(r"[{}()]", "", a) == re.sub(r"[{}()]", "", b):
        return True
    if (_in(a, "[]") and _in(b, "[]")) or (_in(a, "()") and _in(b, "()")):
        parts, others = a[1:-1].split(","), b[1:-1].split(",")
        if (
            len(parts) == len(others) <= 50
            and len(parts) > 1
            and all(math_equal(p, q) for p, q in zip(parts, others, strict=True))
        ):
            return True
    return _symbolic(a, b)


def _in(text: str, brackets: str) -> bool:
    return text.startswith(brackets[0]) and text.endswith(brackets[1])


def _number(text: str) -> Decimal | None:
    plain = text.replace(",", "").strip()
    if len(plain) > 400 or not re.fullmatch(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", plain):
        return None
    return Decimal(plain)


def _symbolic(a: str, b: str) -> bool:
    """Two expressions that are equal; anything else (sets, words, relations) the originals fail to parse."""
    if max(len(a), len(b)) > MAX_CHARS:
        return False
    x, y = read(a), read(b)
    return isinstance(x, Value) and isinstance(y, Value) and Expressions(_EXACT_ONLY).equal(x.node, y.node)


# ---- Minerva ---------------------------------------------------------------------------------------------------------

_SUBSTITUTED = (
    ("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text"), (",\\text{and}", ","),
    ("\\text{and}", ","), ("\\text{m}", "\\text{}"),
)  # fmt: skip
_DROPPED = (
    "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units", "\\ldots", "sue", "points", "feet", "minutes",
    "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals", "edges", "students", "childrentickets", "multiples",
    "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}", "\\mathrm{th}", "^\\circ", "^{\\circ}",
    "\\;", ",\\!", "{,}", '"', "\\dots",
)  # fmt: skip


def _minerva(response: str) -> str | None:
    """Between `Final Answer: The final answer is` and `. I hope it is correct.`; otherwise the last box."""
    found = _MINERVA_ANSWER.search(response)
    return found[1].strip() if found else _last_box(response)


def minerva_string(text: str) -> str:
    """The normaliser of Lewkowycz et al. 2022, appendix D.1."""
    text = text.split("=")[-1][:MAX_CHARS]
    for old, new in _SUBSTITUTED:
        text = text.replace(old, new)
    for piece in _DROPPED:
        text = text.replace(piece, "")
    dollars = text.find("$"), text.rfind("$")
    if 0 <= dollars[0] < dollars[1]:
        text = text[dollars[0] + 1 : dollars[1]]
    for command in ("text", "textbf", "overline", "boxed"):
        text = re.sub(rf"\\{command}\{{([^{{}}]*)\}}", r"\1", text)
    text = re.sub(r"frac([^{])(.)", r"frac{\1}{\2}", text)
    text = re.sub(r"sqrt([^{])", r"sqrt{\1}", text).replace("$", "")
    return text.replace(",", "") if text.replace(",", "").isdigit() else text


def _minerva_same(answer: str, reference: str) -> bool:
    a, b = minerva_string(answer), minerva_string(reference)
    return a == b or _symbolic(a, b)


profiles: dict[str, Profile] = {
    "sound": Profile(version=1),
    "hendrycks": _profile(_last_box, _hendrycks_same),
    "minerva": _profile(_minerva, _minerva_same),
    "wizardmath": _profile(_wizard_math, _wizard_same),
    "wizardmath-gsm8k": _profile(_wizard_gsm8k, _same_number),
    "gsm8k-strict": _profile(_strict, _harness_same),
    "gsm8k-flexible": _profile(_flexible, _harness_same),
    "openai-A": _profile(_openai, lambda a, b: a == b, _openai_gold),
}
