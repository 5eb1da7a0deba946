"""Spark over the lake: sessions, subject profiles, product popularity, the interaction matrix."""
