//! A miner's luck, from a seed.

/// xoshiro256++, seeded by splitmix64: the same trial on every machine.
pub(crate) struct Luck([u64; 4]);

impl Luck {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }))
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }

    /// In (0, 1].
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// The wait for the next event of a Poisson process, in mean waits.
    pub(crate) fn wait(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// How many events of a Poisson process fall into `mean` mean waits. Above 2,000 the normal distribution
    /// stands in for it.
    pub(crate) fn count(&mut self, mean: f64) -> f64 {
        if mean > 2000.0 {
            let normal = (2.0 * self.wait()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos();
            return (mean + mean.sqrt() * normal).round();
        }
        let (mut count, mut waited) = (0.0, self.wait());
        while waited < mean {
            count += 1.0;
            waited += self.wait();
        }
        count
    }
}
