//! A stock cqrs-es application, a bank account of forty lines, lives on our log: in memory and on
//! the embedded store, through `CqrsFramework`, with queries, conflicts and a restart.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cqrs_es::event_sink::EventSink;
use cqrs_es::{
    Aggregate, AggregateError, CqrsFramework, DomainEvent, EventEnvelope, EventStore as _, Query,
};
use holdfast_store::cqrs::CqrsLog;
use holdfast_store::embedded::{Embedded, Options};
use holdfast_store::memory::Memory;
use holdfast_store::{Direction, EventStore, Filter, Position};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    open: bool,
    balance: u64,
}

enum Command {
    Open,
    Deposit(u64),
    Withdraw(u64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Event {
    AccountOpened,
    MoneyDeposited { amount: u64 },
    MoneyWithdrawn { amount: u64 },
}

#[derive(Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error("the account is not open")]
    NotOpen,
    #[error("not enough money")]
    NotEnough,
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        match self {
            Self::AccountOpened => "account.opened".to_owned(),
            Self::MoneyDeposited { .. } => "account.deposited".to_owned(),
            Self::MoneyWithdrawn { .. } => "account.withdrawn".to_owned(),
        }
    }

    fn event_version(&self) -> String {
        "2.0".to_owned()
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = Command;
    type Event = Event;
    type Error = Refusal;
    type Services = ();

    async fn handle(
        &mut self,
        command: Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Refusal> {
        match command {
            Command::Open if self.open => {}
            Command::Open => sink.write(Event::AccountOpened, self).await,
            Command::Deposit(_) | Command::Withdraw(_) if !self.open => {
                return Err(Refusal::NotOpen);
            }
            Command::Deposit(amount) => sink.write(Event::MoneyDeposited { amount }, self).await,
            Command::Withdraw(amount) if amount > self.balance => return Err(Refusal::NotEnough),
            Command::Withdraw(amount) => sink.write(Event::MoneyWithdrawn { amount }, self).await,
        }
        Ok(())
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::AccountOpened => self.open = true,
            Event::MoneyDeposited { amount } => self.balance += amount,
            Event::MoneyWithdrawn { amount } => self.balance -= amount,
        }
    }
}

/// Counts what it is shown.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<usize>>>);

#[async_trait::async_trait]
impl Query<Account> for Seen {
    async fn dispatch(&self, _: &str, events: &[EventEnvelope<Account>]) {
        self.0.lock().unwrap().extend(events.iter().map(|e| e.sequence));
    }
}

fn application(
    store: &Arc<dyn EventStore>,
    seen: &Seen,
) -> CqrsFramework<Account, CqrsLog<Account>> {
    CqrsFramework::new(CqrsLog::new(Arc::clone(store)), vec![Box::new(seen.clone())], ())
}

async fn lives_on(store: Arc<dyn EventStore>) {
    let seen = Seen::default();
    let bank = application(&store, &seen);
    let refused = bank.execute("4711", Command::Deposit(1)).await;
    assert!(matches!(refused, Err(AggregateError::UserError(Refusal::NotOpen))));
    let who = HashMap::from([("actor".to_owned(), "user:ann".to_owned())]);
    bank.execute_with_metadata("4711", Command::Open, who).await.unwrap();
    bank.execute("4711", Command::Open).await.unwrap();
    bank.execute("4711", Command::Deposit(100)).await.unwrap();
    bank.execute("4711", Command::Withdraw(30)).await.unwrap();
    let refused = bank.execute("4711", Command::Withdraw(71)).await;
    assert!(matches!(refused, Err(AggregateError::UserError(Refusal::NotEnough))));
    assert_eq!(*seen.0.lock().unwrap(), [1, 2, 3]);

    // It is an ordinary stream of the log.
    let stream = CqrsLog::<Account>::stream("4711");
    let events = store.read_stream(&stream, 0, Direction::Forward, 10).await.unwrap();
    assert_eq!((stream.category(), stream.key(), events.len()), ("account", "4711", 3));
    assert_eq!((events[0].kind.as_str(), events[0].schema_version), ("account.opened", 2));
    assert_eq!(events[0].metadata, &br#"{"actor":"user:ann"}"#[..]);
    assert_eq!(events[1].data, &br#"{"MoneyDeposited":{"amount":100}}"#[..]);

    // Each event is applied once, and what is loaded is what was left.
    let log = CqrsLog::<Account>::new(Arc::clone(&store));
    let mut loaded = log.load_aggregate("4711").await.unwrap();
    let account = cqrs_es::AggregateContext::aggregate(&mut loaded);
    assert_eq!(*account, Account { open: true, balance: 70 });
    let envelopes = log.load_events("4711").await.unwrap();
    assert_eq!(envelopes[0].metadata["actor"], "user:ann");

    // Two that loaded the same: the slower one is told so.
    let (one, two) =
        (log.load_aggregate("4711").await.unwrap(), log.load_aggregate("4711").await.unwrap());
    let paid = || vec![Event::MoneyWithdrawn { amount: 70 }];
    log.commit(paid(), one, HashMap::new()).await.unwrap();
    let slower = log.commit(paid(), two, HashMap::new()).await;
    assert!(matches!(slower, Err(AggregateError::AggregateConflict)));
}

#[tokio::test]
async fn a_cqrs_es_application_lives_in_memory() {
    lives_on(Arc::new(Memory::new())).await;
}

#[tokio::test]
async fn a_cqrs_es_application_lives_on_the_embedded_log_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { segment_bytes: 1 << 20, ..Options::default() };
    lives_on(Arc::new(Embedded::open(dir.path(), options()).unwrap())).await;
    let store: Arc<dyn EventStore> = Arc::new(Embedded::open(dir.path(), options()).unwrap());
    assert_eq!(store.head(), Position(4));
    let bank = application(&store, &Seen::default());
    let refused = bank.execute("4711", Command::Withdraw(1)).await;
    assert!(matches!(refused, Err(AggregateError::UserError(Refusal::NotEnough))));
    bank.execute("4711", Command::Deposit(5)).await.unwrap();
    let all = store.read_all(Position::FIRST, &Filter::All, 10).await.unwrap();
    assert_eq!(all.events.len(), 5);
}

/// More events than one page holds.
#[tokio::test]
async fn a_long_lived_aggregate_is_loaded_whole() {
    let store: Arc<dyn EventStore> = Arc::new(Memory::new());
    let bank = application(&store, &Seen::default());
    bank.execute("1", Command::Open).await.unwrap();
    for _ in 0..1200 {
        bank.execute("1", Command::Deposit(1)).await.unwrap();
    }
    let log = CqrsLog::<Account>::new(store);
    let mut loaded = log.load_aggregate("1").await.unwrap();
    assert_eq!(cqrs_es::AggregateContext::aggregate(&mut loaded).balance, 1200);
}
