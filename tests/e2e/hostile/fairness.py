"""Requests that would keep others waiting: by priority, by number, by what they ask for."""

import threading
import time

import http2
import proto
from harness import MIB, attack
from http2 import Connection, api
from proto import field, prompt

GENERATE = api("Generate")


class Flood:
    """Clients that ask for one answer after another until the block ends."""

    def __init__(self, rig, clients, body):
        self.rig, self.body, self.over, self.answers, self.failures = rig, body, False, 0, set()
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]

    def ask(self):
        try:
            with Connection(self.rig.server.port, patience=30) as connection:
                while not self.over:
                    answer = connection.call(GENERATE, self.body)
                    self.answers += 1
                    if answer.status not in ("OK", "RESOURCE_EXHAUSTED"):
                        self.failures.add(str(answer))
        except (http2.Closed, TimeoutError) as error:
            self.failures.add(str(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.7)
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()


def seconds_of_one(rig, body, patience):
    began = time.monotonic()
    try:
        answer = rig.call(GENERATE, body, patience=patience)
    except TimeoutError:
        rig.check(False, f"one request had no answer within {patience} s")
    rig.expect(answer, "OK")
    return time.monotonic() - began


@attack()
def priorities(rig):
    """Several times as many clients at priority 100 as can run, and one request at 0, which ages."""
    rig.serve(kv="256KiB", context=1024, peak=256 * MIB)
    with Flood(rig, 60, proto.generate(prompt("hi"), 120, priority=100)) as flood:
        rig.figures["at_0_s"] = round(seconds_of_one(rig, proto.generate(prompt("hi"), 5), 18), 1)
    rig.figures["flood"] = flood.answers
    rig.check(not flood.failures, f"the flood got {flood.failures}")


@attack()
def flood_of_equals(rig):
    """50 clients that never stop, and a newcomer of the same priority."""
    rig.serve(kv="1MiB", context=2048, peak=256 * MIB)
    with Flood(rig, 50, proto.generate(prompt("hi"), 60)) as flood:
        rig.figures["newcomer_s"] = round(seconds_of_one(rig, proto.generate(prompt("hi"), 5), 15), 1)
    rig.check(not flood.failures, f"the flood got {flood.failures}")


@attack(short=True)
def queue_overfull(rig):
    """600 requests where 20 may wait: the others are told so at once."""
    rig.serve("--queue-requests", "20", kv="1MiB", context=2048, peak=256 * MIB)
    connections = [rig.connect(patience=20) for _ in range(6)]
    streams = [(connection, connection.start(GENERATE, proto.generate(prompt("hi"), 100)))
               for connection in connections for _ in range(100)]
    ended = [connection.finish(stream).status for connection, stream in streams]
    rig.figures["ok"], rig.figures["refused"] = ended.count("OK"), ended.count("RESOURCE_EXHAUSTED")
    rig.check(set(ended) <= {"OK", "RESOURCE_EXHAUSTED"} and "OK" in ended, f"statuses: {set(ended)}")


def tokens_per_cpu_second(rig, sampling, rounds=1):
    """Of 8 answers at once."""
    before, tokens = rig.server.cpu_seconds(), 0
    with Connection(rig.server.port, patience=30) as connection:
        for _ in range(rounds):
            body = proto.generate(prompt("hi"), 40, sampling=sampling)
            streams = [connection.start(GENERATE, body) for _ in range(8)]
            for stream in streams:
                answer = connection.finish(stream)
                rig.expect(answer, "OK")
                tokens += 40
    return tokens / max(0.01, rig.server.cpu_seconds() - before)


@attack(seconds=90)
def costly_settings(rig):
    """What settings of a request make a token cost: none more than twice the plain one."""
    rig.serve(model=rig.real(), peak=512 * MIB)
    plain = tokens_per_cpu_second(rig, field(proto.TEMPERATURE, 1.0))
    rig.figures["plain_per_s"] = round(plain)
    every_penalty = field(proto.REPETITION, 1.1) + field(proto.PRESENCE, 0.5) + field(proto.FREQUENCY, 0.5)
    biases = b"".join(field(9, field(1, 100 + at) + field(2, 1.0)) for at in range(200))
    for name, sampling in (("hot", field(proto.TEMPERATURE, 100.0)),
                           ("hot_top_p", field(proto.TEMPERATURE, 100.0) + field(proto.TOP_P, 0.999)),
                           ("hot_top_k", field(proto.TEMPERATURE, 100.0) + field(proto.TOP_K, 40000)),
                           ("penalties", field(proto.TEMPERATURE, 100.0) + every_penalty),
                           ("biases", field(proto.TEMPERATURE, 1.0) + biases)):
        rate = tokens_per_cpu_second(rig, sampling)
        rig.figures[name] = f"{plain / rate:.2f}x"
        rig.check(rate > plain / 2, f"{name}: a token costs {plain / rate:.1f} times as much")


@attack()
def tiny_temperatures(rig):
    """Temperatures whose inverse is no number give the greedy text, and so does the smallest that has one."""
    rig.serve(model=rig.real(), peak=512 * MIB)

    def text(temperature):
        asked = proto.generate(prompt("The capital of France is"), 8, sampling=field(proto.TEMPERATURE, temperature))
        answer = rig.call(GENERATE, asked, patience=20)
        rig.expect(answer, "OK")
        return b"".join(proto.fields(answer.messages()[0]).get(1, []))
    greedy = text(0.0)
    for temperature in (1e-45, 1e-40, 1e-39, 2.9e-39, 3e-39, 1e-38, 1e-20, 1e-6):
        rig.check(text(temperature) == greedy, f"temperature {temperature}: {text(temperature)!r}, not {greedy!r}")


@attack()
def long_prompts(rig):
    """4 clients with the longest prompts there may be; short answers go on beside them."""
    rig.serve(context=4096, peak=256 * MIB)
    with Flood(rig, 4, proto.generate(prompt(ids=[3 + at % 250 for at in range(4000)]), 1)) as flood:
        slowest = max(seconds_of_one(rig, proto.generate(prompt("hi"), 5), 10) for _ in range(5))
    rig.figures["slowest_s"] = round(slowest, 2)
    rig.check(not flood.failures, f"the flood got {flood.failures}")
