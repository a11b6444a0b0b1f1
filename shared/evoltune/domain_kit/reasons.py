"""The law that a verdict's reason stays short, however long the answer and the texts of the task are.

A reason is stored with each answer and counted in reports: what it quotes at length is kept a thousand times. Each reason is
held to this (`contract.bounded`); here are the answers and references that are long and yet like right ones.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from evoltune.domain_kit.findings import Finding, broken, holds
from evoltune.domain_kit.judging import Judged, Laws
from evoltune.domain_kit.near_misses import UNRELATED, near_misses
from evoltune.record import Task

LONG = 3_000
"""Characters of a long text: more than any reason may quote, and fewer than a domain may refuse to read."""
A_TEXT = 100
"""Characters of a reference from which the domain's references are texts: what is shorter may be quoted whole."""
_TASKS = 3


def laws_of_reasons(laws: Laws, judged: Judged) -> Iterator[Finding]:
    law, until, crashes = "a reason is short, whatever it is about", laws.time.until(0.5), len(laws.crashes)
    tries = [(task, text, True) for task, text in _long_answers(judged)]
    if any(len(task.reference or "") >= A_TEXT for task, _, _ in judged.right):
        tries += [(task, text, False) for task, text in _long_references(judged)]
    for task, text, is_answer in until.over(tries):
        outcome = laws.first.call("verify", task, text, name="verify")
        if outcome.kind == "raise" and not is_answer:  # a reference of this form may be none
            continue
        laws.failed(outcome, f"a candidate of {len(text)} characters, {text[:40]!r} ...")
        if len(laws.crashes) > crashes:
            crash = [*laws.crashes.values()][crashes]
            todo = "cut what the reason quotes: it is stored with each answer" if outcome.kind == "type" else crash.todo
            yield broken(law, crash.detail, crash.where, todo)
            return
    if until.looked:
        yield holds(law, f"{until.looked} long answers and references")


def _long_answers(judged: Judged) -> Iterator[tuple[Task, str]]:
    for task, _, candidate in judged.right[:_TASKS]:
        wrong = next(iter(near_misses(candidate).values()), candidate)
        yield from ((task, text) for text in (*_grown(candidate), *_grown(wrong)))


def _long_references(judged: Judged) -> Iterator[tuple[Task, str]]:
    for task, _, candidate in [item for item in judged.right if item[0].reference][:_TASKS]:
        for reference in _grown(task.reference or ""):
            for text in (candidate, UNRELATED[0]):
                yield replace(task, reference=reference, name=""), text


def _grown(text: str) -> Iterator[str]:
    """The text over and over, with prose behind it, as a comment of a program, and as JSON with one value more."""
    once = f"{text} "
    yield (once * (LONG // len(once) + 1))[:LONG]
    yield f"{text}{' and more' * (LONG // 9)}"
    yield f"{text}\n# {'more ' * (LONG // 5)}"
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(whole, dict):
        yield json.dumps({**whole, "zq": "more " * (LONG // 5)})
