//! Raw telemetry on disk: newline-delimited JSON, one file after another, the oldest deleted when all of
//! them together grow too large. Never read back here; `iot/README.md` tells analysts how to.
//!
//! ```text
//!   telemetry/2026-11-21-0001.ndjson    full
//!   telemetry/2026-11-21-0002.ndjson    written; a new day begins at 0001 again
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use holdfast_domain::Timestamp;

use super::Raw;

/// One line: when it came, from whom, about what, and the payload as it was.
pub(super) fn line(lines: &mut Vec<u8>, raw: &Raw) {
    // The names need no escaping: ids and topics have no quotes.
    lines.extend_from_slice(b"{\"received\":\"");
    lines.extend_from_slice(raw.received.to_string().as_bytes());
    lines.extend_from_slice(b"\",\"vehicle\":\"");
    lines.extend_from_slice(raw.vehicle.as_str().as_bytes());
    lines.extend_from_slice(b"\",\"topic\":\"");
    lines.extend_from_slice(raw.topic.suffix().as_bytes());
    lines.extend_from_slice(b"\",\"payload\":");
    // It is valid JSON, so a line's end in it is space between tokens, never inside a text.
    lines.extend(raw.payload.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    }));
    lines.extend_from_slice(b"}\n");
}

/// The files.
pub(super) struct RawFiles {
    dir: PathBuf,
    file_bytes: u64,
    total_bytes: u64,
    open: Option<Open>,
}

struct Open {
    day: String,
    number: u32,
    file: File,
    length: u64,
}

impl RawFiles {
    pub(super) fn new(dir: &Path, file_bytes: u64, total_bytes: u64) -> Self {
        // At least two files, so that the newest lines outlive a rotation.
        let file_bytes = file_bytes.min(total_bytes / 2).max(1);
        Self { dir: dir.to_owned(), file_bytes, total_bytes, open: None }
    }

    /// Appends whole lines. After an error they are lost, and the next ones begin with a new try.
    pub(super) fn append(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        let outcome = self.appended(lines, now);
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    fn appended(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        let day: String = now.to_string().chars().take(10).collect();
        let length = lines.len() as u64;
        let fits = self
            .open
            .as_ref()
            .is_some_and(|open| open.day == day && open.length + length <= self.file_bytes);
        if !fits {
            self.open = None;
            fs::create_dir_all(&self.dir)?;
            let open = self.next(&day, length)?;
            self.make_room(length, &open)?;
            self.open = Some(open);
        }
        let open = self.open.as_mut().expect("it was just opened");
        open.file.write_all(lines)?;
        open.length += length;
        Ok(())
    }

    /// The last file of the day if there is room in it, else the one after.
    fn next(&self, day: &str, length: u64) -> io::Result<Open> {
        let last = self.files()?.into_iter().rfind(|file| file.day == day);
        let number = match last {
            Some(file) if file.length + length < self.file_bytes => file.number,
            Some(file) => file.number + 1,
            None => 1,
        };
        let path = self.dir.join(name(day, number));
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut length = file.metadata()?.len();
        // A crash may have left half a line: what follows begins on its own.
        if length > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut end = [0];
            file.read_exact(&mut end)?;
            if end != [b'\n'] {
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        Ok(Open { day: day.to_owned(), number, file, length })
    }

    /// Deletes the oldest files until `length` more bytes fit.
    fn make_room(&self, length: u64, open: &Open) -> io::Result<()> {
        let files = self.files()?;
        let room_for = length.max(self.file_bytes.saturating_sub(open.length));
        let mut total: u64 = files.iter().map(|file| file.length).sum::<u64>() + room_for;
        for file in files {
            if total <= self.total_bytes {
                break;
            }
            if (file.day.as_str(), file.number) != (open.day.as_str(), open.number) {
                fs::remove_file(self.dir.join(name(&file.day, file.number)))?;
                total -= file.length;
            }
        }
        Ok(())
    }

    /// Our files, oldest first; others are left alone.
    fn files(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let Some((day, number)) = file_name.to_str().and_then(parsed) else { continue };
            found.push(Found { day, number, length: entry.metadata()?.len() });
        }
        found.sort_by(|one, other| (&one.day, one.number).cmp(&(&other.day, other.number)));
        Ok(found)
    }
}

struct Found {
    day: String,
    number: u32,
    length: u64,
}

fn name(day: &str, number: u32) -> String {
    format!("{day}-{number:04}.ndjson")
}

fn parsed(name_of_file: &str) -> Option<(String, u32)> {
    let stem = name_of_file.strip_suffix(".ndjson")?;
    let (day, number) = stem.rsplit_once('-')?;
    let number = number.parse().ok()?;
    (day.len() == 10 && name(day, number) == name_of_file).then(|| (day.to_owned(), number))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use holdfast_domain::VehicleId;
    use holdfast_schemas::mqtt::Topic;

    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_secs(1_795_219_200 + number * 86_400)
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_line_is_json_whatever_the_payload_looked_like() {
        let raw = Raw {
            vehicle: VehicleId::new("car-1").unwrap(),
            topic: Topic::Telemetry,
            payload: "{\n \"seq\": 1,\r\n \"text\":\"a\\nb\"}".into(),
            received: day(0),
        };
        let mut lines = Vec::new();
        line(&mut lines, &raw);
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1);
        let read: serde_json::Value = serde_json::from_slice(&lines).unwrap();
        assert_eq!(read["vehicle"], "car-1");
        assert_eq!(read["topic"], "tel");
        assert_eq!(read["received"], "2026-11-21T00:00:00.000000Z");
        assert_eq!(read["payload"]["text"], "a\nb");
    }

    #[test]
    fn files_rotate_by_size_and_day_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("notes-1.ndjson"), "mine").unwrap();
        let mut files = RawFiles::new(dir.path(), 100, 350);
        for at in [0, 0, 0, 1] {
            files.append(&[b'x'; 60], day(at)).unwrap();
        }
        let kept = ["2026-11-21-0001.ndjson", "2026-11-21-0002.ndjson", "2026-11-21-0003.ndjson"];
        assert_eq!(names(dir.path())[..3], kept);
        for _ in 0..20 {
            files.append(&[b'x'; 60], day(1)).unwrap();
            let total: u64 = files.files().unwrap().iter().map(|file| file.length).sum();
            assert!(total <= 350, "{total}");
        }
        let left = names(dir.path());
        assert!(left.contains(&"notes-1.ndjson".to_owned()), "not ours: {left:?}");
        assert!(left.contains(&"2026-11-22-0021.ndjson".to_owned()), "{left:?}");
        assert!(!left.contains(&kept[2].to_owned()), "{left:?}");
    }

    #[test]
    fn a_restart_goes_on_in_the_last_file_and_a_torn_line_ends_there() {
        let dir = tempfile::tempdir().unwrap();
        RawFiles::new(dir.path(), 100, 1_000).append(b"{\"a\":1}\n{\"b\"", day(0)).unwrap();
        RawFiles::new(dir.path(), 100, 1_000).append(b"{\"c\":3}\n", day(0)).unwrap();
        let text = fs::read_to_string(dir.path().join("2026-11-21-0001.ndjson")).unwrap();
        assert_eq!(text, "{\"a\":1}\n{\"b\"\n{\"c\":3}\n");
    }

    #[test]
    fn a_disk_that_takes_nothing_costs_lines_and_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("telemetry");
        fs::write(&blocked, "a file where the folder should be").unwrap();
        let mut files = RawFiles::new(&blocked, 100, 1_000);
        assert!(files.append(b"{}\n", day(0)).is_err());
        fs::remove_file(&blocked).unwrap();
        files.append(b"{}\n", day(0)).unwrap();
        assert_eq!(names(&blocked), ["2026-11-21-0001.ndjson"]);
    }
}
