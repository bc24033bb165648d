"""Patchbay: IT tools as typed, idempotent, tenant-scoped workflow actions over gRPC."""
