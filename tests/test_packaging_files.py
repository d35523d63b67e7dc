"""The files of packaging/: what they start is there, without rights, and with options that the command has."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from test_cli import VERBS

PACKAGING = Path(__file__).resolve().parents[1] / "packaging"
UNIT = (PACKAGING / "discern.service").read_text(encoding="utf-8")
CONTAINER = (PACKAGING / "Containerfile").read_text(encoding="utf-8")
NGINX = (PACKAGING / "nginx.conf").read_text(encoding="utf-8")


def joined(text: str) -> list[str]:
    """Lines without remarks, continued lines as one."""
    plain = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text))
    return [line.strip() for line in plain.splitlines() if line.strip()]


def test_every_option_that_is_named_is_one_of_the_command():
    named = set()
    for text in (UNIT, CONTAINER, NGINX):
        for line in re.sub(r"\\\n#?", " ", text).splitlines():
            behind = "".join(re.findall(r"\bdiscern\s+(?:serve|/run/demo)\s(.*)", line))
            named |= {word for word in behind.split() if word.startswith("--")}
    assert {"--host", "--key-file", "--new-key", "--hostname", "--behind-proxy", "--corrections"} <= named
    assert named <= VERBS["serve"]


def test_the_container_runs_without_rights_and_ends_as_the_service_does():
    lines = joined(CONTAINER)
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    words = [line.partition(" ") for line in lines[last:]]
    instructions = {word: rest for word, _, rest in words}
    assert instructions["USER"] == "10001:10001"
    assert instructions["STOPSIGNAL"] == "SIGTERM"
    assert shlex.split(instructions["ENTRYPOINT"].strip("[]").replace(",", " ")) == ["discern", "serve"]
    assert set(instructions) <= {"FROM", "COPY", "RUN", "USER", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
                                 "ENTRYPOINT", "CMD"}  # fmt: skip
    order = [word for word, _, _ in words]
    assert order.index("USER") > order.index("RUN")
    assert not [line for line in lines if re.search(r"\b(curl|wget|sudo|chmod 777|:latest)\b", line)]
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", "\n".join(lines), re.MULTILINE):
        assert all((PACKAGING.parent / name).exists() for name in source.split())


def test_the_unit_is_one_that_systemd_understands(tmp_path):
    assert "DynamicUser=yes" in UNIT
    assert "NoNewPrivileges=yes" in UNIT
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: the unit was not checked")
    unit = tmp_path / "discern.service"
    unit.write_text(UNIT.replace("/opt/discern/bin/discern", shutil.which("true") or "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "discern" in line]) == (0, [])


def test_nginx_asks_for_tls_and_allows_what_the_service_allows(tmp_path):
    lines = joined(NGINX)
    assert all(line[-1] in ";{}" for line in lines)
    assert sum(line.count("{") - line.count("}") for line in lines) == 0
    assert "listen 443 ssl;" in lines
    assert "return 301 https://$host$request_uri;" in lines
    assert "client_max_body_size    65m;" in lines  # the service's 64 MiB, and the frame around it
    assert not [
        line for line in lines if line.startswith("log_format") and re.search(r"args|request\b|request_uri", line)
    ]
