//! Judging what has happened: from the log itself, and from the sandbox's ledger.

use holdfast::invariants::{Checker, Findings};
use holdfast_store::embedded::Reader;
use holdfast_store::{EventStore as _, Filter, Position, RecordedEvent};
use serde_json::Value;

use super::{House, Person};

/// Every event on the disk, read beside the server.
pub(crate) async fn recorded(house: &House) -> Vec<RecordedEvent> {
    let directory = house.data();
    let reader = tokio::task::spawn_blocking(move || Reader::open(directory)).await;
    let reader = reader.expect("not interrupted").expect("the log opens");
    let mut events = Vec::new();
    let mut next = Position::FIRST;
    while next <= reader.head() {
        let page = reader.read_all(next, &Filter::All, 4_096).await.expect("the log is whole");
        events.extend(page.events);
        next = page.next;
    }
    events
}

/// Reads the log on the disk and asserts every business invariant.
pub(crate) async fn judge_log(house: &House) -> Findings {
    let mut checker = Checker::new();
    for event in recorded(house).await {
        checker.see(&event);
    }
    let findings = checker.finish();
    let offences: Vec<String> = findings.offences.iter().map(ToString::to_string).collect();
    assert!(offences.is_empty(), "the log breaks invariants:\n{}", offences.join("\n"));
    assert_eq!(findings.foreign, 0, "only the product has written here");
    findings
}

/// The sandbox's ledger.
pub(crate) struct Ledger(pub(crate) Vec<Value>);

impl Ledger {
    pub(crate) async fn of(person: &Person) -> Self {
        let answer = person.get("/sandbox/ledger").await.expect(200);
        Self(answer.body.as_array().expect("a list").clone())
    }

    /// What all rows of that state add up to.
    pub(crate) fn sum(&self, state: &str) -> i64 {
        let rows = self.0.iter().filter(|row| row["state"] == state);
        rows.map(|row| row["amount_minor"].as_i64().expect("a number")).sum()
    }

    /// How many rows have that state.
    pub(crate) fn count(&self, state: &str) -> usize {
        self.0.iter().filter(|row| row["state"] == state).count()
    }
}
