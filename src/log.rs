//! Opening the embedded log to write: one process at a time has it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use holdfast_store::embedded::{Embedded, Options};

use crate::config::{Config, keys};

/// Opens the log in `directory`, and makes it when it is not there. Recovery may have to read all of it.
pub(crate) async fn open(config: &Config, directory: &Path) -> anyhow::Result<Arc<Embedded>> {
    #[expect(clippy::field_reassign_with_default, reason = "its test twins are private")]
    let options = {
        let mut options = Options::default();
        options.segment_bytes = config.count(&keys::SEGMENT_BYTES);
        options
    };
    let owned = directory.to_owned();
    let opening = tokio::task::spawn_blocking(move || Embedded::open(owned, options)).await?;
    let log = opening.with_context(|| format!("the log in {}", directory.display()))?;
    if let Some(torn) = &log.recovery().torn {
        tracing::warn!(?torn, "a write that was never acknowledged was cut off");
    }
    Ok(Arc::new(log))
}
