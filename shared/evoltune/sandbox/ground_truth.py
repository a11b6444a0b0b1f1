"""What an oracle returned, kept between runs: computing HumanEval+'s expected values takes 15 s of CPU, MBPP+'s 40 s.

Kept only where isolation hides the folder from programs (L2 and L3). Short results are kept as they are, long ones as
digests, so that a file has some 20 kB. Invariant: a file that is damaged, or from another Python, counts as none; the folder
holds little more than `MAX_BYTES`, those files that were asked for last.

    kept = GroundTruth("/home/me/.cache/evoltune/ground-truth")
    kept.put(question, Expected(results=["6"], digests={}, cpu_s=1.2)); kept.get(question)
"""

import os
import sys
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple

from evoltune.sandbox import wire

FORMAT = 2
"""Enters the name of a file: raise it when `values.encode`, or what stands in a file, changes."""


MAX_BYTES = 256 << 20
"""Some 13,000 tasks."""


class Expected(NamedTuple):
    """An oracle's results for a list of calls."""

    results: list[Any]
    """A tagged value for each call, null where it is no plain value or has a digest."""
    digests: dict[str, str]
    """For the number of a call whose result is long: the digest of the reply that held it."""
    cpu_s: float


class GroundTruth:
    """A folder of results, a file for each question (the oracle's source, its entry point, the arguments). An empty folder
    name keeps nothing."""

    def __init__(self, folder: str, max_bytes: int = MAX_BYTES) -> None:
        self.folder, self.max_bytes = folder, max_bytes

    def get(self, question: tuple[Any, ...]) -> Expected | None:
        """What was kept; None where there is nothing."""
        if not self.folder:
            return None
        path = self._file(question)
        try:
            with open(path, encoding="ascii") as file:
                results, digests, cpu_s = wire.parse(file.read())
            with suppress(OSError):  # another user's folder
                os.utime(path)
            return Expected(list(results), dict(digests), float(cpu_s))
        except (OSError, ValueError, TypeError):
            return None

    def put(self, question: tuple[Any, ...], expected: Expected) -> None:
        """Keeps the results; a folder that cannot be written to keeps nothing."""
        if not self.folder:
            return
        path = self._file(question)
        temporary = f"{path}.{os.getpid()}"
        with suppress(OSError):
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with open(temporary, "w", encoding="ascii") as file:
                file.write(wire.encode([*expected]))
            os.replace(temporary, path)
            if os.path.basename(path)[0] == "0":  # after one file in sixteen
                self._remove_oldest()

    def _remove_oldest(self) -> None:
        """Removes the files that were not asked for the longest, where all together are larger than they may be."""
        files = []
        for entry in os.scandir(self.folder):
            with suppress(OSError):  # another process removed it
                files.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path))
        excess = sum(size for _, size, _ in files) - self.max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            with suppress(OSError):
                os.unlink(path)
            excess -= size

    def _file(self, question: tuple[Any, ...]) -> str:
        text = wire.encode([FORMAT, sys.version, *question])
        return f"{self.folder}/{blake2b(text.encode(), digest_size=20).hexdigest()}.json"
