"""Modules from outside this package."""
