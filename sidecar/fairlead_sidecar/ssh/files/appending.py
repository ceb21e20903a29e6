"""Writing at the end of a file, in place."""

import hashlib
from contextlib import suppress

import asyncssh

from fairlead_sidecar.ssh import file_errors
from fairlead_sidecar.ssh.files.guard import Guard
from fairlead_sidecar.ssh.files.leftovers import Leftovers
from fairlead_sidecar.ssh.files.model import Written
from fairlead_sidecar.ssh.files.place import opened, settled
from fairlead_sidecar.ssh.files.reading import HASHED_BYTES, read
from fairlead_sidecar.ssh.files.writing import (
    ANYTHING,
    Expected,
    as_expected,
    placed,
    replace,
    sync,
    written_file,
)


async def append(
    sftp: asyncssh.SFTPClient,
    path: str,
    data: bytes,
    guard: Guard,
    leftovers: Leftovers,
    *,
    mode: int | None = None,
    expected: Expected = ANYTHING,
) -> Written:
    """Write at the end of a file in place, or create it; what can't be written whole is taken back."""
    async with placed(sftp, path, guard, leftovers) as place:
        existing = await as_expected(place, expected)
        if existing is None:
            await replace(place, data, None, mode, _nothing, overwrite=False)
            return await written_file(place, hashlib.sha256(data).hexdigest())
        flags = asyncssh.FXF_READ | asyncssh.FXF_WRITE | asyncssh.FXF_APPEND
        async with opened(sftp, path, guard, via=place.name, mode=flags) as file:
            size = (await file.stat()).size or 0
            try:
                await file.write(data)
                await sync(file)
                if mode is not None:
                    await file.chmod(mode)
            except file_errors.REFUSED as error:
                refusal = await file_errors.of_change(sftp, path, place.anchor, error)
                await settled(_take_back(file, size, data))
                raise refusal from error
            except BaseException:
                await settled(_take_back(file, size, data))
                raise
        small = size + len(data) <= HASHED_BYTES
        return await written_file(place, await place.digest() if small else None)


async def _take_back(file: asyncssh.SFTPClientFile, size: int, data: bytes) -> None:
    with suppress(asyncssh.Error, OSError):
        # Where somebody else wrote there too, their words are not cut off.
        if data.startswith(await read(file, size, len(data) + 1)):
            await file.truncate(size)


async def _nothing() -> None:
    pass
