"""systemd-python's two modules where the extra ``systemd`` is installed, else None. The only file that imports them.

``import systemd`` alone would prove nothing: a folder of that name on the path makes it succeed as an empty namespace
package.
"""

from __future__ import annotations

try:
    from systemd import daemon, journal
except ImportError:  # not installed, or libsystemd.so.0 is not there
    daemon = None
    journal = None

__all__ = ["daemon", "journal"]
