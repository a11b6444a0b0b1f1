"""Unicode signs become ASCII or LaTeX, so that the lexer needs to know only these.

`x²` -> `x^{2}`, `１２` and `१२` -> `12`, `¾` -> ` \\frac{3}{4}`, `≤` -> `\\le `. Takes time linear in the text.
"""

import re
import unicodedata

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
    "¬": r"\neg ", "∀": r"\forall ", "∃": r"\exists ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
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
_OVERLINE = re.compile("((?:\\d[\u0305\u0304])+)|(\\d)\u0307")


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
    """`text` with its mathematical signs in ASCII or LaTeX. Letters of other scripts stay."""
    if text.isascii():
        return text
    text = _OVERLINE.sub(lambda m: "\\overline{" + re.sub("[^0-9]", "", m[0]) + "}", text)
    text = _ROOT_INDEX.sub(lambda m: f"\\sqrt[{_SUPER[m[1]]}]", text)
    text = _SUPER_RUN.sub(lambda m: "^{" + "".join(_SUPER[c] for c in m[0]) + "}", text)
    text = _SUB_RUN.sub(lambda m: "_{" + "".join(_SUB[c] for c in m[0]) + "}", text)
    text = text.translate(_TABLE)
    return text if text.isascii() else "".join(map(_fold, text))
