//! What the engine needs of the outside. Each port has a real side and a twin for simulation.

use async_trait::async_trait;
use holdfast_domain::payment::Word;
use holdfast_domain::process::{GatewayCall, VehicleCall};
use holdfast_domain::{PaymentId, Timestamp};
use uuid::Uuid;

/// The clock on the wall, in microseconds precision. The engine makes it steady (never back).
pub trait Clock: Send + Sync + 'static {
    /// What the wall says.
    fn wall(&self) -> Timestamp;

    /// A clock that only goes forward, from an arbitrary zero; not moved by whoever sets the wall clock.
    fn monotonic(&self) -> std::time::Duration;

    /// Waits until `monotonic` has gone on by `span` (a simulated clock returns when it is moved).
    fn sleep(&self, span: std::time::Duration) -> futures::future::BoxFuture<'static, ()>;
}

/// New names for what no key names.
pub trait Ids: Send + Sync + 'static {
    /// A fresh UUIDv7.
    fn fresh(&self) -> Uuid;
}

/// What came of a call to a gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum GatewayAnswer {
    /// The gateway said something definite, perhaps several things (authorized, then captured).
    Said(Vec<Word>),
    /// A query: the gateway knows of no such attempt. (Means nothing else: see DOMAIN.md C.3.)
    NothingKnown,
    /// No answer, or one that cannot be understood: the outcome is unknown.
    Unknown(String),
}

/// What a gateway says by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookWord {
    /// The gateway's id of this event: applied at most once.
    pub gateway_event_id: String,
    /// Our payment, from the gateway's metadata; none when it is not about one of ours.
    pub payment_id: Option<PaymentId>,
    /// The attempt, from the gateway's metadata.
    pub attempt: Option<u16>,
    /// What it says; none for kinds of events that mean nothing to us.
    pub word: Option<Word>,
}

/// Why a webhook was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Not signed by a current secret, or too old.
    #[error("the signature is missing, wrong or too old")]
    BadSignature,
    /// Signed, but not to be understood.
    #[error("the body cannot be read: {0}")]
    Malformed(String),
    /// No such gateway.
    #[error("there is no gateway of that name")]
    UnknownGateway,
    /// It could not be recorded: the gateway must send it again (503).
    #[error("not now: {0}")]
    Unavailable(String),
}

/// A payment gateway. Calls carry their idempotency key; the same key again has the same effect once.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// The name under which payments choose it.
    fn name(&self) -> &'static str;

    /// Performs one call. `method` is the customer's token for a create (DIRECT), if it is still known.
    async fn call(&self, call: &GatewayCall, method: Option<&str>) -> GatewayAnswer;

    /// Checks a webhook's signature over the raw body at `now` and reads it. `header` looks a request
    /// header up by its lower-case name.
    fn webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<WebhookWord, WebhookError>;
}

/// What became of a message to a vehicle. Whether the vehicle obeys, it says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The broker has it, or is about to.
    Handed,
    /// There is no broker just now: tried again with the next attempt.
    NotConnected(String),
    /// Its time was over before it could be sent.
    Expired,
}

/// The way to the vehicles. A message may be sent twice; the vehicle acts on a command's id once.
#[async_trait]
pub trait VehicleLink: Send + Sync + 'static {
    /// Sends one attempt of a command.
    async fn send(&self, call: &VehicleCall) -> Sent;
}

/// No way to any vehicle.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLink;

#[async_trait]
impl VehicleLink for NoLink {
    async fn send(&self, _: &VehicleCall) -> Sent {
        Sent::NotConnected("there is no broker".into())
    }
}
