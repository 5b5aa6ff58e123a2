//! The configuration: defaults, then one TOML file, then the environment, then flags.
//!
//! ```text
//!   keys.rs (defaults) ◄─ --config FILE ◄─ HOLDFAST__SECTION__KEY ◄─ --data-dir, --store, --listen
//! ```
//!
//! Everything that is wrong is told at once, and before anything opens: whoever mistyped two keys
//! should not have to start twice. Only variables that begin with `HOLDFAST__` are read.

pub mod keys;
mod show;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use keys::Key;
pub use value::{Kind, Value};
pub(crate) use value::{show_span, span};

/// What environment variables of ours begin with.
const PREFIX: &str = "HOLDFAST__";

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// The file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// The key, as it was written.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, s) = (self.0.len(), if self.0.len() == 1 { "" } else { "s" });
        write!(f, "the configuration has {count} mistake{s}; nothing was opened")?;
        for Problem { origin, key, what } in &self.0 {
            if key.is_empty() {
                write!(f, "\n  {origin}: {what}")?;
            } else {
                write!(f, "\n  {origin}: {key} {what}")?;
            }
        }
        Ok(())
    }
}

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The environment; only `HOLDFAST__…` counts.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags that set a key: the flag, the key, the value.
    pub flags: Vec<(&'static str, &'static Key, String)>,
}

/// The store that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// Our own log; in `{directory}/log`.
    Embedded {
        /// The directory that holds `log/`.
        directory: PathBuf,
    },
    /// Nothing outlives the process.
    Memory,
    /// A server that this version does not talk to yet.
    NotYet {
        /// As it was written, without what stands before an `@`.
        url: String,
        /// What brings it.
        comes_with: &'static str,
    },
}

/// The effective configuration: a checked value for every key.
#[derive(Clone, Debug)]
pub struct Config {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

impl Config {
    /// Reads all sources; the later one wins. All mistakes are told together.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let values: BTreeMap<_, _> = keys::ALL
            .iter()
            .map(|key| {
                let value = key.kind.read(key.default).expect("a test reads every default");
                (key.name, (value, Origin::Default))
            })
            .collect();
        let mut reading = Reading { values, problems: Vec::new() };
        if let Some(path) = &sources.file {
            let origin = Origin::File(path.clone());
            match read_file(path) {
                Ok(entries) => {
                    for (name, value) in &entries {
                        reading.take(origin.clone(), name, |kind| kind.read_toml(value));
                    }
                }
                Err(what) => reading.problems.push(Problem { origin, key: String::new(), what }),
            }
        }
        let mut environment: Vec<_> = sources.environment.iter().collect();
        environment.sort();
        for (variable, value) in environment {
            let variable = variable.to_string_lossy();
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            let origin = Origin::Environment(variable.to_string());
            let name = name.to_ascii_lowercase().replace("__", ".");
            reading.take(origin, &name, |kind| match value.to_str() {
                Some(text) => kind.read(text),
                None => Err("is not UTF-8".into()),
            });
        }
        for (flag, key, text) in &sources.flags {
            reading.take(Origin::Flag(flag), key.name, |kind| kind.read(text));
        }
        let Reading { values, mut problems } = reading;
        let config = Self { values };
        config.judge_together(&mut problems);
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    /// What no key can judge by itself.
    fn judge_together(&self, problems: &mut Vec<Problem>) {
        let cap = self.span(&keys::ABSOLUTE_CAP);
        for key in [&keys::HOLD_TTL, &keys::PAYMENT_EXTENSION] {
            if self.span(key) > cap {
                problems.push(Problem {
                    origin: self.origin(key).clone(),
                    key: key.name.into(),
                    what: format!("must be at most holds.absolute_cap ({})", show_span(cap)),
                });
            }
        }
        let most = Duration::from_secs(7_200);
        if cap > most {
            problems.push(Problem {
                origin: self.origin(&keys::ABSOLUTE_CAP).clone(),
                key: keys::ABSOLUTE_CAP.name.into(),
                what: format!("must be at most {}", show_span(most)),
            });
        }
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &Key) -> &Origin {
        &self.entry(key).1
    }

    fn entry(&self, key: &Key) -> &(Value, Origin) {
        self.values.get(key.name).expect("every key of the table has a value")
    }

    /// A text, a word, a URL, a directory.
    pub fn text(&self, key: &Key) -> &str {
        let Value::Text(text) = &self.entry(key).0 else { unreachable!("{} is no text", key.name) };
        text
    }

    /// Several texts.
    pub fn texts(&self, key: &Key) -> &[String] {
        let Value::Texts(texts) = &self.entry(key).0 else {
            unreachable!("{} is no list", key.name)
        };
        texts
    }

    /// A listener.
    pub fn address(&self, key: &Key) -> Option<SocketAddr> {
        let Value::Address(address) = &self.entry(key).0 else {
            unreachable!("{} is no address", key.name)
        };
        *address
    }

    /// A number.
    pub fn count(&self, key: &Key) -> u64 {
        let Value::Count(count) = &self.entry(key).0 else {
            unreachable!("{} is no number", key.name)
        };
        *count
    }

    /// A number that its key keeps within 32 bits.
    pub fn count32(&self, key: &Key) -> u32 {
        u32::try_from(self.count(key)).unwrap_or(u32::MAX)
    }

    /// A duration.
    pub fn span(&self, key: &Key) -> Duration {
        let Value::Span(span) = &self.entry(key).0 else {
            unreachable!("{} is no duration", key.name)
        };
        *span
    }

    /// Several durations.
    pub fn spans(&self, key: &Key) -> &[Duration] {
        let Value::Spans(spans) = &self.entry(key).0 else {
            unreachable!("{} is no list of durations", key.name)
        };
        spans
    }

    /// The store that is asked for.
    pub fn store(&self) -> StoreChoice {
        let url = self.text(&keys::STORE);
        let not_yet = |comes_with| StoreChoice::NotYet { url: without_password(url), comes_with };
        match url.split_once(':') {
            Some(("embedded", "")) => {
                StoreChoice::Embedded { directory: self.text(&keys::DATA_DIR).into() }
            }
            Some(("embedded", directory)) => {
                StoreChoice::Embedded { directory: directory.trim_start_matches("//").into() }
            }
            Some(("memory", _)) => StoreChoice::Memory,
            Some(("postgres" | "postgresql", _)) => {
                not_yet("the PostgreSQL backend (feature `postgres`)")
            }
            _ => not_yet("the KurrentDB backend (feature `kurrentdb`)"),
        }
    }

    /// Where read models, keys and the sandbox's ledger live: `data_dir`, or beside the log when only
    /// `--store embedded:DIR` was said.
    pub fn data_dir(&self) -> PathBuf {
        match (self.origin(&keys::DATA_DIR), self.store()) {
            (Origin::Default, StoreChoice::Embedded { directory }) => directory,
            _ => self.text(&keys::DATA_DIR).into(),
        }
    }
}

/// A configuration that is being read.
struct Reading {
    values: BTreeMap<&'static str, (Value, Origin)>,
    problems: Vec<Problem>,
}

impl Reading {
    fn take(
        &mut self,
        origin: Origin,
        name: &str,
        read: impl FnOnce(Kind) -> Result<Value, String>,
    ) {
        let what = match keys::named(name) {
            Some(key) => match read(key.kind) {
                Ok(value) => {
                    self.values.insert(key.name, (value, origin));
                    return;
                }
                Err(what) => what,
            },
            None => match keys::nearest(name) {
                Some(near) => format!("is no key; did you mean {}?", near.name),
                None => "is no key; holdfast config lists them all".into(),
            },
        };
        self.problems.push(Problem { origin, key: name.into(), what });
    }
}

/// A URL as it may be shown: what stands before an `@` is a secret.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}********{}", &url[..scheme + 3], &url[at..])
        }
        _ => url.into(),
    }
}

/// The file's values by dotted names.
fn read_file(path: &Path) -> Result<Vec<(String, toml::Value)>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| format!("is not TOML: {}", error.to_string().trim_end()))?;
    let mut entries = Vec::new();
    for (name, value) in table {
        if let toml::Value::Table(section) = value {
            let named = |(key, value)| (format!("{name}.{key}"), value);
            entries.extend(section.into_iter().map(named));
        } else {
            entries.push((name, value));
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("holdfast.toml");
        std::fs::write(&path, text).expect("the file is written");
        (directory, path)
    }

    #[test]
    fn the_later_source_wins() {
        let (_directory, path) =
            file("[http]\nlisten = \"127.0.0.1:1\"\n[holds]\nhold_ttl = \"2s\"\n");
        let sources = Sources {
            file: Some(path.clone()),
            environment: environment(&[
                ("HOLDFAST__HTTP__LISTEN", "127.0.0.1:2"),
                ("HOLDFAST_BIN", "not ours"),
            ]),
            flags: vec![],
        };
        let config = Config::load(&sources).expect("all is right");
        assert_eq!(config.address(&keys::HTTP_LISTEN), Some(([127, 0, 0, 1], 2).into()));
        assert_eq!(config.span(&keys::HOLD_TTL), Duration::from_secs(2));
        assert_eq!(config.origin(&keys::HOLD_TTL), &Origin::File(path));
        let flags = vec![("--listen", &keys::HTTP_LISTEN, "127.0.0.1:3".to_owned())];
        let config = Config::load(&Sources { flags, ..sources }).expect("all is right");
        assert_eq!(config.address(&keys::HTTP_LISTEN), Some(([127, 0, 0, 1], 3).into()));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let (_directory, path) =
            file("colour = \"red\"\n[holds]\nhold_ttl = 900\nseat_lock_ttl = \"1ms\"\n");
        let sources = Sources {
            file: Some(path),
            environment: environment(&[("HOLDFAST__HTTP__LISTN", "127.0.0.1:0")]),
            flags: vec![("--store", &keys::STORE, "sqlite:x".into())],
        };
        let problems = Config::load(&sources).expect_err("five mistakes");
        assert_eq!(problems.0.len(), 5, "{problems}");
        let text = problems.to_string();
        for word in ["colour", "hold_ttl", "seat_lock_ttl", "did you mean http.listen?", "--store"]
        {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn every_key_of_the_contract_is_accepted() {
        let keys = [
            ("HOLDFAST__HTTP__LISTEN", "127.0.0.1:0"),
            ("HOLDFAST__MQTT__LISTEN", ""),
            ("HOLDFAST__MQTT__BROKER", "mqtt://127.0.0.1:1883"),
            ("HOLDFAST__DATA_DIR", "/tmp/x"),
            ("HOLDFAST__STORE", "memory:"),
            ("HOLDFAST__HOLDS__HOLD_TTL", "2s"),
            ("HOLDFAST__HOLDS__SEAT_LOCK_TTL", "1s"),
            ("HOLDFAST__HOLDS__PAYMENT_EXTENSION", "0s"),
            ("HOLDFAST__PAYMENTS__GATEWAY", "sandbox"),
            ("HOLDFAST__LIMITS__LIVE_HOLDS_PER_CUSTOMER", "1000"),
            ("HOLDFAST__LOG__SEGMENT_BYTES", "1048576"),
        ];
        let sources = Sources { environment: environment(&keys), ..Sources::default() };
        let config = Config::load(&sources).expect("every key is known");
        assert_eq!(config.store(), StoreChoice::Memory);
        assert_eq!(config.span(&keys::PAYMENT_EXTENSION), Duration::ZERO);
        assert_eq!(config.count(&keys::SEGMENT_BYTES), 1 << 20);
    }

    #[test]
    fn a_store_directory_is_the_data_directory_unless_another_is_named() {
        let load = |pairs: &[(&str, &str)]| {
            let sources = Sources { environment: environment(pairs), ..Sources::default() };
            Config::load(&sources).expect("all is right")
        };
        let config = load(&[("HOLDFAST__STORE", "embedded:/srv/log")]);
        assert_eq!(config.data_dir(), PathBuf::from("/srv/log"));
        let config =
            load(&[("HOLDFAST__STORE", "embedded:/srv/log"), ("HOLDFAST__DATA_DIR", "/srv/data")]);
        assert_eq!(config.data_dir(), PathBuf::from("/srv/data"));
        let directory = PathBuf::from("/srv/log");
        assert_eq!(config.store(), StoreChoice::Embedded { directory });
    }

    #[test]
    fn a_password_in_a_store_s_url_is_never_shown() {
        let sources = Sources {
            environment: environment(&[("HOLDFAST__STORE", "postgres://me:hush@host/db")]),
            ..Sources::default()
        };
        let config = Config::load(&sources).expect("all is right");
        let StoreChoice::NotYet { url, .. } = config.store() else { panic!("not yet") };
        assert_eq!(url, "postgres://********@host/db");
        assert!(!config.to_string().contains("hush"));
    }
}
