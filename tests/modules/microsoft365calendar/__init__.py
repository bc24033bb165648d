"""The module Microsoft 365 Calendar, against the simulated services."""
