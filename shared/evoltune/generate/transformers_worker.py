"""The generator process with Transformers: loads a model once, then answers batches read from standard input.

    GeneratorProcess("evoltune.generate.transformers_worker", job)     # asks it: a line with the job, then batches

Invariant: a batch's output depends on the model, the batch and the settings alone, never on other batches, so a resumed
evaluation is bit-identical to an uninterrupted one. On a CPU each process has one thread and there are as many processes
as cores: one batch spread over two threads spends its time in barriers (SmolLM2-135M, 64 rows: 0.097 s a step on two
threads, 0.045 s on one), and the key-value cache is written in place: concatenating it was two thirds of a step. What all
prompts of a batch begin with (a system prompt, worked examples) is computed once.
"""

import gc
import os
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import torch
from transformers import AutoTokenizer, DynamicCache
from transformers.cache_utils import DynamicLayer

from evoltune.generate.worker_protocol import Prompter, serve
from evoltune.models.load import language_model

CHECK_STOPS = 8
"""Steps between searches for stop strings; what is decoded past one is cut off."""
CACHE_ROOM = 64
"""Tokens by which a full cache grows."""
SHARED_PREFIX = 8
"""Tokens that all prompts must share for a forward pass of the shared part to pay off."""
SORTED = 128
"""Tokens that are sorted to draw one. Where these do not decide, all are: of 49,152 that takes ten times as long (144 rows: 0.62 s
and 0.06 s), as long as several steps of a small model."""
KEPT_ROWS = 0.9
"""Share of running rows below which finished rows are removed from the batch; removing them copies the cache."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer whose keys and values are views of buffers with room at the end, so that a step copies one token."""

    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None
        held = self.get_seq_length()
        length = held + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < length:
            self._buffers = (
                _with_room(self.keys, key_states, held, length),
                _with_room(self.values, value_states, held, length),
            )
        keys, values = self._buffers
        keys[:, :, held:length] = key_states
        values[:, :, held:length] = value_states
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices.to(self.keys.device))  # the layer's own GPU, where a model lies on several
        self._buffers = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)
        self._buffers = None


class PackedLinear(torch.nn.Module):  # type: ignore[misc]
    """A bfloat16 linear layer on a CPU whose weight oneDNN has reordered; a plain layer is reordered in every call.

    For 8 rows through 576 x 1536 a call takes 0.4 ms and not 0.9 ms; from about 100 rows on both take the same time.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.bias = linear.bias
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")
        return output


def pack_linears(model: torch.nn.Module) -> None:
    """Replaces the linear layers of a bfloat16 model on a CPU by packed ones, if oneDNN computes in bfloat16 here."""
    if not (hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is torch.nn.Linear:
                setattr(module, name, PackedLinear(child))


def _with_room(old: torch.Tensor, new: torch.Tensor, held: int, length: int) -> torch.Tensor:
    buffer = new.new_empty(*new.shape[:2], length + CACHE_ROOM, new.shape[-1])
    if held:
        buffer[:, :, :held] = old
    return buffer


class Generator:
    """A loaded model with its tokenizer, template and settings."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        torch.set_num_threads(int(job["threads"]))
        gpu = torch.cuda.is_available()
        first, each = int(job["rank"]) * int(job["gpus_each"]), int(job["gpus_each"])
        self.device = torch.device("cuda", first) if gpu else torch.device("cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"])
        model = _load(job, len(self.tokenizer), self.device)
        self.model = spread(model, range(first, first + each)) if gpu and each > 1 else model.to(self.device)
        self.take(job)

    def take(self, job: Mapping[str, Any]) -> None:
        """See `worker_protocol.Generator`."""
        self.job, eos = job, self.model.generation_config.eos_token_id
        self.prompter = Prompter(job, self.tokenizer, self.model.config, eos)
        self.stop_ids = torch.tensor(self.prompter.stop_ids, device=self.device)

    def proof(self) -> dict[str, Any]:
        return self.prompter.proof(str(self.device), str(self.model.dtype).removeprefix("torch."))

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def answer(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """See `worker_protocol.Generator`."""
        prompts = [self.prompter.ids(row["prompt"], row.get("history", ())) for row in batch]
        budget, penalty = int(self.job["max_new_tokens"]), float(self.job["repetition_penalty"])
        chosen: list[list[int]] = [[] for _ in batch]
        ended = ["length"] * len(batch)
        sampler = Sampler(self.job, [int(row["seed"]) for row in batch], budget, self.device)
        room = [self.prompter.room(ids) for ids in prompts]
        cache = DynamicCache(config=self.model.config)
        cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
        inputs, mask = self._prefill_shared(prompts, cache)
        position = (mask.cumsum(-1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
        rows = torch.arange(len(batch), device=self.device)  # of the batch that the cache holds
        running = torch.ones_like(rows, dtype=torch.bool)
        for step in range(max(room)):
            logits = self.model(
                input_ids=inputs, attention_mask=mask, position_ids=position,
                past_key_values=cache, use_cache=True, logits_to_keep=1,
            ).logits[:, -1]  # fmt: skip
            if penalty != 1.0:
                logits = penalised(logits, [prompts[i] + chosen[i] for i in rows.tolist()], penalty)
            token = sampler.draw(logits, rows, step)
            running = self._record(token, rows, running, step, chosen, ended, room)
            left = int(running.sum())
            if not left:
                break
            if left < KEPT_ROWS * len(rows):
                remaining = running.nonzero()[:, 0]
                for layer in cache.layers:
                    layer.batch_select_indices(remaining)
                rows, token, mask, position = (x[remaining] for x in (rows, token, mask, position))
                running = running[remaining]
            inputs, position = token[:, None], position[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
        return [self._result(*row) for row in zip(chosen, ended, prompts, strict=True)]

    def _prefill_shared(self, prompts: Sequence[list[int]], cache: DynamicCache) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes what all prompts begin with once, into the cache of every row.

        Returns the rest of each prompt, padded on the left, and the attention mask of the whole prompts.
        """
        first, last = min(prompts), max(prompts)  # what these share in lexicographic order, all prompts share
        pairs = zip(first[:-1], last, strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if len(prompts) == 1 or shared < SHARED_PREFIX:
            return _left_padded(prompts, self.device)
        prefix = torch.tensor([first[:shared]], device=self.device)
        self.model(input_ids=prefix, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(prompts))
        inputs, mask = _left_padded([prompt[shared:] for prompt in prompts], self.device)
        return inputs, torch.cat([mask.new_ones(len(prompts), shared), mask], dim=-1)

    def _record(
        self, token: torch.Tensor, rows: torch.Tensor, running: torch.Tensor, step: int, chosen: list[list[int]],
        ended: list[str], room: Sequence[int],
    ) -> torch.Tensor:  # fmt: skip
        """Appends the new tokens of the running rows; returns which of them continue."""
        continues = running & ~torch.isin(token, self.stop_ids)
        search = bool(self.job["stops"]) and step % CHECK_STOPS == CHECK_STOPS - 1
        for i in running.nonzero()[:, 0].tolist():
            row = int(rows[i])
            if not continues[i]:
                ended[row] = "eos"
                continue
            chosen[row].append(int(token[i]))
            if len(chosen[row]) == room[row]:
                continues[i] = False
            if search and self._cut(self.tokenizer.decode(chosen[row], skip_special_tokens=True))[1]:
                continues[i] = False
        return continues

    def _cut(self, text: str) -> tuple[str, bool]:
        found = [at for stop in self.job["stops"] if (at := text.find(stop)) >= 0]
        return (text[: min(found)], True) if found else (text, False)

    def _result(self, tokens: list[int], ended: str, prompt: list[int]) -> dict[str, Any]:
        text, stopped = self._cut(self.tokenizer.decode(tokens, skip_special_tokens=True))
        end = "stop" if stopped else ended
        return {"text": text, "tokens": len(tokens), "stop": end, "prompt_tokens": len(prompt)}


class Sampler:
    """Greedy at temperature 0, else nucleus sampling (1904.09751); each row has a random generator with its own seed."""

    def __init__(self, job: Mapping[str, Any], seeds: Sequence[int], budget: int, device: torch.device) -> None:
        self.temperature, self.top_p = float(job["temperature"]), float(job["top_p"])
        self.uniform = torch.empty(0)
        if self.temperature > 0:
            rows = [torch.rand(budget, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
            self.uniform = torch.stack(rows).to(device)

    def draw(self, logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        """One token for each row of `logits` (rows, vocabulary); `rows` are their numbers in the whole batch."""
        if self.temperature == 0:
            return logits.max(-1).indices  # a bfloat16 argmax takes three times as long on a CPU
        probability = torch.softmax(logits.float() / self.temperature, -1)
        uniform = self.uniform[rows, step]
        likeliest, order = probability.topk(min(SORTED, probability.shape[-1]))
        token, is_decided = self._inverse(likeliest, order, uniform)
        if not is_decided.all():
            rest = ~is_decided
            everything, order = probability[rest].sort(-1, descending=True)
            token[rest], _ = self._inverse(everything, order, uniform[rest])
        return token

    def _inverse(
        self, probability: torch.Tensor, order: torch.Tensor, uniform: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens at which the nucleus, the likeliest first, has gathered a share of `uniform`; and whether tokens less likely
        than all of these could not change that."""
        total = probability.cumsum(-1)
        if self.top_p < 1:
            nucleus = total - probability < self.top_p  # never empty: the most probable token has 0 < top_p
            share, is_decided = uniform * (probability * nucleus).sum(-1), total[:, -1] >= self.top_p
        else:
            share, is_decided = uniform, total[:, -1] > uniform
        at = (total < share[:, None]).sum(-1, keepdim=True)
        return order.gather(-1, at.clamp(max=order.shape[-1] - 1))[:, 0], is_decided


def penalised(logits: torch.Tensor, seen: Sequence[Sequence[int]], penalty: float) -> torch.Tensor:
    """CTRL's repetition penalty (1909.05858, section 4.1), prompt included, as Transformers applies it."""
    logits = logits.clone()
    for row, ids in zip(logits, seen, strict=True):
        at = torch.tensor(sorted(set(ids)), device=logits.device)
        row[at] = torch.where(row[at] < 0, row[at] * penalty, row[at] / penalty)
    return logits


def _left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    return ids, mask


def _load(job: Mapping[str, Any], vocabulary: int, device: torch.device) -> Any:
    """The model in bfloat16 for inference; an adapter is merged in float32 first, so that merging loses nothing."""
    low = torch.bfloat16 if device.type == "cpu" or torch.cuda.is_bf16_supported() else torch.float16
    dtype = torch.float32 if job["adapter"] else low
    model = language_model(job["model"], dtype=dtype)
    if job["adapter"]:
        from peft import PeftModel

        if model.get_input_embeddings().num_embeddings < vocabulary:
            model.resize_token_embeddings(vocabulary)
        model = PeftModel.from_pretrained(model, job["adapter"]).merge_and_unload()
    return model.to(dtype=low).eval()


def spread(model: Any, gpus: Sequence[int]) -> Any:
    """The model with its layers on several GPUs, the first ones on the first of them."""
    from accelerate import dispatch_model

    return dispatch_model(model, places_of(model, {gpu: torch.cuda.mem_get_info(gpu)[0] for gpu in gpus}))


def places_of(model: Any, free: Mapping[int, int]) -> dict[str, int]:
    """Part of the model -> the GPU that holds it, about the same on each. Raises RuntimeError where all together are too small.

    Args:
        free: GPU -> its free bytes, of which a fifth is left to the key-value cache.
    """
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    rules = {"no_split_module_classes": model._no_split_modules}
    room = {gpu: int(0.8 * bytes_) for gpu, bytes_ in free.items()}
    places = infer_auto_device_map(model, max_memory=get_balanced_memory(model, max_memory=room, **rules), **rules)
    if left := [part for part, place in places.items() if place not in room]:
        raise RuntimeError(
            f"eval.gpus_each: {len(room)} GPUs have no room for {left[0]} and {len(left) - 1} more parts of the model"
        )
    return dict(places)


def open_generator(job: Mapping[str, Any]) -> Generator:
    """The generator of a process, prepared for speed."""
    generator = Generator(job)
    if generator.device.type == "cpu":
        pack_linears(generator.model)
    return generator


def free_memory() -> None:
    """Gives back what a dropped model held; modules of Transformers refer to each other in cycles."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def main() -> None:
    """Serves standard input; what GeneratorProcess starts."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    serve(open_generator, free_memory)
