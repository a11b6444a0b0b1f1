"""Folders that `datasets` wrote with `save_to_disk`: Arrow files, named in state.json; a dictionary of splits has one folder each.

saved_files(Path("saved"))      # ([saved/train/data-00000-of-00001.arrow], [saved/test]), or None for another folder
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evoltune.errors import DataError, require
from evoltune.rows.files import read_json

STATE, SPLITS = "state.json", "dataset_dict.json"


def saved_files(folder: Path) -> tuple[list[Path], list[Path]] | None:
    """(files of the training split, folders of other splits). Raises DataError where a part is missing or nothing is for training."""
    if (state := read_json(folder / STATE)) is not None and isinstance(listed := state.get("_data_files"), list):
        files = [folder / str(entry.get("filename")) for entry in listed]
        if missing := [file for file in files if not file.is_file()]:
            raise DataError(f"{missing[0]}: missing, though {STATE} names it: copy the folder again")
        return files, []
    splits = (read_json(folder / SPLITS) or {}).get("splits")
    if not isinstance(splits, list):
        return None
    if "train" not in splits:
        raise DataError(
            f"{folder}: has the splits {', '.join(map(str, splits))} and no train: name the folder of one of them"
        )
    found = saved_files(folder / "train")
    return (found[0] if found else []), [folder / str(split) for split in splits if split != "train"]


def read_arrow(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow file, as a stream (`save_to_disk`) or with a footer."""
    require("reading Arrow files", "data", "pyarrow")
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            try:
                batches: Any = pa.ipc.open_stream(file)
            except pa.ArrowInvalid:
                whole = pa.ipc.open_file(file)
                batches = (whole.get_batch(i) for i in range(whole.num_record_batches))
            for batch in batches:
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: not an Arrow file: {error}") from error
