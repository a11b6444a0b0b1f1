"""Does the Python in an answer run? A domain of one question, so that the sandbox answers it.

list(runs(["```python\\nprint(1)\\n```", "no code"]))      # ["runs", "no code"]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from evoltune.domain import Context, Domain, Job
from evoltune.record import Answer, Record, Task, Verdict

_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.S)


def _code(task: Task, response: str) -> str | None:
    blocks = _BLOCK.findall(response)
    return "\n".join(blocks) if blocks else None


def _verify(task: Task, candidate: str, context: Context) -> Verdict:
    return context.run(Job(program=candidate))


domain = Domain(name="code-runs", seeds=lambda: (), operators=(), verify=_verify, extract=_code)


def runs(texts: Sequence[str]) -> Iterator[str]:
    """`runs`, `fails` or `no code` for each text. Starts no sandbox where no text has code."""
    with_code = [text for text in texts if _BLOCK.search(text)]
    verdicts: dict[str, str] = {}
    if with_code:
        from evoltune.verification.checker import open_checker

        records = [
            Record(
                domain="code-runs",
                task=Task(instruction="", name=str(i)),
                answers=(Answer(text=text, model=""),),
            )
            for i, text in enumerate(with_code)
        ]
        with open_checker("evoltune.arena.code_runs:domain", workers=1) as checker:
            for record in checker.verify(records):
                verdict = record.answers[0].verdict
                verdicts[record.answers[0].text] = "runs" if verdict and verdict.status == "pass" else "fails"
    for text in texts:
        yield verdicts.get(text, "no code")
