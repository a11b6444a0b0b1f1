"""The text of an answer before it is parsed: broken escapes repaired, signs in ASCII, delimiters and boxes taken off.

normalised("$\\\\boxed{x²}$.") -> "x^{2}"
"""

import html
import re
import unicodedata
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
MAX_WRAPPERS = 12
MAX_SHORT = 1_000
CACHED_SHORT, CACHED_LONG = 4_096, 16
"""How many results are cached for short and for long texts: the tree of a long text may take a megabyte."""
_DELIMITERS = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]", "**": "**", "`": "`", "'": "'", '"': '"'}
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.S)
_SPACES = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?")
_FRACTION = re.compile(r"(-?)\\[dt]?frac\{(\d{1,18})\}\{(\d{1,18})\}|(-?\d{1,18})/(\d{1,18})")
_BROKEN_ESCAPES = str.maketrans({"\x0c": "\\f", "\x08": "\\b"})
_BLANKS = re.compile(r"\s{9,}")
_MODULE = re.compile(
    r"(?<![\w.])(?:math|np|numpy|sympy)\.(?=(?:sqrt|pi|exp|log\w*|a?(?:rc)?(?:sin|cos|tan)h?|factorial|comb|floor|ceil|cbrt|Rational|[eEI])\b)"
)
"""The module before a name of Python: `math.sqrt(2)`."""
_TAB = re.compile(r"\t(?=(?:ext|imes|frac|heta|an)\b)")
_NOT_EQUAL = re.compile(r"\\not\s?=")
_ROW_SKIP = re.compile(r"\\\\\[-?[\d.]+\s?(?:pt|em|ex|mm|cm|in|mu)\]")
"""The space between two rows: `\\\\[2pt]`."""
_SPACE_BEFORE_PERCENT = re.compile(r"(?<=\d)(?:\\[,;:!]\s?|~)(?=\\?%)")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z]{2,}|[\[\](){},;!])")
_ENTITY = re.compile(r"&(?:[A-Za-z]{2,8}\d?|[a-z]{4}\d\d|#\d{1,5});")
_TAG = re.compile(r"<(/?)(sup|sub|b|i|u|p|em|br|strong|span|div|code|var|mark)(?:\s[^<>]*)?/?>")
_SYSTEM_BRACE = re.compile(r"\\left\s?\\\{(?=\s?\{?\s?\\begin)")
# Unicode signs become ASCII or LaTeX, so that the lexer needs to know only these: `x²` -> `x^{2}`, `१२` -> `12`,
# `¾` -> ` \frac{3}{4}`, `≤` -> `\le `.
_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+-=()ni", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₙₖₘ", "0123456789+-=()aeoxnkm", strict=True))
_SIGNS = {
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "÷": r"\div ", "∕": "/", "⁄": "/",
    "−": "-", "–": "-", "—": "-", "‒": "-", "‐": "-", "‑": "-", "﹣": "-", "±": r"\pm ", "∓": r"\mp ",
    "≤": r"\le ", "⩽": r"\le ", "≦": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "≃": r"\approx ",
    "≅": r"\cong ", "∼": r"\sim ", "≡": r"\equiv ", "∝": r"\propto ", "∞": r"\infty ", "√": r"\sqrt ", "∛": r"\cbrt ",
    "∜": r"\fourthroot ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∉": r"\notin ", "∅": r"\emptyset ", "⌀": r"\emptyset ",
    "∖": r"\setminus ", "⊂": r"\subset ", "⊆": r"\subseteq ", "∣": "|", "∥": r"\parallel ", "‖": r"\| ", "°": r"^{\circ}", "º": r"^{\circ}", "˚": r"^{\circ}",
    "℃": r"^{\circ}C", "℉": r"^{\circ}F", "′": "'", "″": "''", "’": "'", "‘": "'", "“": '"', "”": '"', "…": r"\ldots ", "⋯": r"\ldots ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "〈": r"\langle ", "〉": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ",
    "⌉": r"\rceil ", "∫": r"\int ", "∑": r"\sum ", "∏": r"\prod ", "∂": r"\partial ", "∠": r"\angle ", "△": r"\triangle ",
    "⊥": r"\perp ", "→": r"\to ", "⇒": r"\Rightarrow ", "⟹": r"\Rightarrow ", "⇔": r"\Leftrightarrow ", "∧": r"\wedge ", "∨": r"\vee ",
    "∴": r"\therefore ", "¬": r"\neg ", "∀": r"\forall ", "∃": r"\exists ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "ℂ": r"\mathbb{C}", "ⅈ": "i", "ⅇ": "e", "ℯ": "e", "∶": ":", "：": ":", "，": ",", "、": ",", "。": ".", "；": ";", "（": "(", "）": ")",
    "［": "[", "］": "]", "｛": "{", "｝": "}", "【": "[", "】": "]", "٪": "%", "٫": ".", "٬": ",", "µ": r"\mu ", "Ω": r"\Omega ",
    "€": r"\euro ", "£": r"\pounds ", "¥": r"\yen ", "￥": r"\yen ", "₹": r"\rupee ", "¢": r"\cent ", "⊕": r"\oplus ", "∘": r"\circ ",
    "\u00a0": " ", "\u2009": r"\,", "\u202f": r"\,", "\u2007": r"\,", "\u200a": r"\,", "\u2002": " ", "\u2003": " ", "\u3000": " ",
    "\u200b": "", "\u200c": "", "\u200d": "", "\ufeff": "", "\u2061": "", "\u2062": "", "\u2063": "", "\u00ad": "",
}  # fmt: skip
_SIGNS |= {chr(0x2460 + k): f" ({k + 1}), " for k in range(20)}
_GREEK = {
    **dict(zip("αβγδεζηθικλμνξπρστυφχψωϕϵ", "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma "
               "tau upsilon phi chi psi omega phi epsilon".split(), strict=True)),
    **dict(zip("ΓΔΘΛΞΠΣΥΦΨ", "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi".split(), strict=True)),
}  # fmt: skip
_TABLE = str.maketrans({**_SIGNS, **{k: f"\\{v} " for k, v in _GREEK.items()}})
_SUPER_RUN = re.compile(f"[{''.join(map(re.escape, _SUPER))}]+")
_SUB_RUN = re.compile(f"[{''.join(map(re.escape, _SUB))}]+")
_ROOT_INDEX = re.compile(f"([{''.join(map(re.escape, _SUPER))}])√")
_EMPHASIS = re.compile(r"(?<![\w)*])(\*\*|__)(?=[^\s*_])([^\n]{1,200}?)(?<=[^\s*_])\1(?![\w*])")
_OVERLINE = re.compile("((?:\\d[\u0305\u0304])+)|(\\d)\u0307")


def without_emphasis(text: str) -> str:
    """Prose without Markdown's marks of bold words; `2**3` has none."""
    return _EMPHASIS.sub(r"\2", text) if "**" in text or "__" in text else text


def shorten_blanks(text: str) -> str:
    """A model that has lost its way writes blanks by the thousand, and a search would try each of them as a beginning."""
    return _BLANKS.sub(lambda blanks: "\n\n" if "\n" in blanks.group() else " ", text)


def repair_escapes(text: str) -> str:
    """Undoes what careless JSON or Python literals do to LaTeX: form feeds for `\\f`, doubled backslashes."""
    if '\\"' in text:
        text = text.replace('\\"', '"')
    if "&" in text or "<" in text:
        text = _without_html(text)
    if "math." in text or "np." in text or "py." in text:
        text = _MODULE.sub("", text)
    if "\x0c" in text or "\x08" in text:
        text = text.translate(_BROKEN_ESCAPES)
    if "\t" in text:
        text = _TAB.sub(r"\\t", text)
    if "\\" in text:
        text = _without_spacing(text)
    if "\\left" in text and "begin" in text:
        text = _SYSTEM_BRACE.sub("", text)
    if "dots" in text:
        text = text.replace("\\cdots", "\\ldots").replace("\\dots", "\\ldots")
    if "\\\\" in text and "begin{" not in text and _DOUBLED.search(text):
        text = text.replace("\\\\", "\\").replace("\\\\", "\\")
    elif "\\\\begin" in text:  # here four backslashes are the end of a row
        text = text.replace("\\\\\\\\", "\x00").replace("\\\\", "\\").replace("\x00", "\\\\")
    return text


def _without_spacing(text: str) -> str:
    """`\\not=` as `\\ne`, rows without the space between them, `5\\,\\%` as `5\\%`."""
    if "\\not" in text:
        text = _NOT_EQUAL.sub(r"\\ne ", text)
    if "\\\\[" in text:
        text = _ROW_SKIP.sub(r"\\\\", text)
    return _SPACE_BEFORE_PERCENT.sub("", text) if "%" in text else text


def _without_html(text: str) -> str:
    """`x<sup>2</sup> &lt; 3` as `x^{2} < 3`."""
    if "&" in text:
        text = _ENTITY.sub(lambda m: html.unescape(m[0]), text)
    if "<" not in text:
        return text
    return _TAG.sub(
        lambda m: {"sup": "^{", "sub": "_{"}.get(m[2], " ") if not m[1] else "}" if m[2] in ("sup", "sub") else " ",
        text,
    )


def unwrapped(text: str) -> str:
    """The answer without formula delimiters, boxes, bold marks, quotes and final punctuation around it."""
    for _ in range(MAX_WRAPPERS):
        before = text
        text = _without_end(text.strip())
        for left, right in _DELIMITERS.items():
            if text.startswith(left) and text.endswith(right) and len(text) >= 2 * len(left):
                inside = text[len(left) : len(text) - len(right)]
                text = text if left in inside else inside
        box = _BOX.match(text)
        if box and text.endswith("}") and closing_brace(text, box.end() - 1) == len(text) - 1:
            text = text[box.end() : -1]
        if text == before:
            break
    return text


def _without_end(text: str) -> str:
    text = text if text.endswith("..") else text.rstrip(".,;:").strip()
    text = text.removesuffix("\\newline").rstrip()
    if "begin" not in text:
        text = text.removesuffix("\\\\").rstrip()
    if text.endswith("\\") and not text.endswith("\\\\"):
        text = text[:-1].rstrip()
    return text


def closing_brace(text: str, start: int) -> int:
    """Where the brace at `start` is closed, or -1. Escaped braces do not count."""
    level = 0
    for found in _BRACE.finditer(text, start):
        if found[0] in "{}":
            level += 1 if found[0] == "{" else -1
            if level == 0:
                return found.start()
    return -1


def without_spaces(text: str) -> str:
    """`text` without white space, except between two digits."""
    return _SPACES.sub("", text.strip())


def plain_number(text: str) -> Fraction | None:
    """A whole number, a decimal or a fraction of whole numbers, read in a microsecond; else None."""
    if _NUMBER.fullmatch(text):
        return Fraction(text)
    found = _FRACTION.fullmatch(text)
    if found is None:
        return None
    top, bottom = int(found[1] + found[2]) if found[2] else int(found[4]), int(found[3] or found[5])
    return Fraction(top, bottom) if bottom else None


def cached(function: F) -> F:
    """Caches the results of a function of a text, so that it runs once although several steps ask for it."""
    short, long = lru_cache(CACHED_SHORT)(function), lru_cache(CACHED_LONG)(function)

    def lookup(text: str, /, *args: Any) -> Any:
        return (short if len(text) <= MAX_SHORT else long)(text, *args)

    return cast(F, lookup)


@cached
def normalised(text: str) -> str:
    """`text` repaired, in ASCII and without wrappers."""
    return unwrapped(to_ascii(repair_escapes(text)))


def _fold(char: str) -> str:
    if char < "\x80":
        return char
    digit = unicodedata.digit(char, None)
    if digit is not None and unicodedata.category(char) == "Nd":
        return str(digit)
    if unicodedata.category(char) == "No" and "⁄" in (parts := unicodedata.normalize("NFKD", char)):
        top, _, bottom = parts.partition("⁄")
        return f" \\frac{{{top}}}{{{bottom}}} " if bottom else char
    folded = unicodedata.normalize("NFKC", char)
    return folded.translate(_TABLE) if folded != char else char


def to_ascii(text: str) -> str:
    """`text` with its signs in ASCII or LaTeX, in linear time. Letters of other scripts stay."""
    if text.isascii():
        return text
    text = _OVERLINE.sub(lambda m: "\\overline{" + re.sub("[^0-9]", "", m[0]) + "}", text)
    text = _ROOT_INDEX.sub(lambda m: f"\\sqrt[{_SUPER[m[1]]}]", text)
    text = _SUPER_RUN.sub(lambda m: "^{" + "".join(_SUPER[c] for c in m[0]) + "}", text)
    text = _SUB_RUN.sub(lambda m: "_{" + "".join(_SUB[c] for c in m[0]) + "}", text)
    text = text.translate(_TABLE)
    return text if text.isascii() else "".join(map(_fold, text))
