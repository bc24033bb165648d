"""Tests of the contract: reading, payloads, schemas, comparison."""
