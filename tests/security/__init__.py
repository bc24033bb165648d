"""Hostile tests: planted secrets are looked for everywhere, tenants try to reach each other."""
