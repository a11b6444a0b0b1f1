"""The words of answers: functions, Greek letters, units, numbers in words, set names. Tables only, and their look-ups."""

from __future__ import annotations

import re
from fractions import Fraction


def word_set(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


GREEK = word_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho varrho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma "
    "Upsilon Phi Psi Omega ell hbar aleph partial nabla"
)
_TRIG = "sin cos tan cot sec csc"
_HYPERBOLIC = "sinh cosh tanh coth sech csch"
_INVERSE = {"arc" + name: "arc" + name for name in _TRIG.split()}
FUNCTIONS: dict[str, str] = {
    **{name: name for name in f"{_TRIG} {_HYPERBOLIC} ln log exp sgn cis erf gcd lcm max min det Re Im arg".split()},
    **_INVERSE,
    **{"a" + name: "arc" + name for name in _TRIG.split()},
    **{f"ar{p}{name}": "ar" + name for p in ("", "c") for name in _HYPERBOLIC.split()},
    **{"a" + name: "ar" + name for name in _HYPERBOLIC.split()},
    "lg": "log10", "tg": "tan", "ctg": "cot", "arctg": "arctan", "cosec": "csc", "sign": "sgn", "GCD": "gcd", "LCM": "lcm",
    "abs": "abs", "Abs": "abs", "floor": "floor", "ceil": "ceil", "ceiling": "ceil", "sqrt": "sqrt", "Sqrt": "sqrt", "cbrt": "cbrt",
    "factorial": "factorial", "binomial": "binom", "comb": "binom", "binom": "binom", "nCr": "binom", "nPr": "perm", "perm": "perm",
    "Gamma": "gamma", "root": "root", "frac": "frac", "log2": "log2", "log10": "log10", "pow": "pow", "conjugate": "conj", "conj": "conj",
    "hcf": "gcd", "Log": "log", "Ln": "ln", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Arctan": "arctan", "Arcsin": "arcsin", "Arccos": "arccos",
}  # fmt: skip
TRIGONOMETRIC = frozenset([*_TRIG.split(), "cis"])
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

# unit -> (dimension, factor to the dimension's base): two stated units must agree, and 1 km is 1000 m
_UNITS = """
length: m metre metres meter meters=1; km kilometre kilometres kilometer kilometers kms=1000; cm centimetre centimetres centimeter centimeters cms=1/100;
 mm millimetre millimetres millimeter millimeters=1/1000; dm decimeter decimeters=1/10; nm nanometer nanometers=1/1000000000; um micron microns=1/1000000;
 in inch inches=127/5000; ft foot feet=381/1250; yd yard yards yds=1143/1250; mi mile miles=1609344/1000
mass: kg kilogram kilograms kgs kilo kilos=1; g gram grams gm gms=1/1000; mg milligram milligrams=1/1000000; t ton tons tonne tonnes=1000;
 lb lbs pound pounds=45359237/100000000; oz ounce ounces=45359237/1600000000
time: s sec secs second seconds=1; min mins minute minutes=60; h hr hrs hour hours=3600; d day days=86400; week weeks wk wks=604800; ms millisecond milliseconds=1/1000
month: month months mo=1; year years yr yrs=12; decade decades=120; century centuries=1200
volume: L l liter liters litre litres=1; mL ml milliliter milliliters millilitre millilitres=1/1000; gal gallon gallons=473176473/125000000;
 quart quarts qt=473176473/500000000; pint pints pt=473176473/1000000000; cup cups=473176473/2000000000
money: dollar dollars usd bucks buck=1; cent cents=1/100
euro: euro euros eur=1
pound: gbp pence=1
yuan: yuan rmb=1
rupee: rupee rupees=1
yen: yen=1
angle: rad radian radians=1
temperature: c celsius=1; f fahrenheit=2; k kelvin kelvins=3
power: w watt watts=1; kw kilowatt kilowatts=1000
energy: j joule joules=1; kj kilojoule kilojoules=1000; cal calories calorie=4184/1000; kcal=4184; ev=1/6241509074460762607; kwh=3600000
force: n newton newtons=1; kn=1000
voltage: v volt volts=1
current: a amp amps ampere amperes=1; ma=1/1000
resistance: ohm ohms=1
pressure: pa pascal pascals=1; kpa=1000; atm=101325; psi=6895
frequency: hz hertz=1; khz=1000; mhz=1000000; ghz=1000000000
amount: mol mols mole moles=1
"""


def _unit_table() -> dict[str, tuple[str, Fraction]]:
    table: dict[str, tuple[str, Fraction]] = {}
    dimension = ""
    for part in re.split(r"[;\n]", _UNITS):
        if ":" in part:
            dimension, _, part = part.partition(":")
        names, _, factor = part.partition("=")
        for name in names.split():
            table[name] = (dimension.strip(), Fraction(factor))
    return table


UNITS = _unit_table()
LETTER_UNITS = frozenset("mgshLNJVAWKCFltd")
"""Single letters that are a unit only after a number and a space, at the end: `438 m`."""
SHORT_UNITS = word_set(
    "cm km mm kg mg ft in yd mi lb lbs oz hr hrs min mins sec secs ml mL mph kph yr yrs rad kW kJ "
    "Hz kHz MHz mol eV Pa kPa nm dm cc ms USD EUR usd sq cu pts pt qt gal kmh atm ohm kWh units "
    "unit yrs wks gm gms ppm dB kN mA kV rpm day days cal dollar dollars cents cent euro euros "
    "yuan feet inch foot mile"
)
DROPPED_BEFORE_NUMBER = frozenset(["USD", "US", "Rs", "EUR", "INR", "GBP", "HK", "CAD", "AUD"])

TEXT_WORDS = word_set(
    "yes no odd even none true false all both dne not one two six ten any up down left right male "
    "female red blue green win lose tie sat sun mon tue wed thu fri jan feb mar apr may jun jul "
    "aug sep oct nov dec new old rat tar day night boy girl"
)
"""Words of two to four letters that are words, not products of letters."""

SEPARATOR_WORDS = frozenset(["and", "or", "und", "oder", "et", "ou", "y", "o"])
SCALE_WORDS = {
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}
_ONES = dict(
    zip(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ],
        range(20),
        strict=True,
    )
)
_TENS = dict(
    zip(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
        range(20, 100, 10),
        strict=True,
    )
)
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "hundredth": 100, "thousandth": 1000, "sixteenth": 16, "twentieth": 20,
}  # fmt: skip


def number_in_words(text: str) -> Fraction | None:
    """The number that `text` spells in English: `twenty-five`, `one half`, `two and three quarters`; else None."""
    words = text.lower().replace("-", " ").replace(",", " ").split()
    if not words or len(words) > 16 or not set(words) - {"a", "an", "and"} or words[-1] == "and":
        return None
    sign = 1
    if words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    head, part = _split_fraction(words)
    if head is None or part is None:
        return None
    return sign * (head + part) if words else None


def _split_fraction(words: list[str]) -> tuple[Fraction | None, Fraction | None]:
    if not words:
        return None, None
    last = words[-1]
    bottom = _PARTS.get(last) or _PARTS.get(last.removesuffix("s"))
    if bottom is None:
        whole = _whole(words)
        return (None, None) if whole is None else (Fraction(whole), Fraction(0))
    rest = words[:-1]
    if "and" in rest:
        cut = rest.index("and")
        whole, top = _whole(rest[:cut]), _whole(rest[cut + 1 :])
    else:
        whole, top = 0, _whole(rest) if rest else 1
    if whole is None or top is None:
        return None, None
    return Fraction(whole), Fraction(top, bottom)


def _whole(words: list[str]) -> int | None:
    total = group = 0
    seen = False
    for word in words:
        if word in ("and",) and seen:
            continue
        if word in ("a", "an") and not seen:
            group = 1
        elif word in _ONES:
            group += _ONES[word]
        elif word in _TENS:
            group += _TENS[word]
        elif word == "hundred" or word == "dozen":
            group = (group or 1) * SCALE_WORDS[word]
        elif word in SCALE_WORDS:
            total, group = total + (group or 1) * SCALE_WORDS[word], 0
        else:
            return None
        seen = True
    return total + group if seen else None
