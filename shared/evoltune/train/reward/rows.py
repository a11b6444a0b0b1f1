"""The reward of each row of a file or of a request, as the trainers' callable gives it.

    rewarded(ProductReward("math", steps="runs/x/reward-steps"), rows, verdicts)     # verdict rows, with `reward` and `parts`

`evoltune reward` and the service's `/score` end here. Invariant: a row has the reward that `ProductReward` gives in a trainer; a
row that could not be judged, or that the models cannot read, has the reward None and the reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from evoltune.train.reward.product import ProductReward
from evoltune.verification.checker import Checker
from evoltune.verification.row_forms import answer_text, prompt_text
from evoltune.verification.rows import verify_rows

PROMPTS = ("prompt", "instruction", "question", "problem")
"""Columns that hold what was asked, in this order."""
BATCH = 256
NO_PROMPT = f"no prompt (one of {', '.join(PROMPTS)}): the reward models need what was asked"


def rewarded(reward: ProductReward, rows: Sequence[Any], verdicts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The verdict rows, each with `reward` and `parts` (verifier, steps, instruction: None where there is no such model)."""
    needs_prompt = bool(reward.steps or reward.instructions)
    asked = [_prompt(row) for row in rows]
    scored = [
        i for i, verdict in enumerate(verdicts) if verdict["score"] is not None and (asked[i] or not needs_prompt)
    ]
    parts = reward.parts(
        [verdicts[i]["score"] for i in scored], [asked[i] for i in scored], [answer_text(rows[i]["answer"]) for i in scored]
    )  # fmt: skip
    place = {i: n for n, i in enumerate(scored)}
    models = {"steps": reward.steps, "instruction": reward.instructions}
    absent = [name for name, model in models.items() if model is None]
    return [_row(verdict, parts, place.get(i), absent) for i, verdict in enumerate(verdicts)]


def reward_rows(reward: ProductReward, checker: Checker, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The same of rows that are not verified yet, in order."""
    source, number = iter(rows), 1
    while batch := list(islice(source, BATCH)):
        yield from rewarded(reward, batch, list(verify_rows(checker, batch, number)))
        number += len(batch)


def _row(
    verdict: Mapping[str, Any], parts: Mapping[str, Sequence[float | None]], place: int | None, absent: Sequence[str]
) -> dict[str, Any]:
    if place is not None:
        found = {name: values[place] for name, values in parts.items() if name not in absent} | dict.fromkeys(absent)
        return {**verdict, "reward": found.pop("reward"), "parts": found}
    reason = verdict["reason"] if verdict["score"] is None else NO_PROMPT
    unknown = {name: verdict["score"] if name == "verifier" else None for name in parts if name != "reward"}
    return {**verdict, "reason": reason, "reward": None, "parts": unknown}


def _prompt(row: Any) -> str:
    named = (row.get(name) for name in PROMPTS) if isinstance(row, Mapping) else ()
    return next((text for value in named if value and (text := prompt_text(value)).strip()), "")
