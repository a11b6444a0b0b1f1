"""The main path: seeds -> evolve -> verify -> build -> train -> eval -> report.

    run(load_recipe("smoke/math"), Path("runs/smoke-math"))

Every stage can be killed at any moment and run again: what was decided or paid stays. Between the data stages the
store's law holds: in = kept + dropped(by reason), checked as each step ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from evoltune.cluster import engine
from evoltune.domain import Domain, load_domain, policy_of, source_hash
from evoltune.errors import DataError, RecipeError
from evoltune.recipe import Recipe, fingerprint
from evoltune.record import Drop, Record, Stage, Task, digest
from evoltune.rows.files import write_file
from evoltune.run import evol_stop
from evoltune.run.store import FILE, Step, Store, locked

STAGES = ("evolve", "verify", "build", "train", "eval", "report")
COMMIT = 256  # decisions per transaction of a streaming step


def run(
    recipe: Recipe,
    folder: Path,
    stages: Sequence[str] = STAGES,
    *,
    allow_uncertified: bool = False,
    after: Callable[[], object] = lambda: None,
) -> None:
    """Runs the stages in order under the run's lock; calls `after` as each ends. Everything that can be wrong is checked
    before anything is written."""
    work = Run(recipe=recipe, folder=folder, allow_uncertified=allow_uncertified)
    work.check(stages)
    if "evolve" in stages and not (folder / FILE).is_file():
        work.check_teacher()
    with locked(folder, "run.lock"), engine.using(recipe.compute.engine, recipe.compute.ray_address):
        work.write_recipe()
        for stage in stages:
            _say(f"[{stage}] {folder}")
            _STAGES[stage](work)
            after()


def default_folder(recipe: Recipe) -> Path:
    return Path("runs") / recipe.name


def run_stage(recipe: Recipe, stage: str, folder: Path | None = None) -> None:
    """One stage of a recipe in its run directory (default: runs/NAME)."""
    run(recipe, folder or default_folder(recipe), (stage,))


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe, its directory and what they imply; cheap until a property is asked for."""

    recipe: Recipe
    folder: Path
    allow_uncertified: bool = False
    upto: int = 0
    """Only the first rounds (evol-stop); 0: all."""
    outputs: Path | None = None
    """Where dataset and checkpoint go when not into the run directory itself."""

    @property
    def place(self) -> Path:
        return self.outputs or self.folder

    @cached_property
    def domain(self) -> Domain:
        return load_domain(self.recipe.domain)

    @cached_property
    def suites(self) -> dict[str, Any]:
        """The suites of `eval:`, by name; each brings its tasks, hash and profile."""
        return {name: self._suite(name) for name in self.recipe.eval.suites}

    @cached_property
    def targets(self) -> dict[str, Sequence[Task]]:
        """Tasks that no training row may give away: the suites, and the dev suite of evol-stop."""
        found = {name: tuple(suite.tasks) for name, suite in self.suites.items()}
        dev = self.recipe.evolve.stop_on
        return found | ({dev: tuple(self._suite(dev).tasks)} if dev else {})

    def _suite(self, name: str) -> Any:
        from evoltune.evaluate.suites import load_suite

        data = Path(self.recipe.eval.data) if self.recipe.eval.data else None
        return load_suite(name, data, domain=self.recipe.domain)

    def check(self, stages: Sequence[str]) -> None:
        """Raises the first thing that would fail later: domain, policy, suites, seeds."""
        policy_of(self.domain, self.recipe.verify.policy)
        if stages and stages[0] in ("verify", "build") and not (self.folder / FILE).is_file():
            raise DataError(
                f"{self.folder}: nothing was evolved there: run `evoltune evolve` first, or name its --out"
            )
        self._refuse_stale(stages)
        if self.recipe.evolve.stop_on in self.recipe.eval.suites:
            raise RecipeError(
                f"evolve.stop_on: {self.recipe.evolve.stop_on!r} is also one of eval.suites: a dev set must not be reported"
            )
        if {"build", "eval"} & set(stages):
            _ = self.suites
        if self.recipe.evolve.stop_on:
            suites = {name: suite.tasks for name, suite in self.suites.items()}
            dev = self.recipe.evolve.stop_on
            evol_stop.refuse_shared(dev, self.targets[dev], suites)
        if "evolve" in stages:
            from evoltune.evolve.loop import operators_of
            from evoltune.rows.records import seed_records

            operators_of(self.recipe, self.domain)
            # Reads every line, so that a bad one is named before anything is written.
            found = sum(1 for _ in seed_records(self.recipe, self.domain))
            if not found:
                raise DataError(f"seeds: domain {self.domain.name!r} and seeds.path give no seed at all")

    def check_teacher(self) -> None:
        """For a fresh run: keys, addresses, cassette. Engines that load a model are left to the stage itself."""
        from evoltune.teacher.stack import open_teacher

        async def opened() -> None:
            async with open_teacher(self.recipe.teacher):
                pass

        if self.recipe.teacher.kind in ("http", "replay"):
            asyncio.run(opened())
        addresses = [endpoint.url for endpoint in self.recipe.teacher.endpoints]
        if self.recipe.teacher.kind == "http" and not any(_answers(url) for url in addresses):
            raise RecipeError(
                f"teacher.endpoints: nothing answers at {', '.join(addresses)}: start an OpenAI-compatible server there "
                "(for instance `vllm serve MODEL`), or use teacher.kind: embedded"
            )

    def _refuse_stale(self, stages: Sequence[str]) -> None:
        """What an earlier recipe left in the directory is never trained on or scored as this recipe's own."""
        own = not self.recipe.train.dataset
        if "train" in stages and "build" not in stages and own and (self.folder / FILE).is_file():
            with Store.read(self.folder) as store:
                built = store.noted("built")
            if built is not None and built != self.built:
                raise DataError(
                    f"{self.folder / 'dataset'}: built by other settings (seeds, teacher, evolve, verify or curate) than "
                    "this recipe's: run evolve, verify and build again, or give another --out"
                )
        after_train = "eval" in stages and "train" not in stages and self.recipe.eval.engine != "http"
        if after_train and (self.place / "checkpoint" / "manifest.json").is_file() and not self.trained:
            raise DataError(
                f"{self.folder / 'checkpoint'}: trained by other settings or on another dataset than this recipe's: "
                "run `evoltune train` first, or give another --out"
            )

    @property
    def built(self) -> str:
        """Names what the dataset depends on; noted when it stands whole."""
        return digest([self.verify_step.version, msgspec.to_builtins(self.recipe.curate), self.recipe.seed])

    @property
    def trained(self) -> bool:
        """Whether the checkpoint is the finished one of this recipe on the dataset that is there now."""
        from evoltune.train.job import make_job, rows_of

        rows = rows_of(self.recipe.train.dataset or str(self.place / "dataset"))
        try:
            text = (self.place / "checkpoint" / "manifest.json").read_text(encoding="utf-8")
            found = json.loads(text).get("fingerprint")
        except (OSError, ValueError):
            return False
        return bool(found == make_job(self.recipe, rows, "", self.place / "checkpoint", None).fingerprint)

    def write_recipe(self) -> None:
        """The resolved recipe, so that a run can be repeated from its own directory."""
        path = self.folder / "recipe.yaml"
        text = yaml.safe_dump(msgspec.to_builtins(self.recipe), sort_keys=False, allow_unicode=True)
        write_file(path, text)

    @cached_property
    def evolve_step(self) -> Step:
        from evoltune.evolve.loop import evolve_step

        return evolve_step(self.recipe, self.domain)

    @cached_property
    def verify_step(self) -> Step:
        """Its version hashes the verifier's source, the policy and the limits: a changed verifier judges anew."""
        limits = {k: v for k, v in msgspec.to_builtins(self.recipe.verify).items() if k != "workers"}
        version = digest([self.evolve_step.version, source_hash(self.domain), limits])
        return Step(name="verify", version=version, before=self.evolve_step, upto=self.upto)

    @contextmanager
    def checker(self, *, confirm: bool = False) -> Iterator[Any]:
        from evoltune.verification.checker import open_checker

        with open_checker(self.recipe.domain, self.recipe.verify, confirm=confirm) as checker:
            yield checker


# ---- the stages


def evolve(work: Run) -> None:
    from evoltune.evolve.loop import evolve as grow

    if work.recipe.evolve.stop_on:
        scored = (verify,) if work.recipe.evolve.stop_by == "verify_rate" else (verify, build, train)
        evol_stop.evolve_until_best(
            work,
            lambda store, upto: grow(work.recipe, work.domain, store, max_round=upto),
            lambda limited: evol_stop.dev_score(limited, scored, _measure),
        )
        return
    with Store.open(work.folder) as store:
        grow(work.recipe, work.domain, store)
        for step in reversed(work.evolve_step.chain()):
            _ledger(store, step)


def verify(work: Run) -> None:
    from evoltune.evolve.loop import draws_step
    from evoltune.evolve.yields import operator_yield
    from evoltune.verification.checker import verify_stage

    with Store.open(work.folder) as store, work.checker(confirm=True) as checker:
        apply(store, work.verify_step, verify_stage(checker, work.recipe.verify.keep))
        table = operator_yield(store, draws_step(work.recipe, work.domain), work.verify_step)
        store.note("yields", [asdict(row) for row in table])


def build(work: Run) -> Path:
    from evoltune.curate.certificate import certificate
    from evoltune.curate.stages import curate_stages
    from evoltune.dataset.mix import mix_sources
    from evoltune.dataset.write import write_dataset

    with Store.open(work.folder) as store, work.checker() as checker:
        work = replace(work, upto=work.upto or int(store.noted("evol_stop:best") or 0))
        steps = [work.verify_step]
        stages = curate_stages(
            work.recipe, work.domain, work.verify_step, work.targets, checker, note=store.note
        )
        for step, stage, whole in stages:
            apply(store, step, stage, whole=whole)
            steps.append(step)
        proof = certificate(store, steps, work.recipe, work.suites)
        counts = {step.name: store.ledger(step) for step in reversed(steps[-1].chain())}
        rows, mix = mix_sources(store.kept(steps[-1]), work.recipe, work.domain, work.targets, checker)
        if mix:
            counts["mix"] = dict(mix)
        store.note("ledgers", counts)
        store.note("steps", {step.name: step.key for step in reversed(steps[-1].chain())})
        store.note("built", "")  # until the new one stands whole, whatever is there is nobody's
        written = write_dataset(rows, work.place / "dataset", work.recipe, proof, counts)
        store.note("built", work.built)
        return written


def train(work: Run) -> None:
    from evoltune.evaluate.measure import evaluate as score
    from evoltune.train.launch import train as fine_tune

    dataset = work.recipe.train.dataset or str(work.place / "dataset")
    if not work.trained:  # scores of another checkpoint must not stand beside the new one; its texts stay
        (work.place / "eval" / "after" / "scores.json").unlink(missing_ok=True)
    fine_tune(
        work.recipe, dataset, work.place / "checkpoint", suites=work.suites,
        score=partial(score, baseline=False, allow_uncertified=True), allow_uncertified=work.allow_uncertified,
    )  # fmt: skip


def evaluate(work: Run) -> None:
    from evoltune.evaluate.measure import evaluate as measure
    from evoltune.models.card import write_card

    if work.recipe.eval.baseline:
        measure(
            work.recipe, work.recipe.train.model_name_or_path, work.folder / "eval" / "before", baseline=True
        )
    _measure(
        work.recipe, str(work.folder / "checkpoint"), work.folder / "eval" / "after",
        baseline=False, allow_uncertified=work.allow_uncertified,
    )  # fmt: skip
    write_card(work.folder / "checkpoint")  # the model card, now with its scores


def _measure(recipe: Recipe, model: str, out: Path, *, baseline: bool, allow_uncertified: bool) -> None:
    from evoltune.evaluate.measure import evaluate as measure

    measure(recipe, model, out, baseline=baseline, allow_uncertified=allow_uncertified)


def report(work: Run) -> None:
    from evoltune.report.run_page import write_report

    _say(f"report: {write_report(work.folder)}")


_STAGES: Mapping[str, Callable[[Run], object]] = {
    "evolve": evolve, "verify": verify, "build": build, "train": train, "eval": evaluate, "report": report,
}  # fmt: skip


def apply(store: Store, step: Step, stage: Stage, *, whole: bool = False) -> dict[str, int]:
    """Runs a stage over what the step has not decided; `whole`: one transaction, for stages that look at the whole set."""
    results = stage(store.todo(step))
    chunks: Iterable[Iterable[Record | Drop]] = (
        [results] if whole else iter(lambda: list(islice(results, COMMIT)), [])
    )
    for chunk in chunks:
        store.decide(step, chunk)
    return _ledger(store, step)


def _ledger(store: Store, step: Step) -> dict[str, int]:
    counts = store.check_ledger(step)
    dropped = "; ".join(
        f"{n} {reason}" for reason, n in counts.items() if reason not in ("in", "kept", "pending")
    )
    _say(
        f"  {step.name}: {counts['in']} in, {counts['kept']} kept"
        + (f", dropped: {dropped}" if dropped else "")
    )
    return counts


def describe(work: Run, stages: Sequence[str]) -> list[str]:
    """What `--dry-run` prints: the stages, their size, where they write. Touches nothing."""
    recipe = work.recipe
    lines = [f"recipe {recipe.name} ({fingerprint(recipe)}), domain {work.domain.name}, run {work.folder}"]
    if "evolve" in stages:
        from evoltune.rows.records import seed_records

        seeds = sum(1 for _ in seed_records(recipe, work.domain))
        draws = seeds * recipe.evolve.rounds * recipe.evolve.variants
        calls = draws * (1 + int(recipe.evolve.equal_check) + 1)
        lines.append(
            f"evolve: {seeds} seeds, {draws} draws, at most {calls} calls + evidence to {recipe.teacher.kind} {recipe.teacher.model}"
        )
    if "verify" in stages:
        lines.append(
            f"verify: keep {', '.join(recipe.verify.keep)}; isolation at least {recipe.verify.sandbox.require}"
        )
    if "build" in stages:
        targets = ", ".join(f"{k} ({len(v)})" for k, v in work.targets.items())
        lines.append(
            f"build: decontaminate against {targets or 'nothing'}; dataset in {work.folder / 'dataset'}"
        )
    if "train" in stages:
        t = recipe.train
        lines.append(
            f"train: {t.finetuning_type} of {t.model_name_or_path}, DeepSpeed {t.deepspeed}, into {work.folder / 'checkpoint'}"
        )
    if "eval" in stages:
        lines.append(
            f"eval: {', '.join(recipe.eval.suites) or 'no suite'}{' before and after' if recipe.eval.baseline else ''}"
        )
    if "report" in stages:
        lines.append(f"report: {work.folder / 'report.html'}")
    return lines


def _answers(url: str) -> bool:
    """Whether something accepts a connection at a server's address; sends nothing."""
    parts = urlsplit(url)
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), 5
        ):
            return True
    except OSError:
        return False


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def outcome(folder: Path) -> dict[str, Any]:
    """Scores before and after, and where the artefacts are. Empty parts are left out."""
    found: dict[str, Any] = {}
    for label in ("before", "after"):
        path = folder / "eval" / label / "scores.json"
        if path.is_file():
            found[label] = json.loads(path.read_text(encoding="utf-8"))
    for name, path in (
        ("dataset", folder / "dataset" / "manifest.json"),
        ("checkpoint", folder / "checkpoint" / "manifest.json"),
        ("report", folder / "report.html"),
    ):
        if path.is_file():
            found[name] = str(path if name == "report" else path.parent)
    return found


def results(folder: Path) -> list[str]:
    """`outcome` as the lines that end a run."""
    found = outcome(folder)
    scores = [
        f"{label:6} {line}" for label in ("before", "after") for line in _score_lines(found.get(label, {}))
    ]
    return [*scores, *(f"{k}: {v}" for k, v in found.items() if k not in ("before", "after"))]


def _score_lines(scores: Mapping[str, Any]) -> Iterator[str]:
    for suite, entry in scores.get("suites", {}).items():
        for measure, value in entry.get("measures", {}).items():
            low, high = value["interval"]
            yield f"{suite} {measure}: {value['value']:.1%} (95% {low:.1%} to {high:.1%}, n={entry['n']})"
