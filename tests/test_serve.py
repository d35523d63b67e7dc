"""The service's routes: what they answer is what the run answers in Python, and what the readers read."""

import base64
import io
import json
import random
import struct

import nibabel
import numpy as np
import pytest
from _broken import SEEDS
from _medical import dicom, scene
from _mutations import mutated
from _serve import calibrated, encoded, png, serving, upload
from PIL import Image

from discern_vqa.data.sample import Sample
from discern_vqa.datasets import jsonl
from discern_vqa.evaluation.explain import Explainer
from discern_vqa.evaluation.heatmaps import scaled
from discern_vqa.evaluation.opening import open_run
from discern_vqa.imaging.images import load_image

NAME = "DOE^JANE_19700101"
QUESTIONS = ["Is there a nodule?", "Where is the lesion?", "What is the finding?"]


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    return calibrated(tiny_run, tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(run, tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    with serving(run, tiny_run, corrections=folder / "corrections", access_log=folder / "log" / "access.jsonl") as made:
        made.folder = folder
        yield made


@pytest.fixture(scope="module")
def predictor(run):
    return open_run(run)


def pixels(reply):
    """The values of a frame, and what they measure."""
    rows, columns = int(reply.headers["x-rows"]), int(reply.headers["x-columns"])
    if reply.headers["x-kind"] == "rgb8":
        return np.frombuffer(reply.content, "u1").reshape(rows, columns, 3)
    codes = np.frombuffer(reply.content, "<u2").reshape(rows, columns)
    return float(reply.headers["x-slope"]) * codes + float(reply.headers["x-intercept"])


def shown(reply):
    """A frame as docs/serve.md says that a viewer shows it."""
    centre, width = float(reply.headers["x-window-centre"]), float(reply.headers["x-window-width"])
    greys = 255 * np.clip((pixels(reply) - (centre - width / 2)) / width, 0, 1)
    return 255 - greys if reply.headers["x-invert"] == "1" else greys


def opened(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def test_a_dicom_frame_comes_as_it_was_measured_and_shows_as_the_readers_show_it(client):
    values = np.stack([scene(seed=seed).astype(np.int16) - 100 for seed in range(3)])
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        content = dicom(
            values,
            PhotometricInterpretation=photometric,
            Modality="CT",
            RescaleSlope="2.5",
            RescaleIntercept="-1024",
            WindowCenter="3000",
            WindowWidth="4000",
            PixelSpacing=["0.5", "0.5"],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 0],
        )
        (about,) = upload(client, content, name=f"{NAME}.dcm")
        assert (about["kind"], about["frames"], about["frame"], about["columns"], about["rows"]) == (
            "DICOM",
            3,
            2,
            48,
            40,
        )
        assert about["spacing"] == [0.5, 0.5]
        assert about["sides"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
        assert about["windows"][0] == "abdomen"
        for number in (1, 3):
            reply = client.get(f"/v1/images/{about['id']}/frames/{number}")
            assert np.allclose(pixels(reply), 2.5 * values[number - 1] - 1024.0)
            assert reply.headers["x-frames"] == "3"
            drawn = opened(client.get(f"/v1/images/{about['id']}/frames/{number}?as=png").content)
            assert np.abs(shown(reply) - drawn).max() <= 0.51
        lung = opened(client.get(f"/v1/images/{about['id']}/frames/1?as=png&window=lung").content)
        assert not np.array_equal(lung, opened(client.get(f"/v1/images/{about['id']}/frames/1?as=png").content))
        assert client.get(f"/v1/images/{about['id']}/frames/4").status_code == 404
        for window in ("lungs", "40:0", "full%23frame=1"):
            assert client.get(f"/v1/images/{about['id']}/frames/1?as=png&window={window}").status_code == 422


def test_files_of_one_series_are_one_image_in_the_order_of_their_slices(client):
    heights = [30.0, 10.0, 20.0]
    slices = [
        dicom(
            scene(seed=seed),
            SeriesInstanceUID="1.2.826.7",
            SOPInstanceUID=f"1.2.826.7.{seed}",
            InstanceNumber=seed + 1,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, height],
        )
        for seed, height in enumerate(heights)
    ]
    series, other = upload(client, *slices, png(7))
    assert (series["frames"], series["frame"], other["frames"]) == (3, 2, 1)
    frames = [pixels(client.get(f"/v1/images/{series['id']}/frames/{number}")) for number in (1, 2, 3)]
    for frame, seed in zip(frames, (1, 2, 0), strict=True):
        assert np.array_equal(frame, scene(seed=seed))


def test_every_kind_of_file_is_shown_as_its_reader_shows_it(client, tmp_path):
    volume = np.random.default_rng(0).integers(-500, 500, (6, 5, 4)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "volume.nii.gz")
    (about,) = upload(client, (tmp_path / "volume.nii.gz").read_bytes())
    assert about["axes"] == {"axial": 4, "coronal": 5, "sagittal": 6}
    reply = client.get(f"/v1/images/{about['id']}/frames/2?axis=coronal")
    # Columns run to the patient's left, rows to the feet; this affine has left and feet at the first index.
    assert np.array_equal(pixels(reply), volume[::-1, 1, ::-1].T)
    assert (reply.headers["x-frames"], reply.headers["x-spacing"], reply.headers["x-aspect"]) == ("5", "4.0,2.0", "2.0")

    pages = [Image.fromarray(scene(top=255, seed=seed)) for seed in range(2)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    (about,) = upload(client, (tmp_path / "pages.tif").read_bytes())
    assert (about["frames"], about["frame"]) == (2, 1)
    assert np.array_equal(pixels(client.get(f"/v1/images/{about['id']}/frames/2")), np.asarray(pages[1]))

    colours = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    (about,) = upload(client, encoded(colours))
    assert about["window"] is None
    assert np.array_equal(pixels(client.get(f"/v1/images/{about['id']}/frames/1")), colours)


def test_seen_is_what_the_model_gets(client, tmp_path):
    content = png(3, (80, 50))
    (tmp_path / "image.png").write_bytes(content)
    (about,) = upload(client, content)
    reply = client.get(f"/v1/images/{about['id']}/seen")
    assert np.array_equal(opened(reply.content), load_image(tmp_path / "image.png", 64))


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
        assert entry["typical"]["image"] == pytest.approx(answer.within.image, abs=1e-4)
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


def test_similar_cases_come_from_the_training_data(client):
    (about,) = upload(client, png(5))
    cases = client.post("/v1/similar", json={"image": about["id"], "question": QUESTIONS[0], "count": 3}).json()[
        "cases"
    ]
    assert len({case["image"] for case in cases}) == 3
    sums = [case["image_similarity"] + case["question_similarity"] for case in cases]
    assert sums == sorted(sums, reverse=True)
    assert all(case["image"].startswith("images/train/") for case in cases)


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


@pytest.mark.filterwarnings("ignore")  # of Pillow and pydicom; the process of a service ignores them
def test_broken_uploads_are_refused_and_never_fail(client):
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60000, 60000, 8, 0, 0, 0, 0) + b"\0" * 64
    statuses = [client.post("/v1/images", files=[("file", ("../../etc/x", bomb))]).status_code]
    for kind, seeds in SEEDS.items():
        contents, draw = seeds(), random.Random(kind)
        for _ in range(3):
            content = mutated(draw.choice(contents), kind, draw, contents)
            statuses.append(client.post("/v1/images", files=[("file", ("a/../b\0.dcm", content))]).status_code)
    assert set(statuses) <= {201, 413, 422}
    assert statuses[0] in (413, 422)
    assert statuses.count(422) > 10
    for body in (b"", b"--x\r\n", b"\0" * 100):
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        assert client.post("/v1/images", content=body, headers=headers).status_code == 422
    assert client.post("/v1/images", content=b"", headers={"Content-Type": "image/png"}).status_code == 422
    refused = client.post("/v1/images", content=b"%PDF-1.4", headers={"Content-Type": "application/octet-stream"})
    assert "/proc" not in refused.text
    assert refused.json()["detail"].startswith("the image")
