"""Runs and recurring runs as kfp.Client is asked for them.

In: a package, values, names. Out: the client's call, made against a server, or in a dry run against none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seaway.submission.package import Package
from seaway.submission.server import Server
from seaway.submission.transport import NotSent
from seaway.submission.trigger import Trigger, rfc3339


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run to be created; with a trigger, a recurring run."""

    package: Package
    values: Mapping[str, Any]
    experiment: str
    name: str
    description: str = ""
    pipeline_root: str = ""
    service_account: str = ""
    trigger: Trigger | None = None
    max_concurrency: int = 1
    no_catchup: bool = True
    enabled: bool = True

    def send(self, server: Server, experiment_id: str) -> Any:
        """Ask the server; what it answers."""
        common = {
            "experiment_id": experiment_id,
            "job_name": self.name,
            "pipeline_package_path": str(self.package.path),
            "params": dict(self.values),
            "pipeline_root": self.pipeline_root or None,
            "service_account": self.service_account or None,
        }
        if self.trigger is None:
            return server.ask("create the run", server.client.run_pipeline, **common)
        return server.ask(
            "create the recurring run",
            server.client.create_recurring_run,
            **common,
            description=self.description or None,
            cron_expression=self.trigger.cron.text if self.trigger.cron else None,
            interval_second=self.trigger.interval_s or None,
            start_time=rfc3339(self.trigger.start),
            end_time=rfc3339(self.trigger.end),
            max_concurrency=self.max_concurrency,
            no_catchup=self.no_catchup,
            enabled=self.enabled,
        )

    def dry(self, server: Server) -> Mapping[str, Any]:
        """What would be sent, with the experiment's name for its id."""
        try:
            self.send(server, f"(id of the experiment {self.experiment})")
        except NotSent:
            return server.transport.sent[-1]
        raise AssertionError("a dry run sends nothing")
