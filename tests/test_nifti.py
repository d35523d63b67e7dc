"""NIfTI: the slice that was asked for, the way a radiologist is shown it, whatever the order of storage."""

import importlib.util
import itertools

import nibabel
import numpy as np
import pytest
from _medical import nifti, written

from discern_vqa.errors import ImageError
from discern_vqa.imaging import images, nifti_pair
from discern_vqa.imaging.images import open_image, open_recorded
from discern_vqa.imaging.nifti_joined import joined

SHAPE = (5, 6, 7)  # left to right, back to front, feet to head
VOLUME = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def shown(path, **choices) -> np.ndarray:
    name = path.name + "".join(f"#{key}={value}" for key, value in choices.items())
    return np.asarray(open_image(path.with_name(name)))


def refused(path) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert path.name.partition("#")[0] in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


@pytest.fixture
def made(tmp_path):
    return lambda *arguments, **options: written(tmp_path / "a.nii", nifti(*arguments, **options))


def eight_bits(values, low=None, high=None) -> np.ndarray:
    low, high = values.min() if low is None else low, values.max() if high is None else high
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("packed", [False, True])
def test_every_order_of_storage_shows_the_same_slices(made, order, signs, packed):
    flipped = VOLUME[:: signs[0], :: signs[1], :: signs[2]]
    affine = np.zeros((4, 4))
    for stored, axis in enumerate(order):
        affine[axis, stored] = signs[axis]
    affine[3, 3] = 1
    path = made(np.ascontiguousarray(flipped.transpose(order)), affine, packed=packed)
    full = {"window": "0:1e9"}  # nothing is cut off; what is compared is the order
    for axis, index, expected in (
        ("axial", 3, VOLUME[::-1, ::-1, 2].T),
        ("coronal", 2, VOLUME[::-1, 1, ::-1].T),
        ("sagittal", 5, VOLUME[4, ::-1, ::-1].T),
    ):
        assert np.array_equal(shown(path, axis=axis, slice=index, window="full"), eight_bits(expected)), (axis, full)


def test_it_agrees_with_nibabels_canonical_volume(made):
    path = made(np.random.default_rng(0).integers(0, 999, (4, 5, 6)).astype(np.int16), np.diag([-1.0, -1, 1, 1]))
    canonical = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
    for number in range(6):
        expected = eight_bits(canonical[::-1, ::-1, number].T.astype(float))
        assert np.array_equal(shown(path, slice=number + 1, window="full"), expected)


def test_the_middle_axial_slice_is_the_usual_one_and_it_is_said(made):
    opened = open_recorded(made(VOLUME))
    assert np.array_equal(np.asarray(opened.image), shown(made(VOLUME), axis="axial", slice=4))
    assert "axial slice 4 of 7 (the usual one" in opened.steps[0]
    assert opened.kind == "NIfTI"


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_a_volume_of_several_is_chosen(made, second, packed):
    path = made(np.stack([VOLUME, VOLUME * 0, VOLUME[::-1]], -1), packed=packed, second=second)
    assert np.array_equal(shown(path), shown(path, frame=1))
    assert shown(path, frame=2).max() == 0
    assert np.array_equal(shown(path, frame=3), shown(path, frame=1)[:, ::-1])
    assert "no number 4" in refused(path.with_name("a.nii#frame=4"))
    assert "has 5 sagittal slices; there is no number 6" in refused(path.with_name("a.nii#axis=sagittal#slice=6"))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float32, np.float64, np.uint16])
def test_windows_see_scaled_values(made, kind):
    path = made(VOLUME.astype(kind) if kind is not np.uint8 else VOLUME.astype(kind), slope=2, intercept=-100)
    real = (VOLUME.astype(kind)[::-1, ::-1, 3].T.astype(float)) * 2 - 100
    assert np.array_equal(shown(path, window="50:200"), eight_bits(real, -50, 150))
    assert np.array_equal(shown(path, window="bone"), eight_bits(real, -500, 1300))
    low, high = np.percentile(real, [0.5, 99.5])
    assert np.array_equal(shown(path), eight_bits(real, low, high))
    path = made(VOLUME, cal_min=10, cal_max=90)
    assert np.array_equal(shown(path), eight_bits(VOLUME[::-1, ::-1, 3].T.astype(float), 10, 90))


def test_holes_count_as_nothing(made):
    values = VOLUME.astype(np.float32)
    values[0, 0, 3], values[1, 1, 3] = np.nan, np.inf
    assert shown(made(values))[-1, -1] == shown(made(values))[-2, -2] == 0


def test_colours_are_kept(made):
    coloured = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    coloured["R"], coloured["B"] = 200, VOLUME % 255
    picture = shown(made(coloured))
    assert picture.shape == (6, 5, 3)
    assert (picture[..., 0] == 200).all()
    assert np.array_equal(picture[..., 2], (VOLUME % 255)[::-1, ::-1, 3].T)


def test_points_that_are_not_square_are_made_square(made):
    path = made(VOLUME, np.diag([1.0, 1, 3, 1]))
    assert shown(path).shape == (6, 5)
    assert shown(path, axis="coronal").shape == (21, 5)
    assert "pixels of 1 x 3 made square" in open_recorded(path.with_name("a.nii#axis=coronal")).steps
    assert shown(made(VOLUME, np.diag([1.0, 1, 500, 1])), axis="coronal").shape == (7, 5)  # absurd: left as it is


@pytest.mark.parametrize("codes", [{"sform_code": 1, "qform_code": 1}, {"sform_code": 0, "qform_code": 1}])
def test_a_size_with_a_sign_is_taken_without_it_as_nibabel_does(made, codes):
    plain = shown(made(VOLUME, np.diag([1.0, 1, 3, 1]), **codes), axis="coronal")
    path = made(VOLUME, np.diag([1.0, 1, 3, 1]), pixdim=[1, -1, 1, -3, 1, 1, 1, 1], **codes)
    assert np.array_equal(shown(path, axis="coronal"), plain)
    assert open_recorded(path).warnings == ()


def test_an_unknown_position_is_said(made):
    opened = open_recorded(made(VOLUME, qform_code=0, sform_code=0))
    assert "does not say how it lies" in opened.warnings[0]
    assert np.array_equal(np.asarray(opened.image), np.asarray(open_image(made(VOLUME))))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_off_is_refused(made, packed, share):
    path = made(np.random.default_rng(0).integers(0, 999, (20, 20, 20)).astype(np.int16), packed=packed)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert refused(path.with_name("a.nii#slice=20"))


def test_what_claims_too_much_is_refused_before_it_is_read(made, monkeypatch):
    for packed in (False, True):
        wide = made(VOLUME, packed=packed, dim=[3, 32767, 32767, 3, 1, 1, 1, 1])
        assert "slices of 32767 x 32767 pixels" in refused(wide)
        deep = made(VOLUME, packed=packed, dim=[4, 500, 500, 9000, 30000, 1, 1, 1])
        assert "GB to read through" in refused(deep.with_name("a.nii#frame=30000"))
    monkeypatch.setattr(images, "MOST_BYTES", 100)
    assert "0 MB are opened" in refused(made(VOLUME))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"datatype": 32, "bitpix": 64}, "is no image"),
        ({"datatype": 1536, "bitpix": 128}, "is no image"),
        ({"dim": [5, 5, 6, 7, 1, 3, 1, 1]}, "is no volume"),
        ({"dim": [3, 5, -6, 7, 1, 1, 1, 1]}, "is no volume"),
        ({"magic": b"ni1\0"}, "header of a pair"),
    ],
)
def test_what_is_no_picture_is_refused(made, fields, said):
    assert said in refused(made(VOLUME, **fields))


@pytest.mark.parametrize("dim", [[1, 50, 1, 1], [3, 50, 1, 1], [3, 1, 1, 50], [4, 1, 1, 1, 50], [3, 1, 1, 1]])
def test_a_row_of_numbers_is_named_and_not_called_damaged(made, dim):
    with pytest.raises(ImageError, match="a row of numbers .*, which is no volume") as caught:
        open_image(made(VOLUME, dim=dim + [1] * (8 - len(dim))))
    assert caught.value.hint == "give the volume from which these values were taken"


def test_no_text_of_the_header_passes(made):
    opened = open_recorded(made(VOLUME, descrip=b"Doe Jane 19700101", db_name=b"Doe", aux_file=b"doe.txt"))
    assert "oe" not in repr((opened.steps, opened.facts, opened.warnings)).replace("does", "")


def test_without_the_package_the_command_that_brings_it_is_said(made, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nibabel" else there(name))
    with pytest.raises(ImageError, match="is a NIfTI file, and nibabel") as caught:
        open_image(made(VOLUME))
    assert caught.value.hint == "pip install 'discern-vqa[nifti]'"


def test_a_gzip_file_of_something_else_is_no_image(tmp_path):
    import gzip

    assert "is no image" in refused(written(tmp_path / "a.gz", gzip.compress(b"text " * 200)))
    assert nifti_pair.is_nifti(gzip.decompress(nifti(VOLUME, packed=True))[: nifti_pair.HEADER_BYTES])


# What is no number


@pytest.mark.parametrize("window", [None, "full", "-500:400"])
@pytest.mark.parametrize("slope", [None, 2.0])
def test_nan_and_infinity_are_black_and_left_out_of_the_window(made, window, slope):
    """Zero, which they used to count as, would be the brightest value here."""
    values = np.random.default_rng(0).uniform(-900, -100, (20, 20, 3)).astype(np.float32)
    whole = shown(made(values, slope=slope), **({"window": window} if window else {}))
    holes = np.zeros(values.shape, bool)
    holes[:, :4] = True  # four rows of the patient's back: the lowest of the slice
    values[holes] = np.nan
    values[0, 0], values[1, 0] = np.inf, -np.inf
    picture = shown(made(values, slope=slope), **({"window": window} if window else {}))
    assert (picture[-4:] == 0).all()
    assert picture[:-4].max() > 200
    if window == "-500:400":
        assert np.array_equal(picture[:-4], whole[:-4])
    else:
        alone = np.ascontiguousarray(values[:, 4:])
        assert np.array_equal(picture[:-4], shown(made(alone, slope=slope), **({"window": window} if window else {})))


def test_a_slice_of_nan_alone_is_black_and_its_pixels_are_counted(made):
    path = made(np.full((9, 9, 3), np.nan, np.float32))
    assert shown(path).max() == 0
    assert "81 pixels hold no number (NaN or infinite), 100 % of all: shown black" in open_recorded(path).steps


# Header and values in two files


def pair(folder, kind, values: np.ndarray, affine: np.ndarray, ending: str = ".hdr"):
    """A pair of files written by nibabel; the path of the header."""
    nibabel.save(kind(values, affine), folder / f"a{ending}")
    return folder / f"a{ending}"


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_nifti_pair_is_read_by_either_name(tmp_path, kind, packed):
    affine = np.diag([-2.0, 2, 4, 1])
    header = pair(tmp_path, kind, VOLUME, affine, f".hdr{packed}")
    single = written(tmp_path / "single.nii", nifti(VOLUME, affine))
    for path in (header, tmp_path / f"a.img{packed}"):
        for choices in ({}, {"slice": 2}, {"axis": "coronal", "slice": 1}, {"axis": "sagittal"}):
            assert np.array_equal(shown(path, **choices), shown(single, **choices)), (path.name, choices)
        assert open_recorded(path).warnings == ()
        assert open_recorded(path).kind == "NIfTI"


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize(("packed", "order"), [("", "<"), (".gz", ">")])
def test_a_pair_without_names_is_joined_by_the_length_of_its_values(tmp_path, kind, packed, order):
    affine = np.diag([-2.0, 2, 4, 1])
    header = kind.header_class(endianness=order)
    nibabel.save(kind(VOLUME.astype(f"{order}i2"), affine, header), tmp_path / f"a.hdr{packed}")
    head, values = ((tmp_path / f"a.{name}{packed}").read_bytes() for name in ("hdr", "img"))
    other = nifti(VOLUME, affine)  # a single file is no part of a pair
    single, untouched = joined([values, head, other], most=10_000)
    assert untouched == other
    path = written(tmp_path / "joined.nii", single)
    for choices in ({}, {"axis": "coronal", "slice": 1}):
        assert np.array_equal(shown(path, **choices), shown(tmp_path / f"a.hdr{packed}", **choices)), choices
    assert open_recorded(path).warnings == ()
    assert joined([values, other], most=10_000) == [values, other]
    for files, told in (
        ([head], "with 0 files that may be its values; expected one of 840 bytes"),
        ([head, values[:-1]], "with 0 files"),
        ([head, values, values], "with 2 files"),
    ):
        with pytest.raises(ImageError, match=told):
            joined(files, most=10_000)
    with pytest.raises(ImageError, match="at most 400 are read"):
        joined([head, values], most=400)


def test_the_header_of_an_analyze_pair_is_refused_without_its_name():
    with pytest.raises(ImageError, match="Analyze 7.5 pair") as refusal:
        joined([nibabel.AnalyzeImage(VOLUME, np.eye(4)).header.binaryblock, VOLUME.tobytes()], most=10_000)
    assert "nib-convert" in refusal.value.hint


@pytest.mark.parametrize("kind", [nibabel.AnalyzeImage, nibabel.Spm2AnalyzeImage])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_analyze_pair_is_read_and_the_doubt_about_sides_said(tmp_path, kind, order):
    header = kind.header_class(endianness=order)
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.int16)
    header.set_zooms((1, 1, 2))
    (tmp_path / "a.hdr").write_bytes(header.binaryblock)
    (tmp_path / "a.img").write_bytes(VOLUME.astype(f"{order}i2").tobytes(order="F"))
    loaded = nibabel.load(tmp_path / "a.hdr")
    canonical = np.asarray(nibabel.as_closest_canonical(loaded).dataobj)
    for path in (tmp_path / "a.hdr", tmp_path / "a.img"):
        picture = shown(path, slice=3, window="full")
        assert np.array_equal(picture, eight_bits(canonical[::-1, ::-1, 2].T.astype(float)))
        opened = open_recorded(path)
        assert opened.kind == "Analyze"
        assert "does not say left from right" in opened.warnings[0]
        assert shown(path, axis="coronal").shape == (14, 5)


def test_the_mat_file_of_spm_says_how_an_analyze_pair_lies(tmp_path):
    image = nibabel.Spm99AnalyzeImage(VOLUME, np.diag([1.0, 1, 1, 1]))
    nibabel.save(image, tmp_path / "a.hdr")
    assert (tmp_path / "a.mat").exists()
    opened = open_recorded(tmp_path / "a.hdr")
    assert opened.warnings == ()
    assert np.array_equal(np.asarray(opened.image), shown(written(tmp_path / "b.nii", nifti(VOLUME))))


def test_a_header_without_its_values_and_values_cut_off_are_refused(tmp_path):
    header = pair(tmp_path, nibabel.Nifti1Pair, VOLUME, np.eye(4))
    content = (tmp_path / "a.img").read_bytes()
    (tmp_path / "a.img").write_bytes(content[: len(content) // 4])
    with pytest.raises(ImageError, match="it ends at byte"):
        open_image(header)
    (tmp_path / "a.img").unlink()
    assert "the file of its values is not there" in refused(header)


def test_two_pairs_of_one_header_are_two_images(tmp_path):
    from discern_vqa.imaging.fingerprints import fingerprints

    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(pair(tmp_path / name, nibabel.Nifti1Pair, VOLUME if name == "one" else VOLUME[::-1], np.eye(4)))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    cache = tmp_path / "cache.sqlite"
    assert len(set(fingerprints(paths, cache=cache).content)) == 2
    before = fingerprints(paths, cache=cache).pixels
    (tmp_path / "one" / "a.img").write_bytes((tmp_path / "two" / "a.img").read_bytes())
    after = fingerprints(paths, cache=cache).pixels  # the header has not changed
    assert before[0] != before[1] == after[0] == after[1]
