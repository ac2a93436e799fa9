"""Relays in front of servers that make them ill: a process of its own.

What it does to a server's connections is its mode:

well    passes everything on
closed  listens no more: who connects is refused; what is open stays
refuse  the same, and resets what is open
reset   accepts, and resets when bytes come; so what is open
slow    passes answers on `arg` seconds later
lossy   half of what passes waits for the timer of TCP, that doubles, as
        behind a line that loses packets
hole    swallows everything until it is well again

A server that does not accept is a reset to who came through the relay.
"""
import asyncio
import json
import random
import socket
import struct
import subprocess
import sys

RTO, LOSS, LOST_MAX = 0.2, 0.5, 4
LINGER = struct.pack("ii", 1, 0)


class Relays:
    """One relay for each of these ports; .ports are theirs."""

    def __init__(self, ports, seed=0):
        self.proc = subprocess.Popen(
            [sys.executable, __file__, str(seed), *map(str, ports)],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports = json.loads(self.proc.stdout.readline())

    def set(self, i, mode, arg=0):
        """Returns when it is so."""
        self.proc.stdin.write(json.dumps([i, mode, arg]) + "\n")
        self.proc.stdin.flush()
        assert json.loads(self.proc.stdout.readline()) == [i, mode, arg]

    def close(self):
        self.proc.stdin.close()
        self.proc.wait()
        self.proc.stdout.close()


# --- the process ---

def reset(writer):
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    writer.transport.abort()


class Relay:
    def __init__(self, to, rand):
        self.to, self.rand = to, rand
        self.mode, self.arg = "well", 0
        self.port, self.server = 0, None
        self.clients = set()
        self.changed = asyncio.Event()

    async def listen(self):
        self.server = await asyncio.start_server(
            self.serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    async def set(self, mode, arg):
        self.mode, self.arg = mode, arg
        self.changed.set()
        self.changed = asyncio.Event()
        if mode in ("closed", "refuse") and self.server is not None:
            self.server.close()
            self.server = None
        elif mode not in ("closed", "refuse") and self.server is None:
            await self.listen()
        if mode in ("reset", "refuse"):
            for writer in list(self.clients):
                reset(writer)

    async def gate(self, is_answer):
        """What passes now waits here."""
        if self.mode == "slow" and is_answer:
            await asyncio.sleep(self.arg)
        elif self.mode == "lossy":
            wait = 0
            for n in range(LOST_MAX):
                if self.rand.random() > LOSS:
                    break
                wait += RTO * 2 ** n
            await asyncio.sleep(wait)
        while self.mode == "hole":
            await self.changed.wait()

    async def pump(self, reader, writer, back):
        try:
            while data := await reader.read(65536):
                if self.mode == "reset":
                    break
                await self.gate(writer is back)
                writer.write(data)
                await writer.drain()
            if self.mode == "reset":
                reset(back)
            writer.close()
        except OSError:
            reset(writer)
            reset(back)

    async def serve(self, reader, writer):
        self.clients.add(writer)
        try:
            there = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            reset(writer)
        else:
            await asyncio.gather(self.pump(reader, there[1], writer),
                                 self.pump(there[0], writer, writer))
        self.clients.discard(writer)


async def run(seed, ports):
    rand, loop = random.Random(seed), asyncio.get_running_loop()
    relays = [Relay(p, rand) for p in ports]
    for r in relays:
        await r.listen()
    print(json.dumps([r.port for r in relays]), flush=True)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        i, mode, arg = json.loads(line)
        await relays[i].set(mode, arg)
        print(json.dumps([i, mode, arg]), flush=True)


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), list(map(int, sys.argv[2:]))))
