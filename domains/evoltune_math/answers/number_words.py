"""Numbers spelled in English: `number_in_words("two and three quarters")` -> 11/4."""

from fractions import Fraction

SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
UNDER_100 = {word: 10 * n for n, word in enumerate(TENS, 2)} | {word: n for n, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen".split())}  # fmt: skip
_DENOMINATORS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "hundredth": 100, "thousandth": 1000, "sixteenth": 16, "twentieth": 20,
}  # fmt: skip
MAX_WORDS = 16


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
