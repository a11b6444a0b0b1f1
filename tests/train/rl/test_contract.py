"""What we pass to TRL's released trainers: every key is one that TRL knows and heeds, and a misspelt one is refused."""

import pytest

from evoltune.train.job import Job

trl = pytest.importorskip("trl", reason="TRL is not installed (pip install evoltune[rl]): its contract was not checked")

OURS = {
    "grpo": {"num_generations": 4, "temperature": 0.7, "scale_rewards": "batch", "max_completion_length": 8},
    "rloo": {"num_generations": 4, "temperature": 0.7, "max_completion_length": 8},
    "dpo": {"max_length": None, "train_sampling_strategy": "sequential"},
}


def arguments(rl_recipe, tiny_base, folder, algorithm: str):
    from evoltune.train.rl.trainer import arguments_of

    more = ["rl.temperature=0.7", "rl.beta=0.2"] + (["rl.scale_rewards=batch"] if algorithm == "grpo" else [])
    more += ["rl.per_device_train_batch_size=2"] if algorithm == "dpo" else []
    recipe = rl_recipe(f"rl.algorithm={algorithm}", *more)
    job = Job(kind="rl", recipe=recipe, base=str(tiny_base), rows="", out=str(folder), fingerprint="")
    return arguments_of(job, "fp32")


@pytest.mark.parametrize("algorithm", OURS)
def test_trl_takes_every_key_as_it_is_meant_and_no_other(rl_recipe, tiny_base, tmp_path, algorithm):
    kind, found = arguments(rl_recipe, tiny_base, tmp_path, algorithm)
    config = kind(**found)
    wanted = {**OURS[algorithm], "beta": 0.2, "learning_rate": 1e-2, "max_steps": 6, "gradient_accumulation_steps": 1}
    assert {key: getattr(config, key) for key in wanted} == wanted == {key: found[key] for key in wanted}
    for key, value in found.items():
        misspelt = {name: part for name, part in found.items() if name != key} | {f"{key}_": value}
        with pytest.raises(TypeError, match=f"'{key}_'"):
            kind(**misspelt)


def test_pairs_reach_trl_as_the_ids_of_fine_tuning(rl_recipe, tiny_base, pairs, tmp_path):
    """And are cut by no one: what TRL's collator makes of them ends with the stop token, but for an answer that was cut off."""
    from evoltune.models.load import load_tokenizer, prepare_tokenizer
    from evoltune.models.template import encode
    from evoltune.train.rl.dpo import PairTrainer, read_pairs
    from evoltune.train.rl.trainer import in_order

    kind, found = arguments(rl_recipe, tiny_base, tmp_path, "dpo")
    recipe = rl_recipe("rl.algorithm=dpo", "rl.per_device_train_batch_size=2")
    job = Job(kind="rl", recipe=recipe, base=str(tiny_base), rows="", out="", fingerprint="", pairs=str(pairs))
    tokenizer = load_tokenizer(str(tiny_base))
    stop, _ = prepare_tokenizer(tokenizer, recipe.train.template)
    rows, counts = read_pairs(job, tokenizer, stop)
    trainer = PairTrainer(
        model=str(tiny_base), args=kind(**found), processing_class=tokenizer, train_dataset=in_order(rows, job)
    )
    batch = next(iter(trainer.get_train_dataloader()))
    first = trainer.train_dataset[0]
    assert counts.kept == 40 and len(trainer.train_dataset) == 12
    for number, side in ((0, "chosen_ids"), (2, "rejected_ids")):
        kept = batch["input_ids"][number][batch["attention_mask"][number].bool()].tolist()
        assert kept == first["prompt_ids"] + first[side]
        assert batch["completion_mask"][number].sum() == len(first[side])
    sides = {row["chosen_ids"][-1] for row in rows}
    assert sides == {stop.id} and {row["rejected_ids"][-1] == stop.id for row in rows} == {True, False}
    messages = [{"role": "user", "content": "Say 0."}, {"role": "assistant", "content": "ABAB"}]
    whole = encode(recipe.train.template, messages, tokenizer, recipe.train.system_prompt, stop).ids
    assert whole == rows[0]["prompt_ids"] + rows[0]["chosen_ids"]
