"""A server and many clients of PyPI's `websockets`, with whatever stands between them.

Says the server's port, reads the port that the clients go to, and ends with status 0 when every
connection carried what it should.
"""
import asyncio
import hashlib
import os
import random
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

COUNT = 1000
# At once in their handshakes: the rest of the machine has work, too.
OPENING = 50
# What a busy machine takes long for is no failure.
PATIENT = {"open_timeout": 600, "close_timeout": 600, "ping_interval": None}
CLOSES = [(1000, ""), (1001, "going away"), (4321, "of our own")]


async def server(connection):
    """Sends back each message; ends as it is told in the path."""
    path = connection.request.path
    if path.startswith("/close/"):
        code, reason = CLOSES[int(path.removeprefix("/close/"))]
        await connection.close(code, reason)
        return
    async for message in connection:
        await connection.send(message)


async def stream(port, opening, opened, seed):
    """Holds a connection open with all others, then sends messages of many sizes and hashes both ways."""
    source = random.Random(seed)
    async with opening:
        connection = await connect(f"ws://127.0.0.1:{port}/{seed}", max_size=None, **PATIENT)
    async with connection:
        await opened.wait()
        sent, received = hashlib.sha256(), hashlib.sha256()
        # The largest of each kind of frame, and of a few the first that needs more; masking is slow.
        large = [65535, 65536, 100_000] if seed % 50 == 0 else []
        for size in [0, 1, 125, 126, source.randrange(5_000), *large]:
            message = source.randbytes(size)
            sent.update(message)
            await connection.send(message)
            received.update(await connection.recv())
        assert sent.digest() == received.digest(), f"connection {seed}"


async def closes(port, index):
    code, reason = CLOSES[index]
    async with connect(f"ws://127.0.0.1:{port}/close/{index}", **PATIENT) as connection:
        try:
            await connection.recv()
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (code, reason), closed
        else:
            raise AssertionError("a message in place of a close")


async def main():
    async with serve(server, "127.0.0.1", 0, max_size=None, **PATIENT) as listening:
        print(next(iter(listening.sockets)).getsockname()[1], flush=True)
        port = int(await asyncio.to_thread(sys.stdin.readline))
        opening, opened = asyncio.Semaphore(OPENING), asyncio.Event()
        streams = [asyncio.create_task(stream(port, opening, opened, seed)) for seed in range(COUNT)]
        while sum(1 for _ in listening.connections) < COUNT:
            done = [task for task in streams if task.done()]
            for task in done:
                task.result()
            await asyncio.sleep(0.05)
        opened.set()
        await asyncio.gather(*streams)
        for index in range(len(CLOSES)):
            await closes(port, index)
    print(f"{COUNT} connections, {len(CLOSES)} close codes")


if __name__ == "__main__":
    random.seed(os.environ.get("SEED", "1"))
    asyncio.run(main())
