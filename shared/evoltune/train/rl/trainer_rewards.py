"""Wraps a reward as the function that verl, or OpenRLHF, expects.

    compute_score = for_verl({"math": evoltune.reward("math")})          # verl: reward.custom_reward_function
    reward_func = for_openrlhf({"math": evoltune.reward("math")})        # OpenRLHF: --reward.remote_url FILE.py

`evoltune rl` writes the file that does this. Any callable that takes `(completions, prompts, **columns)` and gives a score or
None for each will do, the product of verifier and reward models included.

Both trainers call with one sample, from many threads, and neither can leave a sample out: an answer that could not be judged
counts `unjudged` (0 by default) and is marked so in the trainer's log. A sample of a domain that was not given raises, and so
does a query that does not hold its prompt: a run must not go on with somebody else's score, or with none.

Sources: verl 0.9.1, experimental/reward_loop/reward_manager/naive.py; OpenRLHF 0.11.2, utils/agent.py SingleTurnAgentExecutor.
tests/contracts calls these functions through the trainers' own loaders.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evoltune.errors import DataError, nearest
from evoltune.text.responses import final_text
from evoltune.verification.row_forms import plain

Score = float | None
Reward = Callable[..., Sequence[Score]]
SOURCE = "evoltune/"
"""Before the domain in verl's `data_source`. verl has scorers of its own for names that it knows, and none for these: where it
does not read the reward function, it raises instead of scoring by another."""
LEAST = 24
"""Characters of a prompt's end that must be left where the trainer cut its beginning."""
_MARK = re.compile(r"<[^<>\s]{1,30}>")


def for_verl(rewards: Mapping[str, Reward], *, truth: str = "reference", unjudged: float = 0.0) -> Callable[..., Any]:
    """A `compute_score` of verl's reward loop.

    Args:
        rewards: domain -> its reward.
        truth: the name of the column that a plain `ground_truth` stands for, e.g. "tests"; a JSON object names its own.
        unjudged: the score of an answer that could not be judged.

    Returns:
        A function `(data_source, solution_str, ground_truth, extra_info)` -> {"score", "acc", "unjudged"}. verl logs the last
        two: 1.0 where the score is above 0, and 1.0 where the answer could not be judged.
    """

    def compute_score(
        data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, float]:
        reward = _reward_of(rewards, str(data_source).removeprefix(SOURCE), f"data_source {data_source!r}")
        extra = extra_info or {}
        more = {name: value for name, value in extra.items() if name in ("entry_point", "language") and value}
        score = _score(reward, solution_str, extra.get("prompt"), {**more, **columns_of(ground_truth, truth)})
        value = unjudged if score is None else score
        return {"score": value, "acc": float(value > 0), "unjudged": float(score is None)}

    return compute_score


def for_openrlhf(
    rewards: Mapping[str, Reward], *, truth: str = "reference", unjudged: float = 0.0
) -> Callable[..., dict[str, Any]]:
    """A `reward_func(queries, prompts, labels)` of OpenRLHF; arguments as of `for_verl`.

    A query is the decoded prompt with the answer, special tokens kept. A label is JSON of columns, with `domain` where
    `rewards` has several, or a bare `truth`. The function gives tensors of shape (1,) under `rewards` and `scores`, as for one
    sample; `extra_logs` has the share of answers that could not be judged.
    """

    def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_: Any) -> dict[str, Any]:
        import torch

        scores: list[Score] = []
        for query, prompt, label in zip(queries, prompts, labels, strict=True):
            columns = columns_of(label, truth)
            domain = columns.pop("domain", next(iter(rewards)) if len(rewards) == 1 else "")
            reward = _reward_of(rewards, str(domain), f"label {str(label)[:60]!r}: domain {domain!r}")
            scores.append(_score(reward, answer_in(query, prompt), prompt, columns))
        values = torch.tensor([unjudged if score is None else score for score in scores], dtype=torch.float32)
        unknown = torch.tensor([float(score is None) for score in scores])
        return {"rewards": values, "scores": values, "extra_logs": {"unjudged": unknown}}

    return reward_func


def columns_of(truth: Any, name: str) -> dict[str, Any]:
    """What an answer is judged by: of a JSON object whose keys are columns of ours, these; else the value under `name`.

    A test form that is itself a JSON object, as APPS has, has other keys and stays whole.
    """
    value = plain(truth)
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {name: truth}
    if isinstance(value, Mapping) and value.keys() & {"reference", "tests"}:
        return {key: part for key, part in value.items() if part is not None}
    return {name: plain(truth)}


def answer_in(query: str, prompt: str) -> str:
    """The answer in a query: what stands behind the prompt, without thoughts and end marks.

    Decoding may change blanks and put a mark of the beginning before the prompt, and a prompt that was too long lost its
    beginning: a query starts with the prompt, or with an end of it. Raises DataError where it does not.
    """
    if query.startswith(prompt):
        return final_text(query[len(prompt) :])
    place = [at for at, sign in enumerate(query) if not sign.isspace()]
    packed, wanted = "".join(query[at] for at in place), "".join(prompt.split())
    start: int | None = 0
    while start is not None:
        for cut in range(max(1, len(wanted) - LEAST)):
            if packed.startswith(wanted[cut:], start):
                end = start + len(wanted) - cut
                return final_text(query[place[end - 1] + 1 :] if end else query)
        mark = _MARK.match(packed, start)
        start = mark.end() if mark else None
    raise DataError(
        f"query {query[:80]!r} does not hold its prompt {prompt[:80]!r}: the trainer decodes them differently, so the answer "
        "cannot be told from the prompt: set the tokenizer's clean_up_tokenization_spaces to false"
    )


def _reward_of(rewards: Mapping[str, Reward], domain: str, where: str) -> Reward:
    if domain not in rewards:
        raise DataError(f"{where}: this run has no reward for it: {nearest(domain, rewards)}")
    return rewards[domain]


def _score(reward: Reward, answer: str, prompt: Any, columns: Mapping[str, Any]) -> Score:
    prompts = None if prompt is None else [prompt]
    return reward([answer], prompts, **{name: [value] for name, value in columns.items()})[0]
