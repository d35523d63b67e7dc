"""A training that goes on from another run: what it takes over, and what it must not have seen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from discern_vqa import recipe_samples
from discern_vqa.auxiliary_sets import refuse_leak
from discern_vqa.config import DataConfig
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.splits import image_disjoint
from discern_vqa.datasets import jsonl, phantom, pmc_vqa, roco, slake, vqa_rad
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.explain import Explainer
from discern_vqa.evaluation.opening import open_run
from discern_vqa.recipe_samples import Samples
from discern_vqa.run import WEIGHTS, Run, read_tensors
from discern_vqa.scoring.protocols import read_answers
from discern_vqa.training.train import train

BEFORE = Path("runs/before")
RECIPES = Path(__file__).parent.parent / "recipes" / "cmdpi"


@pytest.mark.parametrize("fold", range(3))
@pytest.mark.parametrize("split", ["train", "pretrain"])
def test_no_answer_of_a_folds_test_images_joins_the_table_by_way_of_vocabulary_from(tiny_run, fold, split):
    root = tiny_run.parent / "phantoms"
    choice = DataConfig(
        dataset="phantom", vocabulary_from=["phantom"], protocol="image_disjoint", fold=fold, folds=3, split=split
    )
    asked = [sample for sample in Samples(choice, root).vocabulary() if not sample.is_caption]
    own = choice.model_copy(update={"split": "train"})
    images = {sample.image for sample in recipe_samples.Samples(own, root).test("test")}
    dealt = {sample.image for sample in asked if sample.split != "pretrain"}
    assert dealt
    assert not dealt & images
    pooled = [one for part in ("train", "validation", "test") for one in phantom.read(root, part)]
    assert dealt == {sample.image for sample in image_disjoint(pooled, 3, fold, seed=0)[0]}


DISJOINT = {"protocol": "image_disjoint", "fold": 1}


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        ({"dataset": "vqa_med_2019", "split": "pretrain", "vocabulary_from": ["vqa_rad"]}, DISJOINT, "vocabulary"),
        ({"dataset": "vqa_rad"}, DISJOINT, "learned from questions"),
        ({"dataset": "vqa_rad", **DISJOINT}, {}, "learned from questions"),
        ({"dataset": "vqa_rad", **DISJOINT, "fold": 2}, DISJOINT, "learned from questions"),
        ({"dataset": "vqa_rad"}, {"index": "split"}, "learned from questions"),
    ],
)
def test_a_run_that_has_seen_what_is_tested_on_is_refused_with_the_way_out(before, now, what):
    with pytest.raises(ConfigError, match=what) as caught:
        refuse_leak(DataConfig(dataset="vqa_rad", **now), DataConfig(**before), BEFORE, takes_table=True)
    assert "--set data.protocol=" in caught.value.hint
    assert ("run.answer_head=per_dataset" in caught.value.hint) is (what == "vocabulary")


@pytest.mark.parametrize("now", [DISJOINT, {"index": "split"}, {"validation_ratio": 0.1}])
def test_a_pretraining_that_read_a_whole_training_set_is_refused_where_some_of_it_is_judged(now):
    before = DataConfig(dataset="vqa_med_2019", split="pretrain", auxiliary=["jsonl:pairs", "vqa_rad"])
    with pytest.raises(ConfigError, match="was learned from .*questions") as caught:
        refuse_leak(DataConfig(dataset="vqa_rad", **now), before, BEFORE, takes_table=False)
    assert "without vqa_rad" in caught.value.hint


def test_a_set_with_a_validation_part_of_its_own_may_be_read_before_and_chosen_on():
    before = DataConfig(dataset="vqa_med_2019", split="pretrain", auxiliary=["slake"])
    refuse_leak(DataConfig(dataset="slake"), before, BEFORE, takes_table=False)
    with pytest.raises(ConfigError, match="holds some out to choose on"):
        refuse_leak(DataConfig(dataset="slake", validation_from="train"), before, BEFORE, takes_table=False)


@pytest.mark.parametrize(
    ("before", "now", "takes_table"),
    [
        ({"dataset": "vqa_med_2019", "split": "pretrain", "vocabulary_from": ["vqa_rad"]}, {}, True),
        ({"dataset": "vqa_med_2019", "split": "pretrain", "vocabulary_from": ["vqa_rad"]}, DISJOINT, False),
        ({"dataset": "vqa_med_2019", "vocabulary_from": ["vqa_rad"], **DISJOINT}, DISJOINT, True),
        ({"dataset": "vqa_rad", **DISJOINT}, DISJOINT, True),
        ({"dataset": "slake"}, DISJOINT, True),
        ({"dataset": "slake", "auxiliary": ["vqa_rad"]}, {"validation_ratio": 0}, True),
        ({"dataset": "vqa_med_2019", "split": "pretrain", "auxiliary": ["slake"]}, DISJOINT, False),
    ],
)
def test_a_run_that_has_not_is_taken(before, now, takes_table):
    refuse_leak(DataConfig(dataset="vqa_rad", **now), DataConfig(**before), BEFORE, takes_table)


@pytest.mark.parametrize("head", ["shared", "per_dataset"])
def test_the_answering_layer_and_the_table_go_on_or_begin_anew(tiny_run, tmp_path, head):
    root = tiny_run.parent / "phantoms"
    anew = head == "per_dataset"
    limited = ["data.limit=40", "data.min_count=9", f"run.answer_head={head}", "optim.lr=1e-9"]
    run = train(tiny_run.parent / "tiny.toml", data=root, from_run=tiny_run, out=tmp_path / "run",
                overrides=limited, quiet=True)  # fmt: skip
    before = Run.open(tiny_run)
    old, new = read_tensors(tiny_run / WEIGHTS), read_tensors(run.folder / WEIGHTS)
    for name, tensor in new.items():
        if ".running_" in name or name.endswith("num_batches_tracked"):
            continue
        kept = tensor.shape == old[name].shape and torch.allclose(tensor, old[name], atol=1e-4)
        assert kept is not (anew and name.startswith("ffn_answer")), name
    assert (run.vocabulary == before.vocabulary) is not anew
    assert set(run.vocabulary.answers) <= set(before.vocabulary.answers)


@pytest.mark.parametrize("restricted", [False, True])
def test_answers_of_other_sets_may_be_kept_from_being_chosen(tiny_run, tmp_path, restricted):
    root = tiny_run.parent / "phantoms"
    rows = [one for one in phantom.read(root, "train") if one.answer in ("yes", "two")]
    jsonl.write([replace(one, path=root / one.image) for one in rows], tmp_path / "own.jsonl")
    own = {sample.answer for sample in rows}
    settings = ["data.dataset=jsonl", f"run.restrict_labels={'dataset' if restricted else 'none'}", "optim.lr=1e-9"]
    run = train(tiny_run.parent / "tiny.toml", data=tmp_path / "own.jsonl", from_run=tiny_run, out=tmp_path / "run",
                overrides=settings, quiet=True)  # fmt: skip
    before = Run.open(tiny_run).vocabulary
    assert run.vocabulary.answers == before.answers
    predictor = open_run(run.folder)
    asked = phantom.read(root, "test")[:40]
    answers = predictor.answer(asked)
    scores = [dict(answer.alternatives) for answer in answers]
    assert ({text for one in scores for text, score in one.items() if score > 0} <= own) is restricted
    assert Run.open(run.folder).vocabulary == run.vocabulary
    if not restricted:
        assert run.vocabulary == before
        return
    assert {answer.text for answer in answers} <= own
    assert all(len(answer.alternatives) + answer.others == len(own) for answer in answers)
    assert set(read_answers(run.folder)) == own
    assert run.vocabulary.coverage(["yes", next(iter(set(before.answers) - own))]) == 0.5
    assert all(sum(one.values()) == pytest.approx(1) for one in scores)
    explainer = Explainer(predictor.run, predictor.model, predictor.batcher)
    chosen = explainer.chosen(explainer.inputs(asked))
    assert [run.vocabulary.answers[place] for place in chosen.tolist()] == [answer.text for answer in answers]


def test_a_table_without_any_own_answer_cannot_be_restricted_to_them():
    table = AnswerVocabulary.from_answers(["yes", "no"], "lower")
    kept = AnswerVocabulary.from_json(table.restricted(["No", "maybe"]).to_json())
    assert [answer for answer, may in zip(kept.answers, kept.own, strict=True) if may] == ["no"]
    with pytest.raises(DataError, match="own training answers") as caught:
        table.restricted(["maybe"])
    assert "restrict_labels=none" in caught.value.hint


def test_images_that_a_list_or_an_audit_names_are_not_learned_from(tiny_run, tmp_path):
    root = tiny_run.parent / "phantoms"
    every, _ = recipe_samples.Samples(DataConfig(dataset="phantom", validation_ratio=0.0), root, 0).learning
    names = sorted({Path(sample.image).name for sample in every})
    (tmp_path / "list.json").write_text(json.dumps([f"elsewhere/{names[0]}"]))
    (tmp_path / "audit.json").write_text(json.dumps({"against": {"exclude": names[1:3]}, "flaws": []}))
    files = [str(tmp_path / name) for name in ("list.json", "audit.json")]
    kept, _ = recipe_samples.Samples(
        DataConfig(dataset="phantom", validation_ratio=0.0, exclude=files), root, 0
    ).learning
    assert {Path(sample.image).name for sample in kept} == set(names[3:])
    (tmp_path / "list.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match=r"list.json holds no image names"):
        recipe_samples.Samples(DataConfig(dataset="phantom", exclude=files), root, 0).held_out()


def test_the_papers_own_data_make_one_table_and_two_kinds_of_batches(tmp_path):
    for module in (roco, pmc_vqa, vqa_rad, slake):
        module.write_tiny(tmp_path / module.__name__.rsplit(".", 1)[-1])
    tiny = '{ kind = "tiny", size = 64, patch = 16, channels = 16, layers = 1, heads = 2 }'
    changes = [
        f"model.image={tiny}", 'model.text={ kind = "tiny", layers = 1, heads = 2 }', "model.width=32",
        "model.heads=2", "model.ffn=32", "run.epochs=6", "data.vocabulary_min_count={}", "data.text_length=16",
        "data.auxiliary_limit=3", "run.precision=fp32",
    ]  # fmt: skip
    run = train(RECIPES / "base_pretrain_pmc.toml", data=tmp_path / "roco", out=tmp_path / "run",
                overrides=changes, quiet=True)  # fmt: skip
    for module in (vqa_rad, slake, pmc_vqa):
        asked = module.read(tmp_path / module.__name__.rsplit(".", 1)[-1], "train")
        assert all(run.vocabulary.index(sample.answer) >= 0 for sample in asked)
    ids = (run.folder / "auxiliary.txt").read_text().split()
    assert ids
    assert all(one.startswith("pmc_vqa:") for one in ids)
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert any(row.get("ans") for row in rows), "questions of PMC-VQA are answered"
    assert any(row.get("inter") for row in rows), "captions of ROCO are contrasted"
