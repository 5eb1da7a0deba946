"""A simulated sustainable-fashion shop that writes its raw data: people, tastes, visits, orders, consents and dirt."""

from orchestration.sources.simulator.shop import SimulationSummary, existing_simulation, simulate

__all__ = ["SimulationSummary", "existing_simulation", "simulate"]
