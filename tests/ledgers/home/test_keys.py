"""What the keys promise: one purpose each, closed without the passphrase, changes are noticed."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from expectations.errors import HomeError, ServiceError, UsageError
from ledgers.home.founding import create_home
from ledgers.home.home import Home, Settings
from ledgers.home.keys import Keys, open_incident, seal_incident
from ledgers.outbox import Outbox

PHRASE = "four quiet heron words"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of a home without a passphrase."""
    return Keys.open(create_home(tmp_path_factory.mktemp("open") / "home"))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home under a passphrase."""
    return create_home(tmp_path_factory.mktemp("locked") / "home", PHRASE)


def test_a_label_always_gives_the_same_key_and_another_label_another(keys: Keys) -> None:
    """Tokens of two purposes cannot be joined, and those of one can be made again."""
    again = Keys.open(keys.home)
    assert keys.derive("token:dpv:Marketing") == again.derive("token:dpv:Marketing")
    assert keys.derive("token:dpv:Marketing") != keys.derive("token:dpv:ScientificResearch")
    assert len(keys.derive("digest")) == 32


def test_derivation_is_that_of_rfc_5869(keys: Keys) -> None:
    """HKDF-SHA256 written out by hand from the RFC gives the same key."""

    def mac(key: bytes, message: bytes) -> bytes:
        padded = key.ljust(64, b"\0")
        inner, outer = Hash(SHA256()), Hash(SHA256())
        inner.update(bytes(byte ^ 0x36 for byte in padded) + message)
        outer.update(bytes(byte ^ 0x5C for byte in padded) + inner.finalize())
        return outer.finalize()

    assert keys.derive("digest") == mac(mac(b"\0" * 32, keys.root), b"digest\x01")


def test_what_is_sealed_opens_under_its_own_label_only(keys: Keys) -> None:
    """The label is part of the key and of what is authenticated."""
    sealed = keys.seal(b"people = 47", "evidence")
    assert b"people" not in sealed
    assert keys.unseal(sealed, "evidence") == b"people = 47"
    with pytest.raises(ServiceError, match="does not open"):
        keys.unseal(sealed, "outbox")


@pytest.mark.parametrize("place", [0, 12, -1], ids=["nonce", "text", "tag"])
def test_a_changed_byte_is_noticed(keys: Keys, place: int) -> None:
    """Sealed bytes are authenticated from the first to the last."""
    sealed = bytearray(keys.seal(b"n = 47", "evidence"))
    sealed[place] ^= 1
    with pytest.raises(ServiceError, match="does not open"):
        keys.unseal(bytes(sealed), "evidence")


def test_keys_neither_print_nor_pickle(keys: Keys) -> None:
    """A log line or a task's result cannot carry the root key away."""
    assert keys.root.hex() not in repr(keys)
    assert str(keys.root) not in repr(keys)
    with pytest.raises(TypeError, match="do not leave"):
        pickle.dumps(keys)


def test_the_passphrase_opens_the_keys(locked: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given by hand or by the environment it is the same; the key lies nowhere in clear."""
    by_hand = Keys.open(locked, PHRASE)
    monkeypatch.setenv("TUTELA_PASSPHRASE", PHRASE)
    assert Keys.open(locked) == by_hand
    stored = b"".join(path.read_bytes() for path in locked.keys.iterdir())
    assert by_hand.root not in stored


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "set TUTELA_PASSPHRASE"), ("four quiet heron", "does not open"), ("", "empty")],
    ids=["missing", "wrong", "empty"],
)
def test_without_the_passphrase_nothing_opens(
    locked: Home, monkeypatch: pytest.MonkeyPatch, given: str | None, said: str
) -> None:
    """The message says whether it is missing or wrong."""
    monkeypatch.delenv("TUTELA_PASSPHRASE", raising=False)
    with pytest.raises(HomeError, match=said):
        Keys.open(locked, given)


def with_settings(home: Home, **settings: str) -> Home:
    """Give the home with other settings."""
    return replace(home, settings=Settings(**settings))


@pytest.fixture
def phrase_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The passphrase as an editor leaves it in a file, and no variable that goes first."""
    monkeypatch.delenv("TUTELA_PASSPHRASE", raising=False)
    file = tmp_path / "tutela-passphrase"
    file.write_text(f"{PHRASE}\n")
    file.chmod(0o600)
    return file


def test_a_passphrase_is_had_without_a_terminal(
    locked: Home, phrase_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file, from a command that asks a key server, and from systemd."""
    assert Keys.open(with_settings(locked, passphrase_file=str(phrase_file)))
    assert Keys.open(with_settings(locked, passphrase_command=f"cat {phrase_file}"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(phrase_file.parent))
    assert Keys.open(locked)


def test_the_variable_goes_first(
    locked: Home, phrase_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that one command can be given another; the message says which was tried."""
    monkeypatch.setenv("TUTELA_PASSPHRASE", "another")
    with pytest.raises(HomeError, match="correct TUTELA_PASSPHRASE"):
        Keys.open(with_settings(locked, passphrase_file=str(phrase_file)))


def test_a_passphrase_command_is_no_shells_and_what_it_says_is_shown_to_nobody(
    locked: Home, phrase_file: Path
) -> None:
    """Nor in a message, whichever way it fails."""
    echoed = with_settings(locked, passphrase_command=f"echo secret; cat {phrase_file}")
    for home, said in (
        (echoed, r"does not open .*: correct passphrase_command in settings\.toml"),
        (with_settings(locked, passphrase_command="cat secret"), "ended with status 1"),
        (with_settings(locked, passphrase_command="no-such-secret"), "cannot be started"),
        (with_settings(locked, passphrase_command="'secret"), "cannot be started"),
        (with_settings(locked, passphrase_command="true"), "empty passphrase"),
    ):
        with pytest.raises(HomeError, match=said) as caught:
            Keys.open(home)
        assert "secret" not in str(caught.value)
        assert "secret" not in repr(home.settings)


def test_a_passphrase_file_is_named_where_it_fails(locked: Home, phrase_file: Path) -> None:
    """One that every account can read is refused, and one that is missing or empty."""
    home = with_settings(locked, passphrase_file=str(phrase_file))
    phrase_file.chmod(0o604)
    with pytest.raises(HomeError, match=f"chmod o= {phrase_file}"):
        Keys.open(home)
    phrase_file.chmod(0o600)
    phrase_file.write_text("\n")
    with pytest.raises(HomeError, match="empty passphrase"):
        Keys.open(home)
    phrase_file.unlink()
    with pytest.raises(HomeError, match=f"passphrase_file: {phrase_file} cannot be read"):
        Keys.open(home)


def test_one_wrapped_key_cannot_stand_in_for_another(tmp_path: Path) -> None:
    """The operator's key in the place of the root key is refused though the passphrase fits."""
    home = create_home(tmp_path / "home", PHRASE)
    (home.keys / "root.key").write_bytes((home.keys / "operator.key").read_bytes())
    with pytest.raises(HomeError, match="does not open"):
        Keys.open(home, PHRASE)


def test_an_incident_is_sealed_without_and_opened_with_the_passphrase(locked: Home) -> None:
    """Sealing needs the public key only; the text is not in the file."""
    text = "could not convert 'Ada Ümlaut' to float"
    incident = seal_incident(locked, text)
    assert "Ada Ümlaut".encode() not in (locked.incidents / incident).read_bytes()
    assert open_incident(locked, incident, PHRASE) == text
    with pytest.raises(HomeError, match="passphrase"):
        open_incident(locked, incident)


def test_a_changed_or_unknown_incident_does_not_open(keys: Keys) -> None:
    """An incident stored under another's id is refused, and so is a path."""
    first, second = keys.seal_incident("one"), keys.seal_incident("two")
    (keys.home.incidents / first).write_bytes((keys.home.incidents / second).read_bytes())
    with pytest.raises(ServiceError, match="changed"):
        keys.open_incident(first)
    with pytest.raises(UsageError, match="no incident"):
        keys.open_incident("../keys/root.key")


def test_a_text_that_is_no_unicode_is_sealed_all_the_same(keys: Keys) -> None:
    """A lone surrogate in an error's text must not make the seal itself fail."""
    assert keys.open_incident(keys.seal_incident("bad \ud800 name")) == "bad \\ud800 name"


def test_the_outbox_keeps_a_sealed_run_until_it_is_removed(keys: Keys) -> None:
    """What waits for MLflow is not readable on the disk, and taking it does not lose it."""
    outbox = Outbox(keys.home, keys)
    outbox.put("run-1", b"model of 47 people")
    assert outbox.pending() == ["run-1"]
    assert b"people" not in (keys.home.outbox / "run-1").read_bytes()
    assert outbox.take("run-1") == outbox.take("run-1") == b"model of 47 people"
    outbox.remove("run-1")
    assert outbox.pending() == []
    with pytest.raises(UsageError, match="does not wait"):
        outbox.take("run-1")
