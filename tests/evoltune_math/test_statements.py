"""The words and the formula around a number count: denied, bounded, one of several, or only a part of an expression.

statements.txt has the cases by kind, right ones beside wrong ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from evoltune_math import check, claims


def _groups() -> dict[str, list[tuple[bool, str, str]]]:
    text = Path(__file__).with_name("statements.txt").read_text(encoding="utf-8")
    groups = {}
    for group in text.split("\n## ")[1:]:
        name, *lines = filter(None, group.split("\n"))
        cases = [(line[0] == "+", *line[2:].replace("⏎", "\n").partition(" | ")[::2]) for line in lines]
        groups[name] = cases
    return groups


GROUPS = _groups()


@pytest.mark.parametrize("kind", GROUPS)
def test_a_response_passes_only_if_it_says_the_reference(kind: str) -> None:
    cases = GROUPS[kind]
    assert len({passes for passes, _, _ in cases}) == 2
    wrong = [
        f"{response!r} against {reference!r} must {'pass' if passes else 'not pass'}"
        for passes, reference, response in cases
        if (check(response, reference).status == "pass") is not passes
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_not_read_for_want_of_a_telling_word_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most texts are not read by the grammar, because they have none of its words: reading them all must change no verdict."""
    cases = [(reference, response) for group in GROUPS.values() for _, reference, response in group]
    before = [check(response, reference).evidence for reference, response in cases]
    monkeypatch.setattr(claims, "_ANYWHERE", _Everything())
    assert [check(response, reference).evidence for reference, response in cases] == before


class _Everything:
    """A set of all words."""

    def isdisjoint(self, words: object) -> bool:
        return False
