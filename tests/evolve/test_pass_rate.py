"""Measured difficulty: what is sampled, what verify counts, what curation does with it, and that a kill costs no call twice."""

import asyncio
import re
from dataclasses import replace

import msgspec
import pytest
from towns import COUNTED, ScriptedTeacher, grown, lamps, recipe

from evoltune.curate.quality import NOT_MEASURED, difficulty, level_of, outside_band, pass_rate
from evoltune.curate.select import choose
from evoltune.errors import TeacherError
from evoltune.evolve.pass_rate import sampler_of
from evoltune.recipe import Budget, Curate, Endpoint, PassRate, Teacher
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.run.store import Store
from evoltune.teacher.protocol import Reply, make_request
from evoltune.teacher.stack import open_teacher
from evoltune.verification.checker import open_checker, verify_stage
from evoltune.verification.records import SAMPLES


def sampled(k=4, model="teacher", **options):
    return recipe(rounds=1, pass_rate=PassRate(k=k, model=model), **options)


def samples(row):
    return tuple(row["evidence"].get(SAMPLES, ()))


def test_seeds_and_children_with_a_reference_are_sampled_and_others_are_not(tmp_path):
    rows, ledger, teacher = grown(tmp_path, sampled(), lamps(9))
    assert {len(samples(row)) for row in rows if row["task"]["reference"]} == {4}
    assert {len(samples(row)) for row in rows if not row["task"]["reference"]} == {0}
    asked = [r for r in teacher.asked if r.purpose == "pass_rate"]
    assert len(asked) == sum(bool(row["task"]["reference"]) for row in rows) and {r.n for r in asked} == {4}
    assert ledger["pending"] == 0
    assert all(answer["model"] != "sample" for row in rows for answer in row["answers"])


def test_a_resumed_run_pays_for_no_sample_twice(tmp_path):
    whole, ledger, teacher = grown(tmp_path / "whole", sampled(), lamps(9))
    with pytest.raises(TeacherError):
        grown(tmp_path / "cut", sampled(), lamps(9), teacher=(first := ScriptedTeacher(die_after=5)))
    again, same, second = grown(tmp_path / "cut", sampled(), lamps(9))
    assert (again, same) == (whole, ledger)
    assert len(first.asked) + len(second.asked) == len(teacher.asked)


def test_a_call_that_is_given_up_leaves_the_task_unmeasured(tmp_path):
    from evoltune.teacher.protocol import GivenUpError

    refuse = ScriptedTeacher({"pass_rate": lambda r: GivenUpError("HTTP 400", "no")})
    rows, ledger, _ = grown(tmp_path, sampled(), lamps(6), teacher=refuse)
    assert {len(samples(row)) for row in rows} == {0} and ledger["pending"] == 0


def test_another_k_or_model_begins_new_draws_and_the_base_counts_as_one(tmp_path):
    from evoltune.evolve.loop import draws_step

    def key(rules):
        return draws_step(rules, lamps(3)).key

    base = sampled(model="base")
    other = msgspec.structs.replace(base, train=msgspec.structs.replace(base.train, model_name_or_path="other/base"))
    assert len({key(recipe(rounds=1)), key(sampled()), key(sampled(k=8)), key(base), key(other)}) == 5


@pytest.mark.parametrize(
    ("model", "kind", "name"),
    [("teacher", "embedded", "author"), ("base", "transformers", "HuggingFaceTB/SmolLM2-135M-Instruct"),
     ("http://127.0.0.1:9/v1", "http", "author")],
)  # fmt: skip
def test_who_is_sampled(model, kind, name):
    settings = sampler_of(sampled(model=model))
    assert (settings.kind, settings.model) == (kind, name)
    assert [e.url for e in settings.endpoints] == ([model] if kind == "http" else [])


def test_a_server_of_its_own_is_asked_for_the_samples_alone(tmp_path):
    from openai_server import serving

    with serving() as server:
        rules = sampled(model=server.url)
        rows, _, teacher = grown(tmp_path, rules, lamps(6))
        assert server.stats()["ok"] == sum(len(samples(row)) == 4 for row in rows) > 0 or server.stats()["ok"] > 0
    assert all(len(samples(row)) == 4 for row in rows if row["task"]["reference"])
    assert [r.purpose for r in teacher.asked if r.purpose == "pass_rate"] == []
    with Store.read(tmp_path) as store:
        assert store.spent()["pass_rate"]["calls"] > 0


def seed(reference, texts, number=0):
    task = Task(instruction=f"What is {number} plus 2?", reference=reference, name=str(number))
    answers = (Answer(text=f"#### {reference}", model="seed"),)
    return Record(domain="math", task=task, answers=answers, evidence={SAMPLES: tuple(texts)} if texts else {})


def test_verify_counts_the_samples_that_pass_and_keeps_them_out_of_the_rows():
    records = [
        seed("4", ["#### 4", "#### 5", "The answer is 4.", "no idea"]),
        seed("7", []),
        seed("9", ["#### 1"] * 3, 5),
    ]
    with open_checker("math", workers=1) as checker:
        first, second, third = verify_stage(checker, ("pass",))(records)
    rate = first.answers[0].verdict.evidence["pass_rate"]
    assert (rate["passes"], rate["of"]) == (2, 4) and rate["interval"][0] < 0.5 < rate["interval"][1]
    assert len(first.answers) == 1 and first.answers[0].verdict.status == "pass"
    assert "pass_rate" not in second.answers[0].verdict.evidence
    assert pass_rate(first) == 0.5 and pass_rate(second) is None and pass_rate(third) == 0.0
    assert difficulty(first) == 5.5 and difficulty(third) == 10.0


def test_a_row_that_fails_is_dropped_whatever_its_samples_do():
    wrong = replace(seed("4", ["#### 4"] * 2), answers=(Answer(text="#### 5", model="seed"),))
    with open_checker("math", workers=1) as checker:
        (result,) = verify_stage(checker, ("pass",))([wrong])
    assert isinstance(result, Drop) and result.record.answers[0].verdict.evidence["pass_rate"]["passes"] == 2


def measured(passes, of, number=0):
    evidence = {"pass_rate": {"passes": passes, "of": of, "interval": [0, 1]}}
    answer = Answer(text="x", model="seed", verdict=Verdict(status="pass", evidence=evidence))
    return Record(domain="math", task=Task(instruction=f"Task {number}"), answers=(answer,))


@pytest.mark.parametrize(
    ("passes", "reason"), [(0, "too hard"), (1, "too hard"), (2, ""), (12, ""), (13, "too easy"), (16, "too easy")]
)
def test_the_band_keeps_what_is_neither_too_easy_nor_too_hard(passes, reason):
    assert outside_band(measured(passes, 16), Curate().band).startswith(reason) is True
    assert bool(outside_band(measured(passes, 16), Curate().band)) is bool(reason)
    assert outside_band(measured(passes, 16), (0.0, 1.0)) == ""


def test_what_was_not_measured_stays_and_has_no_level_of_its_round():
    plain = Record(domain="math", task=Task(instruction="x"), round=3)
    assert outside_band(plain, Curate().band) == "" and level_of(difficulty(plain)) == NOT_MEASURED


def test_rows_are_drawn_in_proportion_to_their_difficulty():
    easy, hard = [measured(15, 16, i) for i in range(200)], [measured(1, 16, 1000 + i) for i in range(200)]
    options = Curate(mode="difficulty", size=100)
    chosen = choose([*easy, *hard], options, 100, seed=1)
    share = sum(pass_rate(record) < 0.5 for record in chosen) / 100
    assert len(chosen) == len({r.id for r in chosen}) == 100 and share > 0.8
    assert {r.id for r in choose([*hard, *easy], options, 100, seed=1)} == {r.id for r in chosen}


def test_operators_alone_need_no_sampler(tmp_path):
    _, _, teacher = grown(tmp_path, recipe(rounds=1), lamps(3, operators=COUNTED[:1]))
    assert not [r for r in teacher.asked if re.match("pass_rate", r.purpose)]


def test_two_models_of_one_run_share_its_budget(tmp_path):
    from openai_server import serving

    async def ask(store, url):
        config = Teacher(kind="http", model="m", endpoints=(Endpoint(url=url),), budget=Budget(calls=7))
        async with open_teacher(config, store) as first, open_teacher(config, store, beside=first) as second:
            requests = [make_request(config, f"Answer: {i}", purpose="answer", seed=i) for i in range(20)]
            calls = (teacher.complete(r) for r, teacher in zip(requests, [first, second] * 10, strict=True))
            return await asyncio.gather(*calls, return_exceptions=True)

    with serving() as server, Store.open(tmp_path) as store:
        replies = asyncio.run(ask(store, f"{server.url}/v1"))
        assert server.stats()["ok"] == sum(isinstance(r, Reply) for r in replies) == 7
