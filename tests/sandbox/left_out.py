"""Recorded exchanges that are not replayed, by phase and beginning of their label, each with the reason.

The replay fails when an exchange is neither replayed nor named here, and when an entry names nothing. The simulator
answers every exchange of the recording, so the table is empty.
"""

LEFT_OUT: dict[tuple[str, str], str] = {}
