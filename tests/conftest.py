"""Fixtures that several test files share."""

from __future__ import annotations

import fcntl
import json
import os
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest
from openai_server import RunningServer, serving
from rehearsals import HEAD, ROW

from evoltune.heavy_imports import heavy_imports
from evoltune.recipe import load_recipe
from evoltune.terminal import table
from evoltune.text.credentials import forget_secrets

# urlopen keeps the proxies of its first call: one test's proxy must not be the next test's, and the servers are on loopback.
urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({})))

# `make test` draws the same examples each time, so that a failure is the change's; `make bars` draws new ones, and more of them.
# How long an example takes says more about the machine than about the code.
_UNTIMED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("same", derandomize=True, **_UNTIMED)
hypothesis.settings.register_profile("explore", max_examples=2_000, **_UNTIMED)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests() -> Iterator[None]:
    """What one test gave as a secret is an ordinary word in the next."""
    yield
    forget_secrets()


LONGEST = (
    "train/test_ranks.py", "cluster/test_ray_engine.py", "train/test_nodes.py", "train/test_launch.py", "domain_kit/test_example_domain.py", "run/test_publish.py",
    "test_docs.py", "rl/test_training.py", "reward/test_product.py", "rehearse/test_general_recipes.py", "rehearse/test_code_recipes.py", "rehearse/test_math_recipes.py", "generate/test_completions.py", "teacher/test_http.py",
    "service/test_row_queue.py", "sandbox/test_attacks.py", "sandbox/test_sharing.py", "evolve/test_kill.py", "domain_kit/test_conformance.py", "cluster/test_slurm.py",
)  # fmt: skip
"""Files of half a minute and more. They start first, so that none runs on alone when the other workers have nothing left."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collecting makes no garbage; looking for it takes a fifth of the time."""
    with heavy_imports():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _tokenizer():
    """Byte-level, 260 byte and special tokens: any text round-trips, and ids are small."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*special, *alphabet])}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"], chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One table of all recipes that were rehearsed."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    if rows := [value for report in reports for name, value in report.user_properties if name == ROW]:
        terminalreporter.section("rehearsals")
        terminalreporter.write_line("\n".join(table(HEAD, sorted(rows))))


@pytest.fixture
def openai_server() -> Iterator[Callable[..., RunningServer]]:
    """Starts a fake OpenAI-compatible server with the given options; all stop when the test ends."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(**options))


@pytest.fixture(scope="session")
def tiny_tokenizer():
    pytest.importorskip("transformers")
    return _tokenizer()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """made_once(name, make): the folder that `make(folder)` writes, once for all workers of the session. Tests only read it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def of(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / "once" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.fstat(lock.fileno()).st_size:
                make(folder)
                lock.write("made")
        return folder

    return of


@pytest.fixture(scope="session")
def tiny_base(made_once) -> Path:
    """A folder with a two-layer Llama of random weights (fp32) and a byte-level tokenizer with a chat template."""
    if not (
        find_spec("torch") and find_spec("transformers")
    ):  # to import them takes 4 s, and most callers start processes
        pytest.skip("needs evoltune[train]")
    return made_once("tiny-base", _write_tiny_base)


def _write_tiny_base(folder: Path) -> None:
    with heavy_imports():
        import torch
        import transformers

        causal = transformers.LlamaForCausalLM
    tokenizer = _tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    causal(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_rows(made_once) -> Path:
    """48 sums as Alpaca rows, of uneven length."""

    def write(folder: Path) -> None:
        folder.mkdir()
        with (folder / "sums.jsonl").open("w") as file:
            for i in range(48):
                words = " and then some more words" * (i % 5)
                row = {"instruction": f"Add {i} and {2 * i}{words}.", "output": f"{i} + {2 * i} = {3 * i}"}
                file.write(json.dumps(row) + "\n")

    return made_once("tiny-rows", write) / "sums.jsonl"


@pytest.fixture(scope="session")
def adapter(made_once, tiny_base: Path, tiny_rows: Path) -> Path:
    """A LoRA checkpoint of the tiny base, of three steps."""
    from evoltune.train.launch import train

    overrides = [
        f"train.model_name_or_path={tiny_base}", "eval.suites=[]", "train.precision=fp32", "train.max_steps=3",
        "train.warmup_steps=2",
    ]  # fmt: skip
    return made_once(
        "adapter/checkpoint", lambda out: train(load_recipe("smoke/math", overrides), tiny_rows, out, suites={})
    )
