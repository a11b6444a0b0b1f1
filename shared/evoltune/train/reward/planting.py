"""Wrong solutions out of right ones: one number of one step is changed, where the domain's own check then finds it.

    planted = plant(domain, task, right, random.Random(0))       # one step is wrong, and labelled so; None: not possible

A policy's own samples are rarely right or rarely wrong, so labels of them are one-sided. A right solution and its twin differ in
one number only, so the model has to read that number. Invariants: every other step is as it was, so that length says nothing
(batches are of similar length: shorter twins would be alone in theirs); the check accepted the step before and refuses it now.
"""

import random
import re
from dataclasses import replace

from evoltune.domain import Domain
from evoltune.record import Task
from evoltune.train.reward.labelling import checked
from evoltune.train.reward.steps import HALF, PLANTED, Solution, hard_labels

TRIES = 8
"""Changes tried on a step before another step is taken."""
RESULTS = 0.7
"""Share of the errors in a step's last number, which is its result; the others are anywhere in it."""
_NUMBER = re.compile(r"\d+")


def plant(domain: Domain, task: Task, solution: Solution, rng: random.Random) -> Solution | None:
    """A twin of a right solution with an error in one step; None where the check sees no such error.

    Raises DomainError if the domain has no check of steps.
    """
    steps = solution.steps
    right = checked(domain, task, steps)
    places = [i for i, label in enumerate(right) if label.value == 1.0 and _NUMBER.search(steps[i])]
    rng.shuffle(places)
    for place in places:
        for _ in range(TRIES):
            written = (*steps[:place], _changed(steps[place], rng), *steps[place + 1 :])
            label = checked(domain, task, written)[place]
            if label.value is not None and label.value < HALF:
                return replace(
                    solution, steps=written, labels=hard_labels(len(written), first_error=place, method=PLANTED)
                )
    return None


def _changed(step: str, rng: random.Random) -> str:
    """The step with another number in one place."""
    numbers = list(_NUMBER.finditer(step))
    chosen = numbers[-1] if rng.random() < RESULTS else rng.choice(numbers)
    return step[: chosen.start()] + _near(chosen[0], rng) + step[chosen.end() :]


def _near(digits: str, rng: random.Random) -> str:
    """Another number as people get it wrong: off by little, by ten, one digit other, or a fifth away."""
    value, place = int(digits), rng.randrange(len(digits))
    digit = str((int(digits[place]) + rng.randint(1, 9)) % 10)
    spread = max(3, value // 5)
    made = rng.choice(
        [
            str(max(0, value + rng.choice([-10, -2, -1, 1, 2, 10]))),
            digits[:place] + digit + digits[place + 1 :],
            str(max(0, value + rng.randint(-spread, spread))),
        ]
    )
    return made if made != digits else str(value + 1)
