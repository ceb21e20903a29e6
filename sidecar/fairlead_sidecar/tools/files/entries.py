"""Entries of directories as results write them."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from fairlead_sidecar.ssh.file_names import shown
from fairlead_sidecar.ssh.files import FileInfo, FileType
from fairlead_sidecar.tools.files.common import octal, relative


class Entry(BaseModel):
    """A file, directory or symbolic link."""

    name: Annotated[str, Field(description="Below the listed directory.")]
    type: FileType
    size: int
    mode: str
    uid: int | None
    gid: int | None
    modified: datetime
    link_target: str | None


def entry(info: FileInfo, top: str) -> Entry:
    """An entry below `top`."""
    return Entry(
        name=relative(info.path, top),
        type=info.type,
        size=info.size,
        mode=octal(info.mode),
        uid=info.uid,
        gid=info.gid,
        modified=info.modified,
        link_target=None if info.target is None else shown(info.target),
    )
