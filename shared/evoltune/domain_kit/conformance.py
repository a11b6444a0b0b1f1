"""The conformance suite of domains, behind `evoltune domains check`.

    for finding in check_domain("sql"): print(finding.ok, finding.name, finding.detail, finding.where, finding.todo)

Each check is a law that every shipped domain keeps; a broken law names the smallest example, its file and line, and what to
do. The domain's functions run in processes of their own (`probe`), which watch what they do besides returning a value: a
function that hangs, exits or connects is a finding, never the end of the check. A law that looked at nothing has `ok=None`.
"""

import contextlib
import sys
from collections.abc import Iterator

from evoltune.domain import load_domain
from evoltune.domain_kit import declared, prompts
from evoltune.domain_kit.carried import Carried
from evoltune.domain_kit.cheats import Cheats
from evoltune.domain_kit.children import laws_of_children
from evoltune.domain_kit.confirming import Confirming
from evoltune.domain_kit.costs import costs, too_dear
from evoltune.domain_kit.findings import Finding, Sources, broken, holds, shown, unchecked
from evoltune.domain_kit.hooks import FORM_ONLY, Hooks, side_effects
from evoltune.domain_kit.judging import CHECK_S, FORM, Allowance, Judged, Laws
from evoltune.domain_kit.known import laws_of_known
from evoltune.domain_kit.moments import laws_of_moments
from evoltune.domain_kit.near_misses import mutants
from evoltune.domain_kit.probing import WRONG_S, Jobs, Outcome, Probe
from evoltune.domain_kit.programs import Programs
from evoltune.domain_kit.reasons import laws_of_reasons
from evoltune.domain_kit.rewrites import Rewrites
from evoltune.domain_kit.seeds import laws_of_seeds
from evoltune.domain_kit.small_hooks import SmallHooks
from evoltune.domain_kit.suites import Suites
from evoltune.record import Record, Task
from evoltune.run.paths import user_path

__all__ = ["FORM", "Finding", "check_domain", "mutants"]


def check_domain(ref: str, seconds: float = CHECK_S) -> Iterator[Finding]:
    """All findings, in a fixed order; the check ends early where nothing more can be looked at.

    Args:
        ref: the domain, as `load_domain` takes it.
        seconds: about how long the check may take; a slow verifier is tried on fewer answers.

    Raises DomainError where there is no such domain.
    """
    sources, jobs = Sources.of(ref), Jobs()
    if sources.is_path:
        ref = str(user_path(ref).resolve())  # the probes have a working directory of their own
    roots = list(sources.roots)
    try:
        with (
            Probe(ref, roots, jobs) as first,
            Probe(ref, roots, jobs, hash_seed=1, elsewhere=True, hidden=sources.optional()) as second,
        ):
            yield from _Check(ref, sources, first, second).findings(Allowance(seconds, (first, second)))
    finally:
        jobs.close()


class _Check:
    def __init__(self, ref: str, sources: Sources, first: Probe, second: Probe) -> None:
        self.ref, self.sources, self.first, self.second = ref, sources, first, second

    def findings(self, time: Allowance) -> Iterator[Finding]:
        law = "the package can be imported"
        if self.first.imported.kind:
            yield self._not_imported(law, self.first.imported)
            return
        if self.second.imported.kind:  # at the first import it could
            yield self._not_imported(law, self.second.imported)
            return
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is a finding of its own
            domain = load_domain(self.ref)
        yield holds(law, self.sources.start())
        fields = list(declared.laws_of_fields(domain, self.sources))
        yield from fields
        if not all(f.ok for f in fields):
            return
        outcome = self.first.call("seeds", name="seeds")
        seeds: list[Record] = outcome.value or []
        hooks = Hooks(domain, self.sources, self.first, self.second, time, seeds)
        if outcome.kind:
            todo = "seeds must give Records, whatever the machine and the moment"
            yield broken(
                "seeds can be read", outcome.error, shown(outcome.where) or self.sources.function(domain.seeds), todo
            )
        else:
            yield from laws_of_seeds(domain, seeds, self.sources)
            yield from hooks.stable_seeds()
        yield from declared.laws_of_package(domain, self.sources, self.first.imported)
        yield from prompts.laws_of_prompts(domain, self.sources)
        yield from declared.laws_of_options(domain, self.sources)
        problems: list[Task] = []
        yield from Suites(domain, self.sources, self.first, self.second, time, seeds).benchmarks(problems)
        yield from prompts.laws_of_what_prompts_hold(domain, problems, self.sources)
        laws = Laws(domain, self.sources, self.first, self.second, time)
        judged = Judged()
        yield from self._verifier(laws, judged, seeds, problems)
        rewrites = Rewrites(domain, self.sources, self.first, self.second, time, seeds)
        yield from rewrites.findings()
        if judged.right:  # else the same would be found again
            yield from laws_of_children(laws, rewrites.children)
        yield from Confirming(hooks).findings(judged)
        yield from hooks.overlaps(problems)
        yield from hooks.eliminators()
        yield from SmallHooks(domain, self.sources, self.first, self.second, time, seeds).findings(judged)
        for probe in (self.first, self.second):
            probe.call("state", name="a function")
        tasks = [*(s.task for s in seeds), *problems]
        yield from declared.laws_of_columns(domain, self.first.fields | self.second.fields, tasks, self.sources)
        asked, own = self.first.options | self.second.options, self.first.declared | self.second.declared
        yield from declared.laws_of_read_options(domain, asked, own, self.sources)
        yield from side_effects(self.first.notes | self.second.notes, self.sources.function(domain.verify))

    def _not_imported(self, law: str, outcome: Outcome) -> Finding:
        todo = "correct this line, so that `python -c 'import ...'` of the package works"
        error = outcome.error.removeprefix("import raised ")
        return broken(law, error, shown(outcome.where) or self.sources.start(), todo)

    def _verifier(self, laws: Laws, judged: Judged, seeds: list[Record], problems: list[Task]) -> Iterator[Finding]:
        """The laws of extract and verify; where one call did not come back, the others would wait for it again."""
        found = list(laws.references(seeds, judged))
        yield from found
        tasks = [s.task for s in seeds] or problems
        judges_form = any(f.ok and f.name == "references are accepted" for f in found) and not judged.right
        if dear := too_dear(laws):
            yield dear
            return
        if judged.stopped:
            yield from laws.crashes.values()
            return
        if judges_form:
            yield holds(FORM_ONLY, "content laws do not apply")
        if judged.right:
            yield from laws.forms(judged)
        if judged.right or (laws.domain.known_answers and not judged.silent):
            yield from laws_of_known(laws, judged)
        if judged.right:
            with self.first.jobs.limited(WRONG_S):
                yield from Cheats(laws, judged).findings()
                yield from Programs(laws, judged.right).findings()
            yield from Carried(laws, judged.right).findings()
            yield from laws.without_reference(judged)
            yield from laws.columns_suffice(judged)
        elif any(f.ok is False for f in found):
            yield unchecked("mutated references are rejected", "no reference is accepted yet")
        if judged.silent or not tasks:
            why = "verify judges nothing yet" if tasks else "there is no task to try them on"
            yield unchecked("bad candidates end as verdicts, within the time limit", why)
            yield unchecked("the same answer gets the same verdict", why)
        else:
            with self.first.jobs.limited(WRONG_S):
                yield from laws.hostile(tasks, [(task, candidate) for task, _, candidate in judged.right])
                with self.first.jobs.fresh():
                    yield from laws.deterministic(judged, tasks)
                yield from costs(laws, judged.right, tasks)
                yield from laws_of_reasons(laws, judged)
                yield from laws_of_moments(laws)
        yield from laws.crashes.values()
