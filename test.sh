#!/usr/bin/env bash
# Runs everything that must hold before a change is taken: format, lints, documentation, all tests, and
# the tour and the storms against the release binary. Installs what it needs and does not find.
#
#   ./test.sh            everything
#   ./test.sh quick      format, lints and unit tests only
set -euo pipefail
cd "$(dirname "$0")"
exec </dev/null

# One place for every process that is started: whatever happens, none outlives this script.
trap 'status=$?; trap - EXIT INT TERM; pids=$(jobs -p); [ -z "$pids" ] || kill $pids 2>/dev/null || true; exit $status' EXIT INT TERM

began=$SECONDS
summary=()
step() {
    local name=$1 from=$SECONDS
    shift
    printf '\n=== %s\n' "$name"
    if "$@"; then
        summary+=("ok      $(printf '%4ds' $((SECONDS - from)))  $name")
    else
        local status=$?
        summary+=("FAILED  $(printf '%4ds' $((SECONDS - from)))  $name")
        finish
        exit "$status"
    fi
}
finish() {
    printf '\n=== summary (%d s)\n' $((SECONDS - began))
    printf '%s\n' "${summary[@]}"
}

# The tour's commands are run by bash with curl, as a reader would run them.
needed=()
for tool in bash curl; do command -v "$tool" >/dev/null || needed+=("$tool"); done
# One test makes the disk of the real binary fail.
command -v strace >/dev/null || needed+=(strace)
command -v cc >/dev/null || needed+=(build-essential)
if [ ${#needed[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    install() {
        "${as_root[@]}" apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${needed[@]}" >/dev/null
    }
    step "install ${needed[*]}" install
fi
if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
fi
command -v cargo >/dev/null || { echo "Rust is needed: https://rustup.rs" >&2; exit 1; }

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never} CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-1}
# Configuration of whoever runs this must not leak into the tests.
for name in $(compgen -e); do case $name in HOLDFAST_*) unset "$name" ;; esac; done

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet; }
# The same tests, through the doors of the binary that people run.
released() { HOLDFAST_BIN="$PWD/target/release/holdfast" cargo test --test product -- storm:: tour:: kill9::; }

step "format" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
step "tests" cargo test --workspace --quiet
if [ "${1:-}" != quick ]; then
    step "documentation" documentation
    step "release build" cargo build --release --quiet
    step "tour, storms and kill -9 on the release binary" released
fi
finish
