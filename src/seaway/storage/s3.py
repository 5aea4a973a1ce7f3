"""S3 and what speaks its protocol (MinIO, SeaweedFS, Ceph): how it is reached, and what went wrong, in words.

In: the environment.

SEAWAY_S3_ENDPOINT      URL of a store that is not AWS's; KFP's ``host:port`` without a scheme means http
SEAWAY_S3_TIMEOUT_S     seconds without an answer after which a request is given up (30); each is tried twice
S3_VERIFY_SSL           0: certificates are not looked at; AWS_CA_BUNDLE is the better way
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY   credentials; without them botocore looks where it always does
SEAWAY_STORAGE_SECRET   name of the Secret that they came from, for messages only
"""

from __future__ import annotations

import os
from typing import Any

from seaway.errors import InputError, UnreachableError

SCHEMES = ("s3://", "minio://", "s3a://")
ENDPOINT_ENV = ("SEAWAY_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Where an endpoint other than AWS's own is named, first one wins."""
TIMEOUT_S = 30.0
_CONNECT_S = 5.0
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError")
_NO_ANSWER = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    "ProxyConnectionError",
    "SSLError",
    "HTTPClientError",
    "ClientPayloadError",
    "IncompleteRead",
    "FSTimeoutError",
    "TimeoutError",
    "ConnectionError",
)
_AGAIN = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "(500)", "(502)", "(503)")


def is_s3(uri: str) -> bool:
    """Whether an object store with S3's protocol holds it."""
    return uri.startswith(SCHEMES)


def canonical(uri: str) -> str:
    """The URI as every S3 client knows it: KFP's minio:// is s3:// at an endpoint."""
    return "s3://" + uri.split("://", 1)[1] if is_s3(uri) else uri


def endpoint() -> str:
    """URL of the store; empty for AWS's own."""
    found = next((os.environ[k].strip() for k in ENDPOINT_ENV if os.environ.get(k, "").strip()), "")
    return found if not found or "://" in found else f"http://{found}"


def options() -> dict[str, Any]:
    """What fsspec's file system is made with.

    Raises:
        InputError: the time-out is no number of seconds.
    """
    text = os.environ.get("SEAWAY_S3_TIMEOUT_S") or str(TIMEOUT_S)
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = 0.0
    if not 0 < timeout_s < 86_400:
        raise InputError(f"SEAWAY_S3_TIMEOUT_S must be a number of seconds above 0, found {text!r}")
    config = {
        "connect_timeout": min(_CONNECT_S, timeout_s),
        "read_timeout": timeout_s,
        "retries": {"total_max_attempts": 2, "mode": "standard"},
    }
    found: dict[str, Any] = {"config_kwargs": config}
    if url := endpoint():
        found["endpoint_url"] = url
    if os.environ.get("S3_VERIFY_SSL", "").lower() in ("0", "false"):
        found["client_kwargs"] = {"verify": False}
    # a listing kept in this process hides what a job wrote in the meantime
    return {**found, "use_listings_cache": False}


def filesystem(uri: str) -> tuple[Any, str]:
    """The file system of an S3 URI, and the path in it.

    Raises:
        InputError: s3fs is not installed, or the settings do not hold.
    """
    try:
        from seaway.storage.s3_filesystem import BoundedS3FileSystem
    except ImportError as e:
        raise InputError(f"{uri}: s3fs must be installed, found {e}: install seaway[s3]") from e
    return BoundedS3FileSystem(**options()), BoundedS3FileSystem._strip_protocol(canonical(uri))


def in_words(uri: str, error: BaseException) -> InputError:
    """What an error of s3fs, botocore or the network means and what to do about it."""
    names = {c.__name__ for e in (error, error.__cause__) if e is not None for c in type(e).__mro__}
    said = " ".join(str(error).split()) or type(error).__name__
    at = endpoint() or "AWS"
    secret = _secret()
    if names & {*_NO_CREDENTIALS}:
        return InputError(f"{uri}: the object store at {at} must be given credentials, found none: {secret}")
    if isinstance(error, PermissionError):
        return InputError(
            f"{uri}: the object store at {at} must let us in, found: {said}: {secret}, of a user who may read and "
            "write that bucket"
        )
    if "NoSuchBucket" in names or "bucket does not exist" in said:
        bucket = uri.split("://", 1)[-1].split("/", 1)[0]
        return InputError(f"{uri}: the bucket {bucket!r} must exist at {at}, found none: create it or check the URI")
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        return InputError(f"{uri}: must be a file that can be read, nothing is there: check the URI")
    if names & {*_NO_ANSWER} or any(word in str(error.__cause__ or said) for word in _AGAIN):
        return UnreachableError(
            f"{uri}: the object store at {at} must answer, found {type(error).__name__}: {said}: check that it is up, "
            "SEAWAY_S3_ENDPOINT and the network, then try again"
        )
    return InputError(f"{uri}: the object store at {at} refused, found {type(error).__name__}: {said}")


def _secret() -> str:
    """Where the credentials must be."""
    if name := os.environ.get("SEAWAY_STORAGE_SECRET"):
        return f"Secret {name} in the pod's namespace must hold the right accesskey and secretkey"
    return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must hold the right keys"
