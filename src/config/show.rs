//! How the effective configuration is shown: as TOML that could be used as it stands.

use super::value::{Kind, Value};
use super::{Config, Origin, keys, without_password};

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "# The effective configuration: every key, what it does, where it comes from."
        )?;
        writeln!(f, "# Later wins: default, --config FILE, HOLDFAST__SECTION__KEY, flag.")?;
        let mut section = "";
        for key in keys::ALL {
            let (value, origin) = self.entry(key);
            let (here, name) = key.name.split_once('.').unwrap_or(("", key.name));
            if here != section {
                section = here;
                write!(f, "\n[{section}]")?;
            }
            let shown = match (key.kind, value) {
                (Kind::Store | Kind::Url { .. }, Value::Text(url)) => {
                    Value::Text(without_password(url)).show(key.kind)
                }
                _ => value.show(key.kind),
            };
            writeln!(f, "\n# {}", key.doc)?;
            match origin {
                Origin::Default => writeln!(f, "{name} = {shown}")?,
                Origin::File(_) | Origin::Environment(_) | Origin::Flag(_) => {
                    let default = key.kind.read(key.default).expect("a test reads every default");
                    let default = default.show(key.kind);
                    writeln!(f, "{name} = {shown}  # from {origin}; default {default}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    #[test]
    fn what_is_shown_can_be_used_as_a_file_and_shows_the_same() {
        let config = Config::load(&Sources::default()).expect("defaults are right");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("holdfast.toml");
        std::fs::write(&path, config.to_string()).expect("written");
        let again = Config::load(&Sources { file: Some(path), ..Sources::default() });
        let again = again.expect("what is shown is right");
        for key in keys::ALL {
            assert_eq!(again.entry(key).0, config.entry(key).0, "{}", key.name);
        }
    }

    #[test]
    fn secrets_are_masked() {
        let secret = ("HOLDFAST__SANDBOX__WEBHOOK_SECRETS".into(), "whsec_very_secret".into());
        let sources = Sources { environment: vec![secret], ..Sources::default() };
        let text = Config::load(&sources).expect("all is right").to_string();
        assert!(text.contains("********") && !text.contains("very_secret"), "{text}");
    }
}
