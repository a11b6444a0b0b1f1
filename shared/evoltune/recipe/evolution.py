"""The section `evolve:` of a recipe: how instructions are grown, how hard they are, and how their prompts are improved."""

from typing import Literal

from evoltune.recipe.base import Section
from evoltune.recipe.types import Count, DevelopmentSeeds, FilePath, NameOrPath, Positive, Steps, Tries


class PassRate(Section, frozen=True, kw_only=True):
    """How often a model solves each task: its measured difficulty."""

    k: Positive = 16
    """Answers that are sampled for each task with a reference or tests; verify counts those that pass."""
    model: str = "teacher"
    """Who answers: `teacher`; `base`, the model that is trained (with the engine `transformers`); or the URL of a server."""
    name: str = ""
    """With a URL: the model's name on that server; empty: that of the teacher."""


class Optimise(Section, frozen=True, kw_only=True):
    """The optimiser of evolution prompts (2406.00770); `evoltune evolve RECIPE --optimise`."""

    seeds: DevelopmentSeeds = 200
    """Seeds of the development set, at least 200; they share nothing with a suite. A quarter of them is shown to the model, the others
    decide."""
    steps: Steps = 12
    """At most so many steps; the paper's prompts got worse after about twelve."""
    candidates: Positive = 3
    """New prompts that are tried in each step."""
    examples: Positive = 10
    """Rewrites that the model is shown, with the reasons why they failed."""
    model: str = "teacher"
    """Who writes the prompts: `teacher`, or the URL of a server."""
    name: str = ""
    """With a URL: the model's name on that server; empty: that of the teacher."""


class Evolve(Section, frozen=True, kw_only=True):
    """The Evol-Instruct loop (2304.12244 section 3; 2306.08568; 2308.09583)."""

    rounds: Count = 1
    """How often each chain's newest instruction is rewritten."""
    chains: Count = 0
    """Grow chains from this many seeds, drawn by the recipe's `seed`; 0: from all. The others remain rows."""
    variants: Positive = 1
    """Rewrites of each instruction in each round; the chain continues from the first that survives elimination."""
    answers: Positive = 1
    """Answers to each new instruction (the k of maj@k and of the agreement checks)."""
    operators: dict[str, float] = {}
    """Operator name -> weight; empty: the domain's weights."""
    prompts: FilePath | None = None
    """A folder of prompts (`NAME.txt`) that replace the domain's, or add operators; see docs/generate.md."""
    equal_check: bool = True
    """Ask the teacher whether a rewrite adds nothing to its original (elimination rule 1)."""
    difficulty: bool = False
    """Ask the teacher to rate the difficulty of each kept instruction from 1 to 10."""
    pass_rate: PassRate | None = None
    """Measure the difficulty of each kept task by how many of k sampled answers pass; `null`: do not."""
    fuse_after: Count = 0
    """From this round on, also fuse the newest instructions of two chains (2312.15692); 0: never."""
    sample: Count = 0
    """Keep this many rows, a proportional share of each round; 0: all."""
    answer_seeds: bool = False
    """Ask the teacher to answer seeds that have no answer."""
    reword: bool = False
    """Ask the teacher to word again what a rewrite function made; a wording that states other facts, or that its own answers (`answers` of
    them) do not solve to the same result, is not used."""
    answer_rewrites: bool = False
    """Ask the teacher for `answers` to what a rewrite function made, too; its own solution comes first."""
    repair: Tries = 0
    """Send a failed answer back to the teacher with the verifier's reason, at most so often, while no answer of it passes; for tasks with
    a reference or tests. Kept rows say so (column `repaired`)."""
    tries: Tries = 0
    """More tries for hard tasks: while none of the teacher's answers passes, ask for new ones, at most so many in all, repairs
    included; 0: no new ones."""
    keep_reasoning: bool = False
    """Keep the thought of a reasoning teacher with each answer (column `reasoning`); it never is part of the answer."""
    optimise: Optimise | None = None
    """How `evolve --optimise` improves the prompts; it changes nothing else."""
    stop_on: NameOrPath | None = None
    """Evol-stop: the dev suite that scores each round; the best round is kept. It must not overlap with `eval.suites`."""
    stop_by: Literal["train", "verify_rate"] = "train"
    """Score of a round: of a model trained on it, or the share of its rows that verify kept (needs no training)."""

    def draws(self, seeds: int, rounds: int = 0) -> int:
        """Rewrites that are asked for in all: of `chains` of the seeds, in `rounds` (0: the recipe's)."""
        return min(seeds, self.chains or seeds) * (rounds or self.rounds) * self.variants
