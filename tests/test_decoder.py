"""Free-form answers: our decoder and T5 behind one interface; beam search against trying everything; likelihoods."""

from itertools import product

import pytest
import torch

from discern_vqa.nn.decoder import (
    END,
    PAD,
    GeneratorConfig,
    T5Decoder,
    TinyDecoder,
    answer_losses,
    beam_search,
    rank_answers,
    shifted,
)

WIDTH, SIZE = 16, 7
CONFIG = GeneratorConfig(layers=2, heads=2, length=4, dropout=0.0)
KINDS = ["tiny", "t5"]


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    """A small T5 of `transformers`' own, and the folder it is saved in."""
    from transformers import T5Config, T5ForConditionalGeneration
    from transformers.utils import logging

    torch.manual_seed(0)
    small = T5Config(
        vocab_size=SIZE, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0,
        dropout_rate=0.0,
    )  # fmt: skip
    net = T5ForConditionalGeneration(small).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    folder = tmp_path_factory.mktemp("t5")
    logging.disable_progress_bar()
    net.save_pretrained(folder)
    return net, folder


def decoder(kind: str, t5) -> torch.nn.Module:
    torch.manual_seed(1)
    if kind == "t5":
        return T5Decoder(CONFIG, WIDTH, t5[1]).eval()
    made = TinyDecoder(CONFIG, WIDTH, SIZE).eval()
    torch.nn.init.normal_(made.embed.weight, std=0.6)
    return made


def memory() -> tuple[torch.Tensor, torch.Tensor]:
    states = torch.randn(3, 5, WIDTH, generator=torch.Generator().manual_seed(2))
    return states, torch.arange(5)[None] < torch.tensor([5, 3, 1])[:, None]


def log_p(net, read, answers: torch.Tensor) -> torch.Tensor:
    return -answer_losses(net.logits(read, answers), answers)[0].sum(1)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_token_is_judged_by_those_before_it_and_by_no_later_one(kind, t5):
    net = decoder(kind, t5)
    read = net.read(*memory())
    answers = torch.randint(2, SIZE, (3, 4))
    changed = answers.clone()
    changed[:, 2:] = (changed[:, 2:] - 1) % 5 + 2
    one, two = net.logits(read, answers), net.logits(read, changed)
    torch.testing.assert_close(one[:, :3], two[:, :3], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(one[:, 3], two[:, 3])
    torch.testing.assert_close(net.logits(read, answers[:, :2]), one[:, :2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_padding_of_the_memory_changes_nothing(kind, t5):
    net = decoder(kind, t5)
    states, keep = memory()
    answers = torch.randint(2, SIZE, (3, 4))
    other = torch.where(keep[..., None], states, 9.0)
    torch.testing.assert_close(
        net.logits(net.read(states, keep), answers), net.logits(net.read(other, keep), answers), atol=1e-5, rtol=1e-5
    )
    alone = net.logits(net.read(states[1:2, :3], keep[1:2, :3]), answers[1:2])
    torch.testing.assert_close(net.logits(net.read(states, keep), answers)[1:2], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_rows_of_what_was_read_answer_as_the_rows_themselves(kind, t5):
    net = decoder(kind, t5)
    states, keep = memory()
    chosen = torch.tensor([2, 0, 2])
    answers = torch.randint(2, SIZE, (3, 4))
    picked = net.logits(net.read(states, keep).rows(chosen), answers)
    themselves = net.logits(net.read(states[chosen], keep[chosen]), answers)
    torch.testing.assert_close(picked, themselves, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_wide_beams_find_the_likeliest_of_all_answers(kind, t5):
    net = decoder(kind, t5)
    read = net.read(*memory())
    everything = [
        [*words, END] + [PAD] * (3 - len(words)) for n in range(4) for words in product(range(2, SIZE), repeat=n)
    ]
    everything += [list(words) for words in product(range(2, SIZE), repeat=4)]  # not ended after four
    candidates = torch.tensor(everything)
    found = beam_search(net, read, 3, 200, 4, torch.device("cpu"))
    for row in range(3):
        spread = read.rows(torch.full((len(candidates),), row))
        scores = log_p(net, spread, candidates)
        best = scores.topk(5)
        assert found.tokens[row, 0].tolist() == candidates[best.indices[0]].tolist()
        torch.testing.assert_close(found.log_p[row, :5], best.values, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_beam_says_its_own_probability(kind, t5):
    net = decoder(kind, t5)
    read = net.read(*memory())
    found = beam_search(net, read, 3, 3, 4, torch.device("cpu"))
    assert bool((found.log_p[:, :-1] >= found.log_p[:, 1:]).all())
    for beam in range(3):
        own = log_p(net, read, found.tokens[:, beam])
        torch.testing.assert_close(found.log_p[:, beam], own, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_t5_writes_greedily_what_transformers_own_generation_writes(t5):
    theirs, net = t5[0], decoder("t5", t5)
    assert net.random == []
    states, keep = memory()
    found = beam_search(net, net.read(states, keep), 3, 1, 4, torch.device("cpu"))
    expected = theirs.generate(
        inputs_embeds=states, attention_mask=keep.long(), max_new_tokens=4, min_new_tokens=0, num_beams=1,
        do_sample=False, bad_words_ids=[[PAD]],
    )[:, 1:]  # fmt: skip
    for row in range(3):
        ours = found.tokens[row, 0].tolist()
        mine = ours[: ours.index(END) + 1] if END in ours else ours
        assert expected[row].tolist()[: len(mine)] == mine


@torch.no_grad()
def test_t5_learns_by_its_own_loss(t5):
    theirs, net = t5[0], decoder("t5", t5)
    states, keep = memory()
    answers = torch.tensor([[3, 4, END, PAD], [5, END, PAD, PAD], [2, 2, 6, END]])
    loss, real = answer_losses(net.logits(net.read(states, keep), answers), answers)
    expected = theirs(
        inputs_embeds=states, attention_mask=keep.long(), labels=answers.masked_fill(answers == PAD, -100)
    ).loss
    torch.testing.assert_close(loss.sum() / real.sum(), expected, atol=1e-5, rtol=1e-5)
    assert real.sum(1).tolist() == [3, 2, 4]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_candidates_are_ranked_by_their_whole_likelihood_among_the_first_by_their_first_token(kind, t5):
    net = decoder(kind, t5)
    read = net.read(*memory())
    candidates = torch.tensor([[3, 4, END, PAD], [3, END, PAD, PAD], [5, 6, END, PAD], [6, 2, 2, END]])
    full = rank_answers(net, read, 3, candidates, 4)
    for row in range(3):
        spread = read.rows(torch.full((4,), row))
        torch.testing.assert_close(full[row], log_p(net, spread, candidates), atol=1e-4, rtol=1e-4)
    short = rank_answers(net, read, 3, candidates, 2)
    first = net.logits(read, torch.full((3, 1), PAD))[:, 0].log_softmax(-1)[:, candidates[:, 0]]
    for row in range(3):
        judged = short[row].isfinite()
        assert int(judged.sum()) == 2
        torch.testing.assert_close(short[row][judged], full[row][judged])
        assert float(first[row][judged].min()) >= float(first[row][~judged].max())


def test_the_decoder_starts_from_pad_and_never_sees_the_last_token():
    assert shifted(torch.tensor([[3, 4, END]])).tolist() == [[PAD, 3, 4]]


def test_the_base_t5_has_the_published_number_of_parameters():
    with torch.device("meta"):
        net = T5Decoder(GeneratorConfig(kind="t5"), 768, None)
    assert sum(parameter.numel() for parameter in net.parameters()) == 222_903_552
    assert net.size == 32_128
