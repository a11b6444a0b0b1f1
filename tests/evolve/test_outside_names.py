"""The names by which programs outside this package call elimination and dedup."""

from evoltune.curate.dedup import Limits, duplicates
from evoltune.domain import load_domain
from evoltune.eliminate import echoes, struck
from evoltune.record import Task


def test_elimination_gives_a_reason_or_nothing():
    domain, parent = load_domain("math"), Task(instruction="Tom has 3 pens and buys 4. How many has he?")
    assert struck(domain, parent, Task(instruction="Tom has 3 pens and buys 9. How many has he?"), None) == ""
    assert (
        struck(domain, parent, Task(instruction="Harder problem: Tom has 3 pens. How many?"), None) == "prompt residue"
    )
    template = "Make it harder so that it takes one more step of thought: {instruction}"
    assert echoes(template, parent, Task(instruction="Tom has 3 pens. Make it harder so that it takes one more step."))


def test_duplicates_are_found_at_the_defaults():
    assert [reason for reason, _ in duplicates(["Name a prime.", "name a prime", "Name a river."], Limits())] == [
        "", "near duplicate", "",
    ]  # fmt: skip
