"""Tests of the modules, each against its vendor's simulator over real HTTP."""
