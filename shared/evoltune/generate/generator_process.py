"""A generator process on this machine: started with a job, then asked batch by batch over standard input and output.

    with GeneratorProcess("evoltune.generate.transformers_worker", job) as generator:
        completions = generator.ask([{"prompt": "2 + 2 = ?", "history": [], "seed": 1}])

Invariant: the process ends with the block, and when this process dies (its standard input closes).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO, Any

from evoltune.generate.types import GenerationError


class GeneratorProcess:
    """`python -m MODULE`, where the module calls `worker_protocol.serve`."""

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8",
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},  # spinning threads starve each other on a busy machine
        )  # fmt: skip
        try:
            self.proof: dict[str, Any] = self.ask(job)
        except BaseException:
            self.close()
            raise

    def ask(self, message: Any) -> Any:
        """Sends one line and reads one. Raises GenerationError with the last line of the process's standard error."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin and stdout
        try:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise GenerationError(self._exit_report())
        return json.loads(line)

    def _exit_report(self) -> str:
        code = self._process.wait(timeout=30)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no error message"
        memory = " (killed: out of memory? lower eval.batch_size)" if code == -9 else ""
        return f"the generator ended with code {code}{memory}: {last}; run the same command again to resume"

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> GeneratorProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
