"""A verifier service as verl's reward.

    python -m verl.trainer.main_ppo ... reward_model.reward_manager=batch \
        custom_reward_function.path=examples/rewards/verl_reward.py custom_reward_function.name=compute_score_batch

The naive manager takes `compute_score` instead, one answer per call. `data_source` names the domain (`math`, `code`);
`reward_model.ground_truth` is the reference, or for code the tests; `extra_info` may hold further columns
(`entry_point`). verl cannot leave a sample out, so an answer that could not be
verified counts 0.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from evoltune.verification.service.client import VerifierClient

client = VerifierClient(os.environ.get("EVOLTUNE_SERVICE", "http://127.0.0.1:8100"))
TRUTH = {"code": "tests"}
COLUMNS = ("entry_point", "prompt", "language")


def compute_score_batch(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any] | None],
    **_: Any,
) -> list[float]:
    """Scores in the order of the answers; a domain's answers go in one call."""
    scores = [0.0] * len(solution_strs)
    for domain in dict.fromkeys(data_sources):
        of_domain = [i for i, source in enumerate(data_sources) if source == domain]
        rows = [
            {
                **{k: v for k, v in (extra_infos[i] or {}).items() if k in COLUMNS},
                TRUTH.get(domain, "reference"): ground_truths[i],
                "answer": solution_strs[i],
            }
            for i in of_domain
        ]
        for i, verdict in zip(of_domain, client.verify(rows, domain=str(domain)), strict=True):
            scores[i] = verdict["score"] or 0.0
    return scores


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> float:
    """The score of one answer."""
    return compute_score_batch([data_source], [solution_str], [ground_truth], [extra_info])[0]
