"""The module surface, and above all its HTTP client against real servers on loopback."""
