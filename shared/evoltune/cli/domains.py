"""`evoltune domains ls | new NAME [--path DIR] | check NAME`: list the installed domains, write a new one, check one."""

import argparse
import json
from pathlib import Path

from evoltune.cli import options
from evoltune.domain import installed, load_domain
from evoltune.domain_kit.conformance import check_domain
from evoltune.domain_kit.scaffold import scaffold
from evoltune.terminal import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ls|new|check")
    options.add_json(verbs.add_parser("ls", help="list the installed domains"))
    new = verbs.add_parser("new", help="write the skeleton of a domain package")
    new.add_argument("name")
    new.add_argument("--path", type=Path, default=Path(), help="folder to write it into (default: here)")
    options.add_json(new)
    check = verbs.add_parser(
        "check", help="check a domain against the conformance laws; print the smallest example that breaks one"
    )
    check.add_argument("name", help="entry-point name, module:attribute, or ./path")
    check.add_argument("--json", action="store_true", help="print JSON lines")


def run(args: argparse.Namespace) -> int:
    action: int = {"ls": _ls, "new": _new, "check": _check}[args.action](args)
    return action


def _ls(args: argparse.Namespace) -> int:
    facts, lines = [], []
    for name, value in installed().items():
        domain = load_domain(name)
        operators, suites = [o.name for o in domain.operators], list(domain.benchmarks)
        facts.append({"name": name, "from": value, "operators": operators, "suites": suites})
        lines.append(f"{name:12} {value:28} operators: {len(operators)}; suites: {', '.join(suites) or 'none'}")
    options.say(args, facts, lines)
    return 0


def _new(args: argparse.Namespace) -> int:
    folder = scaffold(args.name, args.path)
    then = f"pip install -e {folder} && evoltune domains check {args.name}"
    options.say(args, {"folder": folder, "then": then}, [f"{folder}: write verify, seeds and prompts, then: {then}"])
    return 0


def _check(args: argparse.Namespace) -> int:
    failed = 0
    for finding in check_domain(args.name):
        failed += not finding.ok
        if args.json:
            line = json.dumps({"name": finding.name, "ok": finding.ok, "detail": finding.detail})
        else:
            detail = printable(finding.detail)
            line = f"{'ok  ' if finding.ok else 'FAIL'}  {finding.name}{': ' + detail if detail else ''}"
        print(line, flush=True)
    if not args.json:
        print(f"{failed} failed" if failed else "every law holds")
    return 1 if failed else 0
