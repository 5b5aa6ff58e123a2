#!/usr/bin/env bash
# Runs everything that must hold before a change is taken: format, lints, documentation, all tests, and
# the tour, the storms and the disk campaigns against the release binary. Installs what it needs and does
# not find.
#
#   ./test.sh            everything
#   ./test.sh quick      format, lints and tests, without documentation and release build
#   ./test.sh long       only the disk campaigns, at full size, against the release binary: 1,000 kills,
#                        20,000 disks after power cuts, ten times the failing calls, 1,000 damages (hours)
set -euo pipefail
cd "$(dirname "$0")"
exec </dev/null

# Each step runs in a process group of its own, which goes with it: no process outlives this script.
child=
end_step() {
    [ -z "$child" ] || kill -KILL -- "-$child" 2>/dev/null || true
    child=
}
trap 'end_step' EXIT
trap 'end_step; exit 130' INT
trap 'end_step; exit 143' TERM

began=$SECONDS
summary=()
step() {
    local name=$1 from=$SECONDS status=0
    shift
    printf '\n=== %s\n' "$name"
    set -m
    "$@" &
    child=$!
    set +m
    wait "$child" || status=$?
    end_step
    if [ "$status" -eq 0 ]; then
        summary+=("ok      $(printf '%4d s' $((SECONDS - from)))  $name")
    else
        summary+=("FAILED  $(printf '%4d s' $((SECONDS - from)))  $name")
        finish
        exit "$status"
    fi
}
finish() {
    printf '\n=== summary (%d s)\n' $((SECONDS - began))
    printf '%s\n' "${summary[@]}"
}

# bash and curl walk the README's tour as a reader would; strace makes the real binary's disk fail;
# Mosquitto, set up by iot/mosquitto/setup.sh with openssl, stands between the engine and its vehicles.
PATH="$PATH:/usr/sbin"
needed=()
for tool in curl strace mosquitto openssl; do command -v "$tool" >/dev/null || needed+=("$tool"); done
command -v cc >/dev/null || needed+=(build-essential)
install() {
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo -n)
    "${root[@]}" apt-get update -qq
    # RUNLEVEL=1: nothing that is installed here is started; Mosquitto would take the demo's port.
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends "${needed[@]}" >/dev/null
}
[ ${#needed[@]} -eq 0 ] || step "install ${needed[*]}" install
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
command -v cargo >/dev/null || { echo "Rust is needed: https://rustup.rs" >&2; exit 1; }

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# The configuration of whoever runs this must not leak into the tests.
for name in $(compgen -e); do case $name in HOLDFAST_*) unset "$name" ;; esac; done

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet; }
# The same tests, through the doors of the binary that people run.
released() {
    HOLDFAST_BIN="$PWD/target/release/holdfast" \
        cargo test --workspace --test product --quiet -- tour:: storm::
    HOLDFAST_BIN="$PWD/target/release/holdfast" cargo test --workspace --test campaign --quiet
}
long() {
    HOLDFAST_BIN="$PWD/target/release/holdfast" HOLDFAST_KILLS=1000 HOLDFAST_DISK_STATES=20000 \
        HOLDFAST_FAULTS=10 HOLDFAST_DAMAGES=1000 \
        cargo test --workspace --test campaign -- --nocapture
}

if [ "${1:-}" = long ]; then
    step "release build" cargo build --release --quiet
    step "disk campaigns at full size" long
    finish
    exit
fi

step "format" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
step "tests" cargo test --workspace --quiet
if [ "${1:-}" != quick ]; then
    step "documentation" documentation
    step "release build" cargo build --release --quiet
    step "tour, storms and disk campaigns through the release binary" released
fi
finish
