"""Against a real archive: an image is asked about by its study, and its answers are filed beside it and read back."""

import io
import json
import os
import re
import runpy
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from _orthanc import PASSWORD, USER, Running, missing, namespace, orthanc
from _serve import serving
from pydicom.data import get_testdata_file

from discern_vqa.cli import main
from discern_vqa.dicom_out import KINDS
from discern_vqa.dicom_out.patient import EMPTY_WHERE_MISSING, PATIENT, STUDY
from discern_vqa.dicomweb.address import Address
from discern_vqa.dicomweb.archive import Archive

DRILL = Path(__file__).parents[1] / "benchmarks" / "archive_drill.py"
NAME, NUMBER, DOCTOR = "Plantednam^Zebedee", "PLANT-4711", "Mustnotstay^Ruth"
PLANTED = (b"plantednam", b"zebedee", b"plant-4711", b"mustnotstay")
FILES = ("CT_small.dcm", "MR_small.dcm")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Iterator[Running]:
    if packages := missing():
        told = f"no real archive to test against; apt-get install {' '.join(packages)}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    if not namespace():  # without one it would listen on every interface of this machine: nowhere, CI included
        pytest.skip("NOT TESTED against a real archive: this machine gives a process no network of its own (unshare)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCERN_DICOMWEB_USER", USER)
        patch.setenv("DISCERN_DICOMWEB_PASSWORD", PASSWORD)
        with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
            yield running


@pytest.fixture(scope="module")
def images(archive, tmp_path_factory) -> dict[str, tuple[Path, pydicom.Dataset]]:
    """Two images with names that are searched for later, stored; name -> (file, header)."""
    folder, made = tmp_path_factory.mktemp("images"), {}
    with Archive(archive.url) as opened:
        for name in FILES:
            image = pydicom.dcmread(get_testdata_file(name))
            image.PatientName, image.PatientID, image.ReferringPhysicianName = NAME, NUMBER, DOCTOR
            # Others than in the test of kills, which stores the files as they are.
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                setattr(image, keyword, f"{image[keyword].value}.7")
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.save_as(folder / name)
            opened.store([image])
            made[name] = folder / name, image
    return made


def place(image: pydicom.Dataset) -> str:
    return str(Address(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID))


def run_command(capsys, *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_question_about_a_study_is_answered_as_one_about_its_file(archive, images, tiny_run, capsys):
    file, header = images["CT_small.dcm"]
    question = "Is there a mass?"
    status, out, _ = run_command(
        capsys, "ask", tiny_run, "--dicomweb", archive.url, "--study", header.StudyInstanceUID, question
    )
    lines = out.splitlines()
    assert status == 0
    assert lines[:2] == [f"patient: {NAME}, {NUMBER}, sex O", "study: 2004-01-19, e+1, CT, image number 1"]
    assert lines[2:] == run_command(capsys, "ask", tiny_run, file, question)[1].splitlines()
    words = ["ask", tiny_run, question, "--dicomweb", archive.url, "--study", header.StudyInstanceUID, "--json"]
    status, out, err = run_command(capsys, *words)
    assert json.loads(out)["answer"]
    assert "plantednam" not in (out + err).lower(), "what is printed as JSON is often kept"
    for wrong, told in (("1.2.3", "has no image in study 1.2.3"), ("x", "--study 'x' is no UID")):
        status, _, err = run_command(capsys, "ask", tiny_run, question, "--dicomweb", archive.url, "--study", wrong)
        assert (status, told in err, len(err.splitlines())) == (2, True, 2)
    assert "of which archive?" in run_command(capsys, "ask", tiny_run, question, "--study", "1.2")[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISCERN_DICOMWEB_PASSWORD", "wrong")
        assert "refuses access (HTTP 401)" in run_command(capsys, *words)[2]


def test_answers_are_filed_beside_their_images_and_nobody_s_name_stays_behind(
    archive, images, tiny_run, capsys, tmp_path
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        _file_answers(archive, images, tiny_run, capsys, tmp_path)


def _file_answers(archive, images, tiny_run, capsys, tmp_path):
    headers = {place(header): header for _, header in images.values()}
    rows = [*((name, question) for name in headers for question in ("Is there a mass?", "Wo liegt er, größer?")),
            ("9.9/9.9/9.9", "Is there a mass?"), ("a.png", "Is there a mass?")]  # fmt: skip
    (tmp_path / "q.csv").write_text("image,question\n" + "\n".join(f'{name},"{asked}"' for name, asked in rows) + "\n")
    before = set(Path(tempfile.gettempdir()).glob("discern-*"))
    answers = tmp_path / "answers.jsonl"
    words = ["predict", tiny_run, tmp_path / "q.csv", "--dicomweb", archive.url, "--out", answers]
    status, told, _ = run_command(capsys, *words)
    assert status == 0
    assert "4 of 6 rows answered; 2 not" in told
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [bool(line.get("error")) for line in lines] == [False] * 4 + [True] * 2
    assert lines[4]["error"] == "the archive has no image 9.9/9.9/9.9"
    assert "is no image of an archive" in lines[5]["error"]
    # The same answers as about the files themselves.
    table = [
        f'{file},"{asked}"' for file, _ in images.values() for asked in ("Is there a mass?", "Wo liegt er, größer?")
    ]
    (tmp_path / "files.csv").write_text("image,question\n" + "\n".join(table) + "\n")
    run_command(capsys, "predict", tiny_run, tmp_path / "files.csv", "--out", tmp_path / "files.jsonl")
    same = [json.loads(line) for line in (tmp_path / "files.jsonl").read_text().splitlines()]
    (tmp_path / "files.csv").unlink()
    (tmp_path / "files.jsonl").unlink()
    for one, other in zip(lines[:4], same, strict=True):
        assert (one["prediction"], one["score"]) == (other["prediction"], other["score"])

    words = ["dicom", tiny_run, answers, "--sr", "--sc", "--pdf", "--seg", "--gsps", "--dicomweb", archive.url]
    status, out, err = run_command(capsys, *words, "--store", archive.url)
    assert (status, f"12 objects about 2 images: {archive.url}" in out) == (0, True), err
    assert len(re.findall(r"^NOTE: \S*answers\.jsonl:[56]: ", err, re.MULTILINE)) == 2
    told += out + err
    words = ["dicom", tiny_run, answers, "--sr", "--dicomweb", archive.url, "--store", archive.url]
    assert run_command(capsys, *words)[0] == 0  # once more: nothing is there twice
    with Archive(archive.url) as opened:
        for header in headers.values():
            listed = opened.images(header.StudyInstanceUID)
            assert sorted(one.modality for one in listed) == sorted(
                ["SR", "OT", "OT", "DOC", "SEG", "PR", header.Modality]
            )
            for one in listed:
                if one.instance != header.SOPInstanceUID:
                    content = opened.fetch(Address(header.StudyInstanceUID, one.series, one.instance))
                    _judge(content, header, tmp_path / "judged.dcm")
    (tmp_path / "judged.dcm").unlink()
    status, out, _ = run_command(
        capsys,
        "ask",
        tiny_run,
        "Is there a mass?",
        "--dicomweb",
        archive.url,
        "--study",
        header.StudyInstanceUID,
        "--json",
    )
    assert json.loads(out)["answer"] == lines[2]["prediction"], "what was filed is not taken for an image"

    kept = [path for folder in (tmp_path, tiny_run.parent) for path in folder.rglob("*") if path.is_file()]
    assert answers in kept
    assert tiny_run / "config.json" in kept
    for path in kept:
        content = path.read_bytes().lower()
        assert not [name for name in PLANTED if name in content], path
    assert not [name for name in PLANTED if name.decode() in told.lower()]
    assert set(Path(tempfile.gettempdir()).glob("discern-*")) == before


def _judge(content: bytes, header: pydicom.Dataset, file: Path) -> None:
    """An object as the archive gave it back: whose it is, and what two programs of others say of it."""
    made = pydicom.dcmread(io.BytesIO(content))
    for keyword in (*PATIENT, *STUDY):
        there, wanted = made.get(keyword), header.get(keyword)
        assert str(there or "") == str(wanted or ""), (made.Modality, keyword)
        assert (keyword in made) == (keyword in header or keyword in EMPTY_WHERE_MISSING), (made.Modality, keyword)
    file.write_bytes(content)
    done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, errors="replace")
    wrong = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert not wrong, (made.Modality, wrong)
    if made.Modality == "SR":
        done = subprocess.run(["dsrdump", str(file)], capture_output=True, text=True, errors="replace")
        assert done.returncode == 0
        assert re.search(r"contains TEXT:.*Question.*=\"Wo liegt er, größer\?\"", done.stdout)
        assert done.stdout.count("Measurement Group") == 2


def test_files_go_into_a_folder_for_their_owner_alone_and_answers_of_another_model_nowhere(
    archive, images, tiny_run, capsys, tmp_path
):
    file, header = images["MR_small.dcm"]
    (tmp_path / "q.csv").write_text(f"image,question\n{file},Is there a mass?\n")
    answers = tmp_path / "a.jsonl"
    run_command(capsys, "predict", tiny_run, tmp_path / "q.csv", "--out", answers)
    status, out, err = run_command(capsys, "dicom", tiny_run, answers, "--sr", "--out", tmp_path / "objects")
    assert (status, "1 object about 1 image" in out, "name patients" in err) == (0, True, True)
    (written,) = (tmp_path / "objects").iterdir()
    assert (tmp_path / "objects").stat().st_mode & 0o077 == 0
    assert pydicom.dcmread(written).StudyInstanceUID == header.StudyInstanceUID
    other = json.loads(answers.read_text())
    assert re.fullmatch("[0-9a-f]{64}", other["weights_sha256"])
    for change, told in (("0" * 64, "another model"), ("", "a model that the file does not name")):
        answers.write_text(json.dumps(other | {"weights_sha256": change}) + "\n")
        status, _, err = run_command(capsys, "dicom", tiny_run, answers, "--sr", "--out", tmp_path / "none")
        assert (status, f"it was answered by {told}" in err) == (1, True)
        assert not (tmp_path / "none").exists()
    for words, told in (([], "which objects"), (["--sr"], "into one folder, or into one archive")):
        status, _, err = run_command(capsys, "dicom", tiny_run, answers, *words)
        assert (status, told in err, len(err.splitlines())) == (2, True, 2)


def test_the_service_takes_images_from_the_archive_and_files_answers_there(archive, images, tiny_run):
    header = images["CT_small.dcm"][1]
    series, study = header.SeriesInstanceUID, header.StudyInstanceUID
    with serving(tiny_run, dicomweb=archive.url) as client, Archive(archive.url) as opened:
        listed = client.get(f"/v1/series?study={study}").json()["series"]
        assert listed == [{"series": series, "modality": "CT", "body_part": "", "images": 1}], "no filed answers"
        asked = {"dicomweb": {"study": study, "series": series}}
        (image,) = client.post("/v1/images", json=asked).json()["images"]
        assert (image["patient"]["name"], image["study"]["date"]) == (NAME, "20040119")
        body = {"image": image["id"], "question": "Is there a mass?", "kinds": list(KINDS), "store": True, "heat": True}
        stored = client.post("/v1/dicom", json=body).json()["stored"]
        new = {one.instance: one for one in opened.images(study) if one.instance in stored}
        assert sorted(one.modality for one in new.values()) == sorted(["SR", "OT", "DOC", "SEG", "PR"])
        for one in new.values():
            made = pydicom.dcmread(io.BytesIO(opened.fetch(Address(study, one.series, one.instance))))
            assert (str(made.PatientName), made.StudyInstanceUID) == (NAME, study)
        assert client.get("/v1/series?study=1.2.3").json()["detail"] == "the archive has no image in study 1.2.3"

        # The worklist: what was filed is not taken for an image, and no more images are read than asked for.
        body = {"question": "Is there a mass?", "date": "20040101-20040201"}
        told = client.post("/v1/next", json=body).json()
        (held,) = [each["image"] for each in told["items"] if each["image"] == image["id"]]
        confidences = [item["confidence"] for item in told["items"]]
        assert (confidences == sorted(confidences), told["failed"], told["complete"]) == (True, [], True)
        assert {each["study"]["date"] for each in told["images"]} == {"20040119"}
        everything = client.post("/v1/next", json={"question": "Is there a mass?"}).json()
        assert len(everything["images"]) > len(told["images"]) >= 1
        assert {each["modality"] for each in everything["images"]} == {"CT", "MR"}
        assert everything["images"][0]["study"]["date"] > "20040119", "the newest study first"
        one = client.post("/v1/next", json={"question": "Is there a mass?", "most": 1}).json()
        assert (len(one["images"]), len(one["items"]), one["studies"]) == (1, 1, everything["studies"])
        assert client.post("/v1/next", json=body | {"modality": "PT"}).json()["images"] == []
        refused = client.post("/v1/next", json=body | {"date": "20041332"})
        assert (refused.status_code, "20261130" in refused.json()["hint"]) == (422, True)
        assert client.post("/v1/next", json=body | {"question": " "}).status_code == 422
        assert [item["image"] for item in client.get("/v1/next").json()["items"]].count(held) == 1


def test_killed_at_any_moment_it_goes_on_with_the_right_images(archive, tmp_path):
    drilled = runpy.run_path(str(DRILL))["drill"](archive.url, tmp_path, kills=2, rows=200)
    assert (drilled.kills, drilled.rows, drilled.is_same) == (2, 200, True)
    assert drilled.again <= 2 * 32, "only the batch that a kill has torn is answered again"
    answers = (tmp_path / "out.csv").read_text().splitlines()[1:]
    digests = {line.split(",")[2] for line in answers}
    assert len(digests) == 6, "two images in three windows"
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
