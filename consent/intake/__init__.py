"""How consent reaches the ledger: the API, a CMP's cookie, TC strings and Global Privacy Control."""
