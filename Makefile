# `make dev` brings Enlist up on this machine, `make test` runs every test. Both install what is
# missing where they can (Debian and its kin), or say in one line what to type.
.PHONY: dev test chaos long versions relays enumeration schemathesis fuzz deny sbom check setup setup-tests

dev: setup
	cargo run --quiet -- dev

test: setup-tests
	tests/postgres.sh cargo test

# A bad day for 3,000 users, some minutes long; every run of the tests has a small one for a hundred.
chaos: setup
	cargo build --release
	ENLIST_CHAOS_USERS=3000 ENLIST_CHAOS_BINARY=$(CURDIR)/target/release/enlist \
		cargo test --test api chaos -- --nocapture

# A long day for a real distribution: Patroni, haproxy and two instances, 15 minutes; root on Debian is needed.
long: setup
	cargo build --release
	tests/long.sh

# The tests of the service with Postgres 14 to 18; node (npm) and the network are needed.
versions: setup-tests
	tests/versions.sh

# Sends through Postfix, Exim, OpenSMTPD and a server with XOAUTH2; root on Debian, Python and node are needed.
relays: setup
	cargo build
	tests/postgres.sh tests/relays.sh

# Asks who is there, as somebody without a key can: by what is answered, and by when. Python is needed.
enumeration: setup
	cargo build --release
	tests/postgres.sh tests/enumeration.sh

# Asks all that the OpenAPI document allows, and more; Python is needed.
schemathesis: setup
	cargo build
	tests/postgres.sh tests/schemathesis.sh

# Each fuzz target for FUZZ_SECONDS; the nightly toolchain is needed.
fuzz: setup
	tests/fuzz.sh

# Licences, crates that are there twice, advisories.
deny: setup
	tests/deny.sh

# What is built in, for whoever keeps such lists (CycloneDX): target/enlist.cdx.json.
sbom: setup
	scripts/sbom.sh

# What CI runs before the tests.
check: setup
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	scripts/dockerfile-copies.sh

setup:
	@./setup.sh

setup-tests:
	@./setup.sh tests
