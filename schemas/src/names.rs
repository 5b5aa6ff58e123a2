//! The table of stored names. A row is for ever; a new shape of an event is a new version of its row.

use holdfast_domain::{
    inspection, inventory, item, limit, notification, payment, reservation, seatmap, ticket,
    vehicle,
};

use crate::codec::stored;
use crate::{DeadLetterEvent, StoredEvent};

stored!(reservation::Event, "reservation",
    HoldCreated = "hold-created" 1,
    HoldExtended = "hold-extended" 1,
    PaymentRequested = "payment-requested" 1,
    Confirmed = "confirmed" 1,
    ClaimsLost = "claims-lost" 1,
    ClaimsRetaken = "claims-retaken" 1,
    Finalized = "finalized" 1,
    HoldReleased = "hold-released" 1,
    HoldExpired = "hold-expired" 1,
    LatePaymentReceived = "late-payment-received" 1,
    LatePaymentAccepted = "late-payment-accepted" 1,
    LatePaymentRejected = "late-payment-rejected" 1,
    Cancelled = "cancelled" 1,
    PaymentDeclined = "payment-declined" 1,
    MoneyLost = "money-lost" 1,
    VehicleAssigned = "vehicle-assigned" 1,
    VehicleWithdrawn = "vehicle-withdrawn" 1,
    NoShow = "no-show" 1,
    RentalStarted = "rental-started" 1,
    RentalCompleted = "rental-completed" 1,
);

stored!(payment::Event, "payment",
    Initiated = "initiated" 1,
    SessionCreated = "session-created" 1,
    ActionRequired = "action-required" 1,
    Authorized = "authorized" 1,
    CaptureRequested = "capture-requested" 1,
    Succeeded = "succeeded" 1,
    Failed = "failed" 1,
    VoidRequested = "void-requested" 1,
    Voided = "voided" 1,
    VoidFailed = "void-failed" 1,
    CaptureFailed = "capture-failed" 1,
    RefundRequested = "refund-requested" 1,
    RefundSucceeded = "refund-succeeded" 1,
    RefundFailed = "refund-failed" 1,
    ChargebackOpened = "chargeback-opened" 1,
    MoneyLost = "money-lost" 1,
    Closed = "closed" 1,
    DamageChargeCreated = "damage-charge-created" 1,
    GatewayEventIgnored = "gateway-event-ignored" 1,
);

stored!(seatmap::Event, "seatmap",
    Published = "published" 1,
    Changed = "changed" 1,
    SeatsLocked = "seats-locked" 1,
    SeatsAttached = "seats-attached" 1,
    SeatLockExtended = "seat-lock-extended" 1,
    SeatsBooked = "seats-booked" 1,
    SeatsReleased = "seats-released" 1,
    AttemptWithdrawn = "attempt-withdrawn" 1,
    LockRestored = "lock-restored" 1,
    SeatsBlocked = "seats-blocked" 1,
    SeatsUnblocked = "seats-unblocked" 1,
);

stored!(inventory::Event, "inventory",
    Held = "held" 1,
    HoldExtended = "hold-extended" 1,
    Locked = "locked" 1,
    Released = "released" 1,
    AttemptWithdrawn = "attempt-withdrawn" 1,
    Reacquired = "reacquired" 1,
    Sold = "sold" 1,
    Returned = "returned" 1,
    Received = "received" 1,
    Adjusted = "adjusted" 1,
    Closed = "closed" 1,
    Opened = "opened" 1,
    OversubscriptionDetected = "oversubscription-detected" 1,
);

stored!(limit::Event, "limit",
    Taken = "taken" 1,
    Extended = "extended" 1,
    Kept = "kept" 1,
    Released = "released" 1,
    AttemptWithdrawn = "attempt-withdrawn" 1,
);

stored!(item::Event, "item",
    Created = "created" 1,
    Changed = "changed" 1,
);

stored!(ticket::Event, "ticket",
    Issued = "issued" 1,
    CheckedIn = "checked-in" 1,
    Revoked = "revoked" 1,
);

stored!(notification::Event, "notification",
    Requested = "requested" 1,
);

stored!(vehicle::Event, "vehicle",
    Registered = "registered" 1,
    Reserved = "reserved" 1,
    ReservationExtended = "reservation-extended" 1,
    ReservationConfirmed = "reservation-confirmed" 1,
    AttemptWithdrawn = "attempt-withdrawn" 1,
    ReservationReleased = "reservation-released" 1,
    UnlockRequested = "unlock-requested" 1,
    Unlocked = "unlocked" 1,
    UnlockFailed = "unlock-failed" 1,
    LockRequested = "lock-requested" 1,
    Locked = "locked" 1,
    LockFailed = "lock-failed" 1,
    AnswerIgnored = "answer-ignored" 1,
    LateUnlockCompensated = "late-unlock-compensated" 1,
    ConnectionLost = "connection-lost" 1,
    ConnectionRestored = "connection-restored" 1,
    TripStarted = "trip-started" 1,
    TripEnded = "trip-ended" 1,
    TelemetrySampled = "telemetry-sampled" 1,
    OdometerAnomaly = "odometer-anomaly" 1,
    OutOfService = "out-of-service" 1,
    ReturnedToService = "returned-to-service" 1,
);

stored!(inspection::Event, "inspection",
    Submitted = "submitted" 1,
    DamageAssessed = "damage-assessed" 1,
    ClaimApproved = "claim-approved" 1,
    ClaimRejected = "claim-rejected" 1,
    ClaimDisputed = "claim-disputed" 1,
    ClaimWaived = "claim-waived" 1,
    ClaimCharged = "claim-charged" 1,
    ChargeFailed = "charge-failed" 1,
);

stored!(DeadLetterEvent, "deadletter",
    Parked = "parked" 1,
    Redriven = "redriven" 1,
    Settled = "settled" 1,
);

/// Every stored name with the version that is written today.
pub fn all_names() -> impl Iterator<Item = (&'static str, u16)> {
    fn of<E: StoredEvent>() -> impl Iterator<Item = (&'static str, u16)> {
        E::NAMES.iter().copied()
    }
    of::<reservation::Event>()
        .chain(of::<payment::Event>())
        .chain(of::<seatmap::Event>())
        .chain(of::<inventory::Event>())
        .chain(of::<limit::Event>())
        .chain(of::<item::Event>())
        .chain(of::<ticket::Event>())
        .chain(of::<notification::Event>())
        .chain(of::<vehicle::Event>())
        .chain(of::<inspection::Event>())
        .chain(of::<DeadLetterEvent>())
}
