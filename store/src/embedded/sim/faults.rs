//! What goes wrong on a simulated disk: at a named operation, or by chance.

/// What goes wrong, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes off at this operation: a write may have reached the disk in part.
    pub cut_at: Option<u64>,
    /// This operation fails with an I/O error, if it is a write; half of it is done.
    pub fail_write_at: Option<u64>,
    /// This operation fails with an I/O error, if it is a sync; what was not durable never will be,
    /// although readers still see it.
    pub fail_sync_at: Option<u64>,
    /// No more than so many bytes fit on the disk.
    pub capacity_bytes: Option<u64>,
    /// Writes into files fail with "disk full", even where space was set aside.
    pub full: bool,
    /// This operation finds no room, if it is a write; half of it is done.
    pub no_room_at: Option<u64>,
    /// What goes wrong by chance beside that.
    pub weather: Weather,
}

/// What goes wrong by chance: how often in ten thousand operations of its kind. The seed decides
/// when, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Names the course of things.
    pub seed: u64,
    /// Writes that fail: before anything of them, after a part, or after all of it; with an I/O
    /// error or interrupted.
    pub write_fails: u32,
    /// Writes that fail for want of room, in the middle, also where room was set aside.
    pub write_finds_no_room: u32,
    /// Syncs that fail, once: the pages are forgotten, readers still see them, the next sync of the
    /// same file says that all is well.
    pub sync_fails: u32,
    /// Files that cannot be made, renamed or removed.
    pub name_fails: u32,
    /// Reads that fail with an I/O error or are interrupted.
    pub read_fails: u32,
    /// Reads that return one wrong bit, this once.
    pub read_flips: u32,
    /// Reads that return less than there is, which is allowed.
    pub read_is_short: u32,
    /// Writes that reach the disk at another place of this or another file, and are missing where
    /// they should be.
    pub write_goes_astray: u32,
    /// Writes that never reach the disk, although the sync says so: the older content stays.
    pub write_is_lost: u32,
}

/// What has gone wrong so far, also before power cuts and kills: how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injuries {
    /// Writes that failed.
    pub writes_failed: u64,
    /// Writes that found no room, and refusals to make a file longer.
    pub writes_without_room: u64,
    /// Syncs that failed.
    pub syncs_failed: u64,
    /// Changes of names that failed.
    pub names_failed: u64,
    /// Reads that failed.
    pub reads_failed: u64,
    /// Reads that returned a wrong bit.
    pub reads_flipped: u64,
    /// Writes that went astray or were lost: what is on the disk is not what was written.
    pub writes_betrayed: u64,
}

impl Injuries {
    /// All of them together.
    pub fn total(&self) -> u64 {
        self.writes_failed
            + self.writes_without_room
            + self.syncs_failed
            + self.names_failed
            + self.reads_failed
            + self.reads_flipped
            + self.writes_betrayed
    }
}

/// What a power cut leaves of that which was never synced. A sector is left as it was at some time
/// since the last sync of its file, never as a mixture; names likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// Any subset of sectors and any subset of changes to names, as the seed says: most or few of
    /// them, single sectors, whole writes, or all in order up to some point.
    Some(u64),
    /// A prefix of the changes to names; each write is cut at any byte, and nothing of it behind that
    /// is kept.
    Prefix(u64),
}
