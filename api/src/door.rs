//! What all doors share: the engine that acts, the read models that answer, keys, limits, the feed.

use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::{InspectionId, NotificationId, ReservationId, Timestamp, UserId, VehicleId};
use holdfast_engine::{Engine, Request};
use holdfast_projections::{NotificationRow, PageRequest, QueryError, ReadModels};
use holdfast_store::{Direction, Position, StreamId};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ask;
use crate::config::ApiConfig;
use crate::feed::Feed;
use crate::gbfs;
use crate::names;
use crate::no::{Code, More, No};
use crate::ops::Operation;
use crate::rate::Rates;
use crate::view::{InspectionView, ReservationView, VehicleView};
use crate::who::Who;

/// Shared by every request.
pub(crate) struct Door {
    pub(crate) engine: Engine,
    pub(crate) reads: ReadModels,
    pub(crate) config: ApiConfig,
    pub(crate) feed: Arc<Feed>,
    pub(crate) rates: Rates,
    /// The GBFS documents as they were built last.
    pub(crate) gbfs: gbfs::Feed,
    /// One permit a WebSocket.
    pub(crate) sockets: Arc<Semaphore>,
    /// One permit an answer that shows the seats of a hall: each may be tens of megabytes.
    halls: Semaphore,
}

/// How many answers with seats are built at once.
const HALLS: usize = 2;
/// How long a request for seats waits for the others.
const HALL_WAIT: Duration = Duration::from_secs(5);

/// How a request came, besides what it asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    pub(crate) key: String,
    pub(crate) if_version: Option<u32>,
    pub(crate) traceparent: Option<String>,
}

impl Door {
    pub(crate) fn new(engine: Engine, reads: ReadModels, config: ApiConfig) -> Self {
        let limits = &config.limits;
        Self {
            feed: Arc::new(Feed::new(engine.store().clone(), limits.ws_queue)),
            rates: Rates::new(limits.requests_per_minute_per_address, limits.holds_per_minute),
            gbfs: gbfs::Feed::default(),
            sockets: Arc::new(Semaphore::new(limits.ws_connections)),
            halls: Semaphore::new(HALLS),
            engine,
            reads,
            config,
        }
    }

    /// The right to build an answer with seats, when there are any.
    pub(crate) async fn hall(&self, seats: bool) -> Result<Option<SemaphorePermit<'_>>, No> {
        if !seats {
            return Ok(None);
        }
        match tokio::time::timeout(HALL_WAIT, self.halls.acquire()).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => {
                Err(No::new(Code::Unavailable, "many ask for the seats of a hall; ask again"))
            }
        }
    }

    /// The bearer of a token, if it is good.
    pub(crate) fn identify(&self, token: &str) -> Option<Who> {
        let verified = self.config.tokens.verify(token, self.engine.now());
        verified
            .inspect_err(|error| tracing::debug!(%error, "a token was refused"))
            .ok()
            .map(Who::Known)
    }

    /// The request that stands for an operation, judged by its rule.
    pub(crate) fn request<O: Operation>(
        &self,
        who: &Who,
        how: &How,
        op: &O,
    ) -> Result<Request, No> {
        self.request_for::<O>(who, how, &op.canonical())
    }

    fn request_for<O: Operation>(
        &self,
        who: &Who,
        how: &How,
        input: &Value,
    ) -> Result<Request, No> {
        who.passes_field(&format!("Mutation.{}", O::NAME))?;
        let traceparent = how.traceparent.clone();
        ask::request(who, O::NAME, &how.key, input, how.if_version, traceparent)
    }

    /// Asks the engine.
    pub(crate) async fn perform<O: Operation>(
        &self,
        request: &Request,
        op: O,
    ) -> Result<O::Answer, No> {
        tracing::Span::current().record("phase", O::PHASE);
        for (what, text, longest) in op.texts() {
            ask::checked_text(what, text, longest)?;
        }
        if O::HOLDS {
            self.rates.hold(&request.caller.user_id)?;
        }
        let span = phase_span(O::PHASE, O::NAME);
        let answer = tracing::Instrument::instrument(op.ask(&self.engine, request), span).await;
        match answer {
            Ok(answer) => Ok(answer),
            Err(rejection) => {
                let mut no = No::from(rejection);
                self.show_the_way(&mut no).await;
                let labels = [("operation", O::NAME), ("code", no.code.name())];
                metrics::counter!("holdfast_refusals_total", &labels).increment(1);
                Err(no)
            }
        }
    }

    /// A payment that is under way may have a page: whoever opened a second tab is sent there (D11).
    async fn show_the_way(&self, no: &mut No) {
        let More::PaymentInProgress { payment_id, redirect_url } = &mut no.more else { return };
        let payment = self.engine.load::<holdfast_domain::payment::State>(payment_id).await;
        let open = payment.ok().and_then(|payment| payment.state.open_attempt().cloned());
        if let Some(url) = open.and_then(|attempt| attempt.redirect_url) {
            no.message = format!("{}; finish it at {url}", no.message);
            *redirect_url = Some(url);
        }
    }

    /// Waits a moment for what was recorded before now; reads what is there otherwise.
    pub(crate) async fn fresh(&self) {
        let head = self.engine.store().head();
        let _ = self.reads.wait_for(head, self.config.limits.freshness).await;
    }

    /// Waits until the read models have seen `position`; without one, a moment.
    pub(crate) async fn seen(&self, position: Option<Position>) -> Result<(), No> {
        let Some(position) = position else {
            self.fresh().await;
            return Ok(());
        };
        let wait = self.config.limits.min_position_wait;
        self.reads
            .wait_for(position, wait)
            .await
            .map_err(|stale| No::new(Code::StaleRead, stale.to_string()))
    }

    /// Waits a moment for what belongs to an answer that was just given; reads what is there otherwise.
    pub(crate) async fn settle(&self, position: Position) {
        let _ = self.reads.wait_for(position, Duration::from_millis(500)).await;
    }

    /// A reservation that this one may see.
    pub(crate) async fn reservation(
        &self,
        who: &Who,
        id: &ReservationId,
    ) -> Result<Option<ReservationView>, No> {
        let row = self.reads.reservation(id).await.map_err(trouble)?;
        Ok(row.filter(|row| who.may_see(&row.user_id)).map(ReservationView::from))
    }

    /// A vehicle that this one may see.
    pub(crate) async fn vehicle(
        &self,
        who: &Who,
        id: &VehicleId,
    ) -> Result<Option<VehicleView>, No> {
        let row = self.reads.vehicle(id).await.map_err(trouble)?;
        Ok(row.map(VehicleView::from).filter(|view| view.shows_to(who)))
    }

    /// An inspection that this one may see.
    pub(crate) async fn inspection(
        &self,
        who: &Who,
        id: &InspectionId,
    ) -> Result<Option<InspectionView>, No> {
        let row = self.reads.inspection(id).await.map_err(trouble)?;
        Ok(row.filter(|row| who.may_see(&row.user_id)).map(InspectionView::from))
    }

    /// Whose lists this one reads: everybody's for those who see everything.
    pub(crate) fn list_of<'a>(&self, who: &'a Who) -> Option<&'a UserId> {
        if who.sees_everything() { None } else { who.user() }
    }

    /// A notice of this user's, looked for in the inbox, newest first.
    pub(crate) async fn notification(
        &self,
        user: &UserId,
        id: &NotificationId,
    ) -> Result<Option<NotificationRow>, No> {
        let mut page = PageRequest { first: 100, after: None };
        // An inbox of ten thousand is searched; what is older than that is not looked at again.
        for _ in 0..100 {
            let rows = self.reads.notifications(user, &page).await.map_err(trouble)?;
            page.after = rows.rows.last().map(|(cursor, _)| cursor.clone());
            let found = rows.rows.into_iter().map(|(_, row)| row).find(|row| row.id == *id);
            if found.is_some() || !rows.has_next {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// When a reservation was made, from the log.
    pub(crate) async fn created_at(&self, id: &ReservationId) -> Result<Timestamp, No> {
        let stream = names::stream_of::<holdfast_domain::reservation::State>(id);
        let first = self
            .engine
            .store()
            .read_stream(&StreamId::new(stream), 0, Direction::Forward, 1)
            .await
            .map_err(|error| broken(&error))?;
        let first = first.first().ok_or_else(|| No::absent("reservation"))?;
        let metadata =
            holdfast_schemas::Metadata::decode(&first.metadata).map_err(|e| broken(&e))?;
        Ok(metadata.occurred_at)
    }
}

/// A span named as the diagram names its phase (S4-29); the engine's own spans nest in it.
fn phase_span(phase: &'static str, operation: &'static str) -> tracing::Span {
    match phase {
        "1-reserve" => tracing::info_span!("reserve", operation),
        "3-payment" => tracing::info_span!("payment", operation),
        "5-compensate" => tracing::info_span!("compensate", operation),
        _ => tracing::info_span!("operate", operation),
    }
}

/// A query that failed: a cursor of somebody's own making, or our database.
pub(crate) fn trouble(error: QueryError) -> No {
    match error {
        QueryError::Cursor(_) => {
            No::invalid("this is not a cursor of this list; start without one")
        }
        QueryError::Table(error) => broken(&error),
    }
}

/// Something of ours does not work: the log says what, the stranger learns nothing.
pub(crate) fn broken(error: &dyn std::error::Error) -> No {
    tracing::error!(error = %error, request_id = %crate::problem::request_id(), "a request failed");
    No::new(Code::Internal, "something is wrong here")
}
