"""A verifier service as OpenRLHF's reward.

    python -m openrlhf.cli.train_ppo_ray ... --remote_rm_url examples/rewards/openrlhf_reward.py --label_key reference

A query is a prompt with its response; the label is the reference. OpenRLHF cannot leave a sample out, so an answer that could
not be verified counts 0; `unverified` in the log is their share.
"""

import os
from collections.abc import Sequence
from typing import Any

from evoltune.verification.service.client import VerifierClient

client = VerifierClient(os.environ.get("EVOLTUNE_SERVICE", "http://127.0.0.1:8100"))


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **_: Any) -> dict[str, Any]:
    """Tensors of float32, one item per query."""
    import torch

    rows = [
        {"answer": query.removeprefix(prompt), "reference": label}
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    scores = [verdict["score"] for verdict in client.verify(rows, domain="math")]
    rewards = torch.tensor([score or 0.0 for score in scores])
    unverified = torch.tensor([float(score is None) for score in scores])
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"unverified": unverified}}
