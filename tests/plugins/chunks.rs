//! How the bytes of a source are cut into chunks never changes what a converter makes of it.

use super::cases::converter_cases;
use super::convert;

/// A small generator of numbers (SplitMix64), seeded.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

#[test]
fn every_case_is_the_same_byte_by_byte_and_in_random_chunks() {
    let mut random = Random(7);
    for case in converter_cases() {
        let bytes = case.bytes();
        let whole = convert(&case.plugin, &case.config, [bytes.as_slice()]);
        let single = convert(&case.plugin, &case.config, bytes.chunks(1));
        assert_eq!(whole, single, "{}, byte by byte", case.title());
        for _ in 0..4 {
            let mut cuts: Vec<usize> = (0..random.below(12)).map(|_| random.below(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            // Equal cuts make empty chunks, which are chunks too.
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let cut = convert(&case.plugin, &case.config, chunks);
            assert_eq!(whole, cut, "{}, cut at {cuts:?}", case.title());
        }
    }
}
