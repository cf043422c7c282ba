"""A plain HTTP client in a process of its own: `python http_load.py HOST PORT CONNECTIONS REQUESTS`.

Keeps the connections busy until that many requests are answered.  Ends with a traceback when an answer is missing, cut
or not whole.  The standard library only.
"""

from __future__ import annotations

import selectors
import socket
import sys

ASK = b"GET /index.html HTTP/1.1\r\n\r\n"
END = b"<h1>index</h1>"


def load(address: tuple[str, int], connections: int, requests: int) -> None:
    """Ask, wait for whole answers, ask again."""
    made = [socket.create_connection(address) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        received: dict[socket.socket, bytearray] = {}
        for connection in made:
            selector.register(connection, selectors.EVENT_READ, connection)
            received[connection] = bytearray()
            connection.send(ASK)
        asked, answered = connections, 0
        while answered < requests:
            ready = selector.select(60)
            assert ready, f"stalled after {answered}"
            for key, _ in ready:
                connection = key.data
                data = connection.recv(1 << 16)
                assert data, "cut off"
                received[connection] += data
                if received[connection].endswith(END):
                    received[connection].clear()
                    answered += 1
                    if asked < requests:
                        asked += 1
                        connection.send(ASK)
    for connection in made:
        assert not received[connection]
        connection.close()


if __name__ == "__main__":
    load((sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4]))
