"""Questions to the store, on one whose content is known."""

import pytest

from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.run import queries
from evoltune.run.queries import Decision, Draw, Spent
from evoltune.run.store import Step, Store, Usage

EVOLVE = Step(name="evolve", version="1")
VERIFY = Step(name="verify", version="1", before=EVOLVE)
PASS, FAIL = Verdict(status="pass"), Verdict(status="fail", reason="wrong")


def record(text, verdict=None, **fields):
    answers = (Answer(text=f"answer to {text}", model="m", verdict=verdict),)
    return Record(domain="d", task=Task(instruction=text, name=text), answers=answers, **fields)


SEED = record("seed")
CHILD = record("child", parents=(SEED.id,), operator="deepen", round=1, evidence={"difficulty": ("7", "8")})
SORRY = record("sorry", parents=(SEED.id,), operator="deepen", round=1)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as writer:
        writer.plan(EVOLVE, 3)
        writer.decide(EVOLVE, [SEED, CHILD, Drop(record=SORRY, reason="sorry")])
        judged = [record("seed", PASS), Drop(record=record("child", FAIL, parents=(SEED.id,), operator="deepen", round=1),
                                              reason="fail")]  # fmt: skip
        writer.begin(VERIFY)
        writer.decide(VERIFY, judged)
        for key, purpose, about in (("a", "evolve", SEED.id), ("b", "answer", CHILD.id), ("c", "answer", CHILD.id)):
            writer.journal(key, purpose=purpose, model="m", request={"key": key}, texts=[key],
                           usage=Usage(prompt_tokens=3, completion_tokens=4, usd=0.5), record=about)  # fmt: skip
    with Store.read(tmp_path) as reader:
        yield reader


def test_decisions_come_in_the_order_of_ids(store):
    found = list(queries.decisions(store, EVOLVE))
    expected = [Decision(SEED.id, "", 0), Decision(CHILD.id, "", 1), Decision(SORRY.id, "sorry", 1)]
    assert found == sorted(expected)


def test_draws_know_operator_and_parent(store):
    found = {draw.record: draw for draw in queries.draws(store, EVOLVE)}
    assert found[SEED.id] == Draw("", "", None, SEED.id, "")
    assert found[SORRY.id] == Draw("deepen", "", SEED.id, SORRY.id, "sorry")


def test_drops_of_all_steps_are_listed_the_newest_first(store):
    assert queries.outcomes(store) == {SEED.id: "kept", SORRY.id: "evolve: sorry", CHILD.id: "verify: fail"}
    assert queries.latest_drops(store, 5) == [("evolve", "sorry", "sorry"), ("verify", "fail", "child")]
    assert queries.latest_drops(store, 1) == [("evolve", "sorry", "sorry")]


def test_steps_are_counted(store):
    assert sorted(queries.step_counts(store)) == [("evolve", 3, 2), ("verify", 2, 1)]
    assert queries.planned(store) == 3


def test_verdicts_are_counted_and_listed_by_record(store):
    assert queries.row_verdicts(store) == {SEED.id: "pass", CHILD.id: "fail"}


def test_a_row_is_kept_only_when_the_last_step_kept_it_in_a_round_that_counts(store, tmp_path):
    """`current` of the store is verify; another step begins, and evol-stop chooses the rounds before the child's."""
    dedup = Step(name="dedup", version="1", before=VERIFY)
    with Store.open(tmp_path / "other") as writer:
        writer.plan(EVOLVE, 3)
        writer.decide(EVOLVE, [SEED, CHILD, SORRY])
        writer.begin(VERIFY)
        writer.decide(VERIFY, [SEED, CHILD])
        assert queries.outcomes(writer) == {SEED.id: "kept", CHILD.id: "kept", SORRY.id: queries.PENDING}
        writer.begin(dedup)
        writer.decide(dedup, [SEED])
        assert queries.outcomes(writer) == {SEED.id: "kept", CHILD.id: queries.PENDING, SORRY.id: queries.PENDING}
        writer.begin(Step.from_keys([EVOLVE.key, VERIFY.key], upto=0))
        later = queries.LATER_ROUND
        assert queries.outcomes(writer) == {SEED.id: "kept", CHILD.id: later, SORRY.id: later}
        assert queries.step_counts(writer) == [("evolve", 1, 1), ("verify", 1, 1)]


def test_records_come_with_first_answer_and_evidence(store):
    assert {body["id"]: body["round"] for body in queries.record_bodies(store)} == {
        SEED.id: 0,
        CHILD.id: 1,
        SORRY.id: 1,
    }
    assert queries.first_answers(store)[CHILD.id] == "answer to child"
    assert dict(queries.evidence(store)) == {CHILD.id: {"difficulty": ["7", "8"]}}
    assert list(queries.difficulty_replies(store)) == [(CHILD.id, 1, "7")]


def test_a_record_is_found_by_the_beginning_of_its_id(store):
    assert queries.ids_with_prefix(store, CHILD.id[:8], 2) == [CHILD.id]
    assert len(queries.ids_with_prefix(store, "", 2)) == 2
    assert queries.ids_with_prefix(store, "%", 2) == []


def test_a_records_history_has_its_decisions_and_calls(store):
    assert queries.record_decisions(store, CHILD.id) == [("evolve@1", ""), ("verify@1", "fail")]
    assert [call["purpose"] for call in queries.record_calls(store, CHILD.id)] == ["answer", "answer"]


def test_spending_is_divided_by_purpose(store):
    writing, others = queries.spent_by_record(store, ("evolve", "self_instruct"))
    assert writing == {SEED.id: Spent(1, 7, 0.5)}
    assert others == {CHILD.id: Spent(2, 14, 1.0)}


def test_what_earlier_settings_decided_is_not_shown(tmp_path):
    """The same folder, with another teacher and then another verifier."""
    old, judged_by_old = EVOLVE, VERIFY
    new = Step(name="evolve", version="2")
    verify = Step(name="verify", version="2", before=new)
    with Store.open(tmp_path) as store:
        store.plan(old, 2)
        store.decide(old, [record("seed", PASS), Drop(record=SORRY, reason="sorry")])
        store.begin(judged_by_old)
        store.decide(judged_by_old, [Drop(record=record("seed", FAIL), reason="fail")])
        store.note("steps", {"evolve": old.key, "verify": judged_by_old.key})
        store.note("ledgers", {"evolve": store.ledger(old), "verify": store.ledger(judged_by_old)})
        assert queries.ledgers(store)["verify"]["fail"] == 1 == queries.ledgers(store)["evolve"]["sorry"]
        store.plan(new, 2)
        store.decide(new, [record("seed"), CHILD])
        assert set(queries.outcomes(store).values()) == {"kept"} and queries.latest_drops(store, 5) == []
        assert {body["id"] for body in queries.record_bodies(store)} == {SEED.id, CHILD.id}
        assert queries.row_verdicts(store) == {} and queries.step_counts(store) == [("evolve", 2, 2)]
        assert queries.ledgers(store) == {"evolve": {"in": 2, "kept": 2, "pending": 0}}
        store.begin(verify)
        store.decide(
            verify, [record("seed", PASS), record("child", PASS, parents=(SEED.id,), operator="deepen", round=1)]
        )
        assert queries.row_verdicts(store) == {SEED.id: "pass", CHILD.id: "pass"}
        assert [name for name, *_ in queries.step_counts(store)] == ["evolve", "verify"]
        assert queries.ledgers(store)["verify"] == {"in": 2, "kept": 2, "pending": 0}
