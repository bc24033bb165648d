"""Operating it for real: processes that are killed, stopped, frozen and started again."""
