"""`evoltune domains check` finds what is wrong with a domain, and finds nothing in a sound one.

The short form plants a fault of some groups; the long one (`-m slow`) plants all of them, a group at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from authors_faults import BROUGHT, LENIENT, MACHINE, RESULTS, STATEFUL, plant_any, plant_river
from careless_faults import CARELESS, COMPUTED, PROGRAMS, TOLD_OF_ITSELF, plant_lamps, plant_texts, plant_unseen
from contract_faults import CONTRACTS, plant_contract
from planted_faults import (
    CHANCE,
    DECLARED,
    ENDS,
    EXTRACTS,
    HOOKS,
    IMPORTS,
    OUTSIDE,
    SEEDED,
    STATE,
    TIME,
    VERDICTS,
    Fault,
    in_verify,
    plant,
)
from structured_faults import ALLOWED, CUT_SHORT, DEFAULTS, QUOTING, plant_bookings, plant_structured

from evoltune.domain_kit.conformance import check_domain
from evoltune.domain_kit.findings import Finding

GROUPS: dict[str, list[Fault]] = {
    "chance": CHANCE, "time": TIME, "state": STATE, "ends": ENDS, "outside": OUTSIDE, "verdicts": VERDICTS, "extracts": EXTRACTS,
    "hooks": HOOKS, "seeds": SEEDED, "declared": DECLARED, "lenient": LENIENT, "stateful": STATEFUL, "machine": MACHINE,
    "results": RESULTS, "brought": BROUGHT,
}  # fmt: skip
UNSEEN: dict[str, list[Fault]] = {
    "programs": PROGRAMS, "computed": COMPUTED, "careless": CARELESS, "told of itself": TOLD_OF_ITSELF,
}  # fmt: skip
STRUCTURED: dict[str, list[Fault]] = {"cut short": CUT_SHORT, "quoting": QUOTING, "defaults": DEFAULTS}
OPEN = '''"""Open questions: there is no right answer, so nothing is right or wrong."""

from evoltune import Answer, Domain, Operator, Record, Task, Verdict

QUESTIONS = ["Describe a harbour at dawn.", "Write a letter to a friend who moved away.", "Explain tides to a child."]


def verify(task, candidate, context):
    return Verdict(status="unverifiable", reason="an open question")


def seeds():
    for i, question in enumerate(QUESTIONS):
        yield Record(domain="open", task=Task(instruction=question, name=f"open:{i}"), answers=(Answer(text="It depends.", model="seed"),))


domain = Domain(
    name="open", seeds=seeds, verify=verify, operators=(Operator(name="harder", template="Ask for more than this.\\n\\n{instruction}"),)
)
'''  # fmt: skip
SOUND: list[Fault] = [
    ("as it is", []),
    ("its own chance", [in_verify("import random\nassert 0 <= random.Random(7).random() < 1")]),
    ("measures its time", [in_verify("import time\nbegan = time.time()\nassert time.time() - began < 60")]),
    ("a folder of its own", [in_verify("import tempfile\nwith tempfile.TemporaryDirectory() as d: (Path(d) / 'x').write_text('1')")]),
    ("uses and gives back", [
        (IMPORTS, f"{IMPORTS}\nimport multiprocessing\nimport warnings\n\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n"),
        in_verify("import asyncio, logging\nassert multiprocessing.get_start_method() and asyncio.run(asyncio.sleep(0)) is None\nlogging.getLogger('sums').debug(candidate)"),
    ]),
    ("asks twice, and names what is allowed", [
        (IMPORTS, f"{IMPORTS}\n\nfrom evoltune.errors import DomainError\n"), ('{"again": "Add up once more:\\n\\n{instruction}"}', '{"again": "Add it up: {instruction}", "more": "Add it up: {instruction}"}'),
        ('policy={"strict": True}', 'policy={"strict": True, "mode": "exact"}'),
        in_verify("mode = context.policy['mode']\nif mode != 'exact': raise DomainError(f'mode: {mode!r}: it must be exact')"),
        ('    return "the sum again"\n', '    return "the sum is " + task.reference.strip()\n'),
    ]),
    ("imports late", [(IMPORTS, IMPORTS), in_verify("import decimal, sqlite3, ctypes.util\nassert decimal and sqlite3")]),
]  # fmt: skip
SLOW: Fault = (
    "slow",
    [in_verify("import time\nbegan = time.process_time()\nwhile time.process_time() - began < 0.4: pass")],
)


def broken(folder: Path) -> list[Finding]:
    return [f for f in check_domain(str(folder), seconds=15) if f.ok is False]


@pytest.mark.parametrize("sound", SOUND[:1], ids=lambda sound: str(sound[0]))
def test_a_sound_domain_with_every_hook_gives_no_finding(sound: Fault, tmp_path: Path):
    assert broken(plant(tmp_path, sound)) == []


def test_a_sound_domain_of_words_gives_no_finding(tmp_path: Path):
    assert broken(plant_river(tmp_path)) == []


def test_an_open_domain_without_references_gives_no_finding(tmp_path: Path):
    (tmp_path / "evoltune_open").mkdir()
    (tmp_path / "evoltune_open" / "__init__.py").write_text(OPEN)
    assert broken(tmp_path) == []


@pytest.mark.parametrize("fault", [TIME[3], OUTSIDE[3], SEEDED[10]], ids=lambda fault: str(fault[0]))
def test_a_fault_is_found_with_its_place_and_what_to_do(fault: Fault, tmp_path: Path):
    found = broken(plant(tmp_path, fault))
    assert found and all(f.detail and f.where.rpartition(":")[2].isdigit() and f.todo for f in found), found


@pytest.mark.slow
@pytest.mark.parametrize("sound", [*SOUND[1:], SLOW], ids=lambda sound: str(sound[0]))
def test_no_sound_domain_gives_a_finding(sound: Fault, tmp_path: Path):
    assert broken(plant(tmp_path, sound)) == []


def test_a_sound_domain_with_computed_rewrites_gives_no_finding(tmp_path: Path):
    assert broken(plant_lamps(tmp_path)) == []


def test_a_sound_domain_of_json_gives_no_finding(tmp_path: Path):
    assert broken(plant_bookings(tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("allowed", ALLOWED, ids=lambda allowed: str(allowed[0]))
def test_what_is_near_to_a_fault_and_none_gives_no_finding(allowed: Fault, tmp_path: Path):
    assert broken(plant_structured(tmp_path, allowed)) == []


@pytest.mark.slow
def test_a_sound_domain_of_programs_gives_no_finding(tmp_path: Path):
    assert broken(plant_texts(tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("group", [*GROUPS, *UNSEEN, *STRUCTURED])
def test_planted_faults_are_found(group: str, tmp_path: Path):
    """The bar is 110 of 120; here are more, and none may be missed."""
    missed, without_place = [], []
    planted = plant_any if group in GROUPS else plant_unseen if group in UNSEEN else plant_structured
    for i, fault in enumerate((GROUPS | UNSEEN | STRUCTURED)[group]):
        found = broken(planted(tmp_path / str(i), fault))
        missed += [] if found else [fault[0]]
        without_place += [fault[0] for f in found if not (f.where and f.todo)]
    assert (missed, without_place) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_broken_contracts_are_found_with_a_message_that_fits(part: int, tmp_path: Path):
    wrong = []
    for i, fault in enumerate(CONTRACTS[part::10]):
        found = broken(plant_contract(tmp_path / str(i), fault))
        if not any(re.search(fault[4], f"{f.name} {f.detail} {f.todo}") for f in found):
            wrong.append((fault[0], [f.detail for f in found]))
    assert wrong == []


@pytest.mark.parametrize(
    ("fault", "fits"),
    [(CUT_SHORT[0], "cut off"), (QUOTING[3], "reason"), (DEFAULTS[2], "context.policy")],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_a_fault_of_what_is_cut_quoted_or_chosen_is_named(fault: Fault, fits: str, tmp_path: Path):
    found = broken(plant_structured(tmp_path, fault))
    assert any(fits in f"{f.detail} {f.todo}" and f.where for f in found), found


@pytest.mark.parametrize("kind", ["hidden attribute", "event loop policy", "refusals as seed", "another file than"])
def test_a_broken_contract_is_found(kind: str, tmp_path: Path):
    (fault,) = [fault for fault in CONTRACTS if kind in fault[0]]
    assert any(re.search(fault[4], f"{f.name} {f.detail} {f.todo}") for f in broken(plant_contract(tmp_path, fault)))


def names(findings: Sequence[Finding], ok: bool | None) -> set[str]:
    return {f.name for f in findings if f.ok is ok}


def test_ok_is_never_said_of_a_law_that_looked_at_nothing(regex: Path):
    """The untouched skeleton: verify judges nothing, so no law about its verdicts can hold."""
    findings = list(check_domain(str(regex)))
    assert {"references are accepted", "seeds have instructions, distinct ids, and answers"} <= names(findings, False)
    about_verdicts = {"mutated references are rejected", "bad candidates end as verdicts, within the time limit", "the same answer gets the same verdict"}  # fmt: skip
    assert about_verdicts <= names(findings, None)
    assert not any(f.detail.startswith("0 ") for f in findings if f.ok)
