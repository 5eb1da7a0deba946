"""Assets of the stage `ingest`."""
