"""gRPC. The only room that knows it."""
