"""A verifier service as verl's reward (0.9); `evoltune rl RECIPE --trainer verl` writes such a file with everything else.

    python -m verl.trainer.main_ppo ... reward.custom_reward_function.path=examples/rewards/verl_reward.py \
        reward.custom_reward_function.name=compute_score

Rows as `evoltune data export --form verl` writes them: `data_source` is `evoltune/math`, a name for which verl has no scorer of its
own. The older keys (`custom_reward_function.path`, `reward_model.reward_manager`) are accepted by 0.9 and not read.
"""

import os

import evoltune
from evoltune.train.rl.trainer_rewards import for_verl

service = os.environ.get("EVOLTUNE_SERVICE", "http://127.0.0.1:8100")
compute_score = for_verl({domain: evoltune.reward(domain, service=service) for domain in ("math", "code")})
