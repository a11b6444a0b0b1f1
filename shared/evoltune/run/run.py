"""A run: a recipe in its folder, with what the two imply; and what is checked before anything is written.

work = Run(recipe=load_recipe("smoke/math"), folder=Path("runs/smoke-math"))
work.check(("evolve", "verify"))
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import msgspec

from evoltune.cluster.ray_engine import check_address
from evoltune.domain import Domain, check_policy, load_domain, source_hash
from evoltune.errors import DataError, RecipeError, WorkError, naming
from evoltune.evaluate.prompts import refuse_other_prompt
from evoltune.evaluate.score import is_open, profile_of
from evoltune.evaluate.suites import Suite, load_suite, refuse_twice
from evoltune.evolve.bootstrap import check_bootstrap
from evoltune.evolve.loop import evolve_step, operators_of
from evoltune.evolve.tries import check_tries
from evoltune.recipe import Recipe, dump_recipe
from evoltune.record import Task, digest
from evoltune.rows.dataset_info import refuse_unfit
from evoltune.rows.files import read_json, write_file
from evoltune.rows.readers import read_located
from evoltune.rows.records import seed_records
from evoltune.run.dev_suite import refuse_overlap, refuse_reported
from evoltune.run.later_stages import check_later
from evoltune.run.named_files import check_named_files, content_of
from evoltune.run.paths import CHECKPOINT, DATASET, MANIFEST, RECIPE, RL, STORE, user_path
from evoltune.run.store import Step, Store
from evoltune.teacher.reachable import check_reachable
from evoltune.train.job import make_job, refuse_replacement, rows_of
from evoltune.train.preflight import check_base, check_machine, check_setup
from evoltune.train.rl.launch import check_rl
from evoltune.train.sft.examples import messages_of
from evoltune.verification.checker import Checker, core_version, open_checker

STAGES = ("evolve", "verify", "build", "train", "reward", "rl", "eval", "report")
"""Every stage in order; `reward` and `rl` only where the recipe has these sections."""
BUILT, MIXED = "built", "mixed"
BEST_ROUND, BEST_BY = "evol_stop:best", "settings of evol_stop:best"
_CHECKED_ROWS = 1000  # of a training set, before anything starts; the trainer checks all


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe and its folder. Properties are computed on first use."""

    recipe: Recipe
    folder: Path
    allow_uncertified: bool = False
    upto: int = 0
    """Only the first rounds (evol-stop); 0: all."""
    outputs: Path | None = None
    """Where dataset and checkpoint go when not into the run's folder."""

    @property
    def limit(self) -> int:
        """The last round whose rows count."""
        return self.upto or self.recipe.evolve.rounds

    @property
    def dataset(self) -> Path:
        return (self.outputs or self.folder) / DATASET

    @property
    def checkpoint(self) -> Path:
        return (self.outputs or self.folder) / CHECKPOINT

    @property
    def final(self) -> Path:
        """What is measured and handed on: RL's checkpoint where the recipe has `rl:`."""
        return self.folder / RL if self.recipe.rl else self.checkpoint

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that this recipe has, in order; with rows of its own (`train.dataset`) those from training on."""
        absent = {name for name in ("reward", "rl") if getattr(self.recipe, name) is None}
        first = STAGES.index("train") if self.recipe.train.dataset else 0
        return tuple(stage for stage in STAGES[first:] if stage not in absent)

    @property
    def training_data(self) -> str:
        """What is trained on: `train.dataset`, else the run's own dataset."""
        return self.recipe.train.dataset or str(self.dataset)

    @property
    def has_store(self) -> bool:
        """Whether there is a store. An empty file is none: SQLite would begin a new one in it."""
        file = self.folder / STORE
        return file.is_file() and file.stat().st_size > 0

    @cached_property
    def domain(self) -> Domain:
        return load_domain(self.recipe.domain)

    @cached_property
    def suites(self) -> dict[str, Suite]:
        """The suites of `eval:` by name."""
        with naming("eval.suites"):
            refuse_twice(self.recipe.eval.suites, self.recipe.domain)
        return {name: self._suite(name, "eval.suites") for name in self.recipe.eval.suites}

    @cached_property
    def targets(self) -> dict[str, Sequence[Task]]:
        """Tasks that no training row may give away: those of the suites and of the suites that choose rounds or checkpoints."""
        chosen_by = {"evolve.stop_on": self.recipe.evolve.stop_on, "train.dev_suite": self.recipe.train.dev_suite}
        suites = self.suites | {name: self._suite(name, key) for key, name in chosen_by.items() if name}
        return {name: tuple(suite.tasks) for name, suite in suites.items()}

    def _suite(self, name: str, key: str) -> Suite:
        data = Path(self.recipe.eval.data) if self.recipe.eval.data else None
        with naming(key):
            return load_suite(name, data, domain=self.recipe.domain)

    @cached_property
    def source(self) -> str:
        """The hash of the domain's files when the run began."""
        return source_hash(self.domain)

    def unedited(self) -> "Run":
        """This run. Raises WorkError when the domain's files were changed since it began: rows of the version that grew them
        would be missed by the version that verifies."""
        if source_hash(self.domain) != self.source:
            raise WorkError(
                f"domain {self.domain.name!r}: its files were changed while this run was at work: what was done is kept; run the same "
                "command again (paid replies are used again where the prompts are the same)"
            )
        return self

    # ---- steps and versions

    @cached_property
    def evolve_step(self) -> Step:
        return evolve_step(self.recipe, self.domain, self.limit)

    @cached_property
    def verify_step(self) -> Step:
        """Its version covers the verifier's source, the policy and the limits: a changed verifier judges anew."""
        settings = msgspec.to_builtins(self.recipe.verify)
        limits = {k: v for k, v in settings.items() if k != "workers"} | {"core": core_version()}
        version = digest([self.evolve_step.version, self.source, limits])
        return Step(name="verify", version=version, before=self.evolve_step, upto=self.limit)

    def dataset_version(self, mixed: Sequence[str]) -> str:
        """Covers everything that the dataset depends on; noted in the store when the dataset is complete. `mixed`: what each
        source of the mix holds, by `mixed_rows`: where it is does not count."""
        recipe = self.recipe
        stop = (recipe.evolve.rounds, recipe.evolve.stop_on, recipe.evolve.stop_by)
        curate = msgspec.to_builtins(recipe.curate)
        if recipe.curate.mix:
            curate["mix"] = [{**source, "path": rows} for source, rows in zip(curate["mix"], mixed, strict=True)]
        return digest([self.verify_step.version, curate, recipe.seed, stop, recipe.teacher.terms])

    def mixed_rows(self, known: Sequence[str] = ()) -> list[str]:
        """What each source of the mix holds: of a file or a folder a digest, else the address. One that is gone is taken to hold
        what it did (`known`), so that a dataset can be trained on where its sources are not."""
        return [
            content_of(source.path) or (known[i] if i < len(known) else "")
            for i, source in enumerate(self.recipe.curate.mix)
        ]

    def note_built(self, store: Store) -> None:
        """Records that the dataset is complete, and what it was built of."""
        mixed = self.mixed_rows()
        store.note(MIXED, mixed)
        store.note(BUILT, self.dataset_version(mixed))

    def is_built(self, store: Store) -> bool | None:
        """Whether the dataset there is this recipe's; None where none was finished."""
        built = store.noted(BUILT)
        return None if built is None else built == self.dataset_version(self.mixed_rows(store.noted(MIXED) or ()))

    @cached_property
    def scoring_version(self) -> str:
        """Covers everything that a round's score depends on (evol-stop)."""
        recipe = self.recipe
        parts = [recipe.curate, recipe.eval, *([recipe.train] if recipe.evolve.stop_by == "train" else [])]
        stop = (recipe.evolve.stop_on, recipe.evolve.stop_by, recipe.seed, recipe.teacher.terms)
        return digest([self.verify_step.version, stop, *map(msgspec.to_builtins, parts)])

    def note_best_round(self, store: Store, best: int) -> None:
        """Records the round that evol-stop chose, with the settings by which it did."""
        store.note(BEST_ROUND, best)
        store.note(BEST_BY, self.scoring_version)

    def best_round(self, store: Store) -> int:
        """The round that evol-stop chose by these settings; 0 when the recipe has no evol-stop. Raises DataError: not run."""
        if not self.recipe.evolve.stop_on:
            return 0
        if store.noted(BEST_BY) != self.scoring_version:
            raise DataError(f"{self.folder}: evol-stop scored no round by these settings: run `evoltune evolve` first")
        return int(store.noted(BEST_ROUND))

    def is_trained(self) -> bool:
        """Whether the checkpoint is complete, of this recipe, and trained on the dataset as it is now."""
        manifest = read_json(self.checkpoint / MANIFEST)
        if manifest is None:
            return False
        job = make_job(self.recipe, rows_of(self.training_data), "", self.checkpoint, None)
        return bool(manifest.get("fingerprint") == job.fingerprint)

    def checker(self, *, confirm: bool = False) -> AbstractContextManager[Checker]:
        """Opens the verifier with the recipe's limits. `confirm`: with the checks that need several answers."""
        return open_checker(self.recipe.domain, self.recipe.verify, confirm=confirm)

    def write_recipe(self) -> None:
        """Writes the resolved recipe, so that the run can be repeated from its own folder."""
        write_file(self.folder / RECIPE, dump_recipe(self.recipe, self.folder))

    # ---- checks

    def check(self, stages: Sequence[str]) -> None:
        """Raises the first error that the stages would run into later: domain, policy, suites, seeds, stale results."""
        self.unedited()
        check_policy(self.domain, self.recipe.verify.policy)
        check_named_files(self.recipe, stages)
        if "evolve" in stages and not self.has_store and (self.folder / DATASET / MANIFEST).is_file():
            raise DataError(
                f"{self.folder}: a finished dataset is there, but {STORE} is missing or empty, so every reply would be paid again: "
                "restore it (`evoltune runs fetch`), or give another --out"
            )
        if stages and stages[0] in ("verify", "build") and not self.has_store:
            raise DataError(f"{self.folder}: nothing was evolved there: run `evoltune evolve` first, or name its --out")
        self._refuse_stale(stages)
        if "train" in stages:
            self._check_training(stages)
        dev = self.recipe.evolve.stop_on
        if dev:
            refuse_reported("evolve.stop_on", dev, self.recipe)
        if {"build", "eval"} & set(stages):
            _ = self.suites
        if dev:
            suites = {name: suite.tasks for name, suite in self.suites.items()}
            refuse_overlap(dev, self.targets[dev], suites)
        if "train" in stages:
            check_setup(self.recipe, self.checkpoint)
            check_base(self.recipe, self.checkpoint)
        if "rl" in stages:
            check_rl(self.recipe)
        check_later(self.recipe, stages)
        if "eval" in stages:
            self._check_prompts(stages)
        if "evolve" in stages:
            operators_of(self.recipe, self.domain)
            check_tries(self.recipe.evolve)
            # Reads every seed, so that a bad line is reported before anything is written.
            with naming("seeds.path" if self.recipe.seeds.path else ""):
                count = sum(1 for _ in seed_records(self.recipe, self.domain))
            if not count:
                raise DataError(f"seeds: domain {self.domain.name!r} and seeds.path give no seed at all")
            check_bootstrap(self.recipe.seeds, count)
        self._check_judge(stages)

    def _refuse_stale(self, stages: Sequence[str]) -> None:
        """Raises DataError when an earlier recipe's rows would be missed, its dataset trained on, or its checkpoint scored."""
        if stages and stages[0] in ("verify", "build"):
            with Store.read(self.folder) as store:
                self._refuse_unfinished(store, stages[0])
        own_dataset = not self.recipe.train.dataset
        if "train" in stages and "build" not in stages and own_dataset and self.has_store:
            with Store.read(self.folder) as store:
                is_built = self.is_built(store)
            if is_built is False:
                raise DataError(
                    f"{self.folder / DATASET}: built by other settings (seeds, teacher, evolve, verify or curate) than "
                    "this recipe's: run evolve, verify and build again, or give another --out"
                )
        scores_old = "eval" in stages and "train" not in stages and self.recipe.eval.engine != "http"
        if scores_old and read_json(self.checkpoint / MANIFEST) is not None and not self.is_trained():
            raise DataError(
                f"{self.folder / CHECKPOINT}: trained by other settings or on another dataset than this recipe's: "
                "run `evoltune train` first, or give another --out"
            )

    def _refuse_unfinished(self, store: Store, stage: str) -> None:
        """Raises DataError when the rows that `stage` would take were not made by these settings, or not all of them."""
        work = replace(self, upto=self.upto or self.best_round(store))
        steps = work.verify_step.chain() if stage == "build" else work.evolve_step.chain()
        known = store.steps()
        for step in reversed(steps):
            first, done = ("verify", "verified") if step.name == "verify" else ("evolve", "evolved")
            is_begun = step.key in known and (step.before is not None or store.planned(step) is not None)
            if known and not is_begun:
                raise DataError(
                    f"{self.folder}: no rows were {done} there by these settings and this version of the domain: run "
                    f"`evoltune {first}` first (paid replies are used again), or give another --out"
                )
            if is_begun and (pending := store.ledger(step)["pending"]) > 0:
                raise DataError(f"{self.folder}: {pending} rows are not {done} yet: run `evoltune {first}` first")

    def _check_prompts(self, stages: Sequence[str]) -> None:
        """Raises for a profile that there is not, and where a suite would prompt the trained model with another text than training
        does."""
        train = self.recipe.train
        for suite in self.suites.values():
            with naming("eval.profile" if self.recipe.eval.profile else ""):
                label, profile = profile_of(suite, self.recipe.eval.profile or suite.profile)
            with naming("eval.beside"):
                for name in self.recipe.eval.beside:
                    profile_of(suite, name)
            if "train" in stages:
                refuse_other_prompt(label, profile, train.template, self.recipe.eval, train.system_prompt)

    def _check_training(self, stages: Sequence[str]) -> None:
        """Raises when the training rows are not there or the first of them cannot be trained on, and when another training's
        checkpoint is in the way."""
        given, content = self.recipe.train.dataset, None
        if given or "build" not in stages:
            if not given and not self.dataset.is_dir():
                raise DataError(
                    f"{self.dataset}: nothing was built there: run `evoltune build` first, or give train.dataset"
                )
            rows = rows_of(self.training_data)
            with naming(
                "train.dataset" if given and not user_path(rows).exists() else ""
            ):  # errors of rows name the file
                refuse_unfit(rows)
                checked = [messages_of(row, where) for where, row in islice(read_located(rows), _CHECKED_ROWS)]
                if not checked:
                    raise DataError(f"{rows}: holds no row to train on")
            content = make_job(self.recipe, rows, "", self.checkpoint, None).content
        elif self.has_store and read_json(self.checkpoint / MANIFEST) is not None:
            with Store.read(self.folder) as store:
                is_other = bool(store.noted(BUILT)) and not self.is_built(store)
            if is_other:
                raise RecipeError(
                    f"{self.checkpoint}: holds a finished checkpoint of another dataset, and this recipe's settings (seeds, "
                    "teacher, evolve, verify or curate) would build a new one: give another --out, or move that folder away"
                )
        refuse_replacement(self.recipe, self.checkpoint, content)

    def _check_judge(self, stages: Sequence[str]) -> None:
        """Raises when the judge's key, address or suites are wrong, when there is nothing to compare with, and when an open suite
        is to choose a round or a checkpoint without a judge."""
        judge, choices = self.recipe.eval.judge, self._choices(stages)
        is_needed = self._choose_openly(choices) or "eval" in stages
        if judge is None or not is_needed:
            return
        check_reachable(judge.teacher, "eval.judge.teacher")
        names = {name.rpartition("/")[2] for name in choices.values()} | {suite.name for suite in self.suites.values()}
        for name in judge.suites:
            if name.rpartition("/")[2] not in names:
                raise RecipeError(f"eval.judge.suites: {name!r} is not one of eval.suites: {', '.join(sorted(names))}")
        if "eval" in stages and not self.recipe.eval.baseline and not judge.baselines:
            raise RecipeError(
                "eval.judge: nothing to compare the trained model with: set eval.baseline: true, or name eval.judge.baselines"
            )

    def _choices(self, stages: Sequence[str]) -> dict[str, str]:
        """key of the recipe -> suite, of the suites that choose something in these stages."""
        recipe, chosen = self.recipe, {}
        rounds = "evolve" in stages and recipe.evolve.stop_by == "train"
        if rounds and recipe.evolve.stop_on:
            chosen["evolve.stop_on"] = recipe.evolve.stop_on
        if recipe.train.checkpoint_select == "generations" and ("train" in stages or chosen):
            chosen["train.dev_suite"] = recipe.train.dev_suite
        return chosen

    def _choose_openly(self, chosen: Mapping[str, str]) -> bool:
        """Whether one of these suites (key -> name) is open. Raises RecipeError when there is no judge for it."""
        found = [key for key, name in chosen.items() if is_open(self._suite(name, key), self.recipe.verify)]
        if found and self.recipe.eval.judge is None:
            raise RecipeError(
                f"{found[0]}: no verifier can judge answers to {chosen[found[0]]!r}, so it cannot choose: name a judge (eval.judge), "
                "or another suite"
            )
        return bool(found)

    def check_here(self, stages: Sequence[str]) -> None:
        """Raises what this machine lacks for the stages: a GPU that training needs, a teacher that answers."""
        if "train" in stages:
            check_machine(self.recipe)
        if self.recipe.compute.engine == "ray":
            check_address(self.recipe.compute.ray_address)
        if "evolve" in stages and not self.has_store:
            self.check_teacher()

    def check_teacher(self) -> None:
        """Raises when keys, addresses or the cassette are wrong. Engines that load a model are left to evolve."""
        check_reachable(self.recipe.teacher, "teacher")
