"""Teachers in this process: Transformers (batched, CPU or GPU) and vLLM, for a local path or a hub id.

    teacher: {kind: transformers, model: ./my-model, concurrency: 16}

    teacher: {kind: vllm, model: org/name, engine: {tensor_parallel_size: 2, max_model_len: 8192, dtype: bfloat16}}

Requests that wait at the same time and share their sampling options run as one batch; each sample has a seed of its own.
Invariant: the event loop never blocks: one batch runs at a time, in a thread.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from typing import Any

from evoltune import recipe as recipes
from evoltune.errors import RecipeError, TeacherError, require
from evoltune.models.load import language_model, with_contiguous_rows
from evoltune.models.locate import locate_model
from evoltune.run.paths import user_path
from evoltune.run.store import Usage
from evoltune.teacher.protocol import Reply, Request

Generate = Callable[[Sequence[Request]], Sequence[Reply]]
Loaded = tuple[Generate, Callable[[], None]]
"""What answers, and what ends it: later stages of the run need its memory."""
Waiting = tuple[Request, "asyncio.Future[Reply]"]
COLLECT_S = 0.002  # lets chains that woke at the same time join one batch


@asynccontextmanager
async def open_in_process(config: recipes.Teacher) -> AsyncIterator[BatchedTeacher]:
    """Loads the model. Raises MissingExtraError, or TeacherError when it cannot be loaded."""
    if config.kind == "vllm":
        extra, module, load = "vllm", "vllm", _load_vllm
    else:
        extra, module, load = "train", "transformers", _load_transformers
    require(f"teacher.kind {config.kind!r}", extra, module)
    if config.max_tokens is None:
        raise RecipeError(
            f"teacher.max_tokens: null is for servers, which have a default: teacher.kind {config.kind!r} has none"
        )
    if config.model.startswith(("/", "./", "../", "~")) and not user_path(config.model).exists():
        raise TeacherError(f"teacher.model: {config.model!r}: no such folder: give the folder of a model, or a hub id")
    try:
        generate, close = await asyncio.to_thread(load, config)
    except (OSError, ValueError, TypeError, ImportError, RuntimeError) as error:
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise TeacherError(f"teacher.model: {config.model!r} cannot be loaded: {first_line}") from error
    teacher = BatchedTeacher(generate, config.concurrency)
    runner = asyncio.create_task(teacher.run())
    try:
        yield teacher
    finally:
        runner.cancel()
        with suppress(asyncio.CancelledError):
            await runner
        await asyncio.to_thread(close)


class BatchedTeacher:
    """Collects waiting requests and runs them in batches of at most `size`."""

    def __init__(self, generate: Generate, size: int) -> None:
        self._generate, self._size = generate, size
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()

    async def complete(self, request: Request) -> Reply:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        await self._queue.put((request, future))
        return await future

    async def run(self) -> None:
        """Serves batches until cancelled."""
        waiting: list[Waiting] = []
        while True:
            if not waiting:
                waiting.append(await self._queue.get())
                await asyncio.sleep(COLLECT_S)
            while not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            options = _sampling_options(waiting[0][0])
            batch = [w for w in waiting if _sampling_options(w[0]) == options][: self._size]
            waiting = [w for w in waiting if w not in batch]
            await self._serve(batch)

    async def _serve(self, batch: list[Waiting]) -> None:
        try:
            replies = await asyncio.to_thread(self._generate, [request for request, _ in batch])
        except (RuntimeError, ValueError) as error:  # out of memory is a RuntimeError
            failure = TeacherError(
                f"the local teacher failed on a batch of {len(batch)}: {error}: lower teacher.concurrency"
            )
            for _, future in batch:
                if not future.done():
                    future.set_exception(failure)
            return
        for (_, future), reply in zip(batch, replies, strict=True):
            if not future.done():
                future.set_result(reply)


def _sampling_options(request: Request) -> tuple[object, ...]:
    return (request.n, request.temperature, request.top_p, request.max_tokens, request.stop)


def _as_chat(request: Request) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in request.messages]


# ---- Transformers


def _load_transformers(config: recipes.Teacher) -> Loaded:
    import torch
    from transformers import AutoTokenizer

    where = locate_model(config.model)
    tokenizer: Any = AutoTokenizer.from_pretrained(where, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    options = {"dtype": "auto", **config.engine}
    model: Any = language_model(where, **options)
    if "device_map" not in options:
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    with_contiguous_rows(model.eval())
    held = [model]
    del model

    def close() -> None:
        held.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    return lambda requests: _generate_with_transformers(held[0], tokenizer, requests), close


def _generate_with_transformers(model: Any, tokenizer: Any, requests: Sequence[Request]) -> Sequence[Reply]:
    """One batch; its requests share their sampling options, and each sample has a seed of its own."""
    import torch
    from transformers import LogitsProcessorList

    options = requests[0]
    prompts = [_prompt_text(tokenizer, request) for request in requests for _ in range(request.n)]
    special = not tokenizer.chat_template
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=special).to(model.device)
    seeds = [(request.seed + sample) % 2**31 for request in requests for sample in range(request.n)]
    with torch.inference_mode():
        output = model.generate(
            **inputs, max_new_tokens=options.max_tokens, do_sample=False, num_beams=1, pad_token_id=tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList(_samplers(options, seeds, model.device)),
        )  # fmt: skip
    ends = _end_tokens(model, tokenizer)
    prompt_tokens = inputs["attention_mask"].sum(dim=1).tolist()[:: options.n]
    generated = iter(output[:, inputs["input_ids"].shape[1] :].tolist())
    return [
        _decoded(tokenizer, list(islice(generated, options.n)), ends, int(count), request)
        for request, count in zip(requests, prompt_tokens, strict=True)
    ]


def _samplers(options: Request, seeds: Sequence[int], device: Any) -> list[Any]:
    """Processors that make greedy decoding sample: temperature, nucleus, then Gumbel noise from a generator for each row, so
    that a row's text depends on its own seed and not on the rows beside it (the largest noisy logit is a sample)."""
    import torch
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    if not options.temperature:  # null is greedy here: a model's own defaults are no options of a request
        return []
    generators = [torch.Generator(device="cpu").manual_seed(seed) for seed in seeds]

    def add_noise(input_ids: Any, scores: Any) -> Any:
        drawn = [torch.rand(scores.shape[1], generator=generator) for generator in generators]
        uniform = torch.stack(drawn).to(device).clamp_min(1e-20)
        return scores.float() - torch.log(-torch.log(uniform))

    nucleus = [TopPLogitsWarper(options.top_p)] if options.top_p is not None and options.top_p < 1 else []
    return [TemperatureLogitsWarper(options.temperature), *nucleus, add_noise]


def _prompt_text(tokenizer: Any, request: Request) -> str:
    if tokenizer.chat_template:
        chat = _as_chat(request)
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    return "\n\n".join(content for _, content in request.messages) + "\n\n"


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    found = model.generation_config.eos_token_id
    listed = found if isinstance(found, list) else [found]
    return {i for i in (*listed, tokenizer.eos_token_id) if i is not None}


def _decoded(tokenizer: Any, rows: list[list[int]], ends: set[int], prompt_tokens: int, request: Request) -> Reply:
    texts, truncated, completion_tokens = [], [], 0
    for i, ids in enumerate(rows):
        end = next((n for n, token in enumerate(ids) if token in ends), None)
        ids_of_text = ids[:end]
        completion_tokens += len(ids_of_text)
        text, stopped = _until_stop(str(tokenizer.decode(ids_of_text, skip_special_tokens=True)), request.stop)
        texts.append(text)
        if end is None and not stopped and len(ids) >= (request.max_tokens or 0):
            truncated.append(i)
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    return Reply(texts=tuple(texts), usage=usage, truncated=tuple(truncated))


def _until_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text up to the first stop string, and whether there was one."""
    at = min((i for s in stop if (i := text.find(s)) >= 0), default=-1)
    return (text[:at], True) if at >= 0 else (text, False)


# ---- vLLM


def _load_vllm(config: recipes.Teacher) -> Loaded:
    from vllm import LLM, SamplingParams

    engine: Any = LLM(model=config.model, **config.engine)

    def generate(requests: Sequence[Request]) -> Sequence[Reply]:
        sampling = [
            SamplingParams(n=r.n, max_tokens=r.max_tokens, stop=list(r.stop) or None, seed=r.seed, **_set_options(r))
            for r in requests
        ]
        outputs = engine.chat([_as_chat(r) for r in requests], sampling, use_tqdm=False)
        return [_vllm_reply(o) for o in outputs]

    return generate, engine.llm_engine.engine_core.shutdown


def _set_options(request: Request) -> dict[str, float]:
    """The options that the recipe sets; the engine has its own defaults for the others."""
    options = {name: getattr(request, name) for name in ("temperature", "top_p", "frequency_penalty")}
    return {name: value for name, value in options.items() if value is not None}


def _vllm_reply(output: Any) -> Reply:
    completion_tokens = sum(len(c.token_ids) for c in output.outputs)
    return Reply(
        texts=tuple(c.text for c in output.outputs),
        usage=Usage(prompt_tokens=len(output.prompt_token_ids), completion_tokens=completion_tokens),
        truncated=tuple(i for i, c in enumerate(output.outputs) if c.finish_reason == "length"),
    )
