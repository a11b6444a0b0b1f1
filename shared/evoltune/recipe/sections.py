"""The sections of a recipe: typed, frozen, strict. Field names follow Transformers and TRL where they have one."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from evoltune.recipe.base import Section
from evoltune.recipe.evolution import Evolve
from evoltune.recipe.judging import System
from evoltune.recipe.reinforcement import RL, Reward
from evoltune.recipe.types import (
    AboveZero,
    Count,
    FilePath,
    Fraction,
    Level,
    NameOrPath,
    NonNegative,
    PathOrHubId,
    Positive,
    Share,
    StepLimit,
)
from evoltune.record import Status, digest


class Seeds(Section, frozen=True, kw_only=True):
    """What evolution starts from. Without `path`, the domain's own seeds are used."""

    path: PathOrHubId | tuple[PathOrHubId, ...] | None = None
    """File(s), folder or hub id; see docs/datasets.md for the formats."""
    limit: Count = 0
    """Use only the first N; 0: all."""
    licence: str = ""
    """Licence of these seeds, written to each row."""
    bootstrap: Literal["none", "self_instruct"] = "none"
    """`self_instruct`: the teacher writes more seeds after the pattern of these (2212.10560)."""
    bootstrap_size: Count = 0
    """Seeds that there are after bootstrapping."""
    snippets: FilePath | None = None
    """A folder of source files: the teacher writes seeds inspired by snippets of them (OSS-Instruct, 2312.02120)."""


class Price(Section, frozen=True, kw_only=True):
    """Dollars per million tokens."""

    prompt: NonNegative = 0.0
    completion: NonNegative = 0.0


class Budget(Section, frozen=True, kw_only=True):
    """Hard caps. Each call's largest possible cost is reserved before it is made; 0: no cap."""

    usd: NonNegative = 0.0
    tokens: Count = 0
    calls: Count = 0
    wall_s: NonNegative = 0.0


class Endpoint(Section, frozen=True, kw_only=True):
    """One OpenAI-compatible server."""

    url: str
    weight: AboveZero = 1.0
    api_key_env: str | None = None
    api_key_file: FilePath | None = None
    api_key_header: str = ""
    """Header that holds the key; empty: `Authorization: Bearer KEY`, and `api-key` where the URL is an Azure deployment's."""
    headers: dict[str, str] = {}
    """More headers. `${NAME}` here, in `url`, `query` and `extra_body` stands for an environment variable, so that no secret is in
    the recipe."""
    query: dict[str, str] = {}
    """More of the URL's query, e.g. `{api-version: 2024-10-21}`."""
    extra_body: dict[str, Any] = {}
    """What this server's request bodies hold beside the usual, e.g. `{provider: {order: [x]}}`; `seed: null` leaves a
    parameter out."""


class Teacher(Section, frozen=True, kw_only=True):
    """The LLM that rewrites, compares and answers. Decoding defaults are WizardLM's (2304.12244, section 4)."""

    kind: str = "embedded"
    """`embedded`, `http`, `replay`, `transformers`, `vllm`, `any-llm` (providers' own interfaces), or an installed plug-in's."""
    model: PathOrHubId = "SmolLM2-135M-Instruct"
    """`http`: the name sent to the server; `embedded`: a GGUF path, OWNER/NAME:FILE.gguf on the hub, or the packaged model; `transformers`: a path or hub id."""
    endpoints: tuple[Endpoint, ...] = ()
    cassette: FilePath | None = None
    """For `replay`: a file written by `evoltune cassette export`."""
    temperature: NonNegative | None = 1.0
    """`null` here, or for the three that follow: the parameter is not sent, and the server's default holds."""
    top_p: Share | None = 0.9
    frequency_penalty: float | None = 0.0
    max_tokens: Positive | None = 2048
    stop: tuple[str, ...] = ()
    extra_body: dict[str, Any] = {}
    """`http`: more sampling options, sent as they are: `{reasoning_effort: low}`, `{top_k: 20}`, `{chat_template_kwargs: ...}`."""
    concurrency: Positive = 32
    timeout_s: AboveZero = 120.0
    max_retries: Count = 8
    max_wait_s: AboveZero = 600.0
    """Longest wait for a server that asks to wait (429, 503); beyond it the run stops, and the same command goes on."""
    requests_per_minute: Count = 0
    """0: inferred from the server's headers and its 429 replies."""
    tokens_per_minute: Count = 0
    slots: Positive = 8
    """`embedded`: requests that are decoded together."""
    context: Positive = 2048
    """`embedded`: tokens per slot."""
    threads: Count = 0
    """`embedded`; 0: one less than there are cores."""
    engine: dict[str, Any] = {}
    """Options of the engine itself: `vllm` (`tensor_parallel_size`, `max_model_len`, `dtype` ...), `transformers` (`dtype`,
    `device_map` ...), `any-llm` or a plug-in's."""
    price: Price = Price()
    budget: Budget = Budget()
    terms: str = ""
    """Licence or terms of the teacher's output, written to each row."""


class Sandbox(Section, frozen=True, kw_only=True):
    """How untrusted programs are isolated."""

    require: Level = "L1"
    """The weakest accepted level, from L3 (namespaces, Landlock, seccomp, rlimits) to L0 (rlimits only)."""


class Verification(Section, frozen=True, kw_only=True):
    """How answers are verified."""

    workers: Count = 0
    """Worker processes; 0: cores / LOCAL_WORLD_SIZE."""
    check_s: AboveZero = 2.0
    """CPU seconds that the verifier itself may take for one answer."""
    program_s: AboveZero = 5.0
    """CPU seconds that an untrusted program may take."""
    memory_mb: Positive = 1024
    """Memory that an untrusted program may take."""
    sandbox: Sandbox = Sandbox()
    """The isolation of untrusted programs."""
    keep: tuple[Status, ...] = ("pass",)
    """Verdicts with which a row is kept."""
    policy: dict[str, Any] = {}
    """Settings of the domain's verifier, by name; the domain defines which there are."""


class Source(Section, frozen=True, kw_only=True):
    """One more dataset in the mix."""

    path: PathOrHubId
    """File, folder, run, hub id, or a source of LIMA's (`stackexchange:physics/Posts.xml`, `wikihow:`, `reddit:`, `natural-instructions:`); see docs/datasets.md."""
    weight: AboveZero = 1.0
    """Rows of this source per row of the run's own."""
    cap: Count = 0
    """At most this many rows; 0: no cap."""
    licence: str = ""
    """Licence of rows that state none."""


class Curate(Section, frozen=True, kw_only=True):
    """Dedup, decontamination, selection, split."""

    near_threshold: Fraction = 0.7
    """Jaccard of word 3-shingles above which two instructions are near-duplicates; 1: exact dedup only."""
    semantic_threshold: Fraction = 1.0
    """Cosine of embeddings above which two rows are duplicates; 1: off."""
    embeddings: PathOrHubId = ""
    """Embedding model for this, for `contamination_embeddings` and for selection; empty: hashed n-gram vectors."""
    ngrams: tuple[Positive, ...] = (13,)
    """Lengths n of word n-grams that a row may not share with a suite; common choices: 8, 10, 13."""
    contamination_jaccard: Fraction = 0.6
    """Jaccard of word 3-shingles with a problem above which a row is contaminated; 1: off."""
    paraphrase: bool = True
    """Also drop rows that reword a problem (same numbers or same code structure); see docs/contamination.md."""
    contamination_embeddings: Fraction = 1.0
    """Also drop rows whose embedding, without what the suite and the seeds have in common, has this cosine with a problem's: open text
    in other words; needs `embeddings`; 1: off."""
    overlap: bool = True
    """Also drop rows that the domain's own overlap functions find (same behaviour, same skeleton)."""
    band: tuple[Fraction, Fraction] = (0.1, 0.8)
    """Keep tasks whose measured pass rate (`evolve.pass_rate`) lies between these; a task that was not measured stays."""
    size: Count = 0
    """Rows to select; 0: all."""
    mode: Literal["all", "quality_diversity", "difficulty", "lima"] = "all"
    """With `size`: `all` draws uniformly, `quality_diversity` by quality-weighted k-center, `difficulty` in proportion to the difficulty
    (DART-Math, 2407.13690), `lima` by LIMA's rules."""
    balance: Literal["none", "round", "level", "source", "skill", "reasoning"] = "none"
    """Equal shares of `size` for each round, difficulty level, source, skill or kind of reasoning, as far as there are rows."""
    quotas: dict[str, Count] = {}
    """Rows per source (LIMA: stackexchange 400, wikihow 200 ...); replaces `balance`."""
    mix: tuple[Source, ...] = ()
    """Other datasets to add."""
    validation: Fraction = 0.05
    """Share of the rows that go to validation.parquet."""
    answers_per_task: Positive = 1
    """Rows per task, of answers that pass and take different routes as far as there are such; with `size`, only as far as tasks are
    too few to fill it."""
    form: Literal["alpaca", "chat", "sharegpt"] = "alpaca"
    """Form of the JSONL copy beside the Parquet files (`dataset/alpaca/train.jsonl`)."""
    licences: tuple[str, ...] = ()
    """Licences (of seeds) and terms (of teachers) that are allowed in the dataset; empty: all."""


class Train(Section, frozen=True, kw_only=True):
    """Fine-tuning; names as in Transformers and TRL."""

    model_name_or_path: PathOrHubId = "HuggingFaceTB/SmolLM2-135M-Instruct"
    model_revision: str = "main"
    dataset: PathOrHubId | None = None
    """A path, hub id or run to train on instead of this run's own dataset."""
    template: Literal["alpaca", "wizardcoder", "wizardmath", "chat", "lima"] = "alpaca"
    system_prompt: str = ""
    reasoning: bool = False
    """Train on the thought in the column `reasoning` too: the answer stands behind `<think>`, the thought and `</think>`."""
    finetuning_type: Literal["full", "lora", "qlora"] = "full"
    max_length: Positive = 2048
    excess_length: Literal["raise", "drop", "truncate"] = "raise"
    packing: bool = False
    group_by_length: bool = True
    per_device_train_batch_size: Positive = 1
    gradient_accumulation_steps: Positive = 1
    global_batch_size: Count = 0
    """Rows per step over all devices: sets gradient_accumulation_steps for any number of devices; 0: off."""
    learning_rate: AboveZero = 2e-5
    min_learning_rate: NonNegative = 0.0
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup_steps: Count = 0
    warmup_ratio: Fraction = 0.0
    num_train_epochs: AboveZero = 3.0
    max_steps: StepLimit = -1
    """Optimizer steps, whatever `num_train_epochs` says; -1: as many as the epochs have."""
    weight_decay: NonNegative = 0.0
    adam_beta1: Fraction = 0.9
    adam_beta2: Fraction = 0.999
    adam_epsilon: AboveZero = 1e-8
    max_grad_norm: NonNegative = 1.0
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    gradient_checkpointing: bool = False
    attn_implementation: str | None = None
    use_liger_kernel: bool = True
    """Liger's fused norms, rotary embeddings and MLPs on a GPU, where liger-kernel is installed."""
    loss_chunk: Count = 0
    """Label tokens whose logits are in memory at once; 0: as many as fit into 1 GiB of fp32 logits."""
    lora_r: Positive = 16
    lora_alpha: Positive = 32
    lora_dropout: Fraction = 0.0
    lora_target_modules: str | tuple[str, ...] = "all-linear"
    """`all-linear`, names of layers, or a regular expression over their full names."""
    lora_modules_to_save: tuple[str, ...] = ()
    neftune_noise_alpha: NonNegative = 0.0
    residual_dropout: Fraction = 0.0
    """LIMA: dropout on residual connections, linear from 0.0 at the bottom layer to this at the top."""
    deepspeed: Literal["none", "zero1", "zero2", "zero3", "zero3-offload"] | dict[str, Any] = "none"
    save_steps: Count = 0
    """Steps between checkpoints of the unfinished job; 0: by time, every ten minutes."""
    save_total_limit: Count = 2
    logging_steps: Positive = 1
    checkpoint_select: Literal["last", "generations"] = "last"
    dev_suite: NameOrPath = ""
    """The suite by which `checkpoint_select: generations` chooses; never one of eval.suites."""
    resume_from_checkpoint: bool = True
    report_to: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def lora_targets(self) -> str | tuple[str, ...]:
        """`lora_target_modules`, with names given as one text (`q_proj,v_proj`) apart."""
        targets = self.lora_target_modules
        if not isinstance(targets, str) or targets == "all-linear":
            return targets
        names = tuple(name for name in re.split(r"[,\s]+", targets) if name)
        return names if all(re.fullmatch(r"\w+(\.\w+)*", name) for name in names) else targets


class Judge(Section, frozen=True, kw_only=True):
    """A model that compares open answers: the trained model's with the base's and with those of `baselines`."""

    teacher: Teacher
    """Who judges, with its budget: any kind of teacher."""
    protocol: Literal["scores", "criteria", "preference", "ranks", "grades"] = "scores"
    """scores: 1 to 10 each (Vicuna, WizardLM); criteria: the same by five criteria, of which the mean counts; preference: A, B or neither (LIMA); ranks: 1 to 5 over all at once;
    grades: excellent, pass or fail for each answer by itself (LIMA)."""
    suites: tuple[NameOrPath, ...] = ()
    """Which of `eval.suites`; empty: those with answers that no verifier can judge."""
    baselines: tuple[System, ...] = ()
    """More systems to compare with: files of answers, endpoints or checkpoints."""
    tries: Positive = 3
    """Replies asked for before a judgement counts as unreadable."""
    planted: Count = 12
    """Answers of which a worse twin is made in each of four ways, to see whether the judge prefers the better one; 0: none."""
    repeats: Count = 12
    """Comparisons that are asked a second time, to see whether the judge agrees with itself; 0: none."""
    trust: Share = 0.8
    """Share of the planted pairs below which the report warns that the judge tells good from bad too rarely."""


class Eval(Section, frozen=True, kw_only=True):
    """What is measured before and after."""

    suites: tuple[NameOrPath, ...] = ()
    """Suites of any installed domain: `gsm8k`, or `math/gsm8k` where two domains have a suite of that name."""
    profile: str = ""
    """How answers are prompted for and scored; empty: each suite's own profile."""
    beside: tuple[str, ...] = ()
    """Further profiles that score the same texts, each as a measure of its own (a strict one beside a lenient one)."""
    baseline: bool = True
    """Also score the base model, before training."""
    limit: Count = 0
    """Problems per suite; 0: all."""
    n: Count = 0
    """Samples per problem; 0: the profile's."""
    temperature: NonNegative | None = None
    """Default: the profile's."""
    top_p: Share | None = None
    """Default: the profile's."""
    max_new_tokens: Count = 0
    """0: the profile's, else 512."""
    other_prompt: bool = False
    """Allow a profile whose own prompt differs from the one that the model was trained with."""
    stops: tuple[str, ...] = ()
    """Stop strings in addition to the profile's."""
    batch_size: Count = 0
    """Prompts decoded together in each generator process; 0: up to 128, as far as the key-value cache fits."""
    baseline_template: Literal["same", "chat"] = "chat"
    """Prompt for the base model: its own chat template (the fair one), or the training template."""
    baseline_max_new_tokens: Count = 0
    """0: as for the trained model."""
    engine: Literal["transformers", "vllm", "http"] = "transformers"
    """What generates the answers."""
    gpus_each: Positive = 1
    """GPUs that hold one copy of the model: for `transformers` its layers, for `vllm` a part of each (tensor parallel)."""
    endpoint: str | None = None
    """For `http`: the URL of an OpenAI-compatible server."""
    api_key_env: str | None = None
    """For `http`: name of the environment variable that holds the key."""
    data: FilePath | None = None
    """Folder with suite files; default: EVOLTUNE_DATA."""
    judge: Judge | None = None
    """Who compares open answers, which no verifier can judge; see docs/evaluate.md."""


class Compute(Section, frozen=True, kw_only=True):
    """Where the work runs."""

    nodes: Positive = 1
    """Nodes of the training job."""
    gpus_per_node: Count = 0
    """0: all that the machine has. On a CPU: the number of training processes."""
    launcher: Literal["local", "deepspeed", "torchrun", "slurm"] = "local"
    """What starts the training processes."""
    hostfile: FilePath | None = None
    """`deepspeed` on several nodes: a file of lines `HOST slots=N`."""
    engine: Literal["local", "ray"] = "local"
    """Where verification, deduplication and decontamination run."""
    ray_address: str | None = None
    """`ray`: `auto` or HOST:PORT; default: a cluster of this machine alone."""
    max_restarts: Count = 6
    """Restarts of a training job over all its nodes. A lost node uses about two, because all ranks re-rendezvous."""
    rendezvous: str = ""
    """`torchrun` on several nodes: HOST or HOST:PORT of the first one; start the same command on each node."""
    hang_timeout_s: AboveZero = 1800.0
    """Longest time without a finished step or collective; then the job stops with an error, or restarts."""
    publish_every_s: NonNegative = 600.0
    """Seconds between snapshots that a running stage publishes to its `--out` address; 0: only between stages."""
    env: dict[str, str] = {}
    """Environment variables of the training processes. `${NAME}` stands for a variable of the environment that starts the run."""
    slurm: dict[str, str] = {}
    """sbatch options of jobs that use GPUs, e.g. {partition: a100, time: "24:00:00"}."""
    slurm_cpu: dict[str, str] = {}
    """sbatch options of the other stages, e.g. {partition: cpu, cpus-per-task: "32"}."""


class Recipe(Section, frozen=True, kw_only=True):
    """One experiment, from seeds to scores."""

    domain: NameOrPath
    """Name of an installed domain, `module:attribute`, or a path."""
    name: str = ""
    description: str = ""
    seed: int = 0
    seeds: Seeds = Seeds()
    teacher: Teacher = Teacher()
    evolve: Evolve = Evolve()
    verify: Verification = Verification()
    curate: Curate = Curate()
    train: Train = Train()
    reward: Reward | None = None
    """Reward models; see docs/reward.md."""
    rl: RL | None = None
    """Reinforcement learning after train; see docs/rl.md."""
    eval: Eval = Eval()
    compute: Compute = Compute()


def fingerprint(section: Section | Mapping[str, Any]) -> str:
    """16 hex digits that name a section's content."""
    return digest(msgspec.to_builtins(section))
