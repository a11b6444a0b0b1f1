"""What only a GPU can show, in one table: the same few steps of training in each precision, under each way to divide memory and
with each kernel, against plain fp32 on the same rows; generation by vLLM against Transformers; and the speed of a 1B model.

    python benchmarks/gpu_check.py                    # under 8 minutes on one 40 GB GPU; all GPUs of the machine are used by ZeRO
    python benchmarks/gpu_check.py --only bf16,liger
    python benchmarks/gpu_check.py --tiny             # a model of two layers: also on a CPU, for what runs there

Every check is a run of the commands that users run (`evoltune train`, `evoltune eval`) in a process of its own, so one that fails
leaves the others alone; its last line of error stands in the table. A value outside its bounds ends the script with exit status 1.
What is not installed, or needs a GPU where there is none, is listed as not run. Losses are compared, never speeds, except in the
last check.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evoltune.models.locate import locate_model
from evoltune.terminal import table

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
STEPS, ROWS, SEED, LIMIT_S = 6, 48, 3, 600
WRONG = "WRONG"
WORDS = "sum first then carry add count number result digit column write down check again so therefore".split()
SHARE = 0.005
"""By how much a step's loss may differ from fp32's: bf16 keeps 8 bits of a number, and losses here are about 10."""
SPEED_STEPS = 12
LEAST_MFU = 0.3
"""Of the card's dense bf16 peak; 0.4 to 0.5 is usual for this size with flash-attention."""


@dataclass(frozen=True)
class Check:
    """One line of the table. `against`: the check whose losses are the reference."""

    name: str
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Packages."""
    on_cpu: bool = False
    against: str = "fp32"
    share: float = SHARE
    unlike: bool = False
    """Losses are not comparable: only that each is a number, and falls."""


PACKED = ("train.packing=true", "train.group_by_length=false")
CHECKS = (
    Check("fp32", ("train.precision=fp32",), on_cpu=True),
    Check("bf16", ("train.precision=bf16", "train.use_liger_kernel=false"), on_cpu=True),
    Check("fp16", ("train.precision=fp16", "train.use_liger_kernel=false")),
    Check("sdpa", ("train.precision=bf16", "train.attn_implementation=sdpa"), on_cpu=True),
    Check("liger", ("train.precision=bf16",), needs=("liger_kernel",)),
    Check("zero2", ("train.precision=bf16", "train.deepspeed=zero2"), needs=("deepspeed",), on_cpu=True),
    Check("zero3", ("train.precision=bf16", "train.deepspeed=zero3"), needs=("deepspeed",), on_cpu=True),
    Check("zero3-offload", ("train.precision=bf16", "train.deepspeed=zero3-offload"), needs=("deepspeed",)),
    Check("zero2 fp16", ("train.precision=fp16", "train.deepspeed=zero2"), needs=("deepspeed",)),
    Check("checkpointing", ("train.precision=bf16", "train.gradient_checkpointing=true"), on_cpu=True),
    Check("packed eager", (*PACKED, "train.precision=bf16", "train.attn_implementation=eager"), on_cpu=True, unlike=True),
    Check("packed flash-attention", (*PACKED, "train.precision=bf16", "train.attn_implementation=flash_attention_2"),
          needs=("flash_attn",), against="packed eager"),
    Check("packed sdpa", (*PACKED, "train.precision=bf16", "train.attn_implementation=sdpa"), on_cpu=True, against="packed eager"),
    Check("lora", ("train.precision=bf16", "train.finetuning_type=lora"), on_cpu=True, unlike=True),
    Check("qlora", ("train.precision=bf16", "train.finetuning_type=qlora"), needs=("bitsandbytes",), against="lora", share=0.1),
)  # fmt: skip


@dataclass
class Line:
    """What a check found."""

    name: str
    value: str = ""
    expected: str = ""
    verdict: str = "ok"
    """ok, WRONG, or "not run: " with the reason."""
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="a model of two layers")
    parser.add_argument(
        "--only", default="", help="checks by name, separated by commas (with what they are compared to)"
    )
    args = parser.parse_args()
    names = [*(check.name for check in CHECKS), "vllm", "speed"]
    chosen = {name.strip() for name in args.only.split(",") if name.strip()} or set(names)
    if unknown := chosen - {*names}:
        parser.error(f"--only: unknown {', '.join(sorted(unknown))}: allowed: {', '.join(names)}")
    chosen |= {check.against for check in CHECKS if check.name in chosen}
    lines: dict[str, Line] = {}
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        folder, gpu = Path(scratch), has_gpu()
        narrow = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
                  "head_dim": 32}  # fmt: skip
        base = write_base(folder / "base", **(narrow if args.tiny else {}))
        rows = write_rows(folder / "rows.jsonl", ROWS, 60)
        for check in (check for check in CHECKS if check.name in chosen):
            lines[check.name] = checked(check, lines.get(check.against), base, rows, folder, gpu=gpu)
            print(f"{check.name}: {lines[check.name].verdict}", file=sys.stderr, flush=True)
        if "vllm" in chosen:
            lines["vllm"] = same_texts(folder, gpu=gpu)
        if "speed" in chosen:
            lines["speed"] = speed(folder, gpu=gpu)
    rows_of = [(x.name, x.value, x.expected, f"{x.seconds:.0f} s", x.verdict) for x in lines.values()]
    print("\n".join(table(("check", "found", "expected", "time", "verdict"), rows_of)))
    return int(any(line.verdict == WRONG for line in lines.values()))


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def write_base(folder: Path, **shape: int) -> Path:
    """A model of the quickstart's kind in another shape, with random weights and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(SEED)
    known = locate_model(BASE)
    config = AutoConfig.from_pretrained(known)
    for key, value in shape.items():
        setattr(config, key, value)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    AutoTokenizer.from_pretrained(known).save_pretrained(folder)
    return folder


def write_rows(path: Path, count: int, words: int) -> Path:
    """Sums with an explanation of uneven length."""
    draw = random.Random(SEED)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            a, b = draw.randint(2, 99), draw.randint(2, 99)
            filler = " ".join(draw.choices(WORDS, k=draw.randint(words // 4, words)))
            file.write(json.dumps({"instruction": f"Add {a} and {b}. {filler}", "output": f"{filler} {a + b}"}) + "\n")
    return path


def train(name: str, base: Path, rows: Path, folder: Path, settings: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """The metrics of each step of `evoltune train`; or none, and its last line of error."""
    out = folder / name.replace(" ", "-")
    words = [
        f"train.model_name_or_path={base}", "train.finetuning_type=full", "train.learning_rate=2e-3", "train.warmup_steps=0",
        "train.lr_scheduler_type=constant", "train.per_device_train_batch_size=4", "train.global_batch_size=8", f"seed={SEED}",
        "train.save_steps=0", "eval.suites=[]", *settings,
    ]  # fmt: skip
    command = [sys.executable, "-m", "evoltune", "train", "smoke/math", *words, "--dataset", str(rows), "--allow-uncertified",
               "--out", str(out)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    metrics = out / "checkpoint" / "metrics.jsonl"
    if done.returncode or not metrics.exists():
        return [], (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
    return [line for line in map(json.loads, metrics.read_text().splitlines()) if "loss" in line], ""


def checked(check: Check, reference: Line | None, base: Path, rows: Path, folder: Path, *, gpu: bool) -> Line:
    """Trains as a check says and compares the losses with those of what it is compared to."""
    line = Line(check.name)
    if reason := missing(check, gpu=gpu):
        return replace(line, verdict=f"not run: {reason}")
    if check.against != check.name and not check.unlike and not (reference and reference.losses):
        return replace(line, verdict=f"not run: {check.against} gave nothing to compare with")
    begun = time.monotonic()
    metrics, error = train(check.name, base, rows, folder, [*check.settings, f"train.max_steps={STEPS}"])
    line.seconds = time.monotonic() - begun
    if error:
        return replace(line, value=error, expected="trains", verdict=WRONG)
    line.losses = [float(step["loss"]) for step in metrics]
    line.value = " ".join(f"{loss:.4f}" for loss in line.losses)
    return judged(line, check, reference.losses if reference else [])


def missing(check: Check, *, gpu: bool) -> str:
    """Why a check cannot be run here; empty where it can."""
    if not gpu and not check.on_cpu:
        return "needs a GPU"
    absent = [package for package in check.needs if importlib.util.find_spec(package) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


def judged(line: Line, check: Check, reference: Sequence[float]) -> Line:
    """The line with what was expected, and whether it is so."""
    if check.unlike or check.against == check.name:
        fine = len(line.losses) == STEPS and all(map(math.isfinite, line.losses)) and line.losses[-1] < line.losses[0]
        return replace(line, expected="finite, falling", verdict="ok" if fine else WRONG)
    pairs = list(zip(line.losses, reference, strict=False))
    fine = len(line.losses) == len(reference) and all(abs(a - b) <= check.share * abs(b) for a, b in pairs)
    expected = f"{check.against} +- {check.share:.1%}: {' '.join(f'{loss:.4f}' for loss in reference)}"
    return replace(line, expected=expected, verdict="ok" if fine else WRONG)


def same_texts(folder: Path, *, gpu: bool) -> Line:
    """Greedy answers by vLLM and by Transformers: the scores of one suite under both."""
    line = Line("vllm")
    if not gpu or importlib.util.find_spec("vllm") is None:
        return replace(line, verdict="not run: needs a GPU" if not gpu else "not run: vllm not installed")
    begun, texts = time.monotonic(), {}
    for engine in ("transformers", "vllm"):
        out = folder / f"eval-{engine}"
        command = [sys.executable, "-m", "evoltune", "eval", "--model", BASE, "--suite", "math/gradeschool-heldout", "--limit", "32",
                   "--engine", engine, "--template", "chat", "--set", "eval.max_new_tokens=48", "--out", str(out)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode:
            return replace(line, value=f"{engine}: {done.stderr.strip().splitlines()[-1]}", verdict=WRONG)
        found = [json.loads(text) for file in out.rglob("samples.jsonl") for text in file.read_text().splitlines()]
        texts[engine] = {row["problem"]: row["text"] for row in found}
    same = sum(texts["vllm"].get(problem) == text for problem, text in texts["transformers"].items())
    total = len(texts["transformers"])
    return replace(
        line, value=f"{same} of {total} answers are the same text", expected="at least 3 of 4 (kernels round differently)",
        seconds=time.monotonic() - begun, verdict="ok" if total and same >= 0.75 * total else WRONG,
    )  # fmt: skip


def speed(folder: Path, *, gpu: bool) -> Line:
    """A Llama of 1.2 billion parameters, full fine-tuning in bf16, packed rows of 2048 tokens."""
    line = Line("speed")
    if not gpu:
        return replace(line, verdict="not run: needs a GPU")
    begun = time.monotonic()
    base = write_base(folder / "large", hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
                      num_key_value_heads=8, head_dim=64)  # fmt: skip
    rows = write_rows(folder / "long.jsonl", 1500, 400)
    settings = ("train.precision=bf16", "train.packing=true", "train.group_by_length=false", "train.max_length=2048",
                f"train.max_steps={SPEED_STEPS}", "train.gradient_checkpointing=false")  # fmt: skip
    metrics, error = train("speed", base, rows, folder, settings)
    if error:
        return replace(line, value=error, expected="trains", verdict=WRONG, seconds=time.monotonic() - begun)
    rates, uses = (
        [step[key] for step in metrics[SPEED_STEPS // 3 :] if key in step] for key in ("tokens_per_second", "mfu")
    )
    value = f"{statistics.median(rates):,.0f} tokens/s" + (f", MFU {statistics.median(uses):.0%}" if uses else "")
    fine = not uses or statistics.median(uses) >= LEAST_MFU
    return replace(line, value=value, expected=f"MFU at least {LEAST_MFU:.0%}", seconds=time.monotonic() - begun,
                   verdict="ok" if fine else WRONG)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
