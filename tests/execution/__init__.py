"""Recorded once: every rule of execution, against real PostgreSQL, gRPC and HTTP."""
