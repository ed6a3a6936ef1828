"""Who holds what: offers, claims with leases, heartbeats, audits."""
