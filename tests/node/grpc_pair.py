"""A server and a client of PyPI's `grpcio`, with whatever stands between them.

`serve` says its port and serves until its input ends. `call PORT ROOT CHAIN KEY` carries out the usual cases
of gRPC's interoperability tests (grpc/doc/interop-test-descriptions.md) on that port, over TLS with a client
certificate, and ends with status 0 when all came out as they should. Messages are plain bytes.
"""
import concurrent.futures
import json
import os
import queue
import struct
import sys
import threading
import time

import grpc

INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP \U0001f608\t\n"
PATIENCE = 300
LARGE = 8 << 20


def sizes(*numbers):
    return struct.pack(f">{len(numbers)}I", *numbers)


def content(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


# The server.


class Service(grpc.GenericRpcHandler):
    """Answers with as many bytes as it is asked for, in the way that the method says."""

    def __init__(self):
        self.seen = {"cancelled": 0, "remaining": None, "metadata": None}
        self.changed = threading.Condition()

    def service(self, details):
        ways = {
            "/interop.Test/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/interop.Test/Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "/interop.Test/Spread": grpc.unary_stream_rpc_method_handler(self.spread),
            "/interop.Test/Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "/interop.Test/Sleep": grpc.stream_stream_rpc_method_handler(self.sleep),
            "/interop.Test/Seen": grpc.unary_unary_rpc_method_handler(self.tell),
            "/interop.Test/Die": grpc.stream_stream_rpc_method_handler(self.die),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(self.health),
        }
        return ways.get(details.method)

    def echo(self, context):
        """Sends metadata back, and ends with the status that it asks for."""
        asked = dict(context.invocation_metadata())
        self.seen["metadata"] = sorted(asked)
        if INITIAL in asked:
            context.send_initial_metadata(((INITIAL, asked[INITIAL]),))
        if TRAILING in asked:
            context.set_trailing_metadata(((TRAILING, asked[TRAILING]),))
        if "x-compress" in asked:
            context.set_compression(grpc.Compression.Gzip)
        if "x-status-bin" in asked:
            code, message = json.loads(asked["x-status-bin"])
            codes = {code.value[0]: code for code in grpc.StatusCode}
            context.abort(codes[code], message)

    def unary(self, request, context):
        self.echo(context)
        return content(*struct.unpack(">I", request[:4])) if request else b""

    def collect(self, requests, context):
        return sizes(sum(len(request) for request in requests))

    def spread(self, request, context):
        for (size,) in struct.iter_unpack(">I", request):
            yield content(size)

    def chat(self, requests, context):
        self.echo(context)
        for request in requests:
            yield content(*struct.unpack(">I", request[:4]))

    def sleep(self, requests, context):
        """Answers once, and then never again."""
        self.seen["remaining"] = context.time_remaining()
        cancelled = threading.Event()
        if not context.add_callback(cancelled.set):
            cancelled.set()
        yield b"asleep"
        cancelled.wait(PATIENCE)
        with self.changed:
            self.seen["cancelled"] += 1
            self.changed.notify_all()

    def tell(self, request, context):
        """What was seen, once so many calls have been cancelled."""
        (count,) = struct.unpack(">I", request)
        with self.changed:
            self.changed.wait_for(lambda: self.seen["cancelled"] >= count, PATIENCE)
            return json.dumps(self.seen).encode()

    def die(self, requests, context):
        yield b"last words"
        # The client says that it has them.
        next(requests)
        os._exit(0)

    def health(self, request, context):
        # A request without fields asks about the whole server; SERVING is 1.
        if request:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08\x01"


def serve():
    workers = concurrent.futures.ThreadPoolExecutor(max_workers=64)
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(workers, handlers=(Service(),), options=options)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None)


# The client.


class Cases:
    def __init__(self, channel):
        self.channel = channel
        self.unary = channel.unary_unary("/interop.Test/Unary")
        self.collect = channel.stream_unary("/interop.Test/Collect")
        self.spread = channel.unary_stream("/interop.Test/Spread")
        self.chat = channel.stream_stream("/interop.Test/Chat")
        self.sleep = channel.stream_stream("/interop.Test/Sleep")
        self.cancelled = 0

    def seen(self):
        """What the server saw, once all calls that were cancelled here are cancelled there."""
        tell = self.channel.unary_unary("/interop.Test/Seen")
        return json.loads(tell(sizes(self.cancelled), timeout=PATIENCE))

    def expect_cancelled(self):
        self.cancelled += 1
        assert self.seen()["cancelled"] == self.cancelled

    def empty_unary(self):
        assert self.unary(b"", timeout=PATIENCE) == b""

    def large_unary(self):
        request = sizes(LARGE) + bytes(LARGE)
        assert self.unary(request, timeout=PATIENCE) == content(LARGE)

    def client_streaming(self):
        lengths = [27182, 8, 1828, 45904]
        answer = self.collect((bytes(length) for length in lengths), timeout=PATIENCE)
        assert answer == sizes(sum(lengths))

    def server_streaming(self):
        lengths = [31415, 9, 2653, 58979]
        answers = self.spread(sizes(*lengths), timeout=PATIENCE)
        assert [len(answer) for answer in answers] == lengths

    def ping_pong(self):
        turns = [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)]
        asked = queue.Queue()
        answers = self.chat(iter(asked.get, None), timeout=PATIENCE)
        for up, down in turns:
            asked.put(sizes(down) + bytes(up))
            assert len(next(answers)) == down
        asked.put(None)
        assert list(answers) == []

    def empty_stream(self):
        assert list(self.chat(iter(()), timeout=PATIENCE)) == []

    def deadline_exceeded(self):
        call = self.sleep(iter([b"x"]), timeout=4)
        assert next(call) == b"asleep"
        self.fails(lambda: next(call), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.expect_cancelled()
        remaining = self.seen()["remaining"]
        assert 0 < remaining < 4.1, f"the server was told of a deadline in {remaining} s"

    def cancel_after_begin(self):
        call = self.sleep(iter(queue.Queue().get, None), timeout=PATIENCE)
        # It has begun at the server, which only then can see it end.
        call.initial_metadata()
        call.cancel()
        assert call.code() == grpc.StatusCode.CANCELLED
        self.expect_cancelled()

    def cancel_after_first_response(self):
        call = self.sleep(iter(queue.Queue().get, None), timeout=PATIENCE)
        assert next(call) == b"asleep"
        call.cancel()
        self.fails(lambda: next(call), grpc.StatusCode.CANCELLED)
        self.expect_cancelled()

    def status_code_and_message(self):
        for code, message in [(2, "test status message"), (5, SPECIAL), (16, ""), (10, "%25 %")]:
            wanted = {code.value[0]: code for code in grpc.StatusCode}[code]
            metadata = (("x-status-bin", json.dumps([code, message]).encode()),)
            for ask in (
                lambda: self.unary(b"", metadata=metadata, timeout=PATIENCE),
                lambda: list(self.chat(iter([sizes(1)]), metadata=metadata, timeout=PATIENCE)),
            ):
                error = self.fails(ask, wanted)
                assert error.details() == message, (code, error.details())

    def metadata_echo(self):
        binary = bytes(range(256))
        metadata = ((INITIAL, "test_initial_metadata_value"), (TRAILING, binary))
        answer, call = self.unary.with_call(sizes(7), metadata=metadata, timeout=PATIENCE)
        assert answer == content(7)
        stream = self.chat(iter([sizes(7)]), metadata=metadata, timeout=PATIENCE)
        assert [len(answer) for answer in stream] == [7]
        for call in (call, stream):
            assert dict(call.initial_metadata())[INITIAL] == "test_initial_metadata_value"
            assert dict(call.trailing_metadata())[TRAILING] == binary
        assert "x-amzn-mtls-clientcert-subject" in self.seen()["metadata"]

    def compressed(self):
        metadata = (("x-compress", "1"),)
        request = sizes(1 << 20) + bytes(1 << 20)
        gzip = grpc.Compression.Gzip
        answer = self.unary(request, metadata=metadata, compression=gzip, timeout=PATIENCE)
        assert answer == content(1 << 20)
        answers = self.chat(iter([request] * 3), metadata=metadata, compression=gzip)
        assert [len(answer) for answer in answers] == [1 << 20] * 3

    def unimplemented(self):
        for method in ("/interop.Test/Nothing", "/interop.Nobody/Nothing"):
            ask = self.channel.unary_unary(method)
            self.fails(lambda: ask(b"", timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)

    def health_check(self):
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"", timeout=PATIENCE) == b"\x08\x01"
        ask = lambda: check(b"\x0a\x01x", timeout=PATIENCE)
        self.fails(ask, grpc.StatusCode.NOT_FOUND)

    def many_at_once(self):
        calls = [
            self.unary.future(sizes(size) + bytes(271828), timeout=PATIENCE)
            for size in range(300_000, 300_200)
        ]
        chats = [self.chat(iter([sizes(size)] * 5), timeout=PATIENCE) for size in range(40)]
        for size, call in zip(range(300_000, 300_200), calls):
            assert call.result() == content(size)
        for size, chat in enumerate(chats):
            assert list(chat) == [content(size)] * 5

    def target_dies(self):
        """The last one: nobody is there afterwards."""
        asked = queue.Queue()
        call = self.channel.stream_stream("/interop.Test/Die")(iter(asked.get, None))
        assert next(call) == b"last words"
        asked.put(b"die")
        error = self.fails(lambda: next(call), grpc.StatusCode.INTERNAL)
        assert "RST_STREAM" in error.details(), error.details()
        ask = lambda: self.unary(b"", timeout=PATIENCE)
        self.fails(ask, grpc.StatusCode.UNAVAILABLE)

    def fails(self, ask, code):
        try:
            answer = ask()
        except grpc.RpcError as error:
            assert error.code() == code, (error.code(), error.details())
            return error
        raise AssertionError(f"{answer[:100]!r} in place of {code}")


def call(port, root, chain, key):
    def read(path):
        with open(path, "rb") as file:
            return file.read()

    credentials = grpc.ssl_channel_credentials(read(root), read(key), read(chain))
    options = [
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.max_receive_message_length", -1),
    ]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        cases = Cases(channel)
        names = [name for name in vars(Cases) if name not in HELPERS]
        for name in names:
            began = time.monotonic()
            getattr(cases, name)()
            print(f"{name} {time.monotonic() - began:.3f} s", file=sys.stderr)
    print(f"{len(names)} cases")


HELPERS = {"seen", "expect_cancelled", "fails", *vars(object), "__module__", "__dict__", "__weakref__"}

if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
