"""Teachers inside this process: Transformers (batched, CPU or GPU) and vLLM offline, for a local path or a hub id.

    teacher: {kind: transformers, model: ./my-model, concurrency: 16}

Requests that wait together and share their decoding options run as one batch, each row with its own seed where the engine
can (vLLM). Invariant: the event loop never blocks; one batch runs at a time, in a thread.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from evoltune import recipe as recipes
from evoltune.errors import MissingExtraError, TeacherError
from evoltune.run.store import Usage
from evoltune.teacher.protocol import Reply, Request

Generate = Callable[[Sequence[Request]], Sequence[Reply]]


@asynccontextmanager
async def open_local(config: recipes.Teacher) -> AsyncIterator[BatchedTeacher]:
    """Loads the model. Raises MissingExtraError, or TeacherError when it cannot be loaded."""
    module, load = ("vllm", _load_vllm) if config.kind == "vllm" else ("transformers", _load_transformers)
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(module, "train", f"teacher.kind {config.kind!r}")
    try:
        generate = await asyncio.to_thread(load, config)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TeacherError(f"teacher.model: {config.model!r} cannot be loaded: {first}") from error
    teacher = BatchedTeacher(generate, config.concurrency)
    runner = asyncio.create_task(teacher.run())
    try:
        yield teacher
    finally:
        runner.cancel()
        with suppress(asyncio.CancelledError):
            await runner


class BatchedTeacher:
    """Collects the requests that wait and runs them together."""

    def __init__(self, generate: Generate, size: int) -> None:
        self._generate, self._size = generate, size
        self._queue: asyncio.Queue[tuple[Request, asyncio.Future[Reply]]] = asyncio.Queue()

    async def complete(self, request: Request) -> Sequence[str]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        await self._queue.put((request, future))
        return await future

    async def run(self) -> None:
        """Serves batches until cancelled."""
        held: list[tuple[Request, asyncio.Future[Reply]]] = []
        while True:
            if not held:
                held.append(await self._queue.get())
                await asyncio.sleep(0.002)  # lets chains that woke together queue up together
            while not self._queue.empty():
                held.append(self._queue.get_nowait())
            options = _options(held[0][0])
            batch = [w for w in held if _options(w[0]) == options][: self._size]
            held = [w for w in held if w not in batch]
            await self._serve(batch)

    async def _serve(self, batch: list[tuple[Request, asyncio.Future[Reply]]]) -> None:
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


def _options(request: Request) -> tuple[object, ...]:
    return (request.n, request.temperature, request.top_p, request.max_tokens, request.stop)


def _load_transformers(config: recipes.Teacher) -> Generate:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(config.model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForCausalLM.from_pretrained(config.model, dtype="auto").to(device).eval()

    def prompt(request: Request) -> str:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        if tokenizer.chat_template:
            return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        return "\n\n".join(m["content"] for m in messages) + "\n\n"

    def generate(requests: Sequence[Request]) -> Sequence[Reply]:
        first = requests[0]
        special = not tokenizer.chat_template
        inputs = tokenizer(
            [prompt(r) for r in requests], return_tensors="pt", padding=True, add_special_tokens=special
        ).to(device)
        torch.manual_seed(first.seed)
        sampling = {"do_sample": False}
        if first.temperature > 0:
            sampling = {"do_sample": True, "temperature": first.temperature, "top_p": first.top_p, "top_k": 0}  # type: ignore[dict-item]
        with torch.inference_mode():
            out = model.generate(
                **inputs,
                **sampling,
                max_new_tokens=first.max_tokens,
                num_return_sequences=first.n,
                pad_token_id=tokenizer.pad_token_id,
            )
        width = inputs["input_ids"].shape[1]
        ends = _end_ids(model, tokenizer)
        asked = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            _reply(
                tokenizer, out[i * first.n : (i + 1) * first.n, width:].tolist(), ends, int(asked[i]), request
            )
            for i, request in enumerate(requests)
        ]

    return generate


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    found = model.generation_config.eos_token_id
    listed = found if isinstance(found, list) else [found]
    return {i for i in (*listed, tokenizer.eos_token_id) if i is not None}


def _reply(tokenizer: Any, rows: list[list[int]], ends: set[int], asked: int, request: Request) -> Reply:
    texts, cut, made = [], [], 0
    for i, ids in enumerate(rows):
        end = next((n for n, token in enumerate(ids) if token in ends), None)
        kept = ids if end is None else ids[:end]
        made += len(kept)
        text, stopped = _until_stop(str(tokenizer.decode(kept, skip_special_tokens=True)), request.stop)
        texts.append(text)
        if end is None and not stopped and len(ids) >= request.max_tokens:
            cut.append(i)
    usage = Usage(prompt_tokens=asked, completion_tokens=made)
    return Reply(texts=tuple(texts), usage=usage, cut=tuple(cut))


def _until_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    at = min((i for s in stop if (i := text.find(s)) >= 0), default=-1)
    return (text[:at], True) if at >= 0 else (text, False)


def _load_vllm(config: recipes.Teacher) -> Generate:
    from vllm import LLM, SamplingParams

    engine: Any = LLM(model=config.model)

    def generate(requests: Sequence[Request]) -> Sequence[Reply]:
        sampling = [
            SamplingParams(
                n=r.n,
                temperature=r.temperature,
                top_p=r.top_p,
                frequency_penalty=r.frequency_penalty,
                max_tokens=r.max_tokens,
                stop=list(r.stop) or None,
                seed=r.seed,
            )
            for r in requests
        ]
        chats = [[{"role": role, "content": content} for role, content in r.messages] for r in requests]
        outputs = engine.chat(chats, sampling, use_tqdm=False)
        return [_vllm_reply(o) for o in outputs]

    return generate


def _vllm_reply(output: Any) -> Reply:
    made = sum(len(c.token_ids) for c in output.outputs)
    return Reply(
        texts=tuple(c.text for c in output.outputs),
        usage=Usage(prompt_tokens=len(output.prompt_token_ids), completion_tokens=made),
        cut=tuple(i for i, c in enumerate(output.outputs) if c.finish_reason == "length"),
    )
