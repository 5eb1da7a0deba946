"""Candidate sources, models, rankers, evaluation and unlearning."""
