"""Dagster definitions by stage; every module here is loaded."""
