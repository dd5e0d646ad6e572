"""HPACK (RFC 7541) for an adversary: literal headers written byte by byte, answers read without Huffman's code, which
gRPC's server does not use for text."""

STATIC = """:authority |:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|
:status 204|:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset |accept-encoding gzip, deflate|
accept-language |accept-ranges |accept |access-control-allow-origin |age |allow |authorization |cache-control |
content-disposition |content-encoding |content-language |content-length |content-location |content-range |content-type |
cookie |date |etag |expect |expires |from |host |if-match |if-modified-since |if-none-match |if-range |
if-unmodified-since |last-modified |link |location |max-forwards |proxy-authenticate |proxy-authorization |range |
referer |refresh |retry-after |server |set-cookie |strict-transport-security |transfer-encoding |user-agent |vary |via |
www-authenticate """
TABLE = [tuple(entry.strip("\n").partition(" ")[::2]) for entry in STATIC.split("|")]
assert len(TABLE) == 61


def integer(value, bits, first=0):
    """An integer with a prefix of `bits` bits; `first` holds the bits before it."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    value -= most
    written = bytearray([first | most])
    while value >= 128:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)


def string(text, claimed=None):
    data = text.encode() if isinstance(text, str) else text
    return integer(len(data) if claimed is None else claimed, 7) + data


def literal(name, value, kept=False):
    """One header; kept: it enters the dynamic table."""
    return (b"\x40" if kept else b"\x00") + string(name) + string(value)


def block(headers):
    return b"".join(literal(name, value) for name, value in headers)


class Decoder:
    """Of one connection: its dynamic table lives as long."""

    def __init__(self):
        self.dynamic = []

    def entry(self, index):
        return TABLE[index - 1] if index <= 61 else self.dynamic[index - 62]

    def decode(self, data):
        headers, at = [], 0
        while at < len(data):
            first = data[at]
            if first & 0x80:
                index, at = self.number(data, at, 7)
                headers.append(self.entry(index))
            elif first & 0xe0 == 0x20:
                _, at = self.number(data, at, 5)
            else:
                kept = first & 0x40
                index, at = self.number(data, at, 6 if kept else 4)
                if index:
                    name = self.entry(index)[0]
                else:
                    name, at = self.text(data, at)
                value, at = self.text(data, at)
                headers.append((name, value))
                if kept:
                    self.dynamic.insert(0, (name, value))
        return headers

    @staticmethod
    def number(data, at, bits):
        most = (1 << bits) - 1
        value, at, shift = data[at] & most, at + 1, 0
        if value < most:
            return value, at
        while True:
            value += (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 128:
                return value, at

    def text(self, data, at):
        coded = data[at] & 0x80
        size, at = self.number(data, at, 7)
        text = "(in Huffman's code)" if coded else data[at:at + size].decode("latin-1")
        return text, at + size
