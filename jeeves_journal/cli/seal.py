"""``jeeves-journal seal``: bring all records to the newest key, seal and codec."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Literal

import typer

from jeeves_journal.cli.options import Schema, Url
from jeeves_journal.codecs import Keyring
from jeeves_journal.factory import from_url
from jeeves_journal.options import StoreOptions
from jeeves_journal.records import Resealed

CodecName = Literal["pickle", "json"]


def seal(
    url: Url,
    *,
    schema: Schema = None,
    encrypt: Annotated[bool, typer.Option("--encrypt", help="Encrypt and do not only sign.")] = False,
    codec: Annotated[CodecName, typer.Option(help="The codec that records are to have.")] = "pickle",
    from_codec: Annotated[
        CodecName | None, typer.Option(show_default=False, help="The codec that records have, if another one.")
    ] = None,
    compress: Annotated[
        bool, typer.Option("--compress", help="Compress by zstd, and read what is compressed.")
    ] = False,
    allow_unsealed: Annotated[
        bool, typer.Option("--allow-unsealed", help="Seal what has no seal: you trust whoever could write until now.")
    ] = False,
) -> None:
    """Bring all records to the first key of JEEVES_JOURNAL_KEYS, while others use the journal. Safe to run again."""
    options: StoreOptions = {
        "keys": Keyring.from_env(),
        "seal": "encrypt" if encrypt else "sign",
        "codec": codec,
        "allow_unsealed": allow_unsealed,
        # Nobody wants a journal where there was none.
        "create_tables": False,
    }
    if compress:
        options["compress"] = "zstd"
    if schema is not None:
        options["schema"] = schema
    done = asyncio.run(_seal(url, options, from_codec))
    typer.echo(f"{done.records:,} records: {done.resealed:,} sealed anew, {done.refused:,} refused")
    for error in done.refusals:
        typer.echo(f"jeeves-journal: {error}", err=True)
    if done.refused:
        raise typer.Exit(1)


async def _seal(url: str, options: StoreOptions, from_codec: CodecName | None) -> Resealed:
    async with from_url(url, **options) as store:
        return await store.reseal(from_codec=from_codec, progress=_show if sys.stderr.isatty() else None)


def _show(records: int) -> None:
    typer.echo(f"\r{records:,} records", nl=False, err=True)
