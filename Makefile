# make up     the whole pipeline on this machine: local cloud, bake, publish, deploy; prints the URL
# make down   stop everything that `make up` started; images stay in the store
# make test   all tests, booted machines and deployments included
# make docs   build the documentation's site into dist/site
# make fidelity  compare baked package sets with what mmdebstrap makes of the same packages
# make identity  two clones with RabbitMQ and Docker compared, every file of their disks
# make check  linters, types and the quick tests
# make costs  as `make test`, with what each test takes of the processors: as root, ONLY=tests/aws for some
# make fuzz   10,000 mutated recipes, locks, environments and manifests; EXAMPLES=100000 tries more
# make ansible  Ansible's amazon.aws modules against the local cloud; 320 MB, and so no part of `make test`
# make lock   compile requirements.txt from the three pyproject.toml files, and that of the foreign clients
# make wheel  build the wheels of ingot, ingot-machines and ingot-localcloud into dist/
# make runner set up a hosted CI runner: user namespaces, KVM
# make bench  side-by-side measurements against peers, into bench/RESULTS.md; ONLY=bake,boot selects some,
#             RUNS=3 says how often

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
export CDK_DISABLE_CLI_TELEMETRY := 1

.PHONY: up down test tests check costs fidelity identity ansible lint setup setup-tests
.PHONY: lock bench fuzz runner wheel

setup:
	@tools/setup

setup-tests:
	@tools/setup --tests

up: setup
	@tools/up

down:
	@if [ -x .venv/bin/ingot ]; then .venv/bin/ingot cloud down; else echo "nothing to stop: no .venv"; fi

lint:
	@ruff check .
	@ruff format --check .
	@mypy

# Linters run beside the tests: they take one processor for a minute.
test: setup-tests
	@$(MAKE) --no-print-directory --jobs 2 lint tests

# Six files at a time, half of them with slow tests, which keep the processors busy, half with others, which
# wait for servers and subprocesses most of the time (tests/running/scheduling.py). The tests of a file share
# what they set up, so a file stays on one worker.
tests:
	@pytest -n 6 --dist loadfile --no-loadscope-reorder --durations 25

# The wall says little of a test that shares two processors with five others.
costs: setup-tests
	@pytest -n 6 --dist loadfile --no-loadscope-reorder -p tests.running.costs $(ONLY)

fidelity: setup-tests
	@INGOT_FIDELITY=all pytest -n 2 tests/fidelity

identity: setup-tests
	@INGOT_IDENTITY=more pytest tests/bake/image/test_identity_real.py

check: setup-tests lint
	@pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not slow"

# Of the package `ansible` only its collections are used, which are in no registry of their own.
ansible: setup-tests
	@uv venv --quiet --allow-existing .venv/ansible
	@uv pip install --quiet --system-certs --python .venv/ansible/bin/python --no-deps ansible
	@uv pip install --quiet --system-certs --python .venv/ansible/bin/python ansible-core boto3
	@pytest tests/localcloud/clients/test_ansible.py

fuzz: setup-tests
	@INGOT_FUZZ=$(or $(EXAMPLES),10000) pytest -n 2 tests/fuzz

# uv knows the two other distributions as members of the workspace; their requirements are compiled, they
# themselves are not.
compile := uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 \
  --output-file requirements.txt
lock:
	@$(compile) --extra cloud --group dev --no-emit-package ingot-machines --no-emit-package ingot-localcloud \
	  pyproject.toml
	@cd tests/localcloud/clients && $(compile) requirements.in

runner:
	@tools/runner

wheel: setup
	@uv build --quiet --wheel --all-packages --no-build-isolation --no-create-gitignore --out-dir dist
	@ls dist/*.whl

.PHONY: docs
docs: setup
	@python -m tools.site dist/site && echo "open dist/site/index.html"

bench: setup
	@python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(RUNS),--runs $(RUNS))
