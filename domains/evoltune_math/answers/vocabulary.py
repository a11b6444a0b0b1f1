"""The names that mathematics in LaTeX and plain text uses: functions, constants, sets, relations, spelled numbers.

`number_in_words("two and three quarters")` -> 11/4
"""

from fractions import Fraction

CIRCULAR = ["sin", "cos", "tan", "cot", "sec", "csc"]
HYPERBOLIC = ["sinh", "cosh", "tanh", "coth", "sech", "csch"]
FUNCTIONS: dict[str, str] = {
    **{name: name for name in [*CIRCULAR, *HYPERBOLIC, *["ln", "log", "exp", "sgn", "cis", "erf", "gcd", "lcm", "max", "min", "det", "Re", "Im", "arg"]]},
    **{prefix + name: "arc" + name for prefix in ("arc", "a") for name in CIRCULAR},
    **{prefix + name: "ar" + name for prefix in ("ar", "arc", "a") for name in HYPERBOLIC},
    "lg": "log10", "tg": "tan", "ctg": "cot", "arctg": "arctan", "cosec": "csc", "sign": "sgn", "GCD": "gcd", "LCM": "lcm",
    "abs": "abs", "Abs": "abs", "floor": "floor", "ceil": "ceil", "ceiling": "ceil", "sqrt": "sqrt", "Sqrt": "sqrt", "cbrt": "cbrt",
    "factorial": "factorial", "binomial": "binom", "comb": "binom", "binom": "binom", "nCr": "binom", "nPr": "perm", "perm": "perm",
    "Gamma": "gamma", "root": "root", "frac": "frac", "log2": "log2", "log10": "log10", "pow": "pow", "conjugate": "conj", "conj": "conj",
    "hcf": "gcd", "Log": "log", "Ln": "ln", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Arctan": "arctan", "Arcsin": "arcsin", "Arccos": "arccos",
}  # fmt: skip
"""A function's name as written -> its name in the tree."""
TRIGONOMETRIC = frozenset([*CIRCULAR, "cis"])  # functions whose argument may be in degrees
CONSTANTS = {"pi": "pi", "Pi": "pi", "infty": "inf", "infinity": "inf", "Infinity": "inf", "inf": "inf", "oo": "inf", "varpi": "pi",
             "infin": "inf", "INF": "inf", "iinf": "inf"}  # fmt: skip
NUMBER_SETS = {"R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C", "reals": "R", "Reals": "R", "real": "R"}
RELATIONS = {
    "=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=", "=>": ">=", "!=": "!=", "<>": "!=", "~": "~", ":=": "=",
    "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\leqq": "<=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=", "\\geqq": ">=",
    "\\lt": "<", "\\gt": ">", "\\ne": "!=", "\\neq": "!=", "\\approx": "~", "\\simeq": "~", "\\doteq": "~", "\\approxeq": "~", "\\thickapprox": "~",
    "\\sim": "sim", "\\equiv": "mod", "\\in": "in", "\\isin": "in", "\\notin": "notin", "\\to": "to", "\\rightarrow": "to", "\\cong": "cong",
    "\\Rightarrow": "implies", "\\implies": "implies", "\\Leftrightarrow": "iff", "\\iff": "iff", "\\subset": "subset",
    "\\subseteq": "subset", "\\parallel": "parallel", "\\perp": "perp", "\\propto": "propto", "\\coloneqq": "=", "\\triangleq": "=",
    "\\mapsto": "maps", "\\longrightarrow": "to",
}  # fmt: skip
"""A sign or command -> the relation it stands for; `~` is approximate equality."""
FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
"""The sign after the sides are exchanged."""
SCALES = {
    "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "quadrillion": 10**15, "quintillion": 10**18,
    "dozen": 12, "score": 20, "gross": 144, "lakh": 10**5, "lakhs": 10**5, "crore": 10**7, "crores": 10**7,
}  # fmt: skip
PARTS = {
    "tenth": 10,
    "tenths": 10,
    "hundredth": 100,
    "hundredths": 100,
    "thousandth": 1000,
    "thousandths": 1000,
    "halves": 2,
}
"""Words that divide the number before them."""
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
UNDER_100 = {word: 10 * n for n, word in enumerate(TENS, 2)} | {word: n for n, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen".split())}  # fmt: skip
_DENOMINATORS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "hundredth": 100, "thousandth": 1000, "sixteenth": 16, "twentieth": 20,
}  # fmt: skip
MAX_WORDS = 16


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


GREEK = word_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho varrho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma "
    "Upsilon Phi Psi Omega ell hbar aleph partial nabla"
)


TEXT_WORDS = word_set(
    "yes no odd even none true false all both dne not one two six ten any up down left right male "
    "female red blue green win lose tie sat sun mon tue wed thu fri jan feb mar apr may jun jul "
    "aug sep oct nov dec new old rat tar day night boy girl"
)
"""Words of two to four letters that are words, not products of letters."""
MODIFIERS = word_set(
    "near not never neither nor cannot isn aren wasn weren doesn don didn except excluding excepting other anything everything but than "
    "least most over under above below up beyond exceed exceeds exceeding between from halves halved doubled tripled "
    "divisible multiple multiples wrong incorrect false nearly almost minus plus negative divided multiplied raised unlike without "
    "perhaps maybe possibly sometimes factorial ppm permille basis mille subtracted subtract subtracting deducting adding add halving doubling tripling "
    "squaring cubing multiply multiplying divide dividing starting counting modulo outside bounded complement derivative integral"
)
"""Words that turn the number beside them into another statement, and are no part of a unit."""
SEPARATOR_WORDS = word_set("and or und oder et ou y o")


def number_in_words(text: str) -> Fraction | None:
    """The number that `text` spells (`twenty-five`, `minus one half`), or None."""
    words = text.lower().replace("-", " ").replace(",", " ").split()
    if not words or len(words) > MAX_WORDS or not set(words) - {"a", "an", "and"} or words[-1] == "and":
        return None
    if words[0] in ("minus", "negative"):
        value = _unsigned(words[1:])
        return None if value is None else -value
    return _unsigned(words)


def _unsigned(words: list[str]) -> Fraction | None:
    if not words:
        return None
    if (
        len(words) > 2 and words[-1] in SCALES and not _DENOMINATORS.keys().isdisjoint(words)
    ):  # `one and a half million`
        end = -3 if words[-3:-1] == ["of", "a"] else -2 if words[-2] == "a" else -1
        part = _unsigned(words[:end])
        return None if part is None else part * SCALES[words[-1]]
    bottom = _DENOMINATORS.get(words[-1]) or _DENOMINATORS.get(words[-1].removesuffix("s"))
    if bottom is None:
        whole = _whole(words)
        return None if whole is None else Fraction(whole)
    if "and" in words:
        cut = words.index("and")
        whole, top = _whole(words[:cut]), _whole(words[cut + 1 : -1])
    else:
        whole, top = 0, _whole(words[:-1]) if words[1:] else 1
    return None if whole is None or top is None else whole + Fraction(top, bottom)


def _whole(words: list[str]) -> int | None:
    total = group = 0
    for place, word in enumerate(words):
        if word == "and" and place:
            continue
        if word in ("a", "an") and not place:
            group = 1
        elif word in UNDER_100:
            group += UNDER_100[word]
        elif word in ("hundred", "dozen"):
            group = (group or 1) * SCALES[word]
        elif word in SCALES:
            total, group = total + (group or 1) * SCALES[word], 0
        else:
            return None
    return total + group if words else None
