"""confirm: code answers of a task without tests, judged by tests that a model wrote. They count only as far as they work.

1. Asserts are read one by one from the teacher's text; those that never call the function, or that every useless
   function passes, are flagged and put aside.
2. Dual agreement (CodeT, 2207.10397): solutions that pass the same asserts form a group, weighed by solutions x asserts.
3. The best group is believed if it passes enough of the asserts, and if these kill enough mutants of its solution.

Invariant: without enough working tests every verdict is `unverifiable`, with the reason and the figures in evidence.

    confirm(task, candidates, {"tests": ("assert f(1) == 2\\nassert f(2) == 3", )}, context)
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evoltune.domain import Context, Job
from evoltune.record import Json, Task, Verdict
from evoltune_code.extract import blocks, normalised
from evoltune_code.mutants import mutants, stubs
from evoltune_code.program import assemble, fault, parse, top_level_names
from evoltune_code.verification import field, knob

_PREFACE = "import math\n"
"""Asserts may use math.isclose; nothing else is imported for them."""
_HAS = frozenset({"math", *dir(builtins)})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the asserts said about the programs."""

    asserts: Sequence[str]
    """Usable asserts: they call the function, and not every useless function passes them."""
    flagged: Mapping[str, int]
    """never_calls, passes_anything: asserts that were put aside."""
    passed: Sequence[frozenset[int]]
    """For each program the numbers of the asserts that it passes."""


def confirm(
    task: Task, candidates: Sequence[str | None], evidence: Mapping[str, Sequence[str]], context: Context
) -> Sequence[Verdict]:
    """One verdict for each candidate, in order; None (no answer found) is a fail."""
    texts = evidence.get("tests", ())
    programs = [
        None if c is None else assemble(field(task, "prompt"), field(task, "entry_point"), c)
        for c in candidates
    ]
    broken = {i: _broken(p) for i, p in enumerate(programs)}
    sound = [p for i, p in enumerate(programs) if p is not None and broken[i] is None]
    shared = _judge(task, sound, texts, context) if sound else {}
    return [broken[i] or shared[p or ""] for i, p in enumerate(programs)]


def _broken(program: str | None) -> Verdict | None:
    if program is None:
        return Verdict(status="fail", reason="no answer found")
    wrong = fault(program)
    return Verdict(status="fail", reason=f"syntax error on line {wrong[0]}: {wrong[1]}") if wrong else None


def _judge(task: Task, programs: Sequence[str], texts: Sequence[str], context: Context) -> dict[str, Verdict]:
    written = [a for text in texts for a in asserts_of(text)]
    entry_point = field(task, "entry_point") or inferred_entry_point(written, programs)
    if not written or not entry_point:
        reason = (
            "the teacher's text holds no assert" if not written else "no function that the asserts could call"
        )
        return dict.fromkeys(programs, Verdict(status="unverifiable", reason=reason))
    weights = Counter(programs)
    distinct = list(weights)
    trial = attempt(distinct, entry_point, written, context)
    groups: dict[frozenset[int], int] = {}
    for program, passed in zip(distinct, trial.passed, strict=True):
        groups[passed] = groups.get(passed, 0) + weights[program]
    best = max(groups, key=lambda g: (groups[g] * len(g), len(g), sorted(g)))
    accepted = distinct[trial.passed.index(best)]
    kept = [trial.asserts[i] for i in sorted(best)]
    figures: dict[str, Json] = {
        "verified_by": "tests+mutants",
        "tests_written": len(written),
        "tests_usable": len(trial.asserts),
        "tests_passed": len(kept),
        "flagged": dict(trial.flagged),
        "agreement": {
            "solutions": groups[best],
            "of": len(programs),
            "tests": len(kept),
            "score": groups[best] * len(kept),
        },
    }
    doubt = _too_weak(len(trial.asserts), len(kept), context)
    if not doubt:
        killed, total = mutation_score(accepted, entry_point, kept, context)
        figures |= {"mutants": total, "killed": killed}
        doubt = _too_lenient(killed, total, context)
    return {
        program: _verdict(passed, best, doubt, figures)
        for program, passed in zip(distinct, trial.passed, strict=True)
    }


def _verdict(
    passed: frozenset[int], best: frozenset[int], doubt: str, figures: Mapping[str, Json]
) -> Verdict:
    if doubt:
        return Verdict(status="unverifiable", reason=doubt, evidence={**figures, "verified_by": ""})
    if passed >= best:
        return Verdict(
            status="pass", reason=f"{len(best)} model-written tests that kill mutants", evidence=figures
        )
    missed = len(best - passed)
    return Verdict(
        status="fail",
        reason=f"fails {missed} of {len(best)} tests that the accepted solution passes",
        evidence=figures,
    )


def _too_weak(usable: int, kept: int, context: Context) -> str:
    least, share = int(knob(context, "min_tests")), knob(context, "tests_agree")
    if usable < least:
        return f"{usable} usable model-written tests, {least} are needed"
    if kept < max(least, share * usable):
        return f"the best solutions pass {kept} of {usable} model-written tests, {share:.0%} are needed"
    return ""


def _too_lenient(killed: int, total: int, context: Context) -> str:
    least = knob(context, "mutation_score")
    if total == 0:
        return "no mutants: the solution has nothing that tests could catch"
    if killed < least * total:
        return f"model-written tests kill {killed} of {total} mutants, {least:.0%} are needed"
    return ""


def attempt(programs: Sequence[str], entry_point: str, written: Sequence[str], context: Context) -> Trial:
    """Runs every program, and six useless ones, on every assert; each program is one job."""
    calling = [a for a in dict.fromkeys(_about(a, entry_point) for a in written) if a]
    never = len(written) - sum(bool(_about(a, entry_point)) for a in written)
    calling = calling[: int(knob(context, "max_asserts"))]
    useless = [stub.source for stub in stubs("", entry_point)]
    jobs = [
        Job(program=p, tests={"each": [_PREFACE + a for a in calling]}, entry_point=entry_point)
        for p in (*programs, *useless)
    ]
    rows = (
        [_passes(verdict, len(calling)) for verdict in context.run_many(jobs)]
        if calling
        else [frozenset[int]()] * len(jobs)
    )
    anything = frozenset.intersection(*rows[len(programs) :])
    usable = [i for i in range(len(calling)) if i not in anything]
    place = {old: new for new, old in enumerate(usable)}
    return Trial(
        asserts=[calling[i] for i in usable],
        flagged={"never_calls": never, "passes_anything": len(anything)},
        passed=[frozenset(place[i] for i in row if i in place) for row in rows[: len(programs)]],
    )


def _passes(verdict: Verdict, count: int) -> frozenset[int]:
    found = verdict.evidence.get("passed")
    if isinstance(found, Sequence):
        return frozenset(i for i, ok in enumerate(found) if ok)
    return frozenset(range(count)) if verdict.status == "pass" else frozenset()


def mutation_score(program: str, entry_point: str, tests: Sequence[str], context: Context) -> tuple[int, int]:
    """(killed, total): mutants of the program that fail at least one of the tests. Mutants that we could not run count not."""
    changed = mutants(program, limit=int(knob(context, "mutants")))
    source = [_PREFACE + test for test in tests]
    jobs = [
        Job(program=m.source, tests=source, entry_point=entry_point, cpu_s=knob(context, "mutant_cpu_s"))
        for m in changed
    ]
    judged = [v.status for v in context.run_many(jobs) if v.status not in ("error", "unverifiable")]
    return sum(status != "pass" for status in judged), len(judged)


def asserts_of(text: str) -> Iterator[str]:
    """The assert statements of a teacher's text, one by one: of fenced blocks, test functions or bare lines; a statement
    that does not parse costs only itself."""
    clean = normalised(text)
    sources = [b.code for b in blocks(clean) if b.tag in ("", "python", "py", "python3")] or [clean]
    for source in sources:
        tree = parse(source)
        statements = ast.walk(tree) if tree else _salvaged(source)
        yield from (ast.unparse(node) for node in statements if isinstance(node, ast.Assert))


def _salvaged(source: str) -> Iterator[ast.AST]:
    """Asserts of a source that does not parse as a whole, each from its first line to where it parses."""
    lines = [re.sub(r"^\s*(?:[-*>]+|\d+[.)])?\s*`?(?=assert\b)", "", line) for line in source.split("\n")]
    for start, line in enumerate(lines):
        if not line.startswith(("assert ", "assert(")):
            continue
        for end in range(start + 1, min(start + 12, len(lines)) + 1):
            tree = parse("\n".join(lines[start:end]).rstrip("`").strip())
            if tree is not None:
                yield from tree.body
                break


def inferred_entry_point(asserts: Sequence[str], programs: Sequence[str]) -> str:
    """The function called by most asserts among those that the programs define; "" if there is none."""
    defined = {name for program in programs if (tree := parse(program)) for name in top_level_names(tree)}
    calls = Counter(name for a in asserts for name in set(_called(a)) if name in defined)
    return calls.most_common(1)[0][0] if calls else ""


def _called(source: str) -> Iterator[str]:
    tree = parse(source)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def _about(source: str, entry_point: str) -> str:
    """The assert, if it calls the function and uses nothing unknown; `candidate` stands for the function; else ""."""
    renamed = re.sub(r"\bcandidate\b", entry_point, source)
    tree = parse(renamed)
    if tree is None or entry_point not in _called(renamed):
        return ""
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    bound = {n.id for n in names if not isinstance(n.ctx, ast.Load)} | {
        a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)
    }
    return renamed if {n.id for n in names} <= bound | _HAS | {entry_point} else ""
