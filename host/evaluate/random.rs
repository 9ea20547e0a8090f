//! Random numbers for resampling: xoshiro256++ seeded through SplitMix64 (Blackman and Vigna,
//! <https://prng.di.unimi.it>). The same numbers on every machine; not for secrets.

pub use so8t_base::split_mix::split_mix;

/// A xoshiro256++ generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of stream `stream` of `seed`; streams of one seed are unrelated to each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut outer = seed;
        let mut inner = split_mix(&mut outer) ^ stream;
        Self { state: std::array::from_fn(|_| split_mix(&mut inner)) }
    }

    /// A generator with the given state, which must not be all zeros.
    pub fn from_state(state: [u64; 4]) -> Self {
        Self { state }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let mut next = [a, b, c ^ a, d ^ b];
        next[1] ^= next[2];
        next[0] ^= next[3];
        next[2] ^= b << 17;
        next[3] = next[3].rotate_left(45);
        self.state = next;
        result
    }

    /// A number below `bound`, each equally likely (Lemire's multiplication, with rejection). `bound` is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }
}
