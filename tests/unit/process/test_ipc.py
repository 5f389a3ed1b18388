"""Node's channel: messages in, whatever else comes passed over."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from supervisor.process.ipc import NodeChannel

pytestmark = pytest.mark.anyio


async def received(chunks: Iterable[bytes]) -> list[object]:
    """What the channel makes of these bytes, after which the peer closes."""
    channel = NodeChannel()
    peer = socket.socket(fileno=os.dup(channel.child_descriptor))
    channel.close_child_end()

    def send() -> None:
        with peer:
            for chunk in chunks:
                peer.sendall(chunk)

    sender = threading.Thread(target=send)
    sender.start()
    messages: list[object] = []
    with anyio.fail_after(30):
        await channel.receive(messages.append)
    sender.join()
    return messages


async def test_each_line_is_a_message() -> None:
    assert await received([b'"ready"\n{"a":', b' [1]}\n7\n"\xc3\xa4"\n']) == ["ready", {"a": [1]}, 7, "ä"]


@pytest.mark.parametrize("garbage", [b"", b"not json", b"{", b"\xff\xfe", b"\x00", b"[" * 100_000, b"9" * 10_000])
async def test_garbage_is_passed_over(garbage: bytes) -> None:
    assert await received([garbage + b"\n", b'"ready"\n']) == ["ready"]


async def test_a_message_of_10_mb_passes() -> None:
    text = "x" * 10_000_000
    (message,) = await received([json.dumps(text).encode() + b"\n"])
    assert message == text


async def test_the_peer_s_close_ends_the_receiving() -> None:
    assert await received([]) == []


async def test_a_message_can_be_sent_while_receiving() -> None:
    channel = NodeChannel()
    peer = socket.socket(fileno=os.dup(channel.child_descriptor))
    channel.close_child_end()

    def answer(message: object) -> None:
        channel.send({"you said": message})

    with peer, anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(channel.receive, answer)
            peer.sendall(b'"hello"\n')
            line = await anyio.to_thread.run_sync(peer.recv, 1000)
            peer.shutdown(socket.SHUT_RDWR)
    assert json.loads(line) == {"you said": "hello"}


async def test_node_itself_finds_the_channel(node_binary: Path) -> None:
    channel = NodeChannel()
    script = "process.on('message', m => { process.send({got: m}); process.disconnect() }); process.send('ready')"
    process = subprocess.Popen(
        [node_binary, "-e", script],
        env={**os.environ, **channel.environment},
        pass_fds=(channel.child_descriptor,),
    )
    channel.close_child_end()
    messages: list[object] = []

    def take(message: object) -> None:
        messages.append(message)
        if message == "ready":
            channel.send({"ü": "x" * 100_000})

    with anyio.fail_after(30):
        await channel.receive(take)
    assert process.wait(10) == 0
    assert messages == ["ready", {"got": {"ü": "x" * 100_000}}]
