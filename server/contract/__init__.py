"""Descriptors become typed definitions, JSON Schemas and strictly parsed payloads.

Reading a module: `reader`. Definitions: `definitions`. Payloads: `payload`. Schemas: `schema`. Comparing
two states of the contract: `compare`.
"""
