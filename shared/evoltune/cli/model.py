"""`evoltune model`: merge, chat, serve: one checkpoint, under the prompts that it was trained with.

evoltune model merge runs/mine/checkpoint --out merged
evoltune model serve merged --port 8000
"""

import argparse
import os
import sys
from pathlib import Path

from evoltune.cli import options
from evoltune.models.chat import open_model
from evoltune.models.decoding import Sampling
from evoltune.models.merge import merge
from evoltune.run.paths import user_path

SERVED = "a checkpoint, a merged model, or a base with a chat template"


def add_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=user_path, help="a LoRA checkpoint of `evoltune train`")
    parser.add_argument("--out", type=user_path, metavar="DIR", help="default: CHECKPOINT-merged")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    options.finish(parser, _merge)


def _merge(args: argparse.Namespace) -> None:
    out = args.out or args.checkpoint.with_name(f"{args.checkpoint.name}-merged")
    print(f"merging {args.checkpoint} into {out}", file=sys.stderr)
    done = merge(args.checkpoint, out, args.dtype)["merge"]
    line = f"{out}: logits differ by {done['difference']:.2g} of the largest (allowed {done['bound']})"
    options.say(args, {"folder": out, **done}, [line])


def add_chat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help=SERVED)
    parser.add_argument("--max-tokens", type=options.positive_int, default=512)
    parser.add_argument("--temperature", type=float, default=0.0, help="0: greedy (default)")
    parser.add_argument("--once", metavar="TEXT", help="answer only this message")
    parser.add_argument("--single", action="store_true", help="forget earlier turns (models trained on single turns)")
    parser.set_defaults(execute=_chat)


def _chat(args: argparse.Namespace) -> None:
    sampling = Sampling(max_tokens=args.max_tokens, temperature=args.temperature)
    with open_model(args.checkpoint) as model:
        if not args.once:
            print(
                f"{args.checkpoint}, template {model.template.template}; an empty line or Ctrl-D ends", file=sys.stderr
            )
        messages: list[dict[str, str]] = []
        while question := args.once or _ask():
            messages = [] if args.single else messages
            messages.append({"role": "user", "content": question})
            reply = ""
            for piece in model.stream(messages, sampling):
                if isinstance(piece, str):
                    print(piece, end="", flush=True)
                    reply += piece
            print()
            messages.append({"role": "assistant", "content": reply})
            if args.once:
                break


def _ask() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help=SERVED)
    parser.add_argument("--host", default="127.0.0.1", help="default: loopback only")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", help="model name that clients send (default: the folder's)")
    parser.add_argument("--engine", choices=("auto", "transformers", "vllm"), default="auto")
    parser.set_defaults(execute=_serve)


def _serve(args: argparse.Namespace) -> None:
    from evoltune.models.server import serve, vllm_can_serve, vllm_command

    name = args.name or Path(args.checkpoint).resolve().name
    if args.engine == "vllm" or (args.engine == "auto" and vllm_can_serve(Path(args.checkpoint))):
        os.execv(sys.executable, vllm_command(args.checkpoint, args.host, args.port, name))
    with open_model(args.checkpoint) as model:
        where = f"http://{args.host}:{args.port}/v1 (template {model.template.template})"
        print(f"serving {name} on {where}", file=sys.stderr, flush=True)
        serve(model, name, args.host, args.port)
