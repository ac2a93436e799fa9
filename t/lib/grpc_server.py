"""Servers of gRPC within a test: grpcio with handlers of the test's own,
which take and give bytes."""
import os
from concurrent import futures

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc     # noqa: E402 (it reads the environment)

STATUS = {c.value[0]: c for c in grpc.StatusCode}


class Server:
    """methods: {"/pkg.Service/Method": (kind, function)}

    kind: two of "1" and "*", what comes and what goes; the function is
    called as grpcio calls it.  Calls are noted in `calls`.
    """

    KINDS = {"11": grpc.unary_unary_rpc_method_handler,
             "1*": grpc.unary_stream_rpc_method_handler,
             "*1": grpc.stream_unary_rpc_method_handler,
             "**": grpc.stream_stream_rpc_method_handler}

    def __init__(self, methods, options=(), credentials=None):
        self.methods, self.calls = methods, []
        self.pool = futures.ThreadPoolExecutor(16)
        self.server = grpc.server(self.pool, options=options)
        self.server.add_generic_rpc_handlers((self,))
        if credentials:
            self.port = self.server.add_secure_port("127.0.0.1:0",
                                                    credentials)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.addr = f"127.0.0.1:{self.port}"
        self.server.start()

    def service(self, details):
        self.calls.append(details)
        kind, f = self.methods.get(details.method, ("", None))
        return f and self.KINDS[kind](f)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.server.stop(None).wait()
        self.pool.shutdown(wait=False)


def fail(ctx, code, text=""):
    """Ends the call; with a message before it not as a head alone."""
    ctx.abort(STATUS[code], text)
