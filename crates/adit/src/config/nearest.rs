//! What someone probably meant: the nearest of the known words by edit distance.

/// Words longer than this are compared by their beginning only: nobody misspells a key this long.
const LONGEST_COMPARED: usize = 64;

/// The nearest of `known`, if it is near enough to be worth a guess: at most a third of the word's letters
/// differ, and at least one letter may. Of equally near ones the first is taken.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().replace('-', "_").chars().take(LONGEST_COMPARED).collect();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in known {
        let letters: Vec<char> = candidate.replace('-', "_").chars().take(LONGEST_COMPARED).collect();
        let allowed = (word.len().max(letters.len()) / 3).max(1);
        let distance = distance(&word, &letters);
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits that turn one word into the other: a letter inserted, left out, replaced, or two neighbours
/// exchanged (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_of_the_finger_is_forgiven() {
        let known = ["listen", "vardiff", "reply", "version_mask"];
        assert_eq!(nearest("listn", known), Some("listen"));
        assert_eq!(nearest("vradiff", known), Some("vardiff"));
        assert_eq!(nearest("version-mask", known), Some("version_mask"));
        assert_eq!(nearest("Reply", known), Some("reply"));
    }

    #[test]
    fn something_else_is_not_guessed_at() {
        assert_eq!(nearest("downstream_port", ["listen", "vardiff"]), None);
        assert_eq!(nearest("", ["listen"]), None);
    }

    #[test]
    fn distances_count_edits() {
        let of = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(of("", ""), 0);
        assert_eq!(of("", "abc"), 3);
        assert_eq!(of("ca", "ac"), 1);
        assert_eq!(of("kitten", "sitting"), 3);
    }
}
