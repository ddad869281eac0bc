//! Patterns for names: `*` any run without `/`, `**` any run, `?` one character but `/`. All else means itself.

/// Whether all of `name` matches `pattern`. Takes time proportional to the product of their lengths at worst, whatever the
/// pattern: it follows all ways to match at once instead of trying one after the other.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let steps = steps(pattern);
    // reached[i]: what has been read of the name can be matched by the first i steps.
    let mut reached = vec![false; steps.len() + 1];
    reached[0] = true;
    skip_empty_runs(&steps, &mut reached);
    for character in name.chars() {
        let mut next = vec![false; steps.len() + 1];
        for (index, step) in steps.iter().enumerate() {
            if reached[index] {
                match step {
                    Step::One(own) => next[index + 1] |= *own == character,
                    Step::Any => next[index + 1] |= character != '/',
                    Step::Run => next[index] |= character != '/',
                    Step::LongRun => next[index] = true,
                }
            }
        }
        skip_empty_runs(&steps, &mut next);
        reached = next;
    }
    reached[steps.len()]
}

/// Whether any of the patterns matches.
#[must_use]
pub fn any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

enum Step {
    One(char),
    Any,
    Run,
    LongRun,
}

fn steps(pattern: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for character in pattern.chars() {
        match (character, steps.last()) {
            ('*', Some(Step::Run | Step::LongRun)) => {
                steps.pop();
                steps.push(Step::LongRun);
            }
            ('*', _) => steps.push(Step::Run),
            ('?', _) => steps.push(Step::Any),
            (own, _) => steps.push(Step::One(own)),
        }
    }
    steps
}

fn skip_empty_runs(steps: &[Step], reached: &mut [bool]) {
    for (index, step) in steps.iter().enumerate() {
        if reached[index] && matches!(step, Step::Run | Step::LongRun) {
            reached[index + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_sign_means_what_it_says() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "a.b[0]", true),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("***", "a/b/c", true),
            ("*/b", "a/b", true),
            ("*/c", "a/b/c", false),
            ("**/c", "a/b/c", true),
            ("?", "ü", true),
            ("?", "", false),
            ("a?c", "a/c", false),
            ("*.weight", "layer.0.weight", true),
            ("*.weight", "layer.0.bias", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("[x]", "[x]", true),
            ("time*", "wall_time", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
        assert!(super::any(&["x".into(), "b*".into()], "bc") && !super::any(&[], "bc"));
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let start = std::time::Instant::now();
        assert!(!matches(
            &"*a".repeat(200),
            &"a".repeat(2000).replacen('a', "b", 1_999)
        ));
        assert!(!matches(
            &format!("{}b", "**a".repeat(200)),
            &"a".repeat(2000)
        ));
        assert!(start.elapsed().as_secs() < 2);
    }

    /// Trying every way, one after the other: slow and plain.
    fn slowly(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', '*', rest @ ..] => (0..=name.len()).any(|n| slowly(rest, &name[n..])),
            ['*', rest @ ..] => (0..=name.len())
                .take_while(|&n| !name[..n].contains(&'/'))
                .any(|n| slowly(rest, &name[n..])),
            ['?', rest @ ..] => name.first().is_some_and(|&c| c != '/') && slowly(rest, &name[1..]),
            [own, rest @ ..] => name.first() == Some(own) && slowly(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_every_way(pattern in "[ab/?*]{0,7}", name in "[ab/]{0,7}") {
            // `***` is `**`: the slow one reads it as `**` and `*`, which matches the same names.
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(matches(&pattern, &name), slowly(&p, &n));
        }
    }
}
