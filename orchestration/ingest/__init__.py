"""Pseudonymised ingest: from a source's batches to the shop's schema, the lake and the consent ledger."""
