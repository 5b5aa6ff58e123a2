#!/usr/bin/env bash
# Holdfast beside its peers, in one run on one machine: installs what can be had, builds the harness,
# measures, and prints tables in Markdown. What cannot be had is left out, and the report says so.
#
#   benches/peers.sh                    everything: about 25 minutes
#   benches/peers.sh --quick            does it run, and roughly how do they stand: a minute
#   benches/peers.sh --only appends     appends, counter, replay or rebuild; may be given several times
#   benches/peers.sh --help             all arguments
#
# HOLDFAST_PEERS_DIR says where to write (on the disk that is to be measured), HOLDFAST_PEERS_INSTALL=no
# that nothing is to be installed.
set -euo pipefail
cd "$(dirname "$0")/peers"
exec </dev/null

command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
command -v cargo >/dev/null || { echo "Rust is needed: https://rustup.rs" >&2; exit 1; }
note() { printf 'peers.sh: %s\n' "$*" >&2; }

postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
install_postgres() {
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo -n)
    # Debian would start a cluster of its own with the package; ours is the only one that is wanted.
    "${root[@]}" mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null
}
venv=$PWD/target/umadb
install_umadb() {
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check 'umadb==0.7.*'
}

if [ "${HOLDFAST_PEERS_INSTALL:-yes}" = yes ]; then
    postgres || install_postgres >&2 || note "PostgreSQL could not be installed; left out"
    [ -x "$venv/bin/umadb" ] || install_umadb >&2 || note "UmaDB could not be installed; left out"
fi
[ ! -x "$venv/bin/umadb" ] || export HOLDFAST_PEERS_UMADB="${HOLDFAST_PEERS_UMADB:-$venv/bin/umadb}"

cargo build --release --quiet --locked

# All that is written lives in one directory. Should the harness be killed, the servers that it has
# started are found there, and go with it.
dir=$(mktemp -d "${HOLDFAST_PEERS_DIR:-${TMPDIR:-/tmp}}/holdfast-peers.XXXXXX")
chmod 755 "$dir"
harness=
end() {
    [ -z "$harness" ] || kill "$harness" 2>/dev/null || true
    for file in "$dir"/*/postgres/data/postmaster.pid "$dir"/*/umadb.pid; do
        [ ! -e "$file" ] || kill -INT "$(head -n 1 "$file")" 2>/dev/null || true
    done
    rm -rf "$dir" 2>/dev/null || { sleep 2; rm -rf "$dir"; }
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf '%s, %s CPUs (%s), %s, %s\n' "$(uname -sr)" "$(nproc)" \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
    "$(df --output=fstype "$dir" | tail -n 1)" "$(rustc --version)"
target/release/holdfast-peers --dir "$dir" "$@" &
harness=$!
wait "$harness"
harness=
