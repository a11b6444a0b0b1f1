"""Branches of a domain's functions that its seeds alone do not reach: tasks that its own rewrites make, answers of a right one's
shape, evidence that agrees, and problems that are a little alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evoltune.domain import Domain, load_domain
from evoltune.domain_kit.cheats import Cheats
from evoltune.domain_kit.children import laws_of_children
from evoltune.domain_kit.confirming import Confirming
from evoltune.domain_kit.findings import Finding, Sources
from evoltune.domain_kit.hooks import Hooks
from evoltune.domain_kit.judging import Allowance, Judged, Laws
from evoltune.domain_kit.known import laws_of_known
from evoltune.domain_kit.near_misses import grown
from evoltune.domain_kit.parts import Parts, hostile_parts, parts_like, shape
from evoltune.domain_kit.probing import Jobs, Probe
from evoltune.domain_kit.rewrites import Rewrites

SOUND = '''"""Colours of doors, and how many doors there are."""

import re

from evoltune import Answer, Domain, KnownAnswers, Operator, Record, Rewritten, Task, Verdict

COLOURS = ("red", "dark blue", "green", "white", "light grey", "black")


def alike(a, b):
    return a == b if len(a) < 2 else alike(a[1:], b[1:]) and a[0] == b[:1]


def verify(task, candidate, context):
    if task.reference is None:
        return Verdict(status="unverifiable", reason="no reference")
    if task.reference.isdecimal():
        return Verdict(status="pass" if candidate == task.reference else "fail")
    if not re.fullmatch(r"[a-z]+( [a-z]+)?", candidate):
        return Verdict(status="fail", reason="no colour")
    return Verdict(status="pass" if candidate == task.fields.get("colour") else "fail")


def count(parents, rng, context):
    n = rng.randrange(10, 90)
    text = f"A house has {n} {parents[0].task.reference} doors, and one is added. How many are there?"
    return Rewritten(task=Task(instruction=text, reference=str(n + 1)), solution=str(n + 1))


def confirm(task, candidates, evidence, context):
    told = {reply for reply in evidence.get("colour", ()) if reply in COLOURS}
    if len(told) != 1 or len(evidence["colour"]) < 2 or not all(reply in told for reply in evidence["colour"]):
        return [Verdict(status="unverifiable", reason="no colour is told twice") for _ in candidates]
    return [Verdict(status="pass" if c in told else "fail", evidence={"colour": [*told]}) for c in candidates]


def same_door(record, problems, context):
    return [p.name for p in problems if p.instruction == record.task.instruction]


def known_answers():
    yield KnownAnswers(task=next(seeds()).task, right=("red",), wrong=("Red", "reddish"))


def seeds():
    for i, colour in enumerate(COLOURS):
        task = Task(instruction=f"Door {i} of the castle has which colour?", reference=colour, fields={"colour": colour}, name=f"door:{i}")
        yield Record(domain="doors", task=task, answers=(Answer(text=colour, model="seed"),))


domain = Domain(
    name="doors", seeds=seeds, verify=verify, operators=(Operator(name="count", rewrite=count),), confirm=confirm, overlap={"door": same_door},
    evidence={"colour": "Name the colour: {instruction}"}, columns=("colour",), known_answers=known_answers, stand_in=lambda task, name: task.reference,
)
'''  # fmt: skip
FAULTS = [
    ("if candidate == task.reference else", "if candidate.rstrip('.0123456789') == '' and abs(float(candidate or 0) - int(task.reference)) < 1 else"),
    ('candidate == task.fields.get("colour")', 'alike(candidate.lower().split()[-1], task.fields.get("colour", "").split()[-1])'),
    ('r"[a-z]+( [a-z]+)?", candidate', 'r"[A-Z]?[a-z]+( [a-z]+)?", candidate'),
    ('"pass" if c in told else "fail"', '"pass" if c in told or c is candidates[0] else "fail"'),
    ("p.instruction == record.task.instruction", "{*p.instruction.split()} & {*record.task.instruction.split()} - {'the'}"),
]  # fmt: skip


@pytest.fixture(scope="module", params=["sound", "faulty"])
def findings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Finding]]:
    text = SOUND
    for old, new in FAULTS if request.param == "faulty" else ():
        assert old in text
        text = text.replace(old, new)
    package = tmp_path_factory.mktemp("doors") / f"doors_{request.param}"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    return request.param, [*_laws(package)]


def _laws(package: Path) -> Iterator[Finding]:
    domain, sources, jobs = load_domain(str(package)), Sources.of(str(package)), Jobs()
    roots = [*sources.roots]
    with Probe(str(package), roots, jobs) as first, Probe(str(package), roots, jobs, hash_seed=1) as second:
        yield from _of_functions(domain, sources, first, second)
    jobs.close()


def _of_functions(domain: Domain, sources: Sources, first: Probe, second: Probe) -> Iterator[Finding]:
    time, seeds = Allowance(20, (first, second)), [*domain.seeds()]
    laws, judged = Laws(domain, sources, first, second, time), Judged()
    yield from laws.references(seeds, judged)
    yield from laws_of_known(laws, judged)
    yield from Cheats(laws, judged).changed_parts()
    rewrites = Rewrites(domain, sources, first, second, time, seeds)
    yield from rewrites.findings()
    yield from laws_of_children(laws, rewrites.children)
    hooks = Hooks(domain, sources, first, second, time, seeds)
    yield from Confirming(hooks).findings(judged)
    yield from hooks.overlaps([])
    yield from laws.hostile([s.task for s in seeds], [(task, candidate) for task, _, candidate in judged.right])


def test_what_seeds_alone_do_not_reach_is_looked_at(findings: tuple[str, list[Finding]]):
    kind, found = findings
    broken = {f.name: f.detail for f in found if f.ok is False}
    if kind == "sound":  # a child of another kind needs none of its parent's columns
        assert broken == {}
        return
    assert "to tasks of operator 'count'" in broken["answers to rewritten tasks are judged like others"]
    assert "in another order" in broken["confirm judges all candidates of a task without reference"]
    assert "others on average" in broken["overlap 'door' names the problems that a row gives away"]
    assert "for 'Red'" in broken["answers that the author knows are judged as they should be"]
    assert "with first word of another answer (a+)" in broken["answers changed in one of their parts are rejected"]
    assert "RecursionError" in broken["bad candidates end as verdicts, within the time limit"]


def test_grown_answers_keep_the_shape_and_repeat_each_character():
    texts = [*grown("2 H2")]
    assert {text[0] for text in texts} >= {"2"} and all("2" in text and len(text) > 40 for text in texts)
    assert f"2 {'H' * 40}!2" in texts and f"2 {'H' * 5_000}2" in texts


def test_an_answer_is_changed_in_each_of_its_parts():
    parts = Parts(["4 h 18 min", "2024-03-26", "p -> q & r", "2022-02-28/2022-03-06", "red, blue", "green, white"])
    assert (
        parts.wrong("4 h 18 min").items()
        >= {"first number smaller": "3 h 18 min", "last number smaller": "4 h 16 min"}.items()
    )
    assert parts.wrong("2024-03-26")["last two numbers exchanged"] == "2024-26-03"
    assert parts.wrong("p -> q & r").items() >= {
        "sides of '->' exchanged": "q & r -> p", "a sign of another answer": "p & q & r", "first word of another answer": "h -> q & r",
    }.items()  # fmt: skip
    assert parts.wrong("2022-02-28/2022-03-06")["sides of '/' exchanged"] == "2022-03-06/2022-02-28"
    assert parts.wrong("red, blue").items() >= {
        "last part between ',' lost": "red", "a part between ',' more": "red, blue, green", "last part between ',' of another answer": "red, green",
    }.items()  # fmt: skip
    assert parts.wrong("42 km")["ten times as large"] == "420 km"
    assert parts.wrong("PT2H3M4S")["a minus in front"] == "-PT2H3M4S"
    assert parts.wrong("2024-03-05T15:30")["4. number smaller"] == "2024-03-05T13:30"


def test_a_change_that_may_be_right_is_kept_apart_from_one_that_is_wrong():
    parts = Parts(["p & q", "MB", "(a + b) * c"])
    assert parts.open("p & q")["parts between '&' in another order"] == "q & p"
    assert (
        parts.open("2024-03-26").items()
        >= {"without its first part": "03-26", "without its last part": "2024-03-"}.items()
    )
    assert parts.open("MB") == {"letters in the other case": "mb"}
    assert parts.open("(a + b) * c")["without brackets"] == "a + b * c"
    assert parts.open('{"a": 1}')["a value too many"] == '{"a": 1, "zq": 1}'
    for text in ("def f():\n    return 1", "SELECT a FROM t", "word " * 70):
        assert parts.wrong(text) == parts.open(text) == {}, "these have changes of their own"


def test_answers_of_one_shape_are_told_apart_from_others():
    assert shape("red, blue") == shape("red, blue, green") != shape("red, 2")
    assert shape("4 h 18 min") == shape("2 h 46 min 40 s") != shape("42 km") == shape("1.5 GB")
    assert {*hostile_parts("42 km")} >= {"1e999999999 km", "1/0 km"} and [*hostile_parts("red")] == []
    assert [*hostile_parts("p -> q")] == [" -> ".join(["p", "q", *"abcdefghijklmnopqrstuvwxyz"])]


def test_values_of_the_answers_shape_are_found_in_the_question():
    question = "It is 2026-03-01 10:07, and the train of (2026-03-02 9:15) is late by 5 min. When does it leave?"
    like = parts_like("2026-03-02 09:20", question)
    assert list(like.values()) == ["2026-03-01 10:07", "2026-03-02 9:15"]
    assert parts_like("Monday", question) == {}
    assert parts_like('{"at": 5}', question) == {}
