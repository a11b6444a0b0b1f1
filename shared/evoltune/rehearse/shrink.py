"""A recipe made small at its edges: fewer rows, steps and tokens, stand-ins for hub, teacher and GPUs; the same keys and stages.

    small, shrunk = shrink(recipe, teacher_url="http://127.0.0.1:8000/v1", processes=2)

`shrunk` lists every key that differs, with the reason. Whatever is not in it is the recipe's own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from evoltune.recipe import Recipe, Section, StepReward
from evoltune.recipe.sections import Endpoint

SEEDS, CHAINS, STEPS, SAVE_STEPS, PROBLEMS, NEW_TOKENS, LENGTH = 16, 6, 3, 2, 3, 16, 1024
KEY_ENV = "EVOLTUNE_REHEARSAL_KEY"


@dataclass(frozen=True)
class Shrunk:
    """One key of the recipe that the rehearsal changes."""

    key: str
    was: Any
    now: Any
    why: str


def shrink(
    recipe: Recipe, *, teacher_url: str, processes: int, nodes: int = 1, rendezvous: str = ""
) -> tuple[Recipe, list[Shrunk]]:
    """The small recipe, and what differs.

    Args:
        teacher_url: where the stand-in teacher listens.
        processes: training processes of each node.
        nodes: several meet at `rendezvous`, HOST:PORT.
    """
    changes = {
        "seeds": _seeds(recipe),
        "teacher": {
            "kind": ("http", "the teacher is a stand-in on loopback"),
            "endpoints": ((Endpoint(url=teacher_url, api_key_env=KEY_ENV),), "the teacher is a stand-in on loopback"),
        },
        "evolve": _evolve(recipe),
        "verify": {"workers": (2, "two cores")},
        "curate": _curate(recipe),
        "train": _train(recipe, processes * nodes),
        "reward": _reward(recipe),
        "rl": _rl(recipe),
        "eval": _eval(recipe, teacher_url),
        "compute": _compute(recipe, processes, nodes, rendezvous),
    }
    small: Recipe = recipe
    shrunk: list[Shrunk] = []
    for section, values in changes.items():
        if (before := getattr(small, section)) is None:
            continue
        for key, (value, why) in values.items():
            shrunk += _changed(f"{section}.{key}", getattr(before, key), value, why)
        small = replace(small, **{section: replace(before, **{key: value for key, (value, _) in values.items()})})
    return small, shrunk


Changes = dict[str, tuple[Any, str]]
"""Key of a section -> (value, reason)."""


def _changed(key: str, before: Any, after: Any, why: str) -> Iterator[Shrunk]:
    """The keys that differ; those of a section within a section by themselves."""
    if isinstance(before, Section) and isinstance(after, Section):
        for field in msgspec.structs.fields(after):
            yield from _changed(f"{key}.{field.name}", getattr(before, field.name), getattr(after, field.name), why)
    elif before != after:
        yield Shrunk(key, _plain(before), _plain(after), why)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _seeds(recipe: Recipe) -> Changes:
    seeds = recipe.seeds
    limit = min(seeds.limit or SEEDS, SEEDS)
    # Seeds of the hub are few already; a limit would leave all but the first address unread.
    changes: Changes = {} if seeds.path else {"limit": (limit, "few rows")}
    if seeds.bootstrap_size:
        changes["bootstrap_size"] = (min(seeds.bootstrap_size, limit + 4), "few rows")
    return changes


def _evolve(recipe: Recipe) -> Changes:
    evolve = recipe.evolve
    changes: Changes = {"chains": (min(evolve.chains or CHAINS, CHAINS), "few rows")}
    if evolve.sample:
        changes["sample"] = (min(evolve.sample, SEEDS), "few rows")
    return changes


def _train(recipe: Recipe, ranks: int) -> Changes:
    train = recipe.train
    micro = min(train.per_device_train_batch_size, 2)  # with accumulation, so that both are seen
    changes: Changes = {
        "per_device_train_batch_size": (micro, "small batches"),
        "max_length": (min(train.max_length, LENGTH), "short rows"),
        "warmup_steps": (min(train.warmup_steps, 1), "few steps"),
        "save_steps": (min(train.save_steps, SAVE_STEPS), "few steps"),
    }
    if train.global_batch_size:
        changes["global_batch_size"] = (micro * ranks * 2, "small batches")
    else:
        changes["gradient_accumulation_steps"] = (min(train.gradient_accumulation_steps, 2), "small batches")
    if train.max_steps > 0:
        changes["max_steps"] = (min(train.max_steps, STEPS), "few steps")
    else:
        changes["num_train_epochs"] = (min(train.num_train_epochs, 1.0), "few steps")
    if train.precision == "fp16":
        changes["precision"] = ("bf16", "a CPU has no fp16 training")
    if train.finetuning_type == "qlora":
        changes["finetuning_type"] = ("lora", "4-bit weights need a GPU")
    return changes


def _curate(recipe: Recipe) -> Changes:
    if not recipe.curate.size:
        return {}
    return {"size": (min(recipe.curate.size, SEEDS), "few rows"), "quotas": ({}, "few rows")}


def _reward(recipe: Recipe) -> Changes:
    changes: Changes = {}
    for name in ("steps", "instructions"):
        if model := getattr(recipe.reward, name, None):
            small = replace(model, limit=min(model.limit or SEEDS, SEEDS))
            if isinstance(small, StepReward):
                small = replace(small, samples=min(small.samples, 2))
            if getattr(small, "method", "head") == "head":
                small = replace(small, train={**small.train, "max_steps": STEPS, "per_device_train_batch_size": 2})
            changes[name] = (small, "few rows and steps")
    return changes


def _rl(recipe: Recipe) -> Changes:
    if (rl := recipe.rl) is None:
        return {}
    return {
        **({"band": ((0.0, 1.0), "a narrow base solves nothing, so every prompt is taken")} if rl.band else {}),
        "num_generations": (2, "few answers"),
        "prompts_per_step": (min(rl.prompts_per_step, 2), "few answers"),
        "per_device_train_batch_size": (min(rl.per_device_train_batch_size, 2), "small batches"),
        "max_completion_length": (min(rl.max_completion_length, NEW_TOKENS), "few tokens"),
        "max_steps": (min(rl.max_steps, STEPS), "few steps"),
        "save_steps": (min(rl.save_steps, SAVE_STEPS), "few steps"),
        "eval_steps": (min(rl.eval_steps, SAVE_STEPS), "few steps"),
        "held_out_limit": (min(rl.held_out_limit, PROBLEMS), "few problems"),
        "use_vllm": (False, "vLLM needs a GPU"),
    }


def _eval(recipe: Recipe, teacher_url: str) -> Changes:
    evaluation = recipe.eval
    changes: Changes = {
        "limit": (min(evaluation.limit or PROBLEMS, PROBLEMS), "few problems"),
        "max_new_tokens": (NEW_TOKENS, "few tokens"),
        "baseline_max_new_tokens": (NEW_TOKENS if evaluation.baseline_max_new_tokens else 0, "few tokens"),
        "batch_size": (PROBLEMS, "few problems"),
    }
    if evaluation.n > 2:
        changes["n"] = (2, "few samples")
    if evaluation.engine == "vllm":
        changes["engine"] = ("transformers", "vLLM needs a GPU")
    if judge := evaluation.judge:
        endpoint = Endpoint(url=teacher_url, api_key_env=KEY_ENV)
        teacher = replace(judge.teacher, kind="http", endpoints=(endpoint,))
        small = replace(
            judge, teacher=teacher, baselines=(), planted=min(judge.planted, 2), repeats=min(judge.repeats, 2),
            suites=judge.suites or evaluation.suites,
        )  # fmt: skip
        about = "the judge is a stand-in on loopback, without the baselines, and judges where checks fail all that an untrained model says"
        changes["judge"] = (small, about)
    return changes


def _compute(recipe: Recipe, processes: int, nodes: int, rendezvous: str) -> Changes:
    compute = recipe.compute
    changes: Changes = {
        "nodes": (nodes, "processes of one machine"), "gpus_per_node": (processes, "two cores"),
        "hang_timeout_s": (min(compute.hang_timeout_s, 240.0), "a hang must show in minutes"),
        "max_restarts": (0, "a failure must show at once"),
    }  # fmt: skip
    if nodes > 1:
        changes |= {"launcher": ("torchrun", "nodes are processes here"), "rendezvous": (rendezvous, "on loopback")}
    return changes


def not_covered(recipe: Recipe, nodes: int = 1) -> Sequence[str]:
    """What no rehearsal on a CPU can show, as far as this recipe asks for it."""
    train, evaluation = recipe.train, recipe.eval
    found = ["CUDA kernels, GPU memory and speed (evoltune plan estimates memory and hours)"]
    if recipe.compute.nodes > 1 or recipe.compute.gpus_per_node != 1:
        found.append("NCCL: the ranks talk over Gloo here")
    if recipe.compute.nodes > nodes:
        found.append(f"{recipe.compute.nodes} nodes: {nodes} started here (--nodes)")
    if nodes > 1:
        found.append("a network between the nodes: they are processes of one machine")
    if train.precision == "fp16":
        found.append("fp16 and its loss scale: trained in bf16 here")
    if train.finetuning_type == "qlora":
        found.append("4-bit weights (QLoRA): trained as LoRA here")
    if evaluation.engine == "vllm" or recipe.teacher.kind == "vllm":
        found.append("vLLM")
    if recipe.teacher.kind == "http":
        found.append("the real teacher: its key, its limits, its prices and the quality of its answers")
    if recipe.compute.nodes > 1 and recipe.compute.launcher == "torchrun" and not recipe.compute.rendezvous:
        found.append("compute.rendezvous: give HOST of the first node, and start the same command on each")
    found.append("the real rows: their number, their lengths, and what rules and verifiers say of them")
    return found
