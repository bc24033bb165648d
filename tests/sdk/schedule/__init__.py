"""Occurrences, bookings, free slots: pure functions."""
