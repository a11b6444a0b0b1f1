"""The command line: verbs only. Each verb is a module here with `add_arguments(parser)` and `run(args) -> exit code`.

Exit codes: 0 done; 1 work began and failed (what was finished is kept); 2 misuse or bad input (nothing was written).
Invariant: `evoltune --help` imports none of the verbs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from evoltune import __version__
from evoltune.errors import EvoltuneError, nearest

VERBS: dict[str, tuple[str, str]] = {
    # verb: (module in this package, summary)
    "run": ("run", "seeds to score: every stage of a recipe, resumable"),
    "evolve": ("stages", "grow instructions from seeds with a teacher"),
    "eliminate": ("eliminate", "the elimination rules over any rows file; --explain says why each row goes"),
    "cassette": ("cassette", "export a run's teacher calls as a fixture, or replay them"),
    "batch": ("batch", "generate through a provider's batch files: export open calls, import results"),
    "build": ("stages", "dedup, decontaminate, select, write the dataset"),
    "verify": ("verify", "judge solutions: a rows file with --domain, or a recipe's evolved rows"),
    "decontaminate": (
        "decontaminate",
        "audit any dataset against benchmark suites; write a certificate or a clean copy",
    ),
    "select": ("select", "choose a small good set out of large sources (LIMA's rules, quality x diversity)"),
    "export": ("export", "a finished dataset as JSONL (Alpaca, chat, ShareGPT), or to the hub with --push"),
    "ablate": ("ablate", "train and score one recipe with diversity, quality, quantity and mixes varied"),
    "train": ("train", "fine-tune a base model from a recipe"),
    "merge": ("merge", "adapter and base into one model, with the logits compared"),
    "chat": ("chat", "talk to a checkpoint under the prompts that it was trained with"),
    "publish": ("transfer", "a run or dataset folder to s3:// or another fsspec address; manifest last"),
    "fetch": ("transfer", "what was published at an address, into a folder; every file checked"),
    "teacher": (
        "teacher",
        "vLLM replicas for a recipe's endpoints on this host; --print-launch shows the script",
    ),
    "serve": ("serve", "an OpenAI-compatible server for a checkpoint, on loopback"),
    "serve-verifier": ("serve_verifier", "verification over HTTP: queue, token, metrics; on loopback"),
    "eval": ("evaluate", "measure a model on benchmark suites"),
    "diff": ("diff", "the first cause why two runs score differently"),
    "plan": ("plan", "memory, steps, calls and cost of a recipe, before anything is spent"),
    "report": ("report", "write the run's page (one static HTML file)"),
    "watch": ("watch", "a live view of a run in the terminal"),
    "explain": ("explain", "a row's way back to its seed: prompts, verdicts, cost"),
    "doctor": ("doctor", "what is installed, isolation, accelerators, stale locks, disk; what to do"),
    "recipes": ("recipes", "ls, show, check, cp, schema, import"),
    "domains": ("domains", "ls, new, check"),
    "completion": ("completion", "print a completion script for bash, zsh or tcsh"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script. Returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"evoltune {__version__}")
        return 0
    verb, rest = argv[0], argv[1:]
    if verb not in VERBS:
        print(f"evoltune: unknown verb {verb!r}: {nearest(verb, VERBS)}", file=sys.stderr)
        return 2
    module_name, summary = VERBS[verb]
    module = importlib.import_module(f"evoltune.cli.{module_name}")
    parser = argparse.ArgumentParser(prog=f"evoltune {verb}", description=sentence(summary))
    parser.set_defaults(verb=verb)
    module.add_arguments(parser)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        code: int = module.run(_parsed(parser, rest))
        sys.stdout.flush()
        return code
    except EvoltuneError as error:
        print(f"evoltune {verb}: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            f"evoltune {verb}: interrupted: everything finished is kept; the same command goes on where it stopped",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # `evoltune ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print(
            f"evoltune {verb}: {_one_line(named + (error.strerror or str(error)))}: check the path, its rights and the disk",
            file=sys.stderr,
        )
        return 1
    except Exception as error:
        if os.environ.get("EVOLTUNE_DEBUG"):
            raise
        what = _one_line(f"{type(error).__name__}: {error}")
        print(
            f"evoltune {verb}: a fault of evoltune or of a plug-in: {what} (EVOLTUNE_DEBUG=1 shows where)",
            file=sys.stderr,
        )
        return 1


def _interrupt(number: int, frame: object) -> None:
    """SIGTERM ends a command as Ctrl-C does, also where a shell that put it into the background ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + "."


def _one_line(error: object) -> str:
    """Whatever stood in the data cannot break the line or steer the terminal."""
    text = " ".join(str(error).split()).encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _parsed(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Overrides (`a.b=c`) may stand before or after options; argparse allows that only without sub-verbs."""
    try:
        return parser.parse_intermixed_args(argv)
    except TypeError:
        return parser.parse_args(argv)


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {summary}" for verb, (_, summary) in VERBS.items())
    return (
        "usage: evoltune VERB ...        (evoltune VERB --help for its options)\n\n"
        "Evolve, verify, train and measure domain-specialised language models.\n\n"
        f"verbs:\n{verbs}\n\n"
        "exit codes: 0 done, 1 work failed (what was finished is kept), 2 misuse or bad input (nothing written)"
    )
