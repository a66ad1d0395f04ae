"""Nodes of every kind, each behind `harness.core.protocols.Node`, and what is done on any of them."""
