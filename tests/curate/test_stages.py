"""Dedup, decontamination and selection on a run store, up to the written dataset and its certificate."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evoltune.curate.certificate import certificate, require_certificate, suite_hash
from evoltune.curate.decontaminate import DomainOverlap, decontaminate
from evoltune.curate.stages import curate_stages
from evoltune.dataset.write import write_dataset
from evoltune.domain import Domain
from evoltune.errors import CertificateError, DataError, DomainError
from evoltune.recipe import Curate, Recipe, Sandbox, Verification
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.rows.readers import read_rows
from evoltune.run.apply import apply_stage
from evoltune.run.store import Step, Store
from evoltune.sandbox.worker_protocol import WorkerLost
from evoltune.verification.checker import open_checker

PROBLEM = Task(
    name="shop/1",
    instruction="Mara sells 17 jars of honey on Monday and 29 jars on Tuesday at 6 dollars per jar, then pays 45 dollars "
    "for her stall. How many dollars does Mara have left?",
    reference="231",
)


FILLER = [
    Task(
        name=f"fill/{i}",
        instruction=f"A {thing} costs {i + 3} coins and a {other} costs {i * 7 + 5} coins. What do both cost?",
    )
    for i, (thing, other) in enumerate(
        zip(["lamp", "chair", "table", "clock"], ["book", "pencil", "plate", "rug"], strict=True)
    )
]


SUITES = {
    "shop": (PROBLEM, *FILLER),
    "poems": (Task(name="poem/1", instruction="Write an ode to the lighthouse at the end of the northern pier."),),
}


def record(text, answer="ok", **more):
    answers = (Answer(text=answer, model="seed", verdict=Verdict(status="pass")),)
    return Record(domain="toy", task=Task(instruction=text, **more), answers=answers)


class Twins:
    """A checker whose `twin` method says that a row gives away the task whose reference equals the row's; it loses rows
    that ask for it."""

    def __init__(self):
        self.asked = 0

    def overlap(self, records, suite_tasks, method):
        assert method == "twin"
        for row in records:
            self.asked += 1
            if "lose this row" in row.task.instruction:
                yield WorkerLost(status="error", reason="the checker died")
            else:
                yield [t.name for t in suite_tasks if t.reference == row.task.reference]


def test_overlap_sees_only_what_text_let_pass_and_the_reason_names_suite_and_method():
    rows = [
        record(PROBLEM.instruction),
        record("What is 200 + 31?", reference="231"),
        record("Name a prime.", reference="7"),
    ]
    checker, notes = Twins(), {}
    stage = decontaminate(
        {"shop": (PROBLEM,)},
        Curate(),
        DomainOverlap(checker=checker, methods=["twin"]),
        seeds=(),
        note=notes.__setitem__,
    )
    copied, twin, clean = stage(rows)
    assert (copied.reason, twin.reason) == ("contaminated: shop by 13-gram", "contaminated: shop by twin")
    assert clean == rows[2] and checker.asked == 2
    assert json.loads(notes[rows[1].id]) == [{"suite": "shop", "task": "shop/1", "method": "twin", "score": 1.0}]


RAISING = """
from evoltune import Domain, Verdict


def broken(record, tasks, context):
    if "odd row" not in record.task.instruction and context.policy["odd_only"]:
        return []
    raise KeyError("missing")


domain = Domain(
    name="raising", seeds=list, operators=(), verify=lambda task, candidate, context: Verdict(status="pass"),
    overlap={"broken": broken}, policy={"odd_only": False},
)
"""


@pytest.mark.parametrize("odd_only", [False, True])
def test_an_overlap_function_that_raises_is_an_error_and_an_odd_row_is_not(tmp_path, odd_only):
    package = tmp_path / "evoltune_raising"
    package.mkdir()
    (package / "__init__.py").write_text(RAISING)
    rows = [*rows_of(4), record("an odd row that no check understands", name="odd")]
    settings = Verification(workers=1, sandbox=Sandbox(require="L0"), policy={"odd_only": odd_only})
    with open_checker(str(package), settings) as checker:
        stage = decontaminate(SUITES, Curate(), DomainOverlap(checker=checker, methods=["broken"]), seeds=())
        if odd_only:
            found = list(stage(rows))
            assert found[:4] == rows[:4] and found[4].reason == "unchecked: shop by broken"
        else:
            with pytest.raises(
                DomainError, match=r"'raising': overlap 'broken' .* 5 of 5 rows .*raised KeyError.*curate\.overlap"
            ):
                list(stage(rows))


TOY = """
from evoltune import Domain, Verdict
domain = Domain(
    name="toy", seeds=list, operators=(), verify=lambda task, candidate, context: Verdict(status="pass"),
    overlap={"twin": lambda record, tasks, context: []},
)
"""


@pytest.fixture
def toy(tmp_path):
    """A domain package on disk: certificates name the domain's methods, so it must load."""
    package = tmp_path / "evoltune_toy_curation"
    package.mkdir()
    (package / "__init__.py").write_text(TOY)
    return str(package)


def build(folder: Path, recipe: Recipe, rows, suites=SUITES, checker=None):
    from evoltune.domain import load_domain

    domain: Domain = load_domain(recipe.domain)
    with Store.open(folder) as store:
        first = Step(name="verify", version="1")
        store.decide(first, rows)
        steps = [first]
        for step, stage, whole in curate_stages(recipe, domain, first, suites, checker, note=store.note):
            apply_stage(store, step, stage, whole=whole)
            steps.append(step)
        proof = certificate(store, steps, recipe, suites)
        counts = {step.name: store.ledger(step) for step in steps}
        return write_dataset(store.kept(steps[-1]), folder / "dataset", recipe, proof, counts)


def rows_of(count):
    things = ["apples", "pears", "plums", "nuts", "figs", "dates", "limes", "kiwis"]
    return [
        record(
            f"Write a short poem number {i} about {things[i % 8]} and the {i}th day of rain",
            answer=f"poem {i}",
            name=str(i),
        )
        for i in range(count)
    ]


def test_a_run_writes_the_same_bytes_whatever_the_order_of_its_rows(tmp_path, toy):
    rows = [*rows_of(30), record(PROBLEM.instruction, name="copy")]
    recipe = Recipe(domain=toy, name="toy")
    one = build(tmp_path / "one", recipe, rows)
    two = build(tmp_path / "two", recipe, rows[::-1])
    assert_same_files(one, two)


def assert_same_files(one, two):
    made = [{p.relative_to(place): p.read_bytes() for p in place.rglob("*") if p.is_file()} for place in (one, two)]
    assert made[0] and made[0] == made[1]


@pytest.mark.slow
@given(st.permutations(range(31)))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_rows_gives_the_same_bytes(tmp_path_factory, toy, order):
    rows = [*rows_of(30), record(PROBLEM.instruction, name="copy")]
    recipe = Recipe(domain=toy, name="toy", curate=Curate(size=12, mode="quality_diversity", balance="level"))
    places = [tmp_path_factory.mktemp("order") for _ in range(2)]
    one, two = (
        build(place, recipe, [rows[i] for i in ids]) for place, ids in zip(places, (range(31), order), strict=True)
    )
    assert_same_files(one, two)


def test_the_certificate_names_suites_methods_and_every_hit(tmp_path, toy):
    copy = record(PROBLEM.instruction, name="copy")
    folder = build(tmp_path / "run", Recipe(domain=toy, name="toy"), [*rows_of(25), copy])
    proof = json.loads((folder / "certificate.json").read_text())
    assert proof["suites"]["shop"] == {"problems": suite_hash(SUITES["shop"]), "sha256": "", "tasks": 5}
    assert proof["methods"]["ngrams"] == [13] and proof["methods"]["shingle_jaccard"] == 0.6
    (hit,) = proof["hits"]
    assert hit["row"] == copy.id and {h["task"] for h in hit["hits"]} == {"shop/1"}
    assert "1 rows were dropped" in (folder / "README.md").read_text()


def test_a_row_that_could_not_be_checked_is_left_out_and_counted_in_ledger_and_certificate(tmp_path, toy):
    lost = record("Please lose this row, which resembles no problem.", reference="0", name="lost")
    suites = {"shop": (PROBLEM,)}
    folder = build(tmp_path / "run", Recipe(domain=toy, name="toy"), [*rows_of(25), lost], suites, Twins())
    proof = json.loads((folder / "certificate.json").read_text())
    assert proof["hits"] == [] and proof["rows"]["kept"] == 25
    assert proof["rows"]["unchecked: shop by twin"] == 1
    check = {"suite": "shop", "method": "twin", "reason": "the checker died"}
    assert proof["unchecked"] == [{"row": lost.id, "reason": "unchecked: shop by twin", "checks": [check]}]
    assert "1 rows were left out because they could not be checked" in (folder / "README.md").read_text()
    assert lost.id not in {
        row["id"] for split in ("train", "validation") for row in read_rows(folder / f"{split}.parquet")
    }


def test_a_certificate_is_demanded_for_each_suite_and_for_these_bytes(tmp_path, toy):
    folder = build(tmp_path / "run", Recipe(domain=toy, name="toy"), rows_of(25))
    assert require_certificate(folder, SUITES)["problems"] == []
    with pytest.raises(CertificateError, match=r"not checked against the suite 'other'.*--allow-uncertified"):
        require_certificate(folder, {"other": FILLER})
    changed = {"shop": (replace(PROBLEM, instruction="new"), *FILLER)}
    with pytest.raises(CertificateError, match="another version of the suite 'shop'"):
        require_certificate(folder, changed)
    assert require_certificate(folder, changed, allow=True)["problems"]
    (folder / "train.parquet").write_bytes(b"other rows")
    with pytest.raises(CertificateError, match="not the file that was checked"):
        require_certificate(folder, SUITES)


def test_no_certificate_and_a_broken_one_are_told_apart(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"instruction": "hi"}\n')
    with pytest.raises(CertificateError, match="no certificate"):
        require_certificate(tmp_path / "rows.jsonl", SUITES)
    assert require_certificate(tmp_path / "rows.jsonl", {})["problems"] == []
    (tmp_path / "certificate.json").write_text("{")
    with pytest.raises(DataError, match="not a certificate"):
        require_certificate(tmp_path, SUITES)


def test_a_changed_threshold_or_suite_is_a_new_step():
    domain = Domain(name="toy", seeds=list, operators=(), verify=lambda *_: Verdict(status="pass"))

    def versions(recipe, suites=SUITES):
        stages = curate_stages(recipe, domain, Step(name="verify", version="1"), suites, None)
        return [step.version for step, _, _ in stages]

    base = versions(Recipe(domain="toy"))
    assert versions(Recipe(domain="toy")) == base
    stricter = versions(Recipe(domain="toy", curate=Curate(ngrams=(8,))))
    assert stricter[0] == base[0] and stricter[1] != base[1] and stricter[2] != base[2]
    assert versions(Recipe(domain="toy"), {"shop": (PROBLEM,)})[1] != base[1]
