"""`Domain.confirm`: problems that a teacher invents have no reference, so independent methods must agree.

- vote: the derivations are grouped by our own equality; the largest group counts if it has enough of all derivations
- program: a program of the teacher runs in the sandbox; the last line that it prints is compared with the candidate
- check: a program of the teacher that works backwards is asked whether it accepts the candidate and refuses two wrong values
- substitution: if the task states equations, the answer is put into them (and must be complete for a polynomial)

One method alone verifies nothing unless `policy.confirm_methods` is 1. The evidence has `verified_by` and `confidence`.
Invariant: evaluation and rewards never call this, so that a vote cannot lift a score.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import prod
from typing import Any

from evoltune.domain import Context, Job
from evoltune.record import Task, Verdict
from evoltune.verification.records import NO_ANSWER
from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.kinds import Value, unnamed
from evoltune_math.answers.policy import Policy
from evoltune_math.answers.reading.reader import read
from evoltune_math.extraction import find
from evoltune_math.substitution import solves
from evoltune_math.verification import same_answer

PROGRAM, CHECK = "program", "check"
"""Names in `Domain.evidence`: programs that print the answer; functions `check(x)` that accept only the answer."""
MIN_VOTES = 2
_RELIABILITY = {"program": 0.8, "check": 0.8, "substitution": 0.95}
"""How likely a method that agrees is right. These are assumptions, not calibrated; a vote's is its share."""
_WORK = (ast.BinOp, ast.AugAssign, ast.For, ast.While, ast.comprehension)
_STATES = frozenset({"print", "str", "int", "float", "bool", "round", "Fraction", "Decimal", "Rational", "Integer"})
_FENCE = re.compile(r"```(?:python|py|sympy)?[ \t]*\n(.*?)```", re.S | re.I)


def confirm(
    task: Task, candidates: Sequence[str | None], evidence: Mapping[str, Sequence[str]], context: Context
) -> list[Verdict]:
    """A verdict for each candidate: pass, fail (another answer is verified, or it solves nothing), unverifiable."""
    policy = Policy.of(context.policy)
    sizes, winner = vote_on(candidates, policy)
    printed = _run_programs(filter(computes, map(program_of, evidence.get(PROGRAM, ()))), context)
    checks = [check for check in map(program_of, evidence.get(CHECK, ())) if computes(check)]

    @cache
    def accepted(value: Fraction) -> bool:
        """Whether most of the backward checks accept a value."""
        return sum(_accepts(check, value, context) for check in checks) * 2 > len(checks)

    found: list[dict[str, Any]] = []
    for text, votes in zip(candidates, sizes, strict=True):
        by: list[str] = []
        against: list[str] = []
        if text is not None:
            if winner is not None and same_answer(text, winner, policy)[0]:
                by.append("vote")
            if sum(same_answer(text, line, policy)[0] for line in printed) * 2 > len(printed):
                by.append("program")
            answer = unnamed(read(text))
            value = known_rational(answer.node) if checks and isinstance(answer, Value) else None
            if value is not None and accepted(value):
                by.append("check")
            solved = solves(task.instruction, text)
            if solved is not None:
                (by if solved else against).append("substitution")
        # The probability that at least one method is right, if they err independently.
        confidence = round(1 - prod(1 - _RELIABILITY.get(method, votes / len(candidates)) for method in by), 4)
        counts = {"votes": votes, "of": len(candidates), "programs": len(printed)}
        methods = {"verified_by": by, "refuted_by": against, "confidence": 0.0 if against else confidence}
        found.append({"extracted": text, **methods, **counts})
    least = max(1, policy.confirm_methods)
    verified = [len(f["verified_by"]) >= least and not f["refuted_by"] for f in found]
    return [_verdict(f, v, any(verified)) for f, v in zip(found, verified, strict=True)]


def vote_on(candidates: Sequence[str | None], policy: Policy) -> tuple[tuple[int, ...], str | None]:
    """For each candidate how many equal it by our own equality (None equals nothing); the winner if there is one."""
    groups: list[list[int]] = []
    for i, text in enumerate(candidates):
        if text is None:
            continue
        group = next((g for g in groups if same_answer(text, str(candidates[g[0]]), policy)[0]), None)
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    size_of = {i: len(group) for group in groups for i in group}
    sizes = tuple(size_of.get(i, 0) for i in range(len(candidates)))
    first, second = [*sorted(groups, key=len, reverse=True), [], []][:2]
    is_clear = len(first) >= MIN_VOTES and len(first) > len(second)
    won = is_clear and len(first) * 100 > policy.vote_percent * len(candidates)
    return sizes, candidates[first[0]] if won else None


def program_of(text: str) -> str:
    """The last fenced block, else the whole text."""
    blocks = _FENCE.findall(text)
    return str(blocks[-1] if blocks else text)


def computes(program: str) -> bool:
    """Whether a program works anything out: one that only states a number (`print(13)`, `x == 13`) says the same once more. True where it
    does not parse, since it then fails."""
    try:
        nodes = list(ast.walk(ast.parse(program)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    calls = (node.func for node in nodes if isinstance(node, ast.Call))
    is_told = any(not (isinstance(function, ast.Name) and function.id in _STATES) for function in calls)
    return is_told or any(isinstance(node, _WORK) for node in nodes)


def _run_programs(programs: Iterable[str], context: Context) -> list[str]:
    """The answers that the programs print as their last line; a program that fails gives none."""
    printed = []
    for program in programs:
        verdict = context.run(Job(program=program, tests=None))
        lines = [line for line in str(verdict.evidence.get("stdout", "")).splitlines() if line.strip()]
        if verdict.status == "pass" and lines:
            line = lines[-1].strip()
            found = find(line)  # `x = 5` and `[-2, 3]` are taken whole, `The answer is 5` is not
            printed.append(found.text if found is not None else line)
    return printed


def _accepts(check: str, value: Fraction, context: Context) -> bool:
    """Whether a program accepts the value and refuses two others: one that accepts these too says nothing."""
    values = [value, value + 1, 2 * value + 3]
    calls = ", ".join(f"bool(check(Fraction({v.numerator}, {v.denominator})))" for v in values)
    source = f"{check}\n\nfrom fractions import Fraction\nprint()\nprint({calls})\n"
    verdict = context.run(Job(program=source, tests=None))
    lines = str(verdict.evidence.get("stdout", "")).split("\n")
    return verdict.status == "pass" and lines[-2:-1] == ["True False False"]


def _verdict(evidence: dict[str, Any], verified: bool, another: bool) -> Verdict:
    if evidence["extracted"] is None:
        return Verdict(status="fail", reason=NO_ANSWER, evidence=evidence)
    if verified:
        return Verdict(status="pass", evidence=evidence)
    if evidence["refuted_by"]:
        return Verdict(status="fail", reason="does not solve the stated equations", evidence=evidence)
    if another:
        return Verdict(status="fail", reason="another answer is verified", evidence=evidence)
    methods = ", ".join(evidence["verified_by"]) or "none"
    return Verdict(status="unverifiable", reason=f"too few methods agree: {methods}", evidence=evidence)
