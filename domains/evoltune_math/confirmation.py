"""Mathematics without a reference: evolved problems have none, so independent methods must agree.

- vote: the k derivations are clustered by our own equality; the largest cluster stands if it has enough of all k
- program: a SymPy program of the teacher runs in the sandbox; the last line it prints is compared with the candidate
- check: a program of the teacher that works backwards is asked whether the candidate fits, and whether two wrong ones do
- substitution: where the task states equations, the answer is put back into them (and must be complete for a polynomial)

A single method verifies nothing unless `policy.confirm_methods` is 1. `verified_by` and `confidence` stand in the evidence.
Invariant: a vote can lift no score, since evaluation and rewards never call this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from evoltune.domain import Context, Job
from evoltune.record import Task, Verdict
from evoltune_math.answers.algebra.rational import Undefined, rational
from evoltune_math.answers.kinds import Named, Value
from evoltune_math.answers.limits import TooLarge
from evoltune_math.answers.policy import Policy
from evoltune_math.answers.reading.reader import read
from evoltune_math.extraction import find
from evoltune_math.substitution import solves
from evoltune_math.verification import same_answer

PROGRAM, CHECK = "program", "check"
"""Names under `Domain.evidence`: programs that print the answer; functions `check(x)` that accept only the answer."""
MIN_VOTES = 2
_RELIABLE = {"program": 0.8, "check": 0.8, "substitution": 0.95}
"""How much an agreement by chance is to be feared; stated, not calibrated."""
_FENCE = re.compile(r"```(?:python|py|sympy)?[ \t]*\n(.*?)```", re.S | re.I)


@dataclass(frozen=True, kw_only=True)
class Vote:
    """The clusters of equal candidates: for each candidate the size of its cluster."""

    sizes: tuple[int, ...]
    total: int
    winner: int | None
    """Index of the first candidate of the cluster that won, if any did."""


def confirm(
    task: Task, candidates: Sequence[str | None], evidence: Mapping[str, Sequence[str]], context: Context
) -> list[Verdict]:
    """A verdict for each candidate: pass, fail (another answer is verified, or it does not solve), unverifiable."""
    policy = Policy.of(context.policy)
    vote = cluster(candidates, policy)
    printed = run_programs(evidence.get(PROGRAM, ()), context)
    checks = [program_of(text) for text in evidence.get(CHECK, ())]
    accepted: dict[Fraction, bool] = {}
    found = []
    for i, text in enumerate(candidates):
        value = None if text is None else exact_value(text)
        if value is not None and checks and value not in accepted:
            accepted[value] = sum(accepts(program, value, context) for program in checks) * 2 > len(checks)
        found.append(
            _evidence(
                task, i, candidates, vote, printed, value is not None and accepted.get(value, False), policy
            )
        )
    verified = [
        len(f["verified_by"]) >= max(1, policy.confirm_methods) and not f["refuted_by"] for f in found
    ]
    return [_verdict(found[i], verified[i], any(verified)) for i in range(len(candidates))]


def cluster(candidates: Sequence[str | None], policy: Policy) -> Vote:
    """Equal answers by our own equality; None is a vote for nothing."""
    heads: list[int] = []
    home: list[int | None] = []
    for i, text in enumerate(candidates):
        at = (
            None
            if text is None
            else next((h for h in heads if same_answer(text, str(candidates[h]), policy)[0]), None)
        )
        if text is not None and at is None:
            heads.append(i)
            at = i
        home.append(at)
    sizes = tuple(0 if h is None else home.count(h) for h in home)
    best = sorted(heads, key=lambda h: -sizes[h])
    clear = bool(best) and sizes[best[0]] >= MIN_VOTES and (len(best) == 1 or sizes[best[0]] > sizes[best[1]])
    won = clear and sizes[best[0]] * 100 > policy.vote_percent * len(candidates)
    return Vote(sizes=sizes, total=len(candidates), winner=best[0] if won else None)


def run_programs(texts: Sequence[str], context: Context) -> list[str]:
    """What the programs print as their last line; a program that fails prints nothing."""
    printed = []
    for text in texts:
        verdict = context.run(Job(program=program_of(text), tests=None))
        lines = [
            line.strip() for line in str(verdict.evidence.get("stdout", "")).splitlines() if line.strip()
        ]
        if verdict.status == "pass" and lines:
            printed.append(lines[-1])
    return printed


def exact_value(text: str) -> Fraction | None:
    """The candidate as a fraction, when it is a number."""
    answer = read(text)
    answer = answer.value if isinstance(answer, Named) else answer
    try:
        return rational(answer.node) if isinstance(answer, Value) else None
    except (TooLarge, Undefined):
        return None


def accepts(program: str, value: Fraction, context: Context) -> bool:
    """Whether `check` takes the value and refuses two others; one that takes anything says nothing."""
    asked = [value, value + 1, 2 * value + 3]
    calls = ", ".join(f"bool(check(Fraction({v.numerator}, {v.denominator})))" for v in asked)
    verdict = context.run(
        Job(program=f"{program}\n\nfrom fractions import Fraction\nprint()\nprint({calls})\n", tests=None)
    )
    lines = str(verdict.evidence.get("stdout", "")).split("\n")
    return verdict.status == "pass" and lines[-2:-1] == ["True False False"]


def program_of(text: str) -> str:
    """The last fenced block, else the whole text."""
    blocks = _FENCE.findall(text)
    return str(blocks[-1] if blocks else text)


def _evidence(
    task: Task,
    i: int,
    candidates: Sequence[str | None],
    vote: Vote,
    printed: list[str],
    accepted: bool,
    policy: Policy,
) -> dict[str, Any]:
    text = candidates[i]
    by: list[str] = []
    against: list[str] = []
    if text is not None:
        if vote.winner is not None and same_answer(text, str(candidates[vote.winner]), policy)[0]:
            by.append("vote")
        agreeing = sum(same_answer(text, _plain(line), policy)[0] for line in printed)
        if agreeing * 2 > len(printed):
            by.append("program")
        if accepted:
            by.append("check")
        solved = solves(task.instruction, text)
        if solved is not None:
            (by if solved else against).append("substitution")
    share = vote.sizes[i] / vote.total if vote.total else 0.0
    doubt = 1.0
    for method in by:
        doubt *= 1 - _RELIABLE.get(method, share)
    return {
        "extracted": text, "verified_by": by, "refuted_by": against, "votes": vote.sizes[i], "of": vote.total,
        "programs": len(printed), "confidence": round(0.0 if against else 1 - doubt, 4),
    }  # fmt: skip


def _plain(line: str) -> str:
    """The answer in a printed line: `x = 5` and `[-2, 3]` as they stand, `The answer is 5` extracted."""
    found = find(line)
    return found.text if found is not None else line


def _verdict(evidence: dict[str, Any], verified: bool, another: bool) -> Verdict:
    if evidence["extracted"] is None:
        return Verdict(status="fail", reason="no answer found", evidence=evidence)
    if verified:
        return Verdict(status="pass", evidence=evidence)
    if evidence["refuted_by"]:
        return Verdict(status="fail", reason="does not solve the stated equations", evidence=evidence)
    if another:
        return Verdict(status="fail", reason="another answer is verified", evidence=evidence)
    methods = ", ".join(evidence["verified_by"]) or "none"
    return Verdict(status="unverifiable", reason=f"too few methods agree: {methods}", evidence=evidence)
