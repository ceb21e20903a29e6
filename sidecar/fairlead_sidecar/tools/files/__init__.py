"""Files on the host, over SFTP: one module for each family of tools."""

from fairlead_sidecar.tools.files import change, edit, find, listing, read, search, write

TOOLS = (
    read.TOOL,
    listing.LIST,
    listing.STAT,
    find.TOOL,
    search.TOOL,
    write.TOOL,
    edit.TOOL,
    change.MOVE,
    change.DELETE,
    change.MAKE,
)
