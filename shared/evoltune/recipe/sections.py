"""The sections of a recipe: typed, frozen, strict. Field names follow Transformers and TRL where they have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from evoltune.record import Status, digest

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Level = Literal["L0", "L1", "L2", "L3"]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: immutable, keyword-only, strict."""


class Seeds(Section, frozen=True, kw_only=True):
    """Where evolution starts. Without `path` the domain's own seeds are used."""

    path: str | tuple[str, ...] | None = None
    """File(s), folder or hub id; see docs/datasets.md for the formats."""
    limit: Count = 0
    """Take the first N only; 0: all."""
    licence: str = ""
    """Licence of these seeds, written to each row."""
    bootstrap: Literal["none", "self_instruct"] = "none"
    bootstrap_size: Count = 0
    snippets: str | None = None
    """A folder of source files: OSS-Instruct-style seeds are asked from snippets of them."""


class Price(Section, frozen=True, kw_only=True):
    """Dollars per million tokens."""

    prompt: Annotated[float, Meta(ge=0)] = 0.0
    completion: Annotated[float, Meta(ge=0)] = 0.0


class Budget(Section, frozen=True, kw_only=True):
    """Hard caps, reserved before each call; 0: no cap."""

    usd: Annotated[float, Meta(ge=0)] = 0.0
    tokens: Count = 0
    calls: Count = 0
    wall_s: Annotated[float, Meta(ge=0)] = 0.0


class Endpoint(Section, frozen=True, kw_only=True):
    """One OpenAI-compatible server."""

    url: str
    weight: Annotated[float, Meta(gt=0)] = 1.0
    api_key_env: str | None = None
    api_key_file: str | None = None


class Teacher(Section, frozen=True, kw_only=True):
    """The LLM that evolves, judges and answers. Decoding defaults are WizardLM's (2304.12244, section 4)."""

    kind: Literal["embedded", "http", "replay", "transformers", "vllm"] = "embedded"
    model: str = "SmolLM2-135M-Instruct"
    """Name sent to the server; for `embedded` a GGUF path or the packaged model; for `transformers` a path or hub id."""
    endpoints: tuple[Endpoint, ...] = ()
    cassette: str | None = None
    """For `replay`: a file written by `evoltune cassette export`."""
    temperature: Annotated[float, Meta(ge=0)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.9
    frequency_penalty: float = 0.0
    max_tokens: Positive = 2048
    stop: tuple[str, ...] = ()
    concurrency: Positive = 32
    timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    max_retries: Count = 8
    requests_per_minute: Count = 0
    """0: learnt from the server's headers and 429s."""
    tokens_per_minute: Count = 0
    slots: Positive = 8
    """Embedded: requests decoded together."""
    context: Positive = 2048
    """Embedded: tokens per slot."""
    threads: Count = 0
    """Embedded: 0 means max(1, cores - 1)."""
    price: Price = Price()
    budget: Budget = Budget()
    terms: str = ""
    """Licence or terms of the teacher's output, written to each row."""


class Evolve(Section, frozen=True, kw_only=True):
    """The Evol-Instruct loop (2304.12244 section 3; 2306.08568; 2308.09583)."""

    rounds: Count = 1
    chains: Count = 0
    """Grow chains from this many seeds only, drawn by the recipe's seed; 0: from all. The others stay as rows."""
    variants: Positive = 1
    """Children drawn from each head in each round; the first that survives becomes the next head."""
    answers: Positive = 1
    """Answers asked for each child (k of maj@k and of the agreement checks)."""
    operators: dict[str, float] = {}
    """Operator name -> weight; empty: the domain's own weights."""
    equal_check: bool = True
    """Ask the teacher whether a child gains nothing over its parent (elimination rule 1)."""
    difficulty: bool = False
    """Ask the teacher for a difficulty from 1 to 10 for each kept child."""
    fuse_after: Count = 0
    """From this round on, fuse two chains' heads (2312.15692); 0: never."""
    sample: Count = 0
    """Keep this many rows, stratified by round; 0: all."""
    answer_seeds: bool = False
    """Ask the teacher to answer seeds that have no answer."""
    stop_on: str | None = None
    """Evol-stop: a dev suite; the best round is kept. Sharing a task with `eval.suites` is an error."""
    stop_by: Literal["train", "verify_rate"] = "train"


class Verification(Section, frozen=True, kw_only=True):
    """How answers are judged."""

    workers: Count = 0
    """0: cores / LOCAL_WORLD_SIZE."""
    check_s: Annotated[float, Meta(gt=0)] = 2.0
    """CPU seconds of our own code for one answer."""
    program_s: Annotated[float, Meta(gt=0)] = 5.0
    """CPU seconds of one untrusted program."""
    memory_mb: Positive = 1024
    sandbox: Sandbox = msgspec.field(default_factory=lambda: Sandbox())
    keep: tuple[Status, ...] = ("pass",)
    policy: dict[str, Any] = {}


class Sandbox(Section, frozen=True, kw_only=True):
    """Least isolation that is accepted: L3 namespaces + Landlock + seccomp + rlimits ... L0 rlimits (opt-in only)."""

    require: Level = "L1"


class Source(Section, frozen=True, kw_only=True):
    """One more dataset in the mix."""

    path: str
    """File, folder, run, hub id, or a community dump (`stackexchange:physics/Posts.xml`); see docs/datasets.md."""
    weight: Annotated[float, Meta(gt=0)] = 1.0
    """Rows of this source per row of the run's own."""
    cap: Count = 0
    """At most so many rows; 0: no cap."""
    licence: str = ""
    """Licence of rows that name none themselves."""


class Curate(Section, frozen=True, kw_only=True):
    """Dedup, decontamination, selection, split."""

    near_threshold: Fraction = 0.7
    """Jaccard of word 3-shingles above which two instructions are near-duplicates; 1: exact dedup only."""
    semantic_threshold: Fraction = 1.0
    """Cosine of embeddings above which two rows are duplicates; 1: off."""
    embeddings: str = ""
    """Model for embeddings; empty: hashed n-gram vectors."""
    ngrams: tuple[Positive, ...] = (13,)
    """Word n-grams that a row may not share with a suite; common choices: 8, 10, 13."""
    contamination_jaccard: Fraction = 0.6
    """Jaccard of word 3-shingles with a problem above which a row is contaminated; 1: off."""
    paraphrase: bool = True
    """Also drop rows that reword a problem (same numbers, or same code structure): docs/contamination.md."""
    overlap: bool = True
    """Decontaminate through the domain's own overlap functions (behaviour, skeleton)."""
    size: Count = 0
    """Target size; 0: keep all."""
    mode: Literal["all", "quality_diversity", "lima"] = "all"
    """With a size: `all` draws uniformly, `quality_diversity` by k-center weighted with quality, `lima` by its rules."""
    balance: Literal["none", "round", "level", "source", "skill"] = "none"
    """Equal shares of `size` for each round, level of difficulty, source or skill, as far as rows reach."""
    quotas: dict[str, Count] = {}
    """Rows per source (LIMA: stackexchange 400, wikihow 200 ...); takes the place of `balance`."""
    mix: tuple[Source, ...] = ()
    validation: Fraction = 0.05
    answers_per_task: Positive = 1
    """Rows per task: its first answers that pass, in the order they were given; several give several rows."""
    form: Literal["alpaca", "chat", "sharegpt"] = "alpaca"
    """Form of the JSONL copy beside the Parquet files (`dataset/alpaca/train.jsonl`)."""
    licences: tuple[str, ...] = ()
    """Licences (of seeds) and terms (of teachers) that may enter the dataset; empty: any."""


class Train(Section, frozen=True, kw_only=True):
    """Fine-tuning; names as in Transformers and TRL."""

    model_name_or_path: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    model_revision: str = "main"
    dataset: str | None = None
    """PATH, hub id or RUN to train on instead of this run's own dataset."""
    template: Literal["alpaca", "wizardcoder", "wizardmath", "chat", "lima"] = "alpaca"
    system_prompt: str = ""
    finetuning_type: Literal["full", "lora", "qlora"] = "full"
    max_length: Positive = 2048
    excess_length: Literal["raise", "drop", "truncate"] = "raise"
    packing: bool = False
    group_by_length: bool = True
    per_device_train_batch_size: Positive = 1
    gradient_accumulation_steps: Positive = 1
    global_batch_size: Count = 0
    """Solves for gradient_accumulation_steps over any world size; 0: off."""
    learning_rate: Annotated[float, Meta(gt=0)] = 2e-5
    min_learning_rate: Annotated[float, Meta(ge=0)] = 0.0
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup_steps: Count = 0
    warmup_ratio: Fraction = 0.0
    num_train_epochs: Annotated[float, Meta(gt=0)] = 3.0
    max_steps: int = -1
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    adam_beta1: Fraction = 0.9
    adam_beta2: Fraction = 0.999
    adam_epsilon: Annotated[float, Meta(gt=0)] = 1e-8
    max_grad_norm: Annotated[float, Meta(ge=0)] = 1.0
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    gradient_checkpointing: bool = False
    attn_implementation: str | None = None
    loss_chunk: Count = 0
    """Label tokens whose logits are held at once; 0: as many as 1 GiB of fp32 logits holds."""
    lora_r: Positive = 16
    lora_alpha: Positive = 32
    lora_dropout: Fraction = 0.0
    lora_target_modules: str | tuple[str, ...] = "all-linear"
    lora_modules_to_save: tuple[str, ...] = ()
    neftune_noise_alpha: Annotated[float, Meta(ge=0)] = 0.0
    residual_dropout: Fraction = 0.0
    """LIMA: dropout on residual connections, linear from 0.0 at the bottom layer to this at the top."""
    deepspeed: Literal["none", "zero1", "zero2", "zero3", "zero3-offload"] | dict[str, Any] = "none"
    save_steps: Count = 0
    """0: only at the end."""
    save_total_limit: Count = 2
    logging_steps: Positive = 1
    checkpoint_select: Literal["last", "generations"] = "last"
    dev_suite: str = ""
    """For checkpoint_select: generations: the suite that chooses; never one of eval.suites."""
    resume_from_checkpoint: bool = True
    report_to: tuple[str, ...] = ()
    seed: int | None = None


class Eval(Section, frozen=True, kw_only=True):
    """What is measured before and after."""

    suites: tuple[str, ...] = ()
    """Suites of any installed domain: `gsm8k`, or `math/gsm8k` where two domains have the same name."""
    profile: str = ""
    """Empty: each suite's own."""
    beside: tuple[str, ...] = ()
    """Further profiles that score the same texts, each shown as a measure of its own (a strict reader beside a lenient one)."""
    baseline: bool = True
    limit: Count = 0
    """Problems per suite; 0: all."""
    n: Count = 0
    """Samples per problem; 0: the profile's."""
    temperature: float | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_new_tokens: Count = 0
    """0: the profile's, else 512."""
    stops: tuple[str, ...] = ()
    """Stop strings beside the profile's."""
    batch_size: Count = 0
    """Prompts decoded together in each generator process; 0: up to 128, as the model's key-value cache allows."""
    baseline_template: Literal["same", "chat"] = "chat"
    """How the base is asked: its own chat template (fair), or the training template."""
    baseline_max_new_tokens: Count = 0
    engine: Literal["transformers", "vllm", "http"] = "transformers"
    endpoint: str | None = None
    """For `http`: the URL of an OpenAI-compatible server."""
    api_key_env: str | None = None
    """For `http`: name of the environment variable that holds the key."""
    data: str | None = None
    """Folder with suite files; default: EVOLTUNE_DATA."""


class Compute(Section, frozen=True, kw_only=True):
    """Where the work runs."""

    nodes: Positive = 1
    gpus_per_node: Count = 0
    """0: what the machine has; on CPU, the number of processes."""
    launcher: Literal["local", "deepspeed", "torchrun", "slurm"] = "local"
    hostfile: str | None = None
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    max_restarts: Count = 6
    """Of a training job, over all its nodes; each loss of a node costs about two, since all ranks meet anew."""
    rendezvous: str = ""
    """torchrun on several nodes: HOST or HOST:PORT of the first; start the same command on each node."""
    hang_timeout_s: Annotated[float, Meta(gt=0)] = 1800.0
    """Longest time without a finished step or collective before the job stops with an error (or restarts)."""
    publish_every_s: Annotated[float, Meta(ge=0)] = 600.0
    """Seconds between snapshots of a run at work to its `--out` address; 0: only between stages."""
    env: dict[str, str] = {}
    slurm: dict[str, str] = {}
    """sbatch options of jobs that use GPUs, e.g. {partition: a100, time: "24:00:00"}."""
    slurm_cpu: dict[str, str] = {}
    """sbatch options of the stages that use none, e.g. {partition: cpu, cpus-per-task: "32"}."""


class Recipe(Section, frozen=True, kw_only=True):
    """One experiment: seeds to score."""

    domain: str
    """Entry-point name, module:attribute or path."""
    name: str = ""
    description: str = ""
    seed: int = 0
    seeds: Seeds = Seeds()
    teacher: Teacher = Teacher()
    evolve: Evolve = Evolve()
    verify: Verification = Verification()
    curate: Curate = Curate()
    train: Train = Train()
    eval: Eval = Eval()
    compute: Compute = Compute()


def fingerprint(section: Section | Mapping[str, Any]) -> str:
    """16 hex digits that name a section's content."""
    return digest(msgspec.to_builtins(section))
