"""Identity vault, pseudonyms, keys, contracts of assets, erasure, access and retention."""
