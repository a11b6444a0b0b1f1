"""`evoltune domains check`: sound domains keep every law, and a verifier that breaks one is caught."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from evoltune.domain_kit.conformance import check_domain, mutants
from evoltune.domain_kit.programs import hollow_programs


@pytest.mark.slow  # in short, docs/domains.md does the same from the command line
def test_with_verify_filled_in_every_law_holds(regex: Path, fill_in):
    fill_in(regex, "regex_kit")
    findings = list(check_domain(str(regex)))
    assert len(findings) >= 9
    assert [f"{f.name}: {f.detail}" for f in findings if f.ok is False] == []


EXACT = '    return Verdict(status="pass" if candidate == task.reference else "fail")\n'


@pytest.mark.parametrize(
    ("verify", "broken"),
    [
        (
            '    return Verdict(status="pass")\n',
            {"mutated references are rejected", "unrelated answers are never accepted"},
        ),
        (
            "    if len(candidate) > 400: raise ValueError(candidate)\n" + EXACT,
            {"bad candidates end as verdicts, within the time limit"},
        ),
        (
            "    calls.append(1)\n    if len(calls) % 2: return Verdict(status='fail')\n" + EXACT,
            {"the same answer gets the same verdict"},
        ),
    ],
    ids=["accepts everything", "raises", "answers at random"],
)
def test_a_verifier_that_breaks_a_law_is_caught(regex: Path, verify: str, broken: set[str]):
    module = regex / "evoltune_regex_kit" / "__init__.py"
    text = module.read_text().replace("COLUMNS = ()", "COLUMNS = ()\ncalls = []")
    stub = '    return Verdict(status="unverifiable", reason="verify is not written yet")\n'
    assert stub in text
    module.write_text(text.replace(stub, verify))
    for finding in check_domain(str(regex)):
        if finding.ok is False and not (broken := broken - {finding.name}):
            break  # all are found
    assert not broken


def test_mutants_differ_from_the_answer_and_are_not_empty():
    for text in ("#### 42", "def f(a, b):\n    return a + b", "x", "SELECT a FROM t WHERE b < 3"):
        assert all(m.strip() and m != text for m in mutants(text))
    assert "#### 43" in mutants("#### 42")


@pytest.mark.parametrize("names", [[], ["f"], ["f", "g"], ["f", "g", "h"]])
def test_programs_that_solve_nothing_define_every_function(names: list[str]):
    programs = hollow_programs(names, ["ok"])
    assert programs
    for program in programs.values():
        defined = {node.name for node in ast.parse(program).body if isinstance(node, ast.FunctionDef)}
        assert defined >= {*names}


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", [pytest.param("code", marks=SLOW), pytest.param("math", marks=SLOW), "general"])
def test_our_own_domains_keep_every_law(name: str):
    assert [f"{f.name}: {f.detail}" for f in check_domain(name, seconds=4) if f.ok is False] == []
