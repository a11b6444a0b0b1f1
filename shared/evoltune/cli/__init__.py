"""The command line. Each command is a module here with `add_arguments(parser)` and `run(args) -> exit code`.

    evoltune run smoke/math
    evoltune data select rows.jsonl --out chosen.jsonl

Exit codes: 0 done; 1 work began and failed (what was finished is kept); 2 misuse or bad input (nothing was written).
Invariant: `evoltune --help` imports none of the commands.
"""

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from evoltune import __version__
from evoltune.cli.moved import present_words
from evoltune.errors import EvoltuneError, nearest

Command = tuple[str, str]
"""(module in this package, summary)."""

GROUPS: dict[str, dict[str, Command]] = {
    "data": {
        "eliminate": ("eliminate", "apply the elimination rules to a rows file; --explain says why each row goes"),
        "decontaminate": ("decontaminate", "audit a dataset against benchmark suites; write a certificate or a clean copy"),
        "select": ("select", "choose a small good set out of large sources (LIMA's rules, quality x diversity)"),
        "export": ("export", "write a dataset as JSONL (Alpaca, chat, ShareGPT), or push it to the hub with --push"),
    },
    "model": {
        "merge": ("merge", "merge an adapter into its base and compare the logits"),
        "chat": ("chat", "talk to a checkpoint under the prompts that it was trained with"),
        "serve": ("serve", "serve a checkpoint on loopback with an OpenAI-compatible API"),
    },
    "runs": {
        "watch": ("watch", "follow a run in the terminal"),
        "explain": ("explain", "trace a row back to its seed: prompts, verdicts, cost"),
        "publish": ("transfer", "upload a run or dataset folder to s3:// or another fsspec address"),
        "fetch": ("transfer", "download what was published at an address; every file is checked"),
    },
}  # fmt: skip
"""Commands of two words: `evoltune data select`."""

COMMANDS: dict[str, dict[str, Command]] = {
    "a recipe, whole or stage by stage": {
        "run": ("run", "run every stage of a recipe; a stopped run resumes"),
        "plan": ("plan", "memory, steps, teacher calls and cost of a recipe, before anything is spent"),
        "evolve": ("stages", "grow instructions from seeds with a teacher"),
        "verify": ("verify", "judge solutions: a rows file with --domain, or a recipe's evolved rows"),
        "build": ("stages", "deduplicate, decontaminate, select, write the dataset"),
        "train": ("train", "fine-tune a base model"),
        "eval": ("evaluate", "measure a model on benchmark suites"),
        "report": ("report", "write the run's page (one static HTML file)"),
    },
    "scores": {
        "rescore": ("rescore", "score generations from any source under one or several profiles"),
        "compare": ("compare", "compare two scores: paired test, and the first cause of a difference"),
        "judge": ("judge", "compare several systems with a model as judge, or let people rank them"),
        "ablate": ("ablate", "train and score one recipe with diversity, quality, quantity and mixes varied"),
        "suites": ("suites", "list the benchmark suites, compare their skills and difficulty, build a balanced one"),
        "profiles": ("profiles", "list the ways to score, with version and hash"),
    },
    "datasets, models, runs": {
        "data": ("", " | ".join(GROUPS["data"])),
        "model": ("", " | ".join(GROUPS["model"])),
        "runs": ("", " | ".join(GROUPS["runs"])),
    },
    "the teacher": {
        "teacher": ("teacher", "start vLLM replicas for a recipe's endpoints; --print-launch shows the script"),
        "batch": ("batch", "use a provider's batch files: export open calls, import results, or run them here"),
        "cassette": ("cassette", "export a run's teacher calls as a fixture, or replay them"),
    },
    "set-up": {
        "recipes": ("recipes", "ls | show | check | cp | import | schema | reference"),
        "domains": ("domains", "ls | new | check"),
        "doctor": ("doctor", "check the installation, isolation, accelerators, stale locks and disk"),
        "serve-verifier": ("serve_verifier", "serve verification over HTTP: queue, token, metrics"),
        "completion": ("completion", "print a completion script for bash, zsh or tcsh"),
    },
}  # fmt: skip
"""Heading -> command -> where it is. A command without a module is a group."""

MOVED = {verb: f"{group} {verb}" for group, verbs in GROUPS.items() for verb in verbs} | {"diff": "compare"}
"""Names of version 0.1 that still work, with a warning; `moved.present_words` knows the forms of several words."""


def leaves() -> dict[str, Command]:
    """Every command by its full name, groups resolved: `data select` -> its module and summary."""
    found: dict[str, Command] = {}
    for commands in COMMANDS.values():
        for name, command in commands.items():
            found |= (
                {f"{name} {verb}": inner for verb, inner in GROUPS[name].items()} if name in GROUPS else {name: command}
            )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script. Returns the exit code."""
    argv = present_words(sys.argv[1:] if argv is None else argv, MOVED)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"evoltune {__version__}")
        return 0
    known = [name for commands in COMMANDS.values() for name in commands]
    if argv[0] in GROUPS:
        if len(argv) == 1 or argv[1] in ("-h", "--help", "help"):
            print(_group_help(argv[0]))
            return 0 if argv[1:] else 2
        argv[:2], known = [f"{argv[0]} {argv[1]}"], [f"{argv[0]} {verb}" for verb in GROUPS[argv[0]]]
    if argv[0] not in known:
        print(f"evoltune: unknown command {argv[0]!r}: {nearest(argv[0], known)}", file=sys.stderr)
        return 2
    return _execute(argv[0], argv[1:])


def parser_of(name: str, parser: argparse.ArgumentParser | None = None) -> argparse.ArgumentParser:
    """The parser of one command, by its full name."""
    module, summary = leaves()[name]
    parser = parser or argparse.ArgumentParser(prog=f"evoltune {name}", description=sentence(summary))
    parser.set_defaults(verb=name.split()[-1])
    importlib.import_module(f"evoltune.cli.{module}").add_arguments(parser)
    return parser


def _execute(name: str, argv: list[str]) -> int:
    """Runs one command; what it raises becomes one line on standard error and an exit code."""
    module = importlib.import_module(f"evoltune.cli.{leaves()[name][0]}")
    parser = parser_of(name)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        code: int = module.run(_parsed(parser, argv))
        sys.stdout.flush()
        return code
    except EvoltuneError as error:
        return _failed(name, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _failed(name, "interrupted: everything finished is kept; the same command resumes", 130)
    except BrokenPipeError:  # `evoltune ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        return _failed(name, f"{named}{error.strerror or error}: check the path, its permissions and the disk", 1)
    except Exception as error:
        if os.environ.get("EVOLTUNE_DEBUG"):
            raise
        cause = f"{type(error).__name__}: {error}"
        return _failed(
            name, f"internal error, in evoltune or a plug-in: {cause} (EVOLTUNE_DEBUG=1 shows the traceback)", 1
        )


def _failed(name: str, message: str, code: int) -> int:
    """Prints one line that nothing in the data can break or use to control the terminal."""
    text = " ".join(message.split()).encode("utf-8", "replace").decode()
    printable = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    print(f"evoltune {name}: {printable}", file=sys.stderr)
    return code


def _interrupt(number: int, frame: object) -> None:
    """SIGTERM ends a command as Ctrl-C does, also where the shell started it in the background and ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + "."


def _parsed(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Overrides (`a.b=c`) may stand before or after options; argparse allows that only without sub-commands."""
    try:
        return parser.parse_intermixed_args(argv)
    except TypeError:
        return parser.parse_args(argv)


def _help() -> str:
    width = max(len(name) for commands in COMMANDS.values() for name in commands)
    blocks = [
        f"{heading}:\n" + "\n".join(f"  {name:{width}}  {summary}" for name, (_, summary) in commands.items())
        for heading, commands in COMMANDS.items()
    ]
    return "\n\n".join(
        [
            "usage: evoltune COMMAND ...        (evoltune COMMAND --help for its options)",
            "Evolve, verify, train and measure domain-specialised language models.",
            *blocks,
            "exit codes: 0 done, 1 work failed (what was finished is kept), 2 misuse or bad input (nothing written)",
        ]
    )


def _group_help(group: str) -> str:
    verbs = GROUPS[group]
    width = max(map(len, verbs))
    lines = "\n".join(f"  {verb:{width}}  {summary}" for verb, (_, summary) in verbs.items())
    return f"usage: evoltune {group} COMMAND ...        (evoltune {group} COMMAND --help for its options)\n\n{lines}"
