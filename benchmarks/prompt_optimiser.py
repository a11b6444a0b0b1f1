"""GEPA (PyPI `gepa`, MIT) on the planted prompts that hold our own optimiser, by the same number of draws.

    pip install gepa==0.1.4 && python benchmarks/prompt_optimiser.py [--runs 20]

Three of four prompts are made worse by a sentence; a scripted teacher does what a prompt says and else succeeds with a fixed probability;
a scripted model takes out the sentence that asks for what the feedback names, at half of its tries, and else words the prompt otherwise.
Then two sound prompts, of which no wording is better than another: any change is a false step. Ours:
`pytest -m slow -s tests/evolve/test_optimise.py`.
"""

import argparse
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gepa
from gepa.core.adapter import EvaluationBatch

GOOD = "Rewrite with one more demand:\n{instruction}"
FAULTS = {
    "Keep the text as it is.": "copy of the parent",
    "Begin with #Rewritten Prompt#.": "prompt residue",
    "Reply with a full stop.": "only stop words",
}
SEEDS = [str(i) for i in range(200)]


class Teacher:
    """GEPA's adapter: one draw of each prompt for each seed, with the reason by name as feedback."""

    propose_new_texts = None

    def __init__(self, yields: float, world: int) -> None:
        self.yields, self.world, self.draws = yields, world, 0

    def outcome(self, prompt: str, seed: str) -> tuple[float, str]:
        for sentence, reason in FAULTS.items():
            if sentence in prompt:
                return 0.0, reason
        is_usable = random.Random(f"{self.world}{seed}{prompt}").random() < self.yields
        return (1.0, "usable") if is_usable else (0.0, "no text")

    def evaluate(self, batch: Sequence[str], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        found = [{name: self.outcome(prompt, seed) for name, prompt in candidate.items()} for seed in batch]
        self.draws += len(found) * len(candidate)
        scores = [sum(score for score, _ in of.values()) / len(of) for of in found]
        return EvaluationBatch(outputs=found, scores=scores, trajectories=found if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: Any, batch: Any, names: Sequence[str]
    ) -> dict[str, list[dict[str, str]]]:
        return {name: [{"Rewrite": "a task", "Feedback": of[name][1]} for of in batch.trajectories] for name in names}


def scripted_model(world: int) -> Callable[[Any], str]:
    rng = random.Random(world)

    def reply(prompt: Any) -> str:
        found = re.search(r"```\n(.*?)\n```", str(prompt), re.S)
        assert found is not None
        old = found[1]
        bad = [sentence for sentence, reason in FAULTS.items() if sentence in old and reason in str(prompt)]
        new = (
            old.replace(rng.choice(bad) + "\n", "")
            if bad and rng.random() < 0.5
            else f"Please ({rng.randrange(99)}). {old}"
        )
        return f"```\n{new}\n```"

    return reply


class Quiet:
    def log(self, *_: object) -> None: ...


def optimised(
    prompts: Sequence[str], yields: float, world: int, budget: int
) -> tuple[dict[str, str], dict[str, str], int]:
    """(the prompts, what GEPA makes of them, draws)"""
    teacher = Teacher(yields, world)
    start = {f"o{i}": f"{sentence}\n{GOOD}" if sentence else GOOD for i, sentence in enumerate(prompts)}
    result = gepa.optimize(
        seed_candidate=start, trainset=SEEDS[:50], valset=SEEDS[50:], adapter=teacher, reflection_lm=scripted_model(world),
        max_metric_calls=budget, seed=world, logger=Quiet(),
    )  # fmt: skip
    return start, result.best_candidate, teacher.draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    for world in range(5):
        _, best, draws = optimised([*FAULTS, ""], 0.8, world, 1025)
        sound = sum(not any(sentence in prompt for sentence in FAULTS) for prompt in best.values()) - 1
        print(f"planted, run {world}: {sound} of 3 prompts restored, {draws} draws")
    changed = sum(start != best for start, best, _ in (optimised(["", ""], 0.6, world, 800) for world in range(runs)))
    print(f"nothing to gain: {changed} of {runs} runs changed a prompt")


if __name__ == "__main__":
    main()
