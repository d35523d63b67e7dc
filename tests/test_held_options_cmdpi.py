"""Keys of docs/options.md that change CMDPI's network and pairs: each does what the page says of it."""

import pytest
import torch
import torch.nn.functional as F
from _held import contra
from _tiny import (
    CAPTIONS,
    LENGTH,
    QUESTIONS,
    TOKENIZER,
    Noise,
    batch,
    batcher,
    finetuning,
    model,
    pretraining,
    question,
    rng,
)
from torch import nn

from discern_vqa.nn.encoders import Encoded
from discern_vqa.nn.transformer import Dropout

D, CELLS, WORDS = 16, 16, TOKENIZER.size


class Ended(nn.Module):
    """A text encoder whose state of the whole text is that of its last real token, as CLIP's is."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens, keep, hidden=None, states=None):
        H = self.inner(tokens, keep, hidden, states).H
        return Encoded(h=H[torch.arange(len(H)), keep.sum(1) - 1], H=H)


@pytest.mark.parametrize("head", ["eot", "bos"])
def test_the_state_of_the_whole_text_is_read_at_its_end_or_at_its_beginning(head):
    """A3: for h_T of Eq. 1, and for the momentum encoders' in Eq. 6 too."""
    net = model(head_T=head)
    net.text = Ended(net.text)
    data = batch(CAPTIONS)
    plain = net.encode(data.inputs)
    place = data.inputs.keep.sum(1) - 1 if head == "eot" else torch.zeros(len(CAPTIONS), dtype=torch.int64)
    h_txt = plain.H_txt[torch.arange(len(CAPTIONS)), place]
    torch.testing.assert_close(plain.h_txt, h_txt)
    parts = pretraining(net, tau=0.3)(data, rng())
    torch.testing.assert_close(parts["intra"], contra(plain.h_img, plain.h_img, 0.3) + contra(h_txt, h_txt, 0.3))
    torch.testing.assert_close(parts["inter"], contra(plain.h_img, h_txt, 0.3) + contra(h_txt, plain.h_img, 0.3))


@pytest.mark.parametrize(
    ("head", "count"),
    [
        ("linear", D * WORDS + WORDS),
        ("mlm", (D * D + D) + 2 * D + (D * WORDS + WORDS)),
        ("tied", D * D + D),
    ],
)
def test_the_layers_that_name_words_are_one_two_or_the_encoders_own_words(head, count):
    """A10: only the tied head learns the words that the encoder reads, and only BERT's has a non-linearity."""
    net = model(text_head=head)
    assert sum(one.numel() for one in net.ffn_text.parameters()) == count
    torch.manual_seed(2)
    one, two, zero = torch.randn(3, D), torch.randn(3, D), torch.zeros(3, D)
    apart = net.ffn_text(one) + net.ffn_text(two) - net.ffn_text(zero) - net.ffn_text(one + two)
    assert (float(apart.detach().abs().max()) < 1e-4) is (head != "mlm")
    before = net.ffn_text(one).detach()
    assert before.shape == (3, WORDS)
    with torch.no_grad():
        net.text.embed.weight[7] *= 3.0
    change = (net.ffn_text(one).detach() - before).abs().amax(0)
    assert change.nonzero().flatten().tolist() == ([7] if head == "tied" else [])
    if head == "tied":
        torch.testing.assert_close(net.ffn_text(one)[:, 7], 3 * before[:, 7])


@pytest.mark.parametrize("settings", [{}, {"input_ln": True}, {"profile": "robust"}])
def test_a_norm_where_recnet_begins_brings_every_place_to_mean_0_and_spread_1_before_the_positions(settings):
    """A38, by hand: what the first layer is given, less the positions."""
    net = model(**settings)
    inputs = batch(QUESTIONS).inputs
    shown = []
    net.blocks[0].register_forward_pre_hook(lambda module, given: shown.append(given[0]))
    with torch.no_grad():
        net(inputs)
        features = net.encode(inputs)
        joined = torch.cat([net.fuse(features.h_img, features.h_txt)[:, None], features.H_img, features.H_txt], dim=1)
    if settings:
        joined = (joined - joined.mean(-1, keepdim=True)) / (joined.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    kept = [*range(1 + CELLS + 3), 1 + CELLS + LENGTH - 1]  # every question has so many tokens; then the answer slot
    assert int(inputs.keep.sum(1).min()) == 3
    seen = shown[0][:, [*range(1 + CELLS + 3), -1]]
    torch.testing.assert_close(seen, (joined + net.pos)[:, kept], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_recnet_drops_the_share_of_the_recipe_while_it_learns_and_nothing_when_it_answers(share):
    """A40, by what goes into each dropout of a layer and what comes out."""
    net, without = model(dropout=share), model()
    inputs = batch().inputs
    drops = [one for one in net.blocks.modules() if isinstance(one, Dropout | nn.Dropout)]
    assert len(drops) >= 2 * len(net.blocks)
    seen = []
    for one in drops:
        one.register_forward_hook(lambda module, given, out: seen.append((given[0].detach(), out.detach())))
    with torch.no_grad():
        torch.testing.assert_close(net.decide(inputs).scores, without.decide(inputs).scores)
        assert all(torch.equal(given, out) for given, out in seen)
        seen.clear()
        torch.manual_seed(0)
        net.train()(inputs)
    assert len(seen) >= len(drops)
    for given, out in seen:
        kept = out != 0
        assert 1 - float(kept.float().mean()) == pytest.approx(share, abs=0.03)
        torch.testing.assert_close(out[kept], given[kept] / (1 - share), rtol=0.01, atol=1e-4)


# -- pairs -------------------------------------------------------------------------------------------------------------

KEYS = [f"image{n}" for n in range(12)]
ASKED = [question(n, KEYS[n % 12], f"text {n}", "yes", answer_type=("open", "closed")[n % 2]) for n in range(24)]


def cosines(net) -> torch.Tensor:
    with torch.no_grad():
        h_img = net.image(Noise().get([(key, key) for key in KEYS])[0]).h
    return F.cosine_similarity(h_img[:, None], h_img[None], dim=-1)


@pytest.mark.parametrize("quantile", [0.5, 0.75, 0.95])
def test_a_quantile_of_all_pairs_can_say_which_images_are_similar(quantile):
    """A24: so many of the 12 x 11 pairs are above it, whatever the threshold is."""
    net = model()
    found = finetuning(net, similar_percentile=quantile, similar_above=1.0).similar(ASKED, batcher())
    pairs = sorted(
        ((float(value), i, j) for i, row in enumerate(cosines(net)) for j, value in enumerate(row) if i != j),
        reverse=True,
    )
    count = sum(map(len, found.values()))
    assert count == pytest.approx((1 - quantile) * 132, abs=2)
    least = pairs[count - 1][0]
    assert {(KEYS[i], KEYS[j]) for value, i, j in pairs if value > least + 1e-6} <= {
        (key, other) for key, others in found.items() for other in others
    }


@pytest.mark.parametrize("count", [1, 3])
def test_only_so_many_of_the_nearest_images_may_be_similar(count):
    net = model()
    found = finetuning(net, similar_nearest=count, similar_above=-1.0).similar(ASKED, batcher())
    for i, row in enumerate(cosines(net)):
        order = sorted((j for j in range(12) if j != i), key=lambda j: -float(row[j]))  # noqa: B023
        assert set(found[KEYS[i]]) == {KEYS[j] for j in order[:count]}
    every = finetuning(net, similar_nearest=0, similar_above=-1.0).similar(ASKED, batcher())
    assert all(len(others) == 11 for others in every.values())


@pytest.mark.parametrize("same", [False, True])
def test_partners_are_both_open_or_both_closed_where_the_recipe_asks_for_it(same):
    """A29: the pairing that the objective makes decides over the partners of its batches."""
    made = batcher()
    made.pairing = finetuning(model(), same_answer_type=same).pairing({}, ASKED)
    alike = []
    for seed in range(10):
        partner = made.batch(ASKED, rng(seed)).targets.partner.tolist()
        assert min(partner) >= 0
        alike += [ASKED[other].answer_type == ASKED[row].answer_type for row, other in enumerate(partner)]
    assert sum(alike) / len(alike) == pytest.approx(1.0 if same else 11 / 23, abs=0.0 if same else 0.1)
