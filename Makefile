# Everything here works on a bare Debian 12 with Rust; what else is needed is installed first, as
# root or through sudo.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

FUZZ_SECONDS ?= 3600

.PHONY: help demo test check bench fuzz build-tools test-tools

help:
	@echo 'make demo    try Rolegate: sample people, a stand-in for AWS; DEMO_ARGS="--help"'
	@echo 'make test    run every test against real directories, moto and Chromium'
	@echo 'make check   formatting, lints, documentation, dependency policy'
	@echo 'make bench   measure throughput and scale'
	@echo 'make fuzz    break SAML messages for FUZZ_SECONDS, by default an hour'

demo: build-tools
	$(CARGO) build --locked
	exec $(TARGET_DIR)/debug/rolegate demo $(DEMO_ARGS)

# The integration tests come last, so that theirs is the count at the end.
test: build-tools test-tools
	$(CARGO) test --locked --lib --bins --test integration

# The advisories of cargo-deny need a database from outside and are left to the caller.
check: build-tools
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) check --locked --no-default-features --features client
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then \
		$(CARGO) deny --locked check bans licenses sources; \
	else \
		echo 'cargo-deny is not installed: the dependency policy of deny.toml is not checked'; \
	fi

bench: build-tools test-tools
	@bash benches/saml/install_peers.sh
	$(CARGO) bench --locked --bench rolegate
	$(CARGO) bench --locked --bench saml

fuzz: build-tools
	$(CARGO) bench --locked --bench fuzz -- --seconds $(FUZZ_SECONDS)

build-tools:
	@bash tests/support/install_build_tools.sh

test-tools:
	@bash tests/support/install_test_tools.sh
