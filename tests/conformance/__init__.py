"""Every registered module conforms."""
