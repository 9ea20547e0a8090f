//! How the bytes of a source are cut into chunks never changes what a converter makes of it.

use super::cases::converter_cases;
use super::{Random, convert};

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
