"""Programs that are judged from outside: by their exit status and by what they print for each input.

Invariant: each run is a new process in a folder that the build left; only standard output is compared, standard error is kept
apart (`evidence["stderr"]`), and a status other than 0 is a failure whatever was printed.

    run(connection, {"program": "print(input())", "tests": {"stdio": [["4", "4"]]}, "language": "python", "stdin": ""})
"""

import re
from collections.abc import Callable
from typing import Any

from evoltune.sandbox.languages import LANGUAGES
from evoltune.sandbox.limits import EXIT_MEMORY, OUT_OF_CPU, Outcome, of_exit_status
from evoltune.sandbox.outputs import same_output
from evoltune.sandbox.proxies import MAX_OUTPUT, SolutionConnection

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
    own_tests = "\n".join(sources) if isinstance(sources, list) else ""  # in the program's own language
    program = f"{job['program']}\n{own_tests}\n" if own_tests else job["program"]
    if failed := _build(connection, name, {language.source: program}, language.build):
        return failed
    command = [part.replace("{memory_mb}", str(job["memory_mb"])) for part in language.run]

    def request(text: str) -> list[Any]:
        return ["exec", name, command, text, ""]

    if isinstance(job["tests"], dict):
        return _compare_outputs(connection, job["tests"], request)
    outcome = _run_once(connection, job, request)
    if own_tests:
        outcome.evidence["judge"] = "same process"
    return outcome


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
    connection.kept_output = MAX_OUTPUT
    atol = float(tests.get("atol") or 0.0)
    evidence: dict[str, Any] = {"ended": True, "cpu_s": 0.0, "peak_kb": 0}
    for number, (given, expected) in enumerate(tests["stdio"]):
        connection.output.clear()
        connection.dropped_output = 0
        status, reason = _ended(connection.ask(request(str(given))), evidence)
        got = connection.drain().decode("utf-8", "replace")
        if status == "pass" and (connection.dropped_output or not same_output(got, str(expected), atol)):
            status, reason = "fail", f"printed {got[:200]!r}, expected {str(expected)[:200]!r}"
        if status != "pass":
            return Outcome(status, f"case {number}: {reason}", {**evidence, "case": number, "stdout": got[-2000:]})
    return Outcome("pass", "", evidence) if tests["stdio"] else Outcome("error", "no cases", {})
