"""Tests of the module for Microsoft Teams."""
