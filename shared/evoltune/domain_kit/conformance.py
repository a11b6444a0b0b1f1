"""The conformance suite of domains, behind `evoltune domains check`.

    for finding in check_domain("sql"): print(finding.ok, finding.name, finding.detail)

Each check is a law that every shipped domain keeps; a broken law names the smallest example. Answers are verified by the same
worker processes that verify data, so a verifier that hangs or crashes shows up here first.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from evoltune.domain import Domain, Rewritten, load_domain, policy_of
from evoltune.errors import EvoltuneError
from evoltune.evaluate.suites import load_suite
from evoltune.evolve.rewriting import context_of, run_jobs
from evoltune.evolve.rules.leaks import repeats_label
from evoltune.record import STATUSES, Answer, Record, Task, Verdict
from evoltune.text.residue import is_residue
from evoltune.verification.checker import Checker, open_checker

SAMPLE = 24  # seeds and problems per check: keeps the suite under a minute
LIMIT_S = 2.0  # CPU seconds of the domain's own code for one answer
FORM = "constraints"
"""`evidence.method` of a verdict on an answer's form (length, format): a wrong answer of the right form passes it."""
MUST_REJECT = 0.9
"""Share of seeds of which at least one mutated answer must be rejected (a mutant may happen to be right)."""
SWAPS = (
    ("==", "!="), ("<", ">"), (" + ", " - "), ("return ", "return not "), (" and ", " or "), ("True", "False"),
    ("SELECT", "SELECT DISTINCT"),
)  # fmt: skip
HOSTILE = (
    "", " ", "\x00", "\ud800", "\u202e\u200b", "A" * 1_000_000, "(" * 5_000, "9" * 4_000, "9**9**9**9", "{" * 999 + "}" * 999,
    "__import__('os').system('exit 3')", "\\frac{" * 400, "```python\nwhile True: pass\n```", "'; DROP TABLE t; --", "<script>1</script>",
)  # fmt: skip
UNRELATED = ("I would rather talk about the weather today.", "...")

Attempt = tuple[Task, str]
"""A task and an answer to it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One law: whether it holds, and if not, the smallest example."""

    name: str
    ok: bool
    detail: str = ""


def _law(name: str, broken: str, detail: str = "") -> Finding:
    """A law that holds, with `detail`, unless `broken` says how it is broken."""
    return Finding(name=name, ok=not broken, detail=broken or detail)


def check_domain(ref: str) -> Iterator[Finding]:
    """All findings, in a fixed order. Raises DomainError when the domain cannot be loaded at all."""
    domain = load_domain(ref)
    seeds = list(domain.seeds())
    yield _seeds(domain, seeds)
    yield from _prompts(domain)
    # Without the cache: it would answer the second half of `_deterministic`.
    with open_checker(ref, workers=1, check_s=LIMIT_S, program_s=LIMIT_S, cache=False) as checker:
        solved = [(s.task, s.answers[0].text) for s in seeds if s.answers][:SAMPLE]
        verdicts = _verify(checker, solved)
        yield from _references(solved, verdicts, checker)
        judged = ((a, v) for a, v in zip(solved, verdicts, strict=True) if v.status != "unverifiable")
        by_content = [attempt for attempt, verdict in judged if verdict.evidence.get("method") != FORM]
        if by_content:
            yield _mutations(by_content, checker)
            unrelated = [(task, text) for task, _ in by_content for text in UNRELATED]
            bad = _counterexample(checker, unrelated, lambda v: v.status == "pass")
            yield _law("unrelated answers are never accepted", bad, f"{len(unrelated)} tries")
        else:
            yield _law(f"verifies form only (evidence.method: {FORM!r})", "", "content laws do not apply")
        if any(operator.rewrite for operator in domain.operators):
            yield _rewrites(domain, seeds, checker)
        yield _hostile(seeds, checker)
        yield _deterministic(solved, checker)
        yield from _benchmarks(ref, domain, checker)


def _verify(checker: Checker, attempts: Sequence[Attempt]) -> list[Verdict]:
    records = (
        Record(domain=checker.domain.name, task=replace(task, name=str(i)), answers=(Answer(text=text, model="check"),))
        for i, (task, text) in enumerate(attempts)
    )  # fmt: skip
    missing = Verdict(status="error", reason="no verdict")
    return [record.answers[0].verdict or missing for record in checker.verify(records)]


def _seeds(domain: Domain, seeds: Sequence[Record]) -> Finding:
    answered = sum(bool(s.answers) for s in seeds)
    broken = "" if seeds else "seeds() gives nothing"
    for seed in seeds:
        if not seed.task.instruction.strip():
            broken = broken or f"seed {seed.task.name or seed.id!r} has no instruction"
        if seed.domain != domain.name:
            broken = broken or f"seed {seed.id} says domain {seed.domain!r}, not {domain.name!r}"
    if len({s.id for s in seeds}) != len(seeds):
        broken = broken or "two seeds have the same id: give each task a name"
    count = f"{len(seeds)} seeds, {answered} with an answer"
    return _law("seeds have instructions, distinct ids, and answers", broken or ("" if answered else count), count)


def _prompts(domain: Domain) -> Iterator[Finding]:
    names = [o.name for o in domain.operators]
    broken = "" if names else "there is no operator"
    for operator in domain.operators:
        if operator.template and "{instruction}" not in operator.template:
            broken = f"operator {operator.name!r}: the template has no {{instruction}} slot"
        if operator.kind == "fuse" and not operator.rewrite and "{other}" not in operator.template:
            broken = f"operator {operator.name!r}: a fuse template needs an {{other}} slot"
        if operator.kind == "turn" and "{answer}" not in operator.template:
            broken = f"operator {operator.name!r}: a turn template needs an {{answer}} slot"
    if len(set(names)) != len(names):
        broken = f"operator names are not distinct: {names}"
    if "{instruction}" not in domain.answer_prompt:
        broken = "answer_prompt has no {instruction} slot"
    yield _law("prompts render", broken, f"{len(names)} operators")
    leaks = (f"operator {o.name!r}: {line!r}" for o in domain.operators if o.template for line in _leaks(o.template))
    yield _law("no marker of a prompt can leak into a row unseen", next(leaks, ""))


def _rewrites(domain: Domain, seeds: Sequence[Record], checker: Checker) -> Finding:
    """Each rewrite function makes a task of some seed; its own solution passes, and the same parents give the same child."""
    context = context_of(partial(run_jobs, checker.pool), policy_of(domain, {}))
    made: list[tuple[str, Rewritten]] = []
    broken = ""
    for operator in domain.operators:
        if operator.rewrite is None:
            continue
        rewrite, wanted = operator.rewrite, 2 if operator.kind == "fuse" else 1
        chosen = [[*seeds, *seeds][i : i + wanted] for i in range(0, len(seeds), max(1, len(seeds) // SAMPLE))]
        twice = [[rewrite(parents, Random(i), context) for i, parents in enumerate(chosen)] for _ in range(2)]
        children = [child for child in twice[0] if isinstance(child, Rewritten)]
        if twice[0] != twice[1]:
            broken = broken or f"operator {operator.name!r} gives another child when it is called again"
        if not children:
            broken = (
                broken or f"operator {operator.name!r} makes nothing of {len(chosen)} seeds, the first: {twice[0][:1]}"
            )
        made += ((operator.name, child) for child in children)
    verdicts = _verify(checker, [(child.task, child.solution) for _, child in made])
    for (name, child), verdict in zip(made, verdicts, strict=True):
        if verdict.status != "pass":
            broken = (
                broken or f"operator {name!r}: {verdict.status} ({verdict.reason}) for {child.task.instruction[:200]!r}"
            )
    return _law("rewritten tasks are passed by their own solution", broken, f"{len(made)} children")


def _leaks(template: str) -> Iterator[str]:
    """Marker lines (`### Rewritten:`) that an echoing teacher would copy and the eliminator would not notice."""
    for line in template.splitlines():
        bare = line.strip().replace("{instruction}", "").replace("{other}", "").strip()
        marker = re.fullmatch(r"[#*\[\s]*[\w ]{3,40}[#*\]\s]*:?", bare) and re.match(r"[#*\[]", bare)
        leaked = Task(instruction=f"{bare}\nName a prime number.")
        if marker and not (is_residue(leaked.instruction) or repeats_label((template,), None, leaked)):
            yield bare


def _references(solved: Sequence[Attempt], verdicts: Sequence[Verdict], checker: Checker) -> Iterator[Finding]:
    verified = [(a, v) for a, v in zip(solved, verdicts, strict=True) if v.status != "unverifiable"]
    count = f"{len(verified)} of {len(solved)} seed answers can be verified"
    wrong = next((_example(a, v) for a, v in verified if v.status != "pass"), "" if verified else count)
    yield _law("references are accepted", wrong, count)
    forms = [
        (task, form)
        for (task, text), verdict in verified
        if verdict.status == "pass"
        for form in (f"\n{text}\n", text.replace("\n", "\r\n"), f"{text}   ")
    ]
    bad = _counterexample(checker, forms, lambda v: v.status != "pass") if forms else "0 forms"
    yield _law("references are accepted in equivalent forms", bad, f"{len(forms)} forms")


def mutants(text: str) -> list[str]:
    """Answers near to `text` and nearly always wrong: a digit changed, an operator flipped, words or a character lost."""
    digits = list(re.finditer(r"\d", text))
    out = [
        text[: digit.start()] + str((int(digit.group()) + 1) % 10) + text[digit.end() :]
        for digit in (digits[-1:] + digits[:1])[:2]
    ]
    out += [text.replace(old, new, 1) for old, new in SWAPS if old in text]
    words, middle = text.split(" "), len(text) // 2
    if len(words) > 2:
        out.append(" ".join(words[: len(words) // 2]))
    if len(text) > 2:
        out.append(text[:middle] + text[middle + 1 :])
    return [m for m in dict.fromkeys(out) if m.strip() and m != text]


def _mutations(solved: Sequence[Attempt], checker: Checker) -> Finding:
    verdicts = _verify(checker, solved)
    right = [attempt for attempt, v in zip(solved, verdicts, strict=True) if v.status == "pass"]
    missed = []
    for task, text in right:
        tries = [(task, mutant) for mutant in mutants(text)]
        if tries and all(v.status == "pass" for v in _verify(checker, tries)):
            missed.append(_example(tries[0], Verdict(status="pass")))
    share = 1 - len(missed) / len(right) if right else 0.0
    detail = f"{share:.0%} of {len(right)} seeds reject a mutant"
    broken = "" if share >= MUST_REJECT else (missed or [detail])[0]
    return _law("mutated references are rejected", broken, detail)


def _hostile(seeds: Sequence[Record], checker: Checker) -> Finding:
    """Bad candidates end as verdicts, in time, and never as a crash or an internal error."""

    def bad(verdict: Verdict) -> bool:
        return verdict.status not in {*STATUSES} - {"pass", "error"} or verdict.seconds > 8 * LIMIT_S

    tries = [(seed.task, text) for seed in seeds[:1] for text in HOSTILE]
    broken = _counterexample(checker, tries, bad) if tries else "no seed to try them on"
    name = "bad candidates end as verdicts, within the time limit"
    return _law(name, broken, f"{len(tries)} hostile answers")


def _deterministic(solved: Sequence[Attempt], checker: Checker) -> Finding:
    tries = [(task, form) for task, text in solved[:8] for form in (text, *mutants(text)[:2])]
    first, second = _verify(checker, tries), _verify(checker, tries[::-1])[::-1]
    differing = (
        _example(attempt, a)
        for attempt, a, b in zip(tries, first, second, strict=True)
        if (a.status, a.reason) != (b.status, b.reason)
    )
    detail = f"{len(tries)} answers, twice, in both orders"
    return _law("the same answer gets the same verdict", next(differing, ""), detail)


def _benchmarks(ref: str, domain: Domain, checker: Checker) -> Iterator[Finding]:
    """Suites whose file is on this machine load, and their references pass the domain's own verifier."""
    for name, benchmark in domain.benchmarks.items():
        broken = f"its profile {benchmark.profile!r} is none of {sorted(domain.profiles)}"
        detail = ""
        if benchmark.profile in domain.profiles:
            try:
                broken, detail = _suite(load_suite(name, None, domain=ref).tasks, checker)
            except EvoltuneError as error:
                broken, detail = "", f"not checked: {error}"
        yield _law(f"benchmark {name}", broken, detail)


def _suite(tasks: Sequence[Task], checker: Checker) -> tuple[str, str]:
    attempts = [(t, t.reference) for t in tasks if t.reference is not None][:SAMPLE]
    bad = _counterexample(checker, attempts, lambda v: v.status not in ("pass", "unverifiable"))
    return bad, f"{len(attempts)} references pass" if attempts else f"{len(tasks)} problems"


def _counterexample(checker: Checker, attempts: Sequence[Attempt], bad: Callable[[Verdict], bool]) -> str:
    """The attempt with the shortest answer among those whose verdict is bad; empty when none is."""
    verdicts = _verify(checker, attempts)
    found = [(attempt, v) for attempt, v in zip(attempts, verdicts, strict=True) if bad(v)]
    return _example(*min(found, key=lambda f: len(f[0][1]))) if found else ""


def _example(attempt: Attempt, verdict: Verdict) -> str:
    task, text = attempt
    reason = verdict.reason[:80]
    return f"{verdict.status} ({reason!r}) for {text[:120]!r} as an answer to {task.instruction[:80]!r}"
