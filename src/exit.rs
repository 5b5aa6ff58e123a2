//! How the program ends: one table of exit codes, and which error means which.
//!
//! | code | means |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | wrong usage or configuration |
//! | 3 | the store is damaged or poisoned |
//! | 4 | the data directory is in use |

use std::process::ExitCode;

use holdfast_store::ReadError;
use holdfast_store::embedded::{OpenError, Stopped};

use crate::config::Problems;

/// Endings that no other error tells.
#[derive(Debug, thiserror::Error)]
pub enum Ending {
    /// What was asked cannot be done like that.
    #[error("{0}")]
    Usage(String),
    /// The store is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// The store took a write whose outcome is unknown, and takes no more.
    #[error("the store is stopped: {0}; start again to find out what was recorded")]
    Poisoned(String),
}

impl From<Stopped> for Ending {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Failed(why) => Self::Poisoned(why),
            Stopped::Damaged(damage) => Self::Damaged(format!(
                "the log is damaged: {damage}; starting again does not help: run `holdfast verify`, \
                 then `holdfast repair --dry-run`, or restore a backup"
            )),
        }
    }
}

/// The exit code of an error: the first cause in the chain that has one decides.
pub fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(1)
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(ending) = cause.downcast_ref::<Ending>() {
        return Some(match ending {
            Ending::Usage(_) => 2,
            Ending::Damaged(_) | Ending::Poisoned(_) => 3,
        });
    }
    if cause.is::<Problems>() {
        return Some(2);
    }
    if let Some(error) = cause.downcast_ref::<OpenError>() {
        return Some(match error {
            OpenError::InUse => 4,
            OpenError::Damaged(_) => 3,
            OpenError::NewerFormat { .. } | OpenError::NoLog | OpenError::Io(_) => 1,
        });
    }
    match cause.downcast_ref::<ReadError>() {
        Some(ReadError::Damaged { .. }) => Some(3),
        Some(ReadError::Io(_) | ReadError::Closed) => Some(1),
        None => None,
    }
}

/// Ends with what came of it, and tells the person at the terminal.
pub(crate) fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast: {}", told(&error));
            ExitCode::from(code(&error))
        }
    }
}

/// The whole chain of causes in one line; what a message says already is not said again.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;
    use holdfast_engine::{Died, IndexError, RunnerError, StartError};
    use holdfast_projections::{ProjectError, RebuildError};
    use holdfast_store::Position;
    use holdfast_store::embedded::Damage;

    #[test]
    fn no_cause_is_told_twice() {
        let io = std::io::Error::other("no such luck");
        let error = anyhow::Error::from(OpenError::Io(io)).context("the log in there");
        assert_eq!(told(&error), "the log in there: the log cannot be opened: no such luck");
    }

    /// A follower met damage in a sealed segment while starting, and the process ended with 1: the cause
    /// was told in words, and hidden by errors that pass for their cause.
    #[test]
    fn damage_decides_whoever_has_met_it() {
        let damage = || ReadError::Damaged {
            segment: "00000000000000000001.log".into(),
            offset: 4_096,
            position: Position(1),
            what: "a flipped bit".into(),
        };
        let dead = |why| Died::Failed { part: "a part", why };
        let chains: [anyhow::Error; 6] = [
            damage().into(),
            StartError::Read(damage()).into(),
            StartError::Died(dead(IndexError::Read(damage()).into())).into(),
            StartError::Runner(RunnerError::Read(damage())).into(),
            dead(RunnerError::Read(damage()).into()).into(),
            RebuildError::Project(ProjectError::Log(damage())).into(),
        ];
        for error in chains {
            let error = error.context("in there");
            assert_eq!(code(&error), 3, "{error:?}");
            let told = told(&error);
            assert_eq!(told.matches("offset 4096, position 1").count(), 1, "{told}");
        }
    }

    /// Damage does not go away by starting again, and was said to.
    #[test]
    fn a_store_that_stopped_says_what_to_do() {
        let damage = Damage {
            segment: "0000000001.seg".into(),
            offset: 4_096,
            position: Position(1),
            what: "a flipped bit".into(),
        };
        let damaged = Ending::from(Stopped::Damaged(damage)).to_string();
        assert!(
            damaged.contains("offset 4096") && damaged.contains("holdfast repair"),
            "{damaged}"
        );
        assert!(!damaged.contains("start again"), "{damaged}");
        let failed = Ending::from(Stopped::Failed("cannot sync".into())).to_string();
        assert!(failed.contains("start again"), "{failed}");
    }

    #[test]
    fn the_cause_decides_however_it_is_wrapped() {
        let wrapped = |error: OpenError| {
            let result: Result<(), _> = Err(error);
            code(&result.context("opening the log").expect_err("an error"))
        };
        assert_eq!(wrapped(OpenError::InUse), 4);
        assert_eq!(wrapped(OpenError::NoLog), 1);
        assert_eq!(code(&Ending::Poisoned("disk".into()).into()), 3);
        assert_eq!(code(&Problems(vec![]).into()), 2);
        assert_eq!(code(&anyhow::anyhow!("anything")), 1);
    }
}
