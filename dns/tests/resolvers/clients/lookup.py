"""Looks names up with c-ares: a line for each name on the standard input, its addresses or what went wrong."""

import select
import socket
import sys

import pycares


def lookup(name):
    """What there is to say of a name."""
    said = []

    def done(result, error):
        if error is not None:
            said.append("! " + pycares.errno.strerror(error))
            return
        said.append(" ".join(node.addr[0].decode() for node in result.nodes))

    channel = pycares.Channel()
    channel.getaddrinfo(name, None, done, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
    while not said:
        readers, writers = channel.getsock()
        ready = select.select(readers, writers, [], channel.timeout() or 1)
        for reader in ready[0] or [pycares.ARES_SOCKET_BAD]:
            channel.process_fd(reader, pycares.ARES_SOCKET_BAD)
        for writer in ready[1]:
            channel.process_fd(pycares.ARES_SOCKET_BAD, writer)
    return said[0]


for line in sys.stdin:
    print(line.strip(), lookup(line.strip()), flush=True)
