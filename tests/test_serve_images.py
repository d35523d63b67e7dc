"""Images of the service: what is uploaded is shown as the readers show it, and what is broken is refused."""

import asyncio
import math
import random
import struct

import nibabel
import numpy as np
import pytest
from _broken import SEEDS
from _medical import dicom, scene
from _mutations import mutated
from _serve import encoded, opened, pixels, png, serving, upload
from PIL import Image

from discern_vqa.imaging.images import load_image

NAME = "DOE^JANE_19700101"


@pytest.fixture(scope="module")
def client(tiny_run):
    with serving(tiny_run) as made:
        yield made


def shown(reply):
    """A frame as docs/serve.md says that a viewer shows it."""
    centre, width = float(reply.headers["x-window-centre"]), float(reply.headers["x-window-width"])
    greys = 255 * np.clip((pixels(reply) - (centre - width / 2)) / width, 0, 1)
    return 255 - greys if reply.headers["x-invert"] == "1" else greys


def test_a_nifti_pair_becomes_one_image(client, tmp_path):
    volume = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5)
    nibabel.save(nibabel.Nifti1Pair(volume, np.diag([-2.0, 2, 4, 1])), tmp_path / "a.hdr")
    header, values = ((tmp_path / f"a.{ending}").read_bytes() for ending in ("hdr", "img"))
    (about,) = upload(client, header, values)
    assert (about["kind"], about["axes"]) == ("NIfTI", {"axial": 5, "coronal": 6, "sagittal": 7})
    refused = client.post("/v1/images", files=[("file", ("a.hdr", header))])
    assert (refused.status_code, refused.json()["hint"]) == (
        422,
        "upload one pair at a time, its .hdr and its .img together",
    )
    for offset in (math.nan, math.inf):
        odd = header[:108] + struct.pack("<f", offset) + header[112:]
        refused = client.post("/v1/images", files=[("file", ("a.hdr", odd)), ("file", ("a.img", values))])
        assert refused.status_code == 422
        assert f"its values begin at byte {offset}" in refused.json()["detail"]


def test_a_caller_who_leaves_within_an_upload_is_no_failure_of_the_service(client, caplog):
    begun = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\nhalf'
    messages = [{"type": "http.request", "body": begun, "more_body": True}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    names = {"host": "127.0.0.1", "x-discern": "1", "content-type": "multipart/form-data; boundary=x"}
    scope = {
        "type": "http", "method": "POST", "path": "/v1/images", "raw_path": b"/v1/images", "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in names.items()], "http_version": "1.1",
        "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    asyncio.run(client.app(scope, receive, send))
    assert (messages, sent) == ([], [])
    assert not [record for record in caplog.records if record.name == "discern.serve"]
    assert 'discern_requests_total{code="499",route="/v1/images"} 1.0' in client.get("/metrics").text


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
