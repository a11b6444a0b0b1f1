"""TRL's GRPO with a verifier service as its reward.

    evoltune serve-verifier --domain code,math --port 8100 --token-file token.txt
    EVOLTUNE_SERVICE_TOKEN=$(cat token.txt) python examples/rewards/trl_grpo.py Qwen/Qwen2.5-0.5B-Instruct rows.jsonl

The rows have a `prompt` and the domain's columns (`reference`). TRL calls the reward with lists, one item per completion, and
leaves out a sample whose reward is None: one that could not be verified.
"""

import os
import sys

import evoltune

reward = evoltune.reward("math", service=os.environ.get("EVOLTUNE_SERVICE", "http://127.0.0.1:8100"))


def main(model: str, rows: str) -> None:
    from datasets import load_dataset
    from trl import GRPOConfig, GRPOTrainer

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[reward],
        args=GRPOConfig(output_dir="grpo", num_generations=8),
        train_dataset=load_dataset("json", data_files=rows, split="train"),
    )
    trainer.train()


if __name__ == "__main__":
    main(*sys.argv[1:])
