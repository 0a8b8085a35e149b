"""`python -m bench.sendfile PORT FILE`: a server that can do nothing but send one file, as fast as
the kernel does that.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from threading import Thread


def main() -> None:
    """Serve until killed."""
    port, path = int(sys.argv[1]), Path(sys.argv[2])
    with socket.create_server(("127.0.0.1", port), backlog=1024) as server:
        while True:
            connection, _ = server.accept()
            Thread(target=_serve, args=(connection, path), daemon=True).start()


def _serve(connection: socket.socket, path: Path) -> None:
    """Answer whatever comes, each with the whole file, until the client goes."""
    with connection, connection.makefile("rb") as lines, path.open("rb") as file:
        while any(line == b"\r\n" for line in lines):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {path.stat().st_size}\r\n\r\n"
            connection.sendall(head.encode())
            connection.sendfile(file, 0)


if __name__ == "__main__":
    main()
