"""Answers that are too large for whoever asked, or that nobody takes."""

import threading
import time

import http2
import proto
from harness import MIB, attack
from http2 import api
from proto import field

CLIENT_LIMIT = 4 * MIB  # of one message, in every gRPC client that is not told otherwise
LONG = 20000


def largest(answer):
    return max((len(piece) for piece in answer.messages()), default=0)


@attack(short=True, seconds=60)
def score_too_large(rig):
    """Score with the 20 best of so many tokens that the answer is above 4 MiB: refused with numbers, not computed."""
    rig.serve(context=32768, peak=256 * MIB)
    before = rig.server.cpu_seconds()
    ids = [3 + at % 250 for at in range(LONG)]
    answer = rig.call(api("Score"), proto.score(proto.prompt(ids=ids), 20), patience=30)
    if answer.status == "OK":
        rig.check(largest(answer) <= CLIENT_LIMIT, f"an answer of {largest(answer)} bytes, which is lost")
    else:
        rig.expect(answer, "OUT_OF_RANGE", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
        rig.check(any(digit in answer.text for digit in "0123456789"), f"no number in: {answer.text}")
        used = rig.server.cpu_seconds() - before
        rig.check(used < 2, f"refused after {used:.1f} s of processor time")


@attack(seconds=60)
def stream_of_prompt_logprobs(rig):
    """GenerateStream with log-probabilities of a long prompt: every message within the usual client's limit."""
    rig.serve(context=32768, peak=256 * MIB)
    asked = proto.generate(proto.prompt(ids=[3 + at % 250 for at in range(LONG)]), 2,
                           output=field(proto.PROMPT_LOGPROBS, 20) + field(proto.LOGPROBS, 20))
    for method in ("GenerateStream", "Generate"):
        answer = rig.call(api(method), asked, patience=30)
        rig.expect(answer, "OK", "OUT_OF_RANGE", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
        rig.check(largest(answer) <= CLIENT_LIMIT, f"{method}: a message of {largest(answer)} bytes")
        if answer.status == "OK":
            tokens = sum(len(proto.fields(piece).get(9, [])) for piece in answer.messages())
            rig.check(tokens == LONG, f"{method}: {tokens} of {LONG} prompt tokens")


@attack()
def stalled_streams(rig):
    """30 streams read for a moment and then left, while their connections stay."""
    rig.serve("--stall-seconds", "1", context=4096, peak=256 * MIB)
    for _ in range(30):
        connection = rig.connect(window=2000, receive_buffer=4096)
        connection.start(api("GenerateStream"), proto.generate(proto.prompt("hi"), 2000))
        connection.read_for(0.01)
    time.sleep(4)
    running = rig.server.metric("llm_requests_running") + rig.server.metric("llm_requests_waiting")
    rig.check(running == 0, f"{running:.0f} streams that nobody reads still run")


@attack(short=True)
def slow_reader(rig):
    """A client that grants 100 bytes of window at a time gets all of its answer, and others theirs meanwhile."""
    rig.serve(peak=96 * MIB)
    slow = rig.connect(window=100)
    stream = slow.start(api("GenerateStream"), proto.generate(proto.prompt("hi"), 60))
    quick = []
    thread = threading.Thread(target=lambda: quick.extend(
        rig.call(api("Generate"), proto.generate(proto.prompt("hi"), 60)).status for _ in range(5)))
    thread.start()
    end = time.monotonic() + 15
    while not slow.answers[stream].ended and time.monotonic() < end:
        slow.read_for(0.005)
        slow.send(http2.window_update(stream, 100))
    thread.join()
    rig.expect(slow.answers[stream], "OK")
    rig.check(quick == ["OK"] * 5, f"the others got {quick}")


@attack()
def many_logprobs(rig):
    """40 answers with 20 log-probabilities a token at once."""
    rig.serve(context=4096, peak=256 * MIB)
    connection = rig.connect(patience=20)
    streams = [connection.start(api("Generate"), proto.generate(
        proto.prompt("hi"), 150, output=field(proto.LOGPROBS, 20))) for _ in range(40)]
    for stream in streams:
        rig.expect(connection.finish(stream), "OK", "RESOURCE_EXHAUSTED")
