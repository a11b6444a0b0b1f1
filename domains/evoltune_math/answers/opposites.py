"""Words that turn a number round: `20% increase` and `20% decrease`, `5 minutes early` and `5 minutes late`.

    opposed("20% increase", "a 20% drop")  ->  True;   opposed("20% increase", "20%")  ->  False

The law: where two answers both have words of one group below, they must share a side. A missing word contradicts nothing.
"""

import re

# A group on each line, its sides parted by `/`.
_TABLE = """
increase increases increased increasing rise rises rising rose raised raise growth grew gain gained gains up markup more surplus profit profits earn earned deposit win won wins credit credits / decrease decreases decreased decreasing drop dropped drops fall falls fell fallen decline declined reduce reduced reduction down loss losses lost lose loses deficit discount fewer less withdrawal withdraw off debit debits cut shrink shrank
early earlier before prior ago previous / late later after afterwards
north northern northward northwards / south southern southward southwards / east eastern eastward eastwards / west western westward westwards / northeast / northwest / southeast / southwest
clockwise / counterclockwise anticlockwise
am / pm
above over / below under beneath
left leftward leftwards / right rightward rightwards
up upward upwards uphill / down downward downwards downhill
forward forwards ahead / backward backwards behind back
inside interior inner / outside exterior outer
boy boys male males man men son sons brother brothers / girl girls female females woman women daughter daughters sister sisters
older elder / younger
taller higher high longer long / shorter lower low short deep deeper
heavier / lighter
faster quicker / slower
cheaper / dearer expensive costlier
hotter warmer warm hot / colder cooler cold
positive / negative
minimum smallest least / maximum largest greatest
vowel vowels / consonant consonants
head heads / tail tails
even / odd
prime primes / composite composites
married / single unmarried
buy bought buys purchase / sell sold sells sale
first / last
enter entered enters arrived / exit exited exits left leave leaves departed
upstream / downstream
acute / obtuse
convex / concave
horizontal / vertical
"""
_WORD = re.compile(r"(?<![\\a-z])[a-z]+")
_SPELLED = re.compile(r"(counter|anti)-\s?(clockwise)|\b([ap])\.\s?m\b\.?|\b(north|south)-?\s?(east|west)\b", re.I)
_COMPASS = re.compile(r"(?:\d\s*(?:\^\s*\{?\\circ\}?|°|degrees)?|\})\s*(?:\\(?:text|mathrm)\{\s*)?([NSEW])\b\}?\s*$")
_POINTS = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _read_table() -> list[tuple[frozenset[str], ...]]:
    return [tuple(frozenset(side.split()) for side in line.split("/")) for line in _TABLE.strip().split("\n")]


_GROUPS = _read_table()
TURNING = frozenset().union(*(side for group in _GROUPS for side in group))


_DIRECTION_LAST = re.compile(
    r"(?:\\(?:text|mathrm)\{\s*(?=[a-z-]+\s*\}))?\b(?:(?:counter|anti)?-?clockwise|(?:north|south)?-?(?:north|south|east|west)(?:wards?)?)(\s*\}?)[.\s]*$",
    re.I,
)


def turning_words(text: str) -> set[str]:
    """The words of a text that the table has, as the table writes them."""
    found = TURNING.intersection(_WORD.findall(_SPELLED.sub(_as_one_word, text).lower()))
    point = _COMPASS.search(text)
    return set(found | {_POINTS[point[1]]} if point else found)


def _as_one_word(found: re.Match[str]) -> str:
    if found[1]:
        return found[1] + found[2]
    return f"{found[3]}m" if found[3] else f"{found[4]}{found[5]}"


def without_direction(text: str) -> str:
    """`90 degrees clockwise` as `90 degrees`, `10 km east` as `10 km`."""
    return _DIRECTION_LAST.sub(lambda m: "" if m[0][0] == "\\" else m[1], text).strip()


def opposed(a: str, b: str) -> bool:
    """Whether both texts have words of one group, and none of one side."""
    x = turning_words(a)
    if not x:
        return False
    y = turning_words(b)
    return any(_disagree([bool(x & s) for s in group], [bool(y & s) for s in group]) for group in _GROUPS if y)


def _disagree(x: list[bool], y: list[bool]) -> bool:
    return any(x) and any(y) and not any(p and q for p, q in zip(x, y, strict=True))
