"""HTTP with one archive: one address, checked certificates, bounded answers, and errors that say what to do."""

import base64
import importlib.util
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from discern_vqa.errors import DiscernError

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

USER, PASSWORD, TOKEN = "DISCERN_DICOMWEB_USER", "DISCERN_DICOMWEB_PASSWORD", "DISCERN_DICOMWEB_TOKEN"
AUTHORITIES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
"""Environment variables that name a file of trusted certificates, as of a hospital's own authority."""

TIMEOUT = (10.0, 120.0)
"""Seconds until it answers at all, and between two pieces of an answer."""
_TRIES, _BACKOFF = 3, 0.3
_BUSY = (429, 502, 503, 504)
_CHUNK = 1 << 20
_LOGIN = f"set {USER} and {PASSWORD} (or {TOKEN}), or write the archive's host into ~/.netrc"


class ArchiveError(DiscernError):
    """The archive cannot be reached, refuses, or answers what it must not: nothing of it can be had now."""


class TooLarge(Exception):
    """An answer is longer than what is read."""


def session(url: str, most_bytes: int) -> "Session":
    """A session that talks to the address of `url` alone and reads at most `most_bytes` of an answer.

    Proxies and cookies of the environment are not used. Raises DiscernError: a package is missing.
    """
    for name in ("requests", "dicomweb_client"):
        if importlib.util.find_spec(name) is None:
            raise DiscernError(
                f"{name}, which talks to archives, is not installed", hint="pip install 'discern-vqa[dicom-out]'"
            )
    import requests
    from requests.adapters import HTTPAdapter
    from requests.utils import get_netrc_auth
    from urllib3.util import Retry

    class OneAddress(HTTPAdapter):
        """Reads an answer up to the limit, and sends the Host that the address has."""

        def send(
            self,
            request: "PreparedRequest",
            stream: bool = False,
            timeout: float | tuple[float | None, float | None] | None = None,
            verify: bool | str = True,
            cert: str | tuple[str, str] | None = None,
            proxies: dict[str, str] | None = None,
        ) -> "Response":
            request.headers.pop("Host", None)  # dicomweb_client's has no port
            response = super().send(request, True, timeout, verify, cert)
            response.raw = io.BytesIO(_bounded(response, most_bytes))
            return response

    for name in ("dicomweb_client", "urllib3"):  # what they remark holds addresses of images; errors are raised
        logging.getLogger(name).addHandler(logging.NullHandler())
    retry = Retry(
        total=_TRIES,
        backoff_factor=_BACKOFF,
        status_forcelist=_BUSY,
        allowed_methods={"GET"},
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    made = requests.Session()
    made.trust_env = False
    parts = urlsplit(url)
    made.adapters.clear()
    made.mount(f"{parts.scheme}://{parts.netloc}/", OneAddress(max_retries=retry))
    made.verify = next((os.environ[name] for name in AUTHORITIES if os.environ.get(name)), True)
    if token := os.environ.get(TOKEN):
        made.headers["Authorization"] = f"Bearer {token}"
    elif user := os.environ.get(USER):
        made.headers["Authorization"] = _basic(user, os.environ.get(PASSWORD, ""))
    elif login := get_netrc_auth(url):
        made.headers["Authorization"] = _basic(*login)
    return made


def _basic(user: str, password: str) -> str:
    """User and password as RFC 7617 has them, in UTF-8."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _bounded(response: "Response", most_bytes: int) -> bytes:
    """The whole answer. Raises TooLarge as soon as it is known to be longer; unpacked bytes are counted."""
    if int(response.headers.get("Content-Length") or 0) > most_bytes:
        response.close()
        raise TooLarge
    parts, size = [], 0
    for part in response.raw.stream(_CHUNK, decode_content=True):
        size += len(part)
        if size > most_bytes:
            response.close()
            raise TooLarge
        parts.append(part)
    response.raw.release_conn()
    return b"".join(parts)


@contextmanager
def explained(url: str, most_bytes: int) -> Iterator[None]:
    """Turns what goes wrong with an archive into an ArchiveError that says what to do. What it sent is not quoted: it
    may hold a patient's name."""
    import requests
    from urllib3.exceptions import HTTPError as BrokenAnswer

    host = urlsplit(url).netloc
    try:
        yield
    except TooLarge as error:
        raise ArchiveError(
            f"{host} sends more than {most_bytes / 1e6:.0f} MB at once, the most that is read",
            hint="choose other images",
        ) from error
    except requests.exceptions.SSLError as error:
        raise ArchiveError(
            f"the certificate of {host} is not trusted",
            hint=f"name your hospital's authority: export {AUTHORITIES[0]}=/path/to/authority.pem",
        ) from error
    except requests.exceptions.InvalidSchema as error:
        raise ArchiveError(
            f"{host} points to another address, which is not followed", hint="name the address that answers itself"
        ) from error
    except requests.exceptions.Timeout as error:
        raise ArchiveError(f"{host} does not answer in time", hint="try again when it is less busy") from error
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise refused(url, status) from error
    except (requests.exceptions.ConnectionError, BrokenAnswer) as error:
        raise ArchiveError(
            f"{host} cannot be reached, or broke off", hint=f"is it running? curl -sS {url}/studies?limit=1"
        ) from error
    except requests.exceptions.RequestException as error:
        raise ArchiveError(
            f"{host} does not answer as DICOMweb does ({type(error).__name__})", hint=f"curl -sS {url}/studies?limit=1"
        ) from error


def refused(url: str, status: int) -> ArchiveError:
    """The error for an answer of that status, from 400 on."""
    host = urlsplit(url).netloc
    if status in (401, 403):
        return ArchiveError(f"{host} refuses access (HTTP {status})", hint=_LOGIN)
    if status == 404:
        return ArchiveError(
            f"{host} has nothing under this address (HTTP 404)",
            hint=f"a DICOMweb address often ends in /dicom-web or /dicomweb: curl -sS {url}/studies?limit=1",
        )
    return ArchiveError(f"{host} answers with an error (HTTP {status})", hint="its own log says why; then try again")
