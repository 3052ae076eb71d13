# `make dev` brings Enlist up on this machine, `make test` runs every test. Both install what is
# missing where they can (Debian and its kin), or say in one line what to type.
.PHONY: dev test check setup

dev: setup
	cargo run --quiet -- dev

test: setup
	tests/postgres.sh cargo test

# What CI runs before the tests.
check: setup
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

setup:
	@./setup.sh
