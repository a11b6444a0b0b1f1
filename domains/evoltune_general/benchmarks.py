"""Open-domain suites: WizardLM's test set, Vicuna's 80 questions, LIMA's prompts; readers of their upstream formats.

None has references that decide: a judge, who is shown those of MT-Bench, or people compare the answers. No hashes of these files are published, so each is recorded
at the first load. Invariant: a damaged row is an error that names its place.

    [t.fields["skill"] for t in BENCHMARKS["wizardlm"].load(Path("WizardLM_testset.jsonl"))][:2]
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evoltune.domain import Benchmark
from evoltune.errors import DataError
from evoltune.record import Json, Task
from evoltune.rows.readers import read_located
from evoltune_general.seeds import DEV, ROLES, dev_tasks

Row = Mapping[str, Any]


def _reader(to_task: Callable[[str, Row], Task]) -> Callable[[Path], Iterator[Task]]:
    def load(path: Path) -> Iterator[Task]:
        for place, row in read_located(path):
            try:
                yield to_task(place.rpartition(":")[2], row)
            except KeyError as error:
                raise DataError(
                    f"{path}: {place}: no field {error} (found: {', '.join(row)}): is this the published file?"
                ) from error
            except ValueError as error:
                raise DataError(f"{path}: {place}: {error}") from error

    return load


def _text(row: Row, field: str) -> str:
    if not isinstance(row[field], str) or not row[field].strip():
        raise ValueError(f"field {field!r} is {row[field]!r}, must be a text")
    return str(row[field])


def _wizardlm(place: str, row: Row) -> Task:
    """idx, Skill, Difficulty (1 to 10), Instruction."""
    difficulty = int(row["Difficulty"])
    if not 1 <= difficulty <= 10:
        raise ValueError(f"field 'Difficulty' is {row['Difficulty']!r}, must be 1 to 10")
    fields: dict[str, Json] = {"skill": _text(row, "Skill"), "difficulty": difficulty}
    return Task(instruction=_text(row, "Instruction"), fields=fields, name=f"wizardlm/{row['idx']}")


def _vicuna(place: str, row: Row) -> Task:
    return _dialogue("vicuna", row)


def _mt_bench(place: str, row: Row) -> Task:
    return _dialogue("mt-bench", row)


def _dialogue(suite: str, row: Row) -> Task:
    """question_id, category, and `text`, or `turns` (the later ones are asked after the model's own answer); and `reference`, right
    answers to the turns, where the file has them (MT-Bench's mathematics, reasoning and code)."""
    turns = [_text(row, "text")] if "turns" not in row else row["turns"]
    if not isinstance(turns, list) or not turns or not all(isinstance(t, str) and t.strip() for t in turns):
        raise ValueError(f"field 'turns' is {turns!r}, must be a list of texts")
    references = row.get("reference") or []
    if not isinstance(references, list) or not all(isinstance(text, str) for text in references):
        raise ValueError(f"field 'reference' is {str(references)[:60]!r}, must be a list of texts")
    fields: dict[str, Json] = {"skill": _text(row, "category")}
    fields |= {"later_turns": turns[1:]} if turns[1:] else {}
    fields |= {"reference_answers": references} if references else {}
    return Task(instruction=turns[0], fields=fields, name=f"{suite}/{row['question_id']}")


def conversation(row: Row) -> list[str]:
    """LIMA's turns, user first. Raises ValueError where they are not a list of texts."""
    turns = row["conversations"]
    if not isinstance(turns, list) or not turns or not all(isinstance(t, str) for t in turns):
        raise ValueError(f"field 'conversations' is {str(turns)[:60]!r}, must be a list of texts")
    return turns


def _lima(place: str, row: Row) -> Task:
    """conversations (texts, user first) and source; the last user turn is the task, earlier turns its history."""
    turns = conversation(row)
    asked = turns if len(turns) % 2 else turns[:-1]
    history = tuple((ROLES[i % 2], text) for i, text in enumerate(asked[:-1]))
    fields: dict[str, Json] = {"skill": str(row.get("source", ""))}
    return Task(instruction=asked[-1], fields=fields, history=history, name=f"lima/{place}")


BENCHMARKS: Mapping[str, Benchmark] = {
    # github.com/nlpxucan/WizardLM, WizardLM/data/WizardLM_testset.jsonl: 218 rows, 29 skills
    "wizardlm": Benchmark(
        load=_reader(_wizardlm), sha256="", licence="CC-BY-NC-4.0", file="wizardlm/WizardLM_testset.jsonl",
    ),
    # github.com/lm-sys/FastChat, fastchat/llm_judge/data/vicuna_bench/question.jsonl
    "vicuna": Benchmark(load=_reader(_vicuna), sha256="", licence="Apache-2.0", file="vicuna/question.jsonl"),
    # the same repository, fastchat/llm_judge/data/mt_bench/question.jsonl: 80 dialogues of two turns
    "mt-bench": Benchmark(load=_reader(_mt_bench), sha256="", licence="Apache-2.0", file="mt_bench/question.jsonl"),
    # 300 test prompts; a source's own licence applies where it is stricter
    "lima": Benchmark(
        load=_reader(_lima), sha256="", licence="CC-BY-NC-SA-4.0", file="lima/test.jsonl", hub="GAIR/lima", profile="lima",
    ),
    # shipped with the domain: chooses checkpoints (`train.dev_suite`), and is reported by no recipe
    "general-dev": Benchmark(load=dev_tasks, sha256="", licence="Apache-2.0", file=str(DEV)),
}  # fmt: skip
