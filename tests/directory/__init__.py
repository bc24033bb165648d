"""The directory of technicians and work items."""
