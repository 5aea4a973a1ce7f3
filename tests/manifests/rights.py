"""Requests to the Kubernetes API as RBAC sees them, and what a Role allows of them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from seaway.launch.api import Api

Right = tuple[str, str, str]
"""Verb, API group, resource with its subresource: ``("get", "", "pods/log")``."""

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)/namespaces/[^/]+/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?"
)


def rights(method: str, path: str, query: Mapping[str, str] | None, content_type: str = "") -> list[Right]:
    """What a request needs."""
    found = _PATH.fullmatch(path)
    assert found is not None, f"not a namespaced resource: {path}"
    resource = "/".join(filter(None, (found["plural"], found["sub"])))
    if method == "GET":
        one = (query or {}).get("watch") not in ("true", "1") and found["name"]
        verbs = ["get"] if one else ["watch"] if (query or {}).get("watch") in ("true", "1") else ["list"]
    elif method == "PATCH":
        # a server-side apply of what is not there is a creation too
        verbs = ["patch", "create"] if "apply-patch" in content_type else ["patch"]
    else:
        verbs = [
            {"POST": "create", "PUT": "update", "DELETE": "delete" if found["name"] else "deletecollection"}[method]
        ]
    return [(verb, found["group"] or "", resource) for verb in verbs]


def granted(role: Mapping[str, Any]) -> set[Right]:
    """Everything that a Role allows."""
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def in_words(found: Iterable[Right]) -> list[str]:
    """For messages."""
    return sorted(f"{verb} {resource}{'.' if group else ''}{group}" for verb, group, resource in found)


@contextmanager
def recorded(into: set[Right]) -> Iterator[None]:
    """Within the block every request of a launcher leaves its rights in ``into``."""
    real = Api._call

    def call(self: Api, method: str, path: str, **options: Any) -> Any:
        into.update(rights(method, path, options.get("query"), options.get("content_type", "")))
        return real(self, method, path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Api, "_call", call)
        yield
