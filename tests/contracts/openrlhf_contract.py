"""What OpenRLHF itself does with our files, printed as JSON. Run with openrlhf importable; arguments: folders that `evoltune rl`
wrote."""

import ast
import asyncio
import contextlib
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import openrlhf
from transformers import AutoTokenizer


def contract(folder: Path) -> dict:
    words = json.loads((folder / "words.json").read_text())
    args = parsed(words)
    tokenizer = AutoTokenizer.from_pretrained(args.actor.model_name_or_path)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    answers = json.loads((folder / "answers.json").read_text())
    return {
        "url": args.reward.remote_url,
        "critic": args.critic.model_name_or_path,
        "scores": asyncio.run(scores(args, tokenizer, rows, answers)),
        "accepted": [flag for flag in words if flag.startswith("--") and refusal(misspelt(words, flag)) == "accepted"],
    }


def parsed(words):
    """The arguments as the command line of the trainer reads and checks them: its own main block without the last statement,
    which trains."""
    path = Path(openrlhf.__file__).parent / "cli" / "train_ppo_ray.py"
    tree = ast.parse(path.read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.body[-1]) == "train(args)"
    space = {"__name__": "__main__"}
    imports = [node for node in tree.body if standard(node)]
    code = ast.Module([*imports, *block.body[:-1]], [])
    sys.argv = ["train_ppo_ray", *words]
    exec(compile(code, str(path), "exec"), space)
    return space["args"]


def standard(node):
    """Whether a statement imports from the standard library; the others need vLLM and GPUs."""
    names = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
    return isinstance(node, ast.Import | ast.ImportFrom) and all(
        n.split(".")[0] in sys.stdlib_module_names for n in names
    )


def misspelt(words, flag):
    """Its last letters turned round: one that only grew could still be a prefix that argparse completes."""
    return [f"{flag[:-2]}{flag[:-3:-1]}x" if word == flag else word for word in words]


def refusal(words):
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            parsed(words)
    except SystemExit:
        return told.getvalue().strip().splitlines()[-1]
    return "accepted"


async def scores(args, tokenizer, rows, answers):
    from openrlhf.datasets.prompts_dataset import preprocess_data
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    executor = SingleTurnAgentExecutor(args.reward.remote_url)
    sampling = SimpleNamespace(max_tokens=64, logprobs=None)
    pairs = [
        preprocess_data(row, None, args.data.input_key, args.data.label_key, tokenizer.apply_chat_template)
        for row in rows
    ]
    outputs = await asyncio.gather(*(
        executor.execute(prompt, label, sampling, 512, tokenizer, Engine(tokenizer, answer))
        for (prompt, label), answer in zip(pairs, answers, strict=True)
    ))  # fmt: skip
    return [
        {
            "reward": None if output["reward"] is None else output["reward"].tolist(),
            "unjudged": output["extra_logs"]["unjudged"].tolist() if output["extra_logs"] else None,
        }
        for output in outputs
    ]


class Engine:
    """Answers as vLLM does: token ids with the end mark."""

    def __init__(self, tokenizer, answer):
        self.ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]

    async def generate(self, prompt_token_ids, sampling_params, multi_modal_data=None):
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=self.ids, finish_reason="stop", logprobs=None)])


if __name__ == "__main__":
    folders = sys.argv[1:]  # the trainer's parser reads sys.argv, which is set for it
    print(json.dumps([contract(Path(folder)) for folder in folders]))
