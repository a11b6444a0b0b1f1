"""The command line. A command `data select` is `add_select(parser)` in a module here: its arguments, and what executes it.

    evoltune run smoke/math
    evoltune data select rows.jsonl --out chosen.jsonl

`add_VERB` sets the parser's default `execute`, a function from the parsed arguments to an exit code (None: 0).
Exit codes: 0 done; 1 work began and failed (what was finished is kept); 2 misuse or bad input (nothing was written).
Invariant: `evoltune --help` imports none of the commands.
"""

import argparse
import atexit
import gc
import importlib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evoltune import __version__
from evoltune.errors import EvoltuneError, is_full, nearest
from evoltune.terminal import open_standard_streams, safe_streams
from evoltune.text.credentials import note_secrets, secrets_in

Command = tuple[str, str]
"""(module in this package, summary)."""

GROUPS: dict[str, dict[str, str]] = {
    "data": {
        "eliminate": "apply the elimination rules to a rows file; --explain says why each row goes",
        "decontaminate": "audit a dataset against benchmark suites; write a certificate or a clean copy",
        "select": "choose a small good set out of large sources (LIMA's rules, quality x diversity)",
        "export": "write a dataset as JSONL (Alpaca, chat, ShareGPT), or push it to the hub with --push",
    },
    "model": {
        "merge": "merge an adapter into its base and compare the logits",
        "chat": "talk to a checkpoint under the prompts that it was trained with",
        "serve": "serve a checkpoint on loopback with an OpenAI-compatible API",
    },
    "runs": {
        "watch": "follow a run in the terminal",
        "explain": "trace a row back to its seed: prompts, verdicts, cost",
        "publish": "upload a run or dataset folder to s3:// or another fsspec address",
        "fetch": "download what was published at an address; every file is checked",
    },
}  # fmt: skip
"""Commands of two words, `evoltune data select`, with their summaries; the group names the module."""

COMMANDS: dict[str, dict[str, Command]] = {
    "a recipe, whole or stage by stage": {
        "run": ("stages", "run every stage of a recipe; a stopped run resumes"),
        "rehearse": ("rehearse", "every stage in minutes, on stand-ins for hub, teacher and base"),
        "plan": ("stages", "memory, steps, teacher calls and cost of a recipe, before anything is spent"),
        "evolve": ("stages", "grow instructions from seeds with a teacher"),
        "verify": ("verify", "judge solutions: a rows file with --domain, or a recipe's evolved rows"),
        "build": ("stages", "deduplicate, decontaminate, select, write the dataset"),
        "train": ("stages", "fine-tune a base model"),
        "rl": ("rl", "optimise a checkpoint against the verifiers, by verl or OpenRLHF on many GPUs"),
        "eval": ("evaluate", "measure a model on benchmark suites"),
        "report": ("stages", "write the run's page (one static HTML file)"),
    },
    "scores": {
        "reward": ("reward", "score answers by verifier and reward models, as a trainer's reward"),
        "rescore": ("evaluate", "score generations from any source under one or several profiles"),
        "compare": ("scores", "compare two scores: paired test, and the first cause of a difference"),
        "judge": ("scores", "compare several systems with a model as judge, or let people rank them"),
        "ablate": ("evaluate", "train and score one recipe with diversity, quality, quantity and mixes varied"),
        "suites": ("scores", "list the benchmark suites, compare their skills and difficulty, build a balanced one"),
        "profiles": ("scores", "list the ways to score, with version and hash"),
    },
    "datasets, models, runs": {
        "data": ("", " | ".join(GROUPS["data"])),
        "model": ("", " | ".join(GROUPS["model"])),
        "runs": ("", " | ".join(GROUPS["runs"])),
    },
    "the teacher": {
        "teacher": ("teacher", "start vLLM replicas for a recipe's endpoints; --print-launch shows the script"),
        "batch": ("teacher", "use a provider's batch files: export open calls, import results, or run them here"),
        "cassette": ("teacher", "export a run's teacher calls as a fixture, or replay them"),
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
"""Names of version 0.1 that still work, with a warning; `present_words` knows the forms of several words."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SPLIT_FROM_EVAL = ("suites", "profiles", "compare", "judge")


def _commands() -> dict[str, Command]:
    return {name: command for commands in COMMANDS.values() for name, command in commands.items()}


def leaves() -> dict[str, Command]:
    """Every command by its full name, groups resolved: `data select` -> its module and summary."""
    found: dict[str, Command] = {}
    for name, command in _commands().items():
        found |= {f"{name} {verb}": (name, text) for verb, text in GROUPS.get(name, {}).items()} or {name: command}
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script. Returns the exit code.

    Args:
        argv: the words of the command line; None: those of this process, which then ends with the command.
    """
    open_standard_streams()
    ends = argv is None and threading.current_thread() is threading.main_thread()
    if ends:
        atexit.register(_ignore_endings)  # what is registered first is called last
    try:
        with safe_streams():
            code = _main(argv)
            if ends:
                _leave_with(code)
    except KeyboardInterrupt:  # between the end of the work and here
        code = 130
    return code


def _main(argv: Sequence[str] | None) -> int:
    argv = present_words(sys.argv[1:] if argv is None else argv)
    for word in argv:  # an error may repeat them
        path, _, value = word.lstrip("-").rpartition("=")
        outer, _, name = path.rpartition(".")
        note_secrets(secrets_in({outer.rpartition(".")[2]: {name: value}}))
    if not argv or argv[0] in ("-h", "--help", "help"):
        return _guarded("--help", lambda: _print(_help(), 0 if argv else 2))
    if argv[0] in ("-V", "--version"):
        return _guarded("--version", lambda: _print(f"evoltune {__version__}", 0))
    known = [*_commands()]
    if argv[0] in GROUPS:
        if len(argv) == 1 or argv[1] in ("-h", "--help", "help"):
            return _guarded(argv[0], lambda: _print(_group_help(argv[0]), 0 if argv[1:] else 2))
        argv[:2], known = [f"{argv[0]} {argv[1]}"], [f"{argv[0]} {verb}" for verb in GROUPS[argv[0]]]
    if argv[0] not in known:
        print(f"evoltune: unknown command {argv[0]!r}: {nearest(argv[0], known)}", file=sys.stderr)
        return 2
    return _execute(argv[0], argv[1:])


def parser_of(name: str, parser: argparse.ArgumentParser | None = None) -> argparse.ArgumentParser:
    """The parser of one command, by its full name."""
    module, summary = leaves()[name]
    parser = parser or argparse.ArgumentParser(prog=f"evoltune {name}", description=sentence(summary))
    verb = name.split()[-1]
    parser.set_defaults(verb=verb)
    getattr(importlib.import_module(f"evoltune.cli.{module}"), f"add_{verb.replace('-', '_')}")(parser)
    return parser


def _print(text: str, code: int) -> int:
    print(text)
    return code


def _execute(name: str, argv: list[str]) -> int:
    """Runs one command."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: go on when the terminal is closed
            signal.signal(signal.SIGHUP, _interrupt)

    def work() -> int | None:
        args = _parsed(parser_of(name), argv)
        code: int | None = args.execute(args)
        return code

    return _guarded(name, work)


def _leave_with(code: int) -> None:
    """From here on the work is done, or its failure was told: a signal to end makes leaving quicker and changes no exit code."""
    for number in _ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(code))
    gc.freeze()  # the interpreter looks for garbage before it ends: 1.3 s once torch and transformers are imported


def _ignore_endings() -> None:
    """The last function that is called at exit. After it the interpreter resets all handlers of ours, and a SIGHUP would end the
    process by the signal; what is ignored it leaves alone."""
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)


def _guarded(name: str, work: Callable[[], int | None]) -> int:
    """Runs the work of a command; what it raises becomes one line on standard error and an exit code."""
    try:
        code = work()
        sys.stdout.flush()
        return code or 0
    except EvoltuneError as error:
        return _failed(name, str(error), error.exit_code)
    except KeyboardInterrupt:
        return _failed(name, "interrupted: everything finished is kept; the same command resumes", 130)
    except BrokenPipeError:  # `evoltune ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        if named and is_full(error):
            from evoltune.rows.files import elsewhere

            todo = f"free some space there, or {elsewhere(Path(str(error.filename)))}: what was finished is kept"
            return _failed(name, f"{named}{error.strerror}: {todo}", 1)
        return _failed(name, f"{named}{error.strerror or error}: check the path, its permissions and the disk", 1)
    except Exception as error:  # noqa: BLE001 - of a plug-in, or a fault of ours: the last place to say it
        if os.environ.get("EVOLTUNE_DEBUG"):
            traceback.print_exc()  # here, where what is printed is made safe
        cause = f"{type(error).__name__}: {error} (EVOLTUNE_DEBUG=1 shows the traceback)"
        return _failed(name, f"internal error, in evoltune or a plug-in: {cause}", 1)


def _failed(name: str, message: str, code: int) -> int:
    """Prints one line that nothing in the data can break or use to control the terminal."""
    text = " ".join(message.split()).encode("utf-8", "replace").decode()
    printable = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    print(f"evoltune {name}: {printable}", file=sys.stderr)
    return code


def _interrupt(number: int, frame: object) -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does, also where the shell started it in the background and ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def sentence(summary: str) -> str:
    """A summary as a sentence; a list of verbs (`ls | show`) stays as it is."""
    return summary if " | " in summary else summary[0].upper() + summary[1:] + "."


def _parsed(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Overrides (`a.b=c`) may stand before or after options; argparse allows that only without sub-commands."""
    try:
        return parser.parse_intermixed_args(argv)
    except TypeError:
        return parser.parse_args(argv)


def _help() -> str:
    width = max(map(len, _commands()))
    return "\n\n".join(
        [
            "usage: evoltune COMMAND ...        (evoltune COMMAND --help for its options)",
            "Evolve, verify, train and measure domain-specialised language models.",
            *(f"{heading}:\n{_listed(commands, width)}" for heading, commands in COMMANDS.items()),
            "exit codes: 0 done, 1 work failed (what was finished is kept), 2 misuse or bad input (nothing written)",
        ]
    )


def _group_help(group: str) -> str:
    verbs = {verb: (group, summary) for verb, summary in GROUPS[group].items()}
    usage = f"usage: evoltune {group} COMMAND ...        (evoltune {group} COMMAND --help for its options)"
    return f"{usage}\n\n{_listed(verbs, max(map(len, verbs)))}"


def _listed(commands: Mapping[str, Command], width: int) -> str:
    return "\n".join(f"  {name:{width}}  {summary}" for name, (_, summary) in commands.items())


# ---- the forms of version 0.1


def present_words(argv: Sequence[str]) -> list[str]:
    """The command line as it is written today; warns when it is written the old way."""
    first, *rest = argv or [""]
    if first in MOVED:
        old, new = first, [*MOVED[first].split(), *rest]
    elif first == "eval" and rest[:1] and rest[0] in _SPLIT_FROM_EVAL:
        old, new = f"eval {rest[0]}", _split_from_eval(rest)
    elif first == "eval" and any(word.split("=")[0] == "--rescore" for word in rest):
        words = (word.removeprefix("--rescore=") for word in rest if word != "--rescore")
        old, new = "eval --rescore", ["rescore", *words]
    elif first == "report" and "--out" not in rest and sum(not word.startswith("-") for word in rest) >= 2:
        old, new = "report with several runs", ["compare", *rest, "--page"]
    else:
        return list(argv)
    now = MOVED.get(first) or " ".join(new)
    print(f"evoltune {old} is now `evoltune {now}`; the old form will go in the next version", file=sys.stderr)
    return new


def _split_from_eval(words: Sequence[str]) -> list[str]:
    new = [re.sub(r"^(size|seed)=", r"--\1=", word) for word in words]
    if new[:2] == ["judge", "page"]:
        return ["judge", *new[2:], "--page"]
    if new[:2] == ["profiles", "lock"]:
        return ["profiles", "--lock", *(new[2:] or ["tests/profiles.lock.json"])]
    return new
