"""Attacks on a whole platform; a package, so that its platform ends with its last test."""
