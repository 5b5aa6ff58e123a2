//! Switches that take one protection away, so that tests can show what it protects from. Outside
//! tests there is nothing to switch: every question is answered "no" when the code is compiled.

/// Writes the list of all twins beside them, so that none can be left out of it.
macro_rules! twins {
    ($($(#[$doc:meta])* $twin:ident,)*) => {
        /// A protection that can be missing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Twin {
            $($(#[$doc])* $twin,)*
        }

        #[cfg(test)]
        impl Twin {
            /// All of them, in order.
            pub(crate) const ALL: &[Twin] = &[$(Twin::$twin,)*];
        }
    };
}

twins! {
    /// Appends are acknowledged before they are durable, in the segment or in the mirror.
    AckBeforeSync,
    /// The hash of the frame before is not looked at.
    NoPreviousHash,
    /// Recovery serves what it finds without making it durable first.
    RecoveryWithoutSync,
    /// New segments are used before their names are durable.
    NoDirectorySync,
    /// A failed sync is tried again, as if nothing had happened.
    SyncRetried,
    /// Torn bytes are left where they are.
    TailNotCut,
    /// An index is used without asking whether it is of this segment.
    StaleIndexTrusted,
    /// The checksums of an index's pages are not looked at.
    IndexChecksumIgnored,
    /// An event that is read alone is not checked.
    EventChecksumIgnored,
    /// Whatever does not read well is taken for a torn tail, whatever the mirror says.
    DamageTakenForTail,
    /// Each batch of an append has a frame of its own.
    #[cfg_attr(not(test), expect(dead_code, reason = "the code that does so is not built either"))]
    BatchNotAtomic,
    /// Neither the position of a frame nor the one before it nor its time is looked at.
    PositionNotChecked,
    /// Expected versions are not looked at.
    GuardIgnored,
    /// The next segment begins before the seal of the one before is durable.
    SealNotSynced,
    /// A new segment gets its name before its zeros are durable.
    ZerosNotSynced,
    /// What a write that found no room has left is cleaned in one write with the next frame.
    LeavingsNotCleaned,
    /// Recovery writes the last frame again as it reads it, without looking.
    RewrittenUnchecked,
    /// A repair cuts before what it cuts off is kept aside durably.
    CutBeforeKeptAside,
    /// A backup takes what is written and not yet durable.
    BackupOfUnsynced,
    /// A backup seals a segment before the next one has its name.
    BackupSealedTooSoon,
    /// Recovery does not look at the mirrored tail.
    AckedTailTakenForTorn,
    /// Appends are acknowledged when they are durable once, and their copy is not yet.
    MirrorNotAwaited,
    /// A frame is written before its copy, which may find no room.
    CopyBehindFrame,
    /// Each frame is mirrored over the copy of the one before it.
    MirrorOneSlot,
    /// That a long frame is durable is marked before it is (the watermark before the data).
    MarkBeforeData,
    /// Nobody asks which frame was acknowledged last.
    RollbackNotSeen,
    /// Of the producers who are called out of the queue's line only the first is woken.
    WakesOneProducer,
    /// A producer who gives up keeps the place that was promised to it.
    PlaceNotGivenBack,
    /// The writer goes to sleep without looking once more whether something waits.
    SleepsWithoutLooking,
    /// Followers are told of a frame before readers see it.
    HeadBeforeIndex,
    /// An append is refused on account of what is not yet durable.
    RefusalBeforeDurable,
    /// A reader beside the writer takes whatever stops it for the end of the log.
    ReaderEndNotJudged,
}

/// Which protections are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Twins {
    #[cfg(test)]
    missing: Option<Twin>,
}

impl Twins {
    #[cfg(test)]
    pub(crate) fn without(protection: Twin) -> Self {
        Self { missing: Some(protection) }
    }

    #[cfg(test)]
    pub(crate) fn on(self, twin: Twin) -> bool {
        self.missing == Some(twin)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the same signature as in tests")]
    pub(crate) fn on(self, _: Twin) -> bool {
        false
    }
}
