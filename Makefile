# make demo      sign in and see it work, in the browser you have (AUTO=1: by itself, with headless Chromium)
# make test      check the code, then run every test; installs what they need
# make check     lint, format, types, imports
# make docs      build the site in build/docs
# make format    mend what lint and format can mend by themselves

.PHONY: demo test check docs format setup clean
.DEFAULT_GOAL := test

demo: setup
	$(if $(AUTO),scripts/peers browser)
	.venv/bin/doorward demo $(if $(AUTO),--auto)

test: check
	scripts/peers
	scripts/test

check: setup
	scripts/check

docs: setup
	scripts/docs

format: setup
	.venv/bin/ruff check --quiet --fix .
	.venv/bin/ruff format --quiet .

setup:
	@scripts/setup

clean:
	rm -rf .venv .peers .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
