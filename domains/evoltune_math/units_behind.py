"""The unit that stands behind a formula or a box and belongs to its number: `$12$ minutes`, `\\boxed{5} m/s`, `\\boxed{4} hours and 20 minutes`.

unit_after("\\boxed{5} minutes", 9, "5")  ->  " \\text{ minutes}"
"""

import re

from evoltune_math.answers.units import known

MAX_UNIT = 80  # characters behind the number that are read
_MEASURABLE = re.compile(r"(?:[\d\s.+*/^{}-]|,\d{3}(?!\d)|\\(?:[dt]?frac|sqrt|pi|cdot|times)(?![A-Za-z])|\\[,!]){1,80}")
"""A single number, which may have a unit."""
_UNIT_AFTER = re.compile(
    r"(?:\$|\\\)|\*\*)?(?:[ ~]|\\[ ,;!])*(\\(?:text|mathrm|textrm|rm)\s?\{)?[ ~]*((?:(?:square|cubic|sq|cu)\.? )?)(?!in\b)([A-Za-z]{1,12})"
    r"((?:\s?/\s?|[ ]per[ ])[A-Za-z]{1,12})?\}?(?:\^\{?(-?\d)\}?)?(?![\w/^*-]|[ ~]?\\|[ ](?:and[ ])?\d)(\s*(?:[$.,;)\]]|$))?"
)
"""A unit behind a formula or a box, plain or in `\\text{}`."""
_SCALE_AFTER = re.compile(
    r"\$?\s?(?:\^\s?\{?\s?\\circ\s?\}?|°|degrees?\s)\s?(?:\\[,; ])?\$?(?:\\(?:text|mathrm|rm)\s?\{\s?)?([CF])(?:elsius|ahrenheit)?(?![A-Za-z])"
)
"""The scale of a temperature."""
_DEGREES_AFTER = re.compile(
    r"\$?(?:\s?\^\s?\{?\s?\\circ\s?\}?|\s?°|[\s~]*(?:\\text\{\s*)?degrees\b(?! ?(?:below|above|celsius|fahrenheit|of\b)))(?!\s*\\?[A-Za-z]*\{?[CFK]\b)",
    re.I,
)
_SMALLER = "min(?:ute)?s?|sec(?:ond)?s?|inch(?:es)?|in|cents?|ounces?|oz|hours?|days?|months?|cm|grams?|g|meters?|m"
_PARTS_AFTER = re.compile(
    rf"\$?\s?\b(hours?|hrs?|min(?:ute)?s?|days?|weeks?|years?|feet|foot|ft|dollars?|pounds?|lbs?|kg|km|m|meters?)\b,?\s(?:and\s)?\$?(\d+(?:\.\d+)?)\$?\s({_SMALLER})\b"
)
"""A second part in a smaller unit: `hours and 20 minutes`."""


def unit_after(text: str, end: int, content: str) -> str:
    """The unit that follows a number at text[end:], as LaTeX; "" where there is none, or what follows is no known unit."""
    if any(map(str.isdigit, content)) and (scale := _SCALE_AFTER.match(text, end)):
        return f"^\\circ\\text{{{scale[1]}}}"
    if any(map(str.isdigit, content)) and "circ" not in content and _DEGREES_AFTER.match(text, end):
        return "^\\circ"
    if parts := _PARTS_AFTER.match(text, end):
        return f" \\text{{ {parts[1]}}} {parts[2]} \\text{{ {parts[3]}}}"
    found = (
        _UNIT_AFTER.match(text[end : end + MAX_UNIT].replace("²", "^2").replace("³", "^3"))
        if _MEASURABLE.fullmatch(content) and any(map(str.isdigit, content))
        else None
    )
    if found is None or not known(found[3]):
        return ""
    is_letter = len(found[3]) == 1 and not (found[1] or found[4])
    if is_letter and (
        found[3] not in "gmshLNJWV" or (found[3] != "g" and found[6] is None)
    ):  # `\\boxed{5} s` ends there
        return ""
    power = f"^{{{found[5]}}}" if found[5] else ""
    return f" \\text{{ {found[2]}{found[3]}{found[4] or ''}}}{power}"
