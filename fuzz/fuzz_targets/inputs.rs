//! Input files of the three formats; the first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal_circuits::quantize::inputs::{InputSpec, parse};

fuzz_target!(|data: &[u8]| {
    let Some((format, bytes)) = data.split_first() else {
        return;
    };
    let spec = |name: &str, shape: &[usize]| InputSpec {
        name: name.into(),
        shape: shape.to_vec(),
    };
    let inputs = [spec("x", &[1, 2]), spec("z", &[1, 1])];
    let count = 1 + usize::from(format >> 7);
    let extension = ["npy", "npz", "json"][usize::from(format & 0x7f) % 3];
    if let Ok(samples) = parse("file", extension, bytes, &inputs[..count]) {
        assert!(samples.iter().all(|sample| sample.len() == count));
    }
});
