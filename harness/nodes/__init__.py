"""Nodes of every kind, each behind `harness.protocols.Node`, and what is done on any of them."""
