"""Who may call the service, by which name, with which headers, and how much may be sent. No model is opened here."""

import socket
import time

import pytest
from _serve import BASE, HEADERS, png
from starlette.testclient import TestClient

from discern_vqa import cli
from discern_vqa.errors import ConfigError
from discern_vqa.serve.app import build
from discern_vqa.serve.corrections import Corrections
from discern_vqa.serve.keys import Keys, new_key
from discern_vqa.serve.service import Service
from discern_vqa.serve.settings import Bounds, Settings

PNG = {"Content-Type": "image/png"}


def client_of(tiny_run, **settings):
    """The application before it opens its runs."""
    service = Service(Settings(runs={"run": tiny_run}, **settings))
    return TestClient(build(service), base_url=BASE, headers=HEADERS), service


def test_a_service_that_loads_lives_but_is_not_ready(tiny_run):
    client, service = client_of(tiny_run)
    assert client.get("/livez").json() == {"status": "alive"}
    for path in ("/readyz", "/v1/model", "/v1/models", "/v1/suggestions"):
        reply = client.get(path)
        assert (reply.status_code, reply.json()["detail"]) == (503, "the models are still loading")
    service.gate.ends = True
    assert client.get("/livez").status_code == 200
    assert client.get("/v1/images").json()["detail"] == "the service is ending"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::2]:1"])
def test_a_name_that_is_made_to_mean_this_computer_is_refused(tiny_run, host):
    client, _ = client_of(tiny_run, hostnames=("ward.example",))
    assert client.get("/livez", headers={"Host": host}).status_code == 421
    for name in ("localhost:1", "LOCALHOST", "[::1]:8765", "ward.example"):
        assert client.get("/livez", headers={"Host": name}).status_code == 200


def test_a_page_of_another_site_changes_nothing(tiny_run):
    client, service = client_of(tiny_run)
    post = {"url": "/v1/images", "content": png(), "headers": PNG}
    for headers in (
        {"X-Discern": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        reply = client.post(**(post | {"headers": PNG | headers}))
        assert reply.status_code == 403, headers
        assert "access-control-allow-origin" not in reply.headers
    assert len(service.images) == 0
    assert client.post(**(post | {"headers": PNG | {"Origin": BASE}})).status_code == 201
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    reply = client.options("/v1/images", headers=preflight)
    assert reply.status_code == 405
    assert "access-control-allow-origin" not in reply.headers
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        chat = client.post("/v1/chat/completions", content=b"{}", headers={"Content-Type": kind, "X-Discern": ""})
        assert chat.status_code == 415


def test_bodies_are_limited_while_they_arrive(tiny_run):
    bounds = Bounds(body=10_000, json_body=2000, in_flight=9000, pause=0.1)
    client, service = client_of(tiny_run, bounds=bounds)
    assert client.post("/v1/images", content=png(), headers=PNG).status_code == 201

    def pieces(count, size, pause=0.0):
        for _ in range(count):
            time.sleep(pause)
            yield bytes(size)

    assert client.post("/v1/images", content=bytes(10_001), headers=PNG).status_code == 413
    assert client.post("/v1/images", content=pieces(6, 2000), headers=PNG).status_code in (413, 503)
    assert (
        client.post("/v1/answers", content=pieces(2, 1500), headers={"Content-Type": "application/json"}).json()[
            "status"
        ]
        == 413
    )
    for length in ("-1", "1e3", "99999999999999999999"):
        assert client.post("/v1/images", content=b"", headers=PNG | {"Content-Length": length}).status_code == 413
    service.gate.received = 8999
    assert client.post("/v1/images", content=png(), headers=PNG).json()["status"] == 503
    assert service.gate.received == 8999
    assert service.gate.running == 0


def test_each_user_has_a_key_and_sees_their_own_images(tiny_run, tmp_path):
    file, log = tmp_path / "keys.jsonl", tmp_path / "access.jsonl"
    anna, otto = new_key(file, "anna"), new_key(file, "otto")
    assert file.stat().st_mode & 0o077 == 0
    assert anna.partition(".")[2] not in file.read_text()
    client, _ = client_of(tiny_run, key_file=file, access_log=log)
    assert client.get("/livez").status_code == 200
    for headers in ({}, *({"Authorization": f"Bearer {key}"} for key in ("", "anna.", f"otto.{anna[5:]}", "x" * 5000))):
        for path in ("/v1/images", "/metrics"):
            reply = client.get(path, headers=headers)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    as_anna, as_otto = ({"Authorization": f"Bearer {key}"} for key in (anna, otto))
    (image,) = client.post("/v1/images", content=png(), headers=PNG | as_anna).json()["images"]
    assert client.get(f"/v1/images/{image['id']}", headers=as_anna).status_code == 200
    assert client.get(f"/v1/images/{image['id']}", headers=as_otto).status_code == 404
    assert client.get("/v1/images", headers=as_otto).json() == {"images": []}
    assert [line for line in log.read_text().splitlines() if '"user": "otto"' in line and '"status": 404' in line]
    renewed = new_key(file, "anna")
    keys = Keys.read(file)
    assert (keys.user_of(anna), keys.user_of(renewed), keys.user_of(otto)) == (None, "anna", "otto")
    assert keys.seen(renewed) == "anna"
    assert keys.seen(anna) is None


@pytest.mark.parametrize("line", ["{}", "no json", '{"version": 1, "user": "a", "salt": "!", "hash": ""}', ""])
def test_a_broken_key_file_lets_nobody_in(tmp_path, line):
    file = tmp_path / "keys.jsonl"
    file.write_text(f"{line}\n" if line else "")
    file.chmod(0o600)
    with pytest.raises(ConfigError):
        Keys.read(file)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        Keys.read(file)


def test_the_command_opens_to_others_only_with_keys_and_encryption(tiny_run, tmp_path, capsys):
    key_file = str(tmp_path / "keys.jsonl")
    assert cli.main(["serve", str(tiny_run), "--new-key", "anna", "--key-file", key_file]) == 0
    assert capsys.readouterr().out.partition(": ")[2].startswith("anna.")
    refused = [
        (["--host", "0.0.0.0"], "--key-file"),
        (["--host", "0.0.0.0", "--key-file", key_file], "--tls-cert"),
        (["--host", "0.0.0.0", "--key-file", key_file, "--tls-cert", "a.pem"], "--tls-key"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "PEM"),
        ([str(tiny_run.parent / "phantoms")], "discern train"),
        (["--new-key", "anna"], "--key-file"),
        (["--new-key", "Anna Doe", "--key-file", key_file], "letters"),
    ]
    for arguments, hint in refused:
        assert cli.main(["serve", str(tiny_run), *arguments]) == 2
        error, told = capsys.readouterr().err.splitlines()[-2:]
        assert error.startswith("error: ")
        assert hint in told


def test_a_port_that_is_taken_is_told_before_the_run_is_opened(tiny_run, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli.main(["serve", str(tiny_run), "--port", str(port)]) == 2
    told = capsys.readouterr().err
    assert f"--port {port} is not available on 127.0.0.1: another program listens there" in told
    assert "loading" not in told


def test_a_run_that_is_damaged_ends_the_service_with_its_reason(tiny_run, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("config.json", "vocabulary.json"):
        (damaged / name).write_bytes((tiny_run / name).read_bytes())
    (damaged / "model.safetensors").write_bytes(b"\0" * 64)
    assert cli.main(["serve", str(damaged), "--port", "0"]) == 2
    assert "model.safetensors is missing or damaged" in capsys.readouterr().err


def test_a_correction_that_was_cut_off_is_taken_out(tmp_path):
    folder = tmp_path / "corrections"
    Corrections(folder)
    (folder / "samples.jsonl").write_bytes(b'{"id": "1"}\n{"id": "2"')
    assert Corrections(folder).count == 1
    assert (folder / "samples.jsonl").read_bytes() == b'{"id": "1"}\n'
