"""How common providers differ from the plain OpenAI format, as data: for tests, and for servers that stand in for them.

    provider = PROVIDERS["mistral"]
    provider.refusal(body)                          # (422, {"object": "error", ...}) for a body with `seed`, else None
    provider.completion(body, ["Four."], "2 + 2")   # the reply as this provider words it, with its reasoning

The teacher itself never asks who a provider is (see `negotiation`); this table only says what must work. Invariant: a refusal
has the status, the fields and the nesting of the real one; its sentence is our own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Body = Mapping[str, Any]
Error = tuple[int, object]
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One way to speak the OpenAI format."""

    title: str
    path: str = CHAT
    query: Mapping[str, str] = field(default_factory=dict)
    """What the URL's query must hold."""
    key_header: str = "Authorization"
    refuses: Mapping[str, Any] = field(default_factory=dict)
    """Parameter -> the one value that is taken; None: none is. `temperature+top_p`: not both; `system`: no system turn."""
    wording: Callable[[str, Body], Error] | None = None
    """The refusal of a parameter."""
    ignores_n: bool = False
    reasoning: str = ""
    """Where the thought stands: a field of the message, `parts`, `tags`, `closed` (without its opening tag), `harmony`."""
    counts_reasoning_apart: bool = False
    """Reasoning is in `total_tokens` and not in `completion_tokens`."""
    fails_inside_200: bool = False
    """The first reply is an error inside HTTP 200."""

    def refusal(self, body: Body) -> Error | None:
        """The status and body with which a request is refused; None when it is taken."""
        for name, only in self.refuses.items():
            if self.wording is not None and _has(body, name, only):
                return self.wording(name, body)
        return None

    def completion(
        self, body: Body, texts: Sequence[str], thought: str = "", *, is_cut: bool = False
    ) -> dict[str, Any]:
        """The reply with these answers, each behind the thought where the provider shows one."""
        shown = texts[:1] if self.ignores_n else texts
        end = "length" if is_cut else "stop"
        choices = [
            {"index": i, "finish_reason": end, "message": {"role": "assistant", **self._message(text, thought)}}
            for i, text in enumerate(shown)
        ]
        asked = sum(_tokens(str(m.get("content"))) for m in body.get("messages", ()))
        made, thinking = sum(map(_tokens, shown)), _tokens(thought) * len(shown) if self.reasoning else 0
        usage = {
            "prompt_tokens": asked, "completion_tokens": made + (0 if self.counts_reasoning_apart else thinking),
            "total_tokens": asked + made + thinking, "completion_tokens_details": {"reasoning_tokens": thinking},
        }  # fmt: skip
        return {
            "id": "reply",
            "object": "chat.completion",
            "model": body.get("model"),
            "choices": choices,
            "usage": usage,
        }

    def _message(self, text: str, thought: str) -> dict[str, Any]:
        if not thought or not self.reasoning:
            return {"content": text}
        whole = {
            "tags": f"<think>\n{thought}\n</think>\n\n{text}",
            "closed": f"{thought}\n</think>\n\n{text}",
            "harmony": f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final<|message|>{text}",
        }
        if self.reasoning in whole:
            return {"content": whole[self.reasoning]}
        if self.reasoning == "parts":
            inside = [{"type": "text", "text": thought}]
            return {"content": [{"type": "thinking", "thinking": inside}, {"type": "text", "text": text}]}
        return {"content": text, self.reasoning: thought}


def _tokens(text: str) -> int:
    return len(text.split())


def _has(body: Body, name: str, only: Any) -> bool:
    if name == "system":
        return any(m.get("role") == "system" for m in body.get("messages", ()))
    if "+" in name:
        return all(part in body for part in name.split("+"))
    return name in body and body[name] != only


def _openai(name: str, body: Body) -> Error:
    code = "unsupported_value" if name == "temperature" else "unsupported_parameter"
    said = f"{name!r} cannot be used here" + ("; there is 'max_completion_tokens'" if name == "max_tokens" else "")
    return 400, {"error": {"message": said, "type": "invalid_request_error", "param": name, "code": code}}


def _anthropic(name: str, body: Body) -> Error:
    said = f"`{name.replace('+', '` beside `')}` cannot be served with this model"
    return 400, {
        "error": {"message": said, "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}
    }


def _google(name: str, body: Body) -> Error:
    said = f'Unknown name "{name}" in the payload.'
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": said}]}]
    return 400, [{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT", "details": details}}]


def _xai(name: str, body: Body) -> Error:
    head, *others = name.split("_")
    camel = head + "".join(part.title() for part in others)
    return 400, {
        "code": "Client specified an invalid argument",
        "error": f"This model does not take the argument {camel}",
    }


def _pydantic(name: str, body: Body) -> Error:
    detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "no such input", "input": body[name]}]
    return 422, {
        "object": "error",
        "message": {"detail": detail},
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }


def _template(name: str, body: Body) -> Error:
    return 400, {
        "error": {"code": 400, "message": f"the chat template knows no {name} role", "type": "invalid_request_error"}
    }


_CURRENT_OPENAI = {"max_tokens": None, "temperature": 1, "top_p": 1}
PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(title="OpenAI (current models)", refuses=_CURRENT_OPENAI, wording=_openai),
    "azure": Provider(
        title="Azure OpenAI (a deployment's URL)", path="/openai/deployments/teacher/chat/completions",
        query={"api-version": "2024-10-21"}, key_header="api-key", refuses=_CURRENT_OPENAI, wording=_openai,
    ),
    "anthropic": Provider(
        title="Anthropic (OpenAI-compatible)", refuses={"n": 1, "temperature+top_p": None}, wording=_anthropic
    ),
    "gemini": Provider(
        title="Gemini (OpenAI-compatible)", path="/v1beta/openai/chat/completions",
        refuses={"frequency_penalty": None, "seed": None}, wording=_google, counts_reasoning_apart=True,
    ),
    "xai": Provider(
        title="xAI", refuses={"frequency_penalty": None, "stop": None}, wording=_xai, reasoning="reasoning_content",
        counts_reasoning_apart=True,
    ),
    "mistral": Provider(title="Mistral", refuses={"seed": None}, wording=_pydantic, reasoning="parts"),
    "deepseek": Provider(title="DeepSeek", reasoning="reasoning_content"),
    "vllm": Provider(title="vLLM", reasoning="closed"),
    "llama.cpp": Provider(
        title="llama.cpp", refuses={"system": None}, wording=_template, ignores_n=True, reasoning="harmony"
    ),
    "ollama": Provider(title="Ollama", ignores_n=True, reasoning="tags"),
    "openrouter": Provider(title="OpenRouter", reasoning="reasoning", fails_inside_200=True),
}  # fmt: skip
