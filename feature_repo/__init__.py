"""Feast definitions: entities, sources, feature views and services. Nothing here has side effects."""
