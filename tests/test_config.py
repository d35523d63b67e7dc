"""Recipes are checked whole before anything starts: every mistake at once, with the nearest key that exists."""

import pytest

from discern_vqa import registry
from discern_vqa.config import Profiled, Table, check_recipe, read_recipe
from discern_vqa.errors import ConfigError

PLAIN = """
[data]
dataset = "phantom"
[model]
name = "cmdpi"
image = { kind = "tiny", size = 64 }
[objective]
name = "cmdpi_finetune"
[optim]
lr = 1e-3
[run]
epochs = 2
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN)
    return path


def test_a_recipe_is_read_with_its_defaults(recipe):
    read = read_recipe(recipe)
    assert (read.data.dataset, read.optim.lr, read.run.epochs) == ("phantom", 1e-3, 2)
    assert read.model.image.size == 64
    assert read.objective.readings.similar_above == 0.75
    assert read.optim.batch == 32


def test_the_resolved_recipe_survives_being_written(recipe):
    read = read_recipe(recipe)
    assert check_recipe(read.to_json(), "config.json") == read


def test_a_recipe_cannot_be_changed_afterwards(recipe):
    read = read_recipe(recipe)
    with pytest.raises(ValueError, match="frozen"):
        read.optim.lr = 1.0


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("optim.lr=1e-4", ("optim", "lr", 1e-4)),
        ("optim.batch=7", ("optim", "batch", 7)),
        ("optim.betas=[0.8, 0.99]", ("optim", "betas", (0.8, 0.99))),
        ("data.normaliser=lower", ("data", "normaliser", "lower")),
        ('data.normaliser="lower"', ("data", "normaliser", "lower")),
        ("data.augment=true", ("data", "augment", True)),
        ("data.draw.seed=3", ("data", "draw", {"seed": 3})),
        ("run.after=", ("run", "after", "")),
        (" run.epochs = 5", ("run", "epochs", 5)),
    ],
)
def test_an_override_is_read_as_toml_or_else_as_text(recipe, override, found):
    table, key, value = found
    assert getattr(getattr(read_recipe(recipe, [override]), table), key) == value


def test_an_override_reaches_nested_tables_and_the_last_one_wins(recipe):
    read = read_recipe(recipe, ["model.image.size=32", "model.image.patch=8", "model.image.size=96"])
    assert read_recipe(recipe, ["model.readings.answer_slot=eot"]).model.readings.answer_slot == "eot"
    assert (read.model.image.size, read.model.image.patch, read.model.image.kind) == (96, 8, "tiny")


@pytest.mark.parametrize("override", ["optim.lr", "lr=3", "optim.=3", "=3", "optim.lr.deep=3"])
def test_an_override_that_is_none_is_said(recipe, override):
    with pytest.raises(ConfigError, match="--set"):
        read_recipe(recipe, [override])


def test_all_mistakes_are_said_at_once_with_suggestions(recipe):
    wrong = "optim.lrr=1 data.datasett=x model.image.sise=3 run.epochs=0 objective.lam=gamma modle.width=3"
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe, wrong.split())
    said = str(caught.value)
    assert said.startswith("6 mistakes in")
    for part in (
        "[optim] lrr: unknown key (did you mean 'lr'?)",
        "[data] datasett: unknown key (did you mean 'dataset'?)",
        "[model] image.sise: unknown key (did you mean 'size'?)",
        "[run] epochs = 0: ",
        '[objective] lam = "gamma": ',
        "unknown table [modle] (did you mean 'model'?)",
    ):
        assert part in said
    assert caught.value.hint
    assert "\n" not in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PLAIN.replace('name = "cmdpi"\n', ""), "[model] needs `name`: one of"),
        (PLAIN.replace('"cmdpi"', '"cmpdi"'), "did you mean 'cmdpi'?"),
        (PLAIN.replace('dataset = "phantom"', ""), "[data] dataset: is missing"),
        (PLAIN.replace('[data]\ndataset = "phantom"', "data = 3"), "[data]"),
        (PLAIN.replace("lr = 1e-3", "lr = -1"), "[optim] lr = -1: "),
        (PLAIN.replace("lr = 1e-3", "lr ="), "is no TOML"),
        (PLAIN.replace('"phantom"', '"phantom"\nfold = 5'), "fold = 5: expected less than folds = 5"),
    ],
)
def test_a_broken_recipe_is_one_clear_line(recipe, content, said):
    recipe.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value).strip()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.dataset=phantoms", "[data] dataset = \"phantoms\": there is none (did you mean 'phantom'?)"),
        ("data.normaliser=lowre", "[data] normaliser = \"lowre\": there is none (did you mean 'lower'?)"),
        ('data.vocabulary_from=["slaek"]', "[data] vocabulary_from = \"slaek\": there is none (did you mean 'slake'?)"),
        ("data.auxiliary=nosuch", '[data] auxiliary = "nosuch": there is none (there are: '),
        ('run.baselines=["majorty"]', "[run] baselines = \"majorty\": there is none (did you mean 'majority'?)"),
        ("data.draw={imges = 3}", "[data] draw.imges: unknown key (did you mean 'images'?)"),
        ('data.draw={counts = {train = "x"}}', '[data] draw.counts.train = "x": '),
        ("data.draw={counts = {trian = 3}}", "[data] draw: there is no split 'trian' in a phantom set (splits are: "),
        ("data.draw={seed = true}", "[data] draw.seed = true: "),
        ("data.draw={size = 8}", "[data] draw: a phantom of 8 pixels"),
        ("optim.betas=[1.5, 0.9]", "[optim] betas.0 = 1.5: "),
        ("optim.lr=inf", "[optim] lr = Infinity: "),
        ("optim.factors={head = -1.0}", "[optim] factors.head = -1.0: "),
        ("optim.weight_decay=nan", "[optim] weight_decay = NaN: "),
        ("run.seed=99999999999999999999", "[run] seed = "),
        ("run.threads=100000", "[run] threads = 100000: "),
    ],
)
def test_what_would_fail_late_is_a_mistake_of_the_recipe(recipe, override, said):
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe, [override, "objective.lam=gamma"])
    assert said in str(caught.value)
    assert "2 mistakes in" in str(caught.value)


def test_what_is_allowed_stays_so(recipe):
    read = read_recipe(recipe, ["optim.clip=inf", "data.draw={counts = {train = 3}, regions = ['head'], twins = 1}"])
    assert (read.optim.clip, read.data.draw["twins"]) == (float("inf"), 1)


def test_a_runs_own_recipe_is_read_where_its_data_sets_reader_is_gone(recipe):
    tables = read_recipe(recipe).to_json()
    tables["data"]["dataset"] = "of_another_version"
    assert check_recipe(tables, "config.json", kept=True).data.dataset == "of_another_version"
    with pytest.raises(ConfigError, match=r"dataset = .of_another_version.: there is none"):
        check_recipe(tables, "here")


@pytest.mark.parametrize("weights", ["{ mix = 1.0 }", "{ mix = 1.0, diff_img = 1.0, diff_text = 1.0 }"])
def test_weights_must_name_every_part_of_the_loss_before_anything_starts(recipe, weights):
    with pytest.raises(ConfigError, match="expected a weight for each of mix, diff_img, diff_txt"):
        read_recipe(recipe, [f"objective.weights={weights}"])


def test_a_recipe_that_is_not_there_names_those_that_are(recipe):
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe.parent / "plane.toml")
    assert "plane.toml" in str(caught.value)
    assert "plain.toml" in caught.value.hint


class Readings(Table):
    number: int | None = None
    switch: bool | None = None


class Profile(Profiled):
    profile: str = "plain"
    open_key: int | None = None
    false_key: bool | None = None
    readings: Readings = Readings()

    def chosen(self) -> dict[str, object]:
        plain = self.profile == "plain"
        return {"open_key": 3 if plain else 5, "false_key": True, "readings": {"number": 7, "switch": plain}}


def test_a_profile_fills_what_was_left_open_and_nothing_else():
    plain, other = Readings(number=7, switch=True), Readings(number=7, switch=False)
    assert Profile().resolved() == Profile(open_key=3, false_key=True, readings=plain)
    said = {"profile": "other", "false_key": False}
    assert Profile(**said).resolved() == Profile(**said, open_key=5, readings=other)
    assert Profile(open_key=0).resolved().open_key == 0


def test_a_profile_fills_the_readings_that_were_left_open_and_keeps_those_that_were_given():
    resolved = Profile(profile="other", readings={"number": 0}).resolved()
    assert resolved.readings == Readings(number=0, switch=False)


def test_one_class_says_how_a_profile_fills_open_keys():
    sides = [("models", name) for name in registry.names("models")]
    sides += [("objectives", name) for name in registry.names("objectives")]
    assert len(sides) >= 5
    assert all(issubclass(registry.load(kind, name).Config, Profiled) for kind, name in sides)
