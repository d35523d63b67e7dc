"""The description of the interface (/openapi.json) and the service agree: schemathesis asks what the description
allows, and sends bodies that it forbids."""

import pytest
import schemathesis
from _serve import BASE, HEADERS, png, wait_until_ready
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from discern_vqa.serve.app import build
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import Settings

EXAMPLES = 4
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def client(tiny_run, tmp_path_factory):
    service = Service(Settings(runs={"run": tiny_run}, corrections=tmp_path_factory.mktemp("corrections")))
    with TestClient(build(service), base_url=BASE, headers=HEADERS, raise_server_exceptions=False) as made:
        wait_until_ready(service)
        yield made


def sent(client, case):
    """The reply to a case; bodies that are no JSON are sent as they are."""
    kind, more = case.media_type or "", {}
    if kind == "application/json" and not isinstance(case.body, NotSet):
        is_bytes = isinstance(case.body, bytes)
        more = {"content": case.body, "headers": {"Content-Type": kind}} if is_bytes else {"json": case.body}
    elif kind == "multipart/form-data":
        more["files"] = [("file", ("a", b"no image"))]
    elif kind:
        more = {"content": b"no image", "headers": {"Content-Type": kind}}
    return client.request(case.method, case.formatted_path, params=case.query, **more)


def test_every_answer_is_one_that_the_description_names(client):
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    reply = client.post("/v1/images", content=png(), headers={"Content-Type": "image/png"})
    (image,) = reply.json()["images"]
    seen = []

    def ask(case):
        if len(seen) % 4 and case.method != "DELETE":  # mostly an image that is there
            if "id" in case.path_parameters:
                case.path_parameters["id"] = image["id"]
            if isinstance(case.body, dict) and "image" in case.body:
                case.body["image"] = image["id"]
        reply = sent(client, case)
        seen.append((case.operation.label, reply.status_code))
        case.validate_response(reply, checks=CHECKS)

    quiet = settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    for result in schema.get_all_operations():
        operation = result.ok()
        has_json = "json" in str(operation.definition.raw.get("requestBody"))
        for mode in list(GenerationMode)[: 1 + has_json]:
            strategy = operation.as_strategy(generation_mode=mode)
            settings(quiet, suppress_health_check=list(HealthCheck))(given(strategy)(ask))()
    assert len({label for label, _ in seen}) >= 17
    assert {200, 404, 422} <= {status for _, status in seen}
