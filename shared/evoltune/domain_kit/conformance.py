"""Is this domain sound? The conformance suite behind `evoltune domains check`.

    for finding in check_domain("sql"): print(finding.ok, finding.name, finding.detail)

Each check is a law that every domain of ours keeps; what fails names the smallest example. Answers are judged by the same
worker processes that verify data, so a hanging or crashing verifier shows up here first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from evoltune.domain import Domain, load_domain
from evoltune.errors import EvoltuneError
from evoltune.record import STATUSES, Answer, Record, Task, Verdict
from evoltune.text.residue import is_residue

SAMPLE = 24  # seeds and problems looked at per check: keeps the suite under a minute
LIMIT_S = 2.0  # CPU seconds of the domain's own code for one answer
FORM = "constraints"
"""`evidence.method` of a verdict on an answer's form (length, format): a wrong answer of the right form passes it."""
MUST_REJECT = 0.9
"""Share of seeds of which at least one mutated answer must be rejected (a mutant may happen to be right)."""
HOSTILE = (
    "", " ", "\x00", "\ud800", "\u202e\u200b", "A" * 1_000_000, "(" * 5_000, "9" * 4_000, "9**9**9**9", "{" * 999 + "}" * 999,
    "__import__('os').system('exit 3')", "\\frac{" * 400, "```python\nwhile True: pass\n```", "'; DROP TABLE t; --", "<script>1</script>",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One law: whether it holds, and if not, the smallest example."""

    name: str
    ok: bool
    detail: str = ""


Judged = Callable[[Sequence[tuple[Task, str]]], list[Verdict]]


def check_domain(ref: str) -> Iterator[Finding]:
    """All findings, in a fixed order. Raises DomainError when the domain cannot be loaded at all."""
    domain = load_domain(ref)
    seeds = list(domain.seeds())
    yield _seeds(domain, seeds)
    yield from _prompts(domain)
    with _judge(ref) as judged:
        solved = [(s.task, s.answers[0].text) for s in seeds if s.answers][:SAMPLE]
        yield from _references(domain, solved, judged)
        meant = [
            p
            for p, v in zip(solved, judged(solved), strict=True)
            if v.status != "unverifiable" and v.evidence.get("method") != FORM
        ]
        if meant:
            yield _mutations(meant, judged)
            yield _strangers(meant, judged)
        else:
            yield Finding(
                name=f"verifies form only (evidence.method: {FORM!r})",
                ok=True,
                detail="content laws do not apply",
            )
        yield _hostile(seeds, judged)
        yield _deterministic(solved, judged)
    yield from _benchmarks(ref, domain)


@contextmanager
def _judge(ref: str) -> Iterator[Judged]:
    from evoltune.verification.checker import open_checker

    with open_checker(ref, workers=1, check_s=LIMIT_S, program_s=LIMIT_S) as checker:

        def judged(pairs: Sequence[tuple[Task, str]]) -> list[Verdict]:
            records = (
                Record(
                    domain=ref, task=replace(task, name=f"{i}"), answers=(Answer(text=text, model="check"),)
                )
                for i, (task, text) in enumerate(pairs)
            )
            return [
                r.answers[0].verdict or Verdict(status="error", reason="no verdict")
                for r in checker.verify(records)
            ]

        yield judged


def _seeds(domain: Domain, seeds: Sequence[Record]) -> Finding:
    name = "seeds have instructions, distinct ids, and answers"
    if not seeds:
        return Finding(name=name, ok=False, detail="seeds() gives nothing")
    for seed in seeds:
        if not seed.task.instruction.strip():
            return Finding(
                name=name, ok=False, detail=f"seed {seed.task.name or seed.id!r} has no instruction"
            )
        if seed.domain != domain.name:
            return Finding(
                name=name, ok=False, detail=f"seed {seed.id} says domain {seed.domain!r}, not {domain.name!r}"
            )
    if len({s.id for s in seeds}) != len(seeds):
        return Finding(name=name, ok=False, detail="two seeds have the same id: give each task a name")
    answered = sum(bool(s.answers) for s in seeds)
    return Finding(name=name, ok=answered > 0, detail=f"{len(seeds)} seeds, {answered} with an answer")


def _prompts(domain: Domain) -> Iterator[Finding]:
    names = [o.name for o in domain.operators]
    broken = ""
    if not names:
        broken = "there is no operator"
    for operator in domain.operators:
        if "{instruction}" not in operator.template:
            broken = f"operator {operator.name!r}: the template has no {{instruction}} slot"
        if operator.kind == "fuse" and "{other}" not in operator.template:
            broken = f"operator {operator.name!r}: a fuse template needs an {{other}} slot"
    if len(set(names)) != len(names):
        broken = f"operator names are not distinct: {names}"
    if "{instruction}" not in domain.answer_prompt:
        broken = "answer_prompt has no {instruction} slot"
    yield Finding(name="prompts render", ok=not broken, detail=broken or f"{len(names)} operators")
    leak = next(
        (f"operator {o.name!r}: {line!r}" for o in domain.operators for line in _leaks(o.template)), ""
    )
    yield Finding(name="no marker of a prompt can leak into a row unseen", ok=not leak, detail=leak)


def _leaks(template: str) -> Iterator[str]:
    """Marker lines (`### Rewritten:`) that an echoing teacher would copy and the eliminator would not notice."""
    for line in template.splitlines():
        bare = line.strip().replace("{instruction}", "").replace("{other}", "").strip()
        marker = re.fullmatch(r"[#*\[\s]*[\w ]{3,40}[#*\]\s]*:?", bare) and re.match(r"[#*\[]", bare)
        if marker and not is_residue(f"{bare}\nName a prime number."):
            yield bare


def _references(domain: Domain, solved: Sequence[tuple[Task, str]], judged: Judged) -> Iterator[Finding]:
    verdicts = judged(solved)
    verifiable = [(pair, v) for pair, v in zip(solved, verdicts, strict=True) if v.status != "unverifiable"]
    wrong = next(((pair, v) for pair, v in verifiable if v.status != "pass"), None)
    detail = f"{len(verifiable)} of {len(solved)} seed answers can be verified"
    if wrong:
        detail = _example(wrong[0], wrong[1])
    yield Finding(name="references are accepted", ok=bool(verifiable) and wrong is None, detail=detail)
    forms: list[tuple[Task, str]] = []
    for (task, text), verdict in verifiable:
        if verdict.status == "pass":
            forms += [(task, f"\n{text}\n"), (task, text.replace("\n", "\r\n")), (task, f"{text}   ")]
    bad = _first(forms, judged(forms), lambda v: v.status != "pass")
    yield Finding(
        name="references are accepted in equivalent forms",
        ok=bool(forms) and not bad,
        detail=bad or f"{len(forms)} forms",
    )


def mutants(text: str) -> list[str]:
    """Answers that are near and (nearly always) wrong: a digit changed, an operator flipped, a word or the middle lost."""
    out = []
    digits = list(re.finditer(r"\d", text))
    for match in (digits[-1:] + digits[:1])[:2]:
        out.append(text[: match.start()] + str((int(match.group()) + 1) % 10) + text[match.end() :])
    swaps = (
        ("==", "!="),
        ("<", ">"),
        (" + ", " - "),
        ("return ", "return not "),
        (" and ", " or "),
        ("True", "False"),
        ("SELECT", "SELECT DISTINCT"),
    )
    for old, new in swaps:
        if old in text:
            out.append(text.replace(old, new, 1))
    words = text.split(" ")
    if len(words) > 2:
        out.append(" ".join(words[: len(words) // 2]))
    if len(text) > 2:
        out.append(text[: len(text) // 2] + text[len(text) // 2 + 1 :])
    return [m for m in dict.fromkeys(out) if m.strip() and m != text]


def _mutations(solved: Sequence[tuple[Task, str]], judged: Judged) -> Finding:
    name = "mutated references are rejected"
    verdicts = judged(solved)
    good = [pair for pair, v in zip(solved, verdicts, strict=True) if v.status == "pass"]
    missed = []
    for task, text in good:
        tries = [(task, m) for m in mutants(text)]
        if tries and all(v.status == "pass" for v in judged(tries)):
            missed.append(_example(tries[0], Verdict(status="pass")))
    share = 1 - len(missed) / len(good) if good else 0.0
    detail = (
        missed[0] if missed and share < MUST_REJECT else f"{share:.0%} of {len(good)} seeds reject a mutant"
    )
    return Finding(name=name, ok=share >= MUST_REJECT, detail=detail)


def _strangers(solved: Sequence[tuple[Task, str]], judged: Judged) -> Finding:
    """An unrelated sentence is never right."""
    pairs = [
        (task, text) for task, _ in solved for text in ("I would rather talk about the weather today.", "...")
    ]
    verdicts = judged(pairs)
    bad = _first(pairs, verdicts, lambda v: v.status == "pass")
    return Finding(
        name="unrelated answers are never accepted", ok=not bad, detail=bad or f"{len(pairs)} tries"
    )


def _hostile(seeds: Sequence[Record], judged: Judged) -> Finding:
    """Bad candidates end as verdicts, in time, and never as a crash or our own error."""
    name = "bad candidates end as verdicts, within the time limit"
    if not seeds:
        return Finding(name=name, ok=False, detail="no seed to try them on")
    pairs = [(seeds[0].task, text) for text in HOSTILE]
    verdicts = judged(pairs)
    bad = _first(
        pairs,
        verdicts,
        lambda v: v.status not in STATUSES or v.status in ("pass", "error") or v.seconds > 8 * LIMIT_S,
    )
    return Finding(name=name, ok=not bad, detail=bad or f"{len(pairs)} hostile answers")


def _deterministic(solved: Sequence[tuple[Task, str]], judged: Judged) -> Finding:
    pairs = [
        pair for task, text in solved[:8] for pair in ((task, text), *((task, m) for m in mutants(text)[:2]))
    ]
    first, second = judged(pairs), judged(list(reversed(pairs)))[::-1]
    bad = next(
        (
            _example(p, a)
            for p, a, b in zip(pairs, first, second, strict=True)
            if (a.status, a.reason) != (b.status, b.reason)
        ),
        "",
    )
    return Finding(
        name="the same answer gets the same verdict",
        ok=not bad,
        detail=bad or f"{len(pairs)} answers, twice, in both orders",
    )


def _benchmarks(ref: str, domain: Domain) -> Iterator[Finding]:
    """Suites whose file is at hand load, and their references pass the domain's own verifier."""
    from evoltune.evaluate.suites import load_suite

    for name, benchmark in domain.benchmarks.items():
        title = f"benchmark {name}"
        if benchmark.profile not in domain.profiles:
            yield Finding(
                name=title,
                ok=False,
                detail=f"its profile {benchmark.profile!r} is none of {sorted(domain.profiles)}",
            )
            continue
        try:
            suite = load_suite(name, None, domain=ref)
        except EvoltuneError as error:
            yield Finding(name=title, ok=True, detail=f"not at hand, not checked: {error}")
            continue
        tasks = [t for t in suite.tasks if t.reference is not None][:SAMPLE]
        yield (
            _suite_references(ref, title, tasks)
            if tasks
            else Finding(name=title, ok=True, detail=f"{len(suite.tasks)} problems")
        )


def _suite_references(ref: str, title: str, tasks: Sequence[Task]) -> Finding:
    with _judge(ref) as judged:
        pairs = [(t, t.reference or "") for t in tasks]
        bad = _first(pairs, judged(pairs), lambda v: v.status not in ("pass", "unverifiable"))
    return Finding(name=title, ok=not bad, detail=bad or f"{len(tasks)} references pass")


def _first(
    pairs: Sequence[tuple[Task, str]], verdicts: Iterable[Verdict], bad: Callable[[Verdict], Any]
) -> str:
    """The shortest example among those that are bad."""
    found = [(pair, v) for pair, v in zip(pairs, verdicts, strict=True) if bad(v)]
    return _example(*min(found, key=lambda f: len(f[0][1]))) if found else ""


def _example(pair: tuple[Task, str], verdict: Verdict) -> str:
    task, text = pair
    return f"{verdict.status} ({verdict.reason[:80]!r}) for {text[:120]!r} as an answer to {task.instruction[:80]!r}"
