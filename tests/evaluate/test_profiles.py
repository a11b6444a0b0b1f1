"""Profiles: a change without a new version is caught."""

from __future__ import annotations

import json
from pathlib import Path

from evoltune.domain import Profile, load_domain
from evoltune.evaluate.profiles import present_lock, profile_hash, source_of

LOCK = Path(__file__).parent / "profiles.lock.json"
MARK = "\n"


def shout(task, response):
    return response.upper() + MARK


def _tail(text):
    return text[-3:]


def uses_tail(task, response):
    return _tail(response)


def lock_violations(locked, now):
    """Profiles that changed under the same version, disappeared, or are not locked yet; a line for each."""
    found = []
    for name in sorted({*locked, *now}):
        old, new = locked.get(name), now.get(name)
        if old is None:
            found.append(f"{name}: new: add it to the lock with `evoltune profiles --lock FILE`")
        elif new is None:
            found.append(
                f"{name}: missing: scores made with it cannot be repeated; delete its entry if that is intended"
            )
        elif old["hash"] != new["hash"] and old["version"] == new["version"]:
            found.append(f"{name}: changed under version {old['version']}: raise its version, then lock again")
    return found


def test_every_profile_is_as_it_was_locked():
    """Fails when a prompt, a decoding or a scorer changed under the same version: raise it, then `evoltune profiles --lock`."""
    assert lock_violations(json.loads(LOCK.read_text(encoding="utf-8")), present_lock()) == []


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


def test_a_docstring_or_a_comment_does_not_change_the_hash():
    def documented(task, response):
        """Takes the end."""
        # The end is the answer.
        return response[-3:]

    def bare(task, response):
        return response[-3:]

    bare.__qualname__ = documented.__qualname__
    with_prose, without = (source_of(function)[0] for function in (documented, bare))
    assert with_prose.replace("documented", "f") == without.replace("documented", "f").replace("bare", "f")


def test_a_lock_allows_a_new_version_and_nothing_else():
    locked = {"a": {"version": 1, "hash": "x"}, "b": {"version": 1, "hash": "y"}}
    assert lock_violations(locked, {"a": {"version": 2, "hash": "z"}, "b": {"version": 1, "hash": "y"}}) == []
    found = lock_violations(locked, {"a": {"version": 1, "hash": "z"}, "c": {"version": 1, "hash": "y"}})
    assert [line.partition(":")[0] for line in found] == ["a", "b", "c"]


def test_every_domain_has_a_sound_profile_without_bugs_of_others():
    for name in ("code", "math", "general"):
        sound = load_domain(name).profiles["sound"]
        assert sound.verify is None and sound.extract is None
