"""Purposes, the consent ledger and the consent filter for SQL, Spark and serving."""
