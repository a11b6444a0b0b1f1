"""Broken tokenizers and batches are refused before the first step, with the reason."""

from __future__ import annotations

import copy
import json
import unicodedata
from datetime import datetime

import pytest

from evoltune.errors import DataError, TrainingError
from evoltune.models.locate import ModelRef
from evoltune.models.proof import attach_chat_template, check_batch, check_golden, prove, read_template
from evoltune.models.template import IGNORED, Encoded, Stop, encode, prompt_ids, stop_of
from evoltune.train.sft.batches import collate

ROWS = [
    [{"role": "user", "content": f"Add {i} and 1."}, {"role": "assistant", "content": str(i + 1)}] for i in range(4)
]


@pytest.fixture
def tokenizer(tiny_tokenizer):
    return copy.deepcopy(tiny_tokenizer)


def proof(tokenizer, template="chat"):
    return prove(template, tokenizer, ROWS, stop=stop_of(template, tokenizer))


def add_around(tokenizer, form):
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=form, special_tokens=[("<s>", 0), ("</s>", 1)]
    )


def test_a_sound_tokenizer_passes_and_leaves_golden_ids(tokenizer):
    found = proof(tokenizer)
    assert found["stop_token"] == "<|im_end|>" and found["pad_differs_from_stop"]
    assert found["conversations_checked"] == 4 and len(found["golden"]) == 3
    assert found["clock"] == ""  # its template writes no date


def test_a_bos_added_by_the_tokenizer_is_seen_once_in_plain_templates(tokenizer):
    add_around(tokenizer, "<s> $A")
    found = proof(tokenizer, "alpaca")
    assert found["bos_id"] == 0
    assert all(g["ids"].count(0) == 1 for g in found["golden"])


def test_two_bos_tokens_are_refused(tokenizer):
    tokenizer.chat_template = "<s><s>" + tokenizer.chat_template
    with pytest.raises(TrainingError, match="two BOS tokens"):
        proof(tokenizer)


@pytest.mark.parametrize("form", ["<s> $A </s>", "$A </s>"])
def test_a_tokenizer_that_appends_eos_is_refused(form, tokenizer):
    add_around(tokenizer, form)
    with pytest.raises(TrainingError, match="prompts would end before the answer"):
        proof(tokenizer, "alpaca")


def test_a_stop_token_that_falls_to_pieces_is_refused(tokenizer):

    with pytest.raises(TrainingError, match="contradict each other"):
        prove("chat", tokenizer, ROWS, stop=Stop(token="<|im_end|>", id=7))


@pytest.mark.parametrize("written", ["assistant: ", "assistant", "assistant\n\n", "assistant\t", "assistant~"])
def test_settings_that_do_not_survive_saving_are_refused(tokenizer, monkeypatch, written):
    real = type(tokenizer).save_pretrained

    def save(self, folder, **kwargs):
        real(self, folder, **kwargs)
        from pathlib import Path

        path = Path(folder) / "chat_template.jinja"
        path.write_text(path.read_text().replace("assistant\n", written))

    monkeypatch.setattr(type(tokenizer), "save_pretrained", save)
    with pytest.raises(TrainingError, match="do not survive saving"):
        proof(tokenizer)


def test_a_tokenizer_changed_after_training_is_refused(tokenizer, tmp_path):
    stored = {
        "template": "chat", "system_prompt": "", "base": "b", "base_revision": "main", "finetuning_type": "full",
        **proof(tokenizer),
    }  # fmt: skip
    (tmp_path / "template.json").write_text(json.dumps(stored))
    assert check_golden(tmp_path, tokenizer).template == "chat"
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>\n", "<|im_end|>")
    with pytest.raises(TrainingError, match="other ids than training saw"):
        check_golden(tmp_path, tokenizer)


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("system", ["", "It's {{ terse }}.\n"])
@pytest.mark.parametrize("template", ["alpaca", "wizardcoder", "wizardmath", "lima"])
def test_a_plain_format_is_saved_as_a_chat_template_that_builds_the_same_ids(template, system, bos, tokenizer):
    from evoltune.models.load import prepare_tokenizer

    if bos:
        add_around(tokenizer, "<s> $A")
    prepare_tokenizer(tokenizer, template)
    assert attach_chat_template(tokenizer, template, system)
    turns = [*ROWS[0], {"role": "user", "content": "Don't stop: {x}\n"}]
    served = tokenizer.apply_chat_template(turns, tokenize=True, add_generation_prompt=True, return_dict=True)
    assert served["input_ids"] == prompt_ids(template, turns, tokenizer, system)


def test_a_chat_template_that_would_differ_is_not_saved(tokenizer, monkeypatch):
    from evoltune.models import proof as module

    same = module.as_chat_template
    for change in (lambda text: "{{ messages[0]['content'] }}", lambda text: text + "~", lambda text: "~" + text):
        monkeypatch.setattr(module, "as_chat_template", lambda *args, change=change, **how: change(same(*args, **how)))
        assert not attach_chat_template(tokenizer, "alpaca")
        assert tokenizer.chat_template is None
    assert attach_chat_template(tokenizer, "chat")  # a base's own stays as it is


def batch_of(tokenizer):
    stop = stop_of("chat", tokenizer)
    documents = [encode("chat", row, tokenizer) for row in ROWS]
    return collate([documents[:3], documents[3:]], pad=stop.id), documents, stop


def test_padding_with_the_stop_token_leaves_stop_labels_in_place(tokenizer):
    batch, documents, stop = batch_of(tokenizer)
    check_batch(batch, documents, stop)
    assert (batch["labels"] == stop.id).sum() == 4 < (batch["input_ids"] == stop.id).sum()


def test_a_mask_by_pad_id_that_eats_stop_tokens_is_caught(tokenizer):
    batch, documents, stop = batch_of(tokenizer)
    batch["labels"][batch["input_ids"] == stop.id] = IGNORED
    with pytest.raises(TrainingError, match="4 of 4 stop tokens lost their label"):
        check_batch(batch, documents, stop)


def test_a_mask_that_trains_on_the_prompt_is_caught(tokenizer):
    batch, documents, stop = batch_of(tokenizer)
    batch["labels"][0, 1] = batch["input_ids"][0, 1]
    with pytest.raises(TrainingError, match="the loss would fall on prompts or padding"):
        check_batch(batch, documents, stop)
    batch["labels"][batch["labels"] == IGNORED] = batch["input_ids"][batch["labels"] == IGNORED]  # stop tokens too
    with pytest.raises(TrainingError, match="the loss would fall on prompts or padding"):
        check_batch(batch, documents, stop)


def test_an_answer_that_lost_a_label_on_its_way_into_the_batch_is_caught(tokenizer):
    batch, documents, stop = batch_of(tokenizer)
    at = (batch["labels"] != IGNORED).nonzero()[0]
    batch["labels"][tuple(at)] = IGNORED
    expected = sum(label != IGNORED for d in documents for label in d.labels)
    with pytest.raises(TrainingError, match=f"the batch has {expected - 1} label tokens, its rows {expected}"):
        check_batch(batch, documents, stop)


def test_labels_of_the_wrong_row_are_caught_by_the_proof(tokenizer, monkeypatch):
    from evoltune.models import proof as module

    def shifted(*args):
        whole = encode(*args)
        return Encoded(ids=whole.ids, labels=[*whole.labels[1:-1], whole.labels[-2], whole.labels[-1]])

    monkeypatch.setattr(module, "encode", shifted)
    with pytest.raises(TrainingError, match="the loss would fall on"):
        proof(tokenizer)


class Saving(Exception):
    """The proof has come as far as saving the tokenizer: its checks of the stop token have passed."""


class Odd:
    """A tokenizer whose stop token, id 5, is odd in one way."""

    unk_token, unk_token_id, eos_token_id = "<unk>", None, 1

    def __init__(self, written=(3, 5), back="<end>", plain=(3, 4), **settings):
        self.written, self.back, self.plain = list(written), back, list(plain)
        vars(self).update(settings)

    def convert_tokens_to_ids(self, token):
        return 5

    def convert_ids_to_tokens(self, id_):
        return self.back

    def __call__(self, text, **how):
        return {"input_ids": self.written if "<end>" in text else self.plain}

    def save_pretrained(self, folder):
        raise Saving


@pytest.mark.parametrize(
    ("odd", "error"),
    [
        (Odd(written=[3, 5, 6]), r"splits its stop token '<end>' into pieces .*\(\[3, 5, 6\]\)"),
        (Odd(written=[3, 5, 2]), r"splits its stop token '<end>' into pieces .*\(\[3, 5, 2\]\)"),
        (Odd(back="<other>"), "contradict each other"), (Odd(unk_token_id=5), "is unknown to the tokenizer"),
    ],
)  # fmt: skip
def test_an_odd_stop_token_is_refused(odd, error):
    with pytest.raises(TrainingError, match=error):
        prove("alpaca", odd, ROWS, stop=Stop(token="<end>", id=5))


@pytest.mark.parametrize("odd", [Odd(), Odd(unk_token_id=5, unk_token="<end>"), Odd(unk_token_id=6), Odd(plain=[1])])
def test_a_sound_stop_token_may_also_be_the_unknown_one(odd):
    with pytest.raises(Saving):
        prove("alpaca", odd, ROWS, stop=Stop(token="<end>", id=5))


def test_the_proof_notes_bos_pad_and_the_ids_of_the_probes(tokenizer):
    found = proof(tokenizer, "alpaca")
    assert (found["bos_id"], found["pad_id"], found["pad_differs_from_stop"]) == (None, 2, True)
    assert [g["ids"] for g in found["golden"]] == [
        prompt_ids("alpaca", g["messages"], tokenizer) for g in found["golden"]
    ]
    tokenizer.pad_token = tokenizer.eos_token
    found = proof(tokenizer, "alpaca")
    assert (found["pad_id"], found["stop_id"], found["pad_differs_from_stop"]) == (1, 1, False)


def test_a_folder_without_a_template_has_none_and_a_damaged_one_is_named(tokenizer, tmp_path):
    assert check_golden(tmp_path, tokenizer) is None
    whole = {
        "template": "alpaca", "system_prompt": "Be brief.", "base": "b", "base_revision": "main", "stop_token": "</s>",
        "stop_id": 1, "golden": [],
    }  # fmt: skip
    (tmp_path / "template.json").write_text(json.dumps(whole))
    found = read_template(tmp_path)
    assert (found.template, found.stop, found.system_prompt) == ("alpaca", Stop(token="</s>", id=1), "Be brief.")
    assert found.prompt_ids("Hi", tokenizer) == prompt_ids("alpaca", "Hi", tokenizer, "Be brief.")
    for text in ("{", "[]", json.dumps({k: v for k, v in whole.items() if k != "stop_id"})):
        (tmp_path / "template.json").write_text(text)
        with pytest.raises(TrainingError, match=r"template.json: damaged .*save the checkpoint again"):
            read_template(tmp_path)


def test_changed_ids_are_shown_from_where_they_differ(tokenizer, tmp_path):
    messages, ids = [{"role": "user", "content": "Hi"}], prompt_ids("alpaca", "Hi", tokenizer)
    stored = {
        "template": "alpaca", "system_prompt": "", "base": "b", "base_revision": "main", "stop_token": "</s>", "stop_id": 1,
    }  # fmt: skip
    for golden, shown in (
        ([*ids[:3], 0, *ids[4:]], f"from token 3: {[0, *ids[4:7]]} and {ids[3:7]}"),
        ([*ids[:3], 9999, *ids[4:]], f"from token 3: {[9999, *ids[4:7]]} and {ids[3:7]}"),
        (ids[:-1], f"from token {len(ids) - 1}: [] and {ids[-1:]}"),
    ):
        text = json.dumps({**stored, "golden": [{"messages": messages, "ids": golden}]})
        (tmp_path / "template.json").write_text(text)
        with pytest.raises(TrainingError, match="training saw for 'Hi'") as raised:
            check_golden(tmp_path, tokenizer)
        assert shown in str(raised.value)


@pytest.mark.parametrize("label", [IGNORED, 9999])
def test_a_stop_token_without_its_label_is_caught_by_the_proof(tokenizer, monkeypatch, label):
    from evoltune.models import proof as module

    def unended(*args):
        whole = encode(*args)
        return Encoded(ids=whole.ids, labels=[*whole.labels[:-1], label])

    monkeypatch.setattr(module, "encode", unended)
    with pytest.raises(TrainingError, match=rf"would not be trained: the last label is {label}"):
        proof(tokenizer)


@pytest.mark.parametrize("first", [0, 9999])
def test_a_prompt_that_training_sees_otherwise_is_caught_by_the_proof(tokenizer, monkeypatch, first):
    from evoltune.models import proof as module

    def other(*args):
        whole = encode(*args)
        return Encoded(ids=[first, *whole.ids[1:]], labels=whole.labels)

    monkeypatch.setattr(module, "encode", other)
    with pytest.raises(TrainingError, match="another prompt than evaluation"):
        proof(tokenizer)


def test_a_label_that_is_not_its_token_is_caught(tokenizer):
    batch, documents, stop = batch_of(tokenizer)
    at = (batch["labels"] != IGNORED).nonzero()[0]
    batch["input_ids"][tuple(at)] += 1
    with pytest.raises(TrainingError, match="a label differs from the token"):
        check_batch(batch, documents, stop)


def test_a_checkpoint_of_a_template_with_a_date_opens_on_another_day(tokenizer, tmp_path):
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}" + tokenizer.chat_template
    then = datetime(2024, 2, 1)
    found = prove("chat", tokenizer, ROWS, stop=stop_of("chat", tokenizer), at=then)
    stored = {"template": "chat", "system_prompt": "", "base": "b", "base_revision": "main", **found}
    (tmp_path / "template.json").write_text(json.dumps(stored))
    assert check_golden(tmp_path, tokenizer).clock == then
    assert proof(tokenizer, "alpaca")["clock"] == ""  # a plain template has no clock, whatever the base's own has
    assert found["golden"][0]["ids"] != prompt_ids("chat", found["golden"][0]["messages"], tokenizer)


def test_a_tokenizer_that_composes_text_may_write_decomposed_answers(tokenizer):
    from tokenizers import normalizers

    row = [
        {"role": "user", "content": "Coffee?"},
        {"role": "assistant", "content": unicodedata.normalize("NFD", "cà phê")},
    ]
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    assert prove("chat", tokenizer, [row], stop=stop_of("chat", tokenizer))["conversations_checked"] == 1


def test_an_error_about_a_row_begins_with_its_place(tokenizer):
    row = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "a<|im_end|>"}]
    with pytest.raises(DataError, match=r"rows\.jsonl:4: an answer holds"):
        prove("chat", tokenizer, [row], stop=stop_of("chat", tokenizer), places=["rows.jsonl:4"])


def test_a_tokenizer_with_a_map_of_its_own_may_write_answers_by_it(tokenizer):
    from tokenizers import normalizers

    row = [{"role": "user", "content": "Shout."}, {"role": "assistant", "content": "Hey, You"}]
    for mapped in (normalizers.Lowercase(), normalizers.Replace("Y", "y")):
        tokenizer.backend_tokenizer.normalizer = mapped
        assert prove("chat", tokenizer, [row], stop=stop_of("chat", tokenizer))["conversations_checked"] == 1


def test_rows_with_a_system_text_several_answers_and_context_pass_the_proof(tokenizer):
    system, (question, answer) = {"role": "system", "content": "Be brief."}, ROWS[0]
    rows = [[system, *ROWS[0]], [*ROWS[0], *ROWS[1]], [question, {**answer, "trained": False}, *ROWS[1]]]
    for template in ("chat", "alpaca"):
        stop = stop_of(template, tokenizer)
        assert prove(template, tokenizer, rows, stop=stop, system="Be long.")["conversations_checked"] == 3


@pytest.mark.parametrize("error", [OSError("no file"), ValueError("bad file"), KeyError("no type")])
def test_a_tokenizer_that_cannot_be_loaded_again_is_refused(tokenizer, monkeypatch, error):
    from transformers import AutoTokenizer

    def fail(folder):
        raise error

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fail)
    with pytest.raises(TrainingError, match=r"cannot be loaded after saving: .*(no file|bad file|no type)"):
        proof(tokenizer)


def test_the_base_of_an_adapter_is_the_folder_that_it_was_trained_on_while_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, base = tmp_path / "adapter", tmp_path / "base"
    folder.mkdir()
    base.mkdir()
    stored = {
        "template": "alpaca", "system_prompt": "", "base": "org/base", "base_revision": "main", "stop_token": "</s>",
        "stop_id": 1, "golden": [],
    }  # fmt: skip
    (folder / "template.json").write_text(json.dumps(stored))
    for name, found in (
        (str(base), str(base)),
        (str(tmp_path / "gone"), "org/base"),
        ("base", "org/base"),
        ("", "org/base"),
    ):
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": name}))
        assert read_template(folder).base == ModelRef(found, "main")


def test_a_changed_tokenizer_is_reported_with_the_question_that_shows_it(tokenizer, tmp_path):
    turns = [*ROWS[0], {"role": "user", "content": "And now?"}]
    stored = {
        "template": "alpaca", "system_prompt": "", "base": "b", "base_revision": "main", "stop_token": "</s>",
        "stop_id": 1, "golden": [{"messages": turns, "ids": [1]}],
    }  # fmt: skip
    (tmp_path / "template.json").write_text(json.dumps(stored))
    with pytest.raises(TrainingError, match=r"training saw for 'And now\?'"):
        check_golden(tmp_path, tokenizer)
