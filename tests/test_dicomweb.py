"""Talking to an archive: which addresses are taken, what is asked and sent, and what a bad answer becomes."""

import base64
import gzip
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from _medical import dicom

from discern_vqa.dicomweb.address import Address, checked_uid, checked_url
from discern_vqa.dicomweb.archive import Archive
from discern_vqa.dicomweb.choosing import choose, who_and_what
from discern_vqa.dicomweb.connection import PASSWORD, TOKEN, USER, ArchiveError
from discern_vqa.dicomweb.memory_file import memory_file
from discern_vqa.errors import ConfigError, DataError, ImageError

STUDY, PLACE = "1.2.840.1", Address("1.2.840.1", "1.2.840.2", "1.2.840.3")
SECRET = "Doe^Jane"


class Server:
    """Answers by path: (status, headers, body); keeps what it was asked, with the headers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    for name in (USER, PASSWORD, TOKEN, "NETRC", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", os.devnull)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            about.asked.append((self.path, dict(self.headers)))
            status, headers, body = about.answers.get(urlsplit(self.path).path, (404, {}, SECRET.encode()))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *given: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    about = Server(f"http://127.0.0.1:{http.server_port}/pacs")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield about
    http.shutdown()
    http.server_close()
    thread.join()


WADO = "/pacs/studies/1.2.840.1/series/1.2.840.2/instances/1.2.840.3"
MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary="XX-1"'}


def parts(*files: bytes) -> bytes:
    return (
        b"".join(b"--XX-1\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files)
        + b"--XX-1--\r\n"
    )


def found(series: str, instance: str, modality: str = "CT", number: int = 1, sop_class: str = "1.2.3") -> dict:
    values = {"0020000E": series, "00080018": instance, "00080060": modality, "00200013": number, "00080016": sop_class}
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in values.items()}


def lists(server: Server, *images: dict, series: str = "") -> None:
    middle = f"/series/{series}" if series else ""
    body = json.dumps(images).encode()
    server.answers[f"/pacs/studies/{STUDY}{middle}/instances"] = (200, {"Content-Type": "application/dicom+json"}, body)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2/3.4/5.6", Address("1.2", "3.4", "5.6")),
        (" studies/1.2/series/3.4/instances/5.6#frame=3 ", Address("1.2", "3.4", "5.6", "#frame=3")),
        ("1.2/3.4", None),
        ("1.2/3.4/../5.6", None),
        ("1.2/3.4/5.6?x=1", None),
        ("1.2/3.4/5..6", None),
        (f"1.2/3.4/{'1' * 65}", None),
        ("a.png", None),
    ],
)
def test_an_image_is_named_by_three_uids(text, address):
    if address is None:
        with pytest.raises(DataError, match="is no image of an archive; expected study/series/instance"):
            Address.parse(text)
    else:
        assert Address.parse(text) == address
        assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("url", "told", "hint"),
    [
        ("https://u:p4ss@pacs.example/web", "holds a user or password", "DISCERN_DICOMWEB_USER"),
        ("http://pacs.example/web", "is not encrypted", "ssh -N -L 8042:localhost:80 pacs.example"),
        ("http://127.0.0.1.evil.example/", "is not encrypted", "https://"),
        ("http://localhost.evil.example:8042/", "is not encrypted", "https://"),
        ("file:///etc/passwd", "is no address", "https://"),
        ("https://pacs.example/web?x=1", "is no address", "https://"),
        ("https://pacs.example:port/", "is no address", "https://"),
        ("https://", "is no address", "https://"),
    ],
)
def test_an_address_that_would_leak_or_is_none_is_refused(url, told, hint):
    with pytest.raises(ConfigError, match=told) as caught:
        checked_url(url)
    assert hint in caught.value.hint
    assert "p4ss" not in str(caught.value) + caught.value.hint


def test_addresses_and_uids_that_are_taken():
    for url in (
        "https://pacs.example/web/",
        "http://localhost:8042/dicom-web",
        "http://127.9.9.9/x",
        "http://[::1]:80/x",
    ):
        assert checked_url(f" {url}") == url.rstrip("/")
    assert checked_uid(" 1.2.3 ", "--study") == "1.2.3"
    with pytest.raises(ConfigError, match="--study '1/2' is no UID"):
        checked_uid("1/2", "--study")


def test_the_file_comes_as_it_is_stored_and_lies_in_memory_alone(server):
    content = b"\0" * 128 + b"DICM" + bytes(range(256)) + b"\r\n\r\n--XX-\r\n"
    with Archive(server.url) as archive:
        for body, headers in ((parts(content), MULTIPART), (content, {"Content-Type": "application/dicom"}),
                              (parts(content, b"second"), MULTIPART)):  # fmt: skip
            server.answers[WADO] = (200, headers, body)
            assert archive.fetch(PLACE) == content
    asked = server.asked[0][1]
    assert asked["Accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert "Authorization" not in asked
    with memory_file(content) as file:
        assert file.read_bytes() == content
        assert file.is_file()
        assert not os.path.exists(os.readlink(file))  # no folder has it
    assert not file.exists()


@pytest.mark.parametrize(
    ("environment", "netrc", "header"),
    [
        ({USER: "jürgen", PASSWORD: "gehéim:1"}, "", "Basic " + base64.b64encode("jürgen:gehéim:1".encode()).decode()),
        ({TOKEN: "t0k", USER: "u"}, "", "Bearer t0k"),
        ({}, "machine 127.0.0.1 login a password b", "Basic " + base64.b64encode(b"a:b").decode()),
        ({}, "machine elsewhere.example login a password b", None),
    ],
)
def test_credentials_come_from_the_environment_or_netrc(server, monkeypatch, tmp_path, environment, netrc, header):
    (tmp_path / "netrc").write_text(netrc)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    lists(server)
    with Archive(server.url) as archive:
        assert archive.images(STUDY) == []
    assert server.asked[0][1].get("Authorization") == header


def test_a_search_asks_for_nothing_of_the_patient(server):
    lists(server, found("1.2", "3.4"))
    with Archive(server.url) as archive:
        archive.images(STUDY)
    (path, headers) = server.asked[0]
    fields = {field for value in parse_qs(urlsplit(path).query)["includefield"] for field in value.split(",")}
    assert fields == {"Modality", "BodyPartExamined", "InstanceNumber", "SOPClassUID"}
    assert headers["Host"] == urlsplit(server.url).netloc


def test_no_other_address_is_ever_followed_or_told_the_password(server, monkeypatch):
    monkeypatch.setenv(USER, "u")
    monkeypatch.setenv(PASSWORD, "p")
    other = server.url.replace("127.0.0.1", "127.0.0.2")
    server.answers[WADO] = (302, {"Location": f"{other}/elsewhere"}, b"")
    with Archive(server.url) as archive:
        with pytest.raises(ArchiveError, match="points to another address"):
            archive.fetch(PLACE)
        server.answers[WADO] = (302, {"Location": "/pacs/here"}, b"")
        server.answers["/pacs/here"] = (200, {"Content-Type": "application/dicom"}, b"file")
        assert archive.fetch(PLACE) == b"file"
    assert [path for path, _ in server.asked] == [WADO, WADO, "/pacs/here"]


BOMB = gzip.compress(b"\0" * 8_000_000)


@pytest.mark.parametrize(
    ("status", "headers", "body", "told", "hint"),
    [
        (401, {}, SECRET.encode(), "refuses access (HTTP 401)", USER),
        (403, {}, b"", "refuses access (HTTP 403)", USER),
        (500, {}, SECRET.encode(), "answers with an error (HTTP 500)", "its own log"),
        (200, MULTIPART, b"nothing", "answers a request for an image otherwise than DICOMweb does", "curl"),
        (200, {"Content-Type": "text/html"}, SECRET.encode(), "otherwise than DICOMweb does", "curl"),
        (200, {"Content-Type": "application/dicom"}, b"", "otherwise than DICOMweb does", "curl"),
        (200, {"Content-Type": "application/dicom"}, b"x" * 3_000_000, "sends more than 2 MB at once", ""),
        (200, {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}, BOMB, "sends more than 2 MB", ""),
        (200, {"Content-Type": "application/dicom", "Content-Length": "100000"}, b"short", "cannot be reached", "curl"),
        (302, {"Location": WADO}, b"", "does not answer as DICOMweb does", "curl"),
    ],
)
def test_a_bad_answer_is_said_and_never_quoted(server, status, headers, body, told, hint):
    server.answers[WADO] = (status, headers, body)
    with Archive(server.url, most_bytes=1_000_000) as archive, pytest.raises(ArchiveError) as caught:
        archive.fetch(PLACE)
    assert told in str(caught.value)
    assert hint in caught.value.hint
    assert SECRET not in str(caught.value) + caught.value.hint


def test_a_certificate_that_nobody_vouches_for_ends_it_and_a_named_authority_is_trusted(tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("NETRC", os.devnull)
    for name in (USER, TOKEN, "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"file")

        def log_message(self, *given: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"https://localhost:{http.server_port}/pacs"
        with (
            pytest.raises(ArchiveError, match="certificate of localhost:.* is not trusted") as caught,
            Archive(url) as archive,
        ):
            archive.fetch(PLACE)
        assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Archive(url) as archive:
            assert archive.fetch(PLACE) == b"file"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def test_an_image_that_is_not_there_is_no_failure_of_the_archive(server):
    with Archive(server.url) as archive:
        with pytest.raises(ImageError, match=r"the archive has no image 1\.2\.840\.1/1\.2\.840\.2/1\.2\.840\.3"):
            archive.fetch(PLACE)
        for body in (b"{", b'["text"]', b"<html>"):
            server.answers[f"/pacs/studies/{STUDY}/instances"] = (200, {"Content-Type": "application/json"}, body)
            with pytest.raises(ArchiveError, match="otherwise than DICOMweb does|does not answer as DICOMweb does"):
                archive.images(STUDY)
    with pytest.raises(ArchiveError, match="cannot be reached"), Archive("http://127.0.0.1:9/x") as archive:
        archive.fetch(PLACE)


def test_of_a_study_the_one_image_is_taken_of_a_series_the_middle_one_and_several_series_are_listed(server):
    capture = "1.2.840.10008.5.1.4.1.1.7"
    with Archive(server.url) as archive:
        lists(server, found("1.1", "2.1"), found("1.2", "2.2", "SR"), found("1.3", "2.3", "OT", sop_class=capture))
        assert choose(archive, STUDY) == (Address(STUDY, "1.1", "2.1"), ""), "answers that were filed are no images"
        lists(server, *[found("1.1", f"2.{number}", number=number) for number in (10, 9, 11, 2)])
        address, told = choose(archive, STUDY)
        assert address.instance == "2.9"  # 2, 9, 10, 11: the second of four, as of the frames of a file
        assert told.startswith("image 2 of 4 of the series")
        assert choose(archive, STUDY, instance="2.11#frame=2") == (Address(STUDY, "1.1", "2.11", "#frame=2"), "")
        lists(server, found("1.1", "2.1"), found("1.4", "2.2", "MR"), found("1.4", "2.3", "MR", number=2))
        with pytest.raises(
            DataError, match=r"2 series with images: 1\.1 \(CT, 1 image\); 1\.4 \(MR, 2 images\)"
        ) as caught:
            choose(archive, STUDY)
        assert caught.value.hint == "--series 1.1"
        lists(server, found("1.4", "2.2", "MR"), series="1.4")
        assert choose(archive, STUDY, "1.4")[0].series == "1.4"
        lists(server, found("1.2", "2.2", "SR"))
        with pytest.raises(DataError, match=r"has no image in study 1\.2\.840\.1 \(it has 1 other objects\)"):
            choose(archive, STUDY)
        with pytest.raises(ConfigError, match="--series 'x'"):
            choose(archive, STUDY, "x")


def test_who_the_patient_is_is_told_without_signs_that_steer_a_terminal(tmp_path):
    values = np.arange(400, dtype=np.uint16).reshape(20, 20)
    given = {
        "PatientName": "Doe^Jane\x1b[2J",
        "PatientBirthDate": "19700101",
        "StudyDate": "20200229",
        "StudyDescription": "",
    }
    with memory_file(dicom(values, **given)) as file:
        assert who_and_what(Path(file)) == ["patient: Doe^Jane[2J, 0815, born 1970-01-01", "study: 2020-02-29, OT"]
