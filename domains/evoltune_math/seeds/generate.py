"""Writes the shipped seeds and the held-out suite from their templates; the same bytes on every machine.

    python -m evoltune_math.seeds.generate [FOLDER]

Invariants: an equation (operation and operands in any order) belongs to one side only, by its hash, so that seeds and suite
share none; the result of every step is a positive whole number of at most 10,000.
"""

import hashlib
import json
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from evoltune.rows.files import write_file
from evoltune_math.seeds import FOLDER, HELDOUT, SEEDS

Side = Literal["seeds", "heldout"]
FILES: tuple[tuple[Side, str, str, int], ...] = (
    ("seeds", "seed_templates.txt", SEEDS.name, 4),
    ("heldout", "heldout_templates.txt", HELDOUT.name, 6),
)
"""(side, its templates, the file that is written, problems of each template)."""
LARGEST = 10_000
TRIES = 20_000
STEPS = {1: "one step", 2: "two steps", 3: "three steps", 4: "four steps"}
ORDINALS = {3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}

PEOPLE: Mapping[Side, Mapping[str, str]] = {
    "seeds": {
        "he": "Tom Sam Leo Max Ben Omar Ravi Jack Noah Luis Adam Paul",
        "she": "Mia Ana Zoe Eva Lily Nina Rosa Aisha Mei Ella Sara Kate",
    },
    "heldout": {
        "he": "Felix Hugo Ivan Karim Oscar Peter Theo Victor",
        "she": "Clara Diana Greta Hanna Irene Julia Tess Wanda",
    },
}
THINGS = (
    "apples books coins pens cards cups toys stickers shells buttons pencils marbles oranges badges cookies balloons stones "
    "photos crayons magnets"
)
"""What `{o}` becomes in the seeds; the held-out templates name their things."""
FORMS = {"he": ("he", "his", "him"), "she": ("she", "her", "her")}


@dataclass(frozen=True, kw_only=True)
class Template:
    """A kind of problem: its text with slots, the values of the slots, and the steps of its solution."""

    skill: str
    text: str
    numbers: Mapping[str, Sequence[int]]
    steps: tuple[tuple[str, str, str], ...]
    """(left, operator, right); an operand is a slot, a whole number, or `$k`, the result of step k."""


def parse_templates(table: str) -> list[Template]:
    """The templates of a table: see seed_templates.txt. Raises ValueError for a line of another form."""
    found = []
    for line in filter(None, map(str.strip, table.splitlines())):
        if line.startswith("#"):
            continue
        skill, text, numbers, steps = (part.strip() for part in line.split("|"))
        parsed = [re.fullmatch(r"(\S+?)([-+*/])(\S+)", step.strip()) for step in steps.split(";")]
        if None in parsed:
            raise ValueError(f"steps {steps!r} of {text!r}: want `left op right; ...`")
        slots = dict(_slot(item) for item in numbers.split())
        done = tuple((m[1], m[2], m[3]) for m in parsed if m)
        found.append(Template(skill=skill, text=text, numbers=slots, steps=done))
    return found


def _slot(item: str) -> tuple[str, Sequence[int]]:
    slot, _, values = item.partition("=")
    if ".." in values:
        low, high = values.split("..")
        return slot, range(int(low), int(high) + 1)
    return slot, [int(value) for value in values.split(",")]


def equation(left: int, operator: str, right: int) -> tuple[str, int, int]:
    """One spelling for `8 + 6` and `6 + 8`."""
    if operator in "+*" and left > right:
        left, right = right, left
    return operator, left, right


def side_of(key: tuple[str, int, int]) -> Side:
    """A third of all equations belongs to the held-out suite."""
    return "heldout" if hashlib.sha256(repr(key).encode()).digest()[0] % 3 == 0 else "seeds"


def work_out(template: Template, values: Mapping[str, int], side: Side) -> list[tuple[int, str, int, int]] | None:
    """The steps as (left, operator, right, result); None if a result is not whole or too large, or the equation is not ours."""
    done: list[tuple[int, str, int, int]] = []
    for left, operator, right in template.steps:
        x, y = (done[int(o[1:]) - 1][3] if o[0] == "$" else values[o] if o in values else int(o) for o in (left, right))
        if operator == "/" and x % y:
            return None
        result = {"+": x + y, "-": x - y, "*": x * y, "/": x // y if y else 0}[operator]
        if not 0 < result <= LARGEST or side_of(equation(x, operator, y)) != side:
            return None
        done.append((x, operator, y, result))
    return done


def problems(templates: Sequence[Template], side: Side, each: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """`each` problems of every template: rows of name, template, skill, reasoning, instruction, answer, reference.

    Raises ValueError for a template whose numbers allow fewer.
    """
    seen: set[str] = set()
    for number, template in enumerate(templates, 1):
        drawn = filter(None, (_draw(template, side, seen, rng) for _ in range(TRIES)))
        rows = list(islice(drawn, each))
        if len(rows) < each:
            text = template.text
            raise ValueError(f"template {number} ({text!r}) yields only {len(rows)} problems: widen its numbers")
        for made, row in enumerate(rows, 1):
            yield {"name": f"{side}-{number:02d}-{made}", "template": number, **row}


def _draw(template: Template, side: Side, seen: set[str], rng: random.Random) -> dict[str, str] | None:
    """One new problem, or None if the drawn numbers do not fit."""
    values = {slot: rng.choice(choices) for slot, choices in template.numbers.items()}
    steps = work_out(template, values, side)
    if steps is None or len(set(values.values())) < len(values):
        return None
    text = _render(template, values, side, rng)
    if text in seen:
        return None
    seen.add(text)
    lines = [f"{x} {operator} {y} = {result}" for x, operator, y, result in steps]
    reference = str(steps[-1][3])
    row = {"skill": template.skill, "reasoning": STEPS[len(steps)], "instruction": text}
    return {**row, "answer": "\n".join([*lines, f"#### {reference}"]), "reference": reference}


def _render(template: Template, values: Mapping[str, int], side: Side, rng: random.Random) -> str:
    people = [(name, pronoun) for pronoun, names in PEOPLE[side].items() for name in names.split()]
    (first, pronoun), (second, _) = rng.sample(people, 2)
    he, his, him = FORMS[pronoun]
    thing, third = rng.choice(THINGS.split()), ORDINALS.get(values.get("k", 0), "")
    words = dict(n=first, m=second, he=he, his=his, him=him, He=he.title(), o=thing, third=third)
    return template.text.format_map({**words, **values})


def write(folder: Path) -> None:
    """Both files, the same bytes each time."""
    for side, table, name, each in FILES:
        templates = parse_templates((FOLDER / table).read_text(encoding="utf-8"))
        rows = problems(templates, side, each, random.Random(side))
        write_file(folder / name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
