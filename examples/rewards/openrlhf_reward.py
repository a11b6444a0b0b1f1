"""A verifier service as OpenRLHF's reward (0.11); `evoltune rl RECIPE --trainer openrlhf` writes such a file with everything else.

    python -m openrlhf.cli.train_ppo_ray ... --reward.remote_url examples/rewards/openrlhf_reward.py \
        --data.input_key prompt --data.label_key label --data.apply_chat_template

Rows as `evoltune data export --form openrlhf` writes them, or with the bare reference as label: then give one domain only.
"""

import os

import evoltune
from evoltune.train.rl.trainer_rewards import for_openrlhf

service = os.environ.get("EVOLTUNE_SERVICE", "http://127.0.0.1:8100")
reward_func = for_openrlhf({domain: evoltune.reward(domain, service=service) for domain in ("math", "code")})
