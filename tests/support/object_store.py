"""A real S3 server in a process of its own (moto's), which checks keys, signatures and rights as AWS does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.laptop import free_port
from tests.support.waiting import until

_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@dataclass(kw_only=True)
class Keys:
    """An access key and its secret."""

    key: str
    secret: str = field(repr=False)

    @property
    def env(self) -> dict[str, str]:
        """As every S3 client reads them."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(kw_only=True)
class ObjectStore:
    """A running server."""

    endpoint: str
    user: Keys
    """May do everything."""
    stranger: Keys
    """May do nothing."""

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that may use it."""
        return {"SEAWAY_S3_ENDPOINT": self.endpoint, **self.user.env}

    def create_bucket(self, name: str) -> None:
        """An empty bucket."""
        _client("s3", self.endpoint, self.user).create_bucket(Bucket=name)

    def keys(self, bucket: str) -> list[str]:
        """The names of all objects of a bucket, as another client sees them."""
        found = _client("s3", self.endpoint, self.user).list_objects_v2(Bucket=bucket)
        return [one["Key"] for one in found.get("Contents", [])]


def _client(service: str, endpoint: str, keys: Keys) -> Any:
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys.key,
        aws_secret_access_key=keys.secret,
    )


def _user(endpoint: str, name: str, policy: dict[str, Any] | None) -> Keys:
    iam = _client("iam", endpoint, Keys(key="first", secret="first"))
    iam.create_user(UserName=name)
    if policy:
        iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return Keys(key=made["AccessKeyId"], secret=made["SecretAccessKey"])


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    """A server for the length of a block."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        assert process.poll() is None, "the object store ended"
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers, what="the object store answers", timeout_s=60)
        store = ObjectStore(
            endpoint=endpoint, user=_user(endpoint, "user", _ALL), stranger=_user(endpoint, "stranger", None)
        )
        # from here on it checks who asks
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0", headers=headers, method="POST")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        yield store
    finally:
        process.kill()
        process.wait()


@contextmanager
def stalled_server() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def answering_server(status: int, body: bytes = b"") -> Iterator[str]:
    """The URL of a server that answers everything in the same way."""

    class Always(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Always)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
