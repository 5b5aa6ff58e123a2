//! A bar for long work, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` of something. Without a terminal nothing is drawn.
pub(crate) fn bar(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = "{msg} [{bar:32}] {percent:>3} % {pos}/{len}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar
}
