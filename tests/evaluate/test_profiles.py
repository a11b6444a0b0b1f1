"""Profiles: a change without a new version is caught; the catalogue of suites; published figures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from evoltune.domain import Profile, load_domain
from evoltune.errors import DataError
from evoltune.evaluate.catalogue import build, comparison, listing
from evoltune.evaluate.measure import ask
from evoltune.evaluate.profiles import breaches, current, profile_hash
from evoltune.evaluate.suites import declared
from evoltune.evaluate.tables import published
from evoltune.record import Task

LOCK = Path(__file__).parent / "profiles.lock.json"
MARK = "\n"


def shout(task, response):
    return response.upper() + MARK


def _tail(text):
    return text[-3:]


def uses_tail(task, response):
    return _tail(response)


def test_every_profile_is_as_it_was_locked():
    """Fails when a prompt, a decoding or a scorer changed under the same version: raise it, `evoltune eval profiles lock`."""
    assert breaches(json.loads(LOCK.read_text(encoding="utf-8")), current()) == []


def test_the_hash_follows_prompt_decoding_scorer_and_what_the_scorer_uses(monkeypatch):
    plain = profile_hash(Profile(version=1, extract=shout))
    assert plain == profile_hash(Profile(version=2, extract=shout))  # the version is not part of it
    assert plain != profile_hash(Profile(version=1))
    assert plain != profile_hash(Profile(version=1, extract=shout, prompt="{instruction}"))
    assert plain != profile_hash(Profile(version=1, extract=shout, decoding={"n": 2}))
    monkeypatch.setitem(shout.__globals__, "MARK", "!")
    assert plain != profile_hash(Profile(version=1, extract=shout))


def test_a_changed_function_that_the_scorer_calls_changes_the_hash(monkeypatch):
    plain = profile_hash(Profile(version=1, extract=uses_tail))
    monkeypatch.setitem(uses_tail.__globals__, "_tail", shout)
    assert plain != profile_hash(Profile(version=1, extract=uses_tail))


def test_a_lock_allows_a_new_version_and_nothing_else():
    locked = {"a": {"version": 1, "hash": "x"}, "b": {"version": 1, "hash": "y"}}
    assert breaches(locked, {"a": {"version": 2, "hash": "z"}, "b": {"version": 1, "hash": "y"}}) == []
    found = breaches(locked, {"a": {"version": 1, "hash": "z"}, "c": {"version": 1, "hash": "y"}})
    assert [line.partition(":")[0] for line in found] == ["a", "b", "c"]


def test_a_prompt_is_filled_in_one_pass():
    task = Task(instruction="use {entry_point}", fields={"entry_point": "f"})
    assert (
        ask(Profile(version=1, prompt="Q: {instruction} / {entry_point} {x}"), task)
        == "Q: use {entry_point} / f {x}"
    )
    assert ask(Profile(version=1, render=lambda t: t.instruction.upper()), task) == "USE {ENTRY_POINT}"


def test_published_figures_name_a_known_suite_and_their_source():
    suites = {entry.name for entry in declared().values()}
    assert len(published()) >= 40
    for figure in published():
        assert figure.suite in suites and 0 <= figure.value <= 1 and figure.source and figure.profile
    settings = Counter((p.model, p.suite, p.measure, p.profile, p.source) for p in published())
    assert max(settings.values()) == 1


def rows():
    return [{"instruction": f"q{i}", "difficulty": 1 + i % 10, "skill": "abc"[i % 3]} for i in range(300)]


def test_a_built_set_is_balanced_over_difficulty_and_skills_and_repeats():
    found = build(rows(), 60, seed=3)
    assert set(Counter(row["difficulty"] for row in found).values()) == {6}
    assert set(Counter((row["difficulty"], row["skill"]) for row in found).values()) == {2}
    assert found == build(rows(), 60, seed=3) != build(rows(), 60, seed=4)
    assert len({row["instruction"] for row in found}) == 60


def test_a_set_larger_than_the_file_is_refused():
    with pytest.raises(DataError, match="300 rows state a difficulty"):
        build([*rows(), {"instruction": "no difficulty"}], 301)


def test_suites_are_listed_and_compared(tmp_path):
    assert [row["suite"] for row in listing()] == list(declared())
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"question": f"{i}?", "reference": "1"}) + "\n" for i in range(4)))
    lines = "\n".join(comparison([f"math:{path}", "math/gradeschool-heldout"]))
    assert "mine (4)" in lines and "100.0%" in lines


def test_every_domain_has_a_sound_profile_without_bugs_of_others():
    for name in ("code", "math", "general"):
        sound = load_domain(name).profiles["sound"]
        assert sound.verify is None and sound.extract is None
