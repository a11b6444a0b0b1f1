"""All elimination rules in order, and the reasons they give (2304.12244 section 3.3, and what its successors met).

    for rule in RULES: print(rule.about, rule.name, rule.doc)
    rejection_reason(domain, parent_task, child_task, answer=None)  ->  a reason, or "" to keep

Rules about instructions run before any answer is paid for. The teacher's "equal?" judgement, the paper's first rule, runs
between the two groups: see evoltune.evolve.chain. Invariant: a rule reads only its arguments, so a decision is the same
whenever and wherever it is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evoltune.domain import Domain
from evoltune.errors import DomainError
from evoltune.evolve.rules.copying import copies_instruction, copies_parent, leaks_prompt
from evoltune.evolve.rules.drift import drifts
from evoltune.evolve.rules.length import grows_too_long, has_only_stop_words, is_empty
from evoltune.evolve.rules.refusals import asks_back, refuses, says_sorry
from evoltune.evolve.rules.repetition import loops
from evoltune.evolve.rules.run_on import has_template_turns, runs_on
from evoltune.evolve.rules.truncation import is_truncated
from evoltune.record import Task

Fires = Callable[["Task | None", Task, str], bool]
"""(parent if known, child, text) -> whether the rule fires; text is the child's instruction, or its answer."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One reason to drop an instruction or an answer."""

    name: str
    """The reason that is recorded and counted."""
    about: Literal["instruction", "answer"]
    fires: Fires

    @property
    def doc(self) -> str:
        """When it fires, in one line: the function's docstring."""
        return self.fires.__doc__ or ""


INSTRUCTION_RULES = tuple(
    Rule(name=name, about="instruction", fires=fires)
    for name, fires in (
        ("empty instruction", is_empty),
        ("only stop words", has_only_stop_words),
        ("prompt residue", leaks_prompt),
        ("copy of the parent", copies_parent),
        ("over-long growth", grows_too_long),
        ("loop", loops),
        ("run-on", has_template_turns),
        ("language drift", drifts),
    )
)
ANSWER_RULES = tuple(
    Rule(name=name, about="answer", fires=fires)
    for name, fires in (
        ("empty answer", is_empty),
        ("only stop words", has_only_stop_words),
        ("sorry", says_sorry),
        ("refusal", refuses),
        ("unanswerable", asks_back),
        ("copy of the instruction", copies_instruction),
        ("prompt residue", leaks_prompt),
        ("loop", loops),
        ("run-on", runs_on),
        ("truncated", is_truncated),
        ("language drift", drifts),
    )
)
RULES = (*INSTRUCTION_RULES, *ANSWER_RULES)


def rejection_reason(domain: Domain, parent: Task | None, child: Task, answer: str | None) -> str:
    """The first reason to drop the child (answer None) or this answer, core rules before the domain's; "" to keep it.

    Raises:
        DomainError: an eliminator of the domain failed.
    """
    return core_reason(parent, child, answer) or _domain_reason(domain, parent, child, answer)


def core_reason(parent: Task | None, child: Task, answer: str | None) -> str:
    """The name of the first core rule that fires; "" when none does."""
    rules, text = _subject(child, answer)
    return next((rule.name for rule in rules if rule.fires(parent, child, text)), "")


def all_reasons(parent: Task | None, child: Task, answer: str | None) -> list[str]:
    """The names of all core rules that fire, for `--explain`."""
    rules, text = _subject(child, answer)
    return [rule.name for rule in rules if rule.fires(parent, child, text)]


def _subject(child: Task, answer: str | None) -> tuple[tuple[Rule, ...], str]:
    return (INSTRUCTION_RULES, child.instruction) if answer is None else (ANSWER_RULES, answer)


def _domain_reason(domain: Domain, parent: Task | None, child: Task, answer: str | None) -> str:
    for eliminator in domain.eliminators:
        try:
            reason = eliminator(parent, child, answer)
        except Exception as error:
            name = getattr(eliminator, "__name__", type(eliminator).__name__)
            raise DomainError(
                f"domain {domain.name!r}: eliminator {name} failed: {type(error).__name__}: {error}"
            ) from error
        if reason:
            return reason
    return ""
