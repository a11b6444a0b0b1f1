"""Chains: one per seed, round after round; no chain waits for another.

A draw asks for one child of the chain's head. The first child that survives becomes the next head; when none does, the head
stays and is drawn again in the next round (the paper's pool, 2304.12244 section 3.3). Invariant: every planned draw ends as
exactly one decided record, and which one depends on seeds, never on the order in which replies arrive.
"""

import asyncio
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from evoltune.domain import Operator, Rewritten
from evoltune.errors import EvoltuneError
from evoltune.evolve.answers import complete_seed, with_answers, with_evidence, with_more
from evoltune.evolve.evolution import Evolution, ReplyPending, RunEnding, gather_all
from evoltune.evolve.rewriting import MODEL
from evoltune.evolve.rules.leaks import echoes_operator
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.evolve.solving import solved
from evoltune.evolve.wording import reworded
from evoltune.record import Answer, Drop, Record, Task, digest
from evoltune.teacher.protocol import GivenUpError
from evoltune.text.prompts import fill_slots, read_prompt

EQUAL = read_prompt("evoltune.evolve", "equal")
NEGATIONS = frozenset({"not", "unequal", "non", "no", "neither", "never", "hardly"})
INHERITED_FIELDS = ("skill", "reasoning", "licence", "source")
"""`Task.fields` that a child takes over from its parent."""


async def grow_chains(evolution: Evolution, heads: Iterable[Record], rounds: range, workers: int) -> list[str]:
    """Runs a chain from each head; returns the ids of the new heads, in the order of the old ones.

    Raises the first EvoltuneError after all calls in flight have returned.
    """
    queue: Iterator[tuple[int, Record]] = enumerate(heads)
    last_heads: dict[int, str] = {}

    async def work() -> None:
        for i, head in queue:
            try:
                last_heads[i] = await _grow_chain(evolution, head, rounds)
            except EvoltuneError as error:
                evolution.errors.append(error)
            except (RunEnding, ReplyPending):
                pass
            if evolution.errors:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
    finally:
        evolution.commit()
    if evolution.errors:
        raise evolution.errors[0]
    return [last_heads[i] for i in sorted(last_heads)]


async def _grow_chain(evolution: Evolution, head: Record, rounds: range) -> str:
    """One seed's rounds. Returns the id of the last head."""
    if not head.parents and evolution.decided(head) is None:
        evolution.decide(await complete_seed(evolution, head))
    variants = evolution.recipe.evolve.variants
    for round in rounds:
        if variants == 1:  # without a task of its own
            children = [await _draw(evolution, head, round, 0)]
        else:
            children = await gather_all(_draw(evolution, head, round, i) for i in range(variants))
        head = next((child for child in children if child), head)
    return head.id


async def _draw(evolution: Evolution, head: Record, round: int, number: int) -> Record | None:
    """One child of `head`: the record when it survived, else None. Decides exactly one record."""
    rng = random.Random(digest([evolution.recipe.seed, head.id, round, number]))
    answer = _last_reply(evolution, head)
    left = _drawable(evolution, round, may_follow=bool(answer))
    kept, refused = None, None
    if not left:  # fusions alone, and one chain
        blank = Record(
            domain=evolution.domain.name, task=Task(instruction=""), parents=(head.id,), round=round, draw=number
        )
        if evolution.decided_earlier(blank) is None:
            evolution.decide(Drop(record=blank, reason="no rewrite: no second chain to fuse with"))
    while left:
        operator, partner = _choose_operator(evolution, left, head, rng)
        parents = (head.id, partner.id) if partner else (head.id,)
        blank = Record(
            domain=evolution.domain.name, task=Task(instruction=""), parents=parents, operator=operator.name,
            operator_version=operator.version, round=round, draw=number,
        )  # fmt: skip
        if operator.rewrite is None:
            if evolution.decided_earlier(blank) is None:  # else it got no text, or was given up, in an earlier session
                other = partner.task.instruction if partner else ""
                kept = await _decide_draw(evolution, head, blank, operator, other=other, answer=answer)
            break
        solutions = [await solved(evolution, record) for record in (head, partner) if record is not None]
        made = await evolution.rewriter.rewrite(blank, operator, solutions)
        if isinstance(made, Rewritten):
            kept = await _decide_rewritten(evolution, head, blank, operator, made)
            break
        # Trying a function costs no call: the next operator gets the draw, and the first refusal names a draw that none can take.
        refused = refused or Drop(record=blank, reason=f"no rewrite: {made}")
        left = [o for o in left if o is not operator]
        if not any(o.weight > 0 for o in left):
            if evolution.decided_earlier(refused.record) is None:
                evolution.expect_no_other(refused.record)
                evolution.decide(refused)
            break
    evolution.draw_done()
    return kept


def _last_reply(evolution: Evolution, head: Record) -> str:
    """The head's answer that a next turn can follow: its first that no rule has struck. "" where no operator writes turns."""
    if all(operator.kind != "turn" for operator in evolution.operators):
        return ""
    answers = (a for a in evolution.as_decided(head).answers if a.verdict is None or a.verdict.status == "pass")
    return next((answer.text for answer in answers), "")


async def _decide_draw(
    evolution: Evolution, head: Record, blank: Record, operator: Operator, *, other: str, answer: str
) -> Record | None:
    slots, history = {"instruction": head.task.instruction, "other": other}, head.task.history
    if operator.kind == "turn":
        if not answer:
            return evolution.decide(Drop(record=blank, reason="no reply to follow"))
        slots["answer"] = answer
        history = (*history, ("user", head.task.instruction), ("assistant", answer))
    child = blank
    try:
        prompt = fill_slots(operator.template, **slots)
        reply = await evolution.ask(head, "evolve", prompt, round=blank.round, sample=blank.draw)
        if text := reply.texts[0].strip():
            child = replace(blank, task=Task(instruction=text, fields=_inherited(head, operator), history=history))
        known = evolution.decided_earlier(child)
        if known is not None:
            return None if known else child
        result = await _screened(evolution, head, child, operator, is_truncated=bool(reply.truncated))
    except GivenUpError as error:
        result = evolution.give_up(child, error)
    return evolution.decide(result)


def _inherited(head: Record, operator: Operator) -> dict[str, Any]:
    """The fields that a child takes over, with the kind of reasoning that its operator asks for. An easier child and a new task need
    not ask for their parent's kind."""
    fields = {k: v for k, v in head.task.fields.items() if k in INHERITED_FIELDS}
    if operator.kind == "down" or (operator.kind == "breadth" and operator.rewrite is None):
        fields.pop("reasoning", None)
    return fields | ({"reasoning": operator.reasoning} if operator.reasoning else {})


def _drawable(evolution: Evolution, round: int, *, may_follow: bool) -> Sequence[Operator]:
    """The operators that can be drawn in a round. A next turn needs a head with a reply, unless nothing else can be drawn."""
    after = evolution.recipe.evolve.fuse_after
    may_fuse = bool(after) and round >= after and len(evolution.fusion_partners) > 1
    drawable = [o for o in evolution.operators if may_fuse or o.kind != "fuse"]
    return [o for o in drawable if may_follow or o.kind != "turn"] or drawable


def _choose_operator(
    evolution: Evolution, operators: Sequence[Operator], head: Record, rng: random.Random
) -> tuple[Operator, Record | None]:
    """(operator, the second parent of a fusion)"""
    operator = rng.choices(operators, [o.weight for o in operators])[0]
    if operator.kind != "fuse":
        return operator, None
    partner = rng.choice(evolution.fusion_partners)
    while partner == head.id:
        partner = rng.choice(evolution.fusion_partners)
    return operator, evolution.store.record(partner)


async def _decide_rewritten(
    evolution: Evolution, head: Record, blank: Record, operator: Operator, made: Rewritten
) -> Record | None:
    """Decides a child whose solution was edited first: worded again where the recipe asks, then screened by the rules."""
    task = replace(made.task, fields={**_inherited(head, operator), **made.task.fields}, history=head.task.history)
    child = replace(blank, task=task, answers=(Answer(text=made.solution, model=MODEL),))
    known = evolution.decided_earlier(child)
    if known is None and evolution.recipe.evolve.reword and operator.template:
        child = replace(child, task=await reworded(evolution, head, child, operator))
        known = evolution.decided_earlier(child)
    if known is not None:
        return None if known else child
    evolution.expect_no_other(blank)
    reasons = (rejection_reason(evolution.domain, head.task, child.task, text) for text in (None, made.solution))
    if reason := next(filter(None, reasons), ""):
        return evolution.decide(Drop(record=child, reason=reason))
    return evolution.decide(await with_more(evolution, child, head.task))


async def _screened(
    evolution: Evolution, head: Record, child: Record, operator: Operator, *, is_truncated: bool
) -> Record | Drop:
    """Elimination in order of cost: rules on the text, the teacher's "equal?", then answers and evidence."""
    task = child.task
    if not task.instruction and not is_truncated:
        return Drop(record=child, reason="no text")
    reason = "truncated" if is_truncated else rejection_reason(evolution.domain, head.task, task, None)
    if not reason and echoes_operator(operator.template, head.task, task):
        reason = "prompt residue"
    if reason:
        return Drop(record=child, reason=reason)
    if evolution.recipe.evolve.equal_check and operator.kind != "turn":  # a next turn is no rewrite of the one before
        question = fill_slots(EQUAL, parent=head.task.instruction, instruction=task.instruction)
        judgement = await evolution.ask(child, "equal", question, round=child.round, is_judgement=True)
        if says_equal(judgement.texts[0]):
            return Drop(record=child, reason="no information gain")
    answered = await with_answers(evolution, child, parent=head.task)
    return answered if isinstance(answered, Drop) else await with_evidence(evolution, answered)


def says_equal(reply: str) -> bool:
    """Whether a reply to EQUAL says "equal"; anything unclear counts as not equal, which keeps the child."""
    words = re.findall(r"[a-z]+", reply.casefold().replace("’", "'").replace("n't", " not"))[:6]
    return "equal" in words and NEGATIONS.isdisjoint(words)
