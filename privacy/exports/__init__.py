"""The file that a person gets: its document, its page, its schema, and who else received their data."""
