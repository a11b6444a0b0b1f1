"""`evoltune model chat CHECKPOINT`: talk to a checkpoint under the prompts that it was trained with."""

import argparse
import sys

from evoltune.models.chat import SamplingConfig, open_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint, a merged model, or a base with a chat template")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--temperature", type=float, default=0.0, help="0: greedy (default)")
    parser.add_argument("--once", metavar="TEXT", help="answer only this message")
    parser.add_argument("--single", action="store_true", help="forget earlier turns (models trained on single turns)")


def run(args: argparse.Namespace) -> int:
    model = open_model(args.checkpoint)
    sampling = SamplingConfig(max_tokens=args.max_tokens, temperature=args.temperature)
    if not args.once:
        print(f"{args.checkpoint}, template {model.template.template}; an empty line or Ctrl-D ends", file=sys.stderr)
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
    return 0


def _ask() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""
