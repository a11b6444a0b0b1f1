"""The law of settings: after any change to a recipe, the folder of an earlier run ends in the same dataset as a fresh one, and
only the calls that it lacks are paid. The changes are generated from the schema, so a new key is held to it too."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect
from openai_server import serving

from evoltune import pipeline
from evoltune.errors import DataError, EvoltuneError
from evoltune.recipe import Curate, Evolve, Teacher, Verification, load_recipe
from evoltune.record import STATUSES
from evoltune.run import run as run_module
from evoltune.run.paths import STORE
from evoltune.run.store import Store
from evoltune.verification.checker import Checker, open_checker

SECTIONS = {"teacher": Teacher, "evolve": Evolve, "verify": Verification, "curate": Curate}
OTHER = {
    "teacher.kind", "teacher.endpoints", "teacher.cassette",  # where replies come from: the journal holds them
    "teacher.budget.calls", "teacher.budget.tokens", "teacher.budget.usd", "teacher.budget.wall_s",  # end a run
    "evolve.stop_on", "evolve.stop_by",  # tests/run/test_evol_stop_run.py
    "curate.embeddings", "curate.mix", "evolve.prompts",  # need a model, another dataset, a folder of prompts
    "teacher.engine",  # of teachers that load a model
    "verify.sandbox.require", "verify.memory_mb",  # depend on the machine
}  # fmt: skip
GIVEN = {
    "evolve.operators": [{"rarer": 1.0}, {"harder": 3.0, "rarer": 1.0}], "evolve.chains": [3], "evolve.sample": [9],
    "evolve.rounds": [0, 1, 3], "curate.size": [9], "curate.quotas": [{"x": 4}], "curate.mode": ["quality_diversity", "difficulty"],
    "evolve.pass_rate": [{"k": 2}], "evolve.optimise": [{"steps": 3}], "curate.band": [[0.4, 0.9]],
    "curate.licences": [["mit"]], "verify.keep": [["pass", "fail"]], "verify.policy": [{"digit": "3"}],
    "teacher.requests_per_minute": [6000], "teacher.tokens_per_minute": [10**7],  # one a minute would take an hour
    "teacher.max_tokens": [64], "teacher.stop": [["###"]], "teacher.timeout_s": [60.0], "curate.ngrams": [[5]],
    "verify.program_s": [9.0], "verify.check_s": [9.0], "teacher.extra_body": [{"top_k": 20}], "teacher.top_p": [None, 0.4],
}  # fmt: skip

WITH = {"evolve.tries": ["evolve.repair=1"]}
"""Other settings without which a key has no effect, so that a recipe check would refuse it."""

DOMAIN = """
from evoltune import Answer, Domain, Operator, Record, Task, Verdict

THINGS = ["river", "castle", "violin", "engine", "forest", "planet", "bridge", "garden"]


def verify(task, candidate, context):
    return Verdict(status="pass" if context.policy["digit"] not in candidate else "fail", reason="the digit")


def seeds():
    for i in range(6):
        text = f"Describe how the {THINGS[i % 8]} of town {i} was built, in plain words, for {THINGS[(i * 3 + 1) % 8]} lovers."
        answers = (Answer(text=f"Built in {i}.", model="seed"),) if i % 2 else ()
        yield Record(domain="law", task=Task(instruction=text, name=str(i)), answers=answers)


domain = Domain(
    name="law", seeds=seeds, verify=verify, policy={"digit": "7"}, answer_prompt="Answer:\\n{instruction}",
    operators=(Operator(name="harder", template="Rewrite, harder:\\n{instruction}"),
               Operator(name="rarer", template="Rewrite, rarer:\\n{instruction}", kind="breadth")),
    evidence={"check": "Answer: one fact about {instruction}"},
)
"""
STAGES = ("evolve", "verify", "build")


def changes() -> list[tuple[str, Any]]:
    """(key, another value) of every key in the schema that may change what a run makes."""
    found: list[tuple[str, Any]] = []

    def walk(prefix: str, section: type[msgspec.Struct]) -> None:
        for field in inspect.type_info(section).fields:
            key, default = f"{prefix}.{field.name}", field.default
            if isinstance(field.type, inspect.StructType):
                walk(key, field.type.cls)
            elif key in GIVEN:
                found.extend((key, value) for value in GIVEN[key])
            elif key not in OTHER:
                found.extend((key, value) for value in others(field.type, default))

    for name, section in SECTIONS.items():
        walk(name, section)
    return found


def others(kind: inspect.Type, default: Any) -> list[Any]:
    if isinstance(kind, inspect.Metadata):
        return others(kind.type, default)
    if isinstance(kind, inspect.BoolType):
        return [not default]
    if isinstance(kind, inspect.LiteralType):
        return [value for value in kind.values if value != default]
    if isinstance(kind, inspect.IntType):
        return [default + 1, default + 2]
    if isinstance(kind, inspect.FloatType):
        return [value for value in (0.4, 0.9) if value != default]
    if isinstance(kind, inspect.StrType):
        return ["other"]
    if isinstance(kind, inspect.UnionType):
        return [value for one in kind.types if not isinstance(one, inspect.NoneType) for value in others(one, default)]
    raise AssertionError(f"a key of a new type {kind}: give its other values in GIVEN")


def test_every_key_is_changed_or_named_with_its_reason():
    keys = {key for key, _ in changes()}
    assert not keys & OTHER and set(GIVEN) <= keys
    assert len(changes()) >= 60
    assert all(set(value) <= set(STATUSES) for key, value in changes() if key == "verify.keep")


@pytest.fixture
def workers_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs whose verifier has the same settings share its workers: starting them took nine tenths of the time."""
    with ExitStack() as stack:
        opened: dict[str, Checker] = {}

        def open_kept(domain: str, settings: Verification, *, confirm: bool = False) -> AbstractContextManager[Checker]:
            key = json.dumps([domain, msgspec.to_builtins(settings), confirm])
            if key not in opened:
                opened[key] = stack.enter_context(open_checker(domain, settings, confirm=confirm))
            return nullcontext(opened[key])

        monkeypatch.setattr(run_module, "open_checker", open_kept)
        yield


def write_recipe(folder: Path, url: str) -> Path:
    package = folder / "law_domain"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").write_text(DOMAIN)
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({
        "domain": str(package), "evolve": {"rounds": 2, "answers": 2, "answer_seeds": True, "equal_check": True},
        "teacher": {"kind": "http", "model": "m", "endpoints": [{"url": url}]},
        "verify": {"workers": 1, "sandbox": {"require": "L0"}}, "curate": {"validation": 0.2},
    }))  # fmt: skip
    return path


def build(recipe: Path, out: Path, *overrides: str) -> dict[str, str] | str:
    """Hashes of the dataset's files, or why there is none."""
    try:
        pipeline.run(load_recipe(recipe, list(overrides)), out, STAGES)
    except EvoltuneError as error:
        return str(error).replace(str(out), "RUN")
    files = (p for p in sorted((out / "dataset").rglob("*")) if p.is_file())
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def keys_of(out: Path) -> set[str]:
    if not (out / STORE).is_file():  # the recipe was refused before anything was written
        return set()
    with Store.read(out) as store:
        return {key for (key,) in store.sql("SELECT key FROM calls")}


def check(tmp_path: Path, steps: list[list[tuple[str, Any]]]) -> int:
    """One folder goes through all steps in turn, each from the one before; each has a fresh folder beside it. Gives how many built."""
    built = 0
    with serving() as server:
        recipe, old = write_recipe(tmp_path, server.url), tmp_path / "old"
        assert isinstance(build(recipe, old), dict)
        for i, step in enumerate(steps):
            overrides = [text for key, value in step for text in (*WITH.get(key, []), f"{key}={json.dumps(value)}")]
            fresh = build(recipe, tmp_path / str(i), *overrides)
            needed, had, before = keys_of(tmp_path / str(i)), keys_of(old), server.stats()["requests"]
            again = build(recipe, old, *overrides)
            assert again == fresh, overrides
            assert server.stats()["requests"] - before == len(needed - had), (
                f"{overrides}: calls paid are not those needed"
            )
            assert keys_of(old) >= needed
            built += isinstance(fresh, dict)
    return built


def test_a_changed_recipe_in_an_old_folder_equals_a_fresh_one(tmp_path):
    telling = [("evolve.rounds", 3), ("teacher.model", "other"), ("curate.size", 9)]
    assert all(change in changes() for change in telling)
    assert check(tmp_path, [[change] for change in telling]) == len(telling)


@pytest.mark.slow
def test_every_changed_key_in_an_old_folder_equals_a_fresh_one(tmp_path, workers_kept):
    built = check(tmp_path, [[change] for change in changes()])
    print(
        f"{len(changes())} changes, {built} built: each dataset equals that of a fresh folder, calls paid are those needed"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_several_keys_changed_at_once_equal_a_fresh_folder(seed, tmp_path, workers_kept):
    """Steps of one to four changes, some of them back to what an earlier step had."""
    rng, steps = random.Random(f"settings {seed}"), list[list[tuple[str, Any]]]()
    for _ in range(20):
        chosen = {key: value for key, value in rng.sample(changes(), rng.randint(1, 4))}
        steps.append(rng.choice(steps) if steps and rng.random() < 0.2 else list(chosen.items()))
    assert check(tmp_path, steps) >= 10


def test_later_stages_alone_refuse_rows_of_other_settings(tmp_path):
    with serving() as server:
        recipe, out = write_recipe(tmp_path, server.url), tmp_path / "run"
        build(recipe, out)
        calls = server.stats()["requests"]
        refused = {
            "build": (
                "evolve.rounds=3",
                "teacher.model=other",
                "evolve.rounds=1",
                "verify.check_s=9",
                "evolve.sample=3",
            ),
            "train": ("evolve.rounds=3", "teacher.terms=mit", "curate.validation=0.5", "evolve.rounds=1"),
        }
        for stage, overrides in refused.items():
            for override in overrides:
                with pytest.raises(DataError, match=r"these settings|other settings"):
                    pipeline.run(load_recipe(recipe, [override]), out, (stage,))
        assert server.stats()["requests"] == calls


def test_a_domain_whose_seeds_are_named_anew_at_each_call_is_refused(tmp_path):
    with serving() as server:
        recipe = write_recipe(tmp_path, server.url)
        package = tmp_path / "law_domain" / "__init__.py"
        for name in ("str(uuid.uuid4())", "str(os.getpid())"):
            package.write_text("import os, uuid\n" + DOMAIN.replace("name=str(i)", f"name={name} + str(i)"))
            said = build(recipe, tmp_path / "run")
            if "getpid" in name:  # the same in this process: another one notices it
                with Store.open(tmp_path / "run") as store:
                    for key, _ in list(store.sql("SELECT key, value FROM meta WHERE key LIKE 'seeds:%'")):
                        store.note(key, "ids of another process")
                said = build(recipe, tmp_path / "run")
            assert "its seeds differ from one call to the next" in said
