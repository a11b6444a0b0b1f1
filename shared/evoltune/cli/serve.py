"""`evoltune serve CHECKPOINT`: an OpenAI-compatible server on loopback, under the template proof."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint, a merged model, or a base with a chat template")
    parser.add_argument("--host", default="127.0.0.1", help="default: loopback only")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", help="model name that clients send (default: the folder's)")
    parser.add_argument("--engine", choices=("auto", "transformers", "vllm"), default="auto")


def run(args: argparse.Namespace) -> int:
    name = args.name or Path(args.checkpoint).resolve().name
    if args.engine == "vllm" or (args.engine == "auto" and _vllm_fits(Path(args.checkpoint))):
        _become_vllm(args, name)
    from aiohttp import web

    from evoltune.models.chat import open_model
    from evoltune.models.server import application

    model = open_model(args.checkpoint)
    print(
        f"serving {name} on http://{args.host}:{args.port}/v1 (template {model.template.template})",
        file=sys.stderr,
        flush=True,
    )
    web.run_app(application(model, name), host=args.host, port=args.port, print=None)
    return 0


def _vllm_fits(checkpoint: Path) -> bool:
    """vLLM renders with the tokenizer's chat template, which plain formats bring along where it builds the same ids."""
    from evoltune.models.proof import read_template

    template = read_template(checkpoint)
    whole = not (checkpoint / "adapter_config.json").is_file()
    if template is None or template.template == "chat":
        chat = template is None or not template.system_prompt
    else:
        chat = (checkpoint / "chat_template.jinja").is_file()
    return importlib.util.find_spec("vllm") is not None and whole and chat


def _become_vllm(args: argparse.Namespace, name: str) -> None:
    from evoltune.errors import MissingExtraError, TrainingError
    from evoltune.models.load import load_tokenizer
    from evoltune.models.proof import check_golden

    if importlib.util.find_spec("vllm") is None:
        raise MissingExtraError("vllm", "vllm", "--engine vllm")
    if not _vllm_fits(Path(args.checkpoint)):
        raise TrainingError(
            f"{args.checkpoint}: vLLM would not render its prompts as it was trained (an adapter, a system prompt, or a template that its tokenizer cannot carry): "
            "merge it first, or use --engine transformers"
        )
    check_golden(Path(args.checkpoint), load_tokenizer(args.checkpoint))
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", args.checkpoint]
    os.execv(
        sys.executable, [*command, "--host", args.host, "--port", str(args.port), "--served-model-name", name]
    )
