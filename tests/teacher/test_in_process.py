"""Teachers in this process: Transformers with a tiny model."""

import asyncio
import json
import shutil
import sys

import pytest

from evoltune import recipe as recipes
from evoltune.errors import TeacherError
from evoltune.teacher.protocol import make_request
from evoltune.teacher.stack import open_teacher


def complete(config, *prompts, **options):
    async def main():
        async with open_teacher(config) as teacher:
            asked = [make_request(config, p, purpose="answer", seed=i, **options) for i, p in enumerate(prompts)]
            return await asyncio.gather(*(teacher.complete(r) for r in asked))

    return asyncio.run(main())


def test_a_transformers_teacher_runs_batches_of_what_waits_together(tiny_base):
    config = recipes.Teacher(kind="transformers", model=str(tiny_base), max_tokens=5, concurrency=8)
    replies = complete(config, "say hello", "say a colour of the town bridge", "one two three", n=3)
    assert [len(r.texts) for r in replies] == [3, 3, 3]
    assert all(0 < r.usage.completion_tokens <= 15 for r in replies)
    assert replies[0].usage.prompt_tokens < replies[1].usage.prompt_tokens


def test_only_texts_that_used_all_their_tokens_are_truncated(tiny_base, tmp_path):
    base = shutil.copytree(tiny_base, tmp_path / "base")
    generation = json.loads((base / "generation_config.json").read_text())
    generation["eos_token_id"] = [1, *range(5, 40)]  # an eighth of the vocabulary: some texts end early, some do not
    (base / "generation_config.json").write_text(json.dumps(generation))
    config = recipes.Teacher(kind="transformers", model=str(base), max_tokens=8, concurrency=16)
    replies = complete(config, *(f"say {i}" for i in range(16)))
    truncated = [bool(r.truncated) for r in replies]
    assert truncated == [r.usage.completion_tokens == 8 for r in replies]
    assert set(truncated) == {True, False}


def test_greedy_replies_do_not_depend_on_the_rest_of_the_batch(tiny_base):
    config = recipes.Teacher(kind="transformers", model=str(tiny_base), max_tokens=6, concurrency=8)
    alone = complete(config, "say hello", temperature=0.0)[0]
    together = complete(config, "say hello", "the bridge of the town one two three", temperature=0.0)[0]
    assert alone.texts == together.texts


def test_a_folder_that_is_not_there_is_said():
    with pytest.raises(TeacherError, match=r"'/no/such/model': no such folder"):
        complete(recipes.Teacher(kind="transformers", model="/no/such/model"), "hi")


def test_a_model_that_cannot_be_loaded_is_named(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(TeacherError, match=r"teacher.model: .* cannot be loaded"):
        complete(recipes.Teacher(kind="transformers", model=str(tmp_path)), "hi")


def test_a_sample_depends_on_its_own_seed_and_not_on_its_batch(tiny_base):
    config = recipes.Teacher(kind="transformers", model=str(tiny_base), max_tokens=6, concurrency=8, top_p=1.0)
    alone = complete(config, "say hello", n=2)[0]
    together = complete(config, "say hello", "say hello", "say hello", n=2)
    assert alone.texts == together[0].texts
    assert len({text for reply in together for text in reply.texts}) > 3  # six samples of one prompt
    assert complete(config, "say hello", n=2)[0].texts == alone.texts


def test_options_of_the_engine_reach_the_model_and_a_wrong_one_is_named(tiny_base):
    assert complete(
        recipes.Teacher(kind="transformers", model=str(tiny_base), max_tokens=3, engine={"dtype": "float32"}), "hi"
    )
    with pytest.raises(TeacherError, match=r"cannot be loaded: .*no_such_option"):
        complete(recipes.Teacher(kind="transformers", model=str(tiny_base), engine={"no_such_option": 1}), "hi")


VLLM = """
import pathlib, types
class SamplingParams:
    def __init__(self, **options): pass
class LLM:
    def __init__(self, model, **options):
        core = types.SimpleNamespace(shutdown=lambda: pathlib.Path("ended").touch())
        self.llm_engine = types.SimpleNamespace(engine_core=core)
    def chat(self, chats, sampling, use_tqdm):
        said = types.SimpleNamespace(text="hello", token_ids=[1], finish_reason="stop")
        return [types.SimpleNamespace(outputs=[said], prompt_token_ids=[1, 2]) for _ in chats]
"""


def test_the_engine_ends_with_the_teacher_so_that_training_has_its_memory(tmp_path, monkeypatch):
    """vLLM itself: tests/contracts/test_vllm.py; here a stand-in package with what is called of it."""
    (tmp_path / "vllm.py").write_text(VLLM)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    try:
        (reply,) = complete(recipes.Teacher(kind="vllm", model="org/model", max_tokens=5), "hi")
    finally:
        sys.modules.pop("vllm", None)
    assert reply.texts == ("hello",) and (tmp_path / "ended").exists()
