"""`evoltune model serve CHECKPOINT`: an OpenAI-compatible server on loopback, under the template proof."""

import argparse
import os
import sys
from pathlib import Path

from evoltune.models.chat import open_model
from evoltune.models.vllm_server import vllm_can_serve, vllm_command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint, a merged model, or a base with a chat template")
    parser.add_argument("--host", default="127.0.0.1", help="default: loopback only")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", help="model name that clients send (default: the folder's)")
    parser.add_argument("--engine", choices=("auto", "transformers", "vllm"), default="auto")


def run(args: argparse.Namespace) -> int:
    name = args.name or Path(args.checkpoint).resolve().name
    if args.engine == "vllm" or (args.engine == "auto" and vllm_can_serve(Path(args.checkpoint))):
        os.execv(sys.executable, vllm_command(args.checkpoint, args.host, args.port, name))
    from aiohttp import web

    from evoltune.models.server import application

    model = open_model(args.checkpoint)
    print(
        f"serving {name} on http://{args.host}:{args.port}/v1 (template {model.template.template})",
        file=sys.stderr,
        flush=True,
    )
    web.run_app(application(model, name), host=args.host, port=args.port, print=None)
    return 0
