"""The laptop's certificate, bearer token and kubeconfig, made at its first start and kept."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
from pathlib import Path

from seaway.local.home import Paths, write_private

CONTEXT = "seaway"
"""Name of the kubeconfig's cluster, user and context."""
TOKEN_LENGTH = 32
"""Characters that a token has at least; a shorter one is what is left of a file."""


def ensure(paths: Paths, port: int) -> str:
    """Make what is missing or damaged, write the kubeconfig for ``port``, and return the bearer token."""
    if not _fits(paths):
        _make_certificate(paths)
    token = paths.token.read_text(errors="replace").strip() if paths.token.exists() else ""
    # An empty token would let in whoever sends none.
    if len(token) < TOKEN_LENGTH or not token.isascii():
        token = secrets.token_urlsafe(32)
        write_private(paths.token, token)
    text = json.dumps(kubeconfig(port=port, token=token, certificate=paths.certificate), indent=1)
    if not paths.kubeconfig.exists() or paths.kubeconfig.read_bytes() != text.encode():
        write_private(paths.kubeconfig, text)
    return token


def _fits(paths: Paths) -> bool:
    """Whether there is a certificate with its key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(paths.certificate, paths.key)
    except OSError:
        return False
    return True


def kubeconfig(*, port: int, token: str, certificate: Path) -> dict[str, object]:
    """A kubeconfig with one context; JSON is YAML, so every client reads it."""
    authority = base64.b64encode(certificate.read_bytes()).decode()
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": server}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default"}}],
    }


def _make_certificate(paths: Paths) -> None:
    """Self-signed, its own authority, for 127.0.0.1 and localhost, with what strict verifiers ask for (RFC 5280)."""
    # Only the first start pays for this import.
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "seaway laptop")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(paths.key, pem.decode())
    write_private(paths.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())
