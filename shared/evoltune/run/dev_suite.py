"""The dev suite: what decides about rounds (evol-stop) or checkpoints, and may therefore never be a reported suite.

WizardCoder v1 chose its round on HumanEval, which it also reported; v2 on MBPP's train and dev split (2306.08568, section 4).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe
from evoltune.record import Task
from evoltune.text.words import shingles

NEAR = 0.6  # Jaccard of word 3-shingles from which two problems count as one


def refuse_reported(key: str, dev: str, recipe: Recipe) -> None:
    """Raises RecipeError when the dev suite, which stands at `key` of the recipe, is also one of `eval.suites`."""
    if dev in recipe.eval.suites:
        raise RecipeError(f"{key}: {dev!r} is also one of eval.suites: a dev set must not be reported")


def refuse_overlap(dev: str, dev_tasks: Sequence[Task], suites: Mapping[str, Sequence[Task]]) -> None:
    """Raises RecipeError when a dev task is, or nearly is, a task of a reported suite."""
    for suite, tasks in suites.items():
        reported = [shingles(task.instruction) for task in tasks]
        index: dict[str, list[int]] = defaultdict(list)
        for i, found in enumerate(reported):
            for shingle in found:
                index[shingle].append(i)
        for task in dev_tasks:
            own = shingles(task.instruction)
            shared = Counter(i for shingle in own for i in index.get(shingle, ()))
            for i, count in shared.items():
                similarity = count / (len(own) + len(reported[i]) - count)
                if similarity >= NEAR:
                    pair = f"({task.name!r} and {tasks[i].name!r}, similarity {similarity:.2f})"
                    raise RecipeError(
                        f"evolve.stop_on: dev suite {dev!r} shares a problem with eval suite {suite!r} {pair}: "
                        "choose a dev set that is not reported"
                    )


def dev_recipe(recipe: Recipe, dev: str) -> Recipe:
    """The recipe with the dev suite as its only suite."""
    only_dev = msgspec.structs.replace(recipe.eval, suites=(dev,), baseline=False)
    return msgspec.structs.replace(recipe, eval=only_dev)


def dev_score(scores: Mapping[str, Any]) -> float:
    """The first measure, in [0, 1], of the only suite in what `evaluate.measure.evaluate` returned.

    Raises RecipeError for a suite that nothing could judge: it chooses no round and no checkpoint.
    """
    ((name, suite),) = scores["suites"].items()
    if not suite["measures"]:
        raise RecipeError(f"dev suite {name!r}: {suite.get('not_judged', 'not judged')}: it cannot choose")
    return float(next(iter(suite["measures"].values()))["value"])
