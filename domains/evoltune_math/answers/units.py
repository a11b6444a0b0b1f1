"""Units of measure: which words are units, whether two units agree, and the factor between two of one dimension.

agree("km", "m", "agree") -> False;   factor("km", "m") -> 1000
"""

import re
from fractions import Fraction

from evoltune_math.answers.vocabulary import word_set

# Python and not a data file, because only Python files count in the hash that makes stored verdicts stale.
_TABLE = """
length: m metre metres meter meters=1; km kilometre kilometres kilometer kilometers kms=1000; cm centimetre centimetres centimeter centimeters cms=1/100;
 mm millimetre millimetres millimeter millimeters=1/1000; dm decimeter decimeters=1/10; nm nanometer nanometers=1/1000000000; um micron microns=1/1000000;
 in inch inches=127/5000; ft foot feet=381/1250; yd yard yards yds=1143/1250; mi mile miles=1609344/1000
mass: kg kilogram kilograms kgs kilo kilos=1; g gram grams gm gms=1/1000; mg milligram milligrams=1/1000000; t ton tons tonne tonnes=1000;
 lb lbs pound pounds=45359237/100000000; oz ounce ounces=45359237/1600000000
time: s sec secs second seconds=1; min mins minute minutes=60; h hr hrs hour hours=3600; d day days=86400; week weeks wk wks=604800; ms millisecond milliseconds=1/1000
month: month months mo=1; year years yr yrs=12; decade decades=120; century centuries=1200
volume: L l liter liters litre litres=1; mL ml milliliter milliliters millilitre millilitres=1/1000; gal gallon gallons=473176473/125000000;
 quart quarts qt=473176473/500000000; pint pints pt=473176473/1000000000; cup cups=473176473/2000000000
area: ha hectare hectares=1; acre acres=316160658/781250000
money: dollar dollars usd bucks buck=1; cent cents=1/100
euro: euro euros eur=1
sterling: gbp quid=1; pence penny=1/100
yuan: yuan rmb=1
rupee: rupee rupees=1
yen: yen=1
peso: peso pesos=1
rouble: rouble roubles ruble rubles=1
franc: franc francs chf=1
won: won=1
krone: kr krona kronor kroner krone sek nok dkk=1
zloty: pln zloty zlotys=1
baht: baht=1
angle: rad radian radians=1
celsius: c celsius=1
fahrenheit: f fahrenheit=1
kelvin: k kelvin kelvins=1
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


def _read_table() -> dict[str, tuple[str, Fraction]]:
    table: dict[str, tuple[str, Fraction]] = {}
    dimension = ""
    for part in re.split(r"[;\n]", _TABLE):
        if ":" in part:
            dimension, _, part = part.partition(":")
        names, _, scale = part.partition("=")
        table |= {name: (dimension.strip(), Fraction(scale)) for name in names.split()}
    return table


UNITS = _read_table()  # unit -> (dimension, factor to the dimension's base unit)
_DERIVED: dict[str, tuple[dict[str, int], Fraction]] = {
    "volume": ({"length": 3}, Fraction(1, 1000)), "area": ({"length": 2}, Fraction(10000)), "force": ({"mass": 1, "length": 1, "time": -2}, Fraction(1)),
    "energy": ({"mass": 1, "length": 2, "time": -2}, Fraction(1)), "power": ({"mass": 1, "length": 2, "time": -3}, Fraction(1)),
    "pressure": ({"mass": 1, "length": -1, "time": -2}, Fraction(1)), "frequency": ({"time": -1}, Fraction(1)),
}  # fmt: skip
"""A dimension that is a product of others, and its base unit in theirs. Scales with an offset (°C, °F, K) are dimensions of
their own: they have no factor."""
LETTER_UNITS = frozenset("mgshLNJVAWKCFltd")
"""Single letters that are a unit only after a number and a space, at the end: `438 m`."""
SHORT_UNITS = word_set(
    "cm km mm kg mg ft in yd mi lb lbs oz hr hrs min mins sec secs ml mL mph kph yr yrs rad kW kJ Hz kHz MHz mol eV Pa "
    "kPa nm dm cc ms USD EUR usd sq cu pts pt qt gal kmh atm ohm kWh units unit yrs wks gm gms ppm dB kN mA kV rpm day "
    "days cal dollar dollars cents cent euro euros kr CHF SEK NOK DKK PLN yuan feet inch foot mile"
)
"""Words that are a unit after a number, even where letters side by side would be a product."""
COUNTED = word_set(
    "men boy boys girl kid kids son dog dogs cat cats pig cow hen hens bee bug ant fox car cars bus van box bag bags jar jars pan pies egg eggs toy toys "
    "pen pens hat cup cups key job gem gum pet pets tie leg eye eyes ads web bed fee tip oak"
)
"""Short nouns that people count: `3 men` is no product of three letters."""
CURRENCY_CODES = {
    "USD": "dollar",
    "US": "dollar",
    "Rs": "rupee",
    "INR": "rupee",
    "EUR": "euro",
    "GBP": "gbp",
    "HK": "HKD",
    "CAD": "CAD",
    "AUD": "AUD",
}
CURRENCY_SIGNS = {
    "\\$": "dollar",
    "\\euro": "euro",
    "\\pounds": "gbp",
    "\\yen": "yen",
    "\\rupee": "rupee",
    "\\cent": "cent",
}
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_SPEEDS = {"mph": "mi / h", "kph": "km / h", "kmh": "km / h", "kmph": "km / h"}
_PART = re.compile(r"(?<![A-Za-z])(?!(?:cdot|times|ast)\b)[A-Za-z]+|/|\^|-?\d+|\*")
_NO_INCHES = re.compile(r"(?<![A-Za-z])\s*in\s+(?:all|total|the|an?|each|every|this|that|their|his|her|one)\b")
_CONDITIONS = ("if", "when", "whenever", "unless", "for")
_WITH_CENTS = ("money", "euro")
_MINUS = re.compile(r"-\s+(?=\d)")
MAX_POWER = 9


def known(unit: str) -> tuple[str, Fraction] | None:
    return UNITS.get(unit) or UNITS.get(unit.lower())


def may_have_price(unit: str) -> bool:
    """Whether a number with these words behind it may be an amount of money: `$5 each`, `$5 per hour`, and not `5 km`."""
    return unit.startswith(("per ", "/")) or _dimensions(unit) is None


def is_radian(unit: str) -> bool:
    return unit in ("rad", "radian", "radians")


def agree(a: str, b: str, policy: str) -> bool:
    """Whether two equal numbers stay equal with these units. A word that is no known unit contradicts nothing."""
    if _is_condition(a) and _is_condition(b) and a.split() != b.split():
        return False
    if policy == "ignore":
        return True
    if policy == "required" and bool(a) != bool(b):
        return False
    if {a, b} & {"gbp"} and {a, b} & {"pound", "pounds"}:  # `£5` is 5 pounds, and no mass
        return True
    x, y = _dimensions(a), _dimensions(b)
    return x is None or y is None or x == y


def _is_condition(words: str) -> bool:
    """`0 if n is odd`: what stands behind the number says when it holds."""
    return words.partition(" ")[0].lower() in _CONDITIONS


def factor(a: str, b: str) -> Fraction | None:
    """How many `b` one `a` is, or None for different or unknown dimensions."""
    x, y = _dimensions(a), _dimensions(b)
    return x[1] / y[1] if x is not None and y is not None and x[0] == y[0] else None


def part(small: str, large: str) -> Fraction | None:
    """How many `large` one `small` is, where amounts of both are added: `1 hour 30 minutes`, `15 euros and 50 cents`; never `4 cm and 5 cm`."""
    found, whole = known(small), known(large)
    if found is None or whole is None:
        return None
    has_cents = found[0] == "money" and whole == (whole[0], Fraction(1)) and whole[0] in _WITH_CENTS
    size = found[1] if has_cents else found[1] / whole[1]
    return size if size < 1 and (has_cents or found[0] == whole[0]) else None


def _dimensions(unit: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """((dimension, power) pairs, factor to the base units), or None if a part is no known unit.

    What follows a unit is what is measured and in which direction: `km east` is a length, `cups of milk` a volume.
    """
    unit = _SPEEDS.get(unit.lower(), unit)
    unit = _NO_INCHES.sub("", unit)
    if not unit:
        return None
    dimensions: dict[str, int] = {}
    scale = Fraction(1)
    sign = power = 1
    parts = _PART.findall(_MINUS.sub("-", unit.replace("per ", "/ ")))
    for at, part in enumerate(parts):
        if part == "/":
            sign = -1
        elif part.lower() in _POWERS and at + 1 < len(parts):
            power = _POWERS[part.lower()]
        elif part.isalpha():
            found = known(part)
            power = _power(parts[at + 1 : at + 3], power)
            if found is None and dimensions and sign == 1 and len(part) > 1:
                break
            if found is None or abs(power) > MAX_POWER:
                return None
            base, factor_to_base = _DERIVED.get(found[0], ({found[0]: 1}, Fraction(1)))
            for dimension, times in base.items():
                dimensions[dimension] = dimensions.get(dimension, 0) + times * sign * power
            scale *= (found[1] * factor_to_base) ** (sign * power)
            power = 1
    return tuple(sorted((d, p) for d, p in dimensions.items() if p)), scale


def _power(following: list[str], before: int) -> int:
    """The power of a unit, from the parts that follow it (`^ 2`, `squared`) or from the word `before` it."""
    if following[:1] == ["^"] and len(following) == 2:
        return int(following[1][:2]) if following[1].lstrip("-").isdigit() else 1
    if following and following[0].lower() in ("squared", "cubed"):
        return _POWERS[following[0].lower()]
    return before
