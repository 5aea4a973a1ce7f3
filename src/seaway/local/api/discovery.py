"""What the server serves: /version, /api and /apis, aggregated and one list a group-version."""

from __future__ import annotations

from seaway.local.api import scale
from seaway.local.api.kinds import GROUP_VERSIONS, KINDS, Kind
from seaway.local.api.status import Object

MINOR = "32"
"""The Kubernetes minor version whose behaviour is followed; kubectl picks its own version by it."""
_SUBRESOURCE_VERBS = {"status": ["get", "patch", "update"], "log": ["get"], "scale": ["get", "patch", "update"]}
_SCALE = {"group": scale.GROUP, "version": scale.VERSION, "kind": scale.KIND}
_REVIEWS = (
    ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
)
_AUTHORIZATION = ("authorization.k8s.io", "v1")


def version() -> Object:
    """The answer to /version."""
    empty = dict.fromkeys(("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler"), "")
    return empty | {"major": "1", "minor": MINOR, "gitVersion": f"v1.{MINOR}.0+seaway", "platform": "linux/amd64"}


def aggregated(*, core: bool, version: str) -> Object:
    """APIGroupDiscoveryList of the core group (/api) or the named groups (/apis); version v2 or v2beta1."""
    items: dict[str, Object] = {}
    for group, group_version in (*GROUP_VERSIONS, _AUTHORIZATION):
        if (group == "") != core:
            continue
        resources = [_aggregated(kind) for kind in KINDS if (kind.group, kind.version) == (group, group_version)]
        if group == _AUTHORIZATION[0]:
            resources = [_review(plural, kind) for plural, kind in _REVIEWS]
        item = items.setdefault(group, {"metadata": {"name": group} if group else {}, "versions": []})
        item["versions"].append({"version": group_version, "resources": resources, "freshness": "Current"})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": list(items.values()),
    }


def api_versions() -> Object:
    """The legacy answer to /api."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list() -> Object:
    """The legacy answer to /apis."""
    names = dict.fromkeys(group for group, _ in (*GROUP_VERSIONS, _AUTHORIZATION) if group)
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in names]}


def group(name: str) -> Object | None:
    """The legacy answer to /apis/GROUP, None when there is no such group."""
    known = any(name == one for one, _ in (*GROUP_VERSIONS, _AUTHORIZATION) if one)
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name) if known else None


def resource_list(group: str, version: str) -> Object | None:
    """The legacy answer to /api/v1 and /apis/GROUP/VERSION, None when there is no such group-version."""
    if (group, version) not in (*GROUP_VERSIONS, _AUTHORIZATION):
        return None
    found: list[Object] = []
    for kind in KINDS:
        if (kind.group, kind.version) != (group, version):
            continue
        found.append(
            {
                "name": kind.plural,
                "singularName": kind.singular,
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": list(kind.verbs),
                "shortNames": list(kind.short),
                "categories": list(kind.categories),
            }
        )
        found += [
            {"name": f"{kind.plural}/{sub}", "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind,
             "verbs": _SUBRESOURCE_VERBS[sub]} | (_SCALE if sub == "scale" else {})
            for sub in kind.subresources
        ]  # fmt: skip
    if (group, version) == _AUTHORIZATION:
        found = [
            {"name": plural, "singularName": plural[:-1], "namespaced": False, "kind": kind, "verbs": ["create"]}
            for plural, kind in _REVIEWS
        ]
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": found}


def _group(name: str) -> Object:
    versions = [
        {"groupVersion": f"{one}/{version}", "version": version}
        for one, version in (*GROUP_VERSIONS, _AUTHORIZATION)
        if one == name
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _aggregated(kind: Kind) -> Object:
    response = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return {
        "resource": kind.plural,
        "responseKind": response,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        "shortNames": list(kind.short),
        "categories": list(kind.categories),
        "subresources": [
            {
                "subresource": sub,
                "responseKind": _SCALE if sub == "scale" else response,
                "verbs": _SUBRESOURCE_VERBS[sub],
            }
            for sub in kind.subresources
        ],
    }


def _review(plural: str, kind: str) -> Object:
    response = {"group": _AUTHORIZATION[0], "version": "v1", "kind": kind}
    return {"resource": plural, "responseKind": response, "scope": "Cluster", "singularResource": plural[:-1],
            "verbs": ["create"]}  # fmt: skip
