//! Mutations drawn from a seed: what a plain test run tries beyond the corpus. The same seed gives the same
//! inputs on every machine.

/// Pieces that random bytes seldom hit upon.
const PIECES: [&[u8]; 24] = [
    b"\n",
    b"\r\n",
    b"\0",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"true",
    b"-1",
    b"1e400",
    b"4294967296",
    b"18446744073709551616",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff",
    b"mining.submit",
    b"version = 1\n",
    b"main",
    b"ADIT__",
    b"\xc3\xa4",
    b"\\u0000",
];

/// A small generator (SplitMix64).
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of the corpus's inputs with one to four changes, at most `max_len` bytes long.
    #[must_use]
    pub fn mutate(&mut self, corpus: &[Vec<u8>], max_len: usize) -> Vec<u8> {
        let mut data = corpus.get(self.below(corpus.len())).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.change(&mut data, corpus);
        }
        data.truncate(max_len);
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        let end = (at + self.below(16)).min(data.len());
        match self.below(8) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let new = self.byte();
                if let Some(byte) = data.get_mut(at) {
                    *byte = new;
                }
            }
            2 => data.insert(at, self.byte()),
            3 => drop(data.drain(at..end)),
            4 => {
                let piece = data[at..end].to_vec();
                let to = self.below(data.len() + 1);
                data.splice(to..to, piece);
            }
            5 => {
                let piece = PIECES[self.below(PIECES.len())];
                data.splice(at..at, piece.iter().copied());
            }
            6 => data.truncate(at),
            _ => {
                let other = corpus.get(self.below(corpus.len())).map_or(&[][..], Vec::as_slice);
                let from = self.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
}
