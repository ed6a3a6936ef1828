"""A registrar's Merkle log (C2SP): trees, tiles, checkpoints, proofs, and what a reader trusts of it."""
