"""`evoltune completion bash`: a completion script for the shell (eval "$(evoltune completion bash)")."""

from __future__ import annotations

import argparse
import importlib

import shtab

from evoltune import cli


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)


def run(args: argparse.Namespace) -> int:
    print(shtab.complete(whole(), shell=args.shell))
    return 0


def whole() -> argparse.ArgumentParser:
    """One parser of all verbs. The command itself builds only the one that it needs."""
    parser = argparse.ArgumentParser(prog="evoltune")
    verbs = parser.add_subparsers()
    for verb, (module, summary) in cli.VERBS.items():
        importlib.import_module(f"evoltune.cli.{module}").add_arguments(
            verbs.add_parser(verb, description=cli.sentence(summary), help=summary.replace("%", "%%"))
        )
    return parser
