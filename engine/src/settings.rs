//! Every number that the engine goes by; the defaults are the contract's *Default numbers*.

use std::time::Duration;

use holdfast_domain::process;

/// The engine's numbers. Every duration may be set down to a second, ticks to 10 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a hold lasts.
    pub hold_ttl: Duration,
    /// How long a bare seat lock lasts.
    pub seat_lock_ttl: Duration,
    /// To which distance from now the start of a payment moves the deadline, once; zero: not at all.
    pub payment_extension: Duration,
    /// How long a hold may last at most, extensions included.
    pub absolute_cap: Duration,
    /// By how much a claim outlives its reservation's deadline. Longer than commits take and clocks
    /// differ, so that the reservation always decides first (DOMAIN.md §F).
    pub claim_grace: Duration,
    /// How often timers are looked at.
    pub tick: Duration,
    /// How often timers are compared with what is written down.
    pub sweep: Duration,
    /// How many timers fire at most in one tick.
    pub expiry_batch: usize,
    /// How often an ask that met trouble is tried again before it is parked.
    pub retries: u32,
    /// The wait before the first retry; each further one waits twice as long, ± 20 %.
    pub retry_base: Duration,
    /// By how much the wall clock may leap before nobody believes it at once.
    pub clock_jump: Duration,
    /// How long a leap must last before it is believed.
    pub clock_grace: Duration,
    /// How many unpaid holds and locks one customer may have.
    pub live_holds_per_customer: u32,
    /// The gateway of a payment that names none.
    pub default_gateway: String,
    /// How long the start of a payment waits for its outcome.
    pub payment_answer_wait: Duration,
    /// How long a gateway may take for one call before its outcome counts as unknown.
    pub gateway_timeout: Duration,
    /// How long a key is bound by what it recorded (creations: for ever).
    pub idempotency_retention: Duration,
    /// After this long without a command a stream's state may leave the memory.
    pub slot_idle: Duration,
    /// How many streams of one kind are kept in memory.
    pub hot_streams: usize,
    /// After how many further events of a stream a snapshot of its state is taken; 0: none are taken
    /// or used.
    pub snapshot_every: u64,
    /// How many refusals are kept.
    pub rejected_kept: u32,
    /// How long a rental whose period has begun waits for a vehicle before it is cancelled: the one
    /// before may come back late.
    pub assign_wait: Duration,
    /// How often it looks for one meanwhile.
    pub assign_again: Duration,
    /// How often payments that are not at rest are asked about.
    pub reconcile: Duration,
    /// Whose house this is; part of the gateways' keys.
    pub tenant: String,
    /// The process managers' numbers.
    pub process: process::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            hold_ttl: secs(900),
            seat_lock_ttl: secs(600),
            payment_extension: secs(600),
            absolute_cap: secs(7_200),
            claim_grace: secs(60),
            tick: Duration::from_millis(250),
            sweep: secs(60),
            expiry_batch: 500,
            retries: 3,
            retry_base: secs(1),
            clock_jump: secs(60),
            clock_grace: secs(60),
            live_holds_per_customer: 20,
            default_gateway: "sandbox".into(),
            payment_answer_wait: secs(10),
            gateway_timeout: secs(30),
            idempotency_retention: secs(7 * 86_400),
            slot_idle: secs(600),
            hot_streams: 50_000,
            snapshot_every: 1_000,
            rejected_kept: 100_000,
            assign_wait: secs(900),
            assign_again: secs(15),
            reconcile: secs(3_600),
            tenant: process::TENANT.into(),
            process: process::Settings::default(),
        }
    }
}

/// What guards against which race. All of it always stands; only a twin of a test may take one away
/// to show that the race then happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protections {
    /// Appends say at which version the stream was last seen.
    pub(crate) expected_version: bool,
    /// A checkpoint moves only over what is done.
    pub(crate) checkpoint_after_asks: bool,
    /// A stream remembers the commands that it has recorded.
    pub(crate) command_memory: bool,
    /// The lines of one reservation that share a pool are summed before it is asked.
    pub(crate) summed_lines: bool,
    /// A refused acquisition gives back what it had taken.
    pub(crate) withdraw: bool,
    /// A clock that leaps is not believed at once.
    pub(crate) steady_clock: bool,
    /// Claims outlive their reservation's deadline.
    pub(crate) claim_grace: bool,
    /// Keys that found no room in memory while the side file took nothing are looked for in the log.
    pub(crate) evicted_keys: bool,
    /// A snapshot is used only when the log has the event that it ends with.
    pub(crate) snapshot_binding: bool,
    /// A snapshot is used only when its checksum is right.
    pub(crate) snapshot_checksum: bool,
    /// What belongs to two streams is one append.
    pub(crate) one_append: bool,
    /// A vehicle lets go of a reservation before that is cancelled.
    pub(crate) vehicle_lets_go: bool,
    /// A message to a vehicle is sent only while its command is under way and in time.
    pub(crate) wanted_commands: bool,
    /// A retry asks for the vehicle first that its reservation has already.
    pub(crate) same_vehicle: bool,
}

impl Default for Protections {
    fn default() -> Self {
        Self {
            expected_version: true,
            checkpoint_after_asks: true,
            command_memory: true,
            summed_lines: true,
            withdraw: true,
            steady_clock: true,
            claim_grace: true,
            evicted_keys: true,
            snapshot_binding: true,
            snapshot_checksum: true,
            one_append: true,
            vehicle_lets_go: true,
            wanted_commands: true,
            same_vehicle: true,
        }
    }
}
