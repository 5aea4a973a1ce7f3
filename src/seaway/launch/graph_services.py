"""The InferenceServices of a graph: where they are, and what their models take and answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from seaway.errors import DeadlineError, InputError, LaunchError
from seaway.launch import endpoint
from seaway.launch.api import Api, Object
from seaway.launch.service import INFERENCE_SERVICE, served, view, wait_ready
from seaway.observe import logs
from seaway.resources import names
from seaway.resources.chain import Chain
from seaway.resources.graph_form import Split

Row = Mapping[str, Any]

_MODEL_URL = re.compile(r"(https?://.+)/v[12]/models/([^/:?]+)")
_log = logging.getLogger("seaway.launch")


@dataclass(frozen=True, kw_only=True)
class Service:
    """An InferenceService in a graph."""

    name: str
    url: str
    inputs: Mapping[str, str]
    """Columns that its model takes, and their datatypes in the Open Inference Protocol."""
    outputs: tuple[str, ...]
    """Names of its model's answers."""

    def predict(self, row: Row) -> dict[str, Any]:
        """Its own answer for one row."""
        body = {"instances": [{k: row[k] for k in self.inputs if k in row}]}
        return predictions(f"{self.url}/v1/models/{self.name}:predict", body, 1)[0]


class Address(NamedTuple):
    """Where an InferenceService answers, without a path."""

    cluster: str
    """Its address inside the cluster, as KServe says: for the graph's router."""
    step: str
    """Where this step reaches it."""


def addresses(api: Api, services: Sequence[str], *, timeout_s: float, assume: bool = False) -> dict[str, Address]:
    """Addresses of each service; waits for those that are not ready.

    Args:
        api: where they are.
        services: names of InferenceServices.
        timeout_s: for each.
        assume: take KServe's address in Standard mode for services that are missing or not ready.

    Raises:
        LaunchError: one is not there, or not ready in time.
    """
    known = {}
    for name in services:
        found = api.get(INFERENCE_SERVICE, name)
        now = view(found) if found is not None else None
        if assume and (now is None or not now.url):
            url = f"http://{name}-predictor.{api.namespace}.svc.cluster.local"
            known[name] = Address(url, url)
            logs.info(_log, f"InferenceService {name} is not ready: its address is taken to be {url}")
            continue
        if found is None or now is None:
            label = names.dns_label(name)
            near = f", did you mean {label!r}?" if label != name else ": promote the model first"
            raise LaunchError(
                f"a graph's services must be there, found no InferenceService {name!r} in {api.namespace}{near}"
            )
        if not now.ready and not assume:
            generation = int(found["metadata"].get("generation", 1))
            logs.info(_log, f"InferenceService {name} is not ready: waiting for it", timeout_s=timeout_s)
            try:
                now = wait_ready(api, name, generation=generation, timeout_s=timeout_s)
            except LaunchError as e:
                error = DeadlineError if isinstance(e, DeadlineError) else LaunchError
                raise error(f"a graph's services must be ready: {e}") from e
            found = api.get(INFERENCE_SERVICE, name) or found
        status = found.get("status", {})
        cluster = status.get("address", {}).get("url") or status.get("url") or now.url
        known[name] = Address(str(cluster).rstrip("/"), now.url.rstrip("/"))
    return known


def described(form: Chain | Split, known: Mapping[str, Address]) -> dict[str, Service]:
    """What the models of a graph take and answer, as their servers say.

    Raises:
        InputError: a chain wants an answer that a model does not have.
        LaunchError: a server does not answer, or is not Seaway's.
    """
    services = {}
    for name in form.services:
        try:
            said = endpoint.metadata(known[name].step, name)
        except InputError as e:
            raise LaunchError(f"InferenceService {name} must run Seaway's model server: {e}") from e
        services[name] = Service(
            name=name,
            url=known[name].step,
            inputs={i["name"]: i["datatype"] for i in said["inputs"]},
            outputs=tuple(o["name"] for o in said["outputs"]),
        )
    for step in form.steps if isinstance(form, Chain) else ():
        for key, own in step.answers.items():
            if own not in (outputs := services[step.service].outputs):
                raise InputError(
                    f"chain key {key!r} must be one of {step.service}'s answers {list(outputs)}, found {own!r}"
                )
    return services


def graph_columns(api: Api, graph: Object) -> dict[str, str] | None:
    """Datatypes of the columns, by name, that some model of a deployed graph takes; None if they are not to be known.

    A graph says nothing of its models. Those behind URLs of the KServe protocols are asked for their metadata.
    """
    found: dict[str, str] = {}
    steps = [s for node in graph["spec"]["nodes"].values() for s in node.get("steps") or []]
    for step in steps:
        if step.get("nodeName"):
            continue
        if match := _MODEL_URL.match(step.get("serviceUrl") or ""):
            url, model = match.groups()
        elif (name := step.get("serviceName")) and (service := served(api, name)) is not None:
            url, model = service.url, service.name
        else:
            return None
        try:
            said = endpoint.metadata(url, model, timeout_s=10)
        except (InputError, LaunchError):
            return None
        found |= {i["name"]: i["datatype"] for i in said["inputs"]}
    return found


def predictions(url: str, body: Mapping[str, Any], rows: int) -> list[dict[str, Any]]:
    """The predictions of one v1 request.

    Raises:
        InputError: the rows are refused.
        LaunchError: there is no answer, or not one of as many objects as there are rows.
    """
    answer, _ = endpoint.call(url, body=body, timeout_s=60)
    found = answer.get("predictions") if isinstance(answer, dict) else None
    if not isinstance(found, list) or len(found) != rows or not all(isinstance(p, dict) for p in found):
        raise LaunchError(f"{url} must answer with 'predictions', an object a row, found {str(answer)[:200]}")
    return found
