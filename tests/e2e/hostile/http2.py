"""HTTP/2 by hand: frames of any shape, and calls that keep the rules where the attack is elsewhere."""

import socket
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)
MOST_WINDOW = (1 << 31) - 1

STATUS = dict(enumerate(
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
    "UNAUTHENTICATED".split()))
HEALTH = "/grpc.health.v1.Health/Check"


def api(name):
    return "/halftone.v1.Inference/" + name


def frame(kind, flags=0, stream=0, payload=b"", claimed=None):
    size = len(payload) if claimed is None else claimed
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(values):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", key, value) for key, value in values.items()))


def window_update(stream, size):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def reset(stream, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def message(data, compressed=0, claimed=None):
    """gRPC's envelope of one message."""
    return struct.pack(">BI", compressed, len(data) if claimed is None else claimed) + data


def request_headers(path, extra=(), without=()):
    usual = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
             ("te", "trailers"), ("content-type", "application/grpc")]
    return [*(header for header in usual if header[0] not in without), *extra]


class Closed(Exception):
    """The server ended the connection, or takes and says nothing."""


class Answer:
    """What came of one call."""

    def __init__(self):
        self.headers, self.body, self.ended, self.reset = {}, bytearray(), False, None

    @property
    def status(self):
        """The name of the status; RESET or NOTHING where there is none."""
        if "grpc-status" in self.headers:
            return STATUS.get(int(self.headers["grpc-status"]), self.headers["grpc-status"])
        if self.headers.get(":status", "200") != "200":
            return "HTTP " + self.headers[":status"]
        return "RESET" if self.reset is not None else "NOTHING"

    @property
    def text(self):
        return self.headers.get("grpc-message", "")

    def messages(self):
        found, at = [], 0
        while at + 5 <= len(self.body):
            size = struct.unpack(">I", self.body[at + 1:at + 5])[0]
            found.append(bytes(self.body[at + 5:at + 5 + size]))
            at += 5 + size
        return found

    def __str__(self):
        return f"{self.status} {self.text[:200]}".strip()


class Connection:
    """One connection; closed with the block. window: what the server may send on each stream before it is read;
    patience: seconds for any one wait."""

    def __init__(self, port, window=MOST_WINDOW, patience=10, acknowledge=True, own_settings=None, host="127.0.0.1",
                 receive_buffer=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.patience, self.acknowledge = patience, acknowledge
        self.socket.settimeout(patience)
        self.buffer, self.decoder, self.answers, self.next_stream = bytearray(), hpack.Decoder(), {}, 1
        self.send_window, self.stream_windows, self.initial_window = 65535, {}, 65535
        self.goaway = None
        try:
            self.socket.connect((host, port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise Closed(str(error)) from error
        self.send(PREFACE, settings({INITIAL_WINDOW_SIZE: window, **(own_settings or {})}),
                  window_update(0, MOST_WINDOW - 65535) if window else b"")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *frames):
        try:
            self.socket.sendall(b"".join(frames))
        except OSError as error:
            raise Closed(str(error)) from error

    # -- reading

    def fill(self, size, end):
        while len(self.buffer) < size:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                got = self.socket.recv(1 << 18)
            except socket.timeout:
                raise TimeoutError("no answer") from None
            except OSError as error:
                raise Closed(str(error)) from error
            finally:
                self.socket.settimeout(self.patience)
            if not got:
                raise Closed(self.goaway or "the server closed the connection")
            self.buffer += got

    def read_frame(self, end):
        """(kind, flags, stream, payload); TimeoutError where none comes before `end`."""
        self.fill(9, end)
        size = int.from_bytes(self.buffer[:3], "big")
        self.fill(9 + size, end)
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        payload = bytes(self.buffer[9:9 + size])
        del self.buffer[:9 + size]
        self.take(kind, flags, stream, payload)
        return kind, flags, stream, payload

    def take(self, kind, flags, stream, payload):
        answer = self.answers.get(stream) or Answer()
        if kind == DATA:
            answer.body += payload
        elif kind in (HEADERS, CONTINUATION):
            answer.headers.update(self.decoder.decode(payload))
        elif kind == RST_STREAM:
            answer.reset, answer.ended = struct.unpack(">I", payload)[0], True
        elif kind == SETTINGS and not flags & ACK:
            self.take_settings(payload)
        elif kind == PING and not flags & ACK and self.acknowledge:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            self.give_window(stream, struct.unpack(">I", payload)[0])
        elif kind == GOAWAY:
            self.goaway = f"GOAWAY {struct.unpack('>I', payload[4:8])[0]} {payload[8:80].decode('latin-1')}"
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            answer.ended = True

    def take_settings(self, payload):
        for at in range(0, len(payload), 6):
            key, value = struct.unpack(">HI", payload[at:at + 6])
            if key == INITIAL_WINDOW_SIZE:
                for stream in self.stream_windows:
                    self.stream_windows[stream] += value - self.initial_window
                self.initial_window = value
        if self.acknowledge:
            self.send(frame(SETTINGS, ACK))

    def give_window(self, stream, size):
        if stream == 0:
            self.send_window += size
        elif stream in self.stream_windows:
            self.stream_windows[stream] += size

    def read_for(self, seconds):
        """Whatever comes within the time; ends early with the connection."""
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.read_frame(end)
        except (TimeoutError, Closed):
            pass

    # -- calls

    def open(self, path, extra=(), without=(), end=False):
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.answers[stream], self.stream_windows[stream] = Answer(), self.initial_window
        block = hpack.block(request_headers(path, extra, without))
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block))
        return stream

    def send_data(self, stream, data, end=True):
        """In frames of 16 KiB, as the server's windows let it; stops where the answer is there already."""
        data, at, deadline = memoryview(data), 0, time.monotonic() + self.patience
        while at < len(data) or (at == 0 and end):
            room = min(self.send_window, self.stream_windows[stream], 16384, len(data) - at)
            if room <= 0 and len(data) > at:
                self.read_frame(deadline)
                if self.answers[stream].ended:
                    return
                continue
            last = at + room == len(data)
            self.send(frame(DATA, END_STREAM if end and last else 0, stream, bytes(data[at:at + room])))
            self.send_window -= room
            self.stream_windows[stream] -= room
            at += room
            if last:
                return

    def start(self, path, body=b"", extra=()):
        """Sends a whole call; returns its stream."""
        stream = self.open(path, extra)
        self.send_data(stream, message(body))
        return stream

    def finish(self, stream, seconds=None):
        """The answer of a stream; Closed or TimeoutError where there is none."""
        end = time.monotonic() + (seconds or self.patience)
        while not self.answers[stream].ended:
            self.read_frame(end)
        return self.answers.pop(stream)

    def call(self, path, body=b"", extra=(), seconds=None):
        return self.finish(self.start(path, body, extra), seconds)
