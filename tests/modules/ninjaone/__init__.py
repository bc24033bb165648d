"""The module NinjaOne against a simulated instance."""
