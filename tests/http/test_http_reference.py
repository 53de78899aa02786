"""The OpenAPI documents and their pages say what the routes do, and need nothing from elsewhere."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from rewards.entry.document import operations
from tests.http.calling import ORDERS, Api
from tests.processes import ENVIRONMENT

TREE = Path(__file__).parents[2]
GOLDEN = {"/openapi.json": "openapi.json", "/admin/openapi.json": "admin-openapi.json"}
PAGES = {"/docs": "/openapi.json", "/admin/docs": "/admin/openapi.json"}
REGENERATE = "the routes changed: run `make openapi`, and read what that changes in docs/"


def golden(source: str) -> dict[str, Any]:
    text = (TREE / "docs" / GOLDEN[source]).read_text()
    document: dict[str, Any] = json.loads(text)
    return document


@pytest.mark.parametrize("source", GOLDEN)
async def test_the_document_is_valid_openapi_and_the_one_in_the_repository(
    api: Api, source: str
) -> None:
    answer = await api.call("GET", source, shown={})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    validate(answer.json)
    assert answer.json["openapi"] == "3.1.0"
    assert answer.json == golden(source), REGENERATE


@pytest.mark.parametrize("source", GOLDEN)
def test_the_command_prints_the_file_whatever_the_hashes_are(source: str) -> None:
    command = [sys.executable, "-m", "rewards.entry", "openapi"]
    command += ["--staff"] if source.startswith("/admin") else []
    environment = {**ENVIRONMENT, "PATH": "", "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == (TREE / "docs" / GOLDEN[source]).read_text(), REGENERATE


def test_each_route_stands_in_one_document_and_says_what_it_does() -> None:
    client, staff = (golden(source) for source in GOLDEN)
    assert not set(client["paths"]) & set(staff["paths"])
    assert all(path.startswith("/admin") for path in staff["paths"])
    for document in (client, staff):
        told = list(operations(document["paths"]))
        names = [operation["operationId"] for _, _, operation in told]
        assert len(set(names)) == len(names)
        for path, method, operation in told:
            name = f"{method} {path}"
            assert operation["summary"] and operation["description"], name
            assert " " in operation["summary"], name
            assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}, name
            assert operation["responses"].keys() & {"200", "201", "202", "204"}, name
            for parameter in operation.get("parameters", ()):
                assert parameter["description"], name
                assert parameter["schema"].get("type"), name
            if operation["security"]:
                assert {"401", "403"} <= operation["responses"].keys(), name
            for status, response in operation["responses"].items():
                assert "X-Request-Id" in response["headers"], name
                if status >= "400":
                    shape = response["content"]["application/json"]["schema"]
                    assert shape == {"$ref": "#/components/schemas/ErrorBody"}, name


@pytest.mark.parametrize("source", GOLDEN)
def test_every_example_obeys_its_schema(source: str) -> None:
    document = golden(source)
    shown = 0
    for path, method, operation in operations(document["paths"]):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        contents = [each.get("content", {}).get("application/json") for each in bodies]
        for content in filter(None, contents):
            values = [each["value"] for each in content.get("examples", {}).values()]
            values += [content["example"]] if "example" in content else []
            assert values, f"{method} {path} has no example of {content}"
            schema = {**content["schema"], "components": document["components"]}
            for value in values:
                jsonschema.validate(value, schema)
                shown += 1
    assert shown > 100


async def test_the_documented_errors_of_an_order_are_what_the_server_says(api: Api) -> None:
    responses = golden("/openapi.json")["paths"][ORDERS]["post"]["responses"]
    told = {
        (int(status), each["value"]["error"], each["value"]["message"])
        for status, response in responses.items()
        if status >= "400"
        for each in response["content"]["application/json"]["examples"].values()
    }
    seed = Path(__file__).with_name("test_http_seed_refusals.py").read_text()
    for status, error, message in told:
        if status in (400, 401, 404, 429, 500) and "frozen" not in message:
            assert message in seed, (status, error, message)
    answer = await api.order(product_id=6, denomination=7, quantity=1)
    assert answer.refusal in told


@pytest.mark.parametrize("path", PAGES)
async def test_the_page_needs_nothing_but_this_server(api: Api, path: str) -> None:
    answer = await api.call("GET", path, shown={})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "<script" not in answer.text and "style=" not in answer.text
    loaded = re.findall(r'(?:src|rel="stylesheet" href)="([^"]*)"', answer.text)
    assert loaded == ["/docs/reference.css"]
    style = await api.call("GET", "/docs/reference.css", shown={})
    assert style.status == 200 and style.headers["Content-Type"].startswith("text/css")
    assert "url(" not in style.text and "@import" not in style.text


@pytest.mark.parametrize("path", PAGES)
async def test_the_page_tells_of_every_operation_and_every_link_leads_somewhere(
    api: Api, path: str
) -> None:
    text = (await api.call("GET", path, shown={})).text
    places = re.findall(r' id="([^"]+)"', text)
    assert len(set(places)) == len(places)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(places)
    for where, method, operation in operations(golden(PAGES[path])["paths"]):
        assert operation["operationId"] in places
        assert f"curl -X {method.upper()}" in text
        assert where.replace("/", "/\u200b") in text
