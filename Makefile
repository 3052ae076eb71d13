# `make test` runs every test, its own throw-away Postgres included.
.PHONY: test check

test:
	tests/postgres.sh cargo test

# What CI runs before the tests.
check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
