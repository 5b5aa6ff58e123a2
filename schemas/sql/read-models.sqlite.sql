-- The read models (read.sqlite), for analysts. Derived from the log; never write here.
-- Moments are RFC 3339 in UTC and sort as text; amounts are in minor units.
-- Made from the tables of projections/; HOLDFAST_BLESS=1 writes it again.

CREATE TABLE IF NOT EXISTS items (
    -- The catalogue: one row an item.
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    category TEXT,
    price_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    max_per_user INTEGER,
    on_decline TEXT NOT NULL,
    late_payment TEXT NOT NULL,
    remote_unlock INTEGER NOT NULL,
    seat_map_id TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (sku)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_by_category ON items (category, sku);
CREATE INDEX IF NOT EXISTS items_by_seat_map ON items (seat_map_id);

CREATE TABLE IF NOT EXISTS availability (
    -- Pools: how many there are, are held, are committed, were sold, are left. One row a sku. For pools over time `available` counts every claim as if it were for always; see claims.
    sku TEXT NOT NULL,
    total INTEGER NOT NULL,
    held INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    sold INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    periods INTEGER NOT NULL,
    position INTEGER NOT NULL,
    available INTEGER NOT NULL,
    low INTEGER NOT NULL,
    PRIMARY KEY (sku)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS claims (
    -- What reservations have claimed of pools, with deadline and period. One row a claim.
    sku TEXT NOT NULL,
    reservation_id TEXT NOT NULL,
    qty INTEGER NOT NULL,
    state TEXT NOT NULL,
    expires_at TEXT,
    epoch INTEGER NOT NULL,
    period_from TEXT,
    period_until TEXT,
    PRIMARY KEY (sku, reservation_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS seat_maps (
    -- Seat maps with the counts of their seats and their plan.
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    sku TEXT,
    free INTEGER NOT NULL,
    locked INTEGER NOT NULL,
    booked INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    plan TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS seats (
    -- Seats: place, price, status, owner. One row a seat; x and y in seat widths.
    seat_map_id TEXT NOT NULL,
    id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    label TEXT NOT NULL,
    section TEXT NOT NULL,
    row TEXT NOT NULL,
    x REAL NOT NULL,
    y REAL NOT NULL,
    category TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    lock_id TEXT,
    reservation_id TEXT,
    user_id TEXT,
    expires_at TEXT,
    blocked_reason TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (seat_map_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seats_by_section ON seats (seat_map_id, section, ordinal);
CREATE INDEX IF NOT EXISTS seats_by_reservation ON seats (reservation_id);

CREATE TABLE IF NOT EXISTS reservations (
    -- Reservations as their customers see them, with how a rental went (metres, percent, seconds). One row a reservation; lines as JSON.
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    saga_state TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    hold_expires_at TEXT,
    absolute_deadline TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    lines TEXT NOT NULL,
    payment_ids TEXT NOT NULL,
    paid_by TEXT,
    finalized INTEGER NOT NULL,
    vehicle_id TEXT,
    rental_started_at TEXT,
    odometer_start_m INTEGER,
    fuel_start_pct INTEGER,
    rental_completed_at TEXT,
    odometer_end_m INTEGER,
    fuel_end_pct INTEGER,
    distance_m INTEGER,
    duration_s INTEGER,
    return_location TEXT,
    channel TEXT NOT NULL,
    stream_version INTEGER NOT NULL,
    created_position INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_by_user ON reservations (user_id, status, created_position);
CREATE INDEX IF NOT EXISTS reservations_by_status ON reservations (status, created_position);
CREATE INDEX IF NOT EXISTS reservations_by_position ON reservations (created_position);
CREATE INDEX IF NOT EXISTS reservations_by_vehicle ON reservations (vehicle_id, created_position);

CREATE TABLE IF NOT EXISTS payments (
    -- Payments of reservations, damages (DAMAGE_CHARGE) and extras (EXTRA): where the latest attempt stands, and the sums over all attempts.
    id TEXT NOT NULL,
    reservation_id TEXT NOT NULL,
    user_id TEXT,
    kind TEXT NOT NULL,
    inspection_id TEXT,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    currency TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    authorized_minor INTEGER NOT NULL,
    captured_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    gateway TEXT NOT NULL,
    flow TEXT NOT NULL,
    gateway_ref TEXT,
    approval_code TEXT,
    attempt INTEGER NOT NULL,
    next_kind TEXT,
    next_url TEXT,
    failure_code TEXT,
    decline_code TEXT,
    retryable INTEGER,
    created_at TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS payments_by_reservation ON payments (reservation_id, created_at);
CREATE INDEX IF NOT EXISTS payments_by_status ON payments (status);
CREATE INDEX IF NOT EXISTS payments_by_inspection ON payments (inspection_id);

CREATE TABLE IF NOT EXISTS tickets (
    -- Tickets: whose, for what, whether used.
    id TEXT NOT NULL,
    reservation_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    sku TEXT,
    seat_map_id TEXT,
    seat_id TEXT,
    unit TEXT NOT NULL,
    status TEXT NOT NULL,
    issued_at TEXT NOT NULL,
    checked_in_at TEXT,
    gate TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tickets_by_reservation ON tickets (reservation_id, unit);
CREATE INDEX IF NOT EXISTS tickets_by_user ON tickets (user_id);

CREATE TABLE IF NOT EXISTS notifications (
    -- Notices to customers; the words are made when one is read.
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    about TEXT NOT NULL,
    reservation_id TEXT NOT NULL,
    amount_minor INTEGER,
    currency TEXT,
    created_at TEXT NOT NULL,
    read_at TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS notifications_by_user ON notifications (user_id, position);

CREATE TABLE IF NOT EXISTS stock_movements (
    -- The ledger of pools. One row is one event of the log.
    position INTEGER NOT NULL,
    at TEXT NOT NULL,
    sku TEXT NOT NULL,
    kind TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    reservation_id TEXT,
    actor TEXT NOT NULL,
    PRIMARY KEY (position)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stock_movements_by_sku ON stock_movements (sku, position);

CREATE TABLE IF NOT EXISTS dead_letters (
    -- What consumers could not do, until it is settled.
    id TEXT NOT NULL,
    consumer TEXT NOT NULL,
    event_position INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    ask TEXT,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_failed_at TEXT NOT NULL,
    last_failed_at TEXT NOT NULL,
    correlation_id TEXT,
    redriven_at TEXT,
    redriven_by TEXT,
    settled_at TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dead_letters_by_position ON dead_letters (position);
CREATE INDEX IF NOT EXISTS dead_letters_open ON dead_letters (settled_at);

CREATE TABLE IF NOT EXISTS vehicles (
    -- Vehicles: where each stands (MDS names), who has it, what it last told (metres, percent, degrees). One row a vehicle. The columns from `contact` on are the projection's own memory.
    id TEXT NOT NULL,
    vin TEXT NOT NULL,
    sku TEXT NOT NULL,
    status TEXT NOT NULL,
    rental TEXT NOT NULL,
    lock TEXT NOT NULL,
    online INTEGER NOT NULL,
    odometer_m INTEGER NOT NULL,
    fuel_pct INTEGER,
    last_seen TEXT,
    latitude REAL,
    longitude REAL,
    located_at TEXT,
    reservation_id TEXT,
    user_id TEXT,
    confirmed INTEGER,
    period_from TEXT,
    period_until TEXT,
    command_id TEXT,
    command_kind TEXT,
    command_deadline TEXT,
    command_reservation_id TEXT,
    out_of_service TEXT,
    trips INTEGER NOT NULL,
    stream_version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    contact TEXT NOT NULL,
    bolt TEXT NOT NULL,
    doors_locked INTEGER,
    trip TEXT NOT NULL,
    lock_owed INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vehicles_by_class ON vehicles (sku, status, id);
CREATE INDEX IF NOT EXISTS vehicles_by_status ON vehicles (status, id);
CREATE INDEX IF NOT EXISTS vehicles_by_user ON vehicles (user_id, id);
CREATE INDEX IF NOT EXISTS vehicles_by_reservation ON vehicles (reservation_id);

CREATE TABLE IF NOT EXISTS inspections (
    -- Inspections after rentals, and where the damage claim of each stands. One row an inspection; photos as JSON.
    id TEXT NOT NULL,
    reservation_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    description TEXT NOT NULL,
    photos TEXT NOT NULL,
    odometer_m INTEGER,
    claim_id TEXT,
    claim_status TEXT NOT NULL,
    estimate_minor INTEGER,
    estimate_currency TEXT,
    amount_minor INTEGER,
    currency TEXT,
    payment_id TEXT,
    failure_code TEXT,
    submitted_at TEXT NOT NULL,
    decided_at TEXT,
    created_position INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS inspections_by_reservation ON inspections (reservation_id, created_position);
CREATE INDEX IF NOT EXISTS inspections_by_claim_status ON inspections (claim_status, created_position);

CREATE TABLE IF NOT EXISTS checkpoints (
    -- How far the rows of each projection are in the log; changes in the same transaction as the rows.
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    event_id TEXT,
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS rebuilds (
    -- Projections that are being built anew beside, in tables named {table}__{generation}.
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS parked_events (
    -- Events that could not be read and were left out.
    position INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (position)
) STRICT, WITHOUT ROWID;
