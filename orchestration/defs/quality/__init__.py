"""Data quality as asset checks."""
