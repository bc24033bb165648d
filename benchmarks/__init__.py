"""What Patchbay costs, as ratios to floors measured in the same run.

`python -m benchmarks` starts its own PostgreSQL, vendor, servers and load generator, each in a process of its own, on
loopback. How it measures and what came out stands in `docs/performance.md`.
"""
