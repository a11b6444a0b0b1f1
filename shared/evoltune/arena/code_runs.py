"""Runs the Python code of answers in the sandbox, to see whether it runs at all. Uses a domain that checks only this.

list(code_status(["```python\\nprint(1)\\n```", "no code"]))      # ["runs", "no code"]
"""

import re
from collections.abc import Iterator, Sequence

from evoltune.domain import Context, Domain, Job
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.verification.checker import open_checker

_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.S)


def _code(task: Task, response: str) -> str | None:
    blocks = _BLOCK.findall(response)
    return "\n".join(blocks) if blocks else None


def _verify(task: Task, candidate: str, context: Context) -> Verdict:
    return context.run(Job(program=candidate))


domain = Domain(name="code-runs", seeds=lambda: (), operators=(), verify=_verify, extract=_code)


def code_status(texts: Sequence[str]) -> Iterator[str]:
    """`runs`, `fails` or `no code` for each text. Starts no sandbox when no text has code."""
    with_code = [text for text in texts if _BLOCK.search(text)]
    status: dict[str, str] = {}
    if with_code:
        records = (
            Record(domain=domain.name, task=Task(instruction="", name=str(i)), answers=(Answer(text=text, model=""),))
            for i, text in enumerate(with_code)
        )
        with open_checker("evoltune.arena.code_runs:domain", workers=1) as checker:
            for record in checker.verify(records):
                answer = record.answers[0]
                status[answer.text] = "runs" if answer.verdict and answer.verdict.status == "pass" else "fails"
    for text in texts:
        yield status.get(text, "no code")
