"""The generator process with vLLM: the job, prompts and protocol of evoltune.generate.transformers_worker.

    evoltune eval --model M --suite gsm8k --engine vllm

Invariant: vLLM receives token ids, never text, so it renders no template; each sample has its own seed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import AutoConfig, AutoTokenizer
from vllm import LLM, SamplingParams

from evoltune.generate.worker_protocol import Prompter, serve


class VllmGenerator:
    """A model in vLLM, with its adapter; vLLM makes its own batches."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"])
        self.config = AutoConfig.from_pretrained(job["model"])
        self.take(job)
        more: dict[str, Any] = {"enable_lora": True, "max_lora_rank": 256} if job["adapter"] else {}
        if job["gpus_each"] > 1:
            more["tensor_parallel_size"] = job["gpus_each"]
        self.model = LLM(model=job["model"], tokenizer=job["tokenizer"], **more)
        self.lora = _lora(job["adapter"]) if job["adapter"] else None

    def take(self, job: Mapping[str, Any]) -> None:
        """See `worker_protocol.Generator`."""
        self.job = job
        self.prompter = Prompter(job, self.tokenizer, self.config, self.config.eos_token_id)

    def proof(self) -> dict[str, Any]:
        return self.prompter.proof("vllm", "auto")

    def answer(self, batch: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """See `worker_protocol.Generator`."""
        prompts = [self.prompter.ids(row["prompt"], row.get("history", ())) for row in batch]
        made = self.model.generate(
            [{"prompt_token_ids": ids} for ids in prompts],
            [
                self._sampling(int(row["seed"]), self.prompter.room(ids))
                for row, ids in zip(batch, prompts, strict=True)
            ],
            lora_request=self.lora,
            use_tqdm=False,
        )
        return [_result(one.outputs[0], ids) for one, ids in zip(made, prompts, strict=True)]

    def _sampling(self, seed: int, room: int) -> SamplingParams:
        job = self.job
        return SamplingParams(
            temperature=job["temperature"], top_p=job["top_p"], repetition_penalty=job["repetition_penalty"],
            max_tokens=room, stop=list(job["stops"]), stop_token_ids=self.prompter.stop_ids, seed=seed,
        )  # fmt: skip


def _result(output: Any, prompt: Sequence[int]) -> dict[str, Any]:
    by_string = isinstance(output.stop_reason, str)
    stop = "length" if output.finish_reason == "length" else "stop" if by_string else "eos"
    return {"text": output.text, "tokens": len(output.token_ids), "stop": stop, "prompt_tokens": len(prompt)}


def _lora(folder: str) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest("evaluated", 1, folder)


def main() -> None:
    """Serves standard input; what GeneratorProcess starts."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    serve(VllmGenerator)


if __name__ == "__main__":
    main()
