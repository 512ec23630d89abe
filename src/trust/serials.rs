//! A set of revoked serial numbers with their reasons, in 22 bytes each.
//!
//! One sorted array: a million entries take 21 MB and no allocation each. Above it stands every 32nd
//! number once more: these fences stay in the processor's cache where the array does not, and leave one
//! field of it to be searched, so a lookup waits for memory three times and not fourteen. A hash table was
//! considered and ruled out: kept full enough to fit the same memory it is no quicker, it takes twice
//! the memory while it grows, and whoever chooses the numbers can make it slow. Numbers that do not fit
//! (more than 20 octets, which RFC 5280 forbids, or negative) stand in a list beside it.
#![deny(clippy::indexing_slicing)]

/// The longest serial number that RFC 5280, section 4.1.2.2, allows.
const SHORT_BYTES: usize = 20;

/// Entries between two fences: a field is 11 lines of the cache.
const FIELD: usize = 32;

/// A CRLReason (RFC 5280, section 5.3.1); 0 where the list gives none.
pub(super) type Reason = u8;

/// Serial numbers as they are gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    short: Vec<Short>,
    long: Vec<Long>,
}

/// The set.
#[derive(Debug)]
pub(super) struct Serials {
    short: Box<[Short]>,
    /// The first number of each field.
    fences: Box<[[u8; SHORT_BYTES]]>,
    long: Box<[Long]>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Short {
    number: [u8; SHORT_BYTES],
    reason: Reason,
}

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Long {
    number: Box<[u8]>,
    reason: Reason,
}

const _: () = assert!(size_of::<Short>() == SHORT_BYTES + 1);

/// A serial number in the one form that equal numbers share, however they are encoded.
enum Number<'a> {
    /// Not negative: its magnitude, with zeros in front.
    Short([u8; SHORT_BYTES]),
    /// Anything else: the shortest content of an INTEGER.
    Long(&'a [u8]),
}

impl<'a> Number<'a> {
    fn of(integer: &'a [u8]) -> Self {
        let shortest = shortest(integer);
        let is_negative = shortest.first().is_some_and(|&first| first & 0x80 != 0);
        let magnitude = shortest.strip_prefix(&[0]).unwrap_or(shortest);
        let mut number = [0; SHORT_BYTES];
        match number.len().checked_sub(magnitude.len()).and_then(|at| number.get_mut(at..)) {
            Some(tail) if !is_negative => {
                tail.copy_from_slice(magnitude);
                Self::Short(number)
            }
            _ => Self::Long(shortest),
        }
    }
}

/// Whether two INTEGERs are one number.
pub(super) fn is_same_number(one: &[u8], other: &[u8]) -> bool {
    shortest(one) == shortest(other)
}

/// Without the octets in front that only repeat the sign.
fn shortest(mut integer: &[u8]) -> &[u8] {
    while let [sign, next, ..] = integer
        && *sign == (if *next & 0x80 == 0 { 0 } else { 0xff })
    {
        integer = integer.get(1..).unwrap_or_default();
    }
    integer
}

impl Gathered {
    /// Makes room for exactly as many more: doubling would cost a large list twice its memory.
    pub(super) fn reserve(&mut self, count: usize) {
        self.short.reserve_exact(count);
    }

    /// Adds one, as the content of its INTEGER.
    pub(super) fn add(&mut self, integer: &[u8], reason: Reason) {
        match Number::of(integer) {
            Number::Short(number) => self.short.push(Short { number, reason }),
            Number::Long(number) => self.long.push(Long { number: number.into(), reason }),
        }
    }

    /// Each number once; of several reasons the lowest stays.
    pub(super) fn finish(mut self) -> Serials {
        self.short.sort_unstable();
        self.short.dedup_by_key(|entry| entry.number);
        self.long.sort_unstable();
        self.long.dedup_by(|entry, before| entry.number == before.number);
        let fences = self.short.iter().step_by(FIELD).map(|entry| entry.number).collect();
        let (short, long) = (self.short.into_boxed_slice(), self.long.into_boxed_slice());
        Serials { short, fences, long }
    }
}

impl Serials {
    /// The reason, where the number (as the content of its INTEGER) is in the set.
    pub(super) fn find(&self, integer: &[u8]) -> Option<Reason> {
        match Number::of(integer) {
            Number::Short(number) => {
                let next_field = self.fences.partition_point(|fence| *fence <= number);
                let field = self.short.chunks(FIELD).nth(next_field.checked_sub(1)?)?;
                let position = field.binary_search_by(|entry| entry.number.cmp(&number)).ok()?;
                field.get(position).map(|entry| entry.reason)
            }
            Number::Long(number) => {
                let position =
                    self.long.binary_search_by(|entry| (*entry.number).cmp(number)).ok()?;
                self.long.get(position).map(|entry| entry.reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[&[u8]]) -> Serials {
        let mut gathered = Gathered::default();
        for number in numbers {
            gathered.add(number, 1);
        }
        gathered.finish()
    }

    #[test]
    fn equal_numbers_meet_however_they_are_encoded() {
        for (listed, asked) in [
            (&[0, 0x80][..], &[0, 0, 0x80][..]),
            (&[0, 0, 5], &[5]),
            (&[0xff, 0xff, 0x80], &[0x80]),
            (&[0], &[0, 0]),
            (
                &[
                    0, 0, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                    20,
                ],
                &[0, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
            ),
        ] {
            assert_eq!(set(&[listed]).find(asked), Some(1), "{listed:02x?} {asked:02x?}");
            assert_eq!(set(&[asked]).find(listed), Some(1), "{listed:02x?} {asked:02x?}");
        }
    }

    #[test]
    fn numbers_that_differ_only_in_sign_or_length_stay_apart() {
        let full = [0xff; 20];
        let positive = [&[0][..], &full].concat();
        let longer = [&[0][..], &full, &[0xff]].concat();
        let numbers: [&[u8]; 6] = [&[0x80], &[0, 0x80], &full, &positive, &longer, &[0xff]];
        for (index, listed) in numbers.iter().enumerate() {
            let found = numbers.map(|asked| set(&[listed]).find(asked).is_some());
            // Twenty octets of ones are minus one, like the last.
            let expected: Vec<_> = (0..numbers.len())
                .map(|other| other == index || [index, other] == [2, 5] || [index, other] == [5, 2])
                .collect();
            assert_eq!(found.to_vec(), expected, "{listed:02x?}");
        }
    }

    /// Goal: nothing is lost at a fence. Method: every count of even numbers up to three fields and one,
    /// asked for each of them, for the odd ones between, and for one below and above.
    #[test]
    fn numbers_beside_a_fence_are_found() {
        let octets = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
        for count in 0..=3 * FIELD + 1 {
            let mut gathered = Gathered::default();
            (1..=count).for_each(|index| gathered.add(&octets(2 * index), 1));
            let serials = gathered.finish();
            for number in 0..2 * count + 4 {
                let is_listed = number % 2 == 0 && (1..=count).contains(&(number / 2));
                assert_eq!(
                    serials.find(&octets(number)).is_some(),
                    is_listed,
                    "{number} of {count}"
                );
            }
        }
    }

    #[test]
    fn duplicates_take_no_room() {
        let serials = set(&[&[1], &[2], &[1], &[0, 1], &[0x81], &[0x81]]);
        assert_eq!((serials.short.len(), serials.long.len()), (2, 1));
    }
}
