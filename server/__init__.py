"""Patchbay: IT tools as typed, idempotent, tenant-scoped workflow actions over gRPC."""

import os

# Children are started with exec only. What gRPC does in a fork before that can end them without a word.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# A line for every handshake that fails would let anybody who reaches the port fill the log.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
