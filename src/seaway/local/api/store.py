"""The objects and the log of their changes: in memory for reading, in SQLite so that they survive.

Every change is one transaction, gets the next resourceVersion, and is told to the listeners at once. Objects that come
out are shared: nobody may change them in place, a change is a new object given to `update`.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from seaway.errors import LaptopError
from seaway.local.api.status import ApiError, Object, already_exists, conflict, not_found
from seaway.local.api.times import now, stamp

LOG_LENGTH = 2048
"""Changes kept for watches that resume; older ones answer 410 Expired."""

_TABLES = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, uid TEXT NOT NULL,
    version INTEGER NOT NULL, object BLOB NOT NULL, PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
    version INTEGER PRIMARY KEY, type TEXT NOT NULL, resource TEXT NOT NULL, object BLOB NOT NULL, previous BLOB);
CREATE TABLE IF NOT EXISTS applied (
    uid TEXT NOT NULL, manager TEXT NOT NULL, object BLOB NOT NULL, PRIMARY KEY (uid, manager)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log."""

    version: int
    type: str
    """ADDED, MODIFIED or DELETED."""
    resource: str
    """For instance ``jobs.batch``."""
    object: Object
    previous: Object | None
    """The object before; a selector may have matched it and not match any more."""


class Store:
    """The one store of a laptop. Not thread-safe: it belongs to the event loop.

    Raises:
        LaptopError: the file is no whole database, or another program has locked it.
    """

    def __init__(self, path: Path, *, log_length: int = LOG_LENGTH) -> None:
        self._log_length = log_length
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._owned: dict[str, dict[str, tuple[str, Object]]] = {}
        self._log: deque[Change] = deque()
        self._listeners: list[Callable[[Change], None]] = []
        self.version = 1
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            path.chmod(0o600)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_TABLES)
            self._load()
        except (sqlite3.Error, OSError, ValueError, LookupError, TypeError) as error:
            raise LaptopError(_unreadable(path, error)) from error
        self._compacted = self._log[0].version - 1 if self._log else self.version

    def close(self) -> None:
        """Fold the write-ahead log into the file."""
        self._database.close()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Tell ``listener`` every change from now on; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """One object, or 404."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._objects.get(resource, {}).get((namespace, name))

    def items(self, resource: str, namespace: str | None = None) -> list[Object]:
        """All objects of a resource, of all namespaces when None, ordered by namespace and name."""
        found = self._objects.get(resource, {})
        return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def owned(self, uid: str) -> list[tuple[str, Object]]:
        """Resource and object of everything that names ``uid`` among its owners."""
        return list(self._owned.get(uid, {}).values())

    def resources(self) -> list[str]:
        """Every resource of which there is an object."""
        return [resource for resource, objects in self._objects.items() if objects]

    def create(self, resource: str, manifest: Object) -> Object:
        """Store a new object under its namespace and name; 409 when there is one."""
        metadata = dict(manifest["metadata"])
        if self.find(resource, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise already_exists(resource, metadata["name"])
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", stamp(now()))
        metadata["resourceVersion"] = str(self.version + 1)
        return self._write("ADDED", resource, manifest | {"metadata": metadata}, None)

    def update(self, resource: str, manifest: Object) -> Object:
        """Put ``manifest`` in the place of the object of its name; 409 when its uid or resourceVersion is another.

        A manifest equal to what is there changes nothing and makes no event.
        """
        metadata = dict(manifest["metadata"])
        name = metadata["name"]
        before = self.get(resource, metadata.get("namespace", ""), name)
        if metadata.get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
            raise conflict(resource, name, "the UID in the precondition does not match the UID in record")
        if (
            metadata.get("resourceVersion", before["metadata"]["resourceVersion"])
            != before["metadata"]["resourceVersion"]
        ):
            raise conflict(resource, name)
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        metadata["uid"] = before["metadata"]["uid"]
        metadata["creationTimestamp"] = before["metadata"]["creationTimestamp"]
        after = manifest | {"metadata": metadata}
        if after == before:
            return before
        metadata["resourceVersion"] = str(self.version + 1)
        return self._write("MODIFIED", resource, after, before)

    def remove(self, resource: str, namespace: str, name: str, *, uid: str = "") -> Object:
        """Take an object away for good; with ``uid`` only if it still is that one."""
        before = self.get(resource, namespace, name)
        if uid and before["metadata"]["uid"] != uid:
            raise conflict(resource, name, f"Precondition failed: UID in precondition: {uid}")
        metadata = before["metadata"] | {"resourceVersion": str(self.version + 1)}
        return self._write("DELETED", resource, before | {"metadata": metadata}, before)

    def since(self, version: int) -> Iterator[Change]:
        """The changes after ``version``; 410 when they are no longer all known."""
        if version < self._compacted or version > self.version:
            raise ApiError(410, f"too old resource version: {version} ({self._compacted})", reason="Expired")
        return iter([change for change in self._log if change.version > version])

    def applied(self, uid: str, manager: str) -> Object | None:
        """What a manager last applied to an object by server-side apply."""
        query = "SELECT object FROM applied WHERE uid=? AND manager=?"
        row = self._database.execute(query, (uid, manager)).fetchone()
        return None if row is None else dict(orjson.loads(row[0]))

    def set_applied(self, uid: str, manager: str, manifest: Object) -> None:
        """Remember what a manager applied."""
        row = (uid, manager, orjson.dumps(manifest))
        self._database.execute("INSERT OR REPLACE INTO applied VALUES (?,?,?)", row)

    def _write(self, type_: str, resource: str, after: Object, before: Object | None) -> Object:
        version = self.version + 1
        metadata = after["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        blob = orjson.dumps(after)
        execute = self._database.execute
        try:
            execute("BEGIN IMMEDIATE")
            if type_ == "DELETED":
                execute("DELETE FROM objects WHERE resource=? AND namespace=? AND name=?", (resource, *key))
                execute("DELETE FROM applied WHERE uid=?", (metadata["uid"],))
            else:
                row = (resource, *key, metadata["uid"], version, blob)
                execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?)", row)
            previous = None if before is None else orjson.dumps(before)
            execute("INSERT INTO log VALUES (?,?,?,?,?)", (version, type_, resource, blob, previous))
            if version % 256 == 0:
                execute("DELETE FROM log WHERE version <= ?", (version - self._log_length,))
            execute("COMMIT")
        except sqlite3.OperationalError as error:
            # A full disk has ended the transaction already.
            if self._database.in_transaction:
                execute("ROLLBACK")
            raise ApiError(500, f"the laptop's database could not be written: {error}") from error
        except BaseException:
            execute("ROLLBACK")
            raise
        self.version = version
        self._index(resource, key, before, None if type_ == "DELETED" else after)
        change = Change(version, type_, resource, after, before)
        self._log.append(change)
        while len(self._log) > self._log_length:
            self._compacted = self._log.popleft().version
        for listener in tuple(self._listeners):
            listener(change)
        return after

    def _index(self, resource: str, key: tuple[str, str], before: Object | None, after: Object | None) -> None:
        if before is not None:
            for owner in before["metadata"].get("ownerReferences", ()):
                owned = self._owned.get(owner["uid"], {})
                owned.pop(before["metadata"]["uid"], None)
                if not owned:
                    self._owned.pop(owner["uid"], None)
        if after is None:
            self._objects.get(resource, {}).pop(key, None)
            return
        self._objects.setdefault(resource, {})[key] = after
        for owner in after["metadata"].get("ownerReferences", ()):
            self._owned.setdefault(owner["uid"], {})[after["metadata"]["uid"]] = (resource, after)

    def _load(self) -> None:
        for resource, namespace, name, version, blob in self._database.execute(
            "SELECT resource, namespace, name, version, object FROM objects"
        ):
            self._index(resource, (namespace, name), None, orjson.loads(blob))
            self.version = max(self.version, version)
        for version, type_, resource, blob, previous in self._database.execute("SELECT * FROM log ORDER BY version"):
            before = None if previous is None else orjson.loads(previous)
            self._log.append(Change(version, type_, resource, orjson.loads(blob), before))
            self.version = max(self.version, version)
        while len(self._log) > self._log_length:
            self._log.popleft()


def _unreadable(path: Path, error: Exception) -> str:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return f"{path} must be the laptop's alone, another program has locked it: end that program"
    return (
        f"{path} must be a whole database of a laptop: {error}; restore it from a copy, or remove it and the files "
        "beside it that begin with its name to start with no objects"
    )
