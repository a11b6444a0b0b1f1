"""DeepSpeed's hostfile: the nodes that its launcher reaches by ssh, and how many ranks each holds.

read_hostfile(Path("hosts"))       # [("node-1", 8), ("node-2", 8)]
"""

from pathlib import Path

from evoltune.errors import DataError


def read_hostfile(path: Path) -> list[tuple[str, int]]:
    """(host, slots) of each line of a DeepSpeed hostfile. Raises DataError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    found: list[tuple[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        slots = words[1].removeprefix("slots=") if len(words) == 2 and words[1].startswith("slots=") else ""
        if not slots.isdigit() or words[0].startswith("-"):  # ssh would take such a host for an option
            raise DataError(f"{path}:{number}: {line!r}: must be `host slots=N`")
        if words[0].count(":") == 1:
            raise DataError(f"{path}:{number}: {words[0]!r}: a port has no place here: name it in ~/.ssh/config")
        if words[0].lower() in (host.lower() for host, _ in found):
            raise DataError(
                f"{path}:{number}: {words[0]!r} stands there twice: give a node one line with all of its slots"
            )
        found.append((words[0], int(slots)))
    if not found:
        raise DataError(f"{path}: names no host: one `host slots=N` a line")
    return found
