"""Compare systems with a model as judge: every pair in both orders, ties allowed, calls journalled and budgeted.

    result = judge_study(load_study(path), Path("runs/study"))

Protocols: `scores`, two scores from 1 to 10 as in Vicuna's evaluation; `criteria`, five such scores for each answer, by the criteria of
WizardLM's human evaluation (2304.12244, section 4.3), whose mean counts; `preference`, A, B or TIE as in LIMA (2305.11206,
section 4.1); `ranks`, 1 to 5 over all systems at once as in WizardLM (2304.12244, section 4.3); `grades`, excellent, pass or fail
for each answer by itself as in LIMA (section 4.3). Later turns of a dialogue are judged by themselves. Where the domain's verifier tells two answers apart, it decides first.
A further protocol needs its name in study.py, its prompt in prompts/, and its reading in replies.py.
Invariant: a reply that cannot be read is asked for again with another seed, then counted as unreadable; never guessed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from evoltune.arena.agreement import read_votes
from evoltune.arena.comparisons import Checked, Comparison, comparisons
from evoltune.arena.dialogues import reference_of, turn_by_turn, turn_of, without_headings
from evoltune.arena.replies import read_criteria, read_reply
from evoltune.arena.standings import standings
from evoltune.arena.study import Answers, Judgement, Study, collect_answers, suite_of
from evoltune.cluster.engine import pools_kept
from evoltune.errors import EvoltuneError
from evoltune.evaluate.samples import Sample
from evoltune.evaluate.score import verify_samples
from evoltune.evaluate.suites import Suite
from evoltune.generate.http import first_of
from evoltune.recipe import Verification
from evoltune.record import Task
from evoltune.rows.files import jsonl_writer, write_json
from evoltune.run.paths import STANDINGS
from evoltune.run.store import Store
from evoltune.teacher.judgements import Judgements
from evoltune.teacher.protocol import GivenUpError, draw_seed, make_request
from evoltune.teacher.stack import open_teacher
from evoltune.terminal import progress
from evoltune.text.prompts import fill_slots

JUDGE_TOKENS = 512
"""A judgement is short. A judge that thinks, or that was cut off before its verdict, gets `judge.max_tokens`."""


@cache
def _template(protocol: str) -> str:
    return (files("evoltune.arena") / "prompts" / f"{protocol}.txt").read_text(encoding="utf-8")


def judge_prompt(protocol: str, comparison: Comparison) -> str:
    """The prompt for one comparison; braces in answers stay text, and no answer brings a heading of the prompt."""
    is_dialogue = turn_of(comparison.task) > 1  # whose texts have headings of ours
    texts = comparison.texts if is_dialogue else [without_headings(text) for text in comparison.texts]
    numbered = "\n\n".join(f"[Answer {i}]\n{text}" for i, text in enumerate(texts, 1))
    instruction = _request(comparison.task)
    return fill_slots(_template(protocol), instruction=instruction, answers=numbered, a=texts[0], b=texts[-1])


def _request(task: Task) -> str:
    """What was asked, behind the messages before it; and a right answer, where the suite has one for the judge."""
    reference = reference_of(task)
    known = (
        f"\n\n[Reference]\n{reference}\n\nThe reference is right; another answer can be right too." if reference else ""
    )
    return _asked(task) + known


def _asked(task: Task) -> str:
    if not task.history:
        return task.instruction
    said = "\n\n".join(f"[{role}]\n{text}" for role, text in (*task.history, ("user", task.instruction)))
    return (
        f"{said}\n\nOnly the answers to the last message are to be judged; the messages before show what they follow."
    )


def judge_study(study: Study, folder: Path, journal: Path | None = None) -> dict[str, Any]:
    """Collects answers, judges every comparison, and writes `judgements.jsonl` and `study.json` below `folder`.

    `journal`: the folder of the store that keeps the judge's replies; default: `folder`. Raises BudgetError when the judge's
    budget is used up; judgements are kept, and the same command resumes; an earlier `study.json` is removed before the first call.
    """
    suite = suite_of(study)
    votes = read_votes(Path(study.human), Path(study.key) if study.key else None) if study.human else []
    answers = collect_answers(study, suite, folder)
    checked = checked_answers(suite, answers, folder) if study.checks else {}
    turns = turn_by_turn(suite)
    wanted = list(comparisons(study, turns, answers, checked))
    # A result from here on is of these judgements; the replies behind an earlier one are kept, and would give it again.
    (folder / STANDINGS).unlink(missing_ok=True)
    with Store.open(journal or folder) as store:
        judgements = asyncio.run(_judge_all(study, wanted, store))
        cost = store.spent()
    with jsonl_writer(folder / "judgements.jsonl") as write:
        for judgement in judgements:
            write(asdict(judgement))
    facts = {"cost": cost, "suite": suite.name, "sha256": suite.sha256}
    result = standings(study, turns, answers, judgements, checked, votes) | facts
    write_json(folder / STANDINGS, result)
    return result


def checked_answers(suite: Suite, answers: Answers, folder: Path) -> Checked:
    """The verifier's verdict on each first answer, under the suite's own profile."""
    found = {}
    with pools_kept():  # one for all systems
        for system, texts in answers.items():
            samples = [Sample(problem=task.name, sample=0, text=texts[task.name]) for task in suite.tasks]
            journal = folder / "checks" / f"{system}.jsonl"
            outcomes = verify_samples(suite, samples, [suite.profile], Verification(workers=1), journal)[suite.profile]
            found[system] = {outcome.problem: outcome.status for outcome in outcomes}
    return found


async def _judge_all(study: Study, wanted: Sequence[Comparison], store: Store) -> list[Judgement]:
    with progress(f"judging {study.suite}", len(wanted)) as advance:
        async with open_teacher(study.judge, store) as judge:
            judgements = Judgements(judge, study.judge, store)

            async def one(comparison: Comparison) -> Judgement:
                judgement = await _judge(study, judgements, comparison)
                advance(1)
                return judgement

            try:
                async with asyncio.TaskGroup() as group:
                    started = [group.create_task(one(comparison)) for comparison in wanted]
            except* EvoltuneError as caught:
                raise first_of(caught) from None
    return [task.result() for task in started]


async def _judge(study: Study, judge: Judgements, comparison: Comparison) -> Judgement:
    """Asks up to `study.tries` times until a reply can be read; from the second try on, and where the same was asked before,
    with the judge's temperature."""
    prompt, task = judge_prompt(study.protocol, comparison), comparison.task.name
    again = comparison.kind == "systems" and comparison.repeat > 0
    text, values, replies = "", None, 0
    room: int | None = min(JUDGE_TOKENS, study.judge.max_tokens or JUDGE_TOKENS)
    while values is None and replies < study.tries:
        request = make_request(
            study.judge, prompt, purpose="judge", seed=draw_seed(study.seed, comparison.name, 0, "judge", replies),
            max_tokens=room, record=task,
            temperature=0.0 if replies == 0 and not again else study.judge.temperature,
        )  # fmt: skip
        try:
            reply = await judge.complete(request)
            text, room = reply.texts[0], study.judge.max_tokens if reply.truncated else room
            values = read_reply(study.protocol, text, len(comparison.shown))
            if reply.truncated and not text.strip():
                text = f"(it thought to its token limit: raise the judge's max_tokens, {study.judge.max_tokens})"
        except GivenUpError as error:
            text = f"(no reply: {error.reason})"
        replies += 1
    return Judgement(
        problem=task, shown=comparison.shown, values=values, replies=replies, text=text[:2000], kind=comparison.kind,
        repeat=comparison.repeat,
        criteria=(read_criteria(text, len(comparison.shown)) or ()) if study.protocol == "criteria" else (),
    )  # fmt: skip
