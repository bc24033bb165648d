"""Who calls, for whom, with which key or token."""
