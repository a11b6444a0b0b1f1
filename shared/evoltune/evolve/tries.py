"""More tries for a task that no answer of the teacher solves: repairs of failed answers, then new answers.

    evolve: {repair: 2, tries: 10}      # a failed answer goes back twice; at most ten answers to a task in all

Each try is a draw like all others, with a reason attached where it is a repair: journalled, in the budget, never paid twice. How hard
a task is shows in the tries themselves: they end with the first answer that passes. Tasks with neither a reference nor tests get
none: only agreement could judge them, and an answer that was told of its fault agrees with nothing of its own accord.

Invariant: a repair never replaces the answer that failed; which answer it repairs, and what was said about it, stands in the
record's evidence.
"""

import re
from dataclasses import replace

from evoltune.errors import RecipeError
from evoltune.evolve.evolution import Evolution
from evoltune.evolve.rules.leaks import echoes_answer_prompt
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.evolve.verifying import Finding
from evoltune.recipe import Evolve
from evoltune.record import Answer, Record, Verdict
from evoltune.teacher.protocol import GivenUpError, Reply
from evoltune.text.prompts import fill_slots, read_prompt
from evoltune.verification.records import REPAIRS, Repair, times_repaired

REPAIR = read_prompt("evoltune.evolve", "repair")
REASONING = "reasoning"
"""Name in `Record.evidence`: the thought before each answer."""
_REFERS_BACK = re.compile(
    r"\b(?:previous|earlier|prior) (?:answer|attempt|response|reply|solution|code|version)\b|"
    r"\b(?:my|your) (?:first|last|initial|original) (?:answer|attempt|response|reply|solution|code|version)\b|"
    r"\b(?:corrected|revised|fixed|updated|amended) (?:answer|response|reply|solution|code|version|function|program)\b|"
    r"\b(?:my|the) (?:mistake|error|bug|fault) (?:was|is|lay|in (?:my|the))\b|\bapologi[sz]e\b|\bmy apologies\b|"
    r"\byou(?:['’]re| are) (?:absolutely |quite )?right\b|\bthank you for (?:pointing|the feedback|the correction)",
    re.I,
)


def check_tries(evolve: Evolve) -> None:
    """Raises RecipeError where `evolve.tries` leaves no room for a further answer."""
    if 0 < evolve.tries <= evolve.answers:
        raise RecipeError(
            f"evolve.tries: {evolve.tries} answers to a task in all leave no further try beside evolve.answers ({evolve.answers}): "
            "give more than these, at most 10, or 0"
        )


def most_answers(evolve: Evolve) -> int:
    """The most answers of the teacher to one task."""
    return int(evolve.tries or evolve.answers * (1 + evolve.repair))


async def with_tries(evolution: Evolution, record: Record) -> Record:
    """The record with further answers until one of the teacher's passes, as far as the recipe allows. A call that fails ends it."""
    evolve, task = evolution.recipe.evolve, record.task
    asked = [i for i, answer in enumerate(record.answers) if answer.model == evolution.recipe.teacher.model]
    if not asked or not (evolve.repair or evolve.tries) or not (task.reference or task.tests):
        return record
    findings: dict[int, Finding] = {}
    repaired: set[int] = set()
    while True:
        for i in asked:
            if i not in findings:
                struck = record.answers[i].verdict
                findings[i] = Finding(status="fail") if struck else await evolution.verifier.look_at(record, i)
            if findings[i].status in ("pass", "unverifiable"):
                return record
        if len(asked) >= most_answers(evolve):
            return record
        failed = (i for i in asked if findings[i].feedback and i not in repaired)
        target = next((i for i in failed if times_repaired(record, i) < evolve.repair), None)
        if target is None and not evolve.tries:
            return record
        try:
            if target is None:
                record = await _with_another(evolution, record, sample=len(asked))
            else:
                repaired.add(target)
                repair = Repair(of=target, reason=findings[target].feedback)
                record = await _with_repair(evolution, record, repair, sample=len(asked))
        except GivenUpError:
            return record
        asked.append(len(record.answers) - 1)


async def _with_another(evolution: Evolution, record: Record, sample: int) -> Record:
    prompt = fill_slots(evolution.domain.answer_prompt, instruction=record.task.instruction)
    reply = await evolution.ask(record, "answer", prompt, round=record.round, sample=sample)
    return _appended(evolution, record, reply, None)


async def _with_repair(evolution: Evolution, record: Record, repair: Repair, sample: int) -> Record:
    prompt = fill_slots(evolution.domain.answer_prompt, instruction=record.task.instruction)
    said = (("user", prompt), ("assistant", record.answers[repair.of].text))
    told = fill_slots(REPAIR, reason=repair.reason)
    reply = await evolution.ask(record, "repair", told, round=record.round, sample=sample, after=said)
    return _appended(evolution, record, reply, repair)


def _appended(evolution: Evolution, record: Record, reply: Reply, repair: Repair | None) -> Record:
    """The record with one more answer, struck where a rule says so, and its place in the evidence."""
    text, task = reply.texts[0], record.task
    reason = "truncated" if reply.truncated else rejection_reason(evolution.domain, None, task, text)
    if not reason and repair:
        reason = "prompt residue" if echoes_answer_prompt(REPAIR, task, text) else ""
        if refers_back(text) and not refers_back(task.instruction):
            reason = "speaks of an earlier answer"
    verdict = Verdict(status="fail", reason=reason) if reason else None
    answer = Answer(text=text, model=evolution.recipe.teacher.model, verdict=verdict)
    evidence = dict(record.evidence)
    if repair or REPAIRS in evidence:
        evidence[REPAIRS] = (*_padded(record, REPAIRS), repair.to_text() if repair else "")
    if REASONING in evidence or (evolution.recipe.evolve.keep_reasoning and reply.thought(0)):
        evidence[REASONING] = (*_padded(record, REASONING), reply.thought(0))
    return replace(record, answers=(*record.answers, answer), evidence=evidence)


def _padded(record: Record, name: str) -> tuple[str, ...]:
    """A list of the evidence with one text for each answer so far."""
    known = record.evidence.get(name, ())
    return (*known, *("" for _ in range(len(record.answers) - len(known))))


def refers_back(text: str) -> bool:
    """Whether a text speaks of an answer before it, which its reader does not see."""
    return bool(_REFERS_BACK.search(text))
