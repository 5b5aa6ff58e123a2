//! A bar for long work, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` of something. Without a terminal nothing is drawn.
pub(crate) fn bar(total: u64, what: &'static str) -> ProgressBar {
    styled(total, what, "{msg} [{bar:32}] {percent:>3} % {pos}/{len}, {eta} left")
}

/// A bar over bytes, with how many a second.
pub(super) fn bytes(what: &'static str) -> ProgressBar {
    let template = "{msg} [{bar:32}] {percent:>3} % {binary_bytes}/{binary_total_bytes}, \
                    {binary_bytes_per_sec}, {eta} left";
    styled(0, what, template)
}

fn styled(total: u64, what: &'static str, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar
}
