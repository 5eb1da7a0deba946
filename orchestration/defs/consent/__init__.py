"""The ledger's masks in Redis."""
