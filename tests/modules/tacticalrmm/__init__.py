"""Tests of the Tactical RMM module against the sandbox."""
