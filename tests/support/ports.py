"""Ports for servers that have to be told theirs; every other server takes port 0."""

import random
import socket
from contextlib import suppress

_BELOW_THOSE_OF_CLIENTS = range(20_000, 32_000)


def free_port() -> int:
    """Returns a loopback port where nothing listens.

    It is one that no kernel gives to a connection or to port 0, so it stays free while a server starts or restarts;
    tests that run side by side draw different ones.
    """
    for port in random.sample(_BELOW_THOSE_OF_CLIENTS, 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("a hundred ports from 20000 to 31999 are all taken")
