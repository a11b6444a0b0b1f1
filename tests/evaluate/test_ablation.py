"""`evoltune ablate` on the store of a finished build."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoltune.cli import main
from evoltune.evaluate.ablation import Training, _equal_steps, distinct, read_pool, report
from evoltune.evaluate.statistics import paired
from evoltune.recipe import load_recipe, make_recipe
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.report.ablation_page import write_ablation
from evoltune.rows.files import write_json
from evoltune.run.run import Run
from evoltune.run.store import Step, Store
from evoltune.train.plan import row_lengths

PASS, FAIL = Verdict(status="pass"), Verdict(status="fail")


def record(i, verdict):
    answers = (Answer(text=f"{i} apples", model="teacher", verdict=verdict),)
    task = Task(instruction=f"add apples and pears number {i * 37}", name=str(i))
    return Record(domain="toy", task=task, answers=answers)


KEPT, REJECTED = [record(i, PASS) for i in range(60)], [record(i, FAIL) for i in range(100, 140)]


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
        everything = [*KEPT, *REJECTED]
        store.decide(evolve, everything)
        store.decide(verify, [*KEPT, *(Drop(record=r, reason="fail") for r in REJECTED)])
        store.decide(select, KEPT)
        store.note("steps", {step.name: step.key for step in (evolve, verify, select)})
    return tmp_path / "runs" / "toy"


def test_what_limas_rules_refused_is_among_the_unfiltered_sources(run_dir):
    verify = Step(name="verify", version="1")
    select = Step(name="select", version="1", before=verify)
    reasons = ["lima: too short"] * 5 + ["not selected"] * 5
    with Store.open(run_dir.parent / "lima") as store:
        store.decide(verify, [*KEPT, *(Drop(record=r, reason="fail") for r in REJECTED)])
        dropped = (Drop(record=r, reason=reason) for r, reason in zip(KEPT[50:], reasons, strict=True))
        store.decide(select, [*KEPT[:50], *dropped])
        store.note("steps", {step.name: step.key for step in (verify, select)})
    pool = read_pool(Run(recipe=load_recipe("toy.yaml"), folder=run_dir.parent / "lima"))
    assert {r.id for r in pool.kept} == {r.id for r in KEPT[:50]}
    assert {r.id for r in pool.rejected} == {r.id for r in [*REJECTED, *KEPT[50:55]]}


def test_a_variant_of_evolution_with_the_rows_of_an_earlier_one_is_trained_once(capsys):
    def trainings(axis, **rows):
        return [
            Training(axis=axis, variant=name, seed=seed, rows=found) for seed in (1, 2) for name, found in rows.items()
        ]

    all_three = trainings("evolution", seeds=KEPT[:3], verified=[*KEPT[:3]], more=KEPT[:5])
    differs_once = [*trainings("evolution", seeds=KEPT[:3]), all_three[1], trainings("evolution", verified=KEPT[:4])[1]]
    other_axis = trainings("quality", filtered=KEPT[:3], unfiltered=KEPT[:3])
    assert {t.variant for t in distinct([*all_three, *other_axis])} == {"seeds", "more", "filtered", "unfiltered"}
    assert "'verified' has the rows of 'seeds': left out" in capsys.readouterr().err
    assert distinct(differs_once) == differs_once


def test_ablate_lists_every_training_before_it_begins(run_dir, capsys):
    assert (
        main(["ablate", "toy.yaml", "--axes", "quality,quantity", "--size", "16", "--repeats", "2", "--dry-run"]) == 0
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
        (["--out", "elsewhere"], "no store.sqlite"),
        (["--axis", "evolution"], "train.max_steps: the axis 'evolution' trains at equal tokens"),
    ],
)
def test_misuse_of_ablate_is_one_line(run_dir, capsys, more, message):
    assert main(["ablate", "toy.yaml", *more]) == 2
    assert message in capsys.readouterr().err.strip().split("\n")[-1]


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_steps_make_tokens_equal(length, other, steps):
    recipe = make_recipe({"name": "x", "domain": "math", "train": {"max_steps": steps, "template": "alpaca"}})
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("first.jsonl", "own.jsonl")]
        for file, size in zip(files, (length, other), strict=True):
            rows = [{"instruction": "q " * size, "output": "a " * (size + i)} for i in range(3)]
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        first, own = (sum(row_lengths(file, "alpaca")) / 3 for file in files)
        found = _equal_steps(recipe, files[1], files[0])
    assert abs(found * own - steps * first) <= own


def test_the_page_shows_the_figure_and_the_paired_difference(run_dir):
    measure = {"value": 0.4, "interval": [0.3, 0.5], "method": "wilson"}
    gap = {**asdict(paired([0.0, 1.0, 0.0, 0.5], [1.0, 1.0, 1.0, 0.5])), "each_seed": [0.5, -0.25]}
    common = {"axis": "evolution", "rows": 9, "seeds": 2, "tokens": 1234, "suites": {"exam": measure}}
    results = [
        {**common, "variant": "seeds only"},
        {**common, "variant": "solution first", "against": {"variant": "seeds only", "suites": {"exam": gap}}},
    ]
    write_json(run_dir / "ablation" / "ablation.json", results)
    page = write_ablation(run_dir).read_text()
    assert "+50.0%" in page and "-25.0%" in page and "solution first (9)" in page and page.count("<td>1234</td>") == 2
    assert "+50.0%, -25.0%" in "\n".join(report(results))


@pytest.mark.slow
def test_ablate_trains_and_scores_every_variant_and_a_second_call_does_nothing_again(run_dir, tiny_base, capsys):
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
