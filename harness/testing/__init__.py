"""Doubles and contract tests for the harness's protocols; public, for whoever writes a provider, a node or a fault of their own.

* `node_contract`, `provider_contract` (with all that one can do), `fault_contract`: one body for every implementation of a protocol.
* `harness.testing.checker_contract`, `mode_contract`, `observer_contract`, `quorum_contract`, `report_contract`, `store_contract`,
  `workload_contract`: the same
  for what their names say.
* `harness.testing.histories` and `harness.testing.strange`: histories told in a few lines, and such as no run would tell.
* `harness.testing.fake_clock`: a clock moved by hand.
* `harness.testing.bare`: a mode that orchestrates nothing.
* `harness.testing.memory_node` and `harness.testing.memory_provider`: machines that are nothing but memory.
"""
