"""Evol-Instruct: grows instructions from seeds with a teacher (2304.12244 section 3; 2306.08568; 2308.09583; 2312.15692).

    step = evolve(recipe, domain, store)               # seeds and all rounds; to resume, run it again
    step = evolve(recipe, domain, store, max_round=2)  # the first two rounds only (evol-stop)

Invariant: in = kept + dropped(by reason), where "in" is seeds + planned draws; every reply is journalled before use.
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice

import msgspec

from evoltune.domain import Domain, Operator, source_hash
from evoltune.errors import DomainError, RecipeError, nearest
from evoltune.evolve.answers import DIFFICULTY, needs_teacher
from evoltune.evolve.bootstrap import SELF_INSTRUCT, SNIPPET, more_seeds, read_snippets
from evoltune.evolve.chain import EQUAL, grow_chains
from evoltune.evolve.diversity import note_diversity
from evoltune.evolve.evolution import Evolution, ReplyPending
from evoltune.evolve.pass_rate import open_sampler
from evoltune.evolve.prompt_folder import with_prompts
from evoltune.evolve.rewriting import Rewriter
from evoltune.evolve.tries import REPAIR
from evoltune.evolve.verifying import AnswerVerifier
from evoltune.recipe import Recipe
from evoltune.record import Drop, Record, digest
from evoltune.rows.records import seed_records
from evoltune.run.paths import user_path
from evoltune.run.queries import decisions
from evoltune.run.store import Step, Store
from evoltune.teacher.event_loop import run_to_end
from evoltune.teacher.protocol import Teacher
from evoltune.teacher.stack import open_teacher
from evoltune.terminal import progress
from evoltune.text.credentials import masked
from evoltune.verification.checker import limits_of

ENGINE = 5  # raised when the same recipe would decide differently
OUR_PROMPTS = digest([DIFFICULTY, EQUAL, REPAIR, SELF_INSTRUCT, SNIPPET])
SEED_COMMIT = 512


def evolve_step(recipe: Recipe, domain: Domain, upto: int | None = None) -> Step:
    """The last step that `evolve` decides, to round `upto` (None: the recipe's last): the draws, or with `evolve.sample` the
    sample of them."""
    draws = draws_step(recipe, domain, upto)
    if not recipe.evolve.sample:
        return draws
    if recipe.evolve.stop_on:
        raise RecipeError("evolve.sample: cannot go with evolve.stop_on, which samples nothing: use curate.size")
    version = digest([draws.version, draws.upto, recipe.evolve.sample, recipe.seed])
    return Step(name="sample", version=version, before=draws, upto=draws.upto)


def draws_step(recipe: Recipe, domain: Domain, upto: int | None = None) -> Step:
    """The step of seeds and draws. More or fewer rounds are the same step; any other change, of the seeds too, begins a new
    one (paid calls stay)."""
    seeds = sorted({seed.id for seed in seed_records(recipe, domain)})
    upto = recipe.evolve.rounds if upto is None else upto
    return Step(name="evolve", version=digest([_settings(recipe, domain), seeds]), upto=upto)


def _settings(recipe: Recipe, domain: Domain) -> str:
    """A hash over everything but the seeds that a draw depends on."""
    evolution = msgspec.to_builtins(recipe.evolve)
    for name in ("rounds", "stop_on", "stop_by", "sample", "optimise"):
        del evolution[name]
    sampling = ("model", "temperature", "top_p", "frequency_penalty", "max_tokens", "stop", "extra_body")
    teacher = masked({name: getattr(recipe.teacher, name) for name in sampling})
    del evolution["prompts"]  # what the folder holds counts, not where it is
    domain = with_prompts(recipe, domain)
    operators = [[o.name, o.kind, o.weight, o.version] for o in domain.operators]
    prompts = [OUR_PROMPTS, operators, domain.answer_prompt, dict(domain.evidence)]
    if recipe.evolve.pass_rate is not None and recipe.evolve.pass_rate.model == "base":
        prompts.append(recipe.train.model_name_or_path)
    rewrites = recipe.evolve.rounds and any(o.rewrite for o in operators_of(recipe, domain))
    if rewrites or recipe.evolve.repair or recipe.evolve.tries:  # then draws depend on verdicts
        prompts.append(limits_of(recipe.verify))
    seeds = msgspec.to_builtins(recipe.seeds) | {"path": bool(recipe.seeds.path)}  # their ids count, not where they are
    if recipe.seeds.snippets:
        seeds["snippets"] = digest(sorted(read_snippets(user_path(recipe.seeds.snippets), recipe.seed)))
    parts = [ENGINE, recipe.seed, seeds, evolution, teacher, source_hash(domain)]
    return digest([parts, prompts])


def evolve(recipe: Recipe, domain: Domain, store: Store, *, max_round: int = 0, teacher: Teacher | None = None) -> Step:
    """Runs the loop to round `max_round` (0: `evolve.rounds`) and decides every seed and draw. Returns the step.

    With `evolve.sample`, and only when all rounds are run, the rows are then sampled, stratified by round. `teacher` is used
    instead of the recipe's. Raises TeacherError and BudgetError (everything finished is kept), StoreError.
    """
    domain = with_prompts(recipe, domain)
    rounds = max_round or recipe.evolve.rounds
    last = evolve_step(recipe, domain, rounds)
    step = last.origin
    seeds = list({seed.id: seed for seed in seed_records(recipe, domain)}.values())
    _refuse_renamed_seeds(recipe, domain, store, seeds)
    is_resumed = step.key in store.steps()
    _decide_seeds(recipe, store, step, seeds)
    size = max(len(seeds), recipe.seeds.bootstrap_size) if recipe.seeds.bootstrap != "none" else len(seeds)
    draws = recipe.evolve.draws(size, rounds)
    with progress("evolve", draws) as advance:

        async def main() -> None:
            async with (
                nullcontext(teacher) if teacher else open_teacher(recipe.teacher, store) as engine,
                open_sampler(recipe, store, engine) as sampler,
                Rewriter(recipe, domain, step, store) as rewriter,
                AnswerVerifier(recipe, step, store) as verifier,
            ):
                evolution = Evolution(
                    recipe=recipe, domain=domain, operators=operators_of(recipe, domain), teacher=engine, sampler=sampler,
                    store=store, step=step, rewriter=rewriter, verifier=verifier, draw_done=lambda: advance(1), is_resumed=is_resumed,
                )  # fmt: skip
                try:
                    await _grow(evolution, seeds, rounds)
                finally:
                    evolution.commit()

        run_to_end(main())
    note_diversity(store, step, recipe.curate.embeddings)
    if last == step or max_round or store.ledger(step)["pending"]:
        return step
    _sample(store, last, step, recipe.evolve.sample, recipe.seed)
    return last


async def _grow(evolution: Evolution, seeds: list[Record], rounds: int) -> None:
    """More seeds, then the chains of all rounds; chains wait for each other once, where fusion begins."""
    recipe = evolution.recipe
    evolution.plan(len(seeds))
    try:
        seeds = seeds + await more_seeds(evolution, seeds)
    except ReplyPending:  # a batch file is being collected: the chains wait for their seeds
        return
    chosen, others = _choose_seeds(recipe, seeds)
    evolution.plan(len(chosen) * rounds * recipe.evolve.variants)
    # Twice as many chains as calls: a chain that is deciding leaves no slot idle, and few chains are left for the end.
    workers = 2 * recipe.teacher.concurrency + 1
    before_fusion = min(rounds, recipe.evolve.fuse_after - 1) if recipe.evolve.fuse_after else rounds
    await grow_chains(evolution, (s for s in others if needs_teacher(recipe, s)), range(0), workers)
    heads = await grow_chains(evolution, chosen, range(1, before_fusion + 1), workers)
    if before_fusion < rounds and len(heads) == len(chosen):
        evolution.fusion_partners.extend(heads)
        records = (evolution.store.record(head) for head in heads)
        await grow_chains(evolution, records, range(before_fusion + 1, rounds + 1), workers)


def operators_of(recipe: Recipe, domain: Domain) -> tuple[Operator, ...]:
    """The operators that are drawn, with the recipe's weights; a recipe that names any draws only those it names."""
    chosen, domain = recipe.evolve.operators, with_prompts(recipe, domain)
    names = [o.name for o in domain.operators]
    for name, weight in chosen.items():
        if name not in names:
            raise RecipeError(
                f"evolve.operators: domain {domain.name!r} has no operator {name!r}: {nearest(name, names)}"
            )
        if weight < 0:
            raise RecipeError(f"evolve.operators.{name}: weight {weight!r} must be at least 0")
    found = [replace(o, weight=chosen.get(o.name, 0.0)) if chosen else o for o in domain.operators]
    found = [o for o in found if o.weight > 0]
    fuses_first = recipe.evolve.fuse_after == 1  # then there is no round before fusion
    if recipe.evolve.rounds and not any(fuses_first or o.kind != "fuse" for o in found):
        raise RecipeError(
            f"evolve.operators: nothing to draw before fusion; domain {domain.name!r} has {', '.join(names) or 'none'}"
        )
    return tuple(found)


def _choose_seeds(recipe: Recipe, seeds: list[Record]) -> tuple[list[Record], list[Record]]:
    """(seeds that chains grow from, the others): all, or `evolve.chains` of them in an order drawn by the recipe's seed."""
    if not 0 < recipe.evolve.chains < len(seeds):
        return seeds, []
    drawn = sorted(seeds, key=lambda seed: digest([recipe.seed, seed.id]))
    return drawn[: recipe.evolve.chains], drawn[recipe.evolve.chains :]


def _decide_seeds(recipe: Recipe, store: Store, step: Step, seeds: list[Record]) -> None:
    """Keeps the seeds as they are; those that need the teacher are decided by their chain."""
    undecided = (s for s in seeds if not needs_teacher(recipe, s) and store.decided(step, s.id) is None)
    while chunk := list(islice(undecided, SEED_COMMIT)):
        store.decide(step, chunk)


def _refuse_renamed_seeds(recipe: Recipe, domain: Domain, store: Store, seeds: list[Record]) -> None:
    """Raises DomainError when the domain gave other seeds to the same settings before: each call would be paid again."""
    ids = digest(sorted(seed.id for seed in seeds))
    again = ids if recipe.seeds.path else digest(sorted({seed.id for seed in seed_records(recipe, domain)}))
    key = f"seeds:{_settings(recipe, domain)}"
    if again != ids or (not recipe.seeds.path and store.noted(key) not in (None, ids)):
        raise DomainError(
            f"domain {domain.name!r}: its seeds differ from one call to the next with the same settings, so all that was paid "
            "for them would be paid again: give each seed a fixed `name` (no random number, time or id()) and read fixed "
            "data; if the data changed on purpose, give another --out"
        )
    store.note(key, ids)


def _sample(store: Store, step: Step, draws: Step, size: int, seed: int) -> None:
    """Decides the sampling step in one transaction: kept, or dropped as "not sampled". WizardLM trained on 70k of its 250k
    rows (2304.12244 section 4.2). The choice depends on seed and ids alone, so a resumed run takes the same rows."""
    rounds: dict[int, list[str]] = defaultdict(list)
    for decision in decisions(store, draws):
        if not decision.reason:
            rounds[decision.round].append(decision.record)
    taken = shares({r: len(ids) for r, ids in rounds.items()}, size)
    order = {r: sorted(ids, key=lambda i: digest([seed, "sample", i])) for r, ids in rounds.items()}
    chosen = {record for r, ids in order.items() for record in ids[: taken[r]]}
    store.decide(step, (r if r.id in chosen else Drop(record=r, reason="not sampled") for r in store.todo(step)))


def shares(counts: Mapping[int, int], size: int) -> dict[int, int]:
    """How many of each round: proportional to the round's rows, by largest remainder; sums to min(size, all)."""
    total = sum(counts.values())
    if size >= total:
        return dict(counts)
    exact = {r: n * size / total for r, n in counts.items()}
    taken = {r: int(x) for r, x in exact.items()}
    by_remainder = sorted(exact, key=lambda r: (taken[r] - exact[r], r))
    for r in by_remainder[: size - sum(taken.values())]:
        taken[r] += 1
    return taken
