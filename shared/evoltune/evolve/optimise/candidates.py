"""New prompts from the optimiser's model: what it is shown, and which of its replies can be tried.

    texts = await ask(bench, trial, step=1)      # (prompt or "", why it cannot be tried) for each reply

It reads trajectories with the reasons by name, of seeds on which no decision rests. A prompt that quotes a seed is not tried: it would
be fitted to the development set.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from evoltune.evolve.optimise.trial import Bench, Outcome, Trial
from evoltune.evolve.pass_rate import behind_url
from evoltune.evolve.rules.broken_text import has_controls
from evoltune.recipe import Optimise
from evoltune.record import Task, digest
from evoltune.teacher.protocol import Teacher, draw_seed, make_request
from evoltune.teacher.stack import open_teacher
from evoltune.text.prompts import fill_slots, read_prompt
from evoltune.text.words import ngrams, words

OPTIMISE = read_prompt("evoltune.evolve", "optimise")
SLOT = "{instruction}"
MAX_PROMPT, MAX_TEXT, QUOTE = 6_000, 600, 8
"""Characters of a prompt, characters of a task that is shown, and words in a row that are a quotation."""
AIMS = {
    "depth": "a task that is harder than the one before, and that can be solved",
    "breadth": "another task of the same kind, no easier, and that can be solved",
    "down": "a task that is easier than the one before, and that can be solved",
}
_TAGGED = re.compile(r"<prompt>((?:(?!<prompt>).)*?)</prompt>", re.S)
_FENCED = re.compile(r"```\w*\n(.*)\n```", re.S)


async def ask(bench: Bench, settings: Optimise, trial: Trial, step: int, tasks: Iterable[str]) -> list[tuple[str, str]]:
    """(prompt, "") or ("", why it cannot be tried) for each of the model's replies. tasks: the texts of the whole development set."""
    teacher = (
        bench.recipe.teacher
        if settings.model == "teacher"
        else behind_url(bench.recipe.teacher, settings.model, settings.name)
    )
    seed = draw_seed(bench.recipe.seed, trial.operator.version, step, "optimise")
    request = make_request(
        teacher, shown(trial, settings.examples, step), purpose="optimise", seed=seed, n=settings.candidates
    )
    async with _open(bench, settings) as model:
        reply = await model.complete(request)
    found: list[tuple[str, str]] = []
    known_texts = tuple(tasks)
    for i, text in enumerate(reply.texts):
        prompt, problem = ("", "ended at the token limit") if i in reply.truncated else read(text, trial, known_texts)
        is_again = any(prompt == known for known, _ in found if known)
        found.append(("", "the same as another one") if is_again else (prompt, problem))
    return found


@asynccontextmanager
async def _open(bench: Bench, settings: Optimise) -> AsyncIterator[Teacher]:
    teacher = bench.recipe.teacher
    if settings.model != "teacher":
        teacher = behind_url(teacher, settings.model, settings.name)
    elif bench.teacher:
        yield bench.teacher
        return
    async with open_teacher(teacher, bench.store) as opened:
        yield opened


def shown(trial: Trial, examples: int, step: int) -> str:
    """What the model reads: the prompt, how many failed by which reason, and examples, failures first; others at each step."""
    outcomes = sorted(trial.outcomes.values(), key=lambda o: digest(["optimise", step, o.seed]))
    failed, good = [o for o in outcomes if o.reason], [o for o in outcomes if not o.reason]
    some = [*failed[: max(examples - 3, examples - len(good))], *good[:3]][:examples]
    counts = Counter(outcome.reason or _usable(outcome) for outcome in outcomes)
    return fill_slots(
        OPTIMISE, prompt=trial.operator.template.strip(), count=str(len(outcomes)), slot=SLOT, aim=AIMS[trial.operator.kind],
        reasons="\n".join(f"- {n}: {reason}" for reason, n in counts.most_common()),
        examples="\n\n".join(map(_example, some)),
    )  # fmt: skip


def _usable(outcome: Outcome) -> str:
    return "usable, but no harder" if outcome.lift is not None and outcome.lift <= 0 else "usable"


def _example(outcome: Outcome) -> str:
    return (
        f"[task] {outcome.parent[:MAX_TEXT]}\n[rewrite] {outcome.child[:MAX_TEXT] or '(no text)'}\n"
        f"[result] {outcome.reason or _usable(outcome)}"
    )


def read(text: str, trial: Trial, tasks: Sequence[str]) -> tuple[str, str]:
    """(the prompt in a reply, "") or ("", why it cannot be tried): also where it quotes one of the tasks."""
    found = _TAGGED.findall(text)
    prompt = found[-1].strip() if found else ""
    if fenced := _FENCED.fullmatch(prompt):
        prompt = fenced[1].strip()
    if not prompt:
        return "", "no prompt between <prompt> and </prompt>"
    if prompt.count(SLOT) != 1:
        return "", f"{SLOT} stands in it {prompt.count(SLOT)} times"
    if f"{{{SLOT}}}" in prompt:
        return "", f"{SLOT} stands in a second pair of braces"
    if len(prompt) > MAX_PROMPT:
        return "", f"longer than {MAX_PROMPT:,} characters"
    if prompt.split() == trial.operator.template.split():
        return "", "the prompt as it was"
    if has_controls(None, Task(instruction=prompt), prompt):
        return "", "holds control characters"
    own = set(ngrams(words(trial.operator.template), QUOTE))
    quoted = set(ngrams(words(prompt), QUOTE)) - own
    if any(quoted & set(ngrams(words(task), QUOTE)) for task in tasks):
        return "", "quotes a task"
    return prompt, ""
