//! Every key that there is: its name, what it takes, its default, and what it does.
//!
//! One row a key. `holdfast config` prints this table, unknown keys are judged against it, and the
//! rest of `src/` reads values by these constants. Keys of parts that come later are accepted
//! already, so that a configuration file may be written once.

use std::time::Duration;

use super::value::Kind;

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// `section.key`, or a bare key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is when nobody says anything.
    pub default: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

const SECOND: Duration = Duration::from_secs(1);
/// At least a second.
const SECONDS: Kind = Kind::Span { least: SECOND, or_none: false };
/// At least a second, or none.
const SECONDS_OR_NONE: Kind = Kind::Span { least: SECOND, or_none: true };
/// At least ten milliseconds: ticks.
const TICK: Kind = Kind::Span { least: Duration::from_millis(10), or_none: false };

macro_rules! keys {
    ($($constant:ident $name:literal $kind:expr, $default:literal, $doc:literal;)+) => {
        $(
            #[doc = $doc]
            pub static $constant: Key =
                Key { name: $name, kind: $kind, default: $default, doc: $doc };
        )+
        /// All of them, in the order in which they are shown.
        pub static ALL: &[&Key] = &[$(&$constant),+];
    };
}

const fn count(least: u64, most: u64) -> Kind {
    Kind::Count { least, most }
}

keys! {
    DATA_DIR "data_dir" Kind::Directory, "./holdfast-data",
        "Where the log, the read models and the keys live.";
    STORE "store" Kind::Store, "embedded:",
        "Where events are recorded: embedded:DIR (empty: the data directory), memory:, postgres://…, kurrentdb://….";

    HTTP_LISTEN "http.listen" Kind::Address { or_none: false }, "127.0.0.1:8080",
        "Where REST, GraphQL and WebSocket listen; port 0 asks for any free one.";
    HTTP_PUBLIC_URL "http.public_url" Kind::Url { schemes: &["http", "https"] }, "",
        "Under which URL customers reach this server; empty: the listener's own.";
    HTTP_TRUSTED_PROXIES "http.trusted_proxies" Kind::Texts, "",
        "Addresses of proxies whose X-Forwarded-For is believed.";
    HTTP_ALLOWED_ORIGINS "http.allowed_origins" Kind::Texts, "",
        "Origins that browsers may call from, besides the server's own.";

    MQTT_LISTEN "mqtt.listen" Kind::Address { or_none: true }, "127.0.0.1:1883",
        "Where the embedded MQTT broker listens; port 0 asks for any free one; empty: none.";
    MQTT_BROKER "mqtt.broker" Kind::Url { schemes: &["mqtt", "mqtts"] }, "",
        "Another MQTT broker to use instead, with user and password: mqtts://holdfast-engine:…@host.";
    MQTT_CA "mqtt.ca" Kind::Text, "",
        "A file of certificates (PEM) to trust for mqtts, instead of the system's.";
    MQTT_CLIENT_ID "mqtt.client_id" Kind::Text, "holdfast-engine",
        "Our name at the broker: holdfast-engine, or that and something behind a dash.";
    TELEMETRY_BYTES "mqtt.telemetry_bytes" Kind::Bytes { least: 0 }, "1GiB",
        "How much raw telemetry is kept in the data directory's telemetry/; 0: none.";

    HOLD_TTL "holds.hold_ttl" SECONDS, "900s",
        "How long a reservation is held before it must be paid.";
    SEAT_LOCK_TTL "holds.seat_lock_ttl" SECONDS, "600s",
        "How long a bare seat lock lasts.";
    PAYMENT_EXTENSION "holds.payment_extension" SECONDS_OR_NONE, "600s",
        "A payment that begins moves the deadline to now plus this, once; 0s: never.";
    ABSOLUTE_CAP "holds.absolute_cap" SECONDS, "7200s",
        "No hold outlives this, however it is extended.";
    CLAIM_GRACE "holds.claim_grace" SECONDS, "60s",
        "How much longer a claim lasts than its reservation's deadline.";

    LIVE_HOLDS "limits.live_holds_per_customer" count(1, 100_000), "20",
        "Unpaid reservations that one customer may have at a time.";
    ADDRESS_RATE "limits.requests_per_address_per_minute" count(0, 1_000_000), "0",
        "Requests that one address may make in a minute; 0: any number.";
    HOLD_RATE "limits.holds_per_customer_per_minute" count(0, 1_000_000), "0",
        "Holds and seat locks that one customer may ask for in a minute; 0: any number.";

    PAYMENT_GATEWAY "payments.gateway" Kind::OneOf(&["sandbox"]), "sandbox",
        "The gateway of a payment that names none.";
    ANSWER_WAIT "payments.answer_wait" SECONDS, "10s",
        "How long a payment's request waits for the outcome before it answers PENDING.";
    POLLS "payments.polls" Kind::Spans { least: SECOND }, "30s,2m,10m",
        "When a gateway that has not answered is asked what became of it.";
    AGAIN "payments.again" Kind::Spans { least: SECOND }, "1s,5s,30s,5m,1h",
        "When a capture, void or refund that was refused for now is asked again; the last one for ever.";
    CAPTURE_MARGIN "payments.capture_margin" SECONDS, "24h",
        "How long before an authorization lapses it is captured at the latest.";

    SANDBOX_LATE_AFTER "sandbox.late_after" SECONDS_OR_NONE, "0s",
        "When a tok_late payment succeeds; 0s: just after the hold can have expired.";
    SANDBOX_SECRETS "sandbox.webhook_secrets" Kind::Secrets, "",
        "Secrets that sign the sandbox's webhooks, besides the data directory's own; the first one signs.";

    TIMER_TICK "timers.tick" TICK, "250ms",
        "How often due timers are looked for.";
    TIMER_SWEEP "timers.sweep" SECONDS, "60s",
        "How often everything is swept for deadlines that no timer knows.";
    EXPIRY_BATCH "timers.expiry_batch" count(1, 100_000), "500",
        "How many due timers are fired at once.";
    CLOCK_JUMP "timers.clock_jump" SECONDS, "60s",
        "A wall clock that jumps by more than this raises an alarm.";

    RETRIES "processes.retries" count(1, 100), "3",
        "How often an ask is tried before it is parked as a dead letter.";
    RETRY_BASE "processes.retry_base" TICK, "1s",
        "The first wait between two tries; each next one is twice as long.";

    IDEMPOTENCY "idempotency.retention" SECONDS, "7d",
        "How long the answers of requests are kept for their repeats.";
    WEBHOOK_TOLERANCE "webhooks.tolerance" SECONDS, "300s",
        "How old a webhook's signature may be.";
    CATALOGUE_CACHE "catalogue.cache_ttl" SECONDS, "300s",
        "How long clients may keep the catalogue.";

    ACCESS_TTL "auth.access_token_ttl" SECONDS, "900s",
        "How long an access token lasts.";
    REFRESH_TTL "auth.refresh_token_ttl" SECONDS, "30d",
        "How long a refresh token lasts. (Comes with login.)";
    REUSE_GRACE "auth.refresh_reuse_grace" SECONDS, "10s",
        "How long a refresh token's repeat is taken for a retry. (Comes with login.)";

    // The embedded broker tells every connection; what matters of it we tell ourselves.
    LOG_FILTER "logging.filter" Kind::Text, "info,mqtt5=error",
        "What is logged: error, warn, info, debug, trace, also by part (info,holdfast_engine=debug).";

    SEGMENT_BYTES "log.segment_bytes" Kind::Bytes { least: 1 << 20 }, "64MiB",
        "How large one file of the log is.";
    INDEX_CACHE "log.index_cache" Kind::Bytes { least: 1 << 20 }, "32MiB",
        "How much memory the indexes of older parts of the log may take.";

    SNAPSHOT_EVERY "snapshots.every_events" count(0, u64::MAX >> 1), "1000",
        "After how many further events of a stream its state is kept, so that it loads fast; 0: never.";

    READY_LAG "ready.max_lag" count(1, u64::MAX >> 1), "10000",
        "Events that a consumer may lie behind before /health/ready says no.";
    READY_DEAD_LETTERS "ready.max_dead_letters" count(0, u64::MAX >> 1), "99",
        "Dead letters that may be parked before /health/ready says no.";
    DISK_RESERVE "ready.disk_reserve" Kind::Bytes { least: 0 }, "64MiB",
        "Free bytes on the data directory's disk below which /health/ready says no.";

    UNLOCK_ATTEMPT "unlock.attempt" SECONDS, "5s",
        "How long one unlock command is waited for.";
    UNLOCK_ATTEMPTS "unlock.attempts" count(1, 10), "3",
        "How often an unlock is tried.";
    UNLOCK_DEADLINE "unlock.deadline" SECONDS, "20s",
        "When an unlock has failed for good.";
    UNLOCK_LATE_GRACE "unlock.late_grace" SECONDS, "30s",
        "How late an answer may still start the rental.";
    LOW_FUEL "vehicles.low_fuel_percent" count(0, 100), "15",
        "Below this a vehicle is offered last.";
    VEHICLE_SILENCE "vehicles.silence" SECONDS, "24h",
        "How long a vehicle may be silent before there is an alarm.";
    RELOCK "vehicles.relock" SECONDS, "60s",
        "How long after a lock that came to nothing it is asked for again.";
    ASSIGN_WAIT "rentals.assign_wait" SECONDS, "900s",
        "How long a rental whose period has begun waits for a vehicle before it is paid back.";
    ASSIGN_AGAIN "rentals.assign_again" SECONDS, "15s",
        "How often a vehicle is looked for meanwhile.";
    FUEL_CHARGE "rentals.fuel_charge_minor_per_percent" count(0, 1_000_000), "0",
        "What a missing percent of fuel costs at the return, in minor units; 0: nothing.";
    AUTO_CHARGE "damages.auto_charge_limit_minor" count(0, i64::MAX as u64), "0",
        "Up to how much (minor units) a damage is charged without a decision; 0: always decided.";

    BUS_PARTITIONS "buses.partitions" count(1, 10_000), "12",
        "Partitions of a topic. (Comes with message buses.)";
    BUS_ALIASES "buses.aliases" Kind::OneOf(&["", "seeds"]), "",
        "Also publish under the diagrams' own topic names. (Comes with message buses.)";
}

/// The key of that name.
pub fn named(name: &str) -> Option<&'static Key> {
    ALL.iter().copied().find(|key| key.name == name)
}

/// The key whose name is nearest to a mistyped one, when one is near.
pub(super) fn nearest(name: &str) -> Option<&'static Key> {
    let near = |key: &&Key| distance(name, key.name);
    let key = ALL.iter().copied().min_by_key(|key| near(key))?;
    let same_word = key.name.rsplit('.').next() == name.rsplit('.').next();
    (near(&key) <= 3 || same_word).then_some(key)
}

/// How many letters must change to make one name of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_that_its_own_key_takes() {
        for key in ALL {
            let read = key.kind.read(key.default);
            assert!(read.is_ok(), "{}: {read:?}", key.name);
        }
    }

    #[test]
    fn every_name_is_there_once_and_can_be_written_in_the_environment() {
        for (at, key) in ALL.iter().enumerate() {
            assert!(ALL[at + 1..].iter().all(|other| other.name != key.name), "{}", key.name);
            assert!(!key.name.contains("__"), "{}", key.name);
            assert!(key.name.bytes().all(|b| b.is_ascii_lowercase() || b"._".contains(&b)));
        }
    }

    #[test]
    fn a_mistyped_key_is_told_the_nearest_one() {
        assert_eq!(nearest("holds.holdttl").map(|key| key.name), Some("holds.hold_ttl"));
        assert_eq!(nearest("hold.hold_ttl").map(|key| key.name), Some("holds.hold_ttl"));
        assert_eq!(nearest("weather.tomorrow").map(|key| key.name), None);
    }
}
