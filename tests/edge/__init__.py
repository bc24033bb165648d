"""What callers see at the gRPC port."""
