# Everything runs in .venv, which is created from requirements.lock. Nothing else on the machine is changed.
PYTHON ?= python3.11
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install run test lint viz notebook lab lock audit licences mutate clean

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: .venv/installed  ## Create .venv with the locked dependencies (again only if requirements.lock or pyproject.toml changed)

# The lock is complete and hashed, so pip does not resolve anything. --no-compile halves the time (3 min to 1.5 min on two busy
# cores): Python compiles modules on import. The package itself is installed in editable mode.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || { \
		echo "$(PYTHON) is missing, has no module venv, or is no Python 3.11 to 3.13. Install Python 3.11 (for instance with uv," \
		"https://docs.astral.sh/uv: uv python install 3.11), or name another: make $(MAKECMDGOALS) PYTHON=python3.12"; \
		exit 1; } >&2
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-compile \
		--require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/installed  ## Run all pipelines: on data/01_raw/chest_xray if it exists, else on synthetic phantoms
	@if [ -d data/01_raw/chest_xray/train ] && [ -d data/01_raw/chest_xray/test ]; then \
		echo "Running on the radiographs in data/01_raw/chest_xray. Results: data/08_reporting"; \
		$(BIN)/kedro run && echo "Done. Look at data/08_reporting, or at the graph with: make viz"; \
	else \
		echo "No data/01_raw/chest_xray/train and test here: running on SYNTHETIC phantoms (see data/README.md)."; \
		$(BIN)/kedro run --env=demo && \
		echo "Done. Look at data/demo/08_reporting, or at the graph with: make viz KEDRO_ENV=demo"; \
	fi

test: lint  ## Check style and types, then run the tests
	$(BIN)/pytest -n 2

lint: .venv/installed  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify --keep-id $(filter-out notebooks/xray_nn.ipynb,$(wildcard notebooks/*.ipynb))

viz: .venv/installed  ## Show the pipeline graph in a browser (KEDRO_ENV=demo for the demo)
	$(BIN)/kedro viz run

# DATA_ROOT=DIR: location of the radiographs. KEDRO_ENV=demo: use the demo even if there are radiographs. NOTEBOOK_LANGUAGE=ru: in
# Russian, as xray_nn.ru. The page has no formulas, so it loads no scripts from other hosts.
NOTEBOOK_LANGUAGE ?= en
REPORT = xray_nn$(addprefix .,$(filter-out en,$(NOTEBOOK_LANGUAGE)))
notebook: .venv/installed  ## Execute the notebook on your data (DATA_ROOT=DIR if they are elsewhere), else on synthetic phantoms
	@if [ -n "$(KEDRO_ENV)" ]; then env="$(KEDRO_ENV)"; \
	elif [ -n "$(DATA_ROOT)" ] || [ -d data/01_raw/chest_xray/train ]; then env=local; \
	else env=demo; echo "No data/01_raw/chest_xray/train and no DATA_ROOT: on SYNTHETIC phantoms (see data/README.md)."; fi; \
	case $$env in base|local) folder=data/08_reporting ;; *) folder=data/$$env/08_reporting ;; esac; \
	$(BIN)/jupyter nbconvert --log-level=ERROR --to notebook --output-dir $$folder --output $(REPORT) \
		--NotebookExporter.preprocessors=chest_xray.pipelines.notebook.Translate --Translate.language="$(NOTEBOOK_LANGUAGE)" \
		notebooks/xray_nn.ipynb && \
	KEDRO_ENV=$$env CHEST_XRAY_DATA_ROOT="$(DATA_ROOT)" CHEST_XRAY_LANGUAGE="$(NOTEBOOK_LANGUAGE)" \
	$(BIN)/jupyter nbconvert --log-level=ERROR --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
		--KernelManager.transport_encryption=auto \
		--NotebookExporter.preprocessors=nbconvert.preprocessors.CoalesceStreamsPreprocessor $$folder/$(REPORT).ipynb && \
	$(BIN)/jupyter nbconvert --log-level=ERROR --to html --HTMLExporter.mathjax_url= --HTMLExporter.require_js_url= \
		--HTMLExporter.language_code="$(NOTEBOOK_LANGUAGE)" $$folder/$(REPORT).ipynb && \
	echo "Done: $$folder/$(REPORT).ipynb and $(REPORT).html"

# As root, such as in a container, Jupyter wants --allow-root. Without JUPYTER_DATA_DIR, Kedro writes the kernel to the home
# folder. LAB="--no-browser --port=8890": more options of Jupyter.
lab: .venv/installed  ## Open notebooks/ in a browser, with catalog and session loaded (KEDRO_ENV=demo for the demo)
	JUPYTER_DATA_DIR="$(CURDIR)/.venv/share/jupyter" $(BIN)/kedro jupyter lab --ServerApp.root_dir="$(CURDIR)/notebooks" \
		--KernelManager.transport_encryption=auto $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB)

lock: .venv/installed  ## Resolve pyproject.toml into requirements.lock, for all platforms
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet --universal --all-extras \
		--generate-hashes --no-annotate --no-emit-index-url --output-file requirements.lock

audit: .venv/installed  ## Check the locked packages for published vulnerabilities (needs access to an advisory database)
	$(BIN)/python -m tests.dependencies audit

licences: .venv/installed  ## Write docs/licences.md
	$(BIN)/python -m tests.dependencies licences

# MUTATE="--module metrics/binary --sample 60": a part of it. All of it takes an hour or two.
mutate: .venv/installed  ## Run mutation tests in a clone of the last commit
	$(BIN)/python benchmarks/mutate.py $(MUTATE)

clean:  ## Remove .venv and tool caches; keeps data/
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .viz src/*.egg-info
	find conf notebooks src tests -name __pycache__ -prune -exec rm -rf {} +
