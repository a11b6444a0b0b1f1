"""Languages beside Python: data about how to build and run a program, and the two halves that use it.

A language is one `Language(...)` in `LANGUAGES`; Java would be
`Language(source="Main.java", build=(("javac", "Main.java"),), run=("java", "Main"), tools=("javac", "java"), address_space=False)`.

Tests written in the language itself are appended to the program and share its process: they tell honest mistakes, not
cheats (evidence says `judge: same process`). Standard input and output is judged outside, as for Python.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evoltune.sandbox import limits, wire

if TYPE_CHECKING:
    from evoltune.sandbox.remote import Link


@dataclass(frozen=True, kw_only=True)
class Language:
    """How a program of this language is built and run, in an empty folder."""

    source: str
    run: tuple[str, ...]
    tools: tuple[str, ...]
    build: tuple[tuple[str, ...], ...] = ()
    compile_s: float = 0.0
    address_space: bool = True
    """False: the run time reserves far more than it uses; then what is resident counts."""


LANGUAGES: dict[str, Language] = {
    "javascript": Language(source="main.js", run=("node", "main.js"), tools=("node",), address_space=False),
    "c": Language(source="main.c", build=(("cc", "-O1", "-std=gnu17", "-o", "main", "main.c", "-lm"),), run=("./main",), tools=("cc",), compile_s=20),
    "cpp": Language(source="main.cpp", build=(("c++", "-O1", "-std=gnu++17", "-o", "main", "main.cpp"),), run=("./main",), tools=("c++",), compile_s=30),
    "bash": Language(source="main.sh", run=("bash", "main.sh"), tools=("bash",)),
}  # fmt: skip
ALIASES = {"js": "javascript", "c++": "cpp", "sh": "bash", "shell": "bash"}
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}


def named(name: str) -> Language | None:
    """The language of this name or alias; None for Python and for what we do not know."""
    return LANGUAGES.get(ALIASES.get(name, name))


def missing(name: str) -> str:
    """Why programs of this language cannot be judged here; empty when they can."""
    import shutil  # not at the top: it would bring three compression libraries into every fork

    language = named(name)
    if language is None:
        return f"language {name!r} is unknown: allowed: {', '.join(['python', *LANGUAGES])}"
    lacking = [tool for tool in language.tools if not shutil.which(tool, path=_ENVIRONMENT["PATH"])]
    return f"language {name!r} needs {' and '.join(lacking)}, which this host lacks" if lacking else ""


# ---- the judge's half


def judge(link: Link, tests: Any, job: dict[str, Any], name: str) -> tuple[str, str, dict[str, Any]]:
    """Builds once, then runs: for each [input, output], or once."""
    from evoltune.sandbox import forms

    name = ALIASES.get(name, name)
    own = (
        "\n".join(t for t in tests if isinstance(t, str))
        if isinstance(tests, list)
        else tests
        if isinstance(tests, str)
        else ""
    )
    reply = link.ask(["build", name, f"{job['program']}\n{own}\n" if own else job["program"]])
    if reply[0] != "built":
        output = link.drain().decode("utf-8", "replace")
        status = (
            "memory" if reply[1] == limits.EXIT_MEMORY else "timeout" if reply[1] in (-27, -24) else "fail"
        )
        return status, f"does not compile: {output[-600:].strip()}", {"ended": True, "stdout": output[-2000:]}
    if isinstance(tests, dict) and "stdio" in tests:
        return forms.stdio(link, tests, lambda text: ["exec", name, text])
    status, reason, evidence = forms.finished(link, link.ask(["exec", name, job["stdin"]]))
    return status, reason, evidence | ({"judge": "same process"} if own else {})


# ---- the candidate's half


def serve(channel: int, request: list[Any]) -> None:
    """["build", language, program] or ["exec", language, stdin], each command in a child of its own."""
    what, name, text = request
    language = LANGUAGES[name]
    if what == "exec":
        wire.send(channel, ["exit", *_child(language.run, text)])
        return
    with open(language.source, "wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
    for command in language.build:
        code, *_ = _child(command, "", building=True)
        if code:
            wire.send(channel, ["failed", code])
            return
    wire.send(channel, ["built"])


def _child(command: tuple[str, ...], stdin: str, building: bool = False) -> tuple[int, float, int]:
    """Exit status (or minus the signal), CPU seconds, KiB at the peak."""
    from evoltune.sandbox.solution_process import feed

    child = os.fork()
    if child == 0:
        try:
            os.close(3)
            feed(stdin, building)
            os.execvpe(command[0], command, _ENVIRONMENT)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss
