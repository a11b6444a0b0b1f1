"""`evoltune model merge CHECKPOINT --out DIR`: adapter and base into one model, with the logits compared."""

import argparse
import sys
from pathlib import Path

from evoltune.cli import options
from evoltune.models.merge import merge


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a LoRA checkpoint of `evoltune train`")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: CHECKPOINT-merged")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    out = args.out or args.checkpoint.with_name(f"{args.checkpoint.name}-merged")
    print(f"merging {args.checkpoint} into {out}", file=sys.stderr)
    done = merge(args.checkpoint, out, args.dtype)["merge"]
    line = f"{out}: logits differ by {done['difference']:.2g} of the largest (allowed {done['bound']})"
    options.say(args, {"folder": out, **done}, [line])
    return 0
