"""Tests of the benchmarks: that they run and tell what they measured. Never how fast anything is."""
