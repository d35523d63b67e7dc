"""Words and cells: where each word of a question is found, against loops, against the loss's own weights, and drawn."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from _tiny import QUESTIONS, batch, cmi_model, model, rows
from matplotlib.figure import Figure
from PIL import Image

from discern_vqa import cli
from discern_vqa.attribution import methods
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation import word_view
from discern_vqa.evaluation.explain import ExplainedWords, Explainer
from discern_vqa.explanations import word_cells
from discern_vqa.nn import alignment

KINDS = ("filip", "gloria", "sparc")
B, N, M, E = 3, 6, 4, 8


@pytest.fixture
def vectors():
    """Cells (B, N, e), words (B, M, e), of the last text only two words are real."""
    torch.manual_seed(0)
    words = torch.ones(B, M, dtype=torch.bool)
    words[-1, 2:] = False
    return F.normalize(torch.randn(B, N, E), dim=-1), F.normalize(torch.randn(B, M, E), dim=-1), words


@pytest.mark.parametrize("kind", KINDS)
def test_each_real_word_spreads_a_weight_of_one_and_padding_none(kind, vectors):
    weight = alignment.cells_of_words(kind, *vectors)
    assert weight.shape == (B, M, N)
    assert float(weight.min()) >= 0
    torch.testing.assert_close(weight.sum(-1), vectors[2].float())


def test_gloria_s_weights_are_those_that_its_loss_gathers_with(vectors):
    places, texts, words = vectors
    weight = alignment.cells_of_words("gloria", *vectors)
    for b in range(B):
        real = int(words[b].sum())
        cosine = places[b] @ texts[b, :real].T  # (N, real words)
        over_words = cosine.exp() / cosine.exp().sum(1, keepdim=True)
        for w in range(real):
            expected = (4 * over_words[:, w]).exp()
            torch.testing.assert_close(weight[b, w], expected / expected.sum())
    context = F.normalize(torch.einsum("bmn,bne->bme", weight, places), dim=-1)
    fit = ((context * texts).sum(-1) * 5).masked_fill(~words, -torch.inf).logsumexp(-1) * 10
    torch.testing.assert_close(alignment.gloria(places, texts, words).diagonal(), fit)


def test_sparc_s_weights_are_scaled_to_the_range_and_small_ones_are_dropped(vectors):
    places, texts, _ = vectors
    weight = alignment.cells_of_words("sparc", *vectors)
    cosine = (places[0] @ texts[0, 1]).numpy()
    scaled = (cosine - cosine.min()) / (cosine.max() - cosine.min())
    scaled[scaled < 1 / N] = 0
    assert weight[0, 1].numpy() == pytest.approx(scaled / scaled.sum(), abs=1e-6)
    assert int((weight[0, 1] == 0).sum()) >= 1


def test_filip_s_strongest_cell_is_the_one_that_its_maximum_takes(vectors):
    places, texts, words = vectors
    weight = alignment.cells_of_words("filip", *vectors)
    cosine = torch.einsum("bme,bne->bmn", texts, places)
    assert torch.equal(weight.argmax(-1)[words], cosine.argmax(-1)[words])
    ratio = weight[0, 0, 0] / weight[0, 0, 1]
    torch.testing.assert_close(ratio, ((cosine[0, 0, 0] - cosine[0, 0, 1]) / 0.07).exp())


@pytest.mark.parametrize(
    "options", [*({"fvta": {"token": kind}} for kind in KINDS), {"fvta": {"query": "text"}}], ids=[*KINDS, "query"]
)
def test_every_word_has_a_map_of_its_own_that_other_questions_do_not_change(options):
    net = cmi_model(**options)
    inputs = batch(QUESTIONS, net=net).inputs
    assert "word_cells" in methods.offered(net)
    maps = word_cells.of_each_word(net, inputs)
    assert maps.shape == (len(QUESTIONS), inputs.tokens.shape[1], *net.image.grid)
    torch.testing.assert_close(maps.sum((2, 3)), inputs.words.float())
    assert not torch.allclose(maps[0, inputs.words[0]][0], maps[0, inputs.words[0]][1]), "words differ"
    torch.testing.assert_close(word_cells.of_each_word(net, rows(inputs, [2, 0])), maps[[2, 0]], atol=1e-5, rtol=1e-3)
    mean = methods.explain("word_cells", net, inputs, torch.zeros(len(QUESTIONS), dtype=torch.int64))
    torch.testing.assert_close(mean[1], maps[1, inputs.words[1]].mean(0))


def test_a_word_that_is_a_query_is_shown_where_it_looked():
    """Against the attention of the layer itself: `tiny` has one layer, so its queries are what goes in."""
    net = cmi_model(fvta={"query": "text", "layers": 1, "every": 1})
    inputs = batch(QUESTIONS, net=net).inputs
    tokens = net.encode(inputs)
    qformer, K = net.fvta.qformer, len(net.fvta.qformer.queries)
    seen = tokens.V[tokens.which]
    z = torch.cat([qformer.queries.expand(len(seen), -1, -1), net.fvta.ask(tokens.T)], dim=1)
    may = torch.cat([tokens.keep.new_ones(len(z), K), tokens.keep], dim=1)
    block = qformer.blocks[0]
    weights = block.cross.weights(block.between(qformer.enter(z), may), block.cross.keys(seen)).mean(1)
    cells = weights[:, K:, 1:]
    expected = cells / cells.sum(-1, keepdim=True)
    maps = word_cells.of_each_word(net, inputs).flatten(2)
    torch.testing.assert_close(maps[inputs.words], expected[inputs.words])


def explainer(net, name="cmi_mtl"):
    """An explainer of a model without a run."""
    made = object.__new__(Explainer)
    made.model, made.batcher = net, SimpleNamespace(tokenizer=SimpleNamespace(names=lambda ids: [f"w{i}" for i in ids]))
    made.run = SimpleNamespace(folder=Path("RUN"), recipe=SimpleNamespace(model=SimpleNamespace(name=name)))
    return made


def test_maps_come_with_their_words_and_without_special_tokens():
    net = cmi_model(fvta={"token": "filip"})
    inputs = batch(QUESTIONS, net=net).inputs
    made = explainer(net).word_maps(inputs)
    for number, words in enumerate(made):
        assert [word for word, _ in words] == [f"w{i}" for i in inputs.tokens[number][inputs.words[number]].tolist()]
        assert all(grid.sum() == pytest.approx(1) and grid.shape == net.image.grid for _, grid in words)


def test_a_model_that_compares_no_words_with_cells_is_refused_with_what_would():
    for net, name, hint in (
        (cmi_model(), "cmi_mtl", "RUN/recipe.toml --set model.fvta.token=filip"),
        (model(), "cmdpi", "a run of cmi_mtl"),
    ):
        assert "word_cells" not in methods.offered(net)
        with pytest.raises(ConfigError, match="no single words") as caught:
            explainer(net, name).word_maps(batch(QUESTIONS, net=net).inputs)
        assert hint in caught.value.hint


def test_the_figure_has_a_panel_for_each_word_with_its_weights_on_one_scale(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        Figure, "savefig", lambda self, partial, **more: (saved.append((self, more)), partial.write_bytes(b"x"))
    )
    even, peak = np.full((2, 2), 0.25), np.array([[0.7, 0.1], [0.1, 0.1]])
    words = [("is", even), ("the", even), ("left", even), ("lung", peak), ("$clear", even), ("now", even)]
    texts = {"question": "is the left lung $clear now?", "answer": "yes", "measured": ""}
    word_view.figure(Image.new("L", (40, 20), 100), words, texts, tmp_path / "words.svg")
    figure, more = saved[0]
    assert more["format"] == "svg"
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == [word for word, _ in words]
    heats = [axes.images[1] for axes in panels]
    assert [heat.get_clim() for heat in heats] == [pytest.approx((0, 2.8))] * 6, "one scale for all words"
    assert np.unique(np.asarray(heats[0].get_array())) == pytest.approx([1.0])
    lung = np.asarray(heats[3].get_array())
    assert lung.shape == (20, 40), "over the image, without the square's borders"
    assert lung[0, 0] == pytest.approx(2.8)
    assert lung[-1, 0] == lung[-1, -1] == pytest.approx(0.4)
    assert "Not measured" in figure._supxlabel.get_text()
    assert "not for diagnosis" in figure._supxlabel.get_text()
    assert figure._suptitle.get_text() == "is the left lung $clear now?\nyes"


def test_an_even_map_is_one_everywhere():
    assert word_view.times_even(np.full((3, 4), 0.2)) == pytest.approx(np.ones((3, 4)))
    assert word_view.times_even(np.zeros((2, 2))) == pytest.approx(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--method", "rollout"], "--method: only for a heat map of the answer"),
        (["--score"], "no image is given"),
    ],
)
def test_words_go_with_neither_a_method_nor_a_score(more, error, tmp_path, capsys):
    typed = ["explain", str(tmp_path), "a.png", "Is it?", "--out", "w.png", "--words", *more]
    assert cli.main(typed) == 2
    first, _ = capsys.readouterr().err.splitlines()
    assert error in first


def test_the_command_draws_the_words_and_prints_how_strongly_each_was_found(tmp_path, capsys, monkeypatch):
    from discern_vqa.data.answers import Answer
    from discern_vqa.evaluation import explain, opening

    peak = np.array([[0.7, 0.1], [0.1, 0.1]])
    made = ExplainedWords(Answer("left", 0.75, (), "classify"), (("mass", peak), ("where", np.full((2, 2), 0.25))), "")
    monkeypatch.setattr(opening, "open_run", lambda run: None)
    monkeypatch.setattr(explain, "explain_words", lambda predictor, image, question: made)
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    typed = ["explain", "RUN", str(tmp_path / "a.png"), "mass where?", "--words", "--out", str(tmp_path / "w.png")]
    assert cli.main(typed) == 0
    out = capsys.readouterr().out
    assert "left  (confidence 0.75, not calibrated)" in out
    assert "mass 2.8, where 1.0" in out
    with Image.open(tmp_path / "w.png") as image:
        assert image.size[0] >= 900
