//! Kinds of values: how each is written, read, checked and shown.
//!
//! Every source (default, file, environment, flag) comes down to text, so that one parser judges
//! them all and `2s` means the same everywhere.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Texts, separated by commas; masked when shown.
    Secrets,
    /// Texts, separated by commas.
    Texts,
    /// `127.0.0.1:8080`; port 0 asks for any free one. `or_none`: empty means none.
    Address {
        /// Whether it may be empty.
        or_none: bool,
    },
    /// `http://…`; empty means none.
    Url {
        /// The schemes that it may have.
        schemes: &'static [&'static str],
    },
    /// A directory.
    Directory,
    /// `embedded:DIR`, `memory:`, `postgres://…`, `kurrentdb://…` (`esdb://…`).
    Store,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Count {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// A number of bytes: `64MiB`, `1GiB`, `4096`.
    Bytes {
        /// The smallest.
        least: u64,
    },
    /// A duration: `900s`, `15m`, `250ms`, `7d`. `or_none`: `0s` means none.
    Span {
        /// The shortest.
        least: Duration,
        /// Whether zero is allowed and means "none".
        or_none: bool,
    },
    /// Durations, separated by commas, each at least this long.
    Spans {
        /// The shortest.
        least: Duration,
    },
}

/// A value that was read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, directory, store, URL, word.
    Text(String),
    /// Several of them.
    Texts(Vec<String>),
    /// A listener; none when it was left empty.
    Address(Option<SocketAddr>),
    /// A number, or a number of bytes.
    Count(u64),
    /// A duration.
    Span(Duration),
    /// Several of them.
    Spans(Vec<Duration>),
}

impl Kind {
    /// Reads a text. The error says what would have been right.
    pub fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::Text(text.into())),
            Self::Secrets | Self::Texts => Ok(Value::Texts(pieces(text).map(Into::into).collect())),
            Self::Directory if text.is_empty() => Err("a directory must be named".into()),
            Self::Directory => Ok(Value::Text(text.into())),
            Self::Address { or_none } => address(text, or_none),
            Self::Url { schemes } => url(text, schemes),
            Self::Store => store(text),
            Self::OneOf(words) if words.contains(&text) => Ok(Value::Text(text.into())),
            Self::OneOf(words) => Err(format!("must be one of {}", words.join(", "))),
            Self::Count { least, most } => match text.parse::<u64>() {
                Ok(count) if (least..=most).contains(&count) => Ok(Value::Count(count)),
                _ => Err(format!("must be a whole number from {least} to {most}")),
            },
            Self::Bytes { least } => match bytes(text) {
                Some(count) if count >= least => Ok(Value::Count(count)),
                _ => Err(format!(
                    "must be a number of bytes such as 64MiB, at least {}",
                    show_bytes(least)
                )),
            },
            Self::Span { least, or_none } => match span(text) {
                Some(given) if given >= least || (or_none && given.is_zero()) => {
                    Ok(Value::Span(given))
                }
                _ => Err(format!(
                    "must be a duration such as 900s, 15m or 250ms, at least {}{}",
                    show_span(least),
                    if or_none { ", or 0s for none" } else { "" }
                )),
            },
            Self::Spans { least } => {
                let spans: Option<Vec<_>> = pieces(text).map(span).collect();
                match spans {
                    Some(spans)
                        if !spans.is_empty() && spans.iter().all(|given| *given >= least) =>
                    {
                        Ok(Value::Spans(spans))
                    }
                    _ => Err(format!(
                        "must be durations such as 30s,2m,10m, each at least {}",
                        show_span(least)
                    )),
                }
            }
        }
    }

    /// Reads a value of a TOML file. Numbers need no quotes, lists may be arrays.
    pub(super) fn read_toml(self, value: &toml::Value) -> Result<Value, String> {
        match value {
            toml::Value::String(text) => self.read(text),
            toml::Value::Integer(number)
                if matches!(self, Self::Count { .. } | Self::Bytes { .. }) =>
            {
                self.read(&number.to_string())
            }
            toml::Value::Array(items)
                if matches!(self, Self::Secrets | Self::Texts | Self::Spans { .. }) =>
            {
                let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                self.read(&texts.ok_or("must be a list of texts")?.join(","))
            }
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => Err(match self {
                Self::Count { .. } | Self::Bytes { .. } => "must be a number".into(),
                Self::Span { .. } | Self::Spans { .. } => {
                    "must be a duration in quotes, with its unit: \"900s\"".into()
                }
                Self::Text
                | Self::Secrets
                | Self::Texts
                | Self::Address { .. }
                | Self::Url { .. }
                | Self::Directory
                | Self::Store
                | Self::OneOf(_) => "must be a text in quotes".into(),
            }),
        }
    }
}

impl Value {
    /// As it is written in a TOML file.
    pub(super) fn show(&self, kind: Kind) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Texts(texts) if matches!(kind, Kind::Secrets) => {
                let masked: Vec<_> = texts.iter().map(|_| "\"********\"").collect();
                format!("[{}]", masked.join(", "))
            }
            Self::Texts(texts) => {
                let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", quoted.join(", "))
            }
            Self::Address(address) => {
                quoted(&address.map(|address| address.to_string()).unwrap_or_default())
            }
            Self::Count(count) if matches!(kind, Kind::Bytes { .. }) => quoted(&show_bytes(*count)),
            Self::Count(count) => count.to_string(),
            Self::Span(span) => quoted(&show_span(*span)),
            Self::Spans(spans) => {
                let shown: Vec<_> = spans.iter().map(|span| quoted(&show_span(*span))).collect();
                format!("[{}]", shown.join(", "))
            }
        }
    }
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|piece| !piece.is_empty())
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

fn address(text: &str, or_none: bool) -> Result<Value, String> {
    if text.is_empty() && or_none {
        return Ok(Value::Address(None));
    }
    // A host's name would have to be looked up: whoever listens says at which address.
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse().map(|address| Value::Address(Some(address))).map_err(|_| {
        let none = if or_none { ", or empty for none" } else { "" };
        format!("must be an address and a port such as 127.0.0.1:8080 or [::1]:0{none}")
    })
}

fn url(text: &str, schemes: &[&str]) -> Result<Value, String> {
    let fits = text.is_empty()
        || schemes.iter().any(|scheme| {
            text.strip_prefix(scheme)
                .and_then(|rest| rest.strip_prefix("://"))
                .is_some_and(|rest| !rest.is_empty())
        });
    if fits {
        Ok(Value::Text(text.trim_end_matches('/').into()))
    } else {
        Err(format!("must be a URL with {}://, or empty for none", schemes.join(":// or ")))
    }
}

fn store(text: &str) -> Result<Value, String> {
    match text.split_once(':') {
        Some(("embedded", _)) | Some(("memory", "")) => Ok(Value::Text(text.into())),
        Some(("postgres" | "postgresql" | "kurrentdb" | "esdb", rest))
            if rest.starts_with("//") && rest.len() > 2 =>
        {
            Ok(Value::Text(text.into()))
        }
        _ => Err("must be embedded:DIR, memory:, postgres://… or kurrentdb://…".into()),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(unit)
}

fn show_bytes(count: u64) -> String {
    for (unit, size) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if count >= size && count.is_multiple_of(size) {
            return format!("{}{unit}", count / size);
        }
    }
    format!("{count}B")
}

/// `900s`, `15m`, `1h30m`, `250ms`, `7d`.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let count: u64 = count.parse().ok()?;
        let millis = match unit.trim() {
            "ms" => count,
            "s" => count.checked_mul(1_000)?,
            "m" => count.checked_mul(60_000)?,
            "h" => count.checked_mul(3_600_000)?,
            "d" => count.checked_mul(86_400_000)?,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(millis))?;
        rest = tail;
    }
    // Longer than anybody waits: three hundred years would leave the years that moments can have.
    (total <= Duration::from_secs(100 * 366 * 86_400)).then_some(total)
}

/// The shortest way of writing it.
pub(crate) fn show_span(span: Duration) -> String {
    let millis = span.as_millis();
    if millis == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    if !millis.is_multiple_of(1_000) {
        let _ = write!(text, "{millis}ms");
    } else if millis.is_multiple_of(86_400_000) {
        let _ = write!(text, "{}d", millis / 86_400_000);
    } else {
        let _ = write!(text, "{}s", millis / 1_000);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let cases = [("900s", 900_000), ("15m", 900_000), ("250ms", 250), ("7d", 604_800_000)];
        for (text, millis) in cases {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(span("1h30m"), Some(Duration::from_secs(5_400)));
        for text in ["", "900", "s", "1y", "-1s", "1.5s", "99999999999999d"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back_as_the_same() {
        for millis in [0, 10, 999, 1_000, 90_000, 86_400_000, 86_401_000] {
            let given = Duration::from_millis(millis);
            assert_eq!(span(&show_span(given)), Some(given));
        }
        for count in [1, 1_024, 1_536, 64 << 20, 3 << 30] {
            assert_eq!(bytes(&show_bytes(count)), Some(count));
        }
    }

    #[test]
    fn a_number_of_seconds_without_its_unit_is_told_what_is_missing() {
        let kind = Kind::Span { least: Duration::from_secs(1), or_none: false };
        let error = kind.read_toml(&toml::Value::Integer(900)).expect_err("no unit");
        assert!(error.contains("\"900s\""), "{error}");
        assert!(kind.read("900ms").is_err(), "shorter than a second");
    }

    #[test]
    fn a_store_is_named_by_its_scheme() {
        for good in ["embedded:", "embedded:/srv/x", "memory:", "postgres://h/db", "esdb://h:2113"]
        {
            assert!(Kind::Store.read(good).is_ok(), "{good}");
        }
        for bad in ["", "sqlite:x", "memory:x", "postgres:", "postgres://"] {
            assert!(Kind::Store.read(bad).is_err(), "{bad}");
        }
    }
}
