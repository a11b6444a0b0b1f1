"""confirm: verdicts on code answers of a task without tests, by tests that a model wrote, as far as these are any good; where they
are not, by what distinct solutions agree on (`mutual`).

1. Asserts are read one by one from the teacher's text; those that never call the function, or that every useless function
   passes, are flagged and put aside.
2. Dual agreement (CodeT, 2207.10397): solutions that pass the same asserts form a group, weighed by solutions x asserts.
3. The best group is believed if it passes enough of the asserts, and if these kill enough mutants of its solution.

Invariant: without enough working tests every verdict is `unverifiable`, with the reason and the figures in evidence.

    confirm(task, candidates, {"tests": ("assert f(1) == 2\\nassert f(2) == 3", )}, context)
"""

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from evoltune.domain import Context, Job
from evoltune.record import Json, Task, Verdict
from evoltune.verification.records import NO_ANSWER
from evoltune_code.assembly import assemble, text_field
from evoltune_code.extraction import normalised
from evoltune_code.fences import blocks
from evoltune_code.mutants import mutants, stubs
from evoltune_code.mutual import agree, cases_as_tests, doubt_about, examples_in, inputs_of
from evoltune_code.syntax import calls_by_name, local_names, parse, syntax_error, top_level_names
from evoltune_code.verification import policy_number

_PREFACE = "import math\n"
"""Asserts may use math.isclose; nothing else is imported for them."""
_KNOWN_NAMES = frozenset({"math", *dir(builtins)})


def confirm(
    task: Task, candidates: Sequence[str | None], evidence: Mapping[str, Sequence[str]], context: Context
) -> Sequence[Verdict]:
    """One verdict for each candidate, in order; None (no answer found) is a fail."""
    prompt, entry_point = text_field(task, "prompt"), text_field(task, "entry_point")
    programs = [None if c is None else assemble(prompt, entry_point, c) for c in candidates]
    broken = [_broken(p) for p in programs]
    sound = [p for p, verdict in zip(programs, broken, strict=True) if p is not None and verdict is None]
    texts = evidence.get("tests", ())
    shared = _confirm_programs(task, sound, texts, context) if sound else {}
    if len(shared) >= policy_number(context, "mutual_solutions") and all(
        v.status == "unverifiable" for v in shared.values()
    ):
        shared = _by_agreement(task, shared, texts, context)
    return [verdict or shared[p or ""] for p, verdict in zip(programs, broken, strict=True)]


def _broken(program: str | None) -> Verdict | None:
    if program is None:
        return Verdict(status="fail", reason=NO_ANSWER)
    error = syntax_error(program)
    return Verdict(status="fail", reason=f"syntax error on line {error[0]}: {error[1]}") if error else None


def _confirm_programs(
    task: Task, programs: Sequence[str], texts: Sequence[str], context: Context
) -> dict[str, Verdict]:
    written = [a for text in texts for a in asserts_of(text)]
    entry_point = text_field(task, "entry_point") or inferred_entry_point(written, programs)
    if not written or not entry_point:
        reason = "no function that the asserts could call" if written else "the teacher's text holds no assert"
        return dict.fromkeys(programs, Verdict(status="unverifiable", reason=reason))
    weights = Counter(programs)
    distinct = list(weights)
    asserts, flagged, passed_by = _run_trial(distinct, entry_point, written, context)
    groups: Counter[frozenset[int]] = Counter()
    for program, passed in zip(distinct, passed_by, strict=True):
        groups[passed] += weights[program]
    best = max(groups, key=lambda g: (groups[g] * len(g), len(g), sorted(g)))
    score = groups[best] * len(best)
    figures: dict[str, Json] = {
        "verified_by": "tests+mutants", "flagged": flagged,
        "tests_written": len(written), "tests_usable": len(asserts), "tests_passed": len(best),
        "agreement": {"solutions": groups[best], "of": len(programs), "tests": len(best), "score": score},
    }  # fmt: skip
    doubt = _too_few(len(asserts), len(best), context)
    if not doubt:
        accepted = distinct[passed_by.index(best)]
        tests = [asserts[i] for i in sorted(best)]
        killed, total = mutation_score(accepted, entry_point, tests, context)
        figures |= {"mutants": total, "killed": killed, "entry_point": entry_point, "tests": "\n".join(tests)}
        doubt = _too_lenient(killed, total, context)
    by_program = zip(distinct, passed_by, strict=True)
    return {program: _verdict(passed, best, doubt, figures) for program, passed in by_program}


def _by_agreement(
    task: Task, doubted: dict[str, Verdict], texts: Sequence[str], context: Context
) -> dict[str, Verdict]:
    """Verdicts by mutual verification; the doubts that there were where the solutions do not agree."""
    programs = list(doubted)
    written = [a for text in texts for a in asserts_of(text)]
    entry_point = text_field(task, "entry_point") or inferred_entry_point(written, programs)
    if not entry_point:
        return doubted
    inputs = inputs_of(task, entry_point, texts, context)
    said = (text_field(task, "prompt"), task.instruction)
    examples = [example for text in said for example in examples_in(text, entry_point)]
    agreement = agree(programs, entry_point, inputs, context, examples)
    if doubt := doubt_about(agreement, context):
        return {
            program: replace(
                verdict, reason=f"{verdict.reason}; {doubt}", evidence={**verdict.evidence, "mutual": agreement.figures}
            )
            for program, verdict in doubted.items()
        }
    figures: dict[str, Json] = {
        "verified_by": "agreement+mutants",
        "mutual": agreement.figures,
        "entry_point": entry_point,
        "tests": cases_as_tests(agreement),
    }
    said_by = f"{agreement.agreeing} of {agreement.voters} distinct solutions"
    passed = Verdict(status="pass", reason=f"{len(agreement.cases)} values that {said_by} agree on", evidence=figures)
    failed = Verdict(status="fail", reason=f"returns another value than {said_by}", evidence=figures)
    return {program: passed if i in agreement.passing else failed for i, program in enumerate(programs)}


def _verdict(passed: frozenset[int], best: frozenset[int], doubt: str, figures: Mapping[str, Json]) -> Verdict:
    if doubt:
        return Verdict(status="unverifiable", reason=doubt, evidence={**figures, "verified_by": ""})
    if passed >= best:
        reason = f"{len(best)} model-written tests that kill mutants"
        return Verdict(status="pass", reason=reason, evidence=figures)
    reason = f"fails {len(best - passed)} of {len(best)} tests that the accepted solution passes"
    return Verdict(status="fail", reason=reason, evidence=figures)


def _too_few(usable: int, passed: int, context: Context) -> str:
    least, share = int(policy_number(context, "min_tests")), policy_number(context, "tests_agree")
    if usable < least:
        return f"{usable} usable model-written tests, {least} are needed"
    if passed < max(least, share * usable):
        return f"the best solutions pass {passed} of {usable} model-written tests, {share:.0%} are needed"
    return ""


def _too_lenient(killed: int, total: int, context: Context) -> str:
    least = policy_number(context, "mutation_score")
    if total == 0:
        return "no mutants: the solution has nothing that tests could catch"
    if killed < least * total:
        return f"model-written tests kill {killed} of {total} mutants, {least:.0%} are needed"
    return ""


def _run_trial(
    programs: Sequence[str], entry_point: str, written: Sequence[str], context: Context
) -> tuple[list[str], dict[str, Json], list[frozenset[int]]]:
    """Runs every program, and six useless ones, on every assert; each program is one job.

    Returns the usable asserts (they call the function, and not every useless function passes them), how many were put aside
    by reason, and for each program the numbers of the asserts that it passes.
    """
    calling = [_calling(a, entry_point) for a in written]
    asserts = [a for a in dict.fromkeys(calling) if a][: int(policy_number(context, "max_asserts"))]
    tests = {"each": [_PREFACE + a for a in asserts]}
    jobs = [Job(program=p, tests=tests, entry_point=entry_point) for p in (*programs, *stubs(entry_point))]
    verdicts = context.run_many(jobs) if asserts else [Verdict(status="error")] * len(jobs)
    rows = [_passed(verdict, len(asserts)) for verdict in verdicts]
    anything = frozenset.intersection(*rows[len(programs) :])
    usable = [i for i in range(len(asserts)) if i not in anything]
    place = {old: new for new, old in enumerate(usable)}
    passed = [frozenset(place[i] for i in row if i in place) for row in rows[: len(programs)]]
    flagged: dict[str, Json] = {"never_calls": calling.count(""), "passes_anything": len(anything)}
    return [asserts[i] for i in usable], flagged, passed


def _passed(verdict: Verdict, count: int) -> frozenset[int]:
    """The numbers of the asserts that a program passes."""
    found = verdict.evidence.get("passed")
    if isinstance(found, Sequence):
        return frozenset(i for i, ok in enumerate(found) if ok)
    return frozenset(range(count)) if verdict.status == "pass" else frozenset()


def mutation_score(program: str, entry_point: str, tests: Sequence[str], context: Context) -> tuple[int, int]:
    """(killed, total): mutants of the program that fail at least one of the tests. A mutant that could not be run does not
    count."""
    limit, cpu_s = int(policy_number(context, "mutants")), policy_number(context, "mutant_cpu_s")
    source = [_PREFACE + test for test in tests]
    found = mutants(program, limit=limit)
    jobs = [Job(program=m.source, tests=source, entry_point=entry_point, cpu_s=cpu_s) for m in found]
    statuses = [v.status for v in context.run_many(jobs) if v.status not in ("error", "unverifiable")]
    return sum(status != "pass" for status in statuses), len(statuses)


def asserts_of(text: str) -> Iterator[str]:
    """The assert statements of a teacher's text, one by one: of fenced blocks, test functions or bare lines; a statement
    that does not parse costs only itself."""
    clean = normalised(text)
    sources = [b.code for b in blocks(clean) if b.tag in ("", "python", "py", "python3")] or [clean]
    for source in sources:
        tree = parse(source)
        nodes = ast.walk(tree) if tree else _asserts_of_broken(source)
        yield from (ast.unparse(node) for node in nodes if isinstance(node, ast.Assert))


def _asserts_of_broken(source: str) -> Iterator[ast.AST]:
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
    defined = {name for program in programs for name in top_level_names(program)}
    calls = Counter(name for a in asserts for name in _called(a) & defined)
    return calls.most_common(1)[0][0] if calls else ""


def _called(source: str) -> set[str]:
    return {name for name, _ in calls_by_name(parse(source))}


def _calling(source: str, entry_point: str) -> str:
    """The assert, if it calls the function and uses nothing unknown; `candidate` stands for the function; else ""."""
    renamed = re.sub(r"\bcandidate\b", entry_point, source)
    tree = parse(renamed)
    if tree is None or entry_point not in _called(renamed):
        return ""
    names, bound = local_names(tree)
    return renamed if names <= bound | _KNOWN_NAMES | {entry_point} else ""
