"""Evoltune: evolve, verify, train and measure domain-specialised language models.

Public names load lazily: `import evoltune` imports nothing heavy.

    evoltune.verify(rows, domain="math")  ->  an iterator of verdict rows, in input order
    evoltune.reward("code")               ->  a reward function for TRL's GRPO trainer
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "Answer": "record", "Drop": "record", "Record": "record", "Task": "record", "Verdict": "record",
    "Benchmark": "domain", "Context": "domain", "Domain": "domain", "Job": "domain", "KnownAnswers": "record",
    "Operator": "domain", "Profile": "domain", "Rewritten": "domain", "load_domain": "domain", "EvoltuneError": "errors",
    "reward": "verification.api", "verify": "verification.api",
}  # fmt: skip
__all__ = [
    "Answer", "Benchmark", "Context", "Domain", "Drop", "EvoltuneError", "Job", "KnownAnswers", "Operator", "Profile", "Record", "Rewritten",
    "Task", "Verdict", "load_domain", "reward", "verify",
]  # fmt: skip

if TYPE_CHECKING:
    from evoltune.domain import Benchmark, Context, Domain, Job, Operator, Profile, Rewritten, load_domain
    from evoltune.errors import EvoltuneError
    from evoltune.record import Answer, Drop, KnownAnswers, Record, Task, Verdict
    from evoltune.verification.api import reward, verify


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"evoltune.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'evoltune' has no attribute {name!r}")
