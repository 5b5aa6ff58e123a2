#!/usr/bin/env bash
# Sets up Mosquitto 2 for Holdfast: who may come in, who may say what, TLS, limits, persistence.
#
#                     ┌────────────── Mosquitto ──────────────┐
#   vehicles ─ TLS ──►│ 8883   password, fenced to own prefix │
#   simulator ───────►│ 1883   the same, this machine only    │  (--local-port; 0: none)
#   holdfast serve ──►│ 1884   the engine alone, this machine │  (or TLS: --engine-listen)
#                     └───────────────────────────────────────┘
#
# The fence is that of iot/src/broker/fence.rs. Everything lives in one directory and can be made again:
# `init` keeps what is there (the CA, passwords) and renews what has to be (configuration, a certificate
# that ends soon or names other hosts).
set -euo pipefail
umask 077

usage() {
    cat <<'TEXT'
usage: setup.sh COMMAND [--dir DIR] [OPTION]…

  init                make or renew everything in DIR, which ends with a line that tells how to start it
  add-vehicle         read lines of `holdfast vehicle credentials ID` and let those vehicles in:
                        holdfast vehicle credentials car-7 | setup.sh add-vehicle
  remove-vehicle ID   let it in no more; its connection is cut
  engine-password     give the engine a new password; it is written to DIR/holdfast.toml
  client-certificate ID   make a key and a certificate for one vehicle in DIR/clients/
  reload              tell the running broker to read its files again

  --dir DIR           where everything lives (default /etc/mosquitto/holdfast)

of init:
  --name HOST         a DNS name or an address of this broker, for its certificate; may be repeated
                      (default: this host's name and localhost)
  --listen ADDR       where vehicles connect with TLS (default 0.0.0.0)
  --tls-port N        their port (default 8883; 0: no TLS listener)
  --local-port N      the same without TLS on 127.0.0.1, for the simulator (default 0: none)
  --engine-port N     the engine's port (default 1884)
  --engine-listen A   the engine's address (default 127.0.0.1; another one gets TLS)
  --client-certificates   vehicles also need a certificate of our CA, beside their password
  --user NAME         the account that Mosquitto runs as (default: mosquitto, if there is one)
  --days N            how long the server's certificate lasts (default 397)

No secret is readable by others: keys, passwords and their hashes are for root and Mosquitto's account.
Needs mosquitto (2.0 or newer), mosquitto_passwd, openssl (3 or newer).
TEXT
}

fail() { echo "setup.sh: $*" >&2; exit 1; }
say() { echo "setup.sh: $*" >&2; }
wrong() { echo "setup.sh: $*" >&2; usage >&2; exit 2; }

readonly ENGINE=holdfast-engine
readonly CA_DAYS=3650
readonly RENEW_BEFORE=$((30 * 24 * 3600))

dir=/etc/mosquitto/holdfast
names=() listen=0.0.0.0 tls_port=8883 local_port=0 engine_port=1884 engine_listen=127.0.0.1
certificates=false days=397 account='' command='' operand=''

while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --client-certificates) certificates=true; shift ;;
        --dir | --name | --listen | --tls-port | --local-port | --engine-port | --engine-listen | --user | --days)
            (($# >= 2)) || wrong "$1 needs a value"
            case $1 in
                --dir) dir=$2 ;;
                --name) names+=("$2") ;;
                --listen) listen=$2 ;;
                --tls-port) tls_port=$2 ;;
                --local-port) local_port=$2 ;;
                --engine-port) engine_port=$2 ;;
                --engine-listen) engine_listen=$2 ;;
                --user) account=$2 ;;
                --days) days=$2 ;;
            esac
            shift 2 ;;
        -*) wrong "there is no option $1" ;;
        *)
            if [[ -z $command ]]; then command=$1; elif [[ -z $operand ]]; then operand=$1; else wrong "what is $1?"; fi
            shift ;;
    esac
done
for number in "$tls_port" "$local_port" "$engine_port" "$days"; do
    [[ $number =~ ^[0-9]+$ ]] || wrong "$number is not a number"
done
[[ $dir == /* ]] || dir=$PWD/$dir
[[ $dir != *[[:space:]]* ]] || fail "Mosquitto reads no paths with spaces: choose another --dir"

# ── files ──────────────────────────────────────────────────────────────────────────────────────────────

# The account that has to read what is secret: the one in the configuration, or what --user says.
reader() {
    if [[ -n $account ]]; then echo "$account"
    elif [[ -f $dir/mosquitto.conf ]]; then sed -n 's/^user //p' "$dir/mosquitto.conf"
    elif ((EUID == 0)) && id -u mosquitto >/dev/null 2>&1; then echo mosquitto
    else id -un; fi
}

# Hands a file or directory to Mosquitto's account: group may read, nobody else. Not root: ours already.
share() {
    local mode=$1; shift
    chmod "$mode" "$@"
    if ((EUID == 0)); then chown "root:$(id -gn "$(reader)")" "$@"; fi
}

# Replaces a file in one step; Mosquitto may read it at any moment.
put() {
    local file=$1 mode=$2 new
    new=$(mktemp "$file.XXXXXX")
    cat >"$new"
    share "$mode" "$new"
    mv -f "$new" "$file"
}

# Files that hold something on the way; gone however this ends.
passing=()
trap 'rm -f "${passing[@]}"' EXIT
passing() { passing+=("$(mktemp "$dir/.passing.XXXXXX")"); }

secret() { openssl rand -base64 33 | tr '+/' '-_'; }

# Two at once would lose one of their changes.
lock() {
    [[ -d $dir ]] || fail "$dir is not there: run \`setup.sh init --dir $dir\` first"
    exec 9>"$dir/.lock"
    flock -w 30 9 || fail "another setup.sh works on $dir"
}

# ── passwords ──────────────────────────────────────────────────────────────────────────────────────────

# Puts the users of a file of user:password lines into a password file, hashed; others stay.
# Passwords pass through files of mode 600, never through a command line that others see.
admit() {
    local into=$1 plain=$2
    mosquitto_passwd -U "$plain"
    passing
    awk -F: 'NR == FNR { new[$1]; next } !($1 in new)' "$plain" "$into" | cat - "$plain" >"${passing[-1]}"
    put "$into" 640 <"${passing[-1]}"
}

new_engine_password() {
    local plain password
    password=$(secret)
    passing
    plain=${passing[-1]}
    echo "$ENGINE:$password" >"$plain"
    admit "$dir/engine.passwd" "$plain"
    local scheme=mqtt ca=''
    if [[ $engine_listen != 127.* && $engine_listen != ::1 ]]; then
        scheme=mqtts
        ca="ca = \"$dir/ca/ca.crt\"  # copied to where serve runs"$'\n'
    fi
    # For whoever runs serve; Mosquitto needs only the hash.
    cat >"$dir/holdfast.toml" <<TEXT
# To be put into Holdfast's configuration.
[mqtt]
listen = ""
broker = "$scheme://$ENGINE:$password@$engine_listen:$engine_port"
${ca}
TEXT
    chmod 600 "$dir/holdfast.toml"
}

# One value of a line of JSON whose values need no escapes.
field() { sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"\\\\]*\)\".*/\1/p" <<<"$2"; }

usable() {
    [[ $1 =~ ^[A-Za-z0-9._@-]{1,64}$ ]] ||
        fail "'$1' cannot be a user of Mosquitto: letters, digits and . _ @ - (a colon ends a name in its password file)"
    [[ $1 != "$ENGINE"* ]] || fail "'$1' is the engine's name"
}

add_vehicles() {
    lock
    local line user password plain count=0
    passing
    plain=${passing[-1]}
    while IFS= read -r line || [[ -n $line ]]; do
        [[ -n ${line//[[:space:]]/} ]] || continue
        user=$(field user "$line") password=$(field password "$line")
        [[ -n $user && -n $password ]] ||
            fail 'a line is not what `holdfast vehicle credentials ID` prints ({"user":…,"password":…,"key":…}); nothing was changed'
        usable "$user"
        printf '%s:%s\n' "$user" "$password" >>"$plain"
        count=$((count + 1))
    done
    ((count)) || fail 'nothing came in: `holdfast vehicle credentials ID | setup.sh add-vehicle`'
    admit "$dir/vehicles.passwd" "$plain"
    reload
    say "$count let in"
}

remove_vehicle() {
    lock
    usable "$operand"
    passing
    awk -F: -v gone="$operand" '$1 != gone' "$dir/vehicles.passwd" >"${passing[-1]}"
    put "$dir/vehicles.passwd" 640 <"${passing[-1]}"
    rm -f "$dir/clients/$operand.crt" "$dir/clients/$operand.key"
    reload
}

# Mosquitto reads passwords and rules again, and cuts those who are not let in any more.
reload() {
    local pid
    pid=$(cat "$dir/data/mosquitto.pid" 2>/dev/null || true)
    if [[ -n $pid && $(ps -o comm= -p "$pid" 2>/dev/null) == mosquitto ]]; then
        kill -HUP "$pid"
    else
        say "no Mosquitto runs on $dir; it will read its files when it starts"
    fi
}

# ── certificates ───────────────────────────────────────────────────────────────────────────────────────

new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

make_ca() {
    mkdir -p "$dir/ca"
    share 750 "$dir/ca"
    if [[ ! -f $dir/ca/ca.crt ]]; then
        new_key "$dir/ca/ca.key"
        openssl req -x509 -new -key "$dir/ca/ca.key" -sha256 -days "$CA_DAYS" -subj "/CN=Holdfast vehicles" \
            -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
            -out "$dir/ca/ca.crt"
    fi
    chmod 600 "$dir/ca/ca.key"
    share 644 "$dir/ca/ca.crt"
}

# sign NAME EXTENSIONS DAYS FILE: a key and a certificate of our CA.
sign() {
    local request
    passing
    request=${passing[-1]}
    new_key "$4.key"
    openssl req -new -key "$4.key" -subj "/CN=$1" -out "$request"
    openssl x509 -req -in "$request" -CA "$dir/ca/ca.crt" -CAkey "$dir/ca/ca.key" -days "$3" -sha256 \
        -set_serial "0x$(openssl rand -hex 16 | sed 's/^./1/')" -extfile <(printf '%b' "$2") -out "$4.crt" 2>/dev/null
}

alternatives() {
    local name list=()
    for name in "${names[@]}"; do
        if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then list+=("IP:$name"); else list+=("DNS:$name"); fi
    done
    (IFS=,; echo "${list[*]}")
}

make_server_certificate() {
    local wished
    wished=$(alternatives)
    if [[ -f $dir/server.crt && $(cat "$dir/server.names" 2>/dev/null) == "$wished" ]] &&
        openssl x509 -in "$dir/server.crt" -noout -checkend "$RENEW_BEFORE" >/dev/null; then
        return
    fi
    sign "${names[0]}" "subjectAltName=$wished\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n" \
        "$days" "$dir/server.new"
    share 640 "$dir/server.new.key"
    share 644 "$dir/server.new.crt"
    mv -f "$dir/server.new.key" "$dir/server.key"
    mv -f "$dir/server.new.crt" "$dir/server.crt"
    echo "$wished" >"$dir/server.names"
    say "a certificate for $wished, good for $days days; Mosquitto takes a new one when it is restarted"
}

client_certificate() {
    lock
    usable "$operand"
    mkdir -p "$dir/clients"
    sign "$operand" "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n" "$days" \
        "$dir/clients/$operand"
    echo "$dir/clients/$operand.crt"
}

# ── configuration ──────────────────────────────────────────────────────────────────────────────────────

write_rules() {
    put "$dir/vehicles.acl" 640 <<'TEXT'
# Each vehicle (%u is its user name) under its own prefix; commands come from the engine alone.
pattern read hf/v1/v/%u/#
pattern write hf/v1/v/%u/rsp/unlock
pattern write hf/v1/v/%u/rsp/lock
pattern write hf/v1/v/%u/tel
pattern write hf/v1/v/%u/evt
pattern write hf/v1/v/%u/state/conn
TEXT
    put "$dir/engine.acl" 640 <<TEXT
user $ENGINE
topic write hf/v1/v/+/cmd/unlock
topic write hf/v1/v/+/cmd/lock
topic read hf/v1/v/+/rsp/#
topic read hf/v1/v/+/tel
topic read hf/v1/v/+/evt
topic read hf/v1/v/+/state/#
TEXT
}

tls() {
    echo "certfile $dir/server.crt"
    echo "keyfile $dir/server.key"
    echo "cafile $dir/ca/ca.crt"
    echo "tls_version tlsv1.2"
}

# vehicles ADDRESS PORT. The client id is taken from the user name: nobody can take over a session.
vehicles() {
    cat <<TEXT

listener $2 $1
allow_anonymous false
password_file $dir/vehicles.passwd
acl_file $dir/vehicles.acl
use_username_as_clientid true
TEXT
}

write_configuration() {
    {
        cat <<TEXT
# Written by iot/mosquitto/setup.sh; \`init\` writes it again.
per_listener_settings true
user $(reader)
pid_file $dir/data/mosquitto.pid
log_dest stderr
log_type error
log_type warning
log_type notice

# A command waits 40 ms and more for the acknowledgement before it without this.
set_tcp_nodelay true

# Sessions and retained connection states outlive a restart.
persistence true
persistence_location $dir/data/
autosave_interval 60
persistent_client_expiration 1d

# Nobody takes more than this.
max_packet_size 262144
max_inflight_messages 64
max_queued_messages 1000
max_queued_bytes 4194304
sys_interval 0

# The engine alone. Its client ids are its own to choose: engines may share a broker.
listener $engine_port $engine_listen
allow_anonymous false
password_file $dir/engine.passwd
acl_file $dir/engine.acl
TEXT
        if [[ $engine_listen != 127.* && $engine_listen != ::1 ]]; then tls; fi
        if ((tls_port)); then
            vehicles "$listen" "$tls_port"
            tls
            if $certificates; then echo "require_certificate true"; fi
        fi
        if ((local_port)); then vehicles 127.0.0.1 "$local_port"; fi
    } | put "$dir/mosquitto.conf" 640
}

init() {
    local program
    for program in mosquitto_passwd openssl flock; do
        command -v "$program" >/dev/null || fail "$program is not installed (apt-get install mosquitto openssl util-linux)"
    done
    id -u "$(reader)" >/dev/null 2>&1 || fail "there is no account $(reader): name another with --user"
    ((${#names[@]})) || names=("$(hostname -f 2>/dev/null || hostname)" localhost)
    mkdir -p "$dir/data"
    lock
    share 750 "$dir"
    if ((EUID == 0)); then chown "$(reader):" "$dir/data"; fi
    make_ca
    make_server_certificate
    write_rules
    [[ -f $dir/vehicles.passwd ]] || put "$dir/vehicles.passwd" 640 </dev/null
    if [[ ! -f $dir/engine.passwd || ! -f $dir/holdfast.toml ]]; then
        put "$dir/engine.passwd" 640 </dev/null
        new_engine_password
    fi
    write_configuration
    say "start it:        mosquitto -c $dir/mosquitto.conf"
    say "   as a service: systemctl edit mosquitto, with ExecStart= and ExecStart=/usr/sbin/mosquitto -c $dir/mosquitto.conf"
    say "Holdfast's part: $dir/holdfast.toml; vehicles trust $dir/ca/ca.crt"
}

case $command in
    init) [[ -z $operand ]] || wrong "what is $operand?"; init ;;
    add-vehicle) [[ -z $operand ]] || wrong "add-vehicle reads standard input"; add_vehicles ;;
    remove-vehicle | client-certificate) [[ -n $operand ]] || wrong "$command needs a vehicle's id"; "${command//-/_}" ;;
    engine-password)
        lock
        # Where it listens stands in the configuration, not in today's options.
        read -r engine_port engine_listen < <(sed -n 's/^listener \([0-9]*\) \(.*\)/\1 \2/p' "$dir/mosquitto.conf" | head -n 1)
        new_engine_password; reload ;;
    reload) reload ;;
    '') wrong "which command?" ;;
    *) wrong "there is no command $command" ;;
esac
