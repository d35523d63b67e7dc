"""The service's routes: what they answer is what the run answers in Python."""

import base64
import io
import json
import shutil
import zipfile

import numpy as np
import pydicom
import pytest
from _medical import dicom, scene
from _serve import calibrated, opened, pixels, png, serving, upload
from PIL import Image

from discern_vqa.data.sample import Sample
from discern_vqa.datasets import jsonl
from discern_vqa.dicomweb.archive import Listed
from discern_vqa.dicomweb.connection import ArchiveError
from discern_vqa.evaluation.explain import Explainer
from discern_vqa.evaluation.heatmaps import scaled
from discern_vqa.evaluation.opening import open_run

NAME = "DOE^JANE_19700101"
QUESTIONS = ["Is there a nodule?", "Where is the lesion?", "What is the finding?"]


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    return calibrated(tiny_run, tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(run, tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    plain = tmp_path_factory.mktemp("plain") / "run"
    shutil.copytree(tiny_run, plain, ignore=shutil.ignore_patterns("ood.*", "calibration.json"))
    with serving(run, plain, corrections=folder / "corrections", access_log=folder / "log" / "access.jsonl") as made:
        made.folder = folder
        yield made


@pytest.fixture(scope="module")
def predictor(run):
    return open_run(run)


def test_answers_are_those_of_the_run_with_all_that_is_known_of_them(client, predictor, tmp_path):
    content = png(1)
    (tmp_path / "image.png").write_bytes(content)
    (about,) = upload(client, content, name=f"{NAME}.png")
    asked = [QUESTIONS[0], " ", QUESTIONS[1], 5, "x" * 1001, QUESTIONS[2]]
    reply = client.post("/v1/answers", json={"image": about["id"], "questions": asked}).json()
    told = reply["answers"]
    assert [entry["error"] is None for entry in told] == [True, False, True, False, False, True]
    assert set(told[1]) == {"question", "error"}
    assert [told[place]["error"]["detail"] for place in (1, 3)] == ["the question is empty", "the question is no text"]
    samples = [
        Sample(id="1", split="test", image="a", path=tmp_path / "image.png", question=text) for text in QUESTIONS
    ]
    for entry, answer in zip([told[0], told[2], told[5]], predictor.answer_judged(samples), strict=True):
        verdict = answer.verdict
        assert (entry["answer"], entry["abstains"], entry["reason"]) == (answer.text, verdict.abstains, verdict.reason)
        assert entry["confidence"] == pytest.approx(verdict.confidence, abs=1e-4)
        assert (entry["is_calibrated"], entry["set_coverage"]) == (True, verdict.coverage)
        answer_set = None if verdict.answer_set is None else list(verdict.answer_set)
        assert (entry["answer_set"], entry["outside"]) == (answer_set, list(verdict.outside))
        assert (entry["promise"], entry["in_words"]) == (verdict.promise, verdict.in_words)
        shares = {"image": answer.within.image, "question": answer.within.question}
        typical = {kind: pytest.approx(share, abs=1e-4) for kind, share in shares.items() if share is not None}
        assert entry["typical"] == typical != {}
        assert [text for text, _ in entry["alternatives"]] == [text for text, _ in answer.alternatives]
    assert (reply["run"], reply["frame"], len(reply["weights"])) == ("calibrated", 1, 16)
    text = client.get("/metrics").text
    assert 'discern_confidence_count{run="calibrated"} ' in text
    assert 'discern_requests_total{code="200",route="/v1/answers"} ' in text

    other = client.post("/v1/answers", json={"image": about["id"], "questions": QUESTIONS[:1], "run": "run"}).json()
    assert (other["answers"][0]["is_calibrated"], other["answers"][0]["typical"]) == (False, None)
    for change, status in (({"run": "none"}, 404), ({"mode": "rank"}, 422), ({"image": "0"}, 404), ({"frame": 2}, 404)):
        refused = client.post("/v1/answers", json={"image": about["id"], "questions": QUESTIONS, **change})
        assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
        assert refused.json()["hint"]


def test_the_run_says_what_it_is(client, run):
    told = client.get("/v1/model").json()
    assert (told["runs"], told["model"], told["size"]) == (["calibrated", "run"], "cmdpi", 64)
    assert (told["calibrated"], told["coverage"], told["detects_outside"]) == (True, 0.9, True)
    assert told["limits"] == "Research software: not for diagnosis."
    assert client.get("/v1/model?run=run").json()["calibrated"] is False
    suggestions = client.get("/v1/suggestions?limit=3").json()
    counts = [question["count"] for question in suggestions["questions"]]
    assert len(counts) == 3
    assert counts == sorted(counts, reverse=True)
    assert set(suggestions["answers"]) == set(open_run(run).run.vocabulary.shown)


def test_a_heat_map_is_that_of_the_explainer_and_covers_the_image(client, predictor, tmp_path):
    content = png(4, (96, 48))
    (tmp_path / "image.png").write_bytes(content)
    (about,) = upload(client, content)
    told = client.post(
        "/v1/explanations", json={"image": about["id"], "question": QUESTIONS[0], "method": "grad_cam"}
    ).json()
    explainer = Explainer(predictor.run, predictor.model, predictor.batcher)
    sample = Sample(id="1", split="test", image="b", path=tmp_path / "image.png", question=QUESTIONS[0])
    inputs = explainer.inputs([sample])
    (grid,) = explainer.maps("grad_cam", inputs, explainer.chosen(inputs))
    assert np.allclose(told["grid"], scaled(grid), atol=1e-3)
    drawn = opened(base64.b64decode(told["map"].partition(",")[2]))
    assert drawn.shape == (48, 96) == (told["rows"], told["columns"])
    assert (told["method"], told["answer"]["answer"], told["hit_rate"]) == ("grad_cam", told["explained"], None)
    refused = client.post("/v1/explanations", json={"image": about["id"], "question": "?", "method": "magic"})
    assert refused.status_code == 422
    assert "grad_cam" in refused.json()["hint"]


def test_similar_cases_come_from_the_training_data_with_their_images(client, tiny_run):
    (about,) = upload(client, png(5))
    cases = client.post("/v1/similar", json={"image": about["id"], "question": QUESTIONS[0], "count": 3}).json()[
        "cases"
    ]
    assert len({case["image"] for case in cases}) == 3
    sums = [case["image_similarity"] + case["question_similarity"] for case in cases]
    assert sums == sorted(sums, reverse=True)
    assert all(case["image"].startswith("images/train/") for case in cases)
    for case in cases:
        shown = opened(base64.b64decode(case["thumbnail"].partition(",")[2]))
        with Image.open(tiny_run.parent / "phantoms" / case["image"]) as image:
            assert np.array_equal(shown, np.asarray(image)), "64 pixels fit as they are"


def test_what_is_least_certain_comes_next_until_it_is_corrected_and_corrections_train(client):
    for held in client.get("/v1/images").json()["images"]:
        assert client.delete(f"/v1/images/{held['id']}").status_code == 204
    (about,) = upload(client, dicom(scene(), Modality="CT", PatientName=NAME), name=f"{NAME}.dcm")
    client.post("/v1/answers", json={"image": about["id"], "questions": QUESTIONS, "window": "0:2000"})
    items = client.get("/v1/next").json()["items"]
    assert sorted(item["confidence"] for item in items) == [item["confidence"] for item in items]
    assert {item["question"] for item in items} == set(QUESTIONS)
    first = items[0]
    said = {"image": about["id"], "question": first["question"], "answer": "an answer of a person", "window": "0:2000"}
    reply = client.post("/v1/corrections", json=said | {"model_answer": first["answer"], "confidence": 0.25})
    assert (reply.status_code, reply.json()["corrections"]) == (201, 1)
    left = client.get("/v1/next").json()["items"]
    assert [item["question"] for item in left] == [item["question"] for item in items[1:]]
    (sample,) = jsonl.read(client.folder / "corrections", "train")
    assert (sample.question, sample.answer) == (first["question"], "an answer of a person")
    assert (sample.extra["model_answer"], sample.extra["confidence"]) == (first["answer"], 0.25)
    with Image.open(sample.path) as kept:
        image = client.get(f"/v1/images/{about['id']}/frames/1?as=png&window=0:2000")
        assert np.array_equal(np.asarray(kept), opened(image.content))
    empty = client.post("/v1/corrections", json=said | {"answer": " "})
    assert empty.status_code == 422


def test_openai_s_shape_gives_the_same_answer(client):
    content = png(6)
    (about,) = upload(client, content)
    (entry,) = client.post("/v1/answers", json={"image": about["id"], "questions": QUESTIONS[:1]}).json()["answers"]
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"

    def ask(url=uri, **more):
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTIONS[0]}]
        body = {"model": "calibrated", "messages": [{"role": "user", "content": parts}], "temperature": 0} | more
        return client.post("/v1/chat/completions", json=body, headers={"X-Discern": ""})

    told = ask(logprobs=True, top_logprobs=2).json()
    (choice,) = told["choices"]
    assert (choice["message"]["content"], told["discern"]) == (entry["answer"], entry)
    (token,) = choice["logprobs"]["content"]
    assert np.exp(token["logprob"]) == pytest.approx(entry["score"], abs=1e-6)
    assert [top["token"] for top in token["top_logprobs"]] == [text for text, _ in entry["alternatives"][:2]]
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["calibrated", "run"]
    for url in ("http://127.0.0.1:1/a.png", "file:///etc/passwd", "data:text/html;base64,AAAA", f"{uri}!"):
        refused = ask(url)
        assert refused.status_code == 400
        assert refused.json()["error"]["type"] == "invalid_request_error"
    assert ask(stream=True).status_code == 400
    assert ask(model="none").status_code == 404


STUDY = {
    "PatientName": NAME,
    "PatientID": "4711",
    "StudyInstanceUID": "1.2.826.9",
    "SeriesInstanceUID": "1.2.826.9.1",
    "StudyDate": "20261130",
    "SOPInstanceUID": "1.2.3",
}


class Archive:
    """An archive of two slices of one series; what is stored in it."""

    stored, files = [], {
        f"1.2.826.9.1.{number}": dicom(scene(seed=number), **STUDY | {"SOPInstanceUID": f"1.2.826.9.1.{number}"},
                                       InstanceNumber=number)
        for number in (1, 2)
    }  # fmt: skip

    def __init__(self, url):
        self.url = url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def images(self, study, series=""):
        if study == "1.2.826.666":
            raise ArchiveError("the archive is away", hint="wait")
        return [Listed("1.2.826.9.1", uid, "CT", "", 1, "") for uid in self.files if study == "1.2.826.9"]

    def studies(self, date, modality):
        return ["1.2.826.9", "1.2.826.0"]

    def fetch(self, address):
        return self.files[address.instance]

    def store(self, objects):
        self.stored += objects


def test_images_come_from_an_archive_with_their_patient_and_answers_go_there(run, monkeypatch):
    monkeypatch.setattr("discern_vqa.serve.archive.Archive", Archive)
    with serving(run, dicomweb="http://127.0.0.1:1/dicom-web") as client:
        reply = client.get("/v1/model")
        assert reply.json().get("dicomweb") is True, reply.text
        (about,) = client.post("/v1/images", json={"dicomweb": {"study": "1.2.826.9"}}).json()["images"]
        assert (about["frames"], about["patient"]["name"], about["study"]["date"]) == (2, NAME, "20261130")
        listed = client.get("/v1/series?study=1.2.826.9").json()
        assert listed == {"series": [{"series": "1.2.826.9.1", "modality": "CT", "body_part": "", "images": 2}]}
        assert [client.get(f"/v1/series?study={uid}").status_code for uid in ("1.2.826.666", "x")] == [502, 422]
        for number in (1, 2):
            frame = client.get(f"/v1/images/{about['id']}/frames/{number}")
            assert np.array_equal(pixels(frame), scene(seed=number))
        for named, status in (("1.2.826.0", 422), ("1.2.826.666", 502), ("x", 422)):
            assert client.post("/v1/images", json={"dicomweb": {"study": named}}).status_code == status
        body = {"image": about["id"], "question": QUESTIONS[0], "frame": 2, "kinds": ["sr", "sc"]}
        (entry,) = client.post("/v1/answers", json=body_of(body)).json()["answers"]
        reply = client.post("/v1/dicom", json=body)
        with zipfile.ZipFile(io.BytesIO(reply.content)) as packed:
            made = [pydicom.dcmread(io.BytesIO(packed.read(name))) for name in packed.namelist()]
        assert [one.Modality for one in made] == ["SR", "OT"]
        assert {(str(one.PatientName), one.StudyInstanceUID) for one in made} == {(NAME, "1.2.826.9")}
        assert f"'{entry['answer']}'" in str(made[0].to_json()).replace('"', "'")
        stored = client.post("/v1/dicom", json=body | {"store": True, "kinds": ["sc"]}).json()["stored"]
        assert [one.SOPInstanceUID for one in Archive.stored] == stored
        (drawn,) = upload(client, png(1))
        assert client.post("/v1/dicom", json=body | {"image": drawn["id"], "frame": 1}).status_code == 422
        assert client.post("/v1/dicom", json=body | {"kinds": ["ps"]}).status_code == 422


def body_of(body):
    """The same question for `/v1/answers`."""
    return {"image": body["image"], "questions": [body["question"]], "frame": body["frame"]}


def test_nothing_of_a_patient_is_written_or_logged(client, capfd):
    (about,) = upload(client, dicom(scene(seed=9), PatientName=NAME), name=f"{NAME}.dcm")
    client.post("/v1/answers", json={"image": about["id"], "questions": [f"Is {NAME} well?"]})
    client.post("/v1/images", files=[("file", (f"{NAME}.png", b"broken" + NAME.encode()))])
    client.get(f"/v1/images/{NAME}/frames/1?window={NAME}")
    assert client.get(f"/{NAME}").status_code == 404
    log = (client.folder / "log" / "access.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    answered = [line for line in lines if line["route"] == "/v1/answers"][-1]
    assert (answered["status"], len(answered["image"])) == (200, 16)
    texts = [path.read_bytes() for path in client.folder.rglob("*") if path.is_file()]
    texts += [client.get("/metrics").content, "".join(capfd.readouterr()).encode()]
    assert not [text for text in texts if b"doe" in text.lower() or b"19700101" in text]
    assert (client.folder / "log" / "access.jsonl").stat().st_mode & 0o077 == 0


def test_the_page_comes_with_a_policy_that_lets_nothing_else_in(client):
    reply = client.get("/livez")
    assert reply.headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' blob: data:")
    assert (reply.headers["cache-control"], reply.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert client.get("/docs").status_code == client.get("/..%2fapp.py").status_code == 404
