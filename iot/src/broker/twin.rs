//! Switches that take one protection away, so that tests can show what it protects from. Outside tests
//! there is nothing to switch: the answer is "no" when the code is compiled.

/// A protection that can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twin {
    /// Everybody says and hears everything.
    Fence,
    /// A vehicle may connect under another's client id.
    OwnClientId,
    /// Whatever is published retained is retained.
    Retained,
    /// A payload may be as long as a packet.
    PayloadLength,
    /// Accepted sockets gather small writes.
    NoDelay,
}

/// Which protections are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Twins {
    #[cfg(test)]
    pub(super) missing: Option<Twin>,
}

impl Twins {
    #[cfg(test)]
    pub(super) fn lack(self, twin: Twin) -> bool {
        self.missing == Some(twin)
    }

    #[cfg(not(test))]
    pub(super) fn lack(self, _: Twin) -> bool {
        false
    }
}
