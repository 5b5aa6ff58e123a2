//! Reads what strace has written down into a sequence of file operations and acknowledgements.
//!
//! ```text
//!   811 pwrite64(11, "\x48\x46…", 420, 4096 <unfinished ...>     begins     (line 17)
//!   812 write(1, "\x61\x63\x6b…", 43) = 43                       begins and ends
//!   811 <... pwrite64 resumed>) = 420                            ends       (line 19)
//! ```
//!
//! A thread waits at each end until strace has written it down, so the order of the lines is an order
//! in which things can have happened: what is acknowledged behind the end of a sync came after it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast::synthetic::Told;

/// The system calls that change a disk, or tell somebody.
pub(crate) const CALLS: &str = "openat,open,creat,close,dup,dup2,dup3,fcntl,lseek,write,writev,\
    pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,ftruncate,truncate,fallocate,rename,\
    renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,\
    copy_file_range,sendfile,splice,io_uring_setup,msync";

/// A file's content, whatever its name.
pub(crate) type Inode = usize;

/// Something that was asked of the disk, or told.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Bytes to a place in a file.
    Write { inode: Inode, offset: u64, bytes: Arc<[u8]> },
    /// A file cut or lengthened.
    SetLen { inode: Inode, len: u64 },
    /// A new name for a new file.
    Create { path: PathBuf, inode: Inode },
    /// A new directory.
    MakeDir { path: PathBuf },
    /// Another name.
    Rename { from: PathBuf, to: PathBuf },
    /// A name taken away.
    Unlink { path: PathBuf },
    /// Everything that was written to the file before is durable when this has ended.
    SyncFile { inode: Inode },
    /// Everything that was done to names in the directory before is durable when this has ended.
    SyncDir { path: PathBuf },
    /// Lines for those who wait.
    Tell { text: String },
}

/// One operation, with the lines at which it began and ended. What the end of the record has cut off
/// never ends.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// A whole record.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// In the order in which they began.
    pub(crate) steps: Vec<Step>,
    /// How many lines there are.
    pub(crate) lines: usize,
    /// What was there before, durable: by path, the inode and the bytes.
    pub(crate) before: Vec<(PathBuf, Inode, Arc<[u8]>)>,
    /// What had been told before.
    pub(crate) told_before: Told,
}

/// What a file descriptor stands for.
#[derive(Clone, Debug)]
enum Open {
    File { inode: Inode, at: u64, synced_writes: bool },
    Dir(PathBuf),
    Told,
}

/// A call that has begun.
struct Begun {
    name: String,
    args: Vec<Arg>,
    line: usize,
}

#[derive(Clone, Debug)]
enum Arg {
    Text(Vec<u8>),
    Word(String),
}

impl Arg {
    fn number(&self) -> u64 {
        match self {
            Self::Word(word) => word.parse().unwrap_or_else(|_| panic!("{word} is no number")),
            Self::Text(_) => panic!("a number is expected, not a text"),
        }
    }

    fn fd(&self) -> i64 {
        match self {
            Self::Word(word) => word.parse().unwrap_or(-1),
            Self::Text(_) => panic!("a descriptor is expected, not a text"),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
            Self::Word(word) => panic!("a path is expected, not {word}"),
        }
    }

    fn flag(&self, flag: &str) -> bool {
        matches!(self, Self::Word(word) if word.split('|').any(|one| one == flag))
    }
}

/// Reads the record of a run below `root`, where `before` was there and durable.
pub(crate) fn read(
    record: &str,
    root: &Path,
    before: Vec<(PathBuf, Arc<[u8]>)>,
    told_before: Told,
) -> Trace {
    let mut reader = Reader {
        root: root.to_owned(),
        names: HashMap::new(),
        inodes: 0,
        open: HashMap::from([(1, Open::Told)]),
        steps: Vec::new(),
        before: Vec::new(),
    };
    for (path, bytes) in before {
        let inode = reader.new_inode();
        reader.names.insert(path.clone(), inode);
        reader.before.push((path, inode, bytes));
    }
    let mut begun: HashMap<&str, Begun> = HashMap::new();
    let mut lines = 0;
    for (at, line) in record.lines().enumerate() {
        lines = at + 1;
        let (thread, rest) = line.split_once(' ').expect("a thread and a call");
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        let end = if let Some(resumed) = rest.strip_prefix("<... ") {
            let call = begun.remove(thread).expect("what is resumed has begun");
            assert!(resumed.starts_with(&call.name), "{resumed}");
            Some((call, resumed))
        } else {
            let call = begins(rest, at);
            reader.begins(&call);
            if rest.ends_with("<unfinished ...>") {
                begun.insert(thread, call);
                None
            } else {
                Some((call, rest))
            }
        };
        if let Some((call, text)) = end {
            let (_, result) = text.rsplit_once(" = ").unwrap_or(("", "?"));
            let result = result.split(' ').next().and_then(|word| word.parse::<i64>().ok());
            reader.ends(&call, result.unwrap_or(-1), at);
        }
    }
    // What had not ended may have happened in part.
    for call in begun.into_values() {
        reader.never_ended(&call);
    }
    let Reader { mut steps, before, .. } = reader;
    steps.sort_by_key(|step| step.begin);
    Trace { steps, lines, before, told_before }
}

struct Reader {
    root: PathBuf,
    names: HashMap<PathBuf, Inode>,
    inodes: usize,
    open: HashMap<i64, Open>,
    steps: Vec<Step>,
    before: Vec<(PathBuf, Inode, Arc<[u8]>)>,
}

impl Reader {
    fn new_inode(&mut self) -> Inode {
        self.inodes += 1;
        self.inodes
    }

    fn ours(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// A descriptor is free for others as soon as its closing has begun.
    fn begins(&mut self, call: &Begun) {
        if call.name == "close" {
            self.open.remove(&call.args[0].fd());
        }
    }

    fn step(&mut self, op: Op, begin: usize, end: usize) {
        self.steps.push(Step { op, begin, end });
    }

    fn ends(&mut self, call: &Begun, result: i64, end: usize) {
        if result >= 0 {
            self.happened(call, result, end);
        }
    }

    /// The process ended within the call.
    fn never_ended(&mut self, call: &Begun) {
        let result = match call.name.as_str() {
            "pwrite64" | "write" => i64::try_from(call.args[2].number()).expect("a length"),
            "ftruncate" | "rename" | "unlink" | "mkdir" => 0,
            _ => return,
        };
        self.happened(call, result, usize::MAX);
    }

    fn happened(&mut self, call: &Begun, result: i64, end: usize) {
        let Begun { name, args, line: begin } = call;
        let begin = *begin;
        match name.as_str() {
            "close" => {}
            "openat" => self.opened(args, result, begin, end),
            "lseek" => {
                if let Some(Open::File { at, .. }) = self.open.get_mut(&args[0].fd()) {
                    *at = u64::try_from(result).expect("a place");
                }
            }
            "fcntl" if args[1].flag("F_DUPFD_CLOEXEC") || args[1].flag("F_DUPFD") => {
                if let Some(open) = self.open.get(&args[0].fd()).cloned() {
                    self.open.insert(result, open);
                }
            }
            "fcntl" => {}
            "pwrite64" | "write" => {
                let Arg::Text(text) = &args[1] else { return };
                let place = (name == "pwrite64").then(|| args[3].number());
                let done = usize::try_from(result).expect("a length");
                self.wrote(args[0].fd(), &text[..done.min(text.len())], done, place, begin, end);
            }
            "fsync" | "fdatasync" => match self.open.get(&args[0].fd()).cloned() {
                Some(Open::File { inode, .. }) => self.step(Op::SyncFile { inode }, begin, end),
                Some(Open::Dir(path)) => self.step(Op::SyncDir { path }, begin, end),
                Some(Open::Told) | None => {}
            },
            "ftruncate" => {
                if let Some(Open::File { inode, .. }) = self.open.get(&args[0].fd()) {
                    let (inode, len) = (*inode, args[1].number());
                    self.step(Op::SetLen { inode, len }, begin, end);
                }
            }
            "rename" if self.ours(&args[0].path()) => {
                let (from, to) = (args[0].path(), args[1].path());
                assert_eq!(from.parent(), to.parent(), "a rename within one directory");
                let inode = self.names.remove(&from).expect("a file that is there");
                self.names.insert(to.clone(), inode);
                self.step(Op::Rename { from, to }, begin, end);
            }
            "unlink" if self.ours(&args[0].path()) => {
                let path = args[0].path();
                self.names.remove(&path);
                self.step(Op::Unlink { path }, begin, end);
            }
            "mkdir" if self.ours(&args[0].path()) => {
                let path = args[0].path();
                self.step(Op::MakeDir { path }, begin, end);
            }
            "rename" | "unlink" | "mkdir" => {}
            other => {
                let fd = args.first().map(Arg::fd).and_then(|fd| self.open.get(&fd));
                let elsewhere = !matches!(fd, Some(Open::File { .. } | Open::Dir(_)))
                    && !args.iter().any(|arg| {
                        matches!(arg, Arg::Text(text)
                        if text.starts_with(self.root.as_os_str().as_encoded_bytes()))
                    });
                assert!(elsewhere, "teach the replay what {other} does to a disk");
            }
        }
    }

    fn opened(&mut self, args: &[Arg], fd: i64, begin: usize, end: usize) {
        let (path, flags) = (args[1].path(), &args[2]);
        let directory = path.is_dir() || flags.flag("O_DIRECTORY");
        if !(self.ours(&path) || directory && self.root.starts_with(&path)) {
            self.open.remove(&fd);
            return;
        }
        if directory {
            self.open.insert(fd, Open::Dir(path));
            return;
        }
        let inode = match self.names.get(&path) {
            Some(inode) => *inode,
            None => {
                assert!(flags.flag("O_CREAT"), "{path:?} was never made");
                let inode = self.new_inode();
                self.names.insert(path.clone(), inode);
                self.step(Op::Create { path, inode }, begin, end);
                inode
            }
        };
        if flags.flag("O_TRUNC") {
            self.step(Op::SetLen { inode, len: 0 }, begin, end);
        }
        assert!(!flags.flag("O_APPEND"), "teach the replay what O_APPEND does");
        let synced_writes = flags.flag("O_DSYNC") || flags.flag("O_SYNC");
        self.open.insert(fd, Open::File { inode, at: 0, synced_writes });
    }

    fn wrote(
        &mut self,
        fd: i64,
        bytes: &[u8],
        done: usize,
        place: Option<u64>,
        begin: usize,
        end: usize,
    ) {
        match self.open.get_mut(&fd) {
            Some(Open::File { inode, at, synced_writes }) => {
                assert_eq!(bytes.len(), done, "strace shows all that is written");
                let (inode, synced) = (*inode, *synced_writes);
                let offset = place.unwrap_or(*at);
                if place.is_none() {
                    *at += done as u64;
                }
                self.step(Op::Write { inode, offset, bytes: bytes.into() }, begin, end);
                if synced {
                    self.step(Op::SyncFile { inode }, end, end);
                }
            }
            Some(Open::Told) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                self.step(Op::Tell { text }, begin, end);
            }
            Some(Open::Dir(_)) | None => {}
        }
    }
}

/// A call as it begins: its name and its arguments, as far as they are written there.
fn begins(line: &str, at: usize) -> Begun {
    let (name, rest) = line.split_once('(').unwrap_or_else(|| panic!("{line} is a call"));
    let bytes = rest.as_bytes();
    let (mut args, mut word, mut next) = (Vec::new(), String::new(), 0);
    let mut push = |word: &mut String| {
        let trimmed = word.trim();
        if !trimmed.is_empty() {
            args.push(Arg::Word(trimmed.to_owned()));
        }
        word.clear();
    };
    let mut texts = Vec::new();
    while next < bytes.len() {
        match bytes[next] {
            b'"' => {
                let (text, behind) = text(bytes, next + 1);
                texts.push(text);
                // Stands for the text among the words.
                word.push_str(&format!("\"{}", texts.len() - 1));
                next = behind;
            }
            b',' => {
                push(&mut word);
                next += 1;
            }
            b')' => break,
            _ if rest[next..].starts_with("<unfinished ...>") => break,
            byte => {
                word.push(char::from(byte));
                next += 1;
            }
        }
    }
    push(&mut word);
    for arg in &mut args {
        if let Arg::Word(word) = arg
            && let Some(number) = word.strip_prefix('"')
        {
            assert!(!number.ends_with("..."), "strace has cut a text short");
            let number: usize = number.parse().expect("its number");
            *arg = Arg::Text(std::mem::take(&mut texts[number]));
        }
    }
    Begun { name: name.to_owned(), args, line: at }
}

/// A text of `\x..`, from behind its quotation mark; and where it ends.
fn text(bytes: &[u8], mut at: usize) -> (Vec<u8>, usize) {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => panic!("strace writes lower-case hexadecimal digits"),
    };
    let end = at + bytes[at..].iter().position(|byte| *byte == b'"').expect("texts end");
    let mut text = Vec::with_capacity((end - at) / 4);
    while at < end {
        text.push(digit(bytes[at + 2]) << 4 | digit(bytes[at + 3]));
        at += 4;
    }
    (text, end + 1)
}
