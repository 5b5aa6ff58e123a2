//! Chance that repeats: the same seed gives the same rolls, on every machine and for ever.

/// A small generator (splitmix64).
#[derive(Clone, Debug, Default)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`; 0 where there is no such number.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.number() % sides.max(1)
    }

    /// True once in `sides`.
    #[cfg(test)]
    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    /// True so often in ten thousand; asks no dice where it is never.
    pub(crate) fn often(&mut self, per_10_000: u32) -> bool {
        per_10_000 > 0 && self.roll(10_000) < u64::from(per_10_000)
    }

    /// One of these, which are not none.
    #[cfg(test)]
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }
}
