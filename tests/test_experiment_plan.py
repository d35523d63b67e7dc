"""Named experiments: every row of every one resolves, and changes exactly what it says."""

import copy
import json
from pathlib import Path

import pytest
from _experiment import recipes, rows

from discern_vqa.config import check_recipe, read_recipe
from discern_vqa.errors import ConfigError
from discern_vqa.experiments import catalogue
from discern_vqa.experiments.plan import apply, base_of, changes, meant, method, plan
from discern_vqa.experiments.runner import labelled, prepare
from discern_vqa.paths import find_recipe
from discern_vqa.toml import innermost

NAMES = catalogue.names()
PRINTED = ("open", "closed", "overall")


def flat(tables, prefix=""):
    """Dotted keys to plain values."""
    found = {}
    for key, value in tables.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def resolved(tables):
    return flat(json.loads(json.dumps(check_recipe(tables, "here").to_json())))


def said(row, part, base):
    """What the row says of one recipe, as flat keys and values."""
    told = flat(row.both | (row.set if part == "main" else row.before))
    factors = row.scale if part == "main" else row.scale_before
    told |= {key: flat(base)[key] * factor for key, factor in factors.items()}
    plain, unset = copy.deepcopy(base), [*(row.unset if part == "main" else []), *row.unset_both]
    for key in unset:
        table, last = innermost(plain, key.split("."), key)
        table.pop(last, None)
    for key, value in resolved(plain).items():  # what is taken out has its default
        if any(key == name or key.startswith(f"{name}.") for name in unset):
            told[key] = value
    return told


@pytest.mark.parametrize("name", NAMES)
def test_every_row_changes_exactly_what_it_says(name):
    experiment = catalogue.load(name)
    base = base_of(experiment)
    for row in experiment.rows:
        of_row = method(experiment, base, row)
        for part, tables in (("main", of_row.main), ("before", of_row.before)):
            if tables is None or (part == "before" and row.no_before):
                continue
            old, new = resolved(tables), resolved(apply(tables, row, part))
            differing = {key: new.get(key) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
            told = {key: value for key, value in said(row, part, tables).items() if old.get(key) != value}
            assert differing == told, f"{name} / {row.name}, {part}"


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_another_training_unless_it_is_the_recipe_itself(name):
    experiment = catalogue.load(name)
    planned = plan(experiment, base_of(experiment), [0, 1])
    keys = [tuple(map(one.task, one.trainings)) for one in planned]
    assert all(len(set(one)) == 2 for one in keys)
    assert len(set(keys)) == len(keys), "two rows of one experiment are the same training"


@pytest.mark.parametrize(
    ("name", "on"), [("fig7", ""), ("fig8", ""), ("fig8", "slake_lite_pretrained"), ("fig8", "slake_lite")]
)
def test_the_row_of_the_papers_settings_has_nothing_of_ours_but_sizes_and_epochs(name, on):
    experiment = catalogue.load(name)
    full, *_, paper = plan(experiment, base_of(experiment, on), [0])
    ours, training = full.trainings[0], paper.trainings[0]
    assert paper.row.name == "the paper's settings"
    objective = training.recipe.objective.resolved()
    assert (objective.lam, objective.readings.eps_min, objective.readings.partner_deviated) == ("uniform", 0.0, False)
    assert (objective.weights, objective.smoothing) == ({"mix": 1.0, "diff_img": 1.0, "diff_txt": 1.0}, 0.0)
    assert (objective.readings.similar_above, objective.readings.similar_percentile) == (0.75, None)
    parts = [(training, ours)] if on == "slake_lite" else [(training, ours), (training.before, ours.before)]
    for theirs, own in parts:
        assert theirs.recipe.model.resolved().readings.image_target == "pixel"
        assert (theirs.recipe.model.profile, theirs.recipe.objective.profile) == ("paper", "paper")
        assert (theirs.recipe.optim.optimizer, own.recipe.optim.optimizer) == ("adamw", "muon")
        assert (theirs.recipe.model.width, theirs.recipe.run.epochs) == (own.recipe.model.width, own.recipe.run.epochs)
    if training.before:
        assert training.before.recipe.objective.weights == dict.fromkeys(("img", "txt", "ans", "intra"), 1.0) | {
            "inter": 0.5
        }


@pytest.mark.parametrize("name", NAMES)
def test_printed_figures_are_whole_and_in_per_cent(name):
    experiment = catalogue.load(name)
    whole = PRINTED if experiment.family == "cmdpi" else ("overall",)  # all that is at hand of CMI-MTL's main table
    for row in experiment.rows:
        assert row.printed is None or (tuple(row.printed) == whole and all(20 < x < 100 for x in row.printed.values()))


@pytest.mark.parametrize(("name", "dataset"), [("cmi_vqa_rad", "vqa_rad"), ("cmi_slake", "slake")])
def test_the_main_table_of_cmi_mtl_is_beside_its_printed_figure_and_says_what_is_known_against_it(name, dataset):
    from discern_vqa.scoring.literature import literature

    experiment = catalogue.load(name)
    (printed,) = [line for line in literature(dataset) if line.model == "CMI-MTL"]
    assert experiment.dataset == dataset
    assert experiment.rows[0].printed == {"overall": printed.overall}
    assert f"{printed.overall} is from a summary" in experiment.note


def test_every_table_and_figure_of_the_papers_has_a_name():
    wanted = {f"fig{number}" for number in (1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)}
    wanted |= {f"table{number}" for number in range(1, 6)}
    assert wanted | {"cmi_modules", "cmi_cifr", "cmi_cifr_shape", "cmi_fvta", "cmi_ffae"} <= set(NAMES)


def test_printed_tables_3_to_5_are_those_that_the_check_of_tables_reads():
    from discern_vqa.scoring.literature import printed

    for number in (3, 4, 5):
        lines = printed(f"cmdpi_table{number}").read_text(encoding="utf-8").splitlines()[1:]
        read = [tuple(float(cell) for cell in line.split(",")[-3:]) for line in lines]
        ours = [tuple(row.printed[part] for part in PRINTED) for row in catalogue.load(f"table{number}").rows]
        assert sorted(ours) == sorted(read)


def test_experiments_share_what_they_have_in_common():
    alone = sum(len(labelled(prepare([name], "", [0]))) for name in ("fig8", "fig11", "table4"))
    together = labelled(prepare(["fig8", "fig11", "table4"], "", [0]))
    # fig8 and fig11: a pre-training with four rows, and the paper's settings with a pre-training of their own.
    assert (alone, len(together)) == (7 + 7 + 5, 1 + 4 + 2 + 3)
    seeds = labelled(prepare(["fig8"], "", [0, 1]))
    assert len(seeds) == 2 * 7, "a pre-training belongs to its seed"


def test_a_row_that_changes_the_pretraining_has_one_of_its_own(tmp_path):
    experiment = catalogue.load(rows(tmp_path))
    full, mixup, words = plan(experiment, base_of(experiment, str(recipes(tmp_path))), [3])
    before = [one.trainings[0].before.key for one in (full, mixup, words)]
    assert before[0] == before[1] != before[2]
    assert words.trainings[0].before.recipe.objective.weights["txt"] == 0.2
    assert all(
        one.trainings[0].recipe.run.seed == one.trainings[0].before.recipe.run.seed == 3 for one in (full, words)
    )
    assert changes(words.row) == {"before: objective.weights.txt": "x 0.5"}


def test_a_training_with_one_auxiliary_set_is_the_one_that_named_it_as_a_text():
    recipe = read_recipe(find_recipe(Path("cmdpi/vqa_rad_lite.toml")))
    assert recipe.data.auxiliary == ["slake"]
    assert meant(recipe)["data"]["beside"] == "slake"
    two = read_recipe(find_recipe(Path("cmdpi/vqa_rad_lite.toml")), ['data.auxiliary=["slake", "ovqa"]'])
    assert meant(two)["data"]["beside"] == ["slake", "ovqa"]


def test_a_training_that_says_its_profiles_choice_aloud_is_the_same_training(tmp_path):
    text = Path(rows(tmp_path)).read_text() + '\n[rows.aloud]\nset = { "objective.readings.eps_min" = 0.0 }\n'
    planned = plan(
        catalogue.load(rows(tmp_path, text)), base_of(catalogue.load(rows(tmp_path)), str(recipes(tmp_path))), [0]
    )
    assert planned[-1].trainings[0].key == planned[0].trainings[0].key


def test_written_recipes_read_as_they_were_meant(tmp_path):
    for training, label in labelled(prepare(["fig14", "fig5", "cmi_modules"], "", [7])).values():
        (tmp_path / training.file).write_text(training.text(label), encoding="utf-8")
        read = read_recipe(tmp_path / training.file).to_json()
        assert read["run"]["after"] == (training.before.file if training.before else "")
        assert read | {"run": read["run"] | {"after": training.recipe.run.after}} == training.recipe.to_json()


def test_an_experiment_on_a_recipe_without_pretraining_says_which_rows_it_lacks():
    with pytest.raises(ConfigError, match="vqa_rad_lite has none"):
        prepare(["fig7"], "vqa_rad_lite", [0])
    grid = prepare(["fig1"], "vqa_rad_lite", [0])[0]
    assert {bool(one.trainings) for one in grid.planned if "without" in one.row.name} == {False}
    assert len([one for one in grid.planned if one.trainings]) == 4


def test_the_papers_mechanisms_are_measured_without_our_prior():
    assert read_recipe(find_recipe(Path("cmdpi/vqa_rad_lite.toml"))).prior.on
    grid = prepare(["fig8"], "vqa_rad_lite", [0])[0]
    assert not any(training.recipe.prior.on for one in grid.planned for training in one.trainings)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('title = "a"\nsource = "b"\nfamily = "cmdpi"\n[rows.full]\nsett = {}\n', r"\[rows.full\] sett: unknown key"),
        ('title = "a"\nsource = "b"\nfamily = "cmdpi"\nsections = ["tea"]\n[rows.full]\n', 'sections.0 = "tea": input'),
        ('title = "a"\n[rows.full]\n', "source: is missing; family: is missing"),
        ('title = "a"\nsource = "b"\nfamily = "cmdpi"\n[rows.other]\n', "no row is named 'full'"),
        ("title = 3\n", "title = 3: input should be a valid string"),
        ('sections = "organ"\n', 'sections = "organ": input should be a valid list'),
        ("rows = 3\n", "expected a table for each row"),
        ("[rows]\nfull = 1\n", "rows.full = 1: expected a table"),
        ("[rows.full]\nname = 'x'\n", "unknown key rows.full.name"),
        ('name = "x"\n[rows.full]\n', "unknown key name"),
        ("rows_of = 3\n", "rows_of = 3: expected the name of an experiment"),
        ("[rows.full]\nset = 3\n", r"\[rows.full\] set = 3: input should be a valid dictionary"),
        ("[rows.full]\nset = { run = 3 }\n", "expected a dotted key of a recipe"),
        ('[rows.full]\nscale = { "optim.lr" = "a" }\n', r"\[rows.full\] scale.optim.lr = \"a\": .* a valid number"),
        ('[rows.full]\nscale_before = { "optim.lr" = true }\n', "optim.lr = true: input should be a valid number"),
        ('[rows.full]\nunset = "text"\n', r"\[rows.full\] unset = \"text\": input should be a valid list"),
        ('[rows.full]\nunset = ["text"]\n', "expected a dotted key of a recipe"),
        ('[rows.full]\nno_before = "yes"\n', "a valid boolean"),
        ('[rows.full]\nat = "half"\n', 'at = "half": input should be a valid number'),
        ("[rows.full]\nprinted = { opened = 1.0 }\n", "input should be 'open', 'closed' or 'overall'"),
        ('[rows.full]\nprinted = { open = "1" }\n', "a valid number"),
        ("title = ", "is no TOML"),
        ("title = " + "[" * 100_000, "is no TOML: nested too deep"),
        (
            '\ufefftitle = "a"\n[rows.full]\n',
            "source: is missing; family: is missing",
        ),  # a byte order mark is no mistake
    ],
)
def test_a_broken_file_is_told(tmp_path, text, error):
    with pytest.raises(ConfigError, match=error):
        catalogue.load(rows(tmp_path, text))


def test_rows_taken_in_a_circle_are_told(tmp_path):
    head = 'title = "a"\nsource = "b"\nfamily = "cmdpi"\n'
    own = rows(tmp_path, f"{head}rows_of = '{tmp_path / 'tiny.toml'}'\n")
    with pytest.raises(ConfigError, match="takes its rows from itself"):
        catalogue.load(own)
    (tmp_path / "other.toml").write_text(f"{head}rows_of = '{own}'\n")
    rows(tmp_path, f"{head}rows_of = '{tmp_path / 'other.toml'}'\n")
    with pytest.raises(ConfigError, match="takes its rows from itself"):
        catalogue.load(own)


def test_a_name_that_is_not_there_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match="no experiment 'tabel3'") as caught:
        catalogue.load("tabel3")
    assert "table3" in caught.value.hint


def test_a_row_that_does_not_fit_the_recipe_is_told_before_anything_starts(tmp_path):
    main = str(recipes(tmp_path))
    for row, error in (
        ('set = { "objective.mixupp" = 1 }', "row 'odd'"),
        ('scale = { "run.mode" = 2.0 }', "no number"),
        ('set = { "optim.lr.deeper" = 2.0 }', "'lr' is a value, not a table"),
    ):
        name = rows(tmp_path, Path(rows(tmp_path)).read_text() + f"\n[rows.odd]\n{row}\n")
        with pytest.raises(ConfigError, match=error):
            prepare([name], main, [0])
        rows(tmp_path)


def test_a_recipe_of_the_other_family_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is about cmi_mtl"):
        prepare(["cmi_cifr"], str(recipes(tmp_path)), [0])


def recipes_of(family):
    """The recipes from which something can be trained to the end: not those that others go on from."""
    names = sorted(file.stem for file in (find_recipe(Path(f"{family}/base.toml")).parent).glob("*.toml"))
    return [name for name in names if "pretrain_" not in f"{name}_"]


def outcome(experiment, recipe):
    """ "planned"; or "skipped: ..." or "refused: ..." with the reasons, without a word of what was planned."""
    try:
        planned = plan(experiment, base_of(experiment, recipe), [0])
    except ConfigError as error:
        return f"refused: {error}"
    skipped = {row.skipped for row in planned if row.skipped}
    assert all(row.trainings or row.skipped for row in planned)
    return f"skipped: {'; '.join(sorted(skipped))}" if skipped else "planned"


def documented():
    """(experiment, recipe) -> its cell in the tables of docs/experiments.md."""
    cells, head = {}, []
    page = Path(__file__).resolve().parents[1] / "docs" / "experiments.md"
    for line in page.read_text(encoding="utf-8").splitlines():
        row = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if line.startswith("| experiment |"):
            head = row[1:]
        elif line.startswith("| ") and row[0] in NAMES and head:
            cells |= {(row[0], recipe): cell for recipe, cell in zip(head, row[1:], strict=True)}
    return cells


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_is_planned_on_every_recipe_of_its_family_or_says_why_not(name):
    experiment, cells = catalogue.load(name), documented()
    touches_before = any(row.touches_before for row in experiment.rows)
    recipes_named = {recipe for experiment_named, recipe in cells if experiment_named == name}
    assert recipes_named == set(recipes_of(experiment.family))
    for recipe in recipes_named:
        settings = read_recipe(find_recipe(Path(f"{experiment.family}/{recipe}.toml")))
        about = (experiment.dataset, experiment.protocol)
        said, cell = outcome(experiment, recipe), cells[name, recipe]
        if experiment.dataset and about != (settings.data.dataset, settings.data.protocol):
            assert said.startswith("refused: "), (name, recipe)
            assert f"is a recipe for {settings.data.dataset}" in said
            assert cell == "another set"
        elif touches_before and not settings.run.after:
            assert f"it changes the pre-training, and {recipe} has none" in said
            assert said.startswith("skipped: " if cell == "some rows" else "refused: "), (name, recipe)
            assert cell in ("some rows", "no pre-training")
        else:
            assert (said, cell) == ("planned", "planned"), (name, recipe)


def test_a_reason_is_never_empty():
    experiment = catalogue.load("fig7")
    base = base_of(experiment, "vqa_rad_lite")
    with pytest.raises(ConfigError, match=r"fig7 cannot be made of vqa_rad_lite: it changes the pre-training, and"):
        plan(experiment, base, [0])


def test_a_row_scales_the_default_of_a_number_that_the_recipe_leaves_out():
    experiment = catalogue.load("table4")
    half = next(row for row in experiment.rows if row.name == "L_mix 0.5, L_diff 1")
    base = base_of(experiment, "base")
    assert "weights" not in base.main["objective"]
    made = check_recipe(apply(base.main, half, "main"), "here")
    assert made.objective.weights == {"mix": 0.5, "diff_img": 1.0, "diff_txt": 1.0}


def test_an_experiment_about_one_data_set_refuses_a_recipe_of_another():
    with pytest.raises(ConfigError, match="is a recipe for vqa_rad; table2 reports slake's usual split") as caught:
        base_of(catalogue.load("table2"), "base")
    assert "recipes/cmdpi/slake_lite.toml" in caught.value.hint
    assert base_of(catalogue.load("table2"), "base_slake").main["data"]["dataset"] == "slake"
