"""vLLM as the server of a checkpoint, where it renders the prompts as in training. Imports no torch."""

import importlib.util
import sys
from pathlib import Path

from evoltune.errors import MissingExtraError, TrainingError
from evoltune.models.load import load_tokenizer
from evoltune.models.proof import check_golden, read_template


def vllm_can_serve(checkpoint: Path) -> bool:
    """Whether vLLM is installed and the tokenizer's own chat template builds the prompts of training.

    Plain formats are saved as such a template if it builds the same ids; a system prompt or an adapter has no place in it.
    """
    template = read_template(checkpoint)
    if template is None or template.template == "chat":
        renders = template is None or not template.system_prompt
    else:
        renders = (checkpoint / "chat_template.jinja").is_file()
    whole = not (checkpoint / "adapter_config.json").is_file()
    return importlib.util.find_spec("vllm") is not None and whole and renders


def vllm_command(checkpoint: str, host: str, port: int, name: str) -> list[str]:
    """The command that serves the checkpoint, after the template proof.

    Raises:
        TrainingError: vLLM would render other prompts than training saw.
    """
    if importlib.util.find_spec("vllm") is None:
        raise MissingExtraError("vllm", "vllm", "--engine vllm")
    if not vllm_can_serve(Path(checkpoint)):
        raise TrainingError(
            f"{checkpoint}: vLLM would not render its prompts as in training (an adapter, a system prompt, or a template that "
            "its tokenizer cannot hold): merge it first, or use --engine transformers"
        )
    check_golden(Path(checkpoint), load_tokenizer(checkpoint))
    return [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", checkpoint,
        "--host", host, "--port", str(port), "--served-model-name", name,
    ]  # fmt: skip
