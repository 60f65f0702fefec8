"""Signing with a person's own key: a file, or OpenSSH with an agent or a security key."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from expectations.errors import UsageError
from ledgers.people.signature import (
    PublicKey,
    is_locked,
    public_of,
    read_private,
    read_public,
    sign,
    sign_by_agent,
)
from ledgers.people.starts import ask_start
from ledgers.people.statement import Answer, Request, Signed, Statement

if TYPE_CHECKING:
    from expectations.policy_file import PolicyFile
    from ledgers.home.keys import Keys

A_DAY: Final = 1
"""How many days the signature of a run's start counts: what is asked for now begins by then."""


@dataclass(frozen=True, slots=True)
class Signer:
    """How somebody signs: `key` is a private key's file, `ssh` a public one's; one of them."""

    key: Path | None
    ssh: Path | None

    def answer(self, request: Request, said: Answer, reason: str = "") -> Signed:
        """Sign an answer to a request; UsageError or ServiceError where it cannot be signed."""
        if (self.key is None) == (self.ssh is None):
            raise UsageError("say with which key you sign: --key FILE, or --ssh KEY.pub")
        if self.ssh is not None:
            public = read_key(self.ssh)
            statement = Statement.of(request, said, public, reason)
            text = sign_by_agent(statement.message, self.ssh)
        else:
            assert self.key is not None
            private = read_private(content := read_file(self.key), ask_password(content))
            public = public_of(private)
            statement = Statement.of(request, said, public, reason)
            text = sign(statement.message, private)
        signed = Signed(request, statement, public, text)
        signed.check()
        return signed

    @classmethod
    def by(cls, key: str | Path | None) -> Signer:
        """Give how somebody signs with one file: a private key's, or a `.pub` that an agent has."""
        path = None if key is None else Path(key)
        public = path is not None and path.suffix == ".pub"
        return cls(None if public else path, path if public else None)

    def start(self, keys: Keys, file: PolicyFile, days: int) -> tuple[Signed, ...]:
        """Sign the start of a policy whose starter may not approve it; of others nobody asks.

        UsageError where it is asked for, and no key is given.
        """
        asked, name = file.policy.approvals, file.policy.name
        if asked is None or asked.not_by is None:
            if self.key is not None or self.ssh is not None:
                raise UsageError(f"{name} asks nobody who starts it: give no key")
            return ()
        return (self.answer(ask_start(keys, name, file.sha256, days), "approve"),)


def read_key(path: Path) -> PublicKey:
    """Read a `.pub` file; UsageError names the file where it is none."""
    try:
        return read_public(read_file(path).decode("ascii", "replace"))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def read_file(path: Path) -> bytes:
    """Read a file; UsageError where it cannot be."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def ask_password(private: bytes) -> bytes | None:
    """Ask at the terminal for a private key's passphrase, if it has one."""
    if not is_locked(private):
        return None
    if not sys.stdin.isatty():
        raise UsageError("this key has a passphrase: sign at a terminal, or by an agent with --ssh")
    typed: str = typer.prompt("Passphrase of the key", hide_input=True, err=True)
    return typed.encode()
