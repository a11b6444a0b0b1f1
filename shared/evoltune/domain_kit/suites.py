"""Laws of a domain's benchmarks: what each declares, whether its file is the published one, and what the file holds."""

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evoltune.domain import Benchmark
from evoltune.domain_kit.findings import Finding, broken, holds, unchecked
from evoltune.domain_kit.hooks import Hooks
from evoltune.domain_kit.seeds import gives_answer, in_most_rows, is_missing, same_question, unclean
from evoltune.errors import DataError
from evoltune.evaluate.suite_files import candidates, file_hashes, is_published
from evoltune.record import Task

_COPIED = 4 << 20
"""Bytes of a suite's file that is read in two places."""


class Suites(Hooks):
    """The suites of one domain."""

    def benchmarks(self, problems: list[Task]) -> Iterator[Finding]:
        """The laws of each suite whose file is on this machine. `problems`: receives what they hold."""
        for name, benchmark in self.domain.benchmarks.items():
            law, place = f"benchmark {name}", self.sources.named(name)
            wrong = self._declared(law, name, benchmark, place)
            path = next((p for p in candidates(f"{self.domain.name}/{name}", benchmark, None) if p.exists()), None)
            wrong = wrong or self._elsewhere(law, benchmark, path, place)
            if wrong:
                yield wrong
            elif path is None and not Path(benchmark.file).is_absolute():
                yield unchecked(
                    law, f"its file is not on this machine: put {benchmark.file or benchmark.hub} below EVOLTUNE_DATA"
                )
            elif path is None:
                yield broken(
                    law, f"its file {benchmark.file} does not exist", place, "write the file, or correct the path"
                )
            else:
                yield self._suite(law, name, benchmark, path, place, problems)

    def _declared(self, law: str, name: str, benchmark: Benchmark, place: str) -> Finding | None:
        for profile in (benchmark.profile, *benchmark.beside):
            if profile not in self.domain.profiles:
                return broken(
                    law,
                    f"its profile {profile!r} is none of {sorted(self.domain.profiles)}",
                    place,
                    "name a profile of the domain, or add this one",
                )
        if not isinstance(benchmark.sha256, str) or not re.fullmatch(r"([0-9a-f]{64})?", benchmark.sha256):
            return broken(
                law,
                f"sha256 {str(benchmark.sha256)[:80]!r} is no hash",
                place,
                "give 64 hexadecimal digits, or '' where it is unknown",
            )
        if not benchmark.file and not benchmark.hub:
            return broken(law, "it has neither file nor hub", place, "say where its problems are")
        if twice := [
            p for p in (benchmark.profile, *benchmark.beside) if [benchmark.profile, *benchmark.beside].count(p) > 1
        ]:
            return broken(law, f"it is scored by {twice[0]!r} twice", place, "name in `beside` further profiles only")
        if benchmark.hub and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?([:@]\S*)?", benchmark.hub):
            return broken(
                law, f"hub {benchmark.hub!r} is no dataset's id", place, "write owner/name, or owner/name:config:split"
            )
        if not isinstance(benchmark.licence, str) or not benchmark.licence.strip() or is_missing(benchmark.licence):
            return broken(law, "it states no licence", place, "write its licence, e.g. 'Apache-2.0'")
        if not callable(benchmark.load):
            return broken(law, "load is no function", place, "give a function from a path to tasks")
        return None

    def _elsewhere(self, law: str, benchmark: Benchmark, path: Path | None, place: str) -> Finding | None:
        """A file that other machines will not find where this one does."""
        file = Path(benchmark.file)
        if file.is_absolute() and not str(file.resolve()).startswith(self.sources.roots):
            todo = "put the file into the package and write str(HERE / ...), or give its path below EVOLTUNE_DATA"
            return broken(
                law, f"its file {benchmark.file} lies outside the package, so that no other machine has it", place, todo
            )
        inside = next(
            (r for r in self.sources.roots if benchmark.file and not file.is_absolute() and (Path(r) / file).is_file()),
            None,
        )
        if path is None and inside:
            todo = "write str(HERE / ...), with HERE = Path(__file__).parent: what is relative is looked for below EVOLTUNE_DATA"
            return broken(
                law,
                f"its file {benchmark.file!r} is in the package and given by a relative path, so that it is never found",
                place,
                todo,
            )
        return None

    def _reads_its_path(
        self, law: str, name: str, benchmark: Benchmark, path: Path, tasks: list[Task], place: str
    ) -> Finding | None:
        """`load` reads the file that it is given, wherever it lies, and names problems by its content."""
        called, at = f"load of {name!r}", self.sources.function(benchmark.load)
        gone = self.first.call("load", path.with_name(f"no-such-{path.name}"), key=name, name=called)
        if not gone.kind and gone.value:
            detail = f"load gives {len(gone.value)} problems for a file that does not exist"
            return broken(law, detail, at, "read the path that is given: it is the user's own copy, or a newer one")
        if not path.is_file() or path.stat().st_size > _COPIED:
            return None
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            shutil.copyfile(path, copy)
            moved = self.first.call("load", copy, key=name, name=called)
        if moved.kind or moved.value == tasks:  # a suite of several files may miss the others
            return None
        other = next((t for t, u in zip(tasks, moved.value, strict=False) if t != u), None)
        what = f"{len(moved.value)} problems" if other is None else f"e.g. another {other.name!r}"
        todo = "name problems by their ids, or by the file's name and line, never by the whole path: scores are compared by name"
        return broken(law, f"load gives {what} where the same file lies in another folder", at, todo)

    def _suite(
        self, law: str, name: str, benchmark: Benchmark, path: Path, place: str, problems: list[Task]
    ) -> Finding:
        try:
            if benchmark.sha256 and not is_published(benchmark, path):
                todo = "fetch the published file, or correct the hash"
                return broken(
                    law, f"{path} has sha256 {file_hashes(path)[0]}, the domain says {benchmark.sha256}", place, todo
                )
        except DataError as error:
            return broken(law, str(error), place, "fetch the file again")
        outcome = self.first.call("load", path, key=name, name=f"load of {name!r}")
        if failure := self.failure(
            law, outcome, self.sources.function(benchmark.load), "load must read this file: mend it or the file"
        ):
            return failure
        tasks: list[Task] = outcome.value
        problems += tasks
        found = self._problems(law, tasks, path, place) or self._reads_its_path(
            law, name, benchmark, path, tasks, place
        )
        if not found and not benchmark.sha256:  # a published file is as it is
            found = self._own_file(law, benchmark, tasks, place)
        return found or self._references(law, benchmark, tasks, place)

    def _problems(self, law: str, tasks: list[Task], path: Path, place: str) -> Finding | None:
        if not tasks:
            return broken(law, f"{path} holds no problem", place, "write problems into it, or correct load")
        names = Counter(t.name for t in tasks)
        if "" in names:
            return broken(law, f"{names['']} problems have no name", place, "give each Task a name")
        if names.most_common(1)[0][1] > 1:
            return broken(
                law,
                f"{names.most_common(1)[0][1]} problems have the name {names.most_common(1)[0][0]!r}",
                place,
                "give each problem its own",
            )
        if empty := [t for t in tasks if not t.instruction.strip()]:
            return broken(law, f"the problem {empty[0].name!r} has no instruction", place, "write one")
        seeds = {same_question(s.task)[:2] for s in self.seeds}
        if shared := [t for t in tasks if same_question(t)[:2] in seeds]:
            at = self.sources.line_of(shared[0].instruction) or place
            todo = "take them out of the seeds or out of the suite: what is held out is never trained on"
            return broken(
                law, f"{len(shared)} of {len(tasks)} problems are seeds, e.g. {shared[0].instruction[:60]!r}", at, todo
            )
        return None

    def _own_file(self, law: str, benchmark: Benchmark, tasks: list[Task], place: str) -> Finding | None:
        """A suite that the domain brings itself asks nothing twice, and each problem can be judged."""

        def at(task: Task) -> str:
            return self.sources.line_of(task.instruction) or place

        asked: dict[object, Task] = {}
        for task in tasks:
            if asked.setdefault(key := same_question(task), task) is not task:
                again = self.sources.line_of(task.instruction, nth=2) or at(task)
                return broken(
                    law,
                    f"two problems ask the same: {task.instruction[:60]!r} ({asked[key].name}, {task.name})",
                    again,
                    "delete one of them: it counts twice",
                )
            if wrong := unclean(task):
                return broken(law, f"the problem {task.name!r}: {wrong}", at(task), "correct this row, or leave it out")
        if held := in_most_rows(tasks, []):
            return broken(law, held, place, "read the rows as their source means them, and look at one of them")
        if found := gives_answer([(t, t.reference or "") for t in tasks]):
            return broken(
                law,
                f"the problems end with their answers: {found[-80:]!r}",
                place,
                "keep the answer out of the instruction",
            )
        judged = [t for t in tasks if t.reference is not None or t.tests is not None or any(t.fields.values())]
        is_judged = any(s.task.reference is not None or s.task.tests is not None for s in self.seeds)
        if len(judged) < len(tasks) and (judged or is_judged):
            missing = next(t for t in tasks if t not in judged)
            detail = f"{len(tasks) - len(judged)} of {len(tasks)} problems have neither reference nor tests, e.g. {missing.instruction[:60]!r}"
            return broken(
                law, detail, at(missing), "give each problem what verify judges it by: without it there is no score"
            )
        if is_judged and not any(t.reference is not None or t.tests is not None for t in tasks):
            return self._without_reference(law, benchmark, tasks, place)
        return None

    def _without_reference(self, law: str, benchmark: Benchmark, tasks: list[Task], place: str) -> Finding | None:
        """A suite whose problems have fields alone must be judged by them."""
        profile = benchmark.profile if benchmark.profile != "sound" else ""
        outcomes = [
            self.first.call("answer", task, "an answer", key=profile, name="extract and verify") for task in tasks[:3]
        ]
        verdicts = [o.value[1] for o in outcomes if not o.kind]
        if verdicts and all(v.status == "unverifiable" for v in verdicts):
            detail = f"no problem has a reference or tests, and verify says: {verdicts[0].reason[:80]!r}"
            return broken(
                law, detail, place, "give each problem what verify judges it by: without it there is no score"
            )
        return None

    def _references(self, law: str, benchmark: Benchmark, tasks: list[Task], place: str) -> Finding:
        """References pass under the domain's own verifier; a suite with references must have some that can be verified."""
        attempts = [(t, t.reference) for t in tasks if t.reference is not None]
        until, verified = self.time.until(0.3), 0
        silent: list[Task] = []
        for task, text in until.over(attempts):
            outcome = self.first.call("answer", task, text, name="extract and verify")
            if failure := self.failure(law, outcome, place, "return a Verdict instead of raising"):
                return failure
            candidate, verdict = outcome.value
            if candidate is None:  # extract asks for a mark, and a reference has none
                direct = self.first.call("verify", task, text, name="verify")
                if failure := self.failure(law, direct, place, "return a Verdict instead of raising"):
                    return failure
                verdict = direct.value
            if verdict.status not in ("pass", "unverifiable"):
                detail = f"{verdict.status} ({verdict.reason[:80]!r}) for its reference {text[:80]!r} of {task.instruction[:60]!r}"
                return broken(
                    law,
                    detail,
                    self.sources.line_of(task.instruction) or place,
                    "correct the reference, or make verify accept it",
                )
            verified += verdict.status == "pass"
            silent += [task] * (verdict.status == "unverifiable")
        if silent and verified > len(silent) and not benchmark.sha256:
            detail = f"{len(silent)} of {until.looked} references are unverifiable, e.g. {silent[0].reference!r:.80} of {silent[0].instruction[:60]!r}"
            at = self.sources.line_of(silent[0].instruction) or place
            return broken(law, detail, at, "correct the reference: its problem has no score")
        if until.looked >= 1 and not verified and not any(t.tests is not None or t.fields for t in tasks):
            return broken(
                law,
                f"of {until.looked} references none can be verified",
                place,
                "verify must judge what has a reference",
            )
        known = f"{verified} of {until.looked} references pass" if attempts else "none has a reference"
        return holds(law, f"{len(tasks)} problems, {known}")
