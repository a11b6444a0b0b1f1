"""A study: which systems are compared on which suite by which judge, read from one YAML file; and the systems' answers.

    suite: general/wizardlm
    systems:
      - {name: ours, checkpoint: runs/mine/checkpoint}
      - {name: theirs, endpoint: "http://localhost:8000/v1", model: vicuna-13b}
      - {name: old, answers: answers/alpaca.jsonl}
    protocol: scores                  # scores (Vicuna, 1 to 10) | criteria (five scores) | preference (LIMA) | ranks | grades (LIMA)
    judge: {kind: http, model: judge-70b, endpoints: [{url: "http://localhost:8001/v1"}], budget: {calls: 5000}}

Invariant: a study that loads has at least two systems of different names, each with exactly one source of answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from evoltune.arena.dialogues import judged_texts, turn_by_turn
from evoltune.errors import DataError, RecipeError
from evoltune.evaluate.samples import read_samples
from evoltune.evaluate.suites import Suite, later_turns, load_suite
from evoltune.generate.completions import finished_samples, generate, generate_later_turns
from evoltune.generate.job import GenerationSettings, SampleRequest, find_model
from evoltune.models.proof import read_template
from evoltune.recipe import Eval, Section, System, Teacher
from evoltune.recipe.load import load_section
from evoltune.recipe.types import Count, FilePath, NameOrPath, Positive, Share
from evoltune.teacher.engines import check_engine

Answers = Mapping[str, Mapping[str, str]]
"""system -> problem -> text"""
CRITERIA = ("relevance", "knowledge", "reasoning", "calculation", "accuracy")
"""By which WizardLM had people rank answers (2304.12244, section 4.3)."""
GRADES = ("FAIL", "PASS", "EXCELLENT")
"""The three grades of LIMA's human evaluation (2305.11206, section 4.3), worst first."""


class Study(Section, frozen=True, kw_only=True):
    """What is compared, and how. The file of the module docstring."""

    suite: NameOrPath
    systems: Annotated[tuple[System, ...], Meta(min_length=2)]
    judge: Teacher
    protocol: Literal["scores", "criteria", "preference", "ranks", "grades"] = "scores"
    reference: str = ""
    """Each other system is compared with this one, and its own wins are counted; empty: every pair."""
    ours: str = ""
    """This system is compared with each other one, and its wins are counted; empty: see `reference`."""
    limit: Count = 0
    seed: int = 0
    tries: Positive = 3
    """Replies asked for before a judgement counts as unreadable."""
    planted: Count = 12
    """Answers of which a worse twin is made in each of four ways, to see whether the judge prefers the better one; 0: none."""
    planted_from: tuple[str, ...] = ()
    """Systems whose answers these are; empty: all. Studies that share a system and name it here share what is asked, and pay for it once."""
    repeats: Count = 12
    """Comparisons that are asked a second time, to see whether the judge agrees with itself; 0: none."""
    trust: Share = 0.8
    """Share of the planted pairs below which the judge is not to be trusted."""
    checks: bool = True
    """Where the domain's verifier passes one answer and fails the other, that decides, and the judge is not asked."""
    temperature: float = 0.7
    max_new_tokens: Positive = 1024
    data: FilePath | None = None
    human: FilePath = ""
    """File with votes of people: exported by the ranking page, or rows problem, a, b, vote."""
    key: FilePath = ""
    """The key file of the ranking page, to open its votes."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The judge's reply to one comparison: a value per shown answer, higher is better; None: it could not be read."""

    problem: str
    shown: tuple[str, ...]
    """Systems in the order in which the judge saw their answers; for a planted pair: `better`, and the kind of the
    worse answer (`truncated`, for instance)."""
    values: tuple[float, ...] | None
    replies: int
    text: str = ""
    kind: str = "systems"
    """`systems`, or the kind of a planted pair."""
    repeat: int = 0
    """1: asked a second time. Of a planted pair: how many of its kind the problem had given before."""
    criteria: tuple[tuple[float, ...], ...] = ()
    """Under `criteria`, of each shown answer its scores by CRITERIA."""


@dataclass(frozen=True, kw_only=True)
class PairResult:
    """The result of one pair on one problem, over both orders."""

    problem: str
    a: str
    b: str
    winner: str
    """A system's name, or "" for a tie."""
    value_a: float
    value_b: float
    """Mean values over both orders."""
    consistent: bool
    """Both orders named the same winner."""
    by: str = "judge"
    """`judge`, or `checks` where the verifier passed one answer and failed the other."""

    @property
    def points(self) -> float:
        """Of system a: 1 for a win, 0.5 for a tie, 0 for a loss."""
        return 0.5 if not self.winner else float(self.winner == self.a)


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One person's preference on one pair: a system's name, or "" for a tie."""

    problem: str
    pair: frozenset[str]
    winner: str
    annotator: str = ""


def load_study(path: Path) -> Study:
    """Reads and checks a study. Raises RecipeError with file, key and what is allowed."""
    study = load_section(path, Study)
    try:
        check_engine(study.judge)
    except RecipeError as error:
        raise RecipeError(f"{path}: {str(error).replace('teacher.', 'judge.', 1)}") from error
    check_systems(study.systems, f"{path}: systems")
    names = [system.name for system in study.systems]
    for key in ("reference", "ours"):
        if (named := getattr(study, key)) and named not in names:
            raise RecipeError(f"{path}: {key}: {named!r} is no system: {', '.join(names)}")
    if unknown := [name for name in study.planted_from if name not in names]:
        raise RecipeError(f"{path}: planted_from: {unknown[0]!r} is no system: {', '.join(names)}")
    return study


def check_systems(systems: Sequence[System], where: str) -> None:
    """Raises RecipeError, beginning with `where`, for names that are not unique or a system without exactly one source of answers."""
    names = [system.name for system in systems]
    if len(set(names)) < len(names):
        raise RecipeError(f"{where}: names must be unique: {', '.join(names)}")
    for system in systems:
        given = [kind for kind in ("checkpoint", "endpoint", "answers") if getattr(system, kind)]
        if len(given) != 1:
            raise RecipeError(
                f"{where}: {system.name!r} needs exactly one of checkpoint, endpoint, answers (has {given or 'none'})"
            )


def suite_of(study: Study) -> Suite:
    """The suite's first problems, up to the study's limit."""
    return _whole_suite(study).first(study.limit)


def _whole_suite(study: Study) -> Suite:
    return load_suite(study.suite, Path(study.data) if study.data else None, domain="general")


def pairs(study: Study) -> list[tuple[str, str]]:
    """The pairs (a, b) of systems to compare. `ours` comes first in its pairs, and a reference second."""
    names = [system.name for system in study.systems]
    if study.ours:
        return [(study.ours, name) for name in names if name != study.ours]
    if study.reference:
        return [(name, study.reference) for name in names if name != study.reference]
    return list(combinations(names, 2))


def collect_answers(study: Study, suite: Suite, folder: Path) -> dict[str, dict[str, str]]:
    """What the judge reads of every system's answer to every turn: read, or generated into `folder/answers` (resumable). Raises
    DataError when a file leaves problems unanswered."""
    answers, turns = {}, turn_by_turn(suite)
    for system in study.systems:
        if system.answers:
            samples = read_samples(Path(system.answers), turn_by_turn(_whole_suite(study)), column=system.column)
            found = {s.problem: s.text for s in reversed(samples)}  # the first sample of a problem counts
        else:
            found = _generated(study, system, suite, folder / "answers" / f"{system.name}.jsonl")
        missing = [task.name for task in turns.tasks if task.name not in found]
        if missing:
            raise DataError(
                f"system {system.name!r} has no answer to {len(missing)} of {len(turns.tasks)} problems, e.g. {missing[0]!r}"
            )
        answers[system.name] = judged_texts(turns, found)
    return answers


def _generated(study: Study, system: System, suite: Suite, path: Path) -> dict[str, str]:
    engine: Literal["http", "transformers"] = "http" if system.endpoint else "transformers"
    chosen = Eval(engine=engine, endpoint=system.endpoint or None, api_key_env=system.api_key_env or None)
    source = find_model(system.model if system.endpoint else system.checkpoint, chosen)
    trained = read_template(Path(source.checkpoint)) if source.checkpoint else None
    settings = GenerationSettings(
        model=system.model or system.checkpoint, weights=source.fingerprint, engine=engine, seed=study.seed,
        template=trained.template if trained else system.template, system=trained.system_prompt if trained else "",
        temperature=study.temperature, top_p=0.9, max_new_tokens=study.max_new_tokens,
    )  # fmt: skip
    requests = [
        SampleRequest(suite=suite.name, problem=t.name, sample=0, prompt=t.instruction, history=t.history)
        for t in suite.tasks
    ]
    generate(requests, settings, source, path)
    later = {task.name: later_turns(task) for task in suite.tasks}
    generate_later_turns(requests, later, settings, source, path)
    return {
        problem: row["text"] for (problem, sample), row in finished_samples(path, settings.key).items() if sample == 0
    }
