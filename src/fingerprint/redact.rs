//! Takes out of a text what identifies a machine or a person: UUIDs and paths.

/// What separates one word from the next; separators are kept.
const SEPARATORS: &[char] = &[
    ' ', '\t', '\n', '=', ',', ';', ':', '\'', '"', '(', ')', '[', ']',
];

/// UUIDs become `<uuid>`, paths `<path>`.
pub fn scrub(text: &str) -> String {
    rewrite(text, |word| {
        if is_uuid(word) {
            "<uuid>".into()
        } else if is_path(word) {
            "<path>".into()
        } else {
            word.into()
        }
    })
}

/// Paths lose their folders: `/opt/torch/lib/libc10.so` becomes `libc10.so`. Two machines that hold the same file in
/// different places then say the same.
pub fn without_folders(text: &str) -> String {
    rewrite(text, |word| {
        let name = word.rsplit('/').next().unwrap_or_default();
        if is_path(word) && !name.is_empty() {
            name.into()
        } else {
            word.into()
        }
    })
}

fn rewrite(text: &str, change: impl Fn(&str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    for piece in text.split_inclusive(SEPARATORS) {
        let word = piece.trim_end_matches(SEPARATORS);
        result.push_str(&change(word));
        result.push_str(&piece[word.len()..]);
    }
    result
}

/// A word whose first slash does not follow a letter or digit (`/a`, `./a`, `~/a`, not `N/A`), or an option with a
/// slash (`-I/a`).
fn is_path(word: &str) -> bool {
    let Some(slash) = word.find('/') else {
        return false;
    };
    let before = word[..slash].chars().next_back();
    word.starts_with('-') || !before.is_some_and(char::is_alphanumeric)
}

/// `GPU-` or `MIG-` and what follows, or 8-4-4-4-12 hexadecimal digits.
fn is_uuid(word: &str) -> bool {
    let rest = word.trim_start_matches("MIG-").trim_start_matches("GPU-");
    let hexadecimal = rest.chars().take_while(char::is_ascii_hexdigit).count();
    if rest.len() < word.len() && hexadecimal >= 8 {
        return true;
    }
    let lengths: Vec<_> = rest.split('-').map(str::len).collect();
    let digits = rest.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    digits && lengths == [8, 4, 4, 4, 12]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_and_paths_go_and_the_rest_stays() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(scrub(uuid), "<uuid>");
        assert_eq!(scrub(&format!("GPU-{uuid},1")), "<uuid>,1");
        assert_eq!(scrub(&format!("MIG-GPU-{uuid}/7/0")), "<uuid>");
        assert_eq!(
            scrub("a=/home/me/x.so:~/y -I/opt/z"),
            "a=<path>:<path> <path>"
        );
        assert_eq!(scrub("N/A at 3.1 and/or\n2"), "N/A at 3.1 and/or\n2");
        assert_eq!(scrub("GPU-accelerated"), "GPU-accelerated");
    }

    #[test]
    fn folders_go_and_file_names_stay() {
        assert_eq!(
            without_folders("/opt/lib/a.so does not exist"),
            "a.so does not exist"
        );
        assert_eq!(
            without_folders("libx.so: /lib/y.so: bad"),
            "libx.so: y.so: bad"
        );
    }
}
