"""`evoltune domains ls`: the domains on this machine."""

from __future__ import annotations

import argparse

from evoltune.domain import installed, load_domain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ls")
    verbs.add_parser("ls", help="list the domains on this machine")


def run(args: argparse.Namespace) -> int:
    for name, value in installed().items():
        domain = load_domain(name)
        suites = ", ".join(domain.benchmarks) or "none"
        print(f"{name:12} {value:28} operators: {len(domain.operators)}; suites: {suites}")
    return 0
