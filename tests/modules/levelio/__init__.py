"""Level against its simulator."""
