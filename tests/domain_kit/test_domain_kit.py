"""The domain kit as a newcomer uses it: scaffold, see what fails, write verify and rows, see every law hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.domain import load_domain
from evoltune.domain_kit.conformance import check_domain, mutants
from evoltune.domain_kit.scaffold import scaffold
from evoltune.errors import DomainError

# The whole work of a newcomer: regular expressions from descriptions, judged by what they must and must not match.
VERIFY = """
    tests = task.fields
    program = (
        "import re, sys, json\\n"
        f"pattern, yes, no = json.loads({json.dumps(json.dumps([candidate, tests['match'], tests['reject']]))})\\n"
        "ok = all(re.fullmatch(pattern, t) for t in yes) and not any(re.fullmatch(pattern, t) for t in no)\\n"
        "sys.exit(0 if ok else 1)\\n"
    )
    verdict = context.run(Job(program=program, cpu_s=1.0))  # a pattern may take for ever: the sandbox bounds it
    return Verdict(status="fail" if verdict.status == "fail" else verdict.status, reason=verdict.reason[:200])
"""
ROWS = [
    ("Match a whole number without sign.", r"\d+", ["0", "42", "1000"], ["", "-1", "4.2", "x"]),
    (
        "Match a time of day from 00:00 to 23:59.",
        r"([01]\d|2[0-3]):[0-5]\d",
        ["00:00", "23:59"],
        ["24:00", "12:60", "1:00"],
    ),
    (
        "Match a hexadecimal colour such as #0aF3c9.",
        r"#[0-9a-fA-F]{6}",
        ["#0aF3c9"],
        ["#0aF3c", "0aF3c9", "#0aF3cg"],
    ),
    ("Match words that begin and end with the letter a.", r"a(\w*a)?", ["a", "anna"], ["ab", "banana", ""]),
]


def fill_in(folder: Path, name: str) -> None:
    module = folder / f"evoltune_{name}" / "__init__.py"
    text = module.read_text()
    text = text.replace("COLUMNS = ()", 'COLUMNS = ("match", "reject")').replace(
        "Context, Domain,", "Context, Domain, Job,"
    )
    text = text.replace(
        '    return Verdict(status="unverifiable", reason="verify is not written yet")\n', VERIFY
    )
    module.write_text(text)
    rows = [json.dumps({"instruction": i, "answer": a, "match": m, "reject": r}) for i, a, m, r in ROWS]
    (folder / f"evoltune_{name}" / "seeds.jsonl").write_text("\n".join(rows[:3]) + "\n")
    (folder / f"evoltune_{name}" / "heldout.jsonl").write_text(rows[3] + "\n")
    assert len(module.read_text().splitlines()) < 80


@pytest.fixture
def regex(tmp_path: Path) -> Path:
    return scaffold("regex_kit", tmp_path)


def test_a_fresh_skeleton_loads_and_says_what_is_missing(regex: Path):
    assert load_domain(str(regex)).name == "regex_kit"
    run = subprocess.run(
        [sys.executable, "-m", "evoltune", "domains", "check", str(regex)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 1 and "FAIL  references are accepted" in run.stdout, run.stdout + run.stderr


def test_with_verify_filled_in_every_law_holds(regex: Path):
    fill_in(regex, "regex_kit")
    findings = list(check_domain(str(regex)))
    assert len(findings) >= 9
    assert [f"{f.name}: {f.detail}" for f in findings if not f.ok] == []


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
    assert broken <= {f.name for f in check_domain(str(regex)) if not f.ok}


@pytest.mark.parametrize("name", ["Code", "my-domain", "class", "", "math", "../x"])
def test_names_that_cannot_be_packages_or_are_taken_are_refused(tmp_path: Path, name: str):
    with pytest.raises(DomainError):
        scaffold(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(regex: Path):
    with pytest.raises(DomainError, match="exists already"):
        scaffold("regex_kit", regex.parent)


def test_mutants_differ_from_the_answer_and_are_not_empty():
    for text in ("#### 42", "def f(a, b):\n    return a + b", "x", "SELECT a FROM t WHERE b < 3"):
        assert all(m.strip() and m != text for m in mutants(text))
    assert "#### 43" in mutants("#### 42")


@pytest.mark.parametrize("name", ["code", "math", "general"])
def test_our_own_domains_keep_every_law(name: str):
    assert [f"{f.name}: {f.detail}" for f in check_domain(name) if not f.ok] == []


def test_it_runs_from_the_skeleton_to_the_report(regex: Path, tmp_path: Path):
    """The newcomer's last command, with the embedded teacher; without training, which `examples/` and the smoke runs do."""
    fill_in(regex, "regex_kit")
    out = tmp_path / "run"
    command = [sys.executable, "-m", "evoltune", "run", str(regex / "recipe.yaml"), f"domain={regex}", "--out", str(out),
               "--stages", "evolve,verify,build,report", "--json", "teacher.max_tokens=48"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads(done.stdout)
    assert Path(made["report"]).stat().st_size > 10_000
    rows = [
        json.loads(line) for line in next((out / "dataset").glob("*/train.jsonl")).read_text().splitlines()
    ]
    assert (
        len(rows) >= 3
    )  # the seeds' own expressions are verified; what a small teacher adds is a matter of luck
