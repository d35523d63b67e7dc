"""Keys of docs/options.md that change data and run: from a whole recipe to its batches, answers and weights."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _tiny import QUESTIONS, Silent, batcher, finetuning, model

from discern_vqa.config import OptimConfig, RunConfig, read_recipe
from discern_vqa.datasets import jsonl, phantom
from discern_vqa.run import load_weights
from discern_vqa.training.loop import Work, fit
from discern_vqa.training.processes import processes
from discern_vqa.training.setup import Start, set_up


def begun(tiny_run: Path, out: Path, *settings: str, root: Path | None = None) -> Start:
    """All that a training of the tiny recipe starts from."""
    recipe = tiny_run.parent / "tiny.toml"
    settings = ("run.baselines=[]", "objective.deviate=false", *settings)
    root = root or tiny_run.parent / "phantoms"
    settled = read_recipe(recipe, list(settings))
    return set_up(settled, recipe, root, out, among=processes(), say=lambda text: None)


@pytest.mark.parametrize("count", [0, 3])
def test_the_texts_of_an_image_come_together_where_the_recipe_asks_for_it(tiny_run, tmp_path, count):
    """A15: with `per_image` up to so many questions of an image are in one batch, and each image in one batch only."""
    start = begun(tiny_run, tmp_path / "run", f"optim.per_image={count}", "optim.batch=12")
    asked = Counter(sample.image for sample in start.learned)
    batches = [Counter(start.learned[row].image for row in rows) for rows in start.batches(0)]
    together = [number == min(3, asked[image]) for one in batches for image, number in one.items()]
    if count:
        assert all(together)
        assert sum(map(len, batches)) == len(asked)
    else:
        assert sum(together) < len(together) / 2
        assert sum(one.total() for one in batches) == len(start.learned), "every question once"


@pytest.mark.parametrize("same", [False, True])
def test_questions_are_paired_by_answer_type_too_where_the_recipe_asks_for_it(tiny_run, tmp_path, same):
    """A29: in the batches of an epoch, two questions each, and in the partners of a batch."""
    rows = [one for one in phantom.read(tiny_run.parent / "phantoms", "train") if one.organ][:60]
    mixed = [
        replace(one, path=tiny_run.parent / "phantoms" / one.image, organ="chest", question_type=("PRES",),
                answer_type=("open", "closed")[place % 2])
        for place, one in enumerate(rows)
    ]  # fmt: skip
    jsonl.write(mixed, tmp_path / "own.jsonl")
    settings = ["data.dataset=jsonl", "optim.batch=2", f"objective.readings.same_answer_type={str(same).lower()}"]
    start = begun(tiny_run, tmp_path / "run", *settings, root=tmp_path / "own.jsonl")
    alike, partners = [], []
    for epoch in range(4):
        for batch in start.batches(epoch):
            kinds = [start.learned[row].answer_type for row in batch]
            if len(batch) == 2:
                alike.append(kinds[0] == kinds[1])
                partners.append(start.batch(batch, torch.Generator().manual_seed(0)).targets.partner.tolist())
    assert len(alike) >= 80
    assert sum(alike) / len(alike) == pytest.approx(1.0 if same else 0.5, abs=0.0 if same else 0.15)
    assert all((pair == [1, 0]) is (one or not same) for pair, one in zip(partners, alike, strict=True))


@pytest.mark.parametrize(
    ("name", "different"),
    [
        ("none", {"Yes", "yes", "the left lung", "left lung", "two", "2", "x-ray", "xray"}),
        ("lower", {"yes", "the left lung", "left lung", "two", "2", "x-ray", "xray"}),
        ("m3ae", {"yes", "left lung", "2", "x ray", "xray"}),
        ("mevf", {"yes", "left lung", "2", "xray"}),
    ],
)
def test_the_normaliser_of_the_recipe_says_which_answers_are_one(tiny_run, tmp_path, name, different):
    """A36: in the vocabulary, and in what a question's answer is looked for there."""
    said = ["Yes", "yes", "the left lung", "left lung", "two", "2", "x-ray", "xray"]
    rows = phantom.read(tiny_run.parent / "phantoms", "train")
    own = [
        replace(one, path=tiny_run.parent / "phantoms" / one.image, answer=said[place % 8])
        for place, one in enumerate(rows)
    ]
    jsonl.write(own, tmp_path / "own.jsonl")
    settings = ["data.dataset=jsonl", f"data.normaliser={name}"]
    start = begun(tiny_run, tmp_path / "run", *settings, root=tmp_path / "own.jsonl")
    assert set(start.run.vocabulary.answers) == different
    place = {answer: start.run.vocabulary.index(answer) for answer in said}
    assert min(place.values()) >= 0
    assert (place["Yes"] == place["yes"]) is (name != "none")
    assert (place["two"] == place["2"]) is (name in ("m3ae", "mevf"))
    assert (place["x-ray"] == place["xray"]) is (name == "mevf")
    first = start.batch(list(range(8)), torch.Generator().manual_seed(0))
    assert first.targets.answer.tolist() == [place[sample.answer] for sample in start.learned[:8]]


@pytest.mark.parametrize(("select", "kept"), [("best", 1), ("last", 3)])
def test_the_weights_of_the_best_epoch_or_of_the_last_one_are_kept(tmp_path, select, kept):
    """A35: of four epochs whose validation is best after the second."""
    net, seen, scores = model(), [], iter([0.5, 0.8, 0.7, 0.6])
    made = batcher(net)

    def validate() -> dict[str, float]:
        seen.append(net.ffn_answer.weight.detach().clone())
        return {"accuracy": next(scores)}

    work = Work(
        model=net,
        objective=finetuning(net, deviate=False),
        batches=lambda epoch: [list(range(len(QUESTIONS)))],
        batch=lambda rows, generator: made.batch([QUESTIONS[row] for row in rows], generator),
        validate=validate,
    )
    run = RunConfig(epochs=4, select=select)
    progress = fit(work, OptimConfig(lr=1e-2, warmup=0.0), run, tmp_path, resume=False, show=Silent())
    assert (progress.epoch, progress.best_epoch) == (4, 1)
    after = model(1)
    load_weights(after, tmp_path / "model.safetensors")
    same = [torch.equal(after.ffn_answer.weight, weight) for weight in seen]
    assert same == [place == kept for place in range(4)]
