"""Mixing other datasets into the own rows."""

import json
from pathlib import Path

from evoltune.dataset.mix import mix_sources
from evoltune.domain import Domain
from evoltune.recipe import Curate, Recipe, Seeds, Source
from evoltune.record import Answer, Record, Task, Verdict

TOY = Domain(name="toy", seeds=list, operators=(), verify=lambda *_: Verdict(status="pass"))


def own(count=10):
    answers = (Answer(text="a", model="seed", verdict=Verdict(status="pass")),)
    return [
        Record(
            domain="toy", task=Task(instruction=f"own question {i * 97} about thing {i}", name=str(i)), answers=answers
        )
        for i in range(count)
    ]


def source(path: Path, rows, **more) -> Source:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(path=str(path), **more)


def mix(sources, suites=None, **curate):
    recipe = Recipe(domain="toy", seeds=Seeds(licence="MIT"), curate=Curate(mix=tuple(sources), **curate))
    rows, ledger = mix_sources(own(), recipe, TOY, suites or {}, None)
    return list(rows), ledger


def foreign(count, word="foreign"):
    return [{"instruction": f"{word} request {i * 31} on topic {i}", "output": f"o{i}"} for i in range(count)]


def test_weights_are_rows_per_own_row_and_caps_bind(tmp_path):
    rows, ledger = mix([
        source(tmp_path / "a.jsonl", foreign(30), weight=0.5), source(tmp_path / "b.jsonl", foreign(30, "other"), weight=9, cap=7),
    ])  # fmt: skip
    sources = [r.task.fields.get("source", "own").rpartition("/")[2] for r in rows]
    assert {name: sources.count(name) for name in set(sources)} == {"own": 10, "a.jsonl": 5, "b.jsonl": 7}
    assert ledger == {"in": 60, "kept": 12, "over weight or cap": 48}
    assert [r.id for r in rows] == sorted(r.id for r in rows)


def test_mixed_rows_pass_the_same_gates_and_are_conserved(tmp_path):
    problem = (
        "A baker makes 14 loaves at dawn and 23 loaves at noon, and sells 30 of them; how many loaves are left over?"
    )
    rows = [
        *foreign(2), foreign(1)[0], {"instruction": "own question 97 about thing 1", "output": "x"}, {"nothing": 1},
        {"instruction": "no answer"}, {"instruction": problem, "output": "7"}, {**foreign(9)[8], "licence": "secret"},
    ]  # fmt: skip
    kept, ledger = mix(
        [source(tmp_path / "a.jsonl", rows, weight=5, licence="MIT")],
        {"s": (Task(instruction=problem, name="p"),)},
        licences=("MIT",),
    )
    dropped = {k: v for k, v in ledger.items() if k not in ("in", "kept")}
    assert dropped == {
        "unreadable": 2, "exact duplicate": 2, "contaminated: s by 13-gram": 1, "licence secret not allowed": 1,
    }  # fmt: skip
    assert ledger["in"] == len(rows) == ledger["kept"] + sum(dropped.values()) and len(kept) == 12


def test_without_a_mix_the_own_rows_stream_through():
    rows, ledger = mix([])
    assert rows == own() and ledger == {}
