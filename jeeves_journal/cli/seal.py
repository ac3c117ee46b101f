"""``jeeves-journal seal``: bring all records to the newest key, seal and codec."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from jeeves_journal.cli.exits import COULD_NOT, warn
from jeeves_journal.cli.journals import Journal, run
from jeeves_journal.cli.options import Json, Schema, Url
from jeeves_journal.cli.output import print_json, progress, say
from jeeves_journal.cli.text import count
from jeeves_journal.codecs import Keyring
from jeeves_journal.codecs.envelope import unsealed
from jeeves_journal.errors import CodecError
from jeeves_journal.options import StoreOptions
from jeeves_journal.records import Resealed

CodecName = Literal["pickle", "json"]


def seal(
    url: Url,
    *,
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
    json: Json = False,
    schema: Schema = None,
) -> None:
    """Bring all records to the first key of JEEVES_JOURNAL_KEYS, while others use the journal. Safe to run again."""
    options: StoreOptions = {
        "keys": Keyring.from_env(),
        "seal": "encrypt" if encrypt else "sign",
        "codec": codec,
        "allow_unsealed": allow_unsealed,
    }
    if compress:
        options["compress"] = "zstd"
    done = run(_sealed(Journal(url, schema), options, from_codec))
    refusals = [_advised(error) for error in done.refusals]
    if json:
        print_json(
            {
                "records": done.records,
                "resealed": done.resealed,
                "refused": done.refused,
                "refusals": [_document(error) for error in refusals],
            }
        )
    else:
        say(f"{count(done.records, 'record')}: {done.resealed:,} sealed anew, {done.refused:,} refused")
    for error in refusals:
        warn(str(error))
    if done.refused:
        raise typer.Exit(COULD_NOT)


async def _sealed(journal: Journal, options: StoreOptions, from_codec: CodecName | None) -> Resealed:
    # Nobody wants a journal where there was none.
    async with journal.to_look() as store:
        await store.sessions(limit=1)
    with progress("sealing") as show:
        async with journal.to_change(options) as store:
            return await store.reseal(from_codec=from_codec, progress=show)


def _advised(error: CodecError) -> CodecError:
    """Say what to do on the command line, where the codec speaks of arguments."""
    if error.remedy != unsealed().remedy:
        return error
    return CodecError(error.what, "if you trust it, add --allow-unsealed", error.session_id, error.step_name)


def _document(error: CodecError) -> dict[str, str | None]:
    return {"session_id": error.session_id, "step": error.step_name, "what": error.what, "remedy": error.remedy}
