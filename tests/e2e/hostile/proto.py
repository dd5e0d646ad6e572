"""Protocol buffers by hand: what a client may send, right or wrong, without generated code."""

import struct


def varint(value):
    value &= (1 << 64) - 1
    written = bytearray()
    while value >= 128:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)


def field(number, value):
    """An int is a varint, a float 32 bits wide, a text or bytes one piece with its length."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def double(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def packed(number, values):
    return field(number, b"".join(map(varint, values)))


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """number -> its values in order, of a well-formed message."""
    found, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        elif key & 7 == 2:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, at = data[at:at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


# -- the messages of the API that attacks send ------------------------------------------------------------------------

def prompt(text="", ids=None, messages=None):
    """The oneof that Generate, Score and Tokenize begin with."""
    if messages is not None:
        return field(1, b"".join(field(1, field(1, role) + field(2, content)) for role, content in messages))
    return field(2, text) if ids is None else field(3, packed(1, ids))


def generate(asked, tokens=4, ignore_eos=True, priority=0, sampling=b"", output=b"", mode=""):
    """A GenerateRequest of a prompt()."""
    stopping = field(1, tokens) + (field(5, 1) if ignore_eos else b"")
    request = asked + field(6, stopping)
    if mode:
        request += field(4, mode)
    if sampling:
        request += field(5, sampling)
    if output:
        request += field(7, output)
    if priority:
        request += field(8, field(1, priority))
    return request


def score(asked, top_n=0):
    return asked + (field(5, top_n) if top_n else b"")


def detokenize(ids):
    return packed(1, ids)


TEMPERATURE, TOP_P, TOP_K, MIN_P, REPETITION, PRESENCE, FREQUENCY, SEED = range(1, 9)  # in Sampling
LOGPROBS, PROMPT_LOGPROBS, RECEIPT = range(1, 4)  # in Output
