//! The table of all paths: how each is reached, by whom, and how it is told in the OpenAPI document.

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post};
use axum::{Json, Router};

use super::{booking, events, fleet, orders, read, stock, webhook};
use crate::access::{self, Permission, Rule};
use crate::no::Code;
use crate::who::Who;
use crate::{App, gbfs, graphql, health, live, metrics, openapi, problem};

/// One path with one method.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Who gets past the door; whose object it is comes on top.
    pub(crate) rule: Rule,
    /// Its name in the OpenAPI document; of a path that changes something, its mutation's name.
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// Query parameters.
    pub(crate) query: &'static [&'static str],
    /// The schema of its body in the OpenAPI document, if it has one.
    pub(crate) body: Option<&'static str>,
    /// Whether it takes an idempotency key.
    pub(crate) keyed: bool,
    /// The statuses with which it succeeds.
    pub(crate) succeeds: &'static [u16],
    /// The schema (or media type, when it has a slash) of what it answers.
    pub(crate) answer: &'static str,
    /// The refusals that it is known for, besides those of every path.
    pub(crate) refuses: &'static [Code],
    handler: MethodRouter<App>,
}

impl Route {
    fn read(
        path: &'static str,
        rule: Rule,
        name: &'static str,
        answer: &'static str,
        summary: &'static str,
        handler: MethodRouter<App>,
    ) -> Self {
        Self {
            method: Method::GET,
            path,
            rule,
            name,
            summary,
            query: &[],
            body: None,
            keyed: false,
            succeeds: &[200],
            answer,
            refuses: &[],
            handler,
        }
    }

    /// A path that does what a mutation does; its rule is the mutation's.
    fn change(
        method: Method,
        path: &'static str,
        mutation: &'static str,
        body: &'static str,
        answer: (&'static [u16], &'static str),
        summary: &'static str,
        handler: MethodRouter<App>,
    ) -> Self {
        let rule = access::of_field(&format!("Mutation.{mutation}"));
        Self {
            method,
            path,
            rule: rule.expect("every mutation has a rule: a test walks the schema"),
            name: mutation,
            summary,
            query: &[],
            body: Some(body),
            keyed: true,
            succeeds: answer.0,
            answer: answer.1,
            refuses: &[],
            handler,
        }
    }

    fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }

    fn refuses(mut self, codes: &'static [Code]) -> Self {
        self.refuses = codes;
        self
    }
}

const LEAST: &[&str] = &["min_position"];
const PAYING: &[Code] = &[
    Code::PaymentDeclined,
    Code::PaymentInProgress,
    Code::AlreadyPaid,
    Code::Cancelled,
    Code::HoldExpired,
    Code::VersionConflict,
];
const RESERVING: &[Code] = &[
    Code::SeatsTaken,
    Code::OutOfStock,
    Code::NotForSale,
    Code::SalesClosed,
    Code::NotHeld,
    Code::LimitExceeded,
];

/// What a vehicle's orders are known to be refused with.
const DRIVING: &[Code] = &[
    Code::NotConfirmed,
    Code::NotStarted,
    Code::UnlockInProgress,
    Code::VehicleUnavailable,
    Code::Cancelled,
    Code::Completed,
    Code::HoldExpired,
    Code::VehicleOffline,
    Code::VehicleTimeout,
];

/// All paths.
pub(crate) fn routes() -> Vec<Route> {
    use Rule::{Anyone, OneOf, SignedIn};
    let audit: Rule = OneOf(&[Permission::ReadAudit]);
    vec![
        Route::change(Method::POST, "/api/v1/seats/lock", "lockSeats", "LockSeats", (&[200], "SeatLock"),
            "Lock seats of a map, all or none (S2).", post(booking::lock))
            .refuses(&[Code::SeatsTaken, Code::NotForSale, Code::LimitExceeded]),
        Route::change(Method::DELETE, "/api/v1/seats/lock/{lockId}", "releaseSeatLock", "Nothing",
            (&[200], "SeatLockReleased"), "Give locked seats back (S2).", delete(booking::release)),
        Route::change(Method::POST, "/api/v1/bookings", "createReservation", "Booking", (&[201], "BookingMade"),
            "Reserve locked or named seats (S2).", post(booking::book)).refuses(RESERVING),
        Route::change(Method::POST, "/api/v1/bookings/{id}/pay", "startPayment", "Pay", (&[200, 202], "BookingPaid"),
            "Pay a booking; without a payment method on the gateway's page, at redirectUrl (S2).",
            post(booking::pay_booking)).refuses(PAYING),
        Route::change(Method::POST, "/orders", "createReservation", "Order", (&[201], "OrderMade"),
            "Order tickets, with seats of your choice or chosen ones (S4).", post(orders::create)).refuses(RESERVING),
        Route::change(Method::PATCH, "/orders/{id}/cancel", "cancelReservation", "Nothing", (&[200], "OrderMade"),
            "Cancel your order; what was paid goes back (S3).", patch(orders::cancel))
            .refuses(&[Code::InUse, Code::Completed, Code::VersionConflict]),
        Route::change(Method::POST, "/orders/{id}/pay", "startPayment", "Pay", (&[200, 202], "Paid"),
            "Pay an order (S3).", post(booking::pay_order)).refuses(PAYING),
        Route::change(Method::POST, "/payments", "startPayment", "PayWhat", (&[200, 202], "Paid"),
            "Pay a reservation (S0).", post(booking::pay)).refuses(PAYING),
        Route::change(Method::POST, "/payments/confirm", "startPayment", "PayWhat", (&[200, 202], "Paid"),
            "Pay an order with a payment method; or, with a payment_id, ask what became of it (S4).",
            post(booking::pay)).refuses(PAYING),
        Route::change(Method::POST, "/bookings", "createReservation", "Rent", (&[200, 201], "RentMade"),
            "Book a vehicle of a class, from now on or for a period; a repeat is answered with 200 (S0, S1).",
            post(fleet::book)).refuses(&[Code::OutOfStock, Code::SalesClosed, Code::VehicleUnavailable,
            Code::LimitExceeded]),
        Route::change(Method::POST, "/unlock", "unlockVehicle", "VehicleCommand", (&[200], "VehicleObeyed"),
            "Unlock the vehicle of a reservation; answered only after its own acknowledgement (S1).",
            post(fleet::unlock)).refuses(DRIVING),
        Route::change(Method::POST, "/lock", "lockVehicle", "VehicleCommand", (&[200], "VehicleObeyed"),
            "Lock the vehicle of a reservation; answered only after its own acknowledgement.",
            post(fleet::lock)).refuses(DRIVING),
        Route::change(Method::POST, "/vehicles/{id}/unlock", "unlockVehicle", "VehicleCommand",
            (&[200], "VehicleObeyed"), "Unlock this vehicle, if it is that of the reservation (S1).",
            post(fleet::unlock_this)).refuses(DRIVING),
        Route::change(Method::POST, "/vehicles/{id}/lock", "lockVehicle", "VehicleCommand",
            (&[200], "VehicleObeyed"), "Lock this vehicle, if it is that of the reservation (S1).",
            post(fleet::lock_this)).refuses(DRIVING),
        Route::change(Method::POST, "/rentals/{id}/return", "completeRental", "Return", (&[200], "Returned"),
            "Bring the vehicle of a reservation back: kilometres on the odometer, percent of fuel (S0).",
            post(fleet::give_back)).refuses(&[Code::NotConfirmed, Code::NotStarted, Code::UnlockInProgress,
            Code::Cancelled, Code::HoldExpired, Code::OdometerDecreased, Code::VersionConflict]),
        Route::change(Method::POST, "/inspections", "submitInspection", "Inspect", (&[201], "Inspected"),
            "Report what was found at a vehicle; damage becomes a claim (S0).", post(fleet::inspect))
            .refuses(&[Code::NotStarted, Code::NotConfirmed]),
        Route::change(Method::PATCH, "/inventory/{sku}/stock", "adjustStock", "Stock", (&[200], "StockAdjusted"),
            "Correct a count (S3).", patch(stock::adjust)),
        Route { method: Method::POST, body: Some("Raw"), ..Route::read("/payments/webhook", Anyone, "webhook",
            "Received", "What the default gateway tells us, signed (S4).", post(webhook::of_default)) }
            .refuses(&[Code::BadSignature]),
        Route { method: Method::POST, body: Some("Raw"), ..Route::read("/api/v1/payments/webhook/{gateway}", Anyone,
            "webhookOf", "Received", "What a gateway tells us, signed (S2).", post(webhook::of_gateway)) }
            .refuses(&[Code::BadSignature]),
        Route::read("/reservations/{id}", SignedIn, "reservation", "Reservation",
            "A reservation with its payments and tickets.", get(read::reservation)).query(LEAST),
        Route::read("/payments/{id}", SignedIn, "payment", "Payment", "A payment.", get(read::payment)).query(LEAST),
        Route::read("/vehicles/{id}", SignedIn, "vehicle", "Vehicle",
            "The vehicle of a live reservation of yours; any, for operators and auditors.", get(read::vehicle))
            .query(LEAST),
        Route::read("/inventory/{sku}", Anyone, "inventory", "Availability", "What is left of an item: now, or at the busiest moment of a period.", get(read::inventory))
            .query(&["min_position", "from", "until"]),
        Route::read("/seatmaps/{id}", Anyone, "seatMap", "SeatMap", "A hall with its seats.", get(read::seat_map))
            .query(&["min_position", "section"]),
        Route::read("/gbfs/3/gbfs.json", Anyone, "gbfs", "Document", "The GBFS v3 feed: where its documents are.",
            get(gbfs::discovery)),
        Route::read("/gbfs/3/system_information.json", Anyone, "gbfsSystemInformation", "Document",
            "GBFS v3: whose feed it is.", get(gbfs::system_information)),
        Route::read("/gbfs/3/vehicle_types.json", Anyone, "gbfsVehicleTypes", "Document",
            "GBFS v3: the vehicle classes.", get(gbfs::vehicle_types)),
        Route::read("/gbfs/3/vehicle_status.json", Anyone, "gbfsVehicleStatus", "Document",
            "GBFS v3: the vehicles that are free to rent now; their ids rotate after each trip.",
            get(gbfs::vehicle_status)),
        Route::read("/gbfs/3/vehicle_availability.json", Anyone, "gbfsVehicleAvailability", "Document",
            "GBFS v3: when they are free, ahead of time.", get(gbfs::vehicle_availability)),
        Route::read("/events", audit, "events", "application/x-ndjson",
            "The log, one event a line; text/event-stream follows it live.", get(events::get))
            .query(&["stream", "from", "to", "follow", "types", "correlation_id", "limit", "format", "aliases"]),
        Route::read("/ws/seats/{seatMapId}", Anyone, "seatChanges", "websocket",
            "A hall, live: a SNAPSHOT, then every change (WebSocket).", get(live::upgrade)),
        Route::read("/health/live", Anyone, "live", "Live", "Somebody answers.", get(health::live)),
        Route::read("/health/ready", Anyone, "ready", "Ready", "Whether requests should be sent here.",
            get(health::ready)),
        Route::read("/metrics", Anyone, "metrics", "text/plain", "Figures for Prometheus.", get(metrics::get)),
        Route::read("/openapi.json", Anyone, "openapi", "Document", "This document.", get(openapi::get)),
        Route::read("/problems/{kebab}", Anyone, "problem", "text/plain", "What a problem type means.",
            get(problem::page)),
        Route::read("/.well-known/holdfast-tickets.json", Anyone, "ticketKeys", "TicketKeys",
            "The public key with which gates verify tickets.", get(ticket_keys)),
        Route::read("/", Anyone, "page", "text/html", "The hall, live, for people.", get(page)),
        Route { method: Method::POST, body: Some("GraphQL"), ..Route::read("/graphql", Anyone, "graphql",
            "GraphQLAnswer", "GraphQL; see the published SDL.", post(graphql::http::post)) },
        Route::read("/graphql", Anyone, "graphiql", "text/html", "GraphiQL, in a browser.", get(graphql::http::get)),
        Route::read("/graphql/ws", Anyone, "graphqlSocket", "websocket",
            "Subscriptions: graphql-transport-ws (WebSocket).", get(graphql::ws::upgrade)),
    ]
}

/// The router of the table.
pub(crate) fn router() -> Router<App> {
    let mut router = Router::new();
    for route in routes() {
        let guarded = route.handler.layer(middleware::from_fn_with_state(route.rule, guard));
        router = router.route(route.path, guarded);
    }
    router
}

/// Lets past who may pass; the rest is told why before anything of the request is read.
pub(crate) async fn guard(State(rule): State<Rule>, request: Request, next: Next) -> Response {
    let who = request.extensions().get::<Who>().cloned().unwrap_or_default();
    match who.passes(rule) {
        Ok(()) => next.run(request).await,
        Err(no) => no.into_response(),
    }
}

async fn ticket_keys(State(door): State<std::sync::Arc<crate::door::Door>>) -> Response {
    let cache = [(header::CACHE_CONTROL, "public, max-age=300")];
    (StatusCode::OK, cache, Json(door.config.tickets.published())).into_response()
}

/// The page for people: one file, made of nothing but what any client may use.
async fn page() -> Response {
    let policy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'; \
                  connect-src 'self' ws: wss:; img-src 'self' data:; style-src 'unsafe-inline'; \
                  script-src 'unsafe-inline'";
    let headers = [(header::CONTENT_SECURITY_POLICY, policy)];
    (headers, Html(include_str!("../../assets/index.html"))).into_response()
}
