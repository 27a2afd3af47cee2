"""Walks the bytes of an ONNX model before protobuf parses them: bounded, iterative, without allocating by what they say.

`scan` checks the wire format (lengths against what encloses them, varints, no groups), counts what parsing will make
against the budgets, and finds the raw_data of every tensor. `skeleton` is the model with each raw_data of 8 bytes or
more replaced by its number (8 bytes), so that protobuf never copies weights. A raw_data of 8 bytes in a skeleton is
therefore always such a number: there is nothing a file could forge.
"""

from cynfer.ops.errors import LimitError, ModelFormatError

#: Bytes that stand for a raw_data in the skeleton; shorter ones stay where they are.
STUB = 8
#: Nesting of messages that protobuf's parser reads.
MAX_MESSAGE_DEPTH = 100

# What the parser spends: on a message, on a string or bytes entry, on one byte of packed varints.
cdef enum:
    MESSAGE_COST = 128
    ENTRY_COST = 32
    PACKED_COST = 8
    STACK = 101

# Kinds of fields in the table that `table` makes; a message's number is in the bits above.
cdef enum:
    OTHER = 0
    MESSAGE = 1
    RAW = 2
    PACKED = 3


def table(descriptor):
    """(flat field table, {message name: number}, names by number) of a protobuf message and all it holds."""
    import array

    numbers, order = {descriptor.full_name: 0}, [descriptor]
    rows = array.array("i")
    for message in order:  # grows while it is walked
        row = [0] * 32
        for field in message.fields:
            if field.message_type is not None:
                sub = field.message_type
                if sub.full_name not in numbers:
                    numbers[sub.full_name] = len(order)
                    order.append(sub)
                kind = MESSAGE | numbers[sub.full_name] << 8
            elif message.name == "TensorProto" and field.name == "raw_data":
                kind = RAW
            else:
                wide = (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_FLOAT, field.TYPE_DOUBLE)
                kind = OTHER if field.type in wide else PACKED
            row[field.number] = kind
        rows.extend(row)
    return rows, {m.name: i for i, m in enumerate(order)}, [m.name for m in order]


cdef class Scan:
    """What `scan` found: cuts = (offset, length) of each raw_data, in file order; edits = the lengths to rewrite."""

    cdef readonly list cuts, edits
    cdef readonly long long nodes, cost
    cdef readonly int depth

    def __init__(self):
        self.cuts, self.edits = [], []


cdef inline Py_ssize_t varint(const unsigned char[::1] data, Py_ssize_t pos, Py_ssize_t end,
                              unsigned long long* value) noexcept:
    """The position after the varint at `pos`, or -1: past `end`, or over 64 bits."""
    cdef unsigned long long result = 0
    cdef int shift = 0
    cdef unsigned char byte
    while pos < end and shift < 70:
        byte = data[pos]
        pos += 1
        if shift == 63 and byte > 1:
            return -1
        result |= (<unsigned long long> (byte & 127)) << shift
        if byte < 128:
            value[0] = result
            return pos
        shift += 7
    return -1


def scan(const unsigned char[::1] data, const int[::1] fields, dict numbers, list names, limits):
    """Walks one ModelProto; raises ModelFormatError or LimitError."""
    cdef Scan found = Scan()
    cdef Py_ssize_t end[STACK]
    cdef Py_ssize_t length_at[STACK]
    cdef Py_ssize_t removed[STACK]
    cdef int width[STACK]
    cdef int message[STACK]
    cdef int depth = 0, graphs = 0, kind, wire
    cdef int graph_id = numbers["GraphProto"], node_id = numbers["NodeProto"]
    cdef long long max_nodes = limits.max_nodes, max_depth = limits.max_depth, max_cost = limits.bytes
    cdef Py_ssize_t pos = 0, start
    cdef unsigned long long value = 0, number
    end[0], removed[0], message[0] = data.shape[0], 0, 0
    while True:
        if pos == end[depth]:
            if depth == 0:
                break
            if removed[depth]:
                found.edits.append((length_at[depth], width[depth], pos - length_at[depth] - width[depth]
                                    - removed[depth]))
                removed[depth - 1] += removed[depth]
            if message[depth] == graph_id:
                graphs -= 1
            depth -= 1
            continue
        start = pos
        pos = varint(data, pos, end[depth], &value)
        if pos < 0 or value >> 32 or value >> 3 == 0:
            raise broken(names[message[depth]], start, "no field starts here")
        number, wire = value >> 3, value & 7
        if wire == 0:
            pos = varint(data, pos, end[depth], &value)
            found.cost += PACKED_COST
            if pos < 0:
                raise broken(names[message[depth]], start, "a number does not end, or has over 64 bits")
        elif wire == 1 or wire == 5:
            found.cost += PACKED_COST
            value = 8 if wire == 1 else 4
            if value > <unsigned long long> (end[depth] - pos):
                raise broken(names[message[depth]], start, "a number is cut off")
            pos += value
        elif wire == 2:
            start = pos
            pos = varint(data, pos, end[depth], &value)
            if pos < 0 or value > <unsigned long long> (end[depth] - pos):
                raise broken(names[message[depth]], start, "a field passes the end of what encloses it")
            kind = fields[message[depth] * 32 + number] if number < 32 else 0
            if kind & 255 == MESSAGE:
                if depth + 1 == STACK:
                    raise LimitError(f"messages nest over {MAX_MESSAGE_DEPTH} deep at byte {start}; protobuf reads "
                                     f"{MAX_MESSAGE_DEPTH}")
                depth += 1
                end[depth], removed[depth] = pos + value, 0
                length_at[depth], width[depth], message[depth] = start, pos - start, kind >> 8
                found.depth = max(found.depth, depth)
                found.cost += MESSAGE_COST
                if message[depth] == node_id:
                    found.nodes += 1
                    if found.nodes > max_nodes:
                        raise LimitError(f"the model has over {max_nodes} nodes, and limits.max_nodes is {max_nodes}")
                elif message[depth] == graph_id:
                    graphs += 1
                    if graphs > max_depth + 1:
                        raise LimitError(f"subgraphs nest {graphs - 1} deep, and limits.max_depth is {max_depth}")
            else:
                if kind == RAW and value >= STUB:
                    found.edits.append((start, pos - start, STUB))
                    found.edits.append((pos, value, -1 - len(found.cuts)))
                    found.cuts.append((pos, value))
                    removed[depth] += value - STUB
                    found.cost += MESSAGE_COST
                elif kind == PACKED:
                    found.cost += PACKED_COST * value
                else:
                    found.cost += ENTRY_COST + value
                pos += value
        else:
            raise broken(names[message[depth]], start, f"wire type {wire} does not occur in a model")
        if found.cost > max_cost:
            raise LimitError(f"reading the model's structure needs over {max_cost} bytes, and limits.max_bytes is "
                             f"{max_cost}")
    return found


cdef broken(str message, Py_ssize_t at, str what):
    return ModelFormatError(f"not an ONNX model, or a damaged one: {what} (byte {at}, in {message})")


def skeleton(const unsigned char[::1] data, Scan found) -> bytes:
    """The bytes with every cut replaced by its number, and the lengths around them put right."""
    cdef Py_ssize_t pos = 0, at, size
    parts = []
    view = memoryview(data)
    for at, size, new in sorted(found.edits):
        parts.append(view[pos:at])
        # A length keeps its width (padded varints are valid), so that one pass suffices.
        parts.append((-1 - new).to_bytes(STUB, "little") if new < 0 else padded(new, size))
        pos = at + size
    parts.append(view[pos:])
    return b"".join(parts)


cdef bytes padded(unsigned long long value, Py_ssize_t width):
    cdef Py_ssize_t i
    result = bytearray(width)
    for i in range(width):
        result[i] = (value & 127) | (128 if i < width - 1 else 0)
        value >>= 7
    return bytes(result)
