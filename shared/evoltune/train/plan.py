"""What a recipe needs, before anything is spent: memory, steps, tokens, teacher calls, cost. Imports no torch.

    plan = make_plan(load_recipe("code/wizardcoder-starcoder-15b"), gpu_gib=80)
    plan.fits            # {"zero3": 4, ...}: the largest micro-batch that fits under each ZeRO stage

Invariant: no model is downloaded or loaded, so a shipped recipe is planned in less than two seconds.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evoltune.domain import load_domain
from evoltune.evolve.loop import operators_of
from evoltune.evolve.tries import most_answers
from evoltune.models.memory import ZEROS, Memory, Zero, memory_of
from evoltune.models.shapes import Shape, shape_of
from evoltune.models.template import FORMATS
from evoltune.recipe import Recipe
from evoltune.rows.columns import recognise
from evoltune.rows.readers import read_rows
from evoltune.rows.records import seed_records
from evoltune.train.deepspeed import deepspeed_config
from evoltune.train.launch_command import launch_text
from evoltune.train.reward import siblings
from evoltune.train.schedule import batch_layout, number_of_steps

GIB = 2**30
RESERVE = 0.08  # of the card: CUDA context, fragmentation, NCCL buffers
CHARACTERS_PER_TOKEN = 3.6
"""Of English and code with vocabularies of 32k to 50k: token counts without a tokenizer are estimates."""
CHAT_CHARACTERS = 18  # what a chat template writes around a message: about five tokens
COMPLETION_TOKENS = (150, 600)  # a short and a long reply, for the cost band


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The figures of one recipe; memory in bytes."""

    recipe: str
    parameters: int
    trained: int
    world: int
    micro_batch: int
    accumulation: int
    tokens: int
    memory: Mapping[Zero, Memory]
    fits: Mapping[Zero, int]
    """Largest micro-batch that fits, by ZeRO stage; 0: not even one row fits."""
    gpu_bytes: int
    rows: int
    rows_are: str
    packed: int | None
    """Rows after packing, by estimate; None: no packing, or no dataset yet."""
    steps: int
    step_tokens: int
    truncated: int | None
    """Estimated number of rows longer than max_length; None: there is no dataset yet."""
    calls: int
    cost_usd: tuple[float, float]
    rl: str
    """Rollouts of reinforcement learning; empty: none."""
    judge: str
    """Calls to the judge of open answers; empty: none."""
    launch: str
    deepspeed: Mapping[str, Any] | None


def make_plan(recipe: Recipe, *, gpu_gib: float = 80.0, rows: int = 0, dataset: Path | None = None) -> Plan:
    """Plans a recipe for devices of `gpu_gib` GiB. `rows`: of training, where there is no dataset; 0: by the recipe."""
    train = recipe.train
    shape = shape_of(train.model_name_or_path)
    world = recipe.compute.nodes * max(1, recipe.compute.gpus_per_node)
    memory, fits = _memory(recipe, shape, world, usable=int(gpu_gib * GIB * (1 - RESERVE)))
    count, source, lengths = _rows(recipe, rows, dataset)
    layout = batch_layout(train, world)
    kept = [min(n, train.max_length) for n in lengths if n <= train.max_length or train.excess_length != "drop"]
    row_tokens = sum(kept) // len(kept) if kept else train.max_length
    packed = math.ceil(sum(kept) / train.max_length) if kept and train.packing else None
    if packed:
        row_tokens = sum(kept) // packed
    full = train.finetuning_type == "full"
    calls, cost = _teacher(recipe)
    steps = number_of_steps(train, packed or len(kept) or count, layout)
    return Plan(
        recipe=recipe.name, parameters=shape.parameters,
        trained=shape.parameters if full else shape.lora_parameters(train.lora_r, train.lora_targets),
        world=world, micro_batch=layout.micro, accumulation=layout.accumulation, tokens=train.max_length,
        memory=memory, fits=fits, gpu_bytes=int(gpu_gib * GIB), rows=count, rows_are=source,
        packed=packed, steps=steps, step_tokens=layout.batch * row_tokens,
        truncated=sum(n > train.max_length for n in lengths) if lengths else None,
        calls=calls, cost_usd=cost, rl=_rollouts(recipe), judge=_judgements(recipe, steps), launch=launch_text(recipe), deepspeed=deepspeed_config(recipe, world=world),
    )  # fmt: skip


def _rollouts(recipe: Recipe) -> str:
    """How many answers RL generates and judges, and what is in memory beside SFT's."""
    rl = recipe.rl
    if rl is None:
        return ""
    answers = rl.max_steps * rl.prompts_per_step * rl.num_generations
    reward = recipe.reward
    names = ["reward model"] * (sum(bool(model) for model in (reward.steps, reward.instructions)) if reward else 0)
    if recipe.train.finetuning_type == "full" and rl.strength:
        names.append("reference")
    beside = f"; {len(names)} more models of the base's size in memory ({', '.join(names)})" if names else ""
    if rl.algorithm == "dpo":
        pairs = rl.max_steps * rl.prompts_per_step
        return (
            f"dpo: {rl.max_steps:,} steps of {rl.prompts_per_step} pairs, {pairs:,} in all (each taken again where there are fewer); "
            f"before that up to {rl.num_generations} answers to each prompt that lacks one, of at most {rl.max_completion_length:,} "
            f"tokens{beside}"
        )
    return (
        f"{rl.algorithm}: {rl.max_steps:,} steps of {rl.prompts_per_step} x {rl.num_generations} answers, {answers:,} rollouts of at "
        f"most {rl.max_completion_length:,} tokens ({answers * rl.max_completion_length:,} in all)"
        f"{f'; before that {rl.num_generations} to each prompt (rl.band)' if rl.band else ''}{beside}"
    )


def _judgements(recipe: Recipe, steps: int) -> str:
    """How many calls the judge of open answers gets, where each of its replies can be read."""
    judge = recipe.eval.judge
    if judge is None:
        return ""
    systems = 1 + int(recipe.eval.baseline) + int(recipe.rl is not None) + len(judge.baselines)
    each = {"grades": systems, "ranks": 2}.get(judge.protocol, 2 * (systems - 1))
    cap = f"; the budget allows {judge.teacher.budget.calls:,}" if judge.teacher.budget.calls else ""
    return (
        f"{each} calls for each turn of an open problem ({judge.protocol}, {systems} systems), and at most {8 * judge.planted + judge.repeats} a suite "
        f"to measure the judge{_choices(recipe, steps)}{cap}"
    )


def _choices(recipe: Recipe, steps: int) -> str:
    """How many calls it takes to choose rounds and checkpoints by suites that no verifier can judge."""
    train, by_training = recipe.train, recipe.evolve.stop_on and recipe.evolve.stop_by == "train"
    rounds = recipe.evolve.rounds if by_training else 0
    trainings = max(1, rounds)
    found = []
    if rounds > 1:
        found.append(f"{2 * (rounds - 1)} to choose a round (evolve.stop_on)")
    if train.checkpoint_select == "generations" and train.save_steps:
        kept = min((steps - 1) // train.save_steps, train.save_total_limit or steps)  # beside the last state
        found.append(f"{2 * kept * trainings} to choose a checkpoint (train.dev_suite)")
    planted = recipe.eval.judge.planted if recipe.eval.judge else 0
    measured = f", and {8 * planted} for all of these to measure the judge" if planted else ""
    return f"; for each problem of an open dev suite at most {' and '.join(found)}{measured}" if found else ""


def _memory(recipe: Recipe, shape: Shape, world: int, usable: int) -> tuple[dict[Zero, Memory], dict[Zero, int]]:
    """By ZeRO stage: the memory of the recipe's micro-batch, and the largest micro-batch within `usable` bytes."""
    train = recipe.train
    precision = "bf16" if train.precision == "auto" else train.precision
    memory: dict[Zero, Memory] = {}
    fits: dict[Zero, int] = {}
    for zero in ZEROS:
        sizes = {
            micro: memory_of(
                shape, train, precision=precision, world=world, micro=micro, tokens=train.max_length, zero=zero,
                local_ranks=max(1, recipe.compute.gpus_per_node),
            )
            for micro in {train.per_device_train_batch_size, *(2**n for n in range(9))}
        }  # fmt: skip
        memory[zero] = sizes[train.per_device_train_batch_size]
        fits[zero] = max((m for m, size in sizes.items() if size.total <= usable), default=0)
    return memory, fits


def _rows(recipe: Recipe, rows: int, dataset: Path | None) -> tuple[int, str, Sequence[int]]:
    """(number of training rows, where it comes from, estimated tokens of each row)."""
    if dataset is not None and dataset.exists():
        lengths = row_lengths(dataset, recipe.train.template)
        return len(lengths), f"rows of {dataset}", lengths
    for count, key in ((rows, "--rows"), (recipe.curate.size, "curate.size"), (recipe.evolve.sample, "evolve.sample")):
        if count:
            return count, key, ()
    seeds = _seeds(recipe)
    rows = seeds + recipe.evolve.draws(seeds)
    return rows, f"at most: {seeds} seeds and all their draws (--rows N for another number)", ()


def row_lengths(dataset: Path, template: str) -> list[int]:
    """An estimate of the tokens of each row of a dataset."""
    return [_tokens(row, template) for row in read_rows(str(dataset))]


def _tokens(row: Mapping[str, Any], template: str) -> int:
    """An estimate of a row's tokens under a template."""
    found = recognise(row)
    if isinstance(found, str):
        return 0
    form = FORMATS.get(template)
    each = len(form.turn) if form else CHAT_CHARACTERS
    text = sum(len(turn.content) + (each if turn.role == "user" or not form else 0) for turn in found.turns)
    return int((text + len(found.context) + (len(form.preamble) if form else 0)) / CHARACTERS_PER_TOKEN)


def _seeds(recipe: Recipe) -> int:
    return recipe.seeds.limit or sum(1 for _ in seed_records(recipe, load_domain(recipe.domain)))


def most_calls(recipe: Recipe, seeds: int) -> int:
    """The most calls to the teacher that evolve can make from so many seeds."""
    domain = load_domain(recipe.domain)
    evolve = recipe.evolve
    drawn = operators_of(recipe, domain)
    per_prompt = 2 + int(evolve.equal_check) + int(evolve.difficulty) + len(domain.evidence)
    per_prompt += int(evolve.pass_rate is not None)
    further = max(0, most_answers(evolve) - evolve.answers)  # calls; only tasks with a reference or tests get them
    per_rewrite = int(evolve.pass_rate is not None) + 2 * int(evolve.reword) + int(evolve.difficulty)
    per_rewrite += int(evolve.answer_rewrites) * (1 + further)
    per_draw = max((per_rewrite if o.rewrite else per_prompt for o in drawn), default=0)
    per_seed = (
        int(evolve.answer_seeds) * (1 + max(further, len(domain.evidence)))
        + int(evolve.difficulty)
        + int(evolve.pass_rate is not None)
    )
    return evolve.draws(seeds) * per_draw + seeds * per_seed


def _teacher(recipe: Recipe) -> tuple[int, tuple[float, float]]:
    """The most calls that evolve, and rewards that ask the teacher, can make, and their cost in dollars if replies are short or long."""
    if recipe.train.dataset:  # such a run starts at train
        return 0, (0.0, 0.0)
    seeds, drawn = _seeds(recipe), operators_of(recipe, load_domain(recipe.domain))
    calls = most_calls(recipe, seeds) + siblings.most_calls(recipe, recipe.evolve.draws(seeds))
    prompt = sum(len(o.template) for o in drawn) / max(1, len(drawn)) / CHARACTERS_PER_TOKEN + 120
    price = recipe.teacher.price
    low, high = (calls * (prompt * price.prompt + reply * price.completion) / 1e6 for reply in COMPLETION_TOKENS)
    return calls, (low, high)


def describe(plan: Plan, chosen: str) -> list[str]:
    """The plan as lines of text. `chosen`: the recipe's ZeRO stage, which is marked."""
    out = [
        f"{plan.recipe}: {plan.parameters:,} parameters, {plan.trained:,} trained, {plan.world} devices of {plan.gpu_bytes / GIB:.0f} GiB",
        f"rows: {plan.rows:,} ({plan.rows_are}){f', about {plan.packed:,} packed' if plan.packed else ''}; steps: {plan.steps:,} of {plan.world} x {plan.micro_batch} x {plan.accumulation} rows, "
        f"{plan.step_tokens:,} tokens a step, at most {plan.tokens:,} a row",
    ]
    if plan.truncated is not None:
        out.append(f"rows over {plan.tokens} tokens (estimate): {plan.truncated}")
    out.append(
        f"{'ZeRO':15}{'params':>9}{'grads':>9}{'optim':>9}{'activ.':>9}{'logits':>9}{'gather':>9}{'total':>9}   fits (GiB a device)"
    )
    for zero, m in plan.memory.items():
        parts = (m.parameters, m.gradients, m.optimizer, m.activations, m.logits, m.gathered, m.total)
        figures = "".join(f"{part / GIB:9.2f}" for part in parts)
        fits = f"micro-batch up to {plan.fits[zero]}" if plan.fits[zero] else "no"
        mark = "<- this recipe" if zero == chosen else ""
        host = f", {m.host / GIB:.0f} GiB of host memory a node" if m.host else ""
        out.append(f"{zero:15}{figures}   {fits}{host} {mark}".rstrip())
    out.append(f"checkpoint on disk: {plan.memory['none'].checkpoint / GIB:.1f} GiB with optimizer states")
    if plan.rl:
        out.append(f"rl: {plan.rl}")
    if plan.judge:
        out.append(f"judge: {plan.judge}")
    low, high = plan.cost_usd
    cost = f", ${low:,.0f} to ${high:,.0f}" if high else ""
    out.append(f"teacher: at most {plan.calls:,} calls{cost}" if plan.calls else "teacher: none is asked")
    if plan.fits.get(chosen, 0) < plan.micro_batch:  # type: ignore[call-overload]
        fitting = (f"use {zero} with micro-batch {micro}" for zero, micro in plan.fits.items() if micro)
        advice = next(fitting, "use more or larger devices, or qlora")
        out.append(f"does not fit: micro-batch {plan.micro_batch} under {chosen}: {advice}")
    out.append(f"launch: {plan.launch}")
    if plan.deepspeed:
        out.append(f"DeepSpeed: {json.dumps(plan.deepspeed)}")
    return out


def as_json(plan: Plan) -> dict[str, Any]:
    raw = asdict(plan)
    for zero, m in plan.memory.items():
        raw["memory"][zero]["total"] = m.total
    return raw
