"""What `tutela units` writes: systemd units, a container, and passwords, for a home that serves.

The units run what `tutela up` runs, each part by itself. No secret stands in one: the passphrase is
a credential of systemd, passwords lie in files of mode 0600 beside the units.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.servers.mlflow_process import ACCOUNTS
from deployments.servers.prefect_server import named_mlflow
from deployments.terminal import Answer
from expectations.errors import HomeError, UsageError
from ledgers.evidence import JSON
from ledgers.home.home import Home
from ledgers.home.keys import CREDENTIAL, is_wrapped
from ledgers.home.private_files import disk_failure, write_private

HARDENED: Final = """\
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={home}
PrivateTmp={private_tmp}
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""
"""What a service may not do. It may reach the network: sources and servers can lie elsewhere."""
SERVICE: Final = """\
[Unit]
Description=tutela: {what}
After=network-online.target {after}
Wants=network-online.target {after}

[Service]
Type={kind}
User={user}
WorkingDirectory={home}
Environment=TUTELA_HOME={home}
{more}ExecStart={command}
{again}{hardened}"""
AGAIN: Final = """\
Restart=always
RestartSec=5
TimeoutStopSec=30
"""
INSTALL: Final = "\n[Install]\nWantedBy=multi-user.target\n"
TIMER: Final = """\
[Unit]
Description=tutela: nightly upkeep

[Timer]
OnCalendar=*-*-* 03:30:00
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target
"""
CREDENTIAL_FILE: Final = "/etc/tutela/passphrase"
"""Where systemd, which reads it as root, finds the passphrase; other accounts need no right to."""
CONTAINERFILE: Final = """\
# Untried: written for a machine that was not at hand. Built from tutela's checkout:
#   podman build -f Containerfile -t tutela .
FROM python:3.11-slim
RUN useradd --create-home --uid 10001 tutela
WORKDIR /srv/tutela
COPY . .
RUN pip install --no-cache-dir --require-hashes -r bootstrap.lock \\
 && uv pip install --system --require-hashes -r requirements.lock \\
 && uv pip install --system --no-deps --no-build-isolation .
USER tutela
ENV TUTELA_HOME=/home/tutela/home
CMD ["tutela", "up"]
"""
COMPOSE: Final = """\
# Untried, as the Containerfile. The servers listen on 127.0.0.1 of the container, so their pages
# are reached with `podman compose exec tutela …` alone. Make the home once, before the first start:
#   podman compose run --rm tutela tutela init
services:
  tutela:
    build: {dockerfile: Containerfile, context: .}
    restart: unless-stopped
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    stop_grace_period: 30s
    volumes: ["home:/home/tutela"]
volumes:
  home: {}
"""
LOGIN: Final = """\
[mlflow]
default_permission = READ
database_uri = sqlite:///{home}/mlflow/login.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""
MLFLOW_SECRETS: Final = (
    *("MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_AUTH_ADMIN_PASSWORD"),
    *ACCOUNTS.values(),
)
UNPROTECTED: Final = (
    "the passwords keep out other accounts of this machine that ask the servers. They do not "
    "protect from whoever reads the home or its database, nor from administrators; Prefect has one "
    "password for all, with which its holder can start, pause and remove runs"
)


@dataclass(frozen=True, slots=True)
class Site:
    """Where the units run: whose account, which home and program, which files of passwords."""

    home: Home
    user: str
    folder: Path
    tutela: str
    login: bool
    wrapped: bool


def write_units(folder: Path, user: str | None, *, login: bool) -> Answer:
    """Write the units of this home into a folder, and say what to do with them."""
    home = Home.open()
    site = Site(
        home,
        user or getpass.getuser(),
        folder.expanduser().resolve(),
        find_program(),
        login,
        is_wrapped(home),
    )
    for path in (home.root, site.folder, site.tutela, sys.executable):
        if re.search(r"[\s%$\"'\\]", str(path)):
            raise UsageError(f"systemd cannot be given {path}: choose a path of plain characters")
    files = list_units(site) | {"Containerfile": CONTAINERFILE, "compose.yaml": COMPOSE}
    try:
        site.folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = site.folder / name
            path.write_text(text, encoding="utf-8")
            # Nothing is secret in it, and systemd complains where others cannot read a unit.
            path.chmod(0o644)
        kept = [name for name in list_passwords(site) if (site.folder / name).exists()]
        for name, text in list_passwords(site).items():
            if name not in kept:
                write_private(site.folder / name, text.encode())
    except OSError as error:
        raise HomeError(f"{site.folder}: {disk_failure(error)}") from None
    found: dict[str, JSON] = {
        "folder": str(site.folder),
        "files": [*files, *list_passwords(site)],
        "kept": [*kept],
    }
    return Answer(found, list_next(site), [UNPROTECTED] if login else [])


def find_program() -> str:
    """Give the path of `tutela` beside this Python; UsageError where it is not installed."""
    found = shutil.which("tutela", path=sysconfig.get_path("scripts"))
    if found is None:
        raise UsageError("`tutela` is not installed beside this Python: pip install it first")
    return found


def list_units(site: Site) -> dict[str, str]:
    """Give the units by their file's name."""
    root, found = site.home.root, dict[str, str]()
    own = "tutela-prefect.service" if site.home.settings.prefect_api_url is None else ""
    if own:
        found[own] = write_service(site, "Prefect's server", f"{site.tutela} prefect", "prefect")
    worker = f"{sys.executable} -P -m deployments.serving.worker {root}"
    found["tutela-schedules.service"] = write_service(
        site, "scheduled runs", worker, "prefect", keyed=True, after=own
    )
    if named_mlflow(site.home) is None:
        found["tutela-mlflow.service"] = write_service(
            site, "MLflow's pages", f"{site.tutela} mlflow", "mlflow"
        )
    found["tutela-maintain.service"] = write_service(
        site, "nightly upkeep", f"{site.tutela} maintain", "prefect", keyed=True, after=own,
        kind="oneshot",
    )  # fmt: skip
    return found | {"tutela-maintain.timer": TIMER}


def write_service(  # noqa: PLR0913 - a unit's parts
    site: Site, what: str, command: str, server: str, *,
    keyed: bool = False, after: str = "", kind: str = "exec",
) -> str:  # fmt: skip
    """Write one service of a site; only a keyed one is given the passphrase."""
    settings = site.home.settings
    named = settings.passphrase_file or settings.passphrase_command
    more = ""
    if keyed and site.wrapped and not named:
        more += f"LoadCredential={CREDENTIAL}:{CREDENTIAL_FILE}\n"
    if site.login:
        more += f"EnvironmentFile={site.folder / server}.env\n"
    # A private /tmp would hide a home that lies there.
    private_tmp = "no" if str(site.home.root).startswith(("/tmp/", "/var/tmp/")) else "yes"  # noqa: S108
    hardened = HARDENED.format(home=site.home.root, private_tmp=private_tmp)
    lasting = kind != "oneshot"
    text = SERVICE.format(
        what=what, after=after, kind=kind, user=site.user, home=site.home.root, more=more,
        command=command, again=AGAIN if lasting else "", hardened=hardened,
    )  # fmt: skip
    return re.sub(r" +\n", "\n", text) + (INSTALL if lasting else "")


def list_passwords(site: Site) -> dict[str, str]:
    """Give new passwords as systemd's files of variables; nothing without a login."""
    if not site.login:
        return {}
    shared = f"tutela:{secrets.token_urlsafe(24)}"
    prefect = dict.fromkeys(("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"), shared)
    mlflow = {name: secrets.token_urlsafe(24) for name in MLFLOW_SECRETS}
    mlflow["MLFLOW_AUTH_CONFIG_PATH"] = f"{site.folder}/mlflow-login.ini"
    written = {"prefect.env": prefect, "mlflow.env": mlflow}
    files = {
        file: "".join(f"{name}={value}\n" for name, value in variables.items())
        for file, variables in written.items()
    }
    return files | {"mlflow-login.ini": LOGIN.format(home=site.home.root)}


def list_next(site: Site) -> list[str]:
    """Say what to do with the files."""
    lines = [f"Units for {site.user} are in {site.folder}. As root:"]
    if site.wrapped:
        lines.append(f"  install -D -m 600 YOUR-PASSPHRASE-FILE {CREDENTIAL_FILE}")
    lines += [
        f"  cp {site.folder}/tutela-* /etc/systemd/system/ && systemctl daemon-reload",
        "  systemctl enable --now "
        + " ".join(name for name in list_units(site) if name != "tutela-maintain.service"),
    ]
    if site.login:
        lines += [
            "Passwords are in prefect.env, and in mlflow.env for the user `people`.",
            "Before a command by hand, and before `tutela up`:",
            f"  set -a; . {site.folder}/prefect.env; set +a",
        ]
    if os.geteuid() != site.home.root.stat().st_uid:
        lines.append("The home belongs to another account: give its name with --user.")
    return lines
