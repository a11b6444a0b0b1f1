"""The datasets of an ablation, its pictures, and `evoltune ablate --dry-run` on a store."""

import json
import random
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evoltune.cli import main
from evoltune.curate.select.ablations import AXES, LEAST, Pool, variants
from evoltune.errors import DataError
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.report.svg import difficulty_svg, scores_svg
from evoltune.run.store import Step, Store

PASS, FAIL = Verdict(status="pass"), Verdict(status="fail")


def record(i, skill="sums", round=0, verdict=PASS):
    words = {
        "sums": "add apples and pears",
        "shapes": "draw squares near circles",
        "time": "count hours until noon",
    }[skill]
    answers = (
        Answer(text=f"first {i}", model="teacher", verdict=FAIL),
        Answer(text=f"second {i}", model="teacher", verdict=verdict),
    )
    task = Task(instruction=f"{words} number {i * 37}", name=f"{skill}-{i}", fields={"skill": skill})
    return Record(domain="toy", task=task, answers=answers, round=round)


POOL = Pool(
    kept=[
        record(i, skill, round=i % 3)
        for skill, n in (("sums", 60), ("shapes", 30), ("time", 12))
        for i in range(n)
    ],
    rejected=[record(i + 1000, verdict=FAIL) for i in range(40)],
)


@pytest.mark.parametrize("axis", sorted(set(AXES) - {"quantity"}))
def test_the_variants_of_an_axis_are_of_equal_size(axis):
    found = variants(POOL, axis, 40, 0)
    assert len(found) >= 2 and len({len(rows) for rows in found.values()}) == 1
    assert all(len({r.id for r in rows}) == len(rows) >= LEAST for rows in found.values())


def test_quantity_doubles_and_its_small_sets_lie_within_the_large():
    found = variants(POOL, "quantity", 80, 0)
    assert [len(rows) for rows in found.values()] == [10, 20, 40, 80]
    sets = [{r.id for r in rows} for rows in found.values()]
    assert all(small <= large for small, large in pairwise(sets))


def test_the_unfiltered_side_keeps_the_first_answer_whatever_the_verifier_said():
    found = variants(POOL, "quality", 50, 0)
    assert all([a.text.split()[0] for a in r.answers] == ["first"] for r in found["unfiltered"])
    assert all(r.answers[0].verdict is None for r in found["unfiltered"])
    rejected = {r.id for r in POOL.rejected}
    assert any(r.id in rejected for r in found["unfiltered"]) and not any(
        r.id in rejected for r in found["verified"]
    )


def test_one_cluster_is_of_one_kind_and_the_spread_set_is_not():
    found = variants(POOL, "diversity", 20, 0)
    kinds = {label: {r.task.fields["skill"] for r in rows} for label, rows in found.items()}
    assert len(kinds["one cluster"]) == 1 and kinds["spread out"] == {"sums", "shapes", "time"}


def test_rounds_accumulate_and_skills_stand_alone():
    rounds = variants(POOL, "round-mix", 30, 0)
    assert {r.round for r in rounds["seeds"]} == {0} and {r.round for r in rounds["rounds 0 to 2"]} == {
        0,
        1,
        2,
    }
    assert set(variants(POOL, "task-mix", 30, 0)) == {"mixed", "only sums", "only shapes", "only time"}


def test_variants_depend_on_the_seed_and_not_on_the_order_of_the_pool():
    shuffled = list(POOL.kept)
    random.Random(1).shuffle(shuffled)
    again = Pool(kept=shuffled, rejected=POOL.rejected[::-1])
    assert all(variants(POOL, axis, 20, 4) == variants(again, axis, 20, 4) for axis in AXES)
    assert variants(POOL, "quality", 20, 4) != variants(POOL, "quality", 20, 5)


@pytest.mark.parametrize("axis", sorted(AXES))
def test_a_pool_too_small_for_an_axis_is_refused_by_name(axis):
    with pytest.raises(DataError, match=f"the axis '{axis}' needs two variants"):
        variants(Pool(kept=[record(1), record(2)]), axis, 10, 0)


def test_pictures_are_well_formed_escaped_and_repeatable():
    pytest.importorskip("vl_convert")
    counts = {"round 0": {"simple": 90, "complex": 10}, "<b>": {"simple": 2}}
    bar = {
        "label": "<verified>",
        "suite": "quality",
        "measure": "mean",
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
    }
    for svg in (difficulty_svg(counts, ["simple", "complex"]), scores_svg([bar])):
        ElementTree.fromstring(svg)
        assert "<b>" not in svg and "<verified>" not in svg
    assert "50.0%" in scores_svg([bar])
    assert difficulty_svg(counts, ["simple", "complex"]) == difficulty_svg(counts, ["simple", "complex"])


TOY = """
from evoltune import Benchmark, Domain, Task, Verdict
domain = Domain(
    name="toy", seeds=list, operators=(), verify=lambda task, candidate, context: Verdict(status="pass"),
    benchmarks={"exam": Benchmark(load=lambda path: [Task(instruction="What is the exam?", name="1")], sha256="", licence="MIT")},
)
"""


@pytest.fixture
def run_dir(tmp_path, monkeypatch):
    """A run with a finished build, as `evoltune build` leaves it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    package = tmp_path / "evoltune_toy_ablate"
    package.mkdir()
    (package / "__init__.py").write_text(TOY)
    Path("exam.jsonl").write_text('{"id": "1", "instruction": "Exam: how many moons has Mars in all?"}\n')
    Path("toy.yaml").write_text(f"domain: {package}\neval: {{suites: ['{package}:exam.jsonl']}}\n")
    evolve = Step(name="evolve", version="1")
    verify = Step(name="verify", version="2", before=evolve)
    select = Step(name="select", version="3", before=verify)
    with Store.open(tmp_path / "runs" / "toy") as store:
        everything = [*POOL.kept, *POOL.rejected]
        store.decide(evolve, everything)
        store.decide(verify, [*POOL.kept, *(Drop(record=r, reason="fail") for r in POOL.rejected)])
        store.decide(select, POOL.kept)
        store.note("steps", {step.name: step.key for step in (evolve, verify, select)})
    return tmp_path / "runs" / "toy"


def test_ablate_lists_every_training_before_it_begins(run_dir, capsys):
    assert (
        main(
            [
                "ablate",
                "toy.yaml",
                "--axes",
                "quality,quantity",
                "--size",
                "16",
                "--repeats",
                "2",
                "--dry-run",
            ]
        )
        == 0
    )
    out, err = capsys.readouterr()
    assert "10 trainings over quality, quantity" in err
    assert (
        out.count("quality: unfiltered") == 2
        and "quantity: 2 rows" not in out
        and "quantity: 16 rows, seed 1: 16 rows" in out
    )
    assert not (run_dir / "ablation").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--axes", "colour"], "unknown axis 'colour'"),
        (["--repeats", "0"], "repeats from 1"),
        (["--out", "elsewhere"], "no store.sqlite"),
    ],
)
def test_misuse_of_ablate_is_one_line(run_dir, capsys, more, message):
    assert main(["ablate", "toy.yaml", *more]) in (1, 2)
    assert message in capsys.readouterr().err.strip().split("\n")[-1]


@pytest.mark.slow
def test_ablate_trains_and_scores_every_variant_and_a_second_call_does_nothing_again(
    run_dir, tiny_base, capsys
):
    pytest.importorskip("torch")
    command = [
        "ablate", "toy.yaml", "--axes", "quantity", "--size", "16", f"train.model_name_or_path={tiny_base}", "train.max_steps=1",
        "train.template=alpaca", "train.max_length=512", "eval.max_new_tokens=4", "verify.sandbox.require=L0", "train.precision=fp32",
    ]  # fmt: skip
    assert main(command) == 0
    out, _ = capsys.readouterr()
    assert out.count("quantity") == 3 and "95% interval" in out
    found = json.loads((run_dir / "ablation" / "ablation.json").read_text())
    assert [(entry["rows"], entry["seeds"]) for entry in found] == [(4, 1), (8, 1), (16, 1)]
    assert all(0 <= m["value"] <= 1 for entry in found for m in entry["suites"].values())
    ElementTree.fromstring((run_dir / "ablation" / "ablation.svg").read_text())
    before = {p: p.stat().st_mtime_ns for p in (run_dir / "ablation").rglob("*.safetensors")}
    assert before and main(command) == 0
    assert before == {p: p.stat().st_mtime_ns for p in before}
