# Each target does its own set-up, so a fresh clone needs nothing else. Another Python: make test PYTHON=python3.12
PYTHON ?= python3
export PYTHON

.PHONY: help setup check test demo

help:
	@echo "make demo    convert a policy that ships, print one table, write a video"
	@echo "make test    run all tests"
	@echo "make check   check format, style and types"
	@echo "make setup   only make .venv and install what both need"

setup:
	@sh scripts/setup.sh

check: setup
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m ruff check .
	.venv/bin/python -m mypy

# In the files' order, which has the long ones (cli, cuda) first: pytest-xdist's own starts those with few tests last.
test: setup
	.venv/bin/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder tests

demo: setup
	.venv/bin/python convert.py env_name=cartpole_swingup obs=state SNN_ts=8 crpi.alpha=grid video=true hydra.run.dir=results/demo
