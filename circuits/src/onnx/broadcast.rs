//! Index arithmetic of row-major tensors.

/// Row-major strides.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Calls `f` with every multi-index of `shape`, in row-major order.
pub(super) fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index);
        let mut axis = shape.len();
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// For each element of `to`, the element of a tensor of shape `from` that ONNX broadcasting puts there; `None`
/// where the shapes do not broadcast.
pub(super) fn broadcast(from: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let lead = to.len().checked_sub(from.len())?;
    if from
        .iter()
        .zip(&to[lead..])
        .any(|(&f, &t)| f != t && f != 1)
    {
        return None;
    }
    let steps: Vec<usize> = strides(from)
        .into_iter()
        .zip(from)
        .map(|(stride, &size)| if size == 1 { 0 } else { stride })
        .collect();
    let mut map = Vec::with_capacity(to.iter().product());
    for_each_index(to, |index| {
        map.push(index[lead..].iter().zip(&steps).map(|(i, s)| i * s).sum())
    });
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_repeats_missing_and_unit_axes() {
        assert_eq!(broadcast(&[2, 1], &[2, 3]).unwrap(), [0, 0, 0, 1, 1, 1]);
        assert_eq!(broadcast(&[3], &[2, 3]).unwrap(), [0, 1, 2, 0, 1, 2]);
        assert_eq!(broadcast(&[], &[2]).unwrap(), [0, 0]);
        assert_eq!(broadcast(&[2], &[2, 3]), None);
        assert_eq!(broadcast(&[1, 2], &[2]), None);
    }
}
