"""Groups of commands: one module for each word that follows ``./selvedge``."""
