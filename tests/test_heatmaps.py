"""The scores of a heat map on maps drawn by hand, and which part of an image a question is about."""

import numpy as np
import pytest
from _tiny import question

from discern_vqa.datasets import phantom, slake
from discern_vqa.evaluation import heatmaps
from discern_vqa.evaluation.evidence import about, finder, named
from discern_vqa.imaging.regions import Region


def spot(height: int, width: int, y: int, x: int) -> np.ndarray:
    values = np.zeros((height, width))
    values[y, x] = 1.0
    return values


def test_a_map_points_where_its_greatest_value_is_give_or_take_the_tolerance():
    mask = np.zeros((100, 80), dtype=bool)
    mask[40:50, 20:30] = True
    reach = heatmaps.within_reach(mask)
    assert heatmaps.points_into(spot(100, 80, 45, 25), reach)
    assert heatmaps.points_into(spot(100, 80, 52, 25), reach)  # 3 points away, of 100
    assert not heatmaps.points_into(spot(100, 80, 53, 25), reach)
    assert not heatmaps.points_into(np.ones((100, 80)), np.ones((100, 80), dtype=bool)), "a flat map hits nothing"
    assert not heatmaps.within_reach(np.zeros((5, 5), dtype=bool)).any()


def test_energy_is_the_share_of_the_weight_in_the_mask():
    mask = np.zeros((4, 4), dtype=bool)
    mask[0] = True
    assert heatmaps.energy(np.ones((4, 4)), mask) == pytest.approx(mask.mean())
    assert heatmaps.energy(np.where(mask, 3.0, 1.0), mask) == pytest.approx(12 / 24)
    assert heatmaps.energy(-np.ones((4, 4)), mask) == 0.0


def test_a_map_covers_the_square_and_is_cut_to_the_picture():
    grid = np.zeros((4, 4))
    grid[1, 3] = 1.0  # the second of four rows of a wide image's square: the upper half of the image
    over = heatmaps.on_picture(grid, 100, 50)
    assert over.shape == (50, 100)
    y, x = np.unravel_index(over.argmax(), over.shape)
    assert y < 25
    assert x > 75
    tall = heatmaps.on_picture(grid.T, 50, 100)
    np.testing.assert_allclose(tall, over.T, atol=1e-6)


def test_large_pictures_are_judged_smaller_and_small_findings_stay():
    assert heatmaps.canvas(1024, 512) == (256, 128)
    assert heatmaps.canvas(100, 50) == (100, 50)
    small = spot(1000, 1000, 700, 300) > 0
    shrunk = heatmaps.shrunk(small, *heatmaps.canvas(1000, 1000))
    assert shrunk.sum() == 1
    assert np.argwhere(shrunk)[0].tolist() == [179, 76]
    half = np.zeros((512, 512), dtype=bool)
    half[:, :256] = True
    assert heatmaps.shrunk(half, 256, 256).mean() == 0.5


def test_what_is_kept_is_small_and_scaled():
    rng = np.random.default_rng(0)
    made = heatmaps.kept(rng.random((96, 96)))
    assert made.shape == (24, 24)
    assert (made.min(), made.max()) == (0.0, 1.0)
    assert heatmaps.kept(np.full((4, 4), 2.0)).tolist() == np.zeros((4, 4)).tolist()


def test_the_area_under_a_curve_is_its_mean_height():
    assert heatmaps.area(np.full(21, 0.3)) == pytest.approx(0.3)
    assert heatmaps.area(np.stack([np.linspace(0, 1, 21), np.zeros(21)])).tolist() == pytest.approx([0.5, 0.0])


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    one, other = rng.random((6, 6)), rng.integers(0, 4, (6, 6)).astype(float)
    assert heatmaps.rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert heatmaps.rank_correlation(one, -(one**3)) == pytest.approx(-1)
    assert heatmaps.rank_correlation(one, np.zeros((6, 6))) == 0.0


# -- evidence ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "text", "is_named"),
    [
        ("Liver", "Does the picture contain the liver?", True),
        ("Liver", "Is there a liver cancer?", True),
        ("Liver Cancer", "Where is the liver?", False),
        ("Left Lung", "Is the left lung healthy?", True),
        ("Left Lung", "Are the lungs healthy?", True),
        ("Right Lung", "Is the left lung healthy?", False),
        ("Brain Stem", "What color is the brain stem?", True),
        ("Esophagus", "Is there an esophagus?", True),
        ("Mass", "Are there masses?", False),
        ("Heart", "heartburn", False),
    ],
)
def test_a_label_is_named_by_its_words(label, text, is_named):
    assert named(label, text) is is_named


def test_a_question_is_about_what_it_names_else_the_findings_it_asks_for_else_what_the_answer_names():
    parts = [
        Region(label=label, is_finding=finding, boxes=((0, 0, 2, 2),))
        for label, finding in (("Liver", False), ("Left Lung", False), ("Mass", True))
    ]

    def labels(asked: str, answer: str) -> list[str]:
        return [region.label for region in about(asked, answer, parts)]

    assert labels("Which is bigger, liver or lung?", "Lung") == ["Liver", "Left Lung"]
    assert labels("Is this image normal?", "No") == ["Mass"]
    assert labels("Where is the mass?", "Left Lung") == ["Mass"]
    assert labels("What is the largest organ in the picture?", "Lung, Liver") == ["Liver", "Left Lung"]
    assert labels("What modality is this?", "CT") == []
    assert labels("Does the picture contain the spleen?", "No") == []


def test_phantoms_have_the_mask_of_the_finding_asked_about_and_slake_its_boxes(tmp_path):
    phantom.write_tiny(tmp_path / "p")
    find = finder(phantom, tmp_path / "p")
    asked = [sample for sample in phantom.read(tmp_path / "p", "test") if sample.mask]
    assert asked
    for sample in asked:
        (region,) = find(sample)
        assert region.pixels(32, 32).any()
        assert region.label in sample.mask.replace("-", " ")
    slake.write_tiny(tmp_path / "s")
    find = finder(slake, tmp_path / "s")
    train = slake.read(tmp_path / "s", "train")
    found = {sample.question: [region.label for region in find(sample)] for sample in train}
    assert found["Where is the liver?"] == ["Liver"]
    assert found["Is the lung healthy?"] == ["Left Lung"]
    assert found["What diseases are included in the picture?"] == ["Liver Cancer"]


def test_what_knowledge_answers_has_no_evidence_in_the_picture(tmp_path):
    class Reader:
        @staticmethod
        def regions(root, image):
            return [Region(label="Liver", is_finding=False, boxes=((0, 0, 2, 2),))]

    find = finder(Reader, tmp_path)
    sample = question(1, "a", "what does the liver do?", "detoxify")
    assert len(find(sample)) == 1
    known = type(sample)(**{**sample.__dict__, "extra": {"triple": ["liver", "function", "_"]}})
    assert find(known) == []
