# `make` alone lists the targets. Both main ones do all of their own set-up, with venv and pip.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c template/requirements.lock
DEMO := build/moving-dot-from-preferences
CHECK := build/check/awkward-answers
PRESET := moving-dot
PROJECT_PYTHON := $(CURDIR)/$(CHECK)/.venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo new test test-template test-project test-docs lint docs fuzz e2e-full final-results clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The launch trains all seeds at once; the pipeline publishes, evaluates and reports what was trained.
demo: .venv/stamp-cookiecutter  ## generate a project with the defaults in build/, set it up, run its main job
	$(BIN)/cookiecutter --no-input --default-config --overwrite-if-exists --output-dir build .
	$(MAKE) -C $(DEMO) setup
	cd $(DEMO) && .venv/bin/repro prelaunch --skip "the template's demonstration, by a preset that is settled"
	cd $(DEMO) && .venv/bin/repro launch --seeds pipeline --at-once 3 --wait --question "does it learn on this machine, too?"
	cd $(DEMO) && PATH="$$PWD/.venv/bin:$$PATH" DVC_NO_ANALYTICS=1 dvc repro
	cd $(DEMO) && .venv/bin/repro report  # a second time the pipeline has nothing to do, and the README is new
	@printf '%s\n' '' 'Made: a dot trained to walk to the centre from comparisons of short clips,' \
	  'judged by its true return:' ''
	@sed -n '/^| experiment/,/results:end/p' $(DEMO)/README.md | grep '|' | tr -d '\\'
	@printf '%s\n' '' \
	  'These are tuning seeds, for trying things out. Claims wait for the final ones.' '' \
	  '  the project     $(DEMO)/' \
	  '  its results     reports/ in it: report.html, tables, plots; and README.md' \
	  '  its runs        runs/ in it: code, command, parameters, output, metrics' \
	  '' \
	  'Next:' \
	  '  cd $(DEMO) && source .venv/bin/activate' \
	  '  repro runs      # what was run' \
	  '  repro log       # the page of the work log for today' \
	  '  dvc repro       # does nothing: all is up to date. Change params.yaml, and it' \
	  '                  # runs what that concerns' \
	  '' \
	  'A project of your own:  make new'

test: lint test-template docs test-project test-docs  ## all tests: of the template, and of a project made from it

lint: .venv/stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test-template: .venv/stamp-dev  ## the prompts, the hooks, and what they make
	$(BIN)/pytest -n 2 -m "not project and not long"

# The project is made anew each time, with awkward answers; only its virtual environment is kept. With the extra, no
# test is skipped. Two files of tests end to end run at a time here; a user who runs them sees the progress of each.
test-project: .venv/stamp-cookiecutter  ## lint, tests (end to end too) and smoke run of a freshly generated project
	@mkdir -p $(CHECK)
	find $(CHECK) -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
	$(BIN)/cookiecutter --no-input --overwrite-if-exists --config-file tests/awkward-answers.yaml -o build/check .
	$(MAKE) -C $(CHECK) setup
	cd $(CHECK) && .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c requirements.lock -e '.[mujoco]'
	$(MAKE) -C $(CHECK) lint
	$(MAKE) -C $(CHECK) test
	$(MAKE) -C $(CHECK) e2e E2E="-n 2 --dist loadfile -rfEP"
	$(MAKE) -C $(CHECK) smoke

fuzz: .venv/stamp-dev  ## 2,000 sets of answers that nobody expects, 50 of them generated for real (minutes)
	$(BIN)/python tests/fuzz.py

e2e-full: .venv/stamp-dev  ## projects of every kind, each set up, tested and run to its report (hours)
	$(BIN)/pytest -m long -v tests/test_whole_projects.py

test-docs: .venv/stamp-dev  ## the examples of the guide, in a new project (after test-project)
	@test -x "$(PROJECT_PYTHON)" || { echo "error: make test-project first: it makes $(PROJECT_PYTHON)" >&2; exit 1; }
	PROJECT_PYTHON="$(PROJECT_PYTHON)" $(BIN)/pytest -n 2 -m project

docs: .venv/stamp-dev  ## the guide, in build/docs/; any warning is an error
	$(BIN)/python docs/write_reference.py
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs build/docs
	@echo "made: build/docs/index.html"

new: .venv/stamp-cookiecutter  ## a project of your own beside this folder: asks for each answer
	$(BIN)/cookiecutter --output-dir .. .

final-results: .venv/stamp-cookiecutter  ## a published result: PRESET on ten final seeds, from a clean commit (half an hour)
	$(BIN)/python tests/benchmarks/final_seeds.py $(PRESET)

clean:  ## remove build/ and the virtual environment
	rm -rf build .venv

.venv/stamp-python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: PYTHON=$(PYTHON): Python 3.11, 3.12 or 3.13 is needed; try: make demo PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/stamp-cookiecutter: .venv/stamp-python pyproject.toml
	$(PIP) -e .
	@touch $@

.venv/stamp-dev: .venv/stamp-cookiecutter template/requirements.lock
	$(PIP) -e '.[dev]'
	@touch $@
