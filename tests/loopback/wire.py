"""HTTP: from a request of the real client to an answer, with the faults that lie between.

The client reaches us as its proxy, so request lines hold whole addresses; whatever is meant for another host is refused and
logged, and so is every CONNECT.
"""

import base64
import contextlib
import http.server
import json
import os
import socket
import struct
import urllib.parse
from dataclasses import dataclass

from tests.loopback import competitions, datasets, faults, kernels, transfers
from tests.loopback.store import Refusal

SERVICES = {
    "blobs.BlobApiService": datasets.UPLOADS,
    "datasets.DatasetApiService": datasets.METHODS,
    "kernels.KernelsApiService": kernels.METHODS,
    "competitions.CompetitionApiService": competitions.METHODS,
}
METHODS = {name: (service, act) for service, methods in SERVICES.items() for name, act in methods.items()}
INTROSPECT = "IntrospectToken"
STATUS_NAMES = {400: "FAILED_PRECONDITION", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS"}
STRANGER = "another host"
# A socket that does not linger ends with a reset and not in good order.
NO_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass(frozen=True)
class Request:
    """A request that came: its method or kind of transfer, what it is about, its body, the answer's status, and the fault it met.

    A connection that was cut, or an answer that broke off, has the fault's kind as its status.

    No header is kept, and no body that holds a token: the log has no secret.
    """

    method: str
    label: str
    body: dict | None
    status: int | str
    fault: str = ""


@dataclass(frozen=True)
class Redirect:
    """An answer 302 to this address."""

    url: str


class _Over(Exception):
    """The request has had its answer, or will have none."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection; `server.service` is the `Service`."""

    protocol_version = "HTTP/1.1"
    met = None  # the fault that the present request met

    @property
    def service(self):
        """The service that this connection reached."""
        return self.server.service

    def log_message(self, *arguments):
        """Nothing on stderr; `Service.log` has the requests."""

    def do_CONNECT(self):
        """A tunnel to another host."""
        self._refuse_stranger(self.path)

    def do_POST(self):
        """A method of the service."""
        self._within(self._method)

    def do_PUT(self):
        """A file that comes."""
        self._within(lambda parts: transfers.receive(self, parts))

    def do_GET(self):
        """A file that is asked for."""
        self._within(lambda parts: transfers.serve(self, parts))

    def _within(self, act):
        self.met = None
        address = urllib.parse.urlsplit(self.path)
        if address.netloc not in ("", "localhost", f"127.0.0.1:{self.server.server_port}"):
            self._refuse_stranger(address.netloc)
            return
        with contextlib.suppress(_Over):
            act([urllib.parse.unquote(part) for part in address.path.strip("/").split("/")])

    def _refuse_stranger(self, host):
        self.keep(self.command, host, None, STRANGER)
        self.close_connection = True
        self.head(403, "text/plain", 0)

    # --- methods

    def _method(self, parts):
        body = json.loads(b"".join(self.pieces()) or b"{}")
        name = parts[-1]
        if name == INTROSPECT:
            self._introspect(body)
            return
        if parts[:2] != ["api", "v1"] or name not in METHODS or METHODS[name][0] != parts[2]:
            self.refuse(name, "", body, Refusal(404, f"no method {'/'.join(parts)}"))
            return
        label = " ".join(value for key, value in body.items() if isinstance(value, str) and key != "text")
        who = self._known()
        if who is None:
            self.refuse(name, label, body, Refusal(401, "Unauthenticated"))
            return
        fault = self.fault(name, label, body)
        try:
            with self.service.lock:
                self.service.acting = who
                try:
                    answer = METHODS[name][1](self.service, body, fault)
                finally:
                    self.service.acting = self.service.user
        except Refusal as refusal:
            self.refuse(name, label, body, refusal)
            return
        self.cut_after(fault, name, label, body)
        if isinstance(answer, Redirect):
            self.answer(name, label, body, 302, {}, fault, {"Location": answer.url})
        else:
            self.answer(name, label, body, 200, {key: value for key, value in answer.items() if value is not None}, fault)

    def _introspect(self, body):
        """Whose token this is."""
        fault = self.fault(INTROSPECT, "", None)
        owner = self.service.tokens.get(body.get("token"))
        if owner is None:
            self.refuse(INTROSPECT, "", None, Refusal(401, "The token is not known"))
            return
        self.cut_after(fault, INTROSPECT, "", None)
        self.answer(INTROSPECT, "", None, 200, {"active": True, "username": owner}, fault)

    def _known(self):
        """The user whose token or key comes with the request, None for no known one."""
        kind, _, secret = self.headers.get("Authorization", "").partition(" ")
        if kind == "Bearer":
            return self.service.tokens.get(secret)
        right = kind == "Basic" and base64.b64decode(secret).decode() == f"{self.service.user}:{self.service.key}"
        return self.service.user if right else None

    # --- answers and faults

    def keep(self, method, label, body, status):
        """Notes the request in the log, before it is answered."""
        self.service.note(Request(method, label, body, status, self.met.kind if self.met else ""))

    def answer(self, method, label, body, status, answer, fault=None, headers=None):
        """An answer in JSON, broken off where the fault says so."""
        truncated = fault is not None and fault.kind == faults.TRUNCATED
        self.keep(method, label, body, fault.kind if truncated else status)
        content = json.dumps(answer).encode()
        self.head(status, "application/json", len(content), headers)
        self.wfile.write(content[: len(content) // 2] if truncated else content)
        self.close_connection = self.close_connection or truncated

    def refuse(self, method, label, body, refusal):
        """An HTTP error."""
        self.answer(method, label, body, refusal.status, _error(refusal.status, str(refusal)))

    def fault(self, method, label, body):
        """The fault that hits this request, if any; where it leaves nothing to be done, the request is over."""
        fault = self.met = self.service.faults.take(method, label)
        if fault is not None and (fault.status or fault.kind == faults.RESET):
            self.fail(fault, method, label, body)
        return fault

    def fail(self, fault, method, label, body):
        """Ends the request as a fault says: by an HTTP error, or by cutting the connection."""
        if not fault.status:
            self.cut(method, label, body, fault.kind)
        message = fault.details.get("message", "something went wrong")
        told = {"code": fault.status, "message": message} if fault.details.get("shown") else _error(fault.status, message)
        headers = {"Retry-After": str(fault.details.get("retry_after", 0))} if fault.status == 429 else None
        self.answer(method, label, body, fault.status, told, headers=headers)
        raise _Over

    def cut_after(self, fault, method, label, body):
        """Cuts the connection where the fault wants that after the request was acted on."""
        if fault is not None and fault.kind == faults.RESET_AFTER:
            self.cut(method, label, body, fault.kind)

    def cut(self, method, label, body, kind):
        """Cuts the connection."""
        self.keep(method, label, body, kind)
        self.close_connection = True
        self.connection.setsockopt(*NO_LINGER)
        os.close(self.connection.detach())
        raise _Over

    # --- plain HTTP

    def pieces(self):
        """The request's body in pieces, sent with its length or chunked; it ends early where the client does."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read(min(transfers.PIECE, left))):
            left -= len(piece)
            yield piece

    def head(self, status, kind, length, headers=None):
        """The answer's status line and headers."""
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(length)} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()


def _error(status, message):
    return {"error": {"code": status, "message": message, "status": STATUS_NAMES.get(status, "INTERNAL")}}
