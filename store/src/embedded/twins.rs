//! Switches that take one protection away, so that tests can show what it protects from. Outside
//! tests there is nothing to switch: every question is answered "no" when the code is compiled.

/// A protection that can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twin {
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
    /// Whatever does not read well is taken for a torn tail, whatever the mirror says.
    DamageTakenForTail,
    /// Recovery does not look at the mirrored tail.
    AckedTailTakenForTorn,
    /// Appends are acknowledged when they are durable in the segment, and not yet in the mirror.
    MirrorNotAwaited,
    /// Each frame is mirrored over the copy of the one before it.
    MirrorOneSlot,
    /// Appends are acknowledged when they are durable in the mirror, and not yet in the segment.
    MirrorBeforeData,
    /// Of the producers who are called out of the queue's line only the first is woken.
    WakesOneProducer,
    /// A producer who gives up keeps the place that was promised to it.
    PlaceNotGivenBack,
    /// The writer goes to sleep without looking once more whether something waits.
    SleepsWithoutLooking,
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
