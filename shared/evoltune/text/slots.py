"""Fill the slots of a prompt template.

    fill_slots("Rewrite {instruction} as {form}.", instruction="f(x) = \\frac{1}{x}", form="JSON")

Invariant: all slots are replaced in one pass, so a value that itself contains `{form}` is left as it is, and so are the
braces of LaTeX and JSON in the template.
"""

from __future__ import annotations

import re


def fill_slots(template: str, /, **values: str) -> str:
    """Replaces each `{name}` for which a value is given; any other `{...}` stays."""
    slots = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({slots})\}}", lambda slot: values[slot[1]], template)
