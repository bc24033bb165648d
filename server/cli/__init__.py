"""The `patchbay` command line.

Every command speaks gRPC to a server through `patchbay_client`, except `serve`, `migrate` and `secrets rotate`, which
are the server. What only those need is imported when they run, so the rest works with the base installation alone.
"""

import sys

from server.cli.app import run


def main() -> None:
    """Runs the command line of this process and exits with its code; see `server.cli.exits`."""
    sys.exit(run(sys.argv[1:]))


__all__ = ["main", "run"]
