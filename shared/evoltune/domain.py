"""What a domain's author needs: Job, Context, Operator, Benchmark, Profile, Domain; below them, how domains are loaded.

A domain is a frozen dataclass of plain functions, found by entry point (group `evoltune.domains`), by
`module:attribute`, or by the path of a package folder:

    capitals = Domain(
        name="capitals", verify=same, operators=(Operator(name="harder", template="Make this harder: {instruction}"),),
        seeds=lambda: [Record(domain="capitals", task=Task(instruction="Capital of France?", reference="Paris", name="france"))])
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from evoltune.author_calls import FAILURES, Inside, author_call, imported
from evoltune.errors import DataError, DomainError, nearest
from evoltune.record import KNOWN_ANSWERS, Json, KnownAnswers, Record, Task, Verdict, digest
from evoltune.run.paths import user_path

API_VERSION = 1
ENTRY_POINTS = "evoltune.domains"


@dataclass(frozen=True, kw_only=True)
class Job:
    """An untrusted program. With tests, a test runner in another process calls it; without, `pass` means that it exited 0."""

    program: str
    tests: Json = None
    """Python test source (asserts, or `check(candidate)`), a list of such sources, or a dict in a form of the test runner's
    (`{"cases": [[args, expected], ...]}`, `{"stdio": [[input, output], ...]}`): see docs/validate.md."""
    entry_point: str = ""
    stdin: str = ""
    language: str = "python"
    cpu_s: float | None = None
    """CPU seconds; None: the recipe's `verify.program_s`."""
    judge: str = "auto"
    """"separate": tests that must run in the program's own process are `unverifiable`; "auto": they run there."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a domain's functions may use besides their arguments."""

    run: Callable[[Job], Verdict]
    """Runs a program in the sandbox. Whatever the program does becomes a verdict, never an exception."""
    policy: Mapping[str, Json]
    """`Domain.policy` overlaid with the recipe's `verify.policy`."""
    many: Callable[[Sequence[Job]], Sequence[Verdict]] | None = None
    """`run` for several programs; None: one after another."""

    def run_many(self, jobs: Sequence[Job]) -> Sequence[Verdict]:
        """`run` for each, in order. Consecutive jobs share a test runner where they can, which halves the cost of a job."""
        return self.many(jobs) if self.many else [self.run(job) for job in jobs]


Extract = Callable[[Task, str], "str | None"]
"""(task, response) -> candidate; None is counted apart from wrong."""
Verify = Callable[[Task, str, Context], Verdict]
"""(task, candidate, context) -> verdict; used by the verify stage, by evaluation and by rewards."""
Confirm = Callable[[Task, Sequence["str | None"], Mapping[str, Sequence[str]], Context], Sequence[Verdict]]
"""(task, candidates, evidence, context) -> verdicts on all candidates of a task that has no reference."""
Overlap = Callable[[Record, Sequence[Task], Context], Sequence[str]]
"""(record, suite tasks, context) -> names of the suite's tasks that the record gives away."""
Eliminator = Callable[["Task | None", Task, "str | None"], "str | None"]
"""(parent if known, child, answer if there is one yet) -> why the child is dropped, or None to keep it."""

CheckSteps = Callable[[Task, Sequence[str]], Sequence["bool | None"]]
"""(task, steps of a solution) -> for each step whether it is right by an exact check; None where there is nothing to check."""

Route = Callable[[Task, str], str]
"""(task, response) -> the way that a solution takes, in any text: equal for two that differ only in names, wording and layout."""


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """What a rewrite function made: the child's task, with its reference or tests, and the solution that gives them."""

    task: Task
    solution: str
    """The child's first answer, worded as a seed's author would: it is trained on once it is verified."""


Rewrite = Callable[[Sequence[Record], random.Random, Context], "Rewritten | str"]
"""(parents, random numbers, context) -> the child, or in a few words why these parents give none. It must depend on nothing else;
for `fuse` there are two parents."""
Faithful = Callable[[Task, str], str]
"""(child, another wording of its instruction) -> what the wording changes or leaves out, or "" where it states the same task."""
Kind = Literal["depth", "breadth", "down", "fuse", "turn"]
"""Harder, new, easier, two tasks joined, the next turn of a dialogue."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One way to make a new task from an old one.

    With a `template` the teacher rewrites the instruction: `{instruction}` is replaced in one pass; other braces are text.
    `fuse` also takes `{other}`, a second task; `turn` writes the user's next message of a dialogue and takes `{answer}`, the reply
    before it.

    With `rewrite` a function edits the solution first, so that the new reference is computed and never guessed:

        Operator(name="renumber", rewrite=renumber, kind="breadth")

    Then a `template` asks the teacher to word the new task (`{instruction}`) again, where the recipe sets `evolve.reword`; a wording
    that `faithful` refuses is not used.
    """

    name: str
    template: str = ""
    rewrite: Rewrite | None = None
    faithful: Faithful | None = None
    kind: Kind = "depth"
    weight: float = 1.0
    reasoning: str = ""
    """The kind of reasoning that it asks for ("lateral", "critical" ...): a field of each child, and of its own children until
    another operator names another kind. Empty: a child keeps its parent's, unless it is easier or a new task (kind down or breadth)."""

    def __post_init__(self) -> None:
        if not self.template and self.rewrite is None:
            raise DomainError(
                f"operator {self.name!r} has neither a template nor a rewrite function: give it one of them"
            )
        if self.rewrite is not None and self.template and self.faithful is None:
            raise DomainError(
                f"operator {self.name!r}: its template asks for another wording, which nothing checks: give it `faithful`"
            )
        if self.rewrite is not None and self.kind == "turn":
            raise DomainError(
                f"operator {self.name!r}: the next turn of a dialogue cannot be a rewrite: use another kind"
            )

    @cached_property
    def version(self) -> str:
        """8 hex digits over the template, the kind of reasoning and the source of the modules that define the functions: in the
        lineage of each child, so that yields can be told apart."""
        functions = [function for function in (self.rewrite, self.faithful) if function is not None]
        tag = [{"reasoning": self.reasoning}] if self.reasoning else []
        return digest([self.template, *map(_source_of, functions), *tag])[:8]


def solution_first(
    functions: Iterable[tuple[str, Rewrite, Kind]], template: str, faithful: Faithful, reasoning: Mapping[str, str]
) -> tuple[Operator, ...]:
    """An operator for each (name, function, kind) that edits the solution first, worded again by one template. The papers had none, so
    they are drawn only where a recipe gives them a weight. `reasoning`: name -> the kind of reasoning that it asks for."""
    return tuple(
        Operator(
            name=name,
            rewrite=function,
            kind=kind,
            template=template,
            faithful=faithful,
            weight=0.0,
            reasoning=reasoning.get(name, ""),
        )
        for name, function, kind in functions
    )


def _source_of(function: Any) -> str:
    """The source of the module that defines a function; its name where the module has no file."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    name = f"{function.__module__}.{function.__qualname__}"
    return name + (hashlib.sha256(Path(file).read_bytes()).hexdigest() if file and Path(file).is_file() else "")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A suite of problems. `load` reads the upstream file and turns its test format into `Task.tests`."""

    load: Callable[[Path], Iterable[Task]]
    sha256: str
    """Hash of the upstream file as published; empty when unknown: then the hash of the first load is recorded."""
    licence: str
    profile: str = "sound"
    beside: tuple[str, ...] = ()
    """Further profiles that score the same generations, e.g. a strict and a lenient reader."""
    file: str = ""
    """Path below `EVOLTUNE_DATA` or the folder the user names, e.g. `gsm8k/test.jsonl.gz`; absolute in the domain's own package."""
    hub: str = ""
    """Hub dataset id, for `datasets.load_dataset`."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named, versioned way to score. A function that is None is the domain's own; without `prompt`, the chat template is used."""

    version: int
    prompt: str | None = None
    render: Callable[[Task], str] | None = None
    """The text that replaces `{instruction}` in the prompt; None: the task's instruction."""
    decoding: Mapping[str, Json] = field(default_factory=lambda: {"n": 1, "temperature": 0.0})
    extract: Extract | None = None
    verify: Verify | None = None


def _stripped(task: Task, response: str) -> str | None:
    return response.strip() or None


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A field of knowledge: seeds, operators, verifier, benchmarks. Plain data and functions; nothing to inherit."""

    name: str
    seeds: Callable[[], Iterable[Record]]
    operators: tuple[Operator, ...]
    verify: Verify
    api_version: int = API_VERSION
    extract: Extract = _stripped
    answer_prompt: str = "{instruction}"
    evidence: Mapping[str, str] = field(default_factory=dict)
    """name -> prompt that evolve sends to the teacher; `confirm` reads the completions."""
    confirm: Confirm | None = None
    overlap: Mapping[str, Overlap] = field(default_factory=dict)
    """name -> function, e.g. `behaviour` (code), `skeleton` (math)."""
    eliminators: tuple[Eliminator, ...] = ()
    benchmarks: Mapping[str, Benchmark] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: {"sound": Profile(version=1)})
    columns: tuple[str, ...] = ()
    """Names of the `Task.fields` that `verify` reads; a reward picks them from its keyword arguments."""
    policy: Mapping[str, Json] = field(default_factory=dict)
    """Every option of the verifier with its default; recipes can set no other."""
    cases: Callable[[Task], Sequence[Json]] | None = None
    """task -> its tests one by one, each in a form of `Task.tests`, for rewards that give partial credit."""
    check_steps: CheckSteps | None = None
    """Labels the steps of a solution for process rewards, without a teacher: see docs/reward.md."""
    reference_in: Callable[[str], str | None] | None = None
    """The reference that a worked solution states in so many words, or None; asked of the answers of seeds that bring none."""
    route: Route | None = None
    """Tells the ways of several verified answers apart, so that a dataset takes different ones first."""
    preload: tuple[str, ...] = ()
    """Modules that worker processes import once, e.g. ("sympy",)."""
    known_answers: Callable[[], Iterable[KnownAnswers]] | None = None
    """Right and wrong answers to some tasks, which `evoltune domains check` tries on `verify`."""
    stand_in: Callable[[Task, str], str] | None = None
    """(seed's task, name in `evidence`) -> what a good teacher would reply; the teacher of `evoltune rehearse` says it."""


def installed() -> dict[str, str]:
    """Entry-point names of the installed domains, with the object that each points to. Imports none of them."""
    return {e.name: e.value for e in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda e: e.name)}


def load_domain(ref: str) -> Domain:
    """Loads a domain.

    Args:
        ref: an entry-point name, `module:attribute`, or the path of a package folder or of a project that holds one.

    Raises:
        DomainError: it is unknown, cannot be imported, is not a Domain, or has another api_version.
    """
    is_folder = (
        Path(ref).is_dir() and ref not in installed()
    )  # a folder `code` here does not hide the domain of that name
    looks_like_path = ref.startswith((".", "/", "~")) or is_folder
    if looks_like_path:
        found: object = _from_path(user_path(ref))
    elif ":" in ref:
        found = _from_attribute(ref, where=f"domain {ref!r}")
    else:
        value = entry_point_of(ref)
        found = _from_attribute(value, where=f"domain {ref!r} (entry point {value!r})")
    if not isinstance(found, Domain):
        raise DomainError(f"domain {ref!r} is a {type(found).__name__}, not an evoltune.Domain")
    if found.api_version != API_VERSION:
        raise DomainError(
            f"domain {found.name!r} has api_version {found.api_version}, this evoltune supports {API_VERSION}: "
            "install versions that match"
        )
    return found


@lru_cache(maxsize=64)
def entry_point_of(name: str) -> str:
    """The value of the entry point. Cached, because listing the entry points takes milliseconds; a miss is not cached."""
    known = installed()
    if name not in known:
        raise DomainError(f"unknown domain {name!r}: {nearest(name, known)}; or give module:attribute or ./path")
    return known[name]


def _from_attribute(value: str, where: str) -> object:
    module, _, attribute = value.partition(":")
    loaded = imported(module, where)
    if not hasattr(loaded, attribute):
        raise DomainError(f"{where}: module {module!r} has no attribute {attribute!r}")
    return getattr(loaded, attribute)


def _from_path(path: Path) -> object:
    path = path.resolve()
    if not path.is_dir():
        todo = "give the package folder or the project that holds it"
        raise DomainError(f"domain path {str(path)!r} is not a folder: {todo}")
    inner = sorted(p.parent for p in [*path.glob("*/__init__.py"), *path.glob("src/*/__init__.py")])
    for package in (path, *inner):
        if not (package / "__init__.py").exists() or package.name == "tests":
            continue
        module = _import_from(package)
        if hasattr(module, "domain"):
            return module.domain
    raise DomainError(f"no package with an attribute `domain` under {str(path)!r}")


def _import_from(package: Path) -> Any:
    """Imports the package in this folder, even when one of the same name was imported from elsewhere."""
    parent = str(package.parent)
    if parent in sys.path:
        sys.path.remove(parent)
    sys.path.insert(0, parent)
    loaded = sys.modules.get(package.name)
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "").parent != package:
        for name in [n for n in sys.modules if n == package.name or n.startswith(f"{package.name}.")]:
            del sys.modules[name]
    importlib.invalidate_caches()
    return imported(package.name, f"domain at {str(package)!r}")


def author_code(domain: Domain, function: str) -> AbstractContextManager[None]:
    """Around a call of one of the domain's functions: whatever it does besides coming back is a DomainError with its name and line."""
    return author_call(f"domain {domain.name!r}: {function}", package_of(domain))


_END: Any = object()


def seeds_of(domain: Domain) -> Iterator[Record]:
    """`Domain.seeds()`; whatever else it does is a DomainError."""
    with author_code(domain, "seeds"):
        seeds = iter(domain.seeds())
    while True:
        with author_code(domain, "seeds"):
            seed = next(seeds, _END)
            if seed is not _END and not isinstance(seed, Record):
                raise TypeError(f"a seed is a {type(seed).__name__}, not a Record")
        if seed is _END:
            return
        yield seed


def package_of(domain: Domain) -> str:
    """The top-level package that holds the domain's verifier."""
    function: Any = domain.verify
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    return str(function.__module__).partition(".")[0]


def source_hash(domain: Domain) -> str:
    """16 hex digits over the files of the domain's package, code, prompts and data: with a changed verifier, stored verdicts
    no longer count."""
    package = package_of(domain)
    spec = None if package == "__main__" else importlib.util.find_spec(package)
    sha = hashlib.sha256(f"{domain.name}/{domain.api_version}".encode())
    roots = list(spec.submodule_search_locations or ()) if spec else []
    files = [p for root in roots for p in sorted(Path(root).rglob("*")) if _is_source(p, Path(root))]
    if spec and spec.origin and not roots:
        files = [Path(spec.origin)]
    script = getattr(sys.modules["__main__"], "__file__", None)
    if package == "__main__" and script:  # a domain that is defined in a script
        files = [Path(script)]
    for file in files:
        sha.update(file.name.encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:16]


def _is_source(path: Path, root: Path) -> bool:
    """Whether a file below a package is part of its verifier: not what Python, an editor or a version control system left there."""
    parts = path.relative_to(root).parts
    is_left = any(part.startswith(".") or part in ("__pycache__", KNOWN_ANSWERS) for part in parts)
    return not is_left and not path.name.endswith((".pyc", "~", ".tmp")) and path.is_file()


def policy_of(domain: Domain, chosen: Mapping[str, Json]) -> dict[str, Json]:
    """`Domain.policy` overlaid with a recipe's `verify.policy`. Raises DomainError for an option that the domain lacks."""
    for key in chosen:
        if key not in domain.policy:
            near = nearest(key, domain.policy)
            raise DomainError(f"verify.policy.{key}: the domain {domain.name!r} has no such policy: {near}")
    return {**domain.policy, **chosen}


def check_policy(domain: Domain, chosen: Mapping[str, Json]) -> None:
    """Raises DomainError for an option that the domain lacks, a value of another type than the default's, and a value that its
    verifier refuses whatever the answer."""
    for key, value in chosen.items():
        if key in domain.policy and (kind := _other_type(domain.policy[key], value)):
            raise DomainError(f"verify.policy.{key}: {value!r} must be {kind}, as in {key}={domain.policy[key]}")
    refused = _refusal(domain, policy_of(domain, chosen)) if chosen else ""
    if refused and refused != _refusal(domain, domain.policy):
        raise DomainError(refused)


def _other_type(default: Json, value: Json) -> str:
    """The name of the default's type where the value has another one, else ""."""
    kinds: dict[type, tuple[str, tuple[type, ...]]] = {
        bool: ("true or false", (bool,)), int: ("a number", (int, float)), float: ("a number", (int, float)),
        str: ("a string", (str,)), list: ("a list", (list, tuple)), tuple: ("a list", (list, tuple)), dict: ("an object", (dict,)),
    }  # fmt: skip
    name, allowed = kinds.get(type(default), ("", (object,)))
    fits = isinstance(value, allowed) and (bool in allowed or object in allowed or not isinstance(value, bool))
    finite = not isinstance(value, float) or math.isfinite(value)
    return "" if fits and finite else name or "finite"


def _refusal(domain: Domain, policy: Mapping[str, Json]) -> str:
    """The DomainError that `verify` raises for an empty answer to an empty task, or "". No program runs."""
    try:
        with Inside("verify"):
            domain.verify(
                Task(instruction=""), "", Context(run=lambda job: Verdict(status="unverifiable"), policy=policy)
            )
    except FAILURES as error:
        return str(error) if isinstance(error, DomainError) else ""
    return ""


def to_task(domain: Domain, row: Mapping[str, Any], where: str = "row") -> Task:
    """The task in a row of any origin; every row that a user brings becomes a Task here.

    Reads `instruction` (or `prompt`, `question`, `problem`), `reference`, `tests`, the domain's columns and `id` or `name`.
    Raises DataError that names `where`.
    """
    names = ("instruction", "prompt", "question", "problem")
    reference = row.get("reference")
    if isinstance(reference, bool) or not isinstance(reference, str | int | float | None):
        kind = type(reference).__name__
        raise DataError(f"{where}: column 'reference' is a {kind}, must be a string or a number")
    return Task(
        instruction=next((row[name] for name in names if isinstance(row.get(name), str)), ""),
        reference=None if reference is None else str(reference),
        tests=row.get("tests"),
        fields={k: row[k] for k in domain.columns if row.get(k) is not None},
        name=str(next((row[k] for k in ("id", "name") if row.get(k) not in (None, "")), "")),
    )
