"""Simulated vendors: each answers like the real server and counts the effects it would have had.

The demo, the tests and the benchmarks all use the same simulators. `sandbox.serving` runs one on loopback,
`sandbox.control` lets a caller arrange its world and inject faults, `sandbox.client` speaks to that control plane.
"""
