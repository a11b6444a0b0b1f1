"""A verifier service as OpenRLHF's reward.

    python -m openrlhf.cli.train_ppo_ray ... --remote_rm_url examples/rewards/openrlhf_reward.py --label_key reference

A query is a prompt with its response; the label is the reference. OpenRLHF cannot leave a sample out: one that could
not be judged counts 0, and `unjudged` in the log says how many there were.
"""

import os
from collections.abc import Sequence
from typing import Any

from evoltune.verification.service.client import VerifierClient

client = VerifierClient(os.environ.get("EVOLTUNE_SERVICE", "http://127.0.0.1:8100"))


def reward_func(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **_: Any
) -> dict[str, Any]:
    """Tensors of float32, one item a query."""
    import torch

    rows = [
        {"answer": query.removeprefix(prompt), "reference": label}
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    scores = [verdict["score"] for verdict in client.verify(rows, domain="math")]
    rewards = torch.tensor([score or 0.0 for score in scores])
    unjudged = torch.tensor([float(score is None) for score in scores])
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"unjudged": unjudged}}
