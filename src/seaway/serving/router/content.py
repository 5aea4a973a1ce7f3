"""The Content-Type of a graph's answer: JSON if it is JSON, else what Go's net/http makes of its first bytes.

Source: http.DetectContentType of Go, which follows https://mimesniff.spec.whatwg.org; the types that a model may answer
with are here, all else is octet-stream or plain text as there.
"""

from __future__ import annotations

import orjson

from seaway.errors import InputError
from seaway.graphs.conditions import read_document

JSON = b"application/json"
_SNIFFED = 512
"""Bytes that are looked at."""
_JSON_STARTS = b'{["-0123456789tfn'
_BLANK = b"\t\n\x0c\r "
_BINARY = bytes({*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)})
"""Control characters that no text has; tab, line ends, form feed and escape are let through."""
_TAGS = (
    b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE", b"<A",
    b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P", b"<!--",
)  # fmt: skip
_PREFIXES = (
    (b"%PDF-", b"application/pdf"),
    (b"%!PS-Adobe-", b"application/postscript"),
    (b"\xfe\xff", b"text/plain; charset=utf-16be"),
    (b"\xff\xfe", b"text/plain; charset=utf-16le"),
    (b"\xef\xbb\xbf", b"text/plain; charset=utf-8"),
    (b"GIF87a", b"image/gif"),
    (b"GIF89a", b"image/gif"),
    (b"\x89PNG\r\n\x1a\n", b"image/png"),
    (b"\xff\xd8\xff", b"image/jpeg"),
    (b"BM", b"image/bmp"),
    (b"PK\x03\x04", b"application/zip"),
    (b"\x1f\x8b\x08", b"application/x-gzip"),
)


def content_type(body: bytes) -> bytes:
    """Of an answer; empty for an empty one, which gets none."""
    if not body:
        return b""
    return JSON if is_json(body) else _sniff(body[:_SNIFFED])


def is_json(body: bytes) -> bool:
    """Whether a body is one JSON document."""
    if body.lstrip(b" \t\r\n")[:1] not in _JSON_STARTS:
        return False
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson refuses bytes that are no UTF-8 and half surrogate pairs; Go does not.
        try:
            read_document(body)
        except InputError:
            return False
    return True


def _sniff(head: bytes) -> bytes:
    text = head.lstrip(_BLANK)
    upper = text.upper()
    for tag in _TAGS:
        if upper.startswith(tag) and text[len(tag) : len(tag) + 1] in (b" ", b">"):
            return b"text/html; charset=utf-8"
    if text.startswith(b"<?xml"):
        return b"text/xml; charset=utf-8"
    for prefix, found in _PREFIXES:
        # Two bytes that tell UTF-16 are believed if at least one more character is there.
        if head.startswith(prefix) and (b"utf-16" not in found or len(head) >= 4):
            return found
    return b"application/octet-stream" if head.translate(None, _BINARY) != head else b"text/plain; charset=utf-8"
