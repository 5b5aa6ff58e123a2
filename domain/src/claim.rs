//! What the claims of pools, limits and seat maps have in common: the fence. DOMAIN.md C.5.
