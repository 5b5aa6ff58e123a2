//! What is printed: one table for each piece of work, and at the end what was reached of what is wanted.

use crate::common::Round;

/// One contestant's figures.
pub(crate) struct Line {
    who: String,
    round: Round,
    /// How many times as much Holdfast does.
    ours: Option<f64>,
}

impl Line {
    pub(crate) fn of(who: impl Into<String>, round: Round, ours: Option<f64>) -> Self {
        Self { who: who.into(), round, ours }
    }
}

/// A ratio, and which is wanted.
pub(crate) struct Verdict {
    what: String,
    ratio: f64,
    reach: f64,
    at_most: bool,
}

impl Verdict {
    pub(crate) fn at_least(what: impl Into<String>, ratio: f64, reach: f64) -> Self {
        Self { what: what.into(), ratio, reach, at_most: false }
    }

    pub(crate) fn at_most(what: impl Into<String>, ratio: f64, reach: f64) -> Self {
        Self { what: what.into(), ratio, reach, at_most: true }
    }

    fn is_reached(&self) -> bool {
        if self.at_most { self.ratio <= self.reach } else { self.ratio >= self.reach }
    }
}

/// All that was measured, as Markdown: `benches/README.md` takes it over as it is.
#[derive(Default)]
pub(crate) struct Report {
    verdicts: Vec<Verdict>,
}

impl Report {
    /// What is under way, for whoever waits; on the other stream, so that the report stays clean.
    pub(crate) fn progress(&self, what: &str) {
        eprintln!("… {what} (load {})", load());
    }

    pub(crate) fn note(&self, what: &str) {
        println!("\nNote: {what}");
    }

    pub(crate) fn table(&self, title: &str, unit: &str, lines: &[Line]) {
        println!("\n### {title} (load {})\n", load());
        // Servers work in processes of their own: of them the column has only the clients' part.
        println!("| who | {unit}/s | p50 | p99 | CPU ns each: writer, all | Holdfast does |");
        println!("|---|---|---|---|---|---|");
        for Line { who, round, ours } in lines {
            let times = ours.map_or("–".to_owned(), |ours| format!("{ours:.2} ×"));
            println!(
                "| {who} | {} | {} | {} | {} | {times} |",
                thousands(round.per_second),
                micros(round.p50),
                micros(round.p99),
                round.cpu,
            );
        }
    }

    pub(crate) fn verdict(&mut self, verdict: Verdict) {
        self.verdicts.push(verdict);
    }

    pub(crate) fn end(&self) {
        println!("\n### Ratios\n\n| work / peer | ratio | reach | |\n|---|---|---|---|");
        for verdict in &self.verdicts {
            let Verdict { what, ratio, reach, at_most } = verdict;
            let sign = if *at_most { "≤" } else { "≥" };
            let told = if verdict.is_reached() { "reached" } else { "**missed**" };
            println!("| {what} | {ratio:.2} | {sign} {reach} | {told} |");
        }
    }
}

/// How busy the machine was in the last minute.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn micros(micros: f64) -> String {
    match micros {
        m if m >= 10_000.0 => format!("{:.0} ms", m / 1e3),
        m if m >= 1_000.0 => format!("{:.1} ms", m / 1e3),
        m => format!("{m:.0} µs"),
    }
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
