"""Runs on the Hugging Face hub: taken from it, and given to it. Only `shared_folder.PATTERNS` travel, never code.

What the hub's own client reads from the environment holds here too: HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE, HF_TOKEN.
"""

import re
from collections.abc import Callable
from pathlib import Path

from discern_vqa import shared_folder
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.shared_folder import Shared

PREFIX = "hf://"
_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def is_hub_name(name: str) -> bool:
    """Whether `name` has the form of a hub's repository, "org/name"; whether there is one is not asked."""
    return bool(_NAME.match(name))


def repository(name: str) -> str:
    """ "org/name" of "org/name" or "hf://org/name". Raises ConfigError where it has another form."""
    plain = name.removeprefix(PREFIX)
    if not is_hub_name(plain):
        raise ConfigError(
            f"{name!r} is no repository of the hub; expected ORGANISATION/NAME",
            hint="discern push RUN my-clinic/chest-vqa",
        )
    return plain


def fetch(name: str, revision: str | None = None) -> Path:
    """The run folder of a repository, in the hub's cache; what lies there already is not downloaded again.

    revision: a branch, a tag or a commit; None: main. Raises RunError: there is no such repository or revision, the hub
    does not answer, or what lies there is no run.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    repo = repository(name)
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=shared_folder.PATTERNS))
    except RevisionNotFoundError as error:
        raise RunError(f"{repo} has no revision {revision!r}", hint="leave it out for the newest") from error
    except RepositoryNotFoundError as error:
        raise RunError(
            f"the hub has no repository {repo}, or it is private",
            hint="check the name; for a private one: hf auth login",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise RunError(
            f"{repo} is not in the hub's cache and cannot be fetched: {type(error).__name__}",
            hint="check the connection and HF_HUB_OFFLINE, or copy the folder here and give its path",
        ) from error
    if missing := [file for file in shared_folder.REQUIRED if not (folder / file).is_file()]:
        raise RunError(
            f"{repo} is no run of Discern: it has no {missing[0]}",
            hint="`discern push` puts a run there; other models are asked as docs/outside_models.md says",
        )
    return folder


def push(shared: Shared, name: str, *, private: bool, say: Callable[[str], None] = lambda text: None) -> str:
    """Uploads a folder that `shared_folder.share` made, in one commit; returns its address.

    Raises ConfigError: the name is none, or no licence is stated. Raises RunError: the hub refused it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    repo = repository(name)
    if not shared.licence:
        raise ConfigError(f"{shared.folder} states no licence", hint="add --license, or `license:` in README.md")
    api = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        say(f"uploading {len(shared.files)} files, {shared.size / 2**20:.1f} MiB, to {repo}")
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=shared.folder,
            allow_patterns=shared_folder.PATTERNS,
            commit_message="A run of Discern",
        )
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError, ValueError) as error:
        raise RunError(
            f"the hub did not take {repo}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            hint="log in first: hf auth login; the name's first part must be yours",
        ) from error
    return str(commit.commit_url)
