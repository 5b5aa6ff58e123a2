//! The table of seeds that have found something (`store/SEEDS.md`).
