# Everything sets itself up: the first target that needs Python makes .venv, and a warm start does nothing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
export TEXTBOOKS BATCH ROOT PORT
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo up test test-vllm test-kube test-chaos test-browser fuzz audit check format bench books install clean

help: ## show this
	@echo "make demo                        textbooks in, dataset out, on this machine (sample books)"
	@echo "make demo TEXTBOOKS=~/my-books   the same with your own PDF, Markdown, HTML, EPUB or text files"
	@echo "make up                          Airflow's UI on http://127.0.0.1:8080 (another one: PORT=8090)"
	@echo
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 33
	@echo
	@echo "ROOT=... keeps the data elsewhere than in data/, BATCH=... names the batch, PYTHON=... is the Python to use."

demo: $(VENV)/installed ## curate the sample books, or those in TEXTBOOKS, and show what came of it
	@$(BIN)/python examples/demo.py

up: $(VENV)/installed ## Airflow's UI with the DAG ready to trigger, until Ctrl-C
	@$(BIN)/python examples/up.py

test: $(VENV)/installed-test ## all tests
	@$(BIN)/python -m pytest -q

test-vllm: $(VENV)/installed-test ## tests with a real vLLM on the CPU (it gets one: 3 GB, some minutes)
	@$(BIN)/python tests/vllm/up.py $(VENV)/vllm
	@MEGASCIENCE_VLLM=$(VENV)/vllm $(BIN)/python -m pytest -q -n 0 tests/vllm

test-kube: $(VENV)/installed-kube ## tests with pods on a real Kubernetes (CONTRIBUTING.md says which; some minutes)
	@MEGASCIENCE_KUBE_FOLDER="$(CURDIR)/$(VENV)/kube" $(BIN)/python -m pytest -q -n 0 tests/kube

test-chaos: $(VENV)/installed-kube ## kills, faults and broken PDFs by the hundred (an hour)
	@MEGASCIENCE_CHAOS=$${MEGASCIENCE_CHAOS:-100} $(BIN)/python -m pytest -q tests/chaos tests/river/test_killed.py \
		tests/river/test_protocol.py tests/servers/test_s3.py tests/servers/test_real_s3.py

fuzz: $(VENV)/installed-test ## fuzz parsers, books, names and files, a minute each (MEGASCIENCE_FUZZ=300: five)
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[fuzz]' || \
		{ echo "error: atheris has no wheel for this Python; make PYTHON=python3.13 clean fuzz" >&2; exit 1; }
	@$(BIN)/python -m tests.fuzz.campaign

audit: $(VENV)/installed-test ## licences and known weaknesses of what is installed, and the Dockerfiles
	@$(BIN)/python -m tests.licences
	@$(BIN)/python -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet pip-audit
	@$(VENV)/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt
	@if command -v hadolint; then hadolint docker/*.Dockerfile; else echo "no hadolint: the Dockerfiles were not looked at"; fi

test-browser: $(VENV)/installed-browser ## Airflow's UI in a real browser (needs Chromium; REFRESH_IMAGES=1 makes docs/images anew)
	@MEGASCIENCE_BROWSER=1 $(BIN)/python -m pytest -q -n 0 tests/browser

check: $(VENV)/installed-test ## lint, format and types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@echo "ruff and mypy have nothing to say."

format: $(VENV)/installed-test ## put the code into shape
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

bench: $(VENV)/installed-test ## measure speed and memory
	@for bench in bench/*.py; do echo "== $$bench" && $(BIN)/python $$bench || exit $$?; done

books: $(VENV)/installed ## build the sample textbooks only
	@$(BIN)/python examples/build.py

install: $(VENV)/installed-test ## only make .venv, with all that developing needs

clean: ## remove what make made, except data/
	@rm -rf $(VENV) .airflow examples/textbooks .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@if [ -d data ]; then echo "data/ is kept: it holds datasets, receipts and completions."; fi

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.11 or newer is needed and none was found: install one, or say make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11, or none at all: say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "error: $(PYTHON) cannot make virtual environments (Debian: apt install python3-venv)" >&2; exit 1; }

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Airflow and the libraries into .venv (once, a minute or two)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[airflow,examples]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing the test tools into .venv (once)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[airflow,examples,kubernetes,s3,test]'
	@touch $@

$(VENV)/installed-kube: $(VENV)/installed-test
	@echo "Installing PostgreSQL into .venv (once)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[airflow,examples,kubernetes,postgres,s3,test,kube]'
	@touch $@

$(VENV)/installed-browser: $(VENV)/installed-test
	@echo "Installing Playwright into .venv (once)"
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[airflow,examples,s3,test,browser]'
	@touch $@
