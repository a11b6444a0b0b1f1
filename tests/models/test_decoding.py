"""Several prompts decoded together: each as if alone, with its own sampling, stop strings and end."""

import math
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from evoltune.models.decoding import Prompt, Reply, Sampling, TextPieces, decode  # noqa: E402

STOP = 1


@pytest.fixture(scope="module")
def tiny(tiny_base):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_base).eval(), AutoTokenizer.from_pretrained(tiny_base)


def answered(tiny, *asked, stop_id=STOP):
    """(pieces, reply) for each (prompt, sampling)."""
    model, tokenizer = tiny
    told = [[] for _ in asked]
    prompts = [
        Prompt(ids=tokenizer(text).input_ids, sampling=how, emit=said.append)
        for (text, how), said in zip(asked, told, strict=True)
    ]
    decode(model, tokenizer, prompts, stop_id=stop_id)
    assert all(isinstance(said[-1], Reply) and all(isinstance(piece, str) for piece in said[:-1]) for said in told)
    return [("".join(said[:-1]), said[-1]) for said in told]


ASKED = [
    ("Add 1 and 2.", Sampling(max_tokens=9)), ("Say hello to everybody in the garden.", Sampling(max_tokens=14, temperature=0.8, seed=3)),
    ("x", Sampling(max_tokens=5, temperature=1.5, top_p=0.7, seed=4)), ("Add 3 and 4.", Sampling(max_tokens=7, temperature=1.0, top_k=5, seed=5, frequency_penalty=1.0)),
]  # fmt: skip


def test_a_batch_gives_each_prompt_what_it_gets_alone(tiny):
    together = answered(tiny, *ASKED)
    assert together == [answered(tiny, one)[0] for one in ASKED]
    assert together == answered(tiny, *ASKED)
    for (text, reply), (_, how) in zip(together, ASKED, strict=True):
        assert text == reply.text
        assert (
            reply.completion_tokens == how.max_tokens
            if reply.finish_reason == "length"
            else reply.finish_reason == "stop"
        )


def test_greedy_answers_are_those_of_the_library(tiny):
    model, tokenizer = tiny
    ids = torch.tensor([tokenizer("Add 1 and 2.").input_ids])
    with torch.inference_mode():
        wanted = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, eos_token_id=STOP
        )
    ((text, _),) = answered(tiny, ("Add 1 and 2.", Sampling(max_tokens=12)))
    assert text == tokenizer.decode(wanted[0][ids.shape[1] :], skip_special_tokens=True)


def test_a_stop_token_or_string_ends_the_text_before_it(tiny):
    ((whole, reply),) = answered(tiny, ("Add 1 and 2.", Sampling(max_tokens=30, logprobs=0)))
    third = reply.logprobs[2].token
    ((text, ended),) = answered(tiny, ("Add 1 and 2.", Sampling(max_tokens=30)), stop_id=third)
    assert ended.finish_reason == "stop" and ended.completion_tokens <= 3 and whole.startswith(text)
    for stop in {whole[3], whole[4:6], whole[-2:]}:
        ((text, ended),) = answered(tiny, ("Add 1 and 2.", Sampling(max_tokens=30, stop=("never said", stop))))
        assert text == ended.text == whole[: whole.index(stop)] and ended.finish_reason == "stop"


def test_whoever_no_longer_waits_frees_the_place_and_the_others_go_on(tiny):
    model, tokenizer = tiny
    leaving, staying = [], []
    gone = Prompt(ids=[5, 6], sampling=Sampling(max_tokens=200), emit=leaving.append)
    gone.emit = lambda piece: (leaving.append(piece), setattr(gone, "is_cancelled", True))
    kept = Prompt(ids=[5, 6, 7], sampling=Sampling(max_tokens=6), emit=staying.append)
    decode(model, tokenizer, [gone, kept], stop_id=STOP)
    assert leaving[-1].finish_reason == "cancelled" and leaving[-1].completion_tokens < 10
    assert staying[-1].completion_tokens == 6


def test_a_model_that_fails_tells_all_that_wait(tiny):
    told = []
    broken = SimpleNamespace(device="cpu", generate=lambda **how: 1 / 0)
    decode(broken, tiny[1], [Prompt(ids=[5], sampling=Sampling(), emit=told.append)] * 2, stop_id=STOP)
    assert [type(piece) for piece in told] == [ZeroDivisionError] * 2


class Fixed:
    """A model whose scores never change."""

    device = "cpu"

    def __init__(self, probabilities):
        self.scores = torch.tensor([probabilities]).log()

    def generate(self, *, input_ids, logits_processor, stopping_criteria, **how):
        seen = input_ids
        while True:
            scores = logits_processor[0](seen, self.scores.expand(len(seen), -1))
            seen = torch.cat([seen, scores.argmax(-1, keepdim=True)], dim=1)
            if stopping_criteria[0](seen, scores).all():
                return


def drawn(tokenizer, probabilities, count=1500, **how):
    """Token -> share of `count` draws from these probabilities."""
    told = []
    sampling = Sampling(max_tokens=count, temperature=how.pop("temperature", 1.0), seed=7, logprobs=0, **how)
    decode(Fixed(probabilities), tokenizer, [Prompt(ids=[5], sampling=sampling, emit=told.append)], stop_id=-1)
    tokens = Counter(one.token for one in told[-1].logprobs)
    return {token: tokens[token] / count for token in range(len(probabilities))}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]), ({"temperature": 0.5}, [0.25 / 0.365, 0.09 / 0.365, 0.0225 / 0.365, 0.0025 / 0.365]),
        ({"top_p": 0.5}, [1, 0, 0, 0]), ({"top_p": 0.51}, [0.625, 0.375, 0, 0]), ({"top_k": 3}, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]),
        ({"top_k": 1}, [1, 0, 0, 0]), ({"temperature": 0.0}, [1, 0, 0, 0]), ({"presence_penalty": 2.0, "temperature": 0.0}, None),
    ],
)  # fmt: skip
def test_tokens_are_drawn_with_their_probabilities(tiny, how, expected):
    shares = drawn(tiny[1], [0.5, 0.3, 0.15, 0.05], **how)
    if expected is None:  # each seen token pays once, so all have been seen after a while and the likeliest leads again
        assert shares[0] > 0.9 and 0 < shares[1] < 0.05
        return
    for token, share in enumerate(expected):
        assert abs(shares[token] - share) <= 4 * math.sqrt(share * (1 - share) / 1500) + 1e-9


def test_penalties_turn_greedy_decoding_away_from_what_was_said(tiny):
    def first(count, **how):
        told = []
        sampling = Sampling(max_tokens=count, logprobs=2, **how)
        decode(
            Fixed([0.5, 0.3, 0.15, 0.05]), tiny[1], [Prompt(ids=[3], sampling=sampling, emit=told.append)], stop_id=-1
        )
        return told[-1].logprobs

    assert [one.token for one in first(4)] == [0, 0, 0, 0]
    assert [one.token for one in first(3, frequency_penalty=1.3)] == [0, 1, 2]
    assert [one.token for one in first(3, repetition_penalty=3.0)][:2] == [0, 1]
    assert math.isclose(first(1)[0].logprob, math.log(0.5), rel_tol=1e-5)
    assert [token for token, _ in first(1)[0].top] == [0, 1]


@settings(max_examples=60)
@given(text=st.text(max_size=30), stops=st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_pieces_joined_are_the_text_before_the_first_stop(tiny_tokenizer, text, stops):
    ids = tiny_tokenizer(text, add_special_tokens=False).input_ids
    pieces = TextPieces(tiny_tokenizer, stops)
    said = [pieces.add(token) for token in ids] + [pieces.end()]
    whole = tiny_tokenizer.decode(ids, skip_special_tokens=True)
    cut = min([at for stop in stops if (at := whole.find(stop)) >= 0], default=len(whole))
    assert "".join(said) == pieces.text == whole[:cut]
    assert pieces.is_stopped == (cut < len(whole))
