"""Prompt templates: files in a package's `prompts/` folder, with slots in braces.

    template = read_prompt("evoltune.evolve", "equal")
    fill_slots("Rewrite {instruction} as {form}.", instruction="f(x) = \\frac{1}{x}", form="JSON")

Invariant: all slots are replaced in one pass, so a value that itself contains `{form}` is left as it is, and so are the
braces of LaTeX and JSON in the template.
"""

import re
from importlib.resources import files


def read_prompt(package: str, name: str) -> str:
    """The text of `prompts/NAME.txt` in a package, without the leading comment lines (`# why it is as it is`)."""
    return without_comments((files(package) / "prompts" / f"{name}.txt").read_text(encoding="utf-8"))


def without_comments(text: str) -> str:
    """The text of a prompt file without its leading comment lines."""
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    return "\n".join(lines[first:]).strip()


def fill_slots(template: str, /, **values: str) -> str:
    """Replaces each `{name}` for which a value is given; any other `{...}` stays."""
    slots = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({slots})\}}", lambda slot: values[slot[1]], template)
