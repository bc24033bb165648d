"""The Huntress module against the simulated vendor, over real HTTP."""
