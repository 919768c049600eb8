# Two commands matter: `make demo` and `make test`. Both install what they need.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.base
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# the page of `unocclude app`; without Node everything else works, and its browser tests are skipped
PAGE := src/unocclude/app/page/index.html
NPM := $(shell command -v npm)

.PHONY: install demo app test test-all lint docs format bench clean

install: $(STAMP)

# everything that the tests need; torch is most of it
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[diffusion,evaluation,worlds,training,layers,app,dev]'
	touch $(BASE) $@

# the package alone, which `make install` extends
$(BASE): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

demo: $(BASE)
	$(BIN)/python benchmarks/demo_clip.py demo/input
	$(BIN)/unocclude complete demo/input/clip.mp4 --masks demo/input/visible_masks -o demo/out --overwrite
	$(BIN)/unocclude evaluate demo/out demo/input
	@echo "open $(CURDIR)/demo/out/report.html"

app: $(PAGE)

$(PAGE): app/node_modules/.installed $(shell find app/src app/tests app/public app/*.json app/*.ts app/*.js -type f -not -name openapi.json -not -name schema.d.ts 2>/dev/null) src/unocclude/app/views.py src/unocclude/app/server.py src/unocclude/app/project.py src/unocclude/report/colours.css
	$(BIN)/python -m unocclude.app.openapi > app/openapi.json
	cd app && npm run --silent types && npm run --silent lint && npm run --silent test && npm run --silent build

app/node_modules/.installed: $(STAMP) app/package-lock.json
	cd app && npm ci --no-audit --no-fund
	touch $@

test: install page
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow'

# builds the page where that is possible, and says so where not
.PHONY: page
page: install
	@if [ -z "$(NPM)" ]; then echo "there is no Node here: the page is not built, and its browser tests are skipped"; \
	elif ! $(MAKE) --silent app/node_modules/.installed; then \
	echo "the page's npm packages cannot be installed: it is not built, and its browser tests are skipped"; \
	else $(MAKE) --silent app; fi

test-all: install $(VENV)/.cluster page
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Ray and a local S3 server, for tests that take long; the others skip theirs without it
$(VENV)/.cluster: $(STAMP)
	$(PIP) --editable '.[cluster]' 's3fs>=2024.6' 'moto[server]>=5'
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/zensical build --strict --clean
	$(BIN)/python .ci/check_links.py README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs

# separate from `install`: the tests do not need it
$(VENV)/.docs: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[docs]'
	touch $@

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf app/node_modules app/openapi.json app/src/schema.d.ts $(dir $(PAGE))
	rm -rf $(VENV) demo build dist site .cache .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
