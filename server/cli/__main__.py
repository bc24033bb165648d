"""`python -m server.cli` is `patchbay`."""

from server.cli import main

main()
