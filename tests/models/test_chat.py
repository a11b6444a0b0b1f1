"""A checkpoint answers under its own template, merged or not."""

from __future__ import annotations

import shutil
import threading

import pytest

from evoltune.errors import TrainingError

pytest.importorskip("torch")


ASK = [{"role": "user", "content": "Add 3 and 6."}]


def test_adapter_and_merged_model_answer_alike(adapter, merged):
    from evoltune.models.chat import open_model
    from evoltune.models.decoding import Sampling

    replies = []
    for folder in (adapter, merged[0]):
        with open_model(folder) as model:
            replies.append(list(model.stream(ASK, Sampling(max_tokens=12)))[-1])
    with pytest.raises(TrainingError, match="the model was closed"):  # nothing would ever answer
        next(model.stream(ASK))
    # Random weights nearly tie: the merge's rounding may turn a late token. The logits themselves are compared by `merge`.
    assert replies[0].text[:2] == replies[1].text[:2]
    assert replies[0].prompt_tokens == replies[1].prompt_tokens
    assert replies[0].finish_reason in ("stop", "length")


def test_a_model_that_is_closed_computes_nothing_any_more(adapter):
    """A process that ends while torch still computes is aborted, so whoever closes the model waits for its last step."""
    from evoltune.models.chat import open_model
    from evoltune.models.decoding import Sampling

    with open_model(adapter) as model:
        next(model.stream(ASK, Sampling(max_tokens=900, temperature=1.0)))
        assert "decoding" in {thread.name for thread in threading.enumerate()}
    assert "decoding" not in {thread.name for thread in threading.enumerate()}


def test_a_checkpoint_whose_tokenizer_was_changed_does_not_open(adapter, tmp_path):
    from evoltune.models.chat import open_model

    copy = tmp_path / "changed"
    shutil.copytree(adapter, copy)
    path = copy / "chat_template.jinja"
    path.write_text(path.read_text().replace("<|im_end|>\n", "<|im_end|>"))
    with pytest.raises(TrainingError, match="other ids than training saw"):
        open_model(copy)


def test_the_verbs_are_reachable(adapter, capsys):
    from evoltune.cli import main

    assert main(["chat", str(adapter), "--once", "Add 1 and 2.", "--max-tokens", "4"]) == 0
    assert main(["merge", str(adapter.parent), "--out", str(adapter.parent / "x")]) == 2
    assert "nothing to merge" in capsys.readouterr().err
