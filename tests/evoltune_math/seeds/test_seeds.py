"""The shipped maths seeds and the held-out suite: right answers, and nothing that both have."""

import hashlib
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from evoltune.rows.readers import read_rows as rows
from evoltune_math.benchmarks import BENCHMARKS
from evoltune_math.seeds import HELDOUT, SEEDS, generate, seeds

STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


def equations(path: Path) -> set[tuple[str, int, int]]:
    steps = (STEP.fullmatch(line) for row in rows(path) for line in row["answer"].split("\n")[:-1])
    return {generate.equation(int(s[1]), s[2], int(s[3])) for s in steps if s}


def skeleton(text: str) -> str:
    names = {n for side in generate.PEOPLE.values() for names in side.values() for n in names.split()}
    words = re.findall(r"\w+", text)
    return " ".join(
        "#" if w.isdigit() else "@" if w in names else "%" if w in generate.THINGS.split() else w.lower() for w in words
    )


@pytest.mark.parametrize("path", [SEEDS, HELDOUT], ids=["seeds", "heldout"])
def test_every_worked_answer_computes_its_reference_step_by_step(path):
    for row in rows(path):
        *steps, last = row["answer"].split("\n")
        assert 1 <= len(steps) <= 4
        for step in steps:
            left, sign, right, result = STEP.fullmatch(step).groups()
            left, right = int(left), int(right)
            assert {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[sign] == int(result)
        assert last == f"#### {row['reference']}" and steps[-1].endswith(f"= {row['reference']}")


def test_seeds_and_suite_are_large_and_varied():
    seeds_rows, heldout = list(rows(SEEDS)), list(rows(HELDOUT))
    assert len(seeds_rows) >= 240 and len({r["template"] for r in seeds_rows}) >= 60
    assert len(heldout) >= 240 and len({r["template"] for r in heldout}) >= 30
    assert len({r["instruction"] for r in seeds_rows + heldout}) == len(seeds_rows) + len(heldout)
    assert len(Counter(r["skill"] for r in seeds_rows)) >= 12


def test_no_equation_occurs_on_both_sides():
    assert not equations(SEEDS) & equations(HELDOUT)
    assert len(equations(HELDOUT)) > 140


def test_no_template_occurs_on_both_sides():
    ours, theirs = ({skeleton(r["instruction"]) for r in rows(p)} for p in (SEEDS, HELDOUT))
    assert not ours & theirs

    def grams(skeletons):
        return {tuple(w[i : i + 8]) for w in map(str.split, skeletons) for i in range(len(w) - 7)}

    assert not grams(ours) & grams(theirs)


def test_the_generator_writes_the_shipped_bytes_again(tmp_path):
    generate.write(tmp_path)
    for path in (SEEDS, HELDOUT):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_a_template_that_yields_too_few_problems_is_refused():
    (template,) = generate.parse_templates("addition | {a} and {b}? | a=1..2 b=1..2 | a+b")
    with pytest.raises(ValueError, match="yields only"):
        list(generate.problems([template], "seeds", 6, random.Random(0)))


def test_the_suite_loads_under_the_recorded_hash():
    benchmark = BENCHMARKS["gradeschool-heldout"]
    assert hashlib.sha256(HELDOUT.read_bytes()).hexdigest() == benchmark.sha256
    tasks = list(benchmark.load(Path("/any/folder") / benchmark.file))
    assert len(tasks) >= 240 and all(t.reference and t.fields["skill"] and t.fields["reasoning"] for t in tasks)


def test_seeds_are_records_with_one_answer_and_tags():
    for seed in seeds():
        assert seed.domain == "math" and seed.task.reference
        assert seed.answers[0].model == "seed" and seed.answers[0].text.endswith(f"#### {seed.task.reference}")
        assert set(seed.task.fields) == {"skill", "reasoning"}
    assert len({seed.id for seed in seeds()}) == len(list(rows(SEEDS)))
