"""What can be posted to the service: our own bodies, and those of trainers that call a verifier over HTTP.

    routes = routes_of(["code", "math"], most_rows=1024, programs="code")
    task = routes["/test_program"].read(b'{"program": "def f(): return 1", "tests": ["assert f() == 1"]}')

A route turns a body into rows of one domain, and their verdicts into the answer that the caller expects. open-instruct posts a
program with tests to /test_program and /test_program_stdio (open_instruct/code_utils/api.py), NeMo-Gym a response with the row's
columns to /verify, after /seed_session (nemo_gym/base_resources_server.py).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from evoltune.verification.service.schema import NotJsonError, parse_json, request_types

VerdictRows = Sequence[Mapping[str, Any]]
Rewarding = Callable[[Sequence[Any], VerdictRows], list[dict[str, Any]]]
"""Of rows and their verdicts: the verdict rows with the reward of each."""
_PICKLED = re.compile(r"\A(?:gA[A-Z]|eJ)[A-Za-z0-9+/=\s]+\Z")
"""Base64 of a pickle, or of a compressed one."""
FAILED_S = -1.0
"""open-instruct's runtime of a test that did not pass."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a body asks for; `answer` makes the reply from the verdicts, one for each row."""

    domain: str
    rows: Sequence[Any]
    answer: Callable[[VerdictRows], Any]
    first_row: int = 1
    profile: str = ""
    policy: Mapping[str, Any] | None = None
    has_models: bool = False
    """`answer` asks reward models, which takes longer than the service may be deaf to others."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """`read` raises NotJsonError, or msgspec.ValidationError for JSON of another shape."""

    body: type[msgspec.Struct]
    task: Callable[[Any, dict[str, Any]], Task]
    """Of the body and of its JSON, which also has the keys that the type does not name."""

    def read(self, raw: bytes) -> Task:
        value = parse_json(raw)
        return self.task(msgspec.convert(value, self.body), value)


class TestProgram(msgspec.Struct):
    """A program and its tests; keys that are not named here are ignored."""

    program: str
    tests: list[str | dict[str, Any]] | str
    max_execution_time: float = 1.0


def routes_of(
    domains: Sequence[str], most_rows: int, programs: str = "", rewards: Mapping[str, Rewarding] | None = None
) -> dict[str, Route]:
    """Path -> route. `programs` is the served domain that runs programs, if any; `rewards`: of each domain, for /score."""
    batch, single = request_types(domains, most_rows)
    own = {
        "/v1/verify": Route(body=batch, task=_batch),
        "/v1/verify-one": Route(body=single, task=_single),
        "/verify": Route(body=_gym_body(domains), task=_gym),
    }
    if rewards:
        own["/score"] = Route(body=batch, task=lambda body, value: _score(body, rewards[body.domain]))
    if not programs:
        return own
    return own | {
        "/test_program": Route(body=TestProgram, task=lambda body, value: _program(body, programs)),
        "/test_program_stdio": Route(body=TestProgram, task=lambda body, value: _program(body, programs)),
    }


def _batch(body: Any, value: dict[str, Any]) -> Task:
    return Task(
        domain=body.domain, rows=body.rows, first_row=body.first_row, profile=body.profile, policy=body.policy,
        answer=lambda verdicts: {"verdicts": verdicts},
    )  # fmt: skip


def _score(body: Any, reward: Rewarding) -> Task:
    return Task(
        domain=body.domain, rows=body.rows, first_row=body.first_row, profile=body.profile, policy=body.policy,
        answer=lambda verdicts: {"scores": reward(body.rows, verdicts)}, has_models=True,
    )  # fmt: skip


def _single(body: Any, value: dict[str, Any]) -> Task:
    return Task(
        domain=body.domain, rows=[body.row], profile=body.profile, policy=body.policy,
        answer=lambda verdicts: verdicts[0],
    )  # fmt: skip


# ---- open-instruct


def _program(body: TestProgram, domain: str) -> Task:
    tests = _listed(body.tests)
    longest_s = body.max_execution_time

    def answer(verdicts: VerdictRows) -> dict[str, Any]:
        passed = [row["status"] == "pass" and row["seconds"] <= longest_s for row in verdicts]
        seconds = [row["seconds"] if won else FAILED_S for row, won in zip(verdicts, passed, strict=True)]
        return {"results": [int(won) for won in passed], "runtimes": seconds}

    program = _fenced(body.program)
    return Task(domain=domain, rows=[{"answer": program, "tests": _tests(test)} for test in tests], answer=answer)


def _listed(tests: list[str | dict[str, Any]] | str) -> list[str | dict[str, Any]]:
    """The tests; text is a list as JSON, or one test. Pickled ones are never read."""
    if not isinstance(tests, str):
        return tests
    if _PICKLED.match(tests):
        raise msgspec.ValidationError(
            "Expected tests as a list or as JSON text: pickled ones are not read - at `$.tests`"
        )
    try:
        return msgspec.convert(parse_json(tests.encode("utf-8", "surrogatepass")), list[str | dict[str, Any]])
    except (NotJsonError, msgspec.ValidationError):
        return [tests]


def _tests(test: str | dict[str, Any]) -> Any:
    """A test as our own forms have it: code, or standard input and output."""
    if isinstance(test, dict) and {"input", "output"} <= test.keys():
        return {"inputs": [test["input"]], "outputs": [test["output"]]}
    return test


def _fenced(program: str) -> str:
    """A program as an answer whose one block it is, whatever fences stand in its strings."""
    fence = "```"
    while fence in program:
        fence += "`"
    return f"{fence}python\n{program}\n{fence}"


# ---- NeMo-Gym


def _gym_body(domains: Sequence[str]) -> type[msgspec.Struct]:
    """`response` is one of OpenAI's Responses API; the row's other keys are the domain's columns."""
    default = (domains[0],) if len(domains) == 1 else ()
    fields: list[Any] = [("response", dict[str, Any]), ("domain", Literal[tuple(domains)], *default)]
    return msgspec.defstruct("GymRow", fields, kw_only=True)


def _gym(body: Any, value: dict[str, Any]) -> Task:
    columns = {key: part for key, part in value.items() if key not in ("response", "responses_create_params", "domain")}
    columns.setdefault("reference", columns.get("expected_answer"))

    def answer(verdicts: VerdictRows) -> dict[str, Any]:
        score, why = verdicts[0]["score"], f"{verdicts[0]['status']}: {verdicts[0]['reason']}"
        return {**value, "reward": score or 0.0, "failure_reason": why if score is None else None}

    return Task(domain=body.domain, rows=[{**columns, "answer": _said(body.response)}], answer=answer)


def _said(response: Mapping[str, Any]) -> str:
    """The text of the last message of a response of the Responses API; reasoning and calls of tools are no answer."""
    output = response.get("output")
    messages = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    for message in reversed([item for item in messages if item.get("type", "message") == "message"]):
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        return "".join(
            str(part["text"]) for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return ""
