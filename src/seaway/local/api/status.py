"""Errors as the Kubernetes API says them: a Status object with code, reason, message and details."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
"""A Kubernetes object, plain."""

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    421: "BadRequest",
    422: "Invalid",
    500: "InternalError",
}


class ApiError(Exception):
    """What the client must hear, as a Status."""

    def __init__(self, code: int, message: str, *, reason: str = "", details: Object | None = None) -> None:
        self.code = code
        self.reason = reason or REASONS.get(code, "Unknown")
        self.message = message
        self.details = details
        super().__init__(message)

    def status(self) -> Object:
        """The Status object."""
        found: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            found["details"] = self.details
        return found


def resource_name(plural: str, group: str) -> str:
    """``jobs.batch``, or ``pods`` for the core group: how messages and the store name a resource."""
    return f"{plural}.{group}" if group else plural


def not_found(resource: str, name: str) -> ApiError:
    """404 for one object."""
    return ApiError(404, f'{resource} "{name}" not found', details=_details(resource, name))


def already_exists(resource: str, name: str) -> ApiError:
    """409 on create."""
    message = f'{resource} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=_details(resource, name))


def conflict(resource: str, name: str, why: str = "") -> ApiError:
    """409 on update."""
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, message, details=_details(resource, name))


class Cause(dict[str, str]):
    """One reason why an object is invalid."""

    def __init__(self, field: str, message: str, reason: str = "FieldValueInvalid") -> None:
        super().__init__(reason=reason, message=message, field=field)


def required(field: str, why: str = "") -> Cause:
    """A field that must be there."""
    return Cause(field, "Required value" + (f": {why}" if why else ""), "FieldValueRequired")


def invalid_value(field: str, value: object, why: str) -> Cause:
    """A field whose value breaks a rule."""
    return Cause(field, f"Invalid value: {_shown(value)}: {why}", "FieldValueInvalid")


def unsupported(field: str, value: object, supported: list[str]) -> Cause:
    """A field whose value is not one of those supported."""
    listed = ", ".join(f'"{one}"' for one in supported)
    return Cause(field, f"Unsupported value: {_shown(value)}: supported values: {listed}", "FieldValueNotSupported")


def forbidden(field: str, why: str) -> Cause:
    """A field that may not be as it is."""
    return Cause(field, f"Forbidden: {why}", "FieldValueForbidden")


def denied(webhook: str, causes: list[Cause]) -> ApiError:
    """403 as of an admission webhook, with every cause."""
    message = f'admission webhook "{webhook}" denied the request: {_listed(causes)}'
    return ApiError(403, message, reason="Forbidden")


def _listed(causes: list[Cause]) -> str:
    texts = [f"{cause['field']}: {cause['message']}" if cause["field"] else cause["message"] for cause in causes]
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"


def invalid(kind: str, group: str, name: str, causes: list[Cause]) -> ApiError:
    """422 with every cause."""
    message = f'{resource_name(kind, group)} "{name}" is invalid: {_listed(causes)}'
    return ApiError(422, message, details={"name": name, "group": group, "kind": kind, "causes": list(causes)})


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict | list):
        return "object" if isinstance(value, dict) else "list"
    return str(value)


def _details(resource: str, name: str) -> Object:
    plural, _, group = resource.partition(".")
    return {"name": name, "group": group, "kind": plural} if group else {"name": name, "kind": plural}
