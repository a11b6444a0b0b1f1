"""Another wording of a task that a rewrite function made: asked of the teacher, used only where it is the same task.

    task = await reworded(evolution, head, child, operator)      # the function's own wording where the teacher's is refused

Two checks, because each sees what the other does not: `Operator.faithful` compares what is stated (numbers, names), and the wording is
solved again. "Sells" for "buys" and a question about something else keep every number and change the answer.
"""

from collections import Counter
from dataclasses import replace

from evoltune.domain import Operator, author_code
from evoltune.evolve.answers import with_answers
from evoltune.evolve.evolution import Evolution
from evoltune.evolve.rules.leaks import echoes_operator
from evoltune.evolve.rules.registry import rejection_reason
from evoltune.record import Drop, Record, Task
from evoltune.teacher.protocol import GivenUpError
from evoltune.text.language import changes_language
from evoltune.text.prompts import fill_slots


async def reworded(evolution: Evolution, head: Record, child: Record, operator: Operator) -> Task:
    """The child's task in the teacher's words; in the domain's own where these change the task or do not come."""
    assert operator.faithful is not None
    task, prompt = child.task, fill_slots(operator.template, instruction=child.task.instruction)
    try:
        reply = await evolution.ask(head, "reword", prompt, round=child.round, sample=child.draw)
    except GivenUpError:
        return task
    worded = replace(task, instruction=reply.texts[0].strip())
    if not worded.instruction or reply.truncated or echoes_operator(operator.template, task, worded):
        return task
    if rejection_reason(evolution.domain, None, worded, None) or changes_language(task.instruction, worded.instruction):
        return task
    with author_code(evolution.domain, f"faithful of operator {operator.name!r}"):
        changed = operator.faithful(task, worded.instruction)
    if changed or not await _is_solved_alike(evolution, replace(child, task=worded, answers=()), head.task):
        return task
    return worded


async def _is_solved_alike(evolution: Evolution, record: Record, parent: Task) -> bool:
    """Whether the teacher's answers to a wording are right more often than they are any one other answer.

    These are the answers that `evolve.answer_rewrites` asks for, so where it is set they are paid once.
    """
    try:
        answered = await with_answers(evolution, record, parent=parent)
    except GivenUpError:
        return False
    answers = (answered.record if isinstance(answered, Drop) else answered).answers
    whole = replace(record, answers=tuple(answer for answer in answers if answer.verdict is None))
    if not whole.answers:
        return False
    verdicts = await evolution.verifier.judge(whole, of="wording")
    with author_code(evolution.domain, "extract"):
        others = Counter(
            evolution.domain.extract(record.task, answer.text)
            for answer, verdict in zip(whole.answers, verdicts, strict=True)
            if verdict.status != "pass"
        )
    return len(whole.answers) - others.total() > max(others.values(), default=0)
