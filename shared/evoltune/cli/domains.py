"""`evoltune domains ls | new NAME [--path DIR] | check NAME`: list the installed domains, write a new one, check one."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from evoltune.cli import options
from evoltune.domain import installed, load_domain
from evoltune.domain_kit.conformance import check_domain
from evoltune.domain_kit.judging import CHECK_S
from evoltune.domain_kit.scaffold import scaffold
from evoltune.run.paths import user_path
from evoltune.terminal import printable


def add_domains(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="ls|new|check")
    options.finish(verbs.add_parser("ls", help="list the installed domains"), _ls)
    new = verbs.add_parser("new", help="write the skeleton of a domain package")
    new.add_argument("name")
    new.add_argument("--path", type=user_path, default=Path(), help="folder to write it into (default: here)")
    options.finish(new, _new)
    about = "check a domain against the conformance laws; print the smallest example that breaks one"
    check = verbs.add_parser("check", help=about)
    check.add_argument("name", help="entry-point name, module:attribute, or ./path")
    about = f"how long to look for examples, about (default: {CHECK_S:g}); a slow verifier is tried on fewer answers"
    check.add_argument("--seconds", type=float, default=CHECK_S, metavar="S", help=about)
    options.add_json(check, "print JSON lines")
    check.set_defaults(execute=_check)


def _ls(args: argparse.Namespace) -> None:
    facts, lines = [], []
    for name, value in installed().items():
        domain = load_domain(name)
        operators, suites = [o.name for o in domain.operators], list(domain.benchmarks)
        facts.append({"name": name, "from": value, "operators": operators, "suites": suites})
        lines.append(f"{name:12} {value:28} operators: {len(operators)}; suites: {', '.join(suites) or 'none'}")
    options.say(args, facts, lines)


def _new(args: argparse.Namespace) -> None:
    folder = scaffold(args.name, args.path)
    then = f"evoltune domains check {folder if folder.is_absolute() else f'./{folder}'}"
    options.say(args, {"folder": folder, "then": then}, [f"{folder}: write verify, seeds and prompts, then: {then}"])


def _check(args: argparse.Namespace) -> int:
    failed, words = 0, {True: "ok  ", False: "FAIL", None: "--  "}
    for finding in check_domain(args.name, args.seconds):
        failed += finding.ok is False
        if args.json:
            print(json.dumps(asdict(finding)), flush=True)
            continue
        not_looked = " (not checked)" if finding.ok is None else ""
        detail = f": {printable(finding.detail)}" if finding.detail else ""
        print(f"{words[finding.ok]}  {finding.name}{not_looked}{detail}", flush=True)
        if finding.where:
            print(f"      at {printable(finding.where)}: {printable(finding.todo)}", flush=True)
    if not args.json:
        print(f"{failed} failed" if failed else "every law that was looked at holds")
    return int(failed > 0)
