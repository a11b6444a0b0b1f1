"""What verl itself does with our files, printed as JSON. Run with verl importable; arguments: folders that `evoltune rl`
wrote, each with its command in words.json and one answer a row in answers.json."""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import torch
import verl
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl.protocol import DataProto
from verl.trainer.ppo.reward import load_reward_manager
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config
from verl.utils.dataset.rl_dataset import RLHFDataset


def contract(folder: Path, checked: set[str]) -> dict:
    """`checked`: keys that were misspelt already, in the job of another algorithm; those of this one are added."""
    overrides = json.loads((folder / "words.json").read_text())
    new = {key: setting for setting in overrides if (key := setting.partition("=")[0]) not in checked}
    checked |= new.keys()
    config = composed(overrides)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    tokenizer = AutoTokenizer.from_pretrained(config.actor_rollout_ref.model.path)
    dataset = RLHFDataset(data_files=[str(folder / "train.jsonl")], tokenizer=tokenizer, config=config.data)
    rows = [dataset[number] for number in range(len(dataset))]
    answers = json.loads((folder / "answers.json").read_text())
    manager = load_reward_manager(config, tokenizer)
    return {
        "rows": len(rows),
        "critic": need_critic(config),
        "scores": asyncio.run(scores(manager, tokenizer, rows, answers)),
        "accepted": [key for key, setting in new.items() if not is_refused(overrides, setting)],
        "unread": refusal(lambda: unread(overrides, tokenizer, rows, answers)),
    }


def composed(overrides):
    folder = str(Path(verl.__file__).parent / "trainer" / "config")
    with initialize_config_dir(config_dir=folder, version_base=None):
        config = compose("ppo_trainer", overrides=overrides)
    OmegaConf.resolve(config)
    return config


def is_refused(overrides, setting):
    """Whether verl refuses the settings once this one's last word is misspelt."""
    key, _, value = setting.partition("=")
    return "ConfigCompositionException" in refusal(
        lambda: composed([*(o for o in overrides if o != setting), f"{key}_={value}"])
    )


def unread(overrides, tokenizer, rows, answers):
    """The keys of verl 0.7, which 0.9 accepts and does not read."""
    old = [o.replace("reward.custom_reward_function", "custom_reward_function") for o in overrides]
    manager = load_reward_manager(composed(old), tokenizer)
    return asyncio.run(scores(manager, tokenizer, rows, answers))


def refusal(call):
    try:
        return f"accepted: {call()}"[:200]
    except (ConfigCompositionException, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"[:300]


async def scores(manager, tokenizer, rows, answers):
    manager.loop = asyncio.get_running_loop()
    batch = [sample(tokenizer, row, answer) for row, answer in zip(rows, answers, strict=True)]
    return await asyncio.gather(*(manager.run_single(data) for data in batch))


def sample(tokenizer, row, answer):
    """One rollout as verl's agent loop hands it to the reward: answer tokens with the end mark, padded on the right."""
    ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    mask = torch.tensor([[1] * len(ids) + [0] * 3])
    tensors = TensorDict({"responses": torch.tensor([[*ids, 0, 0, 0]]), "attention_mask": mask}, batch_size=1)
    fields = ("data_source", "reward_model", "extra_info")
    plain = {name: np.array([row[name]], dtype=object) for name in fields}
    return DataProto(batch=tensors, non_tensor_batch=plain)


if __name__ == "__main__":
    checked: set[str] = set()
    print(json.dumps([contract(Path(folder), checked) for folder in sys.argv[1:]]))
