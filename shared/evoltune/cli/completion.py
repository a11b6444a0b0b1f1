"""`evoltune completion bash`: a completion script for the shell (eval "$(evoltune completion bash)")."""

import argparse

import shtab

from evoltune import cli


def add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    parser.set_defaults(execute=lambda args: print(shtab.complete(whole(), shell=args.shell)))


def whole() -> argparse.ArgumentParser:
    """One parser of all commands. The command line itself builds only the one that it needs."""
    root = argparse.ArgumentParser(prog="evoltune")
    commands = root.add_subparsers()
    groups = {
        name: commands.add_parser(name, help=" | ".join(verbs)).add_subparsers() for name, verbs in cli.GROUPS.items()
    }
    for name, (_, summary) in cli.leaves().items():
        group, _, verb = name.rpartition(" ")
        place = groups[group] if group else commands
        cli.parser_of(name, place.add_parser(verb, description=cli.sentence(summary), help=summary.replace("%", "%%")))
    return root
