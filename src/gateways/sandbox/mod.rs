//! The built-in payment gateway: behaves like a real one, and needs no credentials.
//!
//! It keeps a durable book of its own (never in our log: a real gateway would not either), honours
//! idempotency keys, refuses what real gateways refuse, and tells by signed webhooks what happens
//! without us. What a payment does follows from its token:
//!
//! ```text
//!   tok_approve          authorized at once ──capture──► captured
//!   tok_approve_once     the same; what is charged later on the same means is declined
//!   tok_decline          declined; the intent stays open until it is cancelled
//!   tok_requires_action  waits for the buttons of /sandbox/pay/{session} ──webhook──► authorized
//!   tok_timeout          authorized, but the call never answers: found again by its key
//!   tok_late             processing, cannot be cancelled ──later, by webhook──► captured
//!   anything else        declined
//!   (hosted flow)        waits for the buttons ──webhook──► captured
//!   (again)              on the means of an earlier intent, without its customer: authorized if that
//!                        one ever was, else declined
//! ```
//!
//! `book` holds the rules (pure), `ledger` keeps the book on disk, `webhooks` signs, checks and
//! delivers, `page` is what people see.

mod book;
mod intent;
mod ledger;
mod page;
mod webhooks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_domain::Timestamp;
use holdfast_domain::process::GatewayCall;
use holdfast_engine::ports::{Clock, Gateway, GatewayAnswer, WebhookError, WebhookWord};
use tokio::sync::{Notify, watch};

use book::{Answer, Book};
use ledger::Change;
pub use ledger::{FileLedger, Ledger, LedgerError, MemoryLedger};

/// What the sandbox needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where customers reach this server, without a slash at the end.
    pub public_url: String,
    /// When a `tok_late` payment succeeds.
    pub late_after: Duration,
    /// How old a webhook's signature may be.
    pub tolerance: Duration,
    /// Secrets that webhooks may be signed with; the first one signs. At least one.
    pub secrets: Vec<Vec<u8>>,
}

/// The gateway; see the module.
pub struct Sandbox {
    book: Mutex<Book>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// Told when there is a webhook to deliver.
    news: Notify,
}

impl Sandbox {
    /// The name under which payments choose it.
    pub const NAME: &str = "sandbox";

    /// Opens the book.
    pub async fn open(
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Arc<Self>, LedgerError> {
        let mut book = Book::new(settings.late_after, settings.session_key());
        for change in ledger.load().await? {
            for record in &change.0 {
                book.apply(record);
            }
        }
        let news = Notify::new();
        Ok(Arc::new(Self { book: Mutex::new(book), ledger, clock, settings, news }))
    }

    fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the book, and comes back when the change is on disk. Nobody is told of anything that
    /// is not: reads come through here too, and wait for the changes that they have seen.
    async fn change<T>(
        &self,
        act: impl FnOnce(&mut Book, Timestamp) -> T,
    ) -> Result<T, LedgerError> {
        let (answer, durable) = {
            let mut book = self.book();
            let answer = act(&mut book, self.now());
            // Handed over while the book is locked: the ledger's order is the book's.
            (answer, self.ledger.submit(Change(book.take_records())))
        };
        durable.await?;
        self.news.notify_one();
        Ok(answer)
    }

    /// Delivers webhooks until it is told to stop, and lets late payments succeed.
    pub async fn deliver(self: Arc<Self>, door: String, stop: watch::Receiver<bool>) {
        webhooks::Courier::new(self, door).run(stop).await;
    }

    /// The hosted page and the ledger. Who may read the ledger (OPERATE or READ_AUDIT) is for the door
    /// to ask that this is mounted in.
    pub fn router(self: Arc<Self>) -> axum::Router {
        page::router(self)
    }
}

impl Settings {
    /// Session names follow from it: they cannot be guessed, and survive a restart.
    fn session_key(&self) -> Vec<u8> {
        webhooks::mac(self.signing_secret(), b"sessions")
    }

    fn signing_secret(&self) -> &[u8] {
        self.secrets.first().map_or(&[], Vec::as_slice)
    }
}

#[async_trait]
impl Gateway for Sandbox {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn call(&self, call: &GatewayCall, method: Option<&str>) -> GatewayAnswer {
        let public_url = self.settings.public_url.as_str();
        match self.change(|book, now| book.call(call, method, public_url, now)).await {
            Ok(Answer::Said(words)) => GatewayAnswer::Said(words),
            Ok(Answer::NothingKnown) => GatewayAnswer::NothingKnown,
            Ok(Answer::Silence) => GatewayAnswer::Unknown("the gateway did not answer".into()),
            Ok(Answer::KeyReused) => {
                GatewayAnswer::Unknown("this key was used with other parameters".into())
            }
            Err(error) => GatewayAnswer::Unknown(error.to_string()),
        }
    }

    fn webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<WebhookWord, WebhookError> {
        let signature = header(webhooks::HEADER).ok_or(WebhookError::BadSignature)?;
        webhooks::check(&signature, body, now, self.settings.tolerance, &self.settings.secrets)?;
        webhooks::read(body)
    }
}

#[cfg(test)]
mod tests;
