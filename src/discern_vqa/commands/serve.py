"""The verb that answers over HTTP, for the page and for programs."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from discern_vqa.errors import ConfigError

_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def serve(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders; the first is the usual one.")],
    host: Annotated[str, typer.Option(help="Where to listen; other computers need --key-file and TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one.", min=0, max=65535)] = 8765,
    hostname: Annotated[
        list[str] | None, typer.Option(help="A name by which the service is called; may be repeated.")
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="The users' keys; nobody is let in without one.")] = None,
    new_key: Annotated[str, typer.Option(metavar="NAME", help="Add a user to --key-file, and stop.")] = "",
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate (PEM), for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy ends TLS.")] = False,
    corrections: Annotated[Path | None, typer.Option(help="Keep what people correct in this folder.")] = None,
    dicomweb: Annotated[
        str, typer.Option(metavar="URL", help="Images may come from this archive, and answers go there.")
    ] = "",
    access_log: Annotated[Path | None, typer.Option(help="Who asked when; never what.")] = None,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="On Ray Serve: `local`, or HOST:PORT of a Ray that runs.")
    ] = "",
    replicas: Annotated[int, typer.Option(help="With --cluster: processes that own the models.", min=1, max=1024)] = 1,
) -> None:
    """Answer over HTTP: a page in the browser, and an interface for programs.

    It listens on this computer alone, keeps images in memory, and ends on Ctrl-C. docs/serve.md has all routes.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"the service needs {', '.join(missing)}", hint="pip install 'discern-vqa[serve]'")
    from discern_vqa.serve.keys import new_key as made_key
    from discern_vqa.serve.settings import Settings, check, named, require_free_port

    if new_key:
        if key_file is None:
            raise ConfigError("--new-key goes with --key-file", hint=f"--new-key {new_key} --key-file keys.jsonl")
        key = made_key(key_file, new_key)
        typer.echo(f"the key of {new_key}, which is shown this once: {key}")
        return
    settings = Settings(
        runs=named(runs),
        host=host,
        port=port,
        hostnames=tuple(hostname or ()),
        key_file=key_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_proxy=behind_proxy,
        corrections=corrections,
        dicomweb=dicomweb,
        access_log=access_log,
    )
    if replicas > 1 and not cluster:
        raise ConfigError("--replicas is for --cluster: without it one process answers", hint="--cluster local")
    check(settings)
    require_free_port(settings)
    typer.echo(f"{', '.join(settings.runs)}: Research software: not for diagnosis.", err=True)
    if cluster:
        from discern_vqa.serve.cluster import serve_on_cluster

        serve_on_cluster(settings, cluster, replicas)
        return
    from discern_vqa.serve.server import serve as run_server

    run_server(settings)
