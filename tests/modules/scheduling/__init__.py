"""The bench of scheduling; its tests are in tests/scheduling."""
