"""The canonical model and the connectors that map a shop's own data onto it."""
