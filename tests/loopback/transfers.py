"""Files on their way: PUT by a client to the address that an upload was given, GET of what an answer named.

Both take the connection's `wire.Handler` and the parts of the address.
"""

import email.utils
import os
from pathlib import Path

from tests.loopback import faults
from tests.loopback.store import Refusal, files_below

PIECE = 1 << 20


def receive(handler, parts):
    """A file, or the rest of one, or the question how much of it has come."""
    store, token = handler.service.store, parts[-1]
    try:
        path, facts = store.upload(token), store.upload_facts(token)
    except Refusal as refusal:
        list(handler.pieces())
        handler.refuse(faults.UPLOAD, token, None, refusal)
        return
    asked = handler.headers.get("Content-Range", "")
    if asked.startswith("bytes */"):
        list(handler.pieces())
        _tell_progress(handler, path, facts)
        return
    before = int(asked.split()[1].split("-")[0]) if asked else 0
    with open(path, "r+b") as file:
        file.truncate(before)
        file.seek(before)
        for piece in handler.pieces():
            file.write(piece)
    if path.stat().st_size != facts["size"]:
        handler.cut(faults.UPLOAD, facts["name"], None, "came short")
    fault = handler.met = handler.service.faults.take(faults.UPLOAD, facts["name"])
    if fault is not None and (fault.kind == faults.RESET or fault.status):
        # What a broken connection, or a service that is away for a moment, has taken so far can be gone on from.
        os.truncate(path, facts["size"] // 2 if fault.kind in (faults.RESET, "503") else 0)
        handler.fail(fault, faults.UPLOAD, facts["name"], None)
    if fault is not None and fault.kind == faults.WRONG_SIZE:
        os.truncate(path, facts["size"] // 2)
    elif fault is not None and fault.kind == faults.WRONG_BYTES:
        path.write_bytes(_changed(path.read_bytes()))
    store.finish_upload(token)
    handler.cut_after(fault, faults.UPLOAD, facts["name"], None)
    handler.answer(faults.UPLOAD, facts["name"], None, 200, {}, fault)


def _tell_progress(handler, path, facts):
    size = path.stat().st_size
    if facts.get("complete"):
        handler.answer(faults.UPLOAD, facts["name"], None, 200, {})
    else:
        handler.answer(faults.UPLOAD, facts["name"], None, 308, {}, headers={"Range": f"bytes=0-{size - 1}"} if size else None)


def serve(handler, parts):
    """A kernel's output, or what a redirect named, whole or from some byte on."""
    kind, *rest = parts
    path, label = _named(handler.service, kind, rest)
    if path is None:
        handler.refuse(kind, "/".join(rest), None, Refusal(404, "no such file"))
        return
    fault = handler.fault(kind, label, None)
    handler.cut_after(fault, kind, label, None)
    what = fault.kind if fault is not None else ""
    size = path.stat().st_size // (2 if what == faults.WRONG_SIZE else 1)
    start = int(handler.headers["Range"].removeprefix("bytes=").split("-")[0]) if handler.headers.get("Range") else 0
    headers = {"Last-Modified": email.utils.formatdate(path.stat().st_mtime, usegmt=True), "Accept-Ranges": "bytes"}
    if start:
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    status = 206 if start else 200
    handler.keep(kind, label, None, what or status)
    handler.head(status, "application/octet-stream", size - start, headers)
    end = start + (size - start) // 2 if what == faults.TRUNCATED else size
    with open(path, "rb") as file:
        file.seek(start)
        while start < end and (piece := file.read(min(PIECE, end - start))):
            handler.wfile.write(_changed(piece) if what == faults.WRONG_BYTES and not start else piece)
            start += len(piece)
    if what == faults.TRUNCATED:
        handler.close_connection = True


def _named(service, kind, rest):
    """(path, label) of the file that an address of ours stands for, (None, "") where there is none."""
    if kind == faults.OUTPUT and len(rest) > 3:
        owner, slug, number, *name = rest
        folder = service.store.kernel_folder(owner, slug) / number / "output"
        return dict(files_below(folder)).get("/".join(name)), "/".join(rest)
    if kind == faults.DOWNLOAD and rest and rest[0] in service.downloads:
        return Path(service.downloads[rest[0]]), rest[-1]
    return None, ""


def _changed(content):
    """The same bytes but for the first."""
    return bytes(255 - value for value in content[:1]) + content[1:]
