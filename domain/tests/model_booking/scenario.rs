//! What a searched world may do, and which rule it does without.

/// A family of runs. Two reservations want one unit of each of two pools that have one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// How long a hold lasts, in ticks.
    pub(crate) hold: u8,
    /// How much longer its claims last.
    pub(crate) grace: u8,
    /// Paying extends the hold to so many ticks from then.
    pub(crate) extension: Option<u8>,
    /// When the clock stops: beyond every deadline and its grace.
    pub(crate) last_tick: u8,
    /// How many customers there are: 1 or 2.
    pub(crate) customers: u8,
    /// Whether the first customer's retry may run beside its attempt.
    pub(crate) retry: bool,
    /// Whether the second customer wants only the second unit.
    pub(crate) second_wants_one: bool,
    /// Which customers may cancel.
    pub(crate) cancel: [bool; 2],
    /// Whether gateways may decline.
    pub(crate) decline: bool,
    /// How often each customer may begin to pay; with more than once, a decline keeps the hold.
    pub(crate) payments: u8,
    /// Whether money may come captured at once (a hosted page).
    pub(crate) hosted: bool,
    /// Whether authorized money may vanish.
    pub(crate) money_lost: bool,
    /// Whether what is sold is goods, which are consumed.
    pub(crate) stock: bool,
    /// Whether the second unit is a car that both want (a walk-up): the last in the order of taking.
    pub(crate) vehicle: bool,
    /// How often each booking's former owner may wake up and ask again what it ever asked.
    pub(crate) stale: [u8; 2],
    /// How often each booking may park an ask as a dead letter, to be redriven at any later time.
    pub(crate) dead_letters: [u8; 2],
    /// Whether the process may die between any two asks.
    pub(crate) crash: bool,
    /// Commits come at most so many ticks after the confirmation; then nobody may be oversold.
    pub(crate) prompt: Option<u8>,
    /// Whether the pools' clock may be a tick ahead of the reservations'.
    pub(crate) skew: bool,
    /// The rule that is taken away.
    pub(crate) without: Option<Rule>,
}

impl Scenario {
    /// A short hold, nothing else.
    pub(crate) const PLAIN: Scenario = Scenario {
        hold: 2,
        grace: 1,
        extension: None,
        last_tick: 4,
        customers: 2,
        retry: false,
        second_wants_one: false,
        cancel: [false; 2],
        decline: false,
        payments: 1,
        hosted: false,
        money_lost: false,
        stock: false,
        vehicle: false,
        stale: [0; 2],
        dead_letters: [0; 2],
        crash: false,
        prompt: None,
        skew: false,
        without: None,
    };

    /// The first pool of which a customer wants a unit; it wants all from there on.
    pub(crate) const fn first_pool(&self, who: usize) -> usize {
        if self.second_wants_one && who == 1 { 1 } else { 0 }
    }

    pub(crate) const fn without(self, rule: Rule) -> Scenario {
        Scenario { without: Some(rule), ..self }
    }
}

/// A rule of DOMAIN.md §F that a twin does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A release frees claims of its epoch and older ones only.
    EpochOnRelease,
    /// Taking again ends at the first refusal.
    AllOrNone,
    /// A claim that is gone at the commitment is told to the reservation.
    CommitHasAnAnswer,
    /// A fact is done once its asks are done.
    CheckpointAfterAsks,
    /// The reservation remembers what it decided late.
    MemoryOfLatePayments,
    /// A refused re-acquisition is recorded, and nothing else.
    RecordThenRelease,
    /// Late money that is rejected releases every claim, also those never taken.
    ReleaseOnLateRejected,
    /// A release that finds no claim leaves a tombstone.
    TombstoneWithoutClaim,
    /// A release also frees claims that are older than its epoch.
    ReleaseOfOlderEpochs,
    /// A lost claim is recorded before all are taken again.
    RecordClaimLost,
    /// Voids of expired holds spare authorized money.
    SoftVoidSparesPaid,
    /// ConfirmPaid looks at the deadline.
    DeadlineAtConfirmation,
    /// Claims are extended before the extension is recorded.
    ExtendClaimsFirst,
    /// A retry raises the claim's deadline.
    RetryRaisesDeadline,
    /// A claim knows the names of all attempts that hold it.
    NamesOfAttempts,
    /// Money that was lost before it decided anything never confirms.
    MemoryOfLostMoney,
}
