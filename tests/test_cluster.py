"""The service on Ray Serve: it answers as the run does, says when there is too much to do, and opens nothing unsaid."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from _cluster import QUESTIONS
from _orthanc import namespace
from _serve import png

from discern_vqa import cli
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.opening import open_run
from discern_vqa.serve import cluster
from discern_vqa.serve.settings import Settings, named

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def seen(tiny_run, tmp_path_factory):
    """What a client in the network of a service on a real Ray saw (`_cluster.py`)."""
    if not cluster.is_installed():
        told = "NOT TESTED on a real Ray: pip install 'discern-vqa[cluster]'"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
    if not namespace():  # without one its ports would be open to others
        pytest.skip("NOT TESTED on a real Ray: this machine gives a process no network of its own (unshare)")
    folder = tmp_path_factory.mktemp("cluster")
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # of a name that Ray can put its sockets into
        command = [*namespace(), sys.executable, str(HERE / "_cluster.py"), str(tiny_run), str(folder), short]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    said = (folder / "said").read_text(encoding="utf-8")
    assert done.returncode == 0, f"{done.stderr}\n{said}"
    return json.loads((folder / "seen.json").read_text(encoding="utf-8")) | {"said": said}


def test_a_real_ray_gives_the_answers_of_the_run(seen, tiny_run, tmp_path):
    (tmp_path / "image.png").write_bytes(png(1))
    samples = [
        Sample(id="1", split="test", image="a", path=tmp_path / "image.png", question=text) for text in QUESTIONS
    ]
    told = seen["answers"]["answers"]
    assert len(told) == len(QUESTIONS) > 16, "more than one batch"
    for entry, answer in zip(told, open_run(tiny_run).answer_judged(samples), strict=True):
        assert (entry["answer"], entry["score"]) == (answer.text, pytest.approx(answer.score, abs=2e-4))
        assert entry["in_words"] == answer.verdict.in_words
    explanation, (first, *_) = seen["explanation"], told
    assert (explanation["method"], explanation["explained"]) == ("grad_cam", first["answer"])
    assert seen["similar"]["cases"][0]["thumbnail"].startswith("data:image/png;base64,")
    assert [entry["error"] is None for entry in seen["of_a_dicom"]["answers"]] == [True, False]
    assert (seen["wrong"]["status"], "grad_cam" in seen["wrong"]["hint"]) == (422, True)
    assert (seen["too_large"], seen["other_host"]) == (413, 421)
    assert seen["head"] == [200, "application/json", 0]


def test_a_full_queue_says_so_and_everybody_else_is_answered(seen):
    counts = Counter(status for status, _, _ in seen["at_once"])
    assert set(counts) == {200, 503}
    assert counts[200] >= 64
    for status, retry_after, answers in seen["at_once"]:
        expected = ("", [seen["answers"]["answers"][0]["answer"]]) if status == 200 else ("1", [])
        assert (retry_after, answers) == expected
    assert seen["after"] == 200


def test_it_listens_on_this_machine_alone_but_for_what_is_documented_and_leaves_nothing(seen):
    inward = ("0100007F", "0000000000000000FFFF00000100007F")
    outward = [address for address in seen["listening"] if address not in inward]
    assert len(outward) <= 2, "a port for the front and one for the replica, as docs/cluster.md says"
    assert seen["files_with_the_name"] == []
    assert (seen["status"], seen["left"]) == (0, [])
    assert seen["said"].splitlines()[-1] == "ending: what was begun is finished"
    assert "listening on http://127.0.0.1:8765" in seen["said"]


def test_it_refuses_to_open_a_port_to_others_and_says_what_to_do(tiny_run, monkeypatch):
    monkeypatch.setattr(cluster, "is_installed", lambda: True)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    monkeypatch.setattr(cluster, "interfaces_to_others", lambda: ["eth0"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        settings = Settings(runs={"run": tiny_run}, port=free.getsockname()[1])
    with pytest.raises(ConfigError, match="others reach this machine by eth0") as refused:
        cluster.check_cluster(settings, cluster.LOCAL)
    assert "docs/cluster.md" in refused.value.hint
    with pytest.raises(ConfigError, match="no address of a Ray"):
        cluster.check_cluster(settings, "here")
    cluster.check_cluster(replace(settings, behind_proxy=True), cluster.LOCAL)
    monkeypatch.setenv("RAY_USE_TLS", "1")
    cluster.check_cluster(settings, cluster.LOCAL)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"nothing can listen on 127.0.0.1, port {port}") as refused:
            cluster.check_cluster(replace(settings, port=port), cluster.LOCAL)
    assert refused.value.hint == f"--port {port % 65535 + 1}"
    with pytest.raises(ConfigError, match=f"no Ray listens on 127.0.0.1:{port}"):
        cluster.check_cluster(settings, f"127.0.0.1:{port}")
    for wrong in ("here", "ray://a:1", "a:0", ":1"):
        with pytest.raises(ConfigError, match="no address of a Ray|no Ray listens"):
            cluster.check_cluster(settings, wrong)
    with pytest.raises(ConfigError, match="a port of its own"):
        cluster.check_cluster(replace(settings, port=0), cluster.LOCAL)
    monkeypatch.setattr(cluster, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match="needs ray"):
        cluster.check_cluster(settings, cluster.LOCAL)


@pytest.mark.skipif(not namespace(), reason="this machine gives a process no network of its own (unshare)")
def test_replicas_without_a_cluster_and_an_address_of_another_machine_are_refused(tiny_run, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "is_installed", lambda: True)
    assert cli.main(["serve", str(tiny_run), "--replicas", "3"]) == 2
    assert "--replicas is for --cluster" in capsys.readouterr().err
    elsewhere = Settings(runs=named([tiny_run]), host="192.0.2.1", port=8765, behind_proxy=True)
    with pytest.raises(ConfigError, match="Cannot assign requested address") as caught:
        cluster.check_cluster(elsewhere, cluster.LOCAL)
    assert caught.value.hint == "--host with an address of this machine"


def test_a_network_of_its_own_leads_to_nobody():
    program = "from discern_vqa.serve.cluster import interfaces_to_others as them; print(them())"
    asked = subprocess.run([*namespace(), sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "[]"
