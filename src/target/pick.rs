//! Which target of a group gets the next request.
//!
//! Pure: numbers in, an index out. A shard keeps the cursor and says which targets to pass over.
//! Source: ALB guide, "Routing algorithms" and "Target group health" (fail open).

/// The group has no target with an address; the client gets 503.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the target group has no usable target")]
pub struct NoTarget;

/// Picks the next of `count` addresses from `cursor` on, skipping those to pass over.
///
/// When all are to be passed over it takes the one at the cursor all the same: a doubtful target
/// serves better than none. The caller's next cursor is the index plus one, so that the turns of a
/// skipped target are shared by all others and not given to its neighbour. One pass at most.
///
/// # Errors
/// [`NoTarget`] when `count` is 0.
pub fn round_robin(
    count: usize,
    cursor: usize,
    passed_over: impl Fn(usize) -> bool,
) -> Result<usize, NoTarget> {
    let first = cursor.checked_rem(count).ok_or(NoTarget)?;
    let picked = (first..count).chain(0..first).find(|&index| !passed_over(index));
    Ok(picked.unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `turns` picks in a row, as a shard makes them.
    fn picks(count: usize, turns: usize, passed_over: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut cursor = 0;
        let mut picked = Vec::new();
        for _ in 0..turns {
            let index = round_robin(count, cursor, &passed_over).unwrap();
            cursor = index.wrapping_add(1);
            picked.push(index);
        }
        picked
    }

    #[test]
    fn targets_take_turns() {
        assert_eq!(picks(3, 7, |_| false), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(picks(1, 3, |_| false), [0, 0, 0]);
    }

    #[test]
    fn the_turns_of_a_target_passed_over_are_shared_by_the_others() {
        assert_eq!(picks(3, 6, |index| index == 1), [0, 2, 0, 2, 0, 2]);
        assert_eq!(picks(4, 6, |index| index == 0), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn when_all_are_passed_over_they_take_turns_all_the_same() {
        assert_eq!(picks(3, 4, |_| true), [0, 1, 2, 0]);
        assert_eq!(picks(1, 2, |_| true), [0, 0]);
    }

    #[test]
    fn an_empty_group_has_no_target() {
        assert_eq!(round_robin(0, 0, |_| false), Err(NoTarget));
        assert_eq!(round_robin(0, 7, |_| true), Err(NoTarget));
    }

    #[test]
    fn any_cursor_is_good_for_any_number_of_addresses() {
        assert_eq!(round_robin(3, usize::MAX, |_| false), Ok(usize::MAX % 3));
        assert_eq!(round_robin(2, 5, |_| false), Ok(1));
    }
}
