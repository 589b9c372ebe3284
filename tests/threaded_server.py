"""An HTTP server with a thread per connection, of which none is left when it is closed."""

import contextlib
import socket
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ThreadedServer(ThreadingHTTPServer):
    """Ends the connections that its clients keep open, and waits for their threads.

    A thread left in `read` holds what the server holds. If that is a torch model, the interpreter aborts at its
    exit: the connection then breaks, and the thread would free the tensors of an interpreter that is gone.
    """

    daemon_threads = False

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.open = set()

    def handle_error(self, request, client_address):
        """Say nothing of a client that closes while it is answered, as one does at the end of what it reads."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @contextmanager
    def serving(self):
        thread = threading.Thread(target=self.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            for connection in list(self.open):
                with contextlib.suppress(OSError):  # it has just been closed
                    connection.shutdown(socket.SHUT_RDWR)
            self.server_close()

    def process_request(self, request, client_address):
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)


class QuietHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Say nothing."""
