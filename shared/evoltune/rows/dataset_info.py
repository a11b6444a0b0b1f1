"""LLaMA-Factory's `dataset_info.json`: a dataset by its name there, and whether its rows are read here as they are there.

    entry = named_entry("my_rows", "data", Path("examples/train.yaml"))
    entry.address                     # "data/rows.json", or "OWNER/NAME:CONFIG:SPLIT"
    entry.lines()                     # what is not carried over; another kind of data is a RecipeError
    refuse_unfit("data/rows.json")    # DataError where the entry beside this file maps other columns than are found by name

Nothing is renamed here: columns are found by their names. So an entry that says otherwise is refused, with what it says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, RecipeError, nearest
from evoltune.recipe.convert_datasets import hub_address
from evoltune.recipe.convert_groups import Line
from evoltune.rows import storage
from evoltune.rows.columns import Conversation, recognise
from evoltune.rows.files import read_json
from evoltune.rows.readers import read_located, refuse_other_splits, source_files
from evoltune.run.paths import user_path

INFO = "dataset_info.json"
ONLINE = "ONLINE"
"""A `dataset_dir` under which names are hub ids."""
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "system_tag": "system",
}
_OTHER_DATA = {
    "ranking": "preference pairs", "chosen": "preference pairs", "rejected": "preference pairs", "kto_tag": "marks of good and bad answers",
    "tools": "descriptions of tools in the prompt", "images": "pictures", "videos": "films", "audios": "sound",
    "script_url": "rows that a loading script makes",
}  # fmt: skip
"""Keys of an entry, or of its columns, that make other data than questions with answers."""
_CARRIED = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "cloud_file_name", "subset", "split", "revision", "columns", "tags", "formatting")  # fmt: skip
_SAMPLE = 200

Turn = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One dataset of a `dataset_info.json`."""

    name: str
    info: Path
    spec: Mapping[str, Any]

    @property
    def file(self) -> Path | None:
        """The file or folder here; None for a dataset of a hub."""
        named = any(
            self.spec.get(key) for key in ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
        )
        return None if named or not self.spec.get("file_name") else self.info.parent / str(self.spec["file_name"])

    @property
    def address(self) -> str:
        """Raises RecipeError where only another hub than Hugging Face's has it."""
        if self.file:
            return str(self.file)
        if repo := self.spec.get("hf_hub_url"):
            config, split, revision = (str(self.spec.get(key) or "") for key in ("subset", "split", "revision"))
            return hub_address(str(repo), config, split, revision)[0]
        if cloud := self.spec.get("cloud_file_name"):
            return str(cloud)
        raise RecipeError(f"{self._where}: names no file_name and no hf_hub_url: give the rows as a file")

    def lines(self) -> Iterator[Line]:
        """What the entry says beside where the rows are. Raises RecipeError for other data than is trained on here."""
        for key, what in _OTHER_DATA.items():
            if self.spec.get(key) or self.columns.get(key):
                raise RecipeError(f"{self._where}: {key}: {what} cannot be trained on here")
        if problem := self.other_reading():
            raise RecipeError(f"{self._where}: {problem}")
        if cut := hub_address("", "", str(self.spec.get("split") or ""))[1]:
            note = f"the cut {cut} is not carried over: all rows are trained"
            yield Line(key=f"dataset[{self.name}].split", value=self.spec["split"], fate="lost", note=note)
        for key, value in self.spec.items():
            if key not in (*_CARRIED, *_OTHER_DATA) and value not in (None, False, "", []):
                note = "not carried over: all rows are trained" if key == "num_samples" else "not carried over"
                yield Line(key=f"dataset[{self.name}].{key}", value=value, fate="lost", note=note)

    def other_reading(self) -> str:
        """How the entry's columns differ from those that are found by name, on its own rows where they are here; "" where not."""
        rows: Iterable[Mapping[str, Any]] = (row for row in [self._example()] if row)
        if self.file and self.file.exists():
            rows = (row for _, row in islice(read_located(self.file, []), _SAMPLE))
        for row in rows:
            there = self.turns(row)
            found = recognise(row)
            here = [] if isinstance(found, str) else _asked_and_said(found)
            if there and _plain(there) != _plain(here):
                read = found if isinstance(found, str) else ", ".join(f"{k} <- {c}" for k, c in found.columns.items())
                return (
                    f"maps {self._mapping()}, and here columns are found by their names ({read}): write the rows with the columns "
                    "system, instruction, input and output, or messages, and name that file"
                )
        return ""

    @property
    def columns(self) -> Mapping[str, Any]:
        found = self.spec.get("columns")
        return found if isinstance(found, Mapping) else {}

    def turns(self, row: Mapping[str, Any]) -> list[Turn]:
        """The conversation that LLaMA-Factory reads from a row; empty where it reads none. A key that is absent from `columns` or
        `tags` is not read there, and without `columns` or `tags` their defaults hold."""
        system = [("system", str(row[name]))] if (name := self.columns.get("system")) and row.get(name) else []
        if self._is_alpaca:
            names = self.columns or _ALPACA
            asked = [str(row[names[key]]) for key in ("prompt", "query") if names.get(key) and row.get(names[key])]
            answer = row.get(names.get("response", ""))
            pairs = row.get(names.get("history", "")) or []
            said = [turn for q, a in _pairs(pairs) for turn in (("user", q), ("assistant", a))]
            return (
                [*system, *said, ("user", "\n".join(asked)), ("assistant", answer)] if isinstance(answer, str) else []
            )
        messages = row.get(self.columns.get("messages", "") if self.columns else "conversations")
        tags = self._tags
        roles = {tags.get(f"{role}_tag"): role for role in ("user", "assistant", "system")}
        turns = [
            (roles.get(message.get(tags.get("role_tag")), ""), str(message.get(tags.get("content_tag")) or ""))
            for message in (messages if isinstance(messages, list) else [])
            if isinstance(message, Mapping)
        ]
        has_own = turns[:1] and turns[0][0] == "system"
        spoken = [role for role, _ in (turns[1:] if has_own else turns)]
        is_read = bool(spoken) and spoken == ["user", "assistant"] * (len(spoken) // 2)
        return ([] if has_own else system) + turns if is_read else []

    @property
    def _is_alpaca(self) -> bool:
        return bool(self.spec.get("formatting", "alpaca") == "alpaca")

    @property
    def _tags(self) -> Mapping[str, Any]:
        given = self.spec.get("tags")
        return given if isinstance(given, Mapping) and given else _TAGS

    @property
    def _where(self) -> str:
        return f"{self.info}: {self.name}"

    def _mapping(self) -> str:
        names = dict(self.columns or (_ALPACA if self._is_alpaca else {"messages": "conversations"}))
        if not self._is_alpaca:
            names |= self._tags
        return ", ".join(f"{key}: {value}" for key, value in names.items() if value)

    def _example(self) -> Mapping[str, Any]:
        """A row as the entry describes it, for rows that are not here."""
        names = self.columns or (_ALPACA if self._is_alpaca else {"messages": "conversations"})
        row: dict[str, Any] = {
            str(names[k]): f"a {k}" for k in ("system", "prompt", "query", "response") if names.get(k)
        }
        if names.get("history"):
            row[names["history"]] = [["one", "two"]]
        if not self._is_alpaca and names.get("messages"):
            tags = self._tags
            row[names["messages"]] = [
                {str(tags.get("role_tag")): tags.get(f"{role}_tag"), str(tags.get("content_tag")): f"by {role}"}
                for role in ("user", "assistant")
            ]
        return row


def _asked_and_said(found: Conversation) -> list[Turn]:
    """All turns; Alpaca's input belongs to the question."""
    more = f" {found.context}" if found.context else ""
    return [(turn.role, turn.content + (more if turn.role == "user" else "")) for turn in found.turns]


def _pairs(history: Any) -> Iterator[tuple[str, str]]:
    for pair in history if isinstance(history, list) else []:
        if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:
            yield str(pair[0]), str(pair[1])


def _plain(turns: Sequence[Turn]) -> list[Turn]:
    """Without differences of spacing: a question and its input are joined by one line end there, by an empty line here."""
    return [(role, " ".join(text.split())) for role, text in turns]


def named_entry(name: str, folder: str, recipe: Path) -> Entry | None:
    """The entry of a dataset that a recipe of LLaMA-Factory names; None where no `dataset_info.json` is found.

    It is looked for in `folder` below the working directory, as there, and below each folder above the recipe.
    Raises RecipeError for a name that is not in it.
    """
    for start in (Path(), *recipe.absolute().parents):
        info = start / folder / INFO
        if (tree := read_json(info)) is None:
            continue
        spec = tree.get(name)
        if not isinstance(spec, Mapping):
            raise RecipeError(f"dataset: {name!r}: not in {info}: {nearest(name, tree)}")
        return Entry(name=name, info=info, spec=spec)
    return None


def named_dataset(name: str, folder: str, recipe: Path) -> tuple[str, list[Line]] | None:
    """(address, lines about the entry's other keys) of a dataset, or None: what `convert` asks for."""
    if folder == ONLINE:
        return name, []
    entry = named_entry(name, folder, recipe)
    if entry is None:
        return None
    lines = list(entry.lines())
    return entry.address, lines


def refuse_unfit(ref: str | Path) -> None:
    """Raises DataError for a source that is not for training as it stands: test rows alone, or rows whose entry in a
    `dataset_info.json` beside them maps other columns than are found by name."""
    refuse_other_splits(ref)
    path = user_path(ref)
    if storage.is_address(ref) or not path.exists():
        return
    for file in source_files(path)[0]:
        entries = [
            entry for entry in _entries(file.parent / INFO) if entry.file and entry.file.resolve() == file.resolve()
        ]
        problems = [entry.other_reading() for entry in entries]
        if problems and all(problems):
            raise DataError(f"{file}: {entries[0].info.name} beside it {problems[0]}")


def _entries(info: Path) -> Iterator[Entry]:
    """The entries of one; none of a file of `datasets`, which has the same name."""
    for name, spec in (read_json(info) or {}).items():
        if isinstance(spec, Mapping) and "file_name" in spec:
            yield Entry(name=name, info=info, spec=spec)
