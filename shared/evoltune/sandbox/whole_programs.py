"""Programs that are judged from outside: by their exit status and by what they print for each input.

Invariant: each run is a new process in the folder as the build left it (`run_folder`); only standard output is compared, standard error is kept
apart (`evidence["stderr"]`), and a status other than 0 is a failure whatever was printed.

    run(connection, {"program": "print(input())", "tests": {"stdio": [["4", "4"]]}, "language": "python", "stdin": ""})
"""

import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from evoltune.sandbox import languages, own_tests
from evoltune.sandbox.languages import LANGUAGES
from evoltune.sandbox.limits import EXIT_MEMORY, OUT_OF_CPU, Outcome, of_exit_status
from evoltune.sandbox.outputs import same_output
from evoltune.sandbox.proxies import ENDLESS_OUTPUT, MAX_OUTPUT, PrintsWithoutEnd, SolutionConnection

Request = Callable[[str], list[Any]]
"""From the text on standard input to the request that runs the program once."""
_OUT_OF_MEMORY = re.compile(
    r"^MemoryError\b|std::bad_alloc|JavaScript heap out of memory|java\.lang\.OutOfMemoryError|runtime: out of memory|"
    r"memory allocation of \d+ bytes failed|[Cc]annot allocate memory", re.M,
)  # fmt: skip
"""How run times say on standard error that the memory limit ended them."""


def run(connection: SolutionConnection, job: dict[str, Any]) -> Outcome:
    """Builds the program where its language asks for it, then runs it: for each [input, output], or once."""
    if job["tests"] is None and job["language"] == "python":  # with the modules that this process has preloaded
        return _run_once(connection, job, lambda text: ["script", job["program"], text])
    name = job["language"]
    language = LANGUAGES[name]
    sources = [job["tests"]] if isinstance(job["tests"], str) else job["tests"]
    if isinstance(sources, list):
        return _run_own_tests(connection, job, "\n".join(sources))
    fill = partial(languages.command, program=job["program"], memory_mb=job["memory_mb"])
    (source,) = fill((language.source,))
    files, builds = {source: job["program"]}, [fill(part) for part in language.build]
    if name == "typescript":
        files["node.d.ts"] = languages.node_types(job["program"])
        builds.append(["rm", "-f", "node.d.ts"])
    if failed := _build(connection, name, files, builds):
        return failed
    command = fill(language.run)

    def request(text: str) -> list[Any]:
        return ["exec", name, command, text, ""]

    return _compare_outputs(connection, job["tests"], request) if job["tests"] else _run_once(connection, job, request)


def _run_own_tests(connection: SolutionConnection, job: dict[str, Any], tests: str) -> Outcome:
    """The outcome of tests in the program's own language: they must end, by the word of their harness, and with status 0."""
    name, secret = job["language"], os.urandom(16).hex()
    if why := own_tests.refusal(name, job["program"], tests):
        return Outcome("unverifiable", why, {"judge": "same process"})
    prepared = own_tests.prepare(name, job["program"], tests)
    if failed := _build(connection, name, dict(prepared.files), prepared.build):
        return failed
    command = languages.command(tuple(prepared.run), job["program"], job["memory_mb"])
    evidence: dict[str, Any] = {"ended": True, "cpu_s": 0.0, "peak_kb": 0, "judge": "same process"}
    reply = connection.ask(["exec", name, command, job["stdin"], secret])
    status, reason = _ended(reply, evidence)
    if status == "pass" and not own_tests.ended_well(reply[-1], secret):
        status, reason = "fail", "the program exited before its tests were done"
    evidence["stdout"] = connection.drain().decode("utf-8", "replace")
    return Outcome(status, reason, evidence)


def _build(connection: SolutionConnection, name: str, files: dict[str, str], commands: Any) -> Outcome | None:
    """Writes the files and runs the compiler. Returns why it failed, or None."""
    built, *rest = connection.ask(["build", name, files, commands])
    if built == "built":
        return None
    code, errors = int(rest[0]), str(rest[1])
    status = "memory" if code == EXIT_MEMORY else "timeout" if code in OUT_OF_CPU else "fail"
    limit = f" within {LANGUAGES[name].compile_s:g} s of CPU" if status == "timeout" else ""
    return Outcome(
        status, f"does not compile{limit}: {errors[-600:].strip()}", {"ended": True, "stderr": errors[-2000:]}
    )


def _ended(reply: list[Any], evidence: dict[str, Any]) -> tuple[str, str]:
    """Status and reason of one run; what was measured goes to the evidence."""
    _, code, cpu_s, peak_kb, errors, _ = reply
    evidence["cpu_s"] = max(evidence["cpu_s"], float(cpu_s))
    evidence["peak_kb"] = max(evidence["peak_kb"], int(peak_kb))
    evidence.pop("stderr", None)
    if errors:
        evidence["stderr"] = str(errors)[-2000:]
    status, reason, _ = of_exit_status(int(code))
    if status == "fail" and _OUT_OF_MEMORY.search(str(errors)[-2000:]):
        return "memory", "the program ran out of memory"
    if status == "fail" and errors:
        reason = f"{reason}: {str(errors)[-300:].strip()}"
    return status, reason


def _run_once(connection: SolutionConnection, job: dict[str, Any], request: Request) -> Outcome:
    evidence: dict[str, Any] = {"ended": True, "cpu_s": 0.0, "peak_kb": 0}
    status, reason = _ended(connection.ask(request(job["stdin"])), evidence)
    evidence["stdout"] = connection.drain().decode("utf-8", "replace")
    return Outcome(status, reason, evidence)


def _compare_outputs(connection: SolutionConnection, tests: dict[str, Any], request: Request) -> Outcome:
    """One fresh process per [input, expected output], until one differs."""
    connection.kept_output, connection.most_output = MAX_OUTPUT, ENDLESS_OUTPUT
    atol = float(tests.get("atol") or 0.0)
    evidence: dict[str, Any] = {"ended": True, "cpu_s": 0.0, "peak_kb": 0}
    for number, (given, expected) in enumerate(tests["stdio"]):
        connection.output.clear()
        connection.dropped_output = 0
        try:
            status, reason = _ended(connection.ask(request(str(given))), evidence)
        except PrintsWithoutEnd:  # a limit of CPU time would come late, because it mostly waits for its reader
            status, reason = "timeout", f"still printing after {ENDLESS_OUTPUT >> 20} MB"
        got = connection.drain().decode("utf-8", "replace")
        if status == "pass" and (connection.dropped_output or not same_output(got, str(expected), atol)):
            status, reason = "fail", f"printed {got[:200]!r}, expected {str(expected)[:200]!r}"
        if status != "pass":
            return Outcome(status, f"case {number}: {reason}", {**evidence, "case": number, "stdout": got[-2000:]})
    return Outcome("pass", "", evidence) if tests["stdio"] else Outcome("error", "no cases", {})
