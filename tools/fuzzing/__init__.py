"""Targets of tools/fuzz.py: modules with ``one_round(rng) -> None`` that raises on a fault."""
