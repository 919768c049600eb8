"""A server that answers every connection with bytes of one's own, as slowly as one likes."""

import contextlib
import socket
import threading
import time


@contextlib.contextmanager
def serving(parts, pause=0.0, forever=False):
    """Yield its address. parts: what it sends; pause: seconds after each; forever: the last is sent again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            while forever and not stopped.is_set():
                connection.sendall(parts[-1])
                time.sleep(pause)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stopped.set()
        listener.close()


def head(status="200 OK", **headers):
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()
