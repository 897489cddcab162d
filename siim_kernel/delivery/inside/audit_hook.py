"""Refuses outside addresses in Python code: becomes `sitecustomize.py` on PYTHONPATH where nothing stronger works.

It holds for this interpreter and for Python children that keep PYTHONPATH; C code and other programs pass.
"""

import errno
import ipaddress
import socket
import sys

ADDRESS_EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
NAME_EVENTS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


def _is_outside(host):
    """True for the address of another machine, False for this machine's, None for a name that would have to be looked up."""
    if host in (None, "", b"", "localhost", b"localhost"):
        return False
    try:
        return not ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return None


def _refuse_outside(event, arguments):
    if event in ADDRESS_EVENTS:
        connection, address = arguments[0], arguments[1]
        # sendmsg without an address goes over a connection that was allowed.
        if connection.family != socket.AF_UNIX and address is not None and _is_outside(address[0]) is not False:
            raise OSError(errno.ENETUNREACH, "Network is unreachable (refused by the rehearsal)")
    elif event in NAME_EVENTS and _is_outside(arguments[0]) is None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution (refused by the rehearsal)")


sys.addaudithook(_refuse_outside)
