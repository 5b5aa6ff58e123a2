//! Opening the embedded log to write: one process at a time has it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use holdfast_store::embedded::{Embedded, Options, Progress};

use crate::cli::progress;
use crate::config::{Config, keys};

/// Opens the log in `directory`, and makes it when it is not there. Only its end is read; where indexes
/// are missing or damaged they are made anew, with a bar.
pub(crate) async fn open(config: &Config, directory: &Path) -> anyhow::Result<Arc<Embedded>> {
    #[expect(clippy::field_reassign_with_default, reason = "its test twins are private")]
    let options = {
        let mut options = Options::default();
        options.segment_bytes = config.count(&keys::SEGMENT_BYTES);
        options.index_cache_bytes =
            usize::try_from(config.count(&keys::INDEX_CACHE)).unwrap_or(usize::MAX);
        options.progress = Some(told());
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

/// Shows a bar as soon as one index had to be made, since that takes a while.
fn told() -> Progress {
    let bar = OnceLock::new();
    Progress::new(move |progress| {
        if progress.indexes_made == 0 {
            return;
        }
        let bar = bar.get_or_init(|| progress::bar(progress.segments_total, "segments indexed"));
        bar.set_position(progress.segments_done);
        if progress.segments_done >= progress.segments_total {
            bar.finish_and_clear();
        }
    })
}
