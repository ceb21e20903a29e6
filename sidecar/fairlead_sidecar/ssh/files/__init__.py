"""Files on the host over SFTP.

What remains open, whatever is done here: SFTP has no locks, so a file can change between the last look at it and the
rename that replaces it; a directory that is moved while it is worked on is worked on where it went; a named
pipe that takes a regular file's place right before it is opened blocks that SFTP session, which is given up at the
deadline (on the server it stays until somebody writes to the pipe); and a host whose SFTP
server has no /proc can only be asked repeatedly where a path leads (see `place`).
"""

from fairlead_sidecar.ssh.files.guard import ANYWHERE, Guard
from fairlead_sidecar.ssh.files.model import FileContent, FileInfo, FileType, Listing, Written
from fairlead_sidecar.ssh.files.remote import RemoteFiles
from fairlead_sidecar.ssh.files.writing import Expected

__all__ = ["ANYWHERE", "Expected", "FileContent", "FileInfo", "FileType", "Guard", "Listing", "RemoteFiles", "Written"]
