"""Dagster definitions, source connectors, the shop simulator and the command line."""
