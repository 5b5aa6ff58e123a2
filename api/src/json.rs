//! JSON from strangers: how deep it nests is looked at before anything is built from it.

use crate::no::No;

/// How deep objects and lists nest in a text that may or may not be JSON. Looks at brackets outside of
/// strings only; what is no JSON the parser refuses afterwards.
pub(crate) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0usize, false, false);
    for byte in text {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => quoted = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

/// Reads a body, within the depth that is allowed.
pub(crate) fn read<T: serde::de::DeserializeOwned>(body: &[u8], deepest: usize) -> Result<T, No> {
    if depth(body) > deepest {
        return Err(No::malformed(format!("JSON may nest at most {deepest} deep")));
    }
    serde_json::from_slice(body).map_err(|error| No::malformed(format!("the body: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert_eq!(depth(b"1"), 0);
        assert_eq!(depth(br#"{"a":[1,{"b":2}]}"#), 3);
        assert_eq!(depth(br#"["[[[[", "\"[[", "\\"]"#), 1);
        assert_eq!(depth(&b"[".repeat(100_000)), 100_000);
    }

    #[test]
    fn too_deep_and_no_json_at_all_are_refused_alike() {
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        assert!(read::<Value>(deep.as_bytes(), 64).is_err());
        let fits = format!("{}1{}", "[".repeat(64), "]".repeat(64));
        assert!(read::<Value>(fits.as_bytes(), 64).is_ok());
        for text in ["", "{", "NaN", "1e400", r#""\ud800""#, "{\"a\":1,}", "\u{feff}{}"] {
            assert!(read::<Value>(text.as_bytes(), 64).is_err(), "{text}");
        }
    }
}
