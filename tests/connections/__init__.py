"""Connecting tenants to their tools, and what becomes of their secrets."""
