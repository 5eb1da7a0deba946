"""Data quality: rules for every canonical table, held by Great Expectations on raw sources and on stored tables."""
