"""Keys: how they are made, written down and refused."""

from __future__ import annotations

import base64
import traceback
from hashlib import sha256
from pathlib import Path

import pytest

from jeeves_journal import ConfigurationError, Keyring
from jeeves_journal.codecs.keyring import derive

SECRET = base64.b64encode(sha256(b"one").digest()).decode()
OTHER = base64.b64encode(sha256(b"other").digest()).decode()


def test_a_generated_keyring_holds_one_key_that_is_like_no_other() -> None:
    one, other = Keyring.generate(), Keyring.generate()
    assert len(list(one)) == 1
    assert one.to_text() != other.to_text()
    assert one.first.id != other.first.id


def test_a_keyring_comes_back_from_its_text() -> None:
    keys = Keyring.from_text(f"new:{SECRET},old:{OTHER}")
    assert [key.id for key in keys] == ["new", "old"]
    assert Keyring.from_text(keys.to_text()).to_text() == keys.to_text() == f"new:{SECRET},old:{OTHER}"


def test_the_first_key_is_the_one_that_seals() -> None:
    assert Keyring.from_text(f"new:{SECRET},old:{OTHER}").first.id == "new"


def test_a_keyring_shows_ids_only() -> None:
    keys = Keyring.from_text(f"new:{SECRET},old:{OTHER}")
    assert repr(keys) == "Keyring(new, old)"
    assert [repr(key) for key in keys] == ["Key('new')", "Key('old')"]
    assert SECRET not in f"{keys}{vars(keys)}"


def test_a_file_may_hold_a_key_in_each_line_and_comments(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# the newest\nnew:{SECRET}\n\nold:{OTHER}\n")
    assert repr(Keyring.from_file(tmp_path / "keys")) == "Keyring(new, old)"


def test_the_environment_may_hold_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEEVES_JOURNAL_KEYS", f"new:{SECRET}")
    assert repr(Keyring.from_env()) == "Keyring(new)"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JEEVES_JOURNAL_KEYS", raising=False)
    with pytest.raises(ConfigurationError, match="JEEVES_JOURNAL_KEYS is not set: make one with `jeeves-journal keys"):
        Keyring.from_env()


@pytest.mark.parametrize("content", [None, "née".encode("latin-1")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ConfigurationError, match="keys' cannot be read"):
        Keyring.from_file(tmp_path / "keys")


def text_of(secret: bytes) -> str:
    return f"id:{base64.b64encode(secret).decode()}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" ,\n", "empty"),
        ("hunter2hunter2", "not of the form id:base64"),
        ("id:hunter2!", "not of the form id:base64"),
        (f":{SECRET}", "one to eight letters"),
        (f"ninechars:{SECRET}", "one to eight letters"),
        (f"a b:{SECRET}", "one to eight letters"),
        (f"é:{SECRET}", "one to eight letters"),
        (text_of(b"short"), "has 5 bytes and not 32"),
        (text_of(bytes(range(33))), "has 33 bytes and not 32"),
        (text_of(bytes(32)), "can be guessed"),
        (text_of(b"hunter2 " * 4), "can be guessed"),
        (text_of(b"correct horse battery staple 123"), "can be guessed"),
        (text_of(b"correct horse battery staple 12\n"), "can be guessed"),
        (text_of(bytes(range(32))), "can be guessed"),
        (text_of(bytes(range(255, 191, -2))), "can be guessed"),
        (f"same:{SECRET},same:{OTHER}", "same id"),
    ],
)
def test_weak_and_malformed_keys_are_refused_and_not_shown(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refusal:
        Keyring.from_text(text)
    ours = refusal.tb.tb_next
    said = "".join(traceback.TracebackException(ConfigurationError, refusal.value, ours, capture_locals=True).format())
    for secret in (SECRET, OTHER, "hunter2", "correct horse"):
        assert secret not in said
    assert refusal.value.remedy


def test_the_keys_for_two_purposes_are_apart() -> None:
    secret = base64.b64decode(SECRET)
    assert len({secret, derive(secret, b"one"), derive(secret, b"other")}) == 3


def test_keys_are_derived_as_rfc_5869_says() -> None:
    """Its test case 3: no salt, no info; the first 32 bytes of the output."""
    derived = derive(b"\x0b" * 22, b"")
    assert derived.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
