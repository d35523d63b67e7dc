"""Where questions and images are sent: whether that is this machine, and whether they may go there. No torch here."""

import ipaddress
import os
from urllib.parse import urlsplit

from discern_vqa.errors import ConfigError

PUBLIC_WITHOUT_SOURCE = ("phantom",)
"""Data sets that nobody publishes and that show no patient."""


def checked(endpoint: str) -> str:
    """The address without a slash at its end. Raises ConfigError for what is none."""
    try:
        parts = urlsplit(endpoint)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigError(
            f"model.endpoint = {endpoint!r} is no address; expected http:// or https:// and a host",
            hint="--set model.endpoint=http://127.0.0.1:8000/v1 (vLLM), http://127.0.0.1:11434/v1 (Ollama)",
        )
    if parts.username or parts.password:
        raise ConfigError(
            "model.endpoint holds a user name or a password, which would be written into the run folder",
            hint="leave it out, and name the environment variable that holds the key: --set model.key_from=MY_KEY",
        )
    return endpoint.rstrip("/").removesuffix("/chat/completions")


def host_of(endpoint: str) -> str:
    """The host of an address, for messages."""
    return urlsplit(endpoint).hostname or endpoint


def is_this_machine(endpoint: str) -> bool:
    """Whether an address is a loopback one, so that nothing leaves the machine. A name is never resolved for that."""
    host = host_of(endpoint)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def warning(endpoint: str) -> str:
    """What is to be known before images are sent, a sentence; "" of this machine."""
    if is_this_machine(endpoint):
        return ""
    return (
        f"images and questions are sent to {host_of(endpoint)}, which is not this machine: send no image of a patient"
        " without the permission that this takes"
    )


def refuse_own(endpoint: str, what: str, may_send: bool) -> None:
    """Raises ConfigError where images that may show patients would leave this machine. what: these images, in words."""
    if may_send or is_this_machine(endpoint):
        return
    raise ConfigError(
        f"{what} would be sent to {host_of(endpoint)}, which is not this machine",
        hint="run the model on this machine (model.endpoint=http://127.0.0.1:8000/v1); or, where you may pass these"
        " images on: --set model.send_own_images=true",
    )


def key_of(variable: str) -> str:
    """The key in an environment variable; "" where none is named. Raises ConfigError where the variable is empty."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"model.key_from names the environment variable {variable}, which is not set",
            hint=f"export {variable}=YOUR_KEY",
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"{variable} holds letters that no key has", hint=f"export {variable}=YOUR_KEY")
    return key
