#!/usr/bin/env python3
"""A second reader of receipts, made from docs/receipts.md alone: Python's standard library, nothing of Adit's.

    read.py [--headers FILE] RECEIPT ...     prints a line of JSON for each: outcome, figures, findings

Running roots and counter-signed ones are read likewise: each holds, or is unreadable.
"""
import hashlib, json, math, struct, sys, zlib

# BIP 340, as its text has it.
P, N = 2**256 - 2**32 - 977, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798, 0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)

def sha(x): return hashlib.sha256(x).digest()
def sha2(x): return sha(sha(x))
def H(tag, *parts): return sha(sha(tag.encode()) * 2 + b"".join(parts))
def R(name, *parts): return H("Adit/receipt/" + name, *parts)

def add(a, b):
    if a is None or b is None: return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0: return None
    l = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (l * l - a[0] - b[0]) % P
    return x, (l * (a[0] - x) - a[1]) % P

def mul(p, n):
    sum = None
    while n:
        if n & 1: sum = add(sum, p)
        p, n = add(p, p), n >> 1
    return sum

def point(key):
    x = int.from_bytes(key, "big")
    c = (pow(x, 3, P) + 7) % P
    y = pow(c, (P + 1) // 4, P)
    return (x, y if y % 2 == 0 else P - y) if x < P and y * y % P == c else None

def signed(key, message, signature):
    p, r, s = point(key), int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if p is None or r >= P or s >= N: return False
    e = int.from_bytes(H("BIP0340/challenge", signature[:32], key, message), "big") % N
    q = add(mul(G, s), mul(p, N - e))
    return q is not None and q[1] % 2 == 0 and q[0] == r

# Intervals: where the gamma distribution of shape a reaches p.
def gamma_below(a, x):
    if x <= 0: return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = sum = 1 / a
        n = a
        while term > sum * 1e-17: n += 1; term *= x / n; sum += term
        return front * sum
    b, c = x + 1 - a, 1e300
    d = h = 1 / b
    for n in range(1, 100000):
        b += 2
        d = 1 / (n * (a - n) * d + b); c = b + n * (a - n) / c; h *= c * d
        if abs(c * d - 1) < 1e-16: break
    return 1 - front * h

def quantile(a, p):
    low, high = 0.0, a + 20 * math.sqrt(a) + 100
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if gamma_below(a, middle) < p else (low, middle)
    return (low + high) / 2

def interval(parts):  # Fay and Feuer's: of (weight, number)s; Garwood's, if all weights are one
    y, v, m = sum(w * n for w, n in parts), sum(w * w * n for w, n in parts), max((w for w, _ in parts), default=0)
    if m == 0: return 0.0, 0.0
    z, u = y + m, v + m * m
    return v / y * quantile(y * y / v, 0.025) if y else 0.0, u / z * quantile(z * z / u, 0.975)

class Unreadable(Exception): pass

def need(so, why="damaged"):
    if not so: raise Unreadable(why)

class Bytes:  # what is read from the front
    def __init__(self, x): self.x, self.at = x, 0
    def raw(self, n): need(n <= len(self.x) - self.at, "cut off"); self.at += n; return self.x[self.at - n:self.at]
    def u8(self): return self.raw(1)[0]
    def i8(self): return struct.unpack("b", self.raw(1))[0]
    def u32(self): return struct.unpack("<I", self.raw(4))[0]
    def float(self): x = struct.unpack("<d", self.raw(8))[0]; need(math.isfinite(x)); return x
    def number(self, bits=64):
        n = shift = 0
        while True:
            b = self.u8(); n |= (b & 127) << shift; shift += 7
            need(n >> bits == 0 and (b or shift == 7))
            if b < 128: return n
    def bytes(self, most): n = self.number(); need(n <= most, "too long"); return self.raw(n)
    def text(self, most):
        try: return self.bytes(most).decode()
        except UnicodeDecodeError: need(False)
    def key(self): k = self.raw(32); need(point(k)); return k
    def end(self): need(self.at == len(self.x), "goes on")

class Of(dict): __getattr__ = dict.__getitem__

def read_terms(raw):
    b = Bytes(raw); need(b.u8() == 1)
    t = Of(network=b.u8(), kind=b.u8(), name=b.text(255), start=b.number(), to=b.number(), every=b.number(), rate=b.number(128), basis=b.u8(), ending=b.u8())
    t.update(end=b.number(128 if t.ending == 2 else 64) if t.ending in (2, 3) else 1, issuer=b.key())
    given = b.u8(); need(given < 2)
    t.update(receiver=b.key() if given else None, parts=b.number())
    count = b.number(); need(count <= 16)
    t.update(scripts=[b.bytes(520) for _ in range(count)], pool_tag=b.text(100), tag=b.u8(), salt=b.raw(16), note=b.text(1024)); b.end()
    need(t.network < 5 and t.kind in (1, 2, 3) and t.name and t.basis in (1, 2) and t.ending in (1, 2, 3) and t.tag in (0, 4, 5, 6, 7, 8))
    need(t.start < t.to < 2**32 and 1 <= t.every <= t.to - t.start and 1 <= t.rate < 2**90 and 1 <= t.end < 2**120)
    need(t.receiver != t.issuer and t.parts <= 1_000_000 and (t.parts == 0) == (not t.scripts))
    t.update(hash=R("terms", raw)); t.update(tag=t.hash[:t.tag])
    return t

def read_agreed(b):  # the body of record 1: the terms, and whether all signatures on them hold
    t = read_terms(b.bytes(16384)); count = b.number(); need(count <= 2); keys, hold = [], True
    for _ in range(count):
        key, at, signature = b.key(), b.number(), b.raw(64); keys.append(key)
        hold &= key in (t.issuer, t.receiver) and signed(key, R("agreement", t.hash, struct.pack("<Q", at)), signature)
    b.end(); need(len(set(keys)) == count)
    return t, hold

def k_terms(t): return min(78, max(1, t.rate * t.every // 1414).bit_length() - 33)

def change(b, before):
    head, tail, middle = b.number(), b.number(), b.bytes(65535)
    need(head <= len(before) and tail <= len(before) and head + len(middle) + tail <= 65535)
    return before[:head] + middle + before[len(before) - tail:]

def read_job(b, before):
    j = Of(version=b.raw(4), prev=b.raw(32), nbits=b.raw(4), min_ntime=b.u32(), reserved=b.u8())
    j.update(prefix=change(b, before.prefix), suffix=change(b, before.suffix))
    count = b.number(); need(count <= 32 and j.reserved <= 32)
    j.update(path=[b.raw(32) for _ in range(count)]); b.end()
    size = lambda x: struct.pack("<I", len(x))
    j.update(hash=R("job", j.version, j.prev, j.nbits, struct.pack("<IB", j.min_ntime, j.reserved), size(j.prefix), j.prefix, size(j.suffix), j.suffix, bytes([count]), *j.path))
    j.update(size=len(j.prefix) + len(j.suffix) + 32 * count + 45)
    return j

def outputs(coinbase, before, after):  # of a coinbase with the extranonce from before to after; None: no node takes it
    def compact(b):
        n = b.u8(); more = {253: 2, 254: 4, 255: 8}.get(n)
        if more is None: return n
        n = int.from_bytes(b.raw(more), "little"); need(n >= {2: 253, 4: 2**16, 8: 2**32}[more]); return n
    try:
        need(before >= 42)
        b = Bytes(coinbase); b.raw(4); need(compact(b) == 1 and b.raw(36) == bytes(32) + b"\xff" * 4)
        length = compact(b); need(2 <= length <= 100 and b.at <= before and after <= b.at + length); b.raw(length + 4)
        count = compact(b); need(count > 0)
        paid = []
        for _ in range(count):
            paid.append((int.from_bytes(b.raw(8), "little"), b.raw(compact(b)))); need(sum(v for v, _ in paid) <= 21 * 10**14)
        b.raw(4); b.end()
        return paid
    except Unreadable: return None

class Tree:
    def __init__(self): self.peaks, self.n = [], 0
    def push(self, leaf):
        height = 0; self.n += 1
        while self.peaks and self.peaks[-1][0] == height: leaf = R("node", self.peaks.pop()[1], leaf); height += 1
        self.peaks.append((height, leaf))
    def root(self):
        top = self.peaks[-1][1] if self.peaks else bytes(32)
        for _, left in self.peaks[-2::-1]: top = R("node", left, top)
        return R("root", struct.pack("<Q", self.n), top)

def records(file):
    need(file[:8] == b"ADITRC\x01\x01", "no receipt")
    z = zlib.decompressobj()
    try: stream = z.decompress(file[8:], 2**26 + 1)
    except zlib.error: need(False)
    whole = len(stream) <= 2**26 and z.eof
    b = Bytes(stream)
    while b.at < len(stream): yield b.u8(), Bytes(b.bytes(160 * 1024))
    need(whole and not z.unused_data, "cut off, too much, or something follows")

def read(file, headers, seen):
    """One receipt: what is found, by kinds, and the figures of the shares that count."""
    found, counted, t, claim, claimed = set(), 0, None, None, None
    tree, jobs, before, after_job, counters, whole, hashed = Tree(), [], Of(prefix=b"", suffix=b""), False, 0, 0, 0
    try:
        for place, (kind, b) in enumerate(records(file)):
            need(claim is None and (kind == place + 1 if place < 2 else kind in (3, 4, 5, 6)) and (kind == 4 or not after_job))
            if kind == 1:
                t, agreed = read_agreed(b)
                if not agreed: found.add("terms_signature")
            elif kind == 2:
                raw = b.x; h = Of(start=b.number(), to=b.number(), k=b.i8(), highest=b.i8(), miners=b.number(32), left_out=b.number(32)); b.end()
                need(h.start < h.to < 2**32 and -32 <= h.k <= 78 and -32 <= h.highest <= 78)
                alone = k_terms(t)
                if h.start < t.start or h.to > t.to: found.add("period")
                if h.k != max(alone, h.highest): found.add("threshold")
                elif h.k != alone: found.add("raised")
                if h.left_out: found.add("left_out")
                target, last = min(2**256 - 1, (0xFFFF << 208) * 2**32 // 2**(h.k + 32)), h.start
            elif kind == 3:
                before = read_job(b, before); jobs.insert(0, before); after_job = True; whole += before.size; need(whole <= 2**28)
                while len(jobs) > 256 or sum(j.size for j in jobs) > 2**23: jobs.pop()
            elif kind == 4:
                at, back, extra, ntime, nonce, version = last + b.number(), b.number(), b.bytes(32), b.u32(), b.raw(4), b.raw(4); b.end()
                need(back < len(jobs) and not (after_job and back) and at < 2**64); last, after_job, j = at, False, jobs[back]
                hashed += len(j.prefix) + len(j.suffix); need(hashed <= 2**29)
                coinbase = j.prefix + extra + j.suffix; root = sha2(coinbase)
                for node in j.path: root = sha2(root + node)
                hash = sha2(version + j.prev + root + struct.pack("<I", ntime) + j.nbits + nonce)
                tree.push(R("leaf", j.hash, struct.pack("<QI", at, ntime), nonce, version, bytes([len(extra)]), extra)); need(tree.n <= 100_000)
                finding = judge(t, h, j, hash, target, at, ntime, extra, coinbase, headers, seen)
                if finding: found.add(finding)
                else: counted += 1
            elif kind == 5:
                shares, root, at, key, signature = b.number(), b.raw(32), b.number(), b.key(), b.raw(64); b.end(); counters += 1; need(counters <= 10_000)
                if (shares, root) != (tree.n, tree.root()) or not signed(key, R("counter", t.hash, struct.pack("<Q", shares), root, struct.pack("<Q", at)), signature): found.add("counter_signature")
                elif last > at + 600: found.add("counter_time")
            else:
                claim = Of(root=b.raw(32), at=b.number(), shares=b.number(), hashes=b.number(128), low=b.float(), high=b.float(), rate=b.float()); body = b.x[:b.at]
                signature = b.raw(64); b.end()
                claimed = R("claim", t.hash, R("header", raw), body)
                f = figures(t, h, tree.n); near = lambda x, y: abs(x - y) <= 1e-6 * max(abs(x), abs(y))
                if claim.root != tree.root(): found.add("root")
                if (claim.shares, claim.hashes) != (f.shares, f.hashes) or not all(near(claim[x], f[x]) for x in ("low", "high", "rate")): found.add("claim")
                if not signed(t.issuer, claimed, signature): found.add("claim_signature")
                if t.ending == 3 and h.start == t.start and (tree.n > t.end or tree.n == t.end and h.to != last): found.add("ending")
        need(claim is not None, "cut off")
    except Unreadable: return Of(found={"unreadable"}, id=None, figures=None)
    return Of(found=found, id=claimed.hex(), figures=figures(t, h, counted))

def judge(t, h, j, hash, target, at, ntime, extra, coinbase, headers, seen):
    if int.from_bytes(hash, "little") > target: return "above_target"
    if hash[:16] in seen: return "duplicate"
    seen.add(hash[:16])
    if not h.start <= at <= h.to: return "outside_period"
    if abs(at - ntime) > 7200 or ntime < j.min_ntime: return "ntime"
    if extra[j.reserved:j.reserved + len(t.tag)] != t.tag or len(extra) < j.reserved: return "tag"
    paid = outputs(coinbase, len(j.prefix), len(j.prefix) + len(extra))
    if paid is None: return "coinbase"
    ours = [value for value, script in paid if script in t.scripts]
    if t.scripts and (not ours or sum(ours) < sum(value for value, _ in paid) * t.parts // 1_000_000): return "payout"
    if headers is None: return None
    if j.prev not in headers: return "unknown_block"
    time, after = headers[j.prev]
    if at + 7200 < time or after and at > after[0] + 7200: return "not_the_tip"
    if after and t.network in (0, 3) and after[1] != j.nbits: return "nbits"

def figures(t, h, n):
    each, fixed = 2**(h.k + 32), t.ending == 3 and t.end == n and h.start == t.start
    low, high = interval([(1, n)])
    return Of(shares=n, each=each, hashes=n * each, low=low * each, high=high * each, rate=each * (n - fixed) / (h.to - h.start))

REFUSED = "partly", {"unknown_block", "off_chain", "not_the_tip", "nbits"}, {"raised", "left_out", "no_answer"}

def outcome(found):
    if "unreadable" in found: return "unreadable"
    if found - REFUSED[1] - REFUSED[2]: return "refused"
    return "partly" if found & REFUSED[1] else "holds"

def verify(file, headers):
    if file[:8] in (b"ADITRC\x01\x04", b"ADITRC\x01\x05"): return verify_root(file)
    if file[:8] != b"ADITRC\x01\x02":
        r = read(file, headers, set())
        return dict(outcome=outcome(r.found), id=r.id, findings=sorted(r.found), **shown(r.figures if outcome(r.found) in ("holds", "partly") else None))
    b, parts, seen, found = Bytes(file), [], set(), set()
    b.raw(8)
    try:
        while length := b.number(): parts.append(read(b.raw(length), headers, seen))
        b.end()
    except Unreadable: found.add("unreadable")
    ids = [p.id for p in parts if p.id]
    if len(set(ids)) < len(ids): found.add("same_receipt")
    found = found.union(*(p.found for p in parts))
    if outcome(found) not in ("holds", "partly"): return dict(outcome=outcome(found), findings=sorted(found), **shown(None))
    all = [p.figures for p in parts]
    low, high = interval([(f.each, f.shares) for f in all])
    return dict(outcome=outcome(found), findings=sorted(found), **shown(Of(shares=sum(f.shares for f in all), hashes=sum(f.hashes for f in all), low=low, high=high)))

def read_root(raw):  # the body of a running root
    b = Bytes(raw); t, agreed = read_agreed(Bytes(b.bytes(32768)))
    r = Of(t=t, start=b.number(), to=b.number(), k=b.i8(), shares=b.number(), root=b.raw(32), at=b.number()); signature = b.raw(64); b.end()
    need(agreed and t.start <= r.start < t.to and (r.start - t.start) % t.every == 0 and r.to == min(r.start + t.every, t.to) and r.start <= r.at <= r.to)
    need(k_terms(t) <= r.k <= 78)
    need(signed(t.issuer, R("running", t.hash, struct.pack("<QQbQ", r.start, r.to, r.k, r.shares), r.root, struct.pack("<Q", r.at)), signature))
    return r

def verify_root(file):
    try:
        need(len(file) <= 32768)
        if file[7] == 4: r = read_root(file[8:])
        else:
            b = Bytes(file); b.raw(8); r = read_root(b.bytes(32768)); at, key, signature = b.number(), b.key(), b.raw(64); b.end()
            need(r.at <= at + 600 and signed(key, R("counter", r.t.hash, struct.pack("<Q", r.shares), r.root, struct.pack("<Q", at)), signature))
    except Unreadable: return dict(outcome="unreadable", id=None, findings=[], **shown(None))
    return dict(outcome="holds", id=r.root.hex(), findings=[], shares=r.shares, hashes=r.shares * 2**(r.k + 32), low=None, high=None)

def shown(f): return dict(shares=f.shares, hashes=f.hashes, low=f.low, high=f.high) if f else dict(shares=None, hashes=None, low=None, high=None)

def read_headers(file):
    known, before = {}, None
    for at in range(0, len(file), 80):
        header = file[at:at + 80]; hash = sha2(header); time, nbits = struct.unpack("<I", header[68:72])[0], header[72:76]
        size, number = nbits[3], int.from_bytes(nbits[:3], "little")
        assert (before is None or header[4:36] == before) and int.from_bytes(hash, "little") <= (number << 8 * size >> 24), "no file of headers"
        if before: known[before] = (known[before][0], (time, nbits))
        known[hash], before = (time, None), hash
    return known

if __name__ == "__main__":
    files, headers = sys.argv[1:], None
    if files[:1] == ["--headers"]: headers, files = read_headers(open(files[1], "rb").read()), files[2:]
    for name in files: print(json.dumps(dict(file=name, **verify(open(name, "rb").read(), headers))))
